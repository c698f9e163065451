"""A source of images whose features tell image, view and place apart."""

import pytest
import torch

from primaps.types import View


class Source:
    """Images of 3 x 4 tokens with 5 channels, in two flips and three photometric views; each column
    of tokens is a proposal.
    """

    views = tuple(View(flip, draw) for flip in (False, True) for draw in (None, 0, 1))

    def __init__(self, count):
        self.count, self.loads = count, []

    def __len__(self):
        return self.count

    def features(self, index, view):
        self.loads.append((index, view))
        draw = 0 if view.photometric is None else view.photometric + 1
        generator = torch.Generator().manual_seed(10 * index + draw)
        values = torch.randn(5, 3, 4, generator=generator).half()
        return values.flip(2) if view.flip else values

    def proposals(self, _):
        return torch.arange(1, 5).repeat_interleave(8).expand(24, 32)


@pytest.fixture
def source():
    """Four images."""
    return Source(4)
