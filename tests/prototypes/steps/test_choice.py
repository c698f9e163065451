"""Who computes the sums where."""

import pytest
import torch

from primaps.compute.cores import Workers
from primaps.prototypes.steps import choice
from primaps.prototypes.steps.choice import sums_on
from primaps.prototypes.steps.compiled import CompiledSums
from primaps.prototypes.steps.plain import PlainSums


@pytest.mark.parametrize(
    ("device", "kind"), [("cpu", CompiledSums), ("cuda", PlainSums), ("mps", PlainSums)]
)
def test_loops_on_the_cpu_and_torch_elsewhere(device, kind):
    workers = Workers()
    found = sums_on(torch.device(device), workers)
    assert type(found) is kind
    assert found.workers is workers


def test_torch_where_it_is_asked_for():
    with choice.PATHS.plain_only():
        assert type(sums_on(torch.device("cpu"))) is PlainSums
    assert type(sums_on(torch.device("cpu"))) is CompiledSums
