"""From the label ids that files store to class ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from primaps.types import IGNORE_INDEX

_UNKNOWN = -1


class LabelEncoding:
    """Which class each stored label id stands for. IGNORE_INDEX (255) is always "unlabelled".

    Args:
        classes: Class id by stored id.
        ignored: Further stored ids that mean "unlabelled".

    Examples:
        >>> encoding = LabelEncoding({7: 0, 8: 1}, ignored=[0])
        >>> encoding.decode(np.array([[0, 7], [8, 255]])).tolist()
        [[255, 0], [1, 255]]
        >>> encoding.known
        '0, 7..8, 255'
    """

    def __init__(self, classes: Mapping[int, int], ignored: Iterable[int] = ()) -> None:
        meaning = {**dict.fromkeys((*ignored, IGNORE_INDEX), IGNORE_INDEX), **classes}
        self._ids = sorted(meaning)
        # One entry more at either end stands for everything beyond.
        self._first = self._ids[0] - 1
        self._table = np.full(self._ids[-1] - self._first + 2, _UNKNOWN, dtype=np.int64)
        for stored, label in meaning.items():
            self._table[stored - self._first] = label

    @property
    def known(self) -> str:
        """The stored ids that have a meaning, as text: ranges with two dots."""
        runs: list[list[int]] = []
        for stored in self._ids:
            if runs and stored == runs[-1][-1] + 1:
                runs[-1].append(stored)
            else:
                runs.append([stored])
        return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)

    def decode(self, stored: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class ids of stored label ids.

        Args:
            stored: Label ids of any shape.

        Returns:
            int64 class ids of the same shape, IGNORE_INDEX where unlabelled.

        Raises:
            ValueError: If an id has no meaning; its only argument is the sorted list of such ids.
        """
        classes: NDArray[np.int64] = self._table[
            np.clip(stored - self._first, 0, len(self._table) - 1)
        ]
        unknown = classes == _UNKNOWN
        if unknown.any():
            raise ValueError(np.unique(stored[unknown]).tolist())
        return classes


def identity(num_classes: int) -> LabelEncoding:
    """The encoding of files that store class ids 0..num_classes - 1."""
    return LabelEncoding({label: label for label in range(num_classes)})
