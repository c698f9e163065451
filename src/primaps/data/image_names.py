"""Names of images: unique in a run, the same in every run with the same inputs, safe as relative
output paths.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path


def absolute(path: Path) -> Path:
    """Absolute path without ``..``; links are kept unless ``..`` could lead through one."""
    return path.resolve() if ".." in path.parts else Path(os.path.abspath(path))  # noqa: PTH100  Path.absolute keeps "."


class Namer:
    """Gives every image its name.

    With one root the name is the path relative to it. With several, each root's folder name comes
    first; roots with equal folder names get more of their parents. A root inside another input
    folder belongs to that folder.

    Args:
        roots: Absolute roots of all inputs: input folders, folders of single files, the part of
            patterns before a wildcard.
        folders: Those of them that are input folders, scanned as a whole.
    """

    def __init__(self, roots: Collection[Path], folders: Collection[Path]) -> None:
        self._folders = frozenset(folders)
        self._bases = {root: self._base(root) for root in roots}
        self._labels = _labels(set(self._bases.values()))

    def name(self, root: Path, path: Path) -> str:
        """Name of an image.

        Args:
            root: Absolute root of the input through which it was found, one of ``roots``.
            path: Its absolute path, below ``root``.
        """
        base = self._bases[root]
        return "/".join((*self._labels[base], *path.relative_to(base).parts))

    def _base(self, root: Path) -> Path:
        """Outermost input folder that contains a root, else the root itself."""
        return next((parent for parent in reversed(root.parents) if parent in self._folders), root)


def _labels(roots: Collection[Path]) -> dict[Path, tuple[str, ...]]:
    """Shortest tails of the roots of which none equals, or begins with, another one."""
    if len(roots) == 1:
        return dict.fromkeys(roots, ())
    parts = {root: (root.anchor.strip("/\\:") or "root", *root.parts[1:]) for root in roots}
    depth = dict.fromkeys(roots, 1)
    while True:
        labels = {root: parts[root][-depth[root] :] for root in roots}
        counts = Counter(labels.values())
        clashing = {label for label, count in counts.items() if count > 1}
        for label in counts:
            shorter = {label[:length] for length in range(1, len(label))} & counts.keys()
            clashing |= shorter | ({label} if shorter else set())
        longer = [
            root for root in roots if labels[root] in clashing and depth[root] < len(parts[root])
        ]
        if not longer:
            return labels
        for root in longer:
            depth[root] += 1
