"""Lists of image names, one per line, that come with a data set and define its splits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from primaps.data.paths import printable
from primaps.errors import DatasetError

_NAME = re.compile(r"[\w-]+")


def read_list(path: Path, remedy: str) -> tuple[str, ...]:
    """Names of images without folder and extension, in the order of the list.

    Args:
        path: UTF-8 text with one name per line; empty lines are passed over.
        remedy: What to do if the list is not there.

    Raises:
        DatasetError: If the list is missing, empty or no text, repeats a name, or a line is no
            plain name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DatasetError(
            f"Expected a list of images at {printable(path)}, but there is none. {remedy}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"Expected a list of images as UTF-8 text in {printable(path)}, but got: {error}. Copy"
            " it again from its source."
        ) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise DatasetError(
            f"Expected names of images in {printable(path)}, one per line, but it is empty. Copy it"
            " again from its source."
        )
    odd = [name for name in names if not _NAME.fullmatch(name)] or [
        name for name, count in Counter(names).items() if count > 1
    ]
    if odd:
        raise DatasetError(
            f"Expected different plain names without folder and extension in {printable(path)}, one"
            " per line, but got"
            f" {odd[0]!r}{'' if _NAME.fullmatch(odd[0]) is None else ' more than once'}. Copy it"
            " again from its source."
        )
    return names


def list_text(names: Sequence[str]) -> str:
    """A list in the form in which it is published: one name and one line feed per line."""
    return "".join(f"{name}\n" for name in names)


def list_md5(names: Sequence[str]) -> str:
    """MD5 of a list in its published form, to tell lists apart (nothing depends on it for
    safety).
    """
    return hashlib.md5(list_text(names).encode("utf-8"), usedforsecurity=False).hexdigest()
