"""Two processes take the same step of EM as one."""

import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_areas_of_the_whole_batch_make_the_weights_of_proposals(pool, jobs, exponent, exact):
    alone = jobs.em_step(None, exponent, exact)
    assert not torch.equal(alone[0], jobs.em_step(None, 1.0, exact)[0])
    for found in pool("em_step", exponent, exact):
        assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_the_steps_of_other_devices_agree_up_to_rounding(pool, jobs):
    alone = jobs.em_step(None, 0.5, True, False)
    one, other = pool("em_step", 0.5, True, False)
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    torch.testing.assert_close(one, alone, rtol=1e-5, atol=1e-6)
