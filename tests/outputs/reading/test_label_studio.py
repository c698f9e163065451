"""What Label Studio writes beyond our own exports."""

import numpy as np
import pytest

from primaps.errors import ConfigError, ImageError
from primaps.outputs.export.regions import Region
from primaps.outputs.export.rle import brush_rle
from primaps.outputs.reading.label_studio import is_label_studio, read_label_studio

SIZE = (4, 6)


def brush(name, top, height):
    region = Region(0, top, 0, np.ones((height, 6), bool))
    return {
        "type": "brushlabels",
        "original_width": 6,
        "original_height": 4,
        "value": {"format": "rle", "rle": brush_rle(region, SIZE), "brushlabels": [name]},
    }


def task(*results, image="/data/upload/1/0a1b2c3d-a%20b.png"):
    annotations = [{"result": list(each)} for each in results]
    return {"id": 1, "data": {"image": image}, "annotations": annotations}


def test_later_strokes_lie_on_top_and_boxes_are_counted(tmp_path):
    box = {"type": "rectanglelabels", "original_width": 6, "value": {}}
    choice = {"type": "choices", "original_width": 6, "value": {}}
    given = [task([brush("a", 0, 3), brush("b", 2, 2), box, choice])]
    assert is_label_studio(given)
    (image,) = read_label_studio(tmp_path, given)
    assert image.name == "/data/upload/1/0a1b2c3d-a b.png"
    assert image.paint()[:, 0].tolist() == [0, 0, 1, 1]
    assert image.passed_over == 1


def test_the_last_annotation_that_was_not_cancelled_counts(tmp_path):
    given = task([brush("a", 0, 4)], [brush("b", 0, 4)], [brush("c", 0, 4)])
    given["annotations"][2]["was_cancelled"] = True
    (image,) = read_label_studio(tmp_path, [given])
    assert image.names == ("b",)
    (image,) = read_label_studio(tmp_path, [task()])
    assert image.paint() is None


def test_names_of_local_files(tmp_path):
    (image,) = read_label_studio(
        tmp_path, [task([], image="/data/local-files/?d=images/sub%20x/a.png")]
    )
    assert image.name == "images/sub x/a.png"


def test_what_is_damaged_is_told(tmp_path):
    damaged = brush("a", 0, 4)
    damaged["value"]["rle"] = damaged["value"]["rle"][:8]
    (image,) = read_label_studio(tmp_path, [task([damaged])])
    with pytest.raises(ImageError, match="brush mask"):
        image.paint()
    with pytest.raises(ConfigError, match="Export them as JSON"):
        list(read_label_studio(tmp_path, [task([{"type": "brushlabels", "value": {}}])]))
    assert not is_label_studio([])
    assert not is_label_studio([{"data": {}}])
