from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from primaps.data.about import About, Split
from primaps.data.check_report import as_record, as_text
from primaps.data.checking import DatasetCheck, SplitCheck
from primaps.types import Failure

ABOUT = About(
    "Toy, 3 classes",
    (Split("train", 2), Split("val", 1)),
    "a/NAME.png\nb/NAME.png",
    "Ask the toymaker.",
    "Public domain.",
)
GOOD = SplitCheck(Split("val", 1), 1, ("sky", "road", "car"), np.array([60, 20, 0]), 20)


def _check(*splits, error=""):
    return DatasetCheck("toy", Path("/data/toy"), ABOUT, splits, error)


def test_a_complete_data_set_says_what_to_do_next():
    lines = as_text(_check(GOOD)).splitlines()
    assert lines == [
        "Toy, 3 classes, in /data/toy",
        "",
        "val: 1 of 1 published images are usable, 20.0% of the pixels are unlabelled",
        "  sky   75.00% 60 ##############################",
        "  road  25.00% 20 ##########",
        "  car    0.00%  0",
        "",
        "Complete. Next:",
        "  primaps evaluate --model RUN --dataset toy --root /data/toy --split val",
    ]


def test_an_incomplete_one_says_where_to_get_it():
    failures = tuple(Failure(f"f{index}.png", "labels", "Broken.") for index in range(12))
    bad = SplitCheck(Split("train", 20), 8, GOOD.class_names, GOOD.pixels, 0, failures)
    optional = SplitCheck(Split("test", 9, needed=False), error="Expected it.")
    text = as_text(_check(bad, GOOD, optional))
    assert "train: 8 of 20 published images are usable, 0.0% of the pixels are unlabelled" in text
    assert "  f9.png: Broken.\n  ... and 2 more; --json FILE lists all" in text
    assert "test: not there (optional). Expected it." in text
    assert text.endswith(
        "Incomplete. Expected below the root:\n  a/NAME.png\n  b/NAME.png\nGet it: Ask the"
        " toymaker.\nLicence: Public domain.\nThen run again: primaps check toy --root /data/toy"
    )


@pytest.mark.parametrize(
    "check",
    [
        _check(error="Expected a folder."),
        _check(SplitCheck(Split("val", 1), error="Expected a folder.")),
    ],
)
def test_nothing_usable(check):
    text = as_text(check)
    assert "Expected a folder." in text
    assert "\nNothing usable. Expected below the root:" in text


def test_no_labelled_pixel_and_no_published_size():
    empty = SplitCheck(Split(None), 1, ("class 0",), np.array([0]), 9)
    text = as_text(_check(empty))
    assert (
        "all: 1 images are usable, 100.0% of the pixels are unlabelled\n  no labelled pixel" in text
    )
    assert text.endswith("--root /data/toy")


def test_the_record_holds_everything():
    failure = Failure("f.png", "labels", "Broken.")
    bad = SplitCheck(
        Split("train", 2, needed=False), 1, GOOD.class_names, GOOD.pixels, 20, (failure,)
    )
    record = json.loads(json.dumps(as_record(_check(GOOD, bad))))
    assert (record["dataset"], record["root"], record["complete"], record["usable"]) == (
        "toy",
        "/data/toy",
        False,
        True,
    )
    assert record["error"] is None
    assert record["splits"][0] == {
        "split": "val",
        "needed": True,
        "complete": True,
        "images": 1,
        "published_images": 1,
        "pixels": {"sky": 60, "road": 20, "car": 0},
        "ignored_pixels": 20,
        "ignored_share": 0.2,
        "error": None,
        "failures": [],
    }
    assert record["splits"][1]["failures"] == [
        {"path": "f.png", "stage": "labels", "reason": "Broken."}
    ]
