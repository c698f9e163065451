import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from primaps.pipeline.sampling import evenly


@given(st.integers(0, 3000), st.integers(1, 60))
def test_evenly_spreads_over_the_whole_range(total, limit):
    chosen = evenly(total, limit)
    assert len(chosen) == min(total, limit)
    assert chosen == sorted(set(chosen))
    if total:
        assert chosen[0] == 0
        assert 0 <= chosen[-1] < total
    if len(chosen) > 1:
        steps = np.diff(chosen)
        assert chosen[-1] == total - 1
        assert steps.max() - steps.min() <= 1
