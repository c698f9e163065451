"""What is asked again and again of a map of proposals, kept as long as its file stays the same.

A studio asks after every click what corrections mean and how many pixels each class has; to read
the maps anew each time would take seconds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ImageError
from primaps.naming.regions import map_checksum
from primaps.outputs.label_files import read_label_image

_KEPT: Final = 10_000
"""Images; a count takes some ten kilobytes each."""


@dataclass(frozen=True)
class ProposalFacts:
    """One map of proposals.

    Attributes:
        checksum: See `primaps.naming.regions.map_checksum`.
        present: Ids of the proposals that have pixels.
    """

    checksum: str
    present: frozenset[int]


def proposal_facts(path: Path) -> ProposalFacts:
    """Facts of a map of proposals.

    Raises:
        ImageError: If it cannot be read.
    """
    return _facts(path, _stamp(path))


def cluster_pixels(proposals: Path, labels: Path) -> NDArray[np.int64]:
    """(proposals + 1, 256) number of pixels of every proposal, 0 = unassigned, and cluster.

    Args:
        proposals: The file of the proposals.
        labels: That of the label map.

    Raises:
        ImageError: If one cannot be read.
    """
    rows, columns, counts, height = _pairs(proposals, _stamp(proposals), labels, _stamp(labels))
    found = np.zeros((height, 256), dtype=np.int64)
    found[rows, columns] = counts
    return found


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when a file does: each write makes a new one."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"Expected {path} to be a label image, but got: {error}.") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=_KEPT)
def _facts(path: Path, _: tuple[int, ...]) -> ProposalFacts:
    ids = read_label_image(path)
    present = np.bincount(ids.ravel()).nonzero()[0].tolist()
    return ProposalFacts(map_checksum(ids), frozenset(present) - {0})


@functools.lru_cache(maxsize=_KEPT)
def _pairs(
    proposals: Path, _: tuple[int, ...], labels: Path, __: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Proposals, clusters and pixels of all pairs that occur, and the number of proposals + 1."""
    clusters, ids = read_label_image(labels), read_label_image(proposals)
    counts = np.bincount((ids.astype(np.int64) * 256 + clusters).ravel())
    found = counts.nonzero()[0]
    return found // 256, found % 256, counts[found], int(ids.max()) + 1
