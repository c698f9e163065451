"""What is published about a data set: its splits, its layout, where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from primaps.data.paths import printable
from primaps.errors import DatasetError


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        name: "train", "val", ...; None for a folder without splits.
        images: Published number of images; None if there is none (your own data).
        needed: Whether the data set is incomplete without it.
        list_file: The published list of its images, relative to the root; None if the files
            themselves are the list.
        list_md5: MD5 of that list with one name and one line feed per line; None if it is not
            known.
        aliases: Other names of the same images.
    """

    name: str | None
    images: int | None = None
    needed: bool = True
    list_file: str | None = None
    list_md5: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name to print."""
        return self.name or "all"


@dataclass(frozen=True)
class About:
    """What `primaps check`, `primaps list` and tables say about a data set.

    Attributes:
        title: Its name and number of classes.
        splits: Its splits; empty where only the files tell.
        layout: The files that are expected below the root, one pattern per line.
        source: Where to get it, and what to do with the archives.
        licence: Where its terms stand.
        discover: Finds the splits below a root, where ``splits`` is empty.
        short: Its name in tables; empty = the name for ``--dataset``.
    """

    title: str
    splits: tuple[Split, ...]
    layout: str
    source: str
    licence: str
    discover: Callable[[Path], tuple[Split, ...]] | None = None
    short: str = ""

    def split(self, name: str | None, root: Path) -> Split:
        """The split with a name.

        Args:
            name: Name as the user gave it.
            root: Folder of the data set, for the message.

        Raises:
            DatasetError: If the data set has no such split.
        """
        for split in self.splits:
            if name is not None and name in {split.name, *split.aliases}:
                return split
        got = "no split was given" if name is None else f"there is no split {name!r}"
        names = ", ".join(split.title for split in self.splits)
        raise DatasetError(
            f"Expected a split of {self.title} in {printable(root)}, but {got}. It has the splits"
            f" {names}. Check root and split."
        )
