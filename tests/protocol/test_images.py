import dataclasses

import numpy as np
import pytest
from PIL import Image

from primaps.config import preset_config
from primaps.data.framing import crop_image, crop_labels
from primaps.data.reading import read_image
from primaps.proposals.crf.dense_crf import official_uint8
from primaps.protocol.images import framed_labels, measured_input, measured_picture, open_parts
from primaps.protocol.row import Row
from primaps.types import ImageFile

from .conftest import draw_scenes, scene

ROW = Row("folder", "texture", size=64)


def framed(preset):
    base = preset_config(preset)
    return dataclasses.replace(
        base, features=dataclasses.replace(base.features, size=64, framing="centre-crop")
    )


def test_parts_in_the_order_of_the_split(scenes):
    train, test = open_parts(ROW, scenes)
    assert [file.name for file in train.files] == [f"scene{number}.png" for number in range(7)]
    assert [file.name for file in test.files] == [f"scene{number}.png" for number in range(20, 24)]
    assert all(file.path.exists() for file in (*train.files, *test.files))


def test_names_are_paths_below_the_common_folder(tmp_path):
    root = draw_scenes(tmp_path / "scenes", {"train": [0, 1], "val": [20]})
    for part in ("images", "labels"):
        (root / part / "train" / "town").mkdir()
        (root / part / "train" / "scene1.png").rename(root / part / "train" / "town" / "scene0.png")
    train, _ = open_parts(ROW, root)
    assert sorted(file.name for file in train.files) == ["scene0.png", "town/scene0.png"]


def test_a_limit_takes_images_evenly_and_keeps_their_labels(scenes):
    train, _ = open_parts(dataclasses.replace(ROW, limit=3), scenes)
    assert [file.name for file in train.files] == ["scene0.png", "scene3.png", "scene6.png"]
    expected = crop_labels(scene(3)[1].astype(np.int64), "pillow", 64)
    assert np.array_equal(
        framed_labels(train, "scene3.png", framed("paper"), measured=False), expected
    )


@pytest.mark.parametrize(("preset", "interpolation"), [("default", "pillow"), ("paper", "tensor")])
def test_measured_labels_follow_the_preset(scenes, preset, interpolation):
    _, test = open_parts(ROW, scenes)
    found = framed_labels(test, "scene20.png", framed(preset), measured=True)
    assert np.array_equal(found, crop_labels(scene(20)[1].astype(np.int64), interpolation, 64))


def test_measured_pictures_of_the_crf(scenes, texture):
    path = scenes / "images" / "val" / "scene20.png"
    file = ImageFile(path, path.name)
    assert np.array_equal(
        measured_picture(file, texture, framed("default")), crop_image(read_image(path), 64)
    )


def test_preset_paper_rounds_grey_levels_of_the_crf_down(texture, tmp_path):
    pixels = scene(5, 64, 64)[0]  # needs no resizing: the rounding alone shows
    Image.fromarray(pixels).save(tmp_path / "square.png")
    picture = measured_picture(
        ImageFile(tmp_path / "square.png", "square.png"), texture, framed("paper")
    )
    assert measured_input(pixels, texture, framed("paper")).shape == (1, 3, 64, 64)
    assert np.array_equal(picture, official_uint8(pixels))
    assert (picture != pixels).any()
