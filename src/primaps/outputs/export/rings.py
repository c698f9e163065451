"""Outlines of regions: rings along the edges of pixels, exact, with the holes.

Corners of pixels are whole numbers: the pixel in row 0 and column 0 reaches from (0, 0) to (1, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.export.regions import Region

INSET: Final = 0.01
"""Pixels by which an outline for painters of whole pixels stays inside its edges."""


@dataclass(frozen=True)
class Rings:
    """The outlines of one region. A ring may touch itself in a corner, but crosses nothing.

    Every ring is an (n, 4) int64 array, not closed, of horizontal and vertical edges in turn: x and
    y of a corner, then column and row of the pixel of the region at this corner.

    Attributes:
        outer: The outline.
        holes: Those of the holes, by their left edges.
    """

    outer: NDArray[np.int64]
    holes: tuple[NDArray[np.int64], ...]


def region_rings(region: Region) -> Rings:
    """The outlines of a region, in the coordinates of its image.

    Args:
        region: Connected by edges.
    """
    outer: list[NDArray[np.int64]] = []
    holes: list[NDArray[np.int64]] = []
    for ring in _traced(_corners(region.mask)):
        (outer if _turns_around(ring) else holes).append(
            ring + np.array([region.left, region.top, region.left, region.top])
        )
    holes.sort(key=lambda ring: (int(ring[:, 0].min()), int(ring[:, 1].min())))
    return Rings(outer[0], tuple(holes))


def simple_rings(rings: Rings) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The same outlines as simple features want them: where a ring touches itself it becomes two,
    that touch each other.

    Returns:
        The outline and those of the holes, each (n, 2) int64 x and y, not closed.
    """
    outer: list[NDArray[np.int64]] = []
    holes: list[NDArray[np.int64]] = []
    for ring in (rings.outer, *rings.holes):
        for piece in _split(ring):
            (outer if _turns_around(piece) else holes).append(piece[:, :2])
    return outer[0], holes


def cut_polygon(rings: Rings, inset: float = 0.0) -> NDArray[np.float64]:
    """One polygon for readers that know no holes: seams without width lead to the holes and back.

    Args:
        rings: The outlines of a region.
        inset: Pixels by which the outline stays inside the edges. With `INSET`, a painter that cuts
            off decimals and paints the outline as well (OpenCV's ``fillPoly``, Pillow's
            ``polygon``) paints the pixels of the region and no others, even after rounding.

    Returns:
        (n, 2) float64 x and y, not closed.
    """
    polygon = _placed(rings.outer, inset)
    for hole in rings.holes:
        polygon = _with_seam(polygon, hole, inset)
    return polygon


def _placed(ring: NDArray[np.int64], inset: float) -> NDArray[np.float64]:
    """(n, 2) float64 corners, moved into their pixels."""
    corners, pixels = ring[:, :2], ring[:, 2:]
    placed: NDArray[np.float64] = corners + inset * np.where(pixels < corners, -1.0, 1.0)
    return placed


def _with_seam(
    polygon: NDArray[np.float64], hole: NDArray[np.int64], inset: float
) -> NDArray[np.float64]:
    """The polygon with a hole that lies in it, joined along the middle of a row of pixels.

    The row begins at the upper end of the hole's leftmost edge, and is followed to the left as far
    as it belongs to the region. What lies there was joined before, for holes come by their left
    edges.
    """
    following = np.roll(hole, -1, axis=0)
    upper = np.minimum(hole[:, 1], following[:, 1])
    vertical = np.flatnonzero(hole[:, 0] == following[:, 0])
    edge = int(vertical[np.lexsort((upper[vertical], hole[vertical, 0]))[0]])
    placed = np.roll(_placed(hole, inset), -edge - 1, axis=0)
    x, y = placed[-1, 0], upper[edge] + 0.5

    after = np.roll(polygon, -1, axis=0)
    low, high = np.minimum(polygon[:, 1], after[:, 1]), np.maximum(polygon[:, 1], after[:, 1])
    facing = (polygon[:, 0] == after[:, 0]) & (polygon[:, 0] < x) & (low < y) & (y < high)
    places = np.flatnonzero(facing)
    at = int(places[np.argmax(polygon[places, 0])])
    there, here = np.array([[polygon[at, 0], y]]), np.array([[x, y]])
    return np.concatenate([polygon[: at + 1], there, here, placed, here, there, polygon[at + 1 :]])


def _corners(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """All corners of the outlines of a mask.

    Where two pixels of the mask meet at a corner only, there are two corners, one of each pixel.

    Returns:
        (n, 6) int64: x, y, column and row of the pixel, and two flags that order corners at one
        place: 1 for the one whose horizontal edge is the right one, 1 for the one whose vertical
        edge is the lower one.
    """
    framed = np.pad(mask, 1)
    around = {
        (-1, -1): framed[:-1, :-1],
        (0, -1): framed[:-1, 1:],
        (-1, 0): framed[1:, :-1],
        (0, 0): framed[1:, 1:],
    }
    found = []
    for (column, row), own in around.items():
        beside, above = around[-1 - column, row], around[column, -1 - row]
        opposite = around[-1 - column, -1 - row]
        # the only pixel of the three, or the one across from the only pixel that is missing
        convex = own & ~beside & ~above
        concave = own & beside & above & ~opposite
        for corner, right, low in ((convex, column + 1, row + 1), (concave, -column, -row)):
            y, x = np.nonzero(corner)
            flags = np.broadcast_to([[right, low]], (len(x), 2))
            found.append(np.column_stack([x, y, x + column, y + row, flags]))
    return np.concatenate(found).astype(np.int64)


def _traced(corners: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rings of corners, (n, 4) each, starting with a horizontal edge.

    On every line the edges lie between the first and second corner, the third and fourth, ...
    """
    x, y, _, _, right, low = corners.T
    beside, above = np.empty(len(corners), np.intp), np.empty(len(corners), np.intp)
    for partner, order in ((beside, np.lexsort((right, x, y))), (above, np.lexsort((low, y, x)))):
        partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    step, jump = beside.tolist(), above.tolist()
    seen = [False] * len(corners)
    rings = []
    for first in range(len(corners)):
        if seen[first]:
            continue
        ring, corner = [], first
        while not seen[corner]:
            partner_of = step[corner]
            seen[corner] = seen[partner_of] = True
            ring += [corner, partner_of]
            corner = jump[partner_of]
        rings.append(corners[ring, :4])
    return rings


def _split(ring: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rings that pass no corner twice."""
    pieces: list[NDArray[np.int64]] = []
    path: list[int] = []
    place: dict[tuple[int, int], int] = {}
    for index, (x, y) in enumerate(ring[:, :2].tolist()):
        if (x, y) in place:
            start = place[x, y]
            pieces.append(ring[path[start:]])
            for gone in path[start:]:
                del place[ring[gone, 0], ring[gone, 1]]
            path = path[:start]
        place[x, y] = len(path)
        path.append(index)
    return [*pieces, ring[path]]


def _turns_around(ring: NDArray[np.int64]) -> bool:
    """Whether a ring is an outline; otherwise it is that of a hole.

    Right of and below the leftmost of its uppermost corners lies the region, or the hole.
    """
    x, y, column, row = ring[np.lexsort((ring[:, 0], ring[:, 1]))[0]]
    return bool(column == x and row == y)
