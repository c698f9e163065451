"""The formats by name."""

import subprocess
import sys

import pytest

from primaps.errors import ConfigError, MissingExtraError
from primaps.outputs.export import georeference, hf
from primaps.outputs.export.registry import FORMATS, OUTLINES, PORTABLE, find_exporter


def test_formats_are_those_of_the_documentation():
    assert set(FORMATS) == {
        "coco", "coco-stuff", "panoptic", "voc", "yolo", "cvat", "datumaro", "label-studio",
        "labelme", "hf", "fiftyone", "geotiff", "geojson",
    }  # fmt: skip
    assert set(OUTLINES) <= set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_exporter(name):
    assert find_exporter(name).passes in {0, 1, 2}


def test_an_unknown_format_is_an_error_with_a_hint():
    with pytest.raises(ConfigError, match=r"--format to be one of .*Did you mean 'yolo'"):
        find_exporter("yollo")
    assert PORTABLE not in FORMATS
    with pytest.raises(ConfigError, match="Did you mean 'onnx'"):
        find_exporter("onxx")


def test_names_of_formats_cost_nothing_heavy():
    code = (
        "import sys, primaps.outputs.export.registry\n"
        "heavy = {'torch', 'scipy', 'pyarrow', 'rasterio', 'pycocotools'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "extra"), [("hf", "hf"), ("geotiff", "geo")])
def test_a_missing_package_is_an_error_that_names_the_extra(
    drawn, tmp_path, monkeypatch, name, extra
):
    for module in (hf, georeference):
        monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'primaps\[{extra}\]'"):
        drawn.make_export(tmp_path, name)
