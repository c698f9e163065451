"""Logits, proposals and shapes for the loops over pixels."""

import pytest
import torch

SHAPES = [
    (2, (1, 1), (3, 4)),
    (5, (7, 9), (56, 72)),
    (8, (3, 1), (24, 200)),
    (11, (6, 5), (31, 67)),
    (27, (9, 8), (72, 64)),
    (40, (4, 6), (4, 6)),
    (6, (9, 8), (4, 5)),
    (254, (3, 5), (20, 12)),
]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    """Number of classes, (h, w) in tokens and (H, W) in pixels."""
    return request.param


@pytest.fixture(scope="session")
def random():
    """Draws a normal tensor of some shape."""

    def draw(*shape, seed=0):
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return draw


@pytest.fixture(scope="session")
def regions():
    """Draws ids of a number of proposals, in blocks of five pixels."""

    def draw(size, ids, seed=0):
        generator = torch.Generator().manual_seed(seed)
        blocks = torch.randint(ids, (-(-size[0] // 5), -(-size[1] // 5)), generator=generator)
        wide = blocks.repeat_interleave(5, 0).repeat_interleave(5, 1)
        return wide[: size[0], : size[1]].contiguous()

    return draw
