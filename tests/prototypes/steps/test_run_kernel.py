"""Runs of pixels between two tokens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.prototypes.steps.layout_kernel import taps
from primaps.prototypes.steps.run_kernel import runs_of


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(1, 300), st.integers(1, 4))
def test_runs_cover_an_axis_once_and_evenly(tokens, pixels, stride):
    starts, counts, steps = runs_of(tokens, pixels, stride)
    lower, upper, weight = taps(tokens, pixels, stride)
    covered = [
        (run, start + index) for run, start in enumerate(starts) for index in range(counts[run])
    ]
    assert [pixel for _, pixel in covered] == list(range(len(weight)))
    assert counts.max() <= 8
    for run, pixel in covered:
        first = starts[run]
        assert (lower[pixel], upper[pixel]) == (lower[first], upper[first])
        if lower[pixel] != upper[pixel]:
            assert weight[pixel] == pytest.approx(
                weight[first] + (pixel - first) * steps[run], abs=3e-5
            )
