import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from primaps.proposals.resampling import enlarge_nearest, limited_size, shrink


def test_enlarging_takes_the_cell_of_each_centre():
    labels = torch.tensor([[1, 2], [3, 4]])
    assert enlarge_nearest(labels, 4, 4).tolist() == [
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [3, 3, 4, 4],
        [3, 3, 4, 4],
    ]
    assert torch.equal(enlarge_nearest(enlarge_nearest(labels, 5, 7), 2, 2), labels)


def test_shrinking_keeps_the_aspect():
    pixels = torch.full((100, 200, 3), 9, dtype=torch.uint8)
    small = shrink(pixels, 5000)
    assert small.shape == (50, 100, 3)
    assert torch.equal(small, torch.full((50, 100, 3), 9, dtype=torch.uint8))
    assert shrink(pixels, 20_000) is pixels


def test_limited_size_of_common_photographs():
    assert limited_size((480, 640), 1_000_000) == (480, 640)
    assert limited_size((3000, 4000), 1_000_000) == (866, 1154)
    assert limited_size((1, 5_000_000), 1_000_000) == (1, 1_000_000)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1024, 2_000_000))
def test_limited_size_is_the_largest_of_its_shape_within_the_limit(height, width, limit):
    low, wide = limited_size((height, width), limit)
    assert 1 <= low <= height
    assert 1 <= wide <= width
    assert low * wide <= limit
    if height * width <= limit:
        assert (low, wide) == (height, width)
    else:
        assert (low + 1) * (wide + 1) > limit * 0.999
        assert (
            low == 1 or wide == 1 or abs(np.log(low * width / (wide * height))) < 1 / low + 1 / wide
        )


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1024, 100_000))
def test_limited_size_treats_both_sides_alike(height, width, limit):
    assert limited_size((height, width), limit) == limited_size((width, height), limit)[::-1]
