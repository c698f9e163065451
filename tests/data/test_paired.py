from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.data.encoding import LabelEncoding
from primaps.data.paired import (
    Listing,
    Pair,
    PairedDataset,
    files_below,
    missing_split,
    pair_files,
    require_folder,
    split_folders,
)
from primaps.errors import DatasetError, ImageError
from primaps.types import IGNORE_INDEX


@pytest.fixture
def folders(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images / "sub", labels / "sub"):
        folder.mkdir(parents=True)
    for name in ("b.jpg", "sub/a.png"):
        Image.new("RGB", (6, 4), (10, 20, 30)).save(images / name)
    for name in ("b.png", "sub/a.png"):
        Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 4).save(labels / name)
    return images, labels


def _dataset(folders, num_classes=4, ignored=()):
    names = tuple("abcdefgh"[:num_classes])
    encoding = (
        LabelEncoding({label: label for label in range(num_classes)}, ignored) if ignored else None
    )
    return PairedDataset(
        pair_files(*folders), names, np.zeros((num_classes, 3), np.uint8), encoding
    )


def test_pairs(folders):
    images, labels = folders
    (images / ".hidden.jpg").touch()
    (images / "notes.txt").touch()
    (labels / "classes.txt").touch()
    listing = pair_files(images, labels)
    assert listing.missing == ()
    assert listing.pairs == (
        Pair("b.jpg", images / "b.jpg", labels / "b.png"),
        Pair("sub/a.png", images / "sub/a.png", labels / "sub/a.png"),
    )


def test_label_named_after_the_whole_image_name_comes_first(folders):
    images, labels = folders
    Image.new("RGB", (6, 4)).save(images / "b.png")
    for name in ("b.jpg.png", "b.png.png"):
        Image.new("L", (6, 4)).save(labels / name)
    (labels / "b.png").unlink()
    assert [pair.labels.name for pair in pair_files(images, labels).pairs] == [
        "b.jpg.png",
        "b.png.png",
        "a.png",
    ]


def test_two_images_that_share_a_label_image(folders):
    images, labels = folders
    Image.new("RGB", (6, 4)).save(images / "b.png")
    with pytest.raises(
        DatasetError,
        match=(
            r"b\.jpg and b\.png of .* share b\.png. Name the label images b\.jpg\.png and"
            r" b\.png\.png"
        ),
    ):
        pair_files(images, labels)


def test_image_without_label(folders):
    (folders[1] / "b.png").unlink()
    dataset = _dataset(folders)
    assert [pair.name for pair in dataset.pairs] == ["sub/a.png"]
    assert [failure.path for failure in dataset.missing] == [str(folders[1] / "b.png")]
    with pytest.raises(
        DatasetError,
        match=r"labels/b\.png: Expected the label image of .*images/b\.jpg here, but there is none",
    ):
        dataset.complete()


def test_label_without_image(folders):
    for index in range(7):
        Image.new("L", (6, 4)).save(folders[1] / f"extra{index}.png")
    dataset = _dataset(folders)
    assert len(dataset) == 2
    with pytest.raises(
        DatasetError,
        match=(
            r"(?s)in 7 cases:.*Expected the image of .*extra0\.png here.*extra4\.png.*and 2 more;"
            r" `primaps check`"
        ),
    ):
        dataset.complete()


def test_a_complete_data_set_is_itself(folders):
    dataset = _dataset(folders)
    assert dataset.complete() is dataset


def test_empty_folder(tmp_path):
    with pytest.raises(
        DatasetError, match=r"Expected images in .*, but found none. Check the folder and the split"
    ):
        pair_files(tmp_path, tmp_path)


def test_samples(folders):
    dataset = _dataset(folders)
    sample = dataset[1]
    assert (sample.name, sample.path) == ("sub/a.png", folders[0] / "sub/a.png")
    assert sample.image.tolist() == [[[10, 20, 30]] * 6] * 4
    assert np.array_equal(sample.labels, np.arange(24).reshape(4, 6) % 4)
    assert len(dataset) == len(list(dataset)) == 2


