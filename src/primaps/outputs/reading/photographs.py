"""Which photograph a program means by the name that it has for it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath


class PhotographNames:
    """The photographs of a folder, to be found by what other programs call them.

    Args:
        stems: By name, a relative path with forward slashes: the stem that the photograph has in
            formats that pair files by their stems.
    """

    def __init__(self, stems: Mapping[str, str]) -> None:
        self._names = {name: name for name in stems}
        self._stems = {stem: name for name, stem in stems.items()}
        self._by_file: dict[str, list[str]] = defaultdict(list)
        for name, stem in stems.items():
            self._by_file[PurePosixPath(name).name].append(name)
            self._names.setdefault(stem + PurePosixPath(name).suffix, name)

    def find(self, given: str, *, is_stem: bool = False) -> str | None:
        """The name of a photograph; None if there is none, or more than one could be meant.

        Programs put folders before names or take them away; Label Studio keeps an uploaded file
        under its bare name with a number in front.

        Args:
            given: What the program calls it.
            is_stem: That is a name without its extension, or with one of a label image behind it.
        """
        if given in self._names:
            return self._names[given]
        if is_stem:
            return self._stems.get(given)
        path = given.replace("\\", "/").lstrip("/")
        uploaded = re.fullmatch(r".*upload/\d+/[0-9a-f]{8}-([^/]+)", path)
        return self._ending(path if uploaded is None else uploaded[1])

    def _ending(self, path: str) -> str | None:
        """The only name that the path ends with, the longest if they end with each other, or else
        the only one that ends with the path.
        """
        candidates = self._by_file.get(PurePosixPath(path).name, [])
        within = [each for each in candidates if f"/{path}".endswith(f"/{each}")]
        if within:
            return max(within, key=len)
        around = [each for each in candidates if each.endswith(f"/{path}")]
        return around[0] if len(around) == 1 else None
