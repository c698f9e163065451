"""Paths: as text that can be printed and written to JSON, and with a home folder in them."""

from __future__ import annotations

import os


def printable(path: str | os.PathLike[str]) -> str:
    r"""A path as valid Unicode: bytes that are no UTF-8 (surrogate escapes of the file system)
    become ``\xNN``.
    """
    return os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_printable(path: str | os.PathLike[str]) -> bool:
    """Whether a path is valid Unicode, so that outputs can be named after it."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
