"""From a class map that was mended elsewhere to what single proposals are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.naming.corrections import UNLABELLED

MIN_SHARE: Final = 0.5
"""Share of a proposal's pixels that the mended map has to give to one class."""
MIN_AGREEMENT: Final = 0.8
"""Share of a proposal's changed pixels that have to go to this class."""


@dataclass(frozen=True)
class Mended:
    """What a mended map says.

    Attributes:
        classes: Class by id of a proposal, for those that became something else.
        changed: Number of pixels that were mended.
        left: Those of them that no proposal carries.
        beyond: Pixels that were not mended and change all the same, for a proposal is of one class.
    """

    classes: dict[int, int]
    changed: int
    left: int
    beyond: int


def mended_proposals(
    present: NDArray[np.uint8],
    shown: NDArray[np.uint8],
    mended: NDArray[np.uint8],
    proposals: NDArray[np.integer[Any]],
) -> Mended:
    """Find the proposals that stand for what was mended.

    A proposal does if the mended map gives at least half of its pixels to one class, four fifths of
    those that changed in it went to this class, and painting it puts more pixels right than wrong.

    Args:
        present: (H, W) class ids as they are, 255 = unlabelled.
        shown: (H, W) the same as the other program got them: what was small or uncertain may be
            unlabelled there.
        mended: (H, W) class ids as they came back.
        proposals: (H, W) ids of proposals, 0 = unassigned.
    """
    changed = mended != shown
    unknown = (shown != present) & ~changed  # left out, and nobody said anything of it
    classes: dict[int, int] = {}
    painted = present.copy()
    # the largest id decides the size of the counts: those of proposals that changed, in a row
    touched = np.unique(proposals[changed])
    touched = touched[touched != 0]
    if len(touched):
        rows = np.zeros(int(proposals.max()) + 1, dtype=np.int64)
        rows[touched] = np.arange(1, len(touched) + 1)
        row = rows[proposals]
        seen = (row > 0) & ~unknown
        after = _counts(row[seen], mended[seen], len(touched))
        went = _counts(row[seen & changed], mended[seen & changed], len(touched))
        stay = after - went
        best = went.argmax(axis=1)
        each = np.arange(len(touched))
        right, wrong = went[each, best], stay.sum(axis=1) - stay[each, best]
        carried = (
            (after[each, best] >= MIN_SHARE * after.sum(axis=1))
            & (right >= MIN_AGREEMENT * went.sum(axis=1))
            & (right > wrong)
        )
        classes = {
            int(touched[index]): int(best[index]) for index in np.flatnonzero(carried).tolist()
        }
        to = np.full(len(touched) + 1, -1, dtype=np.int64)
        to[1:][carried] = best[carried]
        said = to[row]
        painted[said >= 0] = said[said >= 0]
    left = changed & (painted != mended)
    beyond = ~changed & ~unknown & (painted != mended)
    return Mended(classes, *(int(np.count_nonzero(pixels)) for pixels in (changed, left, beyond)))


def _counts(rows: NDArray[np.int64], classes: NDArray[np.uint8], number: int) -> NDArray[np.int64]:
    """(number, 256) pixels by row, from 1 on, and class."""
    flat = (rows - 1) * (UNLABELLED + 1) + classes
    counts = np.bincount(flat, minlength=number * (UNLABELLED + 1))
    return counts.reshape(number, UNLABELLED + 1)
