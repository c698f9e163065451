import pytest
import torch
from torch import nn

from primaps.errors import CheckpointError, DatasetError
from primaps.heads.training import Draw, HeadTask, batch_of, generator, seeded, train_head


class Line(HeadTask):
    """Fits a line with dropout, so that every step draws random numbers."""

    def __init__(self, width=3):
        with seeded(0, Draw.START, 0, torch.device("cpu")):
            self.line, self.other = nn.Linear(width, 1), nn.Linear(1, 1)
        self.modules = nn.ModuleDict({"line": self.line, "other": self.other})
        self.optimisers = {
            "line": torch.optim.AdamW(self.line.parameters(), lr=0.05),
            "other": torch.optim.Adam(self.other.parameters(), lr=0.01),
        }

    def losses(self, step):
        x = torch.rand(8, self.line.in_features)
        found = self.line(nn.functional.dropout(x, 0.2))
        return {
            "fit": (found - x.sum(1, keepdim=True)).square().mean(),
            "other": self.other(x[:, :1]).square().mean(),
        }


def weights(task):
    return {name: value.clone() for name, value in task.modules.state_dict().items()}


def test_losses_fall_and_terms_are_recorded():
    task, told = Line(), []
    history = train_head(task, 150, seed=1, progress=told.append)
    assert sum(history["fit"][-20:]) < 0.5 * sum(history["fit"][:20])
    assert len(history["fit"]) == len(history["other"]) == 150
    assert told == list(range(151))
    assert not task.line.training


def test_resumed_from_any_checkpoint_it_ends_with_the_same_bytes(memory_checkpoint):
    undisturbed, kept = Line(), memory_checkpoint()
    history = train_head(undisturbed, 20, seed=1, checkpoint=kept, checkpoint_every=6)
    assert [int(state["step"]) for state in kept.saved] == [6, 12, 18]
    for state in kept.saved:
        resumed, told = Line(), []
        again = train_head(
            resumed,
            20,
            seed=1,
            checkpoint=memory_checkpoint(state),
            checkpoint_every=6,
            progress=told.append,
        )
        assert told[0] == int(state["step"])
        assert again == history
        for name, value in weights(resumed).items():
            assert torch.equal(value, weights(undisturbed)[name]), name


def test_another_seed_gives_another_result():
    results = []
    for seed in (0, 0, 1):
        task = Line()
        train_head(task, 3, seed=seed)
        results.append(weights(task)["line.weight"])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_head(Line(), 2, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_gradients_are_clipped_where_asked():
    norms = {}

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [
                parameter.grad for group in self.param_groups for parameter in group["params"]
            ]
            norms.setdefault(id(self), []).append(
                float(torch.cat([g.flatten() for g in gradients]).norm())
            )

    task = Line()
    task.optimisers = {
        name: Watched(task.modules[name].parameters(), lr=0.1) for name in ("line", "other")
    }
    train_head(task, 1, seed=0)
    task.gradient_limits = {"line": 0.01}
    train_head(task, 1, seed=0)
    before, after = norms[id(task.optimisers["line"])]
    assert before > 0.1
    assert after == pytest.approx(0.01, rel=1e-3)
    assert norms[id(task.optimisers["other"])][0] == norms[id(task.optimisers["other"])][1]


def test_a_checkpoint_of_another_head_is_refused(memory_checkpoint):
    kept = memory_checkpoint()
    train_head(Line(), 3, seed=0, checkpoint=kept, checkpoint_every=2)
    for state in (
        {**kept.saved[0], "module.line.weight": torch.zeros(1, 5)},
        {"step": torch.tensor(1)},
    ):
        with pytest.raises(CheckpointError, match="one of this head"):
            train_head(Line(), 3, seed=0, checkpoint=memory_checkpoint(state))


def test_a_loss_that_is_not_finite_is_an_error():
    task = Line()
    task.losses = lambda step: {"fit": task.line.weight.sum() * float("nan")}
    with pytest.raises(DatasetError, match="'fit' is nan at step 0"):
        train_head(task, 1, seed=0)


def test_epochs_show_everything_once():
    for count, batch_size, smallest, expected in (
        (10, 4, 2, [4, 4, 2]),
        (10, 4, 4, [4, 4]),
        (9, 4, 2, [4, 4]),
        (3, 8, 8, [3]),
    ):
        first = [
            batch_of(step, count, batch_size, smallest, seed=0) for step in range(len(expected))
        ]
        assert [len(batch) for batch in first] == expected
        assert len({index for batch in first for index in batch}) == sum(expected)
        assert len(batch_of(len(expected), count, batch_size, smallest, seed=0)) == expected[0]
    assert batch_of(0, 50, 50, 1, seed=0) != batch_of(1, 50, 50, 1, seed=0)
    assert batch_of(0, 50, 50, 1, seed=0) != batch_of(0, 50, 50, 1, seed=1)


def test_draws_differ_by_purpose_and_number():
    values = [
        float(torch.rand((), generator=generator(seed, draw, number)))
        for seed, draw, number in (
            (0, Draw.STEP, 0),
            (0, Draw.STEP, 1),
            (0, Draw.ORDER, 0),
            (1, Draw.STEP, 0),
            (0, Draw.STEP, 0),
        )
    ]
    assert len(set(values)) == 4
    assert values[0] == values[-1]
