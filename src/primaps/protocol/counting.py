"""Sums of tables that several threads count."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class TableSums:
    """Tables of pixel counts, summed over images. Sums of whole numbers do not depend on the order
    in which threads add them.

    Args:
        shapes: Of the tables.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        self.tables: list[NDArray[np.int64]] = [np.zeros(shape, dtype=np.int64) for shape in shapes]
        self.images = 0
        self._lock = threading.Lock()

    def add(self, tables: Sequence[NDArray[np.int64]]) -> None:
        """Add the tables of one image."""
        with self._lock:
            for total, table in zip(self.tables, tables, strict=True):
                np.add(total, table, out=total)
            self.images += 1
