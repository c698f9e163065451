"""What other programs write in COCO's form."""

import pytest

from primaps.errors import ConfigError, ImageError
from primaps.outputs.reading.coco import is_coco, read_coco

IMAGES = [{"id": 7, "file_name": "a.png", "width": 6, "height": 4}]
CATEGORIES = [{"id": 3, "name": "a"}, {"id": 9, "name": "b"}]


def document(*annotations):
    listed = [{"image_id": 7, **each} for each in annotations]
    return {"images": IMAGES, "annotations": listed, "categories": CATEGORIES}


def test_polygons_plain_runs_and_boxes_alone(tmp_path):
    runs = {"size": [4, 6], "counts": [9, 2, 2, 2, 9]}
    given = document(
        {"category_id": 9, "segmentation": runs},
        {"category_id": 3, "segmentation": [[3, 1, 5, 1, 5, 3, 3, 3]]},
        {"category_id": 3, "segmentation": [], "bbox": [0, 0, 1, 1]},
    )
    assert is_coco(given)
    (image,) = read_coco(tmp_path, given)
    assert image.names == ("a", "b")
    assert image.passed_over == 1
    assert image.paint().tolist()[1] == [-1, -1, 1, 0, 0, -1]


def test_what_is_damaged_is_told(tmp_path):
    runs = {"size": [4, 6], "counts": "o"}
    (image,) = read_coco(tmp_path, document({"category_id": 9, "segmentation": runs}))
    with pytest.raises(ImageError, match="run lengths"):
        image.paint()
    with pytest.raises(ConfigError, match="COCO's form"):
        list(read_coco(tmp_path, document({"category_id": 4, "segmentation": runs})))
    assert not is_coco([])
    assert not is_coco({"images": []})
