"""Label images as other programs write them."""

import numpy as np
import pytest
from PIL import Image

from primaps.errors import ConfigError, ImageError
from primaps.outputs.reading.masks import read_masks

LABEL_MAP = """# label:color_rgb:parts:actions
background:0,0,0::
tree:0,128,0::
road\N{FULLWIDTH COLON} wet:128,64,128::
"""
VALUES = np.array([[0, 1, 1], [2, 2, 255]], np.uint8)


def read_one(folder):
    (image,) = read_masks(folder)
    painted = image.paint()
    names = [*(image.names or ()), None]
    return [[names[index] for index in row] for row in painted.tolist()]


@pytest.fixture
def voc(tmp_path):
    (tmp_path / "labelmap.txt").write_text(LABEL_MAP, "utf-8")
    (tmp_path / "SegmentationClass").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    Image.new("RGB", (3, 2)).save(tmp_path / "JPEGImages" / "a.png")
    return tmp_path


def test_masks_in_colours_as_cvat_writes_them(voc):
    colours = np.array([[0, 0, 0], [0, 128, 0], [128, 64, 128]], np.uint8)
    pixels = colours[np.where(VALUES == 255, 0, VALUES)]
    Image.fromarray(pixels).save(voc / "SegmentationClass" / "a.png")
    expected = [["background", "tree", "tree"], ["road: wet", "road: wet", "background"]]
    assert read_one(voc) == expected
    Image.fromarray(pixels + np.uint8(1)).save(voc / "SegmentationClass" / "a.png")
    with pytest.raises(ImageError, match="mean a class"):
        read_one(voc)


def test_the_palette_tells_where_the_rows_are_in_another_order(voc):
    picture = Image.fromarray(VALUES)
    picture.putpalette([0, 0, 0, 128, 64, 128, 0, 128, 0, *bytes(759)])
    picture.save(voc / "SegmentationClass" / "a.png")
    expected = [["background", "road: wet", "road: wet"], ["tree", "tree", None]]
    assert read_one(voc) == expected


def test_grey_values_are_rows(voc):
    Image.fromarray(VALUES).save(voc / "SegmentationClass" / "a.png")
    expected = [["background", "tree", "tree"], ["road: wet", "road: wet", None]]
    assert read_one(voc) == expected


def test_targets_of_fiftyone(tmp_path):
    (tmp_path / "mask_targets.json").write_text('{"1": "tree", "2": "road"}')
    for part in ("train", "val"):
        (tmp_path / part / "labels").mkdir(parents=True)
        Image.fromarray(VALUES).save(tmp_path / part / "labels" / f"{part}.png")
    first, second = read_masks(tmp_path)
    assert (first.name, second.name) == ("train", "val")
    assert first.paint().tolist() == [[-1, 0, 0], [1, 1, -1]]
    (tmp_path / "mask_targets.json").write_text('["tree"]')
    with pytest.raises(ConfigError, match="mask_targets"):
        list(read_masks(tmp_path))


def test_without_a_list_values_are_ids(tmp_path):
    Image.fromarray(VALUES).save(tmp_path / "a.jpg.png")
    (image,) = read_masks(tmp_path)
    assert (image.name, image.names) == ("a.jpg", None)
    assert image.paint().tolist() == [[0, 1, 1], [2, 2, -1]]


def test_what_is_no_mask_is_told(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    first, second = read_masks(tmp_path)
    with pytest.raises(ImageError, match="colour mode RGB"):
        first.paint()
    with pytest.raises(ImageError, match="cannot be read"):
        second.paint()
