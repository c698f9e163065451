from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from primaps.data.cocostuff import ABOUT
from primaps.data.curated import belongs, make_lists
from primaps.errors import DatasetError
from primaps.progress import Silent

PERSON, SKY = 0, 156


def _labels(height, width, stuff_pixels):
    labels = np.full(height * width, PERSON)
    labels[:stuff_pixels] = SKY
    return labels.reshape(height, width)


@pytest.mark.parametrize(
    ("height", "width", "stuff", "expected"),
    [
        (360, 360, 97_200, True),  # exactly three quarters
        (360, 360, 97_199, False),
        (359, 480, 359 * 480, False),
        (480, 359, 359 * 480, False),
        (361, 363, 361 * 363, True),
    ],
)
def test_the_rule(height, width, stuff, expected):
    assert belongs(_labels(height, width, stuff)) is expected


def test_unlabelled_pixels_are_no_stuff():
    labels = _labels(400, 400, 400 * 400)
    labels[:101] = 255
    assert not belongs(labels)
    labels[:101] = 255
    labels[:1] = SKY
    assert belongs(labels)


def _write(root, year, name, labels):
    folder = root / "annotations" / year
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint8)).save(folder / f"{name}.png")


@pytest.fixture
def root(tmp_path):
    for year in ("train2017", "val2017"):
        _write(tmp_path, year, "000000000724", _labels(360, 400, 140_000))
        _write(tmp_path, year, "000000000139", _labels(400, 360, 120_000))
        _write(tmp_path, year, "000000000285", _labels(400, 360, 100))
    return tmp_path


@pytest.mark.parametrize("workers", [1, 2])
def test_lists_are_written_in_the_published_form(root, workers):
    written = make_lists(root, Silent(), workers)
    assert written == tuple(root / split.list_file for split in ABOUT.splits[:2])
    assert [path.read_bytes() for path in written] == [b"000000000139\n000000000724\n"] * 2
    assert not (root / "curated/train2017/Coco164kFull_Stuff_Coarse.txt").exists()


def test_lists_that_are_there_stay(root):
    existing = root / ABOUT.splits[1].list_file
    existing.parent.mkdir(parents=True)
    existing.write_text("000000000285\n")
    assert make_lists(root, Silent()) == (root / ABOUT.splits[0].list_file,)
    assert existing.read_text() == "000000000285\n"


def test_no_list_without_all_labels(root):
    (root / "annotations/train2017/000000000285.png").write_bytes(b"")
    _write(root, "train2017", "000000000139", np.full((400, 400), 190))
    with pytest.raises(
        DatasetError,
        match=(
            r"(?s)Expected 3 usable .* but 2 are not.*none was written.*139\.png.*\[190\].*285\.png"
        ),
    ):
        make_lists(root, Silent())
    assert not (root / "curated").exists()


def test_nothing_belongs(root):
    for name in ("000000000139", "000000000724"):
        (root / f"annotations/train2017/{name}.png").unlink()
    with pytest.raises(DatasetError, match=r"train2017, but none of 1 does"):
        make_lists(root, Silent())


def test_no_annotations(tmp_path):
    with pytest.raises(
        DatasetError, match=r"stuffthingmaps\) at .*annotations/train2017, but there is none"
    ):
        make_lists(tmp_path, Silent())
