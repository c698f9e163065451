"""Label Studio."""

import json
import urllib.parse
from xml.etree import ElementTree as ET


def tasks(export, ending=""):
    return json.loads((export.root / f"tasks{ending}.json").read_bytes())


def test_tasks_fit_the_labelling_interface(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "label-studio")
    view = ET.parse(export.root / "label_config.xml").getroot()
    image, labels = view.find("Image"), view.find("BrushLabels")
    assert labels.get("toName") == image.get("name")
    names = [label.get("value") for label in labels]
    assert names == list(drawn.NAMES.values())
    for task, own in zip(tasks(export), export.images, strict=True):
        assert image.get("value") == "$image"
        results = task["annotations"][0]["result"]
        assert len({result["id"] for result in results}) == len(results)
        for result in results:
            assert result["from_name"] == labels.get("name")
            assert result["to_name"] == image.get("name")
            assert (result["original_height"], result["original_width"]) == own.size
            assert result["value"]["format"] == "rle"
            assert set(result["value"]["brushlabels"]) <= set(names)


def test_addresses_lead_to_the_photographs_whatever_their_names(drawn, tmp_path):
    """Per cent signs, blanks, umlauts and emoji are quoted."""
    export = drawn.make_export(tmp_path, "label-studio")
    for task, own in zip(tasks(export), export.images, strict=True):
        address = urllib.parse.urlsplit(task["data"]["image"])
        assert address.path == "/data/local-files/"
        assert task["data"]["image"].isascii()
        (place,) = urllib.parse.parse_qs(address.query)["d"]
        assert place == f"images/{own.name}"
        assert (export.root / place).is_file()


def test_parts(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "label-studio", splits=("train", "val"))
    for split in ("train", "val"):
        wanted = [image.name for image in export.images if image.split == split]
        assert [task["data"]["name"] for task in tasks(export, f"_{split}")] == wanted
