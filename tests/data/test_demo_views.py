import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.data import demo_views as demo
from primaps.data.demo_views import SOURCES, Source, about, views, views_folder, write_views
from primaps.data.reading import read_image
from primaps.errors import ImageError, MissingExtraError

CUP = Source("cup", "carrier", "data/cup.png", "Somebody, CC0")
TREE = Source("tree", "other", "tree.png", "Anybody, CC0")


def pretend(monkeypatch, **origins):
    """Let the given packages, and no others, be found at the given places."""
    specs = {
        name: None if origin is None else types.SimpleNamespace(origin=origin)
        for name, origin in origins.items()
    }
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)


@pytest.fixture
def carrier(monkeypatch, tmp_path, photograph):
    """A package with a photograph."""
    path = tmp_path / "carrier" / "data" / "cup.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(photograph).save(path)
    pretend(monkeypatch, carrier=str(tmp_path / "carrier" / "__init__.py"))
    return path


def test_views_overlap_and_show_all_but_the_lower_corners(photograph):
    height, width = photograph.shape[:2]
    where = np.arange(height * width).reshape(height, width, 1).repeat(3, axis=2)
    seen = [part[..., 0] for part in views(where).values()]
    assert {part.shape for part in seen} == {(42, 56)}
    times = np.bincount(
        np.concatenate([part.ravel() for part in seen]), minlength=height * width
    ).reshape(height, width)
    assert times[:42].min() >= 1
    assert times[42:, 12:68].min() == 1
    assert (times >= 2).mean() >= 0.4


def test_photographs_become_files_and_words(carrier, tmp_path, photograph):
    files, words = write_views(tmp_path / "views", (CUP, TREE))
    assert [path.name for path in files] == ["cup-left.png", "cup-right.png", "cup-below.png"]
    assert np.array_equal(read_image(files[1]), photograph[:42, 24:])
    assert "cup (Somebody, CC0)" in words
    assert "tree" not in words


def test_views_that_are_right_are_left_alone_and_others_made_anew(carrier, tmp_path):
    files, _ = write_views(tmp_path / "views", (CUP,))
    before = [path.stat().st_mtime_ns for path in files]
    files[0].write_bytes(b"damaged")
    write_views(tmp_path / "views", (CUP,))
    assert [path.stat().st_mtime_ns for path in files[1:]] == before[1:]
    assert read_image(files[0]).shape == (42, 56, 3)


def test_a_damaged_photograph_is_named(carrier, tmp_path):
    carrier.write_bytes(b"damaged")
    with pytest.raises(ImageError, match=r"cup\.png"):
        write_views(tmp_path / "views", (CUP,))


@pytest.mark.parametrize("origin", [None, "here"])
def test_without_photographs_the_extra_is_named(origin, monkeypatch, tmp_path):
    found = types.SimpleNamespace(origin=None if origin is None else str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)
    with pytest.raises(
        MissingExtraError, match=r"found none\. Install them with: pip install 'primaps\[demo\]'"
    ):
        write_views(tmp_path / "views")
    assert not (tmp_path / "views").exists()


def test_every_photograph_has_its_rights_stated():
    words = about(list(SOURCES))
    assert words.startswith("6 photographs, each cut into 3 overlapping views")
    for source in SOURCES:
        assert f"{source.title} ({source.rights})" in words
        assert any(terms in source.rights for terms in ("CC0", "public domain", "CC BY 2.0"))


def test_the_photographs_are_in_the_packages(tmp_path):
    missing = [name for name in ("skimage", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    files, _ = write_views(tmp_path)
    assert len(files) == 18
    assert all(min(read_image(path).shape[:2]) >= 200 for path in files[::3])


@pytest.mark.parametrize("out", ["run", "some/run", "."])
def test_views_lie_beside_the_run_folder(out, monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = views_folder(Path(out))
    assert folder.name == f"{Path(out).resolve().name}-photographs"
    assert folder.parent == Path(out).resolve().parent


def test_classes_fit_the_photographs():
    assert 2 <= demo.NUM_CLASSES <= 2 * len(SOURCES)
