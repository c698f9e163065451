"""What has to be known of image files before work on them begins: how many pages, values of which
kind, and some of these values. Who looks may be this process or another one.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from numpy.typing import NDArray

from primaps.config import InputConfig
from primaps.data.decoded import frames, stored, value_kind
from primaps.data.decoding import decoding
from primaps.data.paths import printable
from primaps.data.value_ranges import sample
from primaps.data.values import Values
from primaps.types import ImageFile


class Look(Protocol):
    """Looks into image files. Every method raises `ImageError` if a file cannot be read."""

    def pages(self, image: ImageFile) -> int:
        """Number of pages or frames of a file."""

    def kind(self, image: ImageFile) -> str | None:
        """Of which kind its values are; None if they are 8-bit."""

    def values(self, image: ImageFile, kind: str, inputs: InputConfig) -> NDArray[Any] | None:
        """(n,) some values of an image; None if they turn out to be of another kind."""


class LookHere:
    """Looks into image files in this process: one that ends the process ends the command."""

    def pages(self, image: ImageFile) -> int:
        """See `Look`."""
        with decoding(image.path) as stream:
            return frames(stream, printable(image.path))

    def kind(self, image: ImageFile) -> str | None:
        """See `Look`."""
        with decoding(image.path) as stream:
            return value_kind(stream, printable(image.path))

    def values(self, image: ImageFile, kind: str, inputs: InputConfig) -> NDArray[Any] | None:
        """See `Look`."""
        with decoding(image.path) as stream:
            found = stored(stream, printable(image.path), None, inputs, image.page)
        if isinstance(found.content, Values) and found.content.kind == kind:
            return sample(found.content)
        return None


HERE: Final[Look] = LookHere()
"""Looks in this process."""
