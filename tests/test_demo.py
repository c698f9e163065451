import importlib.util
import types

import pytest

from primaps.data.reading import read_image
from primaps.demo import photographs
from primaps.errors import MissingExtraError


def pretend(monkeypatch, **origins):
    """Let the given packages, and no others, be found at the given places."""
    specs = {name: None if origin is None else types.SimpleNamespace(origin=origin) for name, origin in origins.items()}
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)


def test_the_photographs_of_installed_packages_can_be_read():
    if not any(importlib.util.find_spec(name) for name in ("skimage", "sklearn")):
        pytest.skip("neither scikit-image nor scikit-learn is installed")
    found = photographs()
    assert len(found) >= 2
    assert len(set(found)) == len(found)
    assert read_image(found[0]).shape[2] == 3


def test_files_of_one_package_suffice_and_absent_ones_are_left_out(monkeypatch, tmp_path):
    images = tmp_path / "sklearn" / "datasets" / "images"
    images.mkdir(parents=True)
    (images / "flower.jpg").write_bytes(b"")
    pretend(monkeypatch, sklearn=str(tmp_path / "sklearn" / "__init__.py"))
    assert photographs() == [images / "flower.jpg"]


@pytest.mark.parametrize("origins", [{}, {"skimage": None}, {"skimage": types.SimpleNamespace(origin=None)}])
def test_without_the_packages_the_extra_is_named(origins, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", origins.get)
    with pytest.raises(MissingExtraError, match=r"found none\. Install them with: pip install 'primaps\[demo\]'"):
        photographs()


def test_packages_without_their_data(monkeypatch, tmp_path):
    pretend(monkeypatch, skimage=str(tmp_path / "__init__.py"), sklearn=str(tmp_path / "__init__.py"))
    with pytest.raises(MissingExtraError, match="photographs"):
        photographs()
