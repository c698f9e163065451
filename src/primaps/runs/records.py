"""Whether a record that was read from JSON has values as its readers expect them.

Files are damaged, cut off and edited by hand. What a record says is looked at once, where it is
read, so that nobody after that has to expect anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from primaps.errors import CheckpointError

Check = Callable[[Any], bool]
"""Whether a value is as expected."""

_LARGEST: Final = 2**53
"""Whole numbers beyond are not exact in other readers of JSON, and none of ours."""


def check_record(
    record: Any,
    expected: Mapping[str, Check],
    path: Path,
    advice: str,
    needed: tuple[str, ...] = (),
) -> None:
    """Make sure that a record can be used.

    Args:
        record: From JSON.
        expected: What is looked at, by key; others are left alone.
        path: Of its file, for the message.
        advice: What to do, as sentences.
        needed: Keys that have to be there.

    Raises:
        CheckpointError: If it is no object, a key is missing, or a value is another than expected.
    """
    if not isinstance(record, dict):
        raise CheckpointError(f"Expected {path} to hold an object, but got {record!r}. {advice}")
    for key in needed:
        if key not in record:
            raise CheckpointError(
                f"Expected {path} to be complete, but {key!r} is missing. {advice}"
            )
    for key, check in expected.items():
        if key in record and not check(record[key]):
            raise CheckpointError(
                f"Expected {path} to give a usable {key!r}, but got {repr(record[key])[:80]}."
                f" {advice}"
            )


def is_text(value: Any) -> bool:
    """Text that can be printed and be part of a path."""
    return isinstance(value, str) and "\0" not in value and len(value) < 1 << 16


def is_number(value: Any) -> bool:
    """A finite number."""
    return isinstance(value, int | float) and type(value) is not bool and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_whole(value: Any) -> bool:
    """A whole number of usual size."""
    return type(value) is int and abs(value) < _LARGEST


def is_count(value: Any) -> bool:
    """A whole number from 0 on."""
    return is_whole(value) and bool(value >= 0)


def is_truth(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_mapping(value: Any) -> bool:
    """An object, whatever is in it."""
    return isinstance(value, dict)


def maybe(check: Check) -> Check:
    """Null, or what is expected."""
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    """A list of what is expected."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def tuple_of(*checks: Check) -> Check:
    """A list of so many values."""

    def is_it(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == len(checks)
            and all(check(part) for check, part in zip(checks, value, strict=True))
        )

    return is_it


def values_of(check: Check) -> Check:
    """An object whose values are as expected."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def with_keys(expected: Mapping[str, Check], needed: tuple[str, ...] = ()) -> Check:
    """An object in which keys, if they are there, have values as expected."""

    def is_it(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(key in value for key in needed)
            and all(check(value[key]) for key, check in expected.items() if key in value)
        )

    return is_it
