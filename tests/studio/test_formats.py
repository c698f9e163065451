"""What can be taken away."""

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.outputs.export.registry import FORMATS, PORTABLE
from primaps.studio.formats import described_formats


def test_every_format_is_described():
    found = {each["name"]: each for each in described_formats()}
    assert tuple(found) == (*FORMATS, PORTABLE)
    assert all(each["title"] and each["loses"].endswith(".") for each in found.values())
    assert found["coco"] == {
        "name": "coco",
        "title": "COCO instances",
        "loses": found["coco"]["loses"],
        "needs": None,
        "polygons": True,
        "installed": True,
    }
    assert (found["hf"]["needs"], found["geotiff"]["needs"]) == ("hf", "geo")


def test_what_is_missing_is_said_to_be(monkeypatch):
    monkeypatch.setattr("primaps.studio.formats.importlib.util.find_spec", lambda name: None)
    missing = [each["name"] for each in described_formats() if not each["installed"]]
    assert missing == ["hf", "geotiff", PORTABLE]
