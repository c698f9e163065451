from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from primaps.data.folder import find_splits, load
from primaps.errors import DatasetError, ImageError

LAYOUTS = {
    "splits in the root": ("val", "valannot", "val"),
    "splits below images and labels": ("images/val", "labels/val", "val"),
    "no splits": ("images", "labels", None),
}


def _write(root, images, labels, value=3):
    for folder in (images, labels):
        (root / folder / "sub").mkdir(parents=True)
    Image.new("RGB", (4, 2), "blue").save(root / images / "sub" / "a.jpg")
    Image.fromarray(np.array([[0, 1, 255, 255], [value, 1, 0, 0]], dtype=np.uint8)).save(
        root / labels / "sub" / "a.png"
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    images, labels, split = LAYOUTS[layout]
    _write(tmp_path, images, labels)
    dataset = load(tmp_path, split)
    assert len(dataset) == 1
    assert dataset.class_names == ("class 0", "class 1", "class 2", "class 3")
    assert dataset[0].name == "sub/a.jpg"
    assert dataset[0].labels.tolist() == [[0, 1, 255, 255], [3, 1, 0, 0]]


def test_class_names_from_a_file(tmp_path):
    _write(tmp_path, "val", "valannot")
    (tmp_path / "classes.txt").write_text(
        "\ufeffroad\nStraßenrand\nsky\ncar\nunused\n\n", encoding="utf-8"
    )
    dataset = load(tmp_path, "val")
    assert dataset.class_names == ("road", "Straßenrand", "sky", "car", "unused")
    assert dataset.colours.shape == (5, 3)
    (tmp_path / "classes.txt").write_text("road\nsky\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"Expected label ids 0\.\.1, 255 .*contains 3"):
        load(tmp_path, "val")[0]


@pytest.mark.parametrize(
    "content", [b"", b"road\n\nsky", b"road\nsky\nroad", b"\n".join(b"%d" % i for i in range(256))]
)
def test_malformed_class_names(tmp_path, content):
    _write(tmp_path, "val", "valannot")
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(
        DatasetError, match=r"Expected 1 to 255 different class names in .*classes\.txt"
    ):
        load(tmp_path, "val")


def test_class_names_that_are_no_text(tmp_path):
    _write(tmp_path, "val", "valannot")
    (tmp_path / "classes.txt").write_bytes(b"stra\xdfe")
    with pytest.raises(DatasetError, match=r"as UTF-8 text in .*classes\.txt"):
        load(tmp_path, "val")


def test_largest_ids(tmp_path):
    _write(tmp_path, "val", "valannot", value=254)
    assert len(load(tmp_path, "val").class_names) == 255
    Image.fromarray(np.array([[256]], dtype=np.uint16)).save(tmp_path / "valannot/sub/a.png")
    with pytest.raises(DatasetError, match=r"Expected class ids 0\.\.254 .*contains 256"):
        load(tmp_path, "val")


def test_nothing_labelled(tmp_path):
    _write(tmp_path, "val", "valannot")
    Image.new("L", (4, 2), 255).save(tmp_path / "valannot/sub/a.png")
    with pytest.raises(
        DatasetError, match="Expected labelled pixels in 1 label images, but all are 255"
    ):
        load(tmp_path, "val")


def test_missing_split_lists_those_of_both_layouts(tmp_path):
    _write(tmp_path, "val", "valannot")
    _write(tmp_path, "images/train", "labels/train")
    (tmp_path / "images" / "unlabelled").mkdir()
    with pytest.raises(
        DatasetError, match=r"there is no split 'test'. It has the splits train, val\."
    ):
        load(tmp_path, "test")


def test_no_split_given_where_there_are_only_splits(tmp_path):
    _write(tmp_path, "val", "valannot")
    with pytest.raises(
        DatasetError,
        match=(
            r"Expected folders images and labels in .*no split was given. It has the splits val\."
        ),
    ):
        load(tmp_path, None)


def test_a_damaged_label_image_is_reported_when_it_is_read(tmp_path):
    _write(tmp_path, "val", "valannot")
    for folder, name, text in (("val", "b.jpg", b""), ("valannot", "b.png", b"")):
        (tmp_path / folder / name).write_bytes(text)
    dataset = load(tmp_path, "val")
    assert len(dataset.class_names) == 4
    with pytest.raises(ImageError, match=r"b\.png is empty"):
        dataset.labels(0)


def test_splits_are_found(tmp_path):
    with pytest.raises(DatasetError, match="Expected folders images and labels"):
        find_splits(tmp_path)
    _write(tmp_path, "images", "labels")
    _write(tmp_path, "flat/images", "flat/labels")
    assert [split.name for split in find_splits(tmp_path)] == ["sub"]
    for folder in ("images", "labels"):
        (tmp_path / "flat" / folder / "sub").rename(tmp_path / "flat" / folder / f"sub of {folder}")
    assert [split.name for split in find_splits(tmp_path / "flat")] == [None]
    _write(tmp_path, "val", "valannot")
    assert [split.name for split in find_splits(tmp_path)] == ["sub", "val"]


def _binary(root, values, names=None):
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index in range(2):
        Image.new("RGB", (4, 3)).save(root / "images" / f"{index}.png")
        labels = np.full((3, 4), values[0], np.uint8)
        labels[:, 2:] = values[-1]
        Image.fromarray(labels).save(root / "labels" / f"{index}.png")
    if names:
        (root / "classes.txt").write_text("\n".join(names))
    return root


@pytest.mark.parametrize("names", [None, ("sky", "ground")])
@pytest.mark.parametrize(("values", "other"), [((0, 255), 1), ((1, 255), 0)])
def test_binary_masks_of_255_are_refused(tmp_path, values, other, names):
    root = _binary(tmp_path, values, names)
    message = rf"hold {values[0]} and 255 alone, .* another id, such as {other}\. .*classes\.txt"
    with pytest.raises(DatasetError, match=message):
        load(root, None)


def test_one_named_class_and_unlabelled_pixels_are_meant(tmp_path):
    assert len(load(_binary(tmp_path, (0, 255), ("sky",)), None)) == 2


@pytest.mark.parametrize("values", [(0, 1), (0, 0)])
def test_masks_without_255_are_taken(tmp_path, values):
    assert len(load(_binary(tmp_path, values), None)) == 2


def test_no_label_image_for_any_image(tmp_path):
    _write(tmp_path, "images", "labels")
    label = tmp_path / "labels" / "sub" / "a.png"
    label.rename(label.with_suffix(".jpg"))
    with pytest.raises(DatasetError, match=r"no image of .* has one .*\.jpg: only PNG keeps"):
        load(tmp_path, None)
    label.with_suffix(".jpg").unlink()
    with pytest.raises(DatasetError, match=r"no image of .* has one \(a\.png or a\.jpg\.png"):
        load(tmp_path, None)
