"""What requests say."""

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.studio.answering import Refused
from primaps.studio.asking import fields, fraction, shown, whole


def test_whole_numbers_are_whole_and_in_range():
    assert [whole(value, "seed", 0, 5) for value in (0, 5)] == [0, 5]
    for value in (-1, 6, 1.0, True, "1", None, [], 10**400):
        with pytest.raises(Refused, match="Expected seed from 0 to 5, but got"):
            whole(value, "seed", 0, 5)


def test_fractions_are_between_0_and_1():
    assert [fraction(value, "share") for value in (0, 0.5, 1)] == [0.0, 0.5, 1.0]
    for value in (-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None, 10**400):
        with pytest.raises(Refused, match="Expected share from 0 to 1, but got"):
            fraction(value, "share")


def test_objects_are_objects():
    assert fields({"a": 1}, "options") == {"a": 1}
    for value in ([], None, "x", 1):
        with pytest.raises(Refused, match="Expected options as a JSON object, but got"):
            fields(value, "options")


def test_what_came_is_shown_short_and_readable():
    assert shown("a\nb\0") == r"'a\nb\x00'"
    assert shown("\ud800") == r"'\ud800'"
    assert len(shown("x" * 10_000)) <= 80
    assert [shown(each) for each in (None, [1], {}, 7, 1.5, True)] == [
        "NoneType",
        "list",
        "dict",
        "7",
        "1.5",
        "True",
    ]
    assert shown(10**5000) == "a number"
