"""What the parts of a fit do with its arguments."""

import pytest
import torch

from primaps.config import FitConfig
from primaps.prototypes.loop.state import Phase
from primaps.prototypes.loop.task import Draw, Task
from primaps.prototypes.steps.compiled import CompiledSums


def test_epochs_see_every_image_once_and_drop_the_rest():
    task = Task(range(8), 4, FitConfig(batch_size=3), 0)
    first = [task.batch(Phase.EM, step) for step in (0, 1)]
    assert [len(batch) for batch in first] == [3, 3]
    assert len({index for batch in first for index in batch}) == 6
    assert first != [task.batch(Phase.EM, step) for step in (2, 3)]
    few = Task(range(2), 4, FitConfig(batch_size=3), 0)
    assert sorted(few.batch(Phase.EM, 5)) == [0, 1]


def test_what_is_drawn_depends_on_seed_phase_purpose_and_number_alone():
    def drawn(seed, *key):
        return int(Task((), 4, FitConfig(), seed).generator(*key).initial_seed())

    keys = [(phase, draw, number) for phase in Phase for draw in Draw for number in (0, 1)]
    seeds = [drawn(seed, *key) for seed in (0, 1) for key in keys]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [drawn(seed, *key) for seed in (0, 1) for key in keys]


@pytest.mark.parametrize(("wanted", "factor"), [(None, 1.0), (3.0, 0.75)])
def test_features_are_scaled_to_the_norm_that_is_wanted(wanted, factor):
    assert Task((), 4, FitConfig(feature_norm=wanted), 0).feature_scale(4.0) == factor


def test_work_is_summed_on_the_device():
    task = Task((), 4, FitConfig(), 0)
    assert task.device == torch.device("cpu")
    assert isinstance(task.sums, CompiledSums)
    assert task.sums.workers is task.workers
