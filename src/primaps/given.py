"""Numbers, truth values and paths as callers give them: taken where the meaning is plain, otherwise
refused by their name.
"""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from primaps.errors import ConfigError


def whole_number(name: str, value: object, *, also: str = "") -> int:
    """A whole number of any type, such as NumPy's.

    Args:
        name: Of the argument.
        value: That was given.
        also: What else may be given, for the message.

    Raises:
        ConfigError: If it is none.
    """
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:  # an array of several, or of others
            pass
    raise ConfigError(f"Expected {name} to be a whole number{also}, but got {value!r}.")


def real_number(name: str, value: object) -> float:
    """A number of any type, such as NumPy's or a tensor of one; Python's own stay as they are.

    Raises:
        ConfigError: If it is none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, SupportsFloat) and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):  # an array of several, or of others
            pass
    raise ConfigError(f"Expected {name} to be a number, but got {value!r}.")


def truth(name: str, value: object) -> bool:
    """True or False, NumPy's too.

    Raises:
        ConfigError: If it is neither: "no" would count as true.
    """
    if type(value).__name__ in {"bool", "bool_"}:
        return bool(value)
    raise ConfigError(f"Expected {name} to be True or False, but got {value!r}.")


def given_path(name: str, value: object) -> Path:
    """A path in which ``~`` stands for the user's home folder, unless there is a file of that
    name.

    Raises:
        ConfigError: If it is no path, or an empty text.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        shown = repr(value) if isinstance(value, str | bytes | int) else type(value).__name__
        raise ConfigError(f"Expected {name} to be a path, but got {shown}.")
    return Path(from_home(text))


def from_home(path: str) -> str:
    """The path, with the user's home folder for ``~`` unless there is a file of that name."""
    if not path.startswith("~") or os.path.lexists(path):
        return path
    return os.path.expanduser(path)  # noqa: PTH111 - leaves the name of an unknown user alone
