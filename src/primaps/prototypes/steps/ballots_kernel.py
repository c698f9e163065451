"""How many pixels of each proposal of an image have which class as their best one, as a compiled
loop on the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import item, lane_of, largest
from primaps.prototypes.pixels import pixel_grid, size_of
from primaps.prototypes.steps.interpolation_kernel import between, interpolate_row
from primaps.prototypes.steps.layout_kernel import (
    LANES,
    Floats,
    Ids,
    Integers,
    Lanes,
    Taps,
    Tokens,
    ids_array,
)


def ballots(token_logits: Tensor, proposals: Tensor, stride: int = 1) -> Tensor:
    """How many pixels of each proposal have which class as their best one.

    Args:
        token_logits: (K, h, w) float32 on the CPU.
        proposals: (H, W) integer proposal ids 0..M.
        stride: Pixel stride of the grid that votes.

    Returns:
        (M + 1, K) int64; the smallest class id wins ties of logits.
    """
    tokens = Tokens(token_logits, size_of(proposals), stride)
    ids = ids_array(
        proposals[pixel_grid(proposals.shape[0], stride), pixel_grid(proposals.shape[1], stride)]
    )
    counts = np.zeros((int(proposals.max()) + 1, len(token_logits)), np.int64)
    _count_ballots(
        counts,
        tokens.values,
        tokens.layout,
        ids,
        tokens.vertical,
        tokens.horizontal,
        LANES,
        (0,) * ids.itemsize,
    )
    return torch.from_numpy(counts)


@compiled
def _count_ballots(
    counts: Integers,
    tokens: Floats,
    layout: tuple[int, int],
    ids: Ids,
    vertical: Taps,
    horizontal: Taps,
    lanes: Lanes,
    kind: Lanes,  # noqa: ARG001
) -> None:
    """Add one to ``counts[id, best class]`` for every pixel."""
    (top, bottom, down), (left, right, across), (columns, width) = vertical, horizontal, layout
    row, winners = np.empty(columns * width, np.float32), np.empty(tokens.size // width, np.int64)
    for token in range(winners.size):
        winners[token] = _best_class(
            tokens, token * width, token * width, np.float32(0.0), width, lanes
        )
    for y in range(len(top)):
        above, below = top[y] * columns, bottom[y] * columns
        interpolate_row(row, tokens, above * width, below * width, down[y], lanes)
        for x in range(len(left)):
            start, end = item(left, x), item(right, x)
            winner = item(winners, above + start)
            # The best class of all four tokens is that of every pixel between them.
            if (
                winner != item(winners, above + end)
                or winner != item(winners, below + start)
                or winner != item(winners, below + end)
            ):
                winner = _best_class(row, start * width, end * width, item(across, x), width, lanes)
            if not 0 <= ids[y, x] < len(counts):
                raise ValueError("a proposal id is negative")
            counts[ids[y, x], winner] += 1


@inlined
def _best_class(
    values: Floats, start: int, end: int, weight: np.float32, width: int, lanes: Lanes
) -> int:
    """Class with the largest interpolated logit, the first one on ties."""
    best, winner = np.float32(-np.inf), 0
    for label in range(0, width, len(lanes)):
        numbers = between(values, start + label, end + label, weight, lanes)
        highest = largest(numbers)
        if highest > best:
            best, winner = highest, label + lane_of(numbers, highest)
    return winner
