"""Two processes fit the same prototypes as one."""

import pytest
import torch

from primaps.errors import ConfigError

pytestmark = pytest.mark.slow


def assert_same(one, other):
    assert torch.equal(one.teacher, other.teacher)
    assert torch.equal(one.student, other.student)
    assert torch.equal(one.usage, other.usage)
    assert one.losses == other.losses


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("method", ["em", "baseline"])
def test_the_same_prototypes_to_the_last_bit_from_an_odd_split(pool, jobs, method, exact):
    alone = jobs.fit(None, method, 7, exact)  # three images per batch: one and two of them
    both = pool("fit", method, 7, exact)
    for found in both:
        assert_same(found["result"], alone["result"])
    states = both[0]["saved"]
    assert len(states) == len(alone["saved"]) > 3
    for state, expected in zip(states, alone["saved"], strict=True):
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)
    assert both[1]["saved"] == []


def test_every_process_reads_its_own_images_only(pool, jobs):
    alone, both = jobs.fit(None, "baseline", 7), pool("fit", "baseline", 7)
    for found in both:
        assert len(found["read"]) < 0.8 * len(alone["read"])
    together = sum(len(found["read"]) for found in both)
    assert together - len(alone["read"]) == 1  # each of them looks up the number of channels


def test_as_many_processes_as_images(pool, jobs):
    alone = jobs.fit(None, "em", 2)
    for found in pool("fit", "em", 2):
        assert_same(found["result"], alone["result"])


def test_more_processes_than_images_are_refused(pool):
    with pytest.raises(
        ConfigError, match="Expected at most 1 processes, one per image of a batch, but got 2"
    ):
        pool("fit", "em", 1)


@pytest.mark.parametrize(
    "kind", ["proposals", "proposals, few", "proposals, then pixels", "clusters"]
)
def test_the_same_prototypes_from_proposals(pool, jobs, kind):
    # more images than two processes read before they exchange them
    alone = jobs.fit(None, kind, 21)
    both = pool("fit", kind, 21)
    for found in both:
        assert_same(found["result"], alone["result"])
    for state, expected in zip(both[0]["saved"], alone["saved"], strict=True):
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in state)
    if kind == "proposals":
        assert max(len(found["read"]) for found in both) < 0.7 * len(alone["read"])


@pytest.mark.parametrize("method", ["em", "baseline", "proposals", "clusters"])
def test_two_processes_go_on_where_one_stopped(pool, jobs, method):
    alone = jobs.fit(None, method, 7)
    assert alone["saved"]
    for state in alone["saved"][1:-1] or alone["saved"]:
        resumed = pool("fit", method, 7, False, state)
        for found in resumed:
            assert_same(found["result"], alone["result"])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("method", ["em", "baseline"])
def test_the_steps_of_other_devices_agree_up_to_rounding(pool, jobs, method, exact):
    """Images of a group are added as one there, hence in another order."""
    alone = jobs.fit(None, method, 7, exact, None, False)["result"]
    both = [found["result"] for found in pool("fit", method, 7, exact, None, False)]
    assert_same(*both)
    torch.testing.assert_close(both[0].teacher, alone.teacher, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both[0].losses, alone.losses, rtol=1e-5, atol=1e-6)