def test_ignored_ids_become_the_ignore_index(folders):
    labels = _dataset(folders, num_classes=3, ignored=(3,))[0].labels
    assert np.array_equal(labels == IGNORE_INDEX, np.arange(24).reshape(4, 6) % 4 == 3)


def test_ids_out_of_range(folders):
    with pytest.raises(
        DatasetError,
        match=r"Expected label ids 0\.\.1, 255 \(255 is unlabelled\), but .*b\.png contains 2, 3\.",
    ):
        _dataset(folders, num_classes=2)[0]


def test_size_mismatch_names_both_files_and_sizes(folders):
    Image.new("L", (4, 6)).save(folders[1] / "b.png")
    with pytest.raises(
        DatasetError,
        match=r"images/b\.jpg has 6x4 pixels and .*labels/b\.png has 4x6\. .* lies on its side",
    ):
        _dataset(folders)[0]


def test_unreadable_files(folders):
    (folders[0] / "b.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"b\.jpg is empty"):
        _dataset(folders)[0]


def test_require_folder(tmp_path):
    require_folder(tmp_path, "a folder")
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"Expected a folder at .*file, but it is a file"):
        require_folder(tmp_path / "file", "a folder")


def test_files_below(tmp_path):
    for name in ("b/c.png", "b.png", "a/.hidden/x.png", "a/.hidden.png", "a/z/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.png").symlink_to("nowhere")
    assert files_below(tmp_path) == ["a/z/y.png", "b.png", "b/c.png", "link.png"]
    with pytest.raises(
        DatasetError, match=r"Expected a readable folder, but got for .*nowhere: No such file"
    ):
        files_below(tmp_path / "nowhere")


def test_splits(tmp_path):
    for name in ("train", "trainannot", "val", "valannot", "loose"):
        (tmp_path / name).mkdir()
    assert split_folders(tmp_path) == ["train", "val"]
    assert "there is no split 'x'. It has the splits train, val." in str(
        missing_split(tmp_path, "x", ["train", "val"], "folders")
    )
    assert "no split was given. It has no split at all." in str(
        missing_split(Path("r"), None, [], "folders")
    )


def _pair_of(tmp_path, orientation, size, labels, label_orientation=1):
    """A photograph of (width, height) pixels as stored with an EXIF tag, and its label image."""
    paths = []
    for name, shape, tag in (("a.jpg", size, orientation), ("a.png", labels, label_orientation)):
        exif = Image.Exif()
        exif[0x0112] = tag
        path = tmp_path / ("images" if name == "a.jpg" else "labels") / name
        path.parent.mkdir(exist_ok=True)
        mode = "RGB" if name == "a.jpg" else "L"
        Image.new(mode, shape).save(path, exif=exif)
        paths.append(path)
    names = ("one", "two")
    listing = Listing((Pair("a.jpg", *paths),))
    return PairedDataset(listing, names, np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(
    ("orientation", "size", "labels", "label_orientation", "reason"),
    [
        (6, (20, 10), (20, 10), 1, "lies as stored"),
        (8, (20, 10), (20, 10), 1, "lies as stored"),
        (6, (10, 10), (10, 10), 1, "may lie either way"),
        (3, (20, 10), (20, 10), 1, "may lie either way"),
        (2, (20, 10), (20, 10), 1, "may lie either way"),
        (6, (20, 10), (10, 20), 1, None),
        (6, (20, 10), (20, 10), 6, None),
        (6, (10, 10), (10, 10), 6, None),
        (3, (20, 10), (20, 10), 3, None),
        (1, (20, 10), (20, 10), 1, None),
    ],
)
def test_a_turned_photograph_and_its_labels_stand_the_same_way_up(
    tmp_path, orientation, size, labels, label_orientation, reason
):
    dataset = _pair_of(tmp_path, orientation, size, labels, label_orientation)
    if reason is None:
        assert dataset[0].labels.shape == dataset[0].image.shape[:2]
        return
    with pytest.raises(DatasetError, match=f"EXIF tag .*{reason}.*exif_transpose"):
        dataset[0]


def test_other_sizes_of_a_turned_photograph_are_no_matter_of_exif(tmp_path):
    with pytest.raises(DatasetError, match="Resize the label image"):
        _pair_of(tmp_path, 6, (20, 10), (5, 5))[0]
