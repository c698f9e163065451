"""What is read of whole proposals, and the loss of a step on them."""

import pytest
import torch

from primaps.config import FitConfig
from primaps.errors import DatasetError
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.clusters import proposal_means
from primaps.prototypes.loop.proposal_steps import proposal_step, read_proposals
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Draw, Task
from primaps.prototypes.proposal_em import proposal_loss, responsibilities
from primaps.types import View


def test_proposals_of_all_images_in_random_order(source):
    task = Task(source, 3, FitConfig(), 0)
    found, order = read_proposals(task), task.order(Phase.PCA, 0)
    expected = [
        proposal_means(
            source.features(index, View()),
            source.proposals(index),
            4,
            task.generator(Phase.EM, Draw.TOKENS, index),
        )
        for index in order
    ]
    for name in ("features", "areas", "tokens"):
        parts = torch.cat([getattr(each, name) for each in expected])
        assert torch.equal(getattr(found, name), parts)
    assert found.square_norm == torch.stack([each.square_norm for each in expected]).mean()


@pytest.mark.parametrize(
    ("changes", "samples"), [({}, 4), ({"method": "clusters"}, 0), ({"em_on": "pixels"}, 0)]
)
def test_tokens_are_drawn_only_for_em_on_proposals(source, changes, samples):
    found = read_proposals(Task(source, 3, FitConfig(**changes), 0))
    assert found.tokens.shape == (16, samples, 5)


def test_no_more_proposals_than_wanted(source):
    told = []
    task = Task(source, 3, FitConfig(max_proposals=6), 0, progress=lambda *call: told.append(call))
    assert len(read_proposals(task).features) == 6
    assert told == [("proposals", done, 4) for done in range(3)]


@pytest.mark.parametrize(("method", "other"), [("em", "--init pca"), ("clusters", "--method")])
def test_images_without_proposals_are_refused(source, monkeypatch, method, other):
    monkeypatch.setattr(source, "proposals", lambda _: torch.zeros(24, 32, dtype=torch.int64))
    with pytest.raises(DatasetError, match=f"the images have none.*{other}"):
        read_proposals(Task(source, 3, FitConfig(method=method), 0))


@pytest.mark.parametrize("soft", [False, True])
def test_a_step_is_one_of_unit_features(source, soft):
    task = Task(source, 3, FitConfig(soft_votes=soft, focal_gamma=1.0, proposal_weight=0.5), 0)
    found = read_proposals(task)
    directions = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    student, teacher = (Prototypes(torch.ones(3), direction) for direction in directions)
    loss = proposal_step(task, State(student, teacher, feature_scale=0.5), found)
    scale = 0.5 * float(found.square_norm.sqrt())
    shares = responsibilities(teacher.effective() * scale, found, soft=soft)
    assert loss == proposal_loss(
        student.effective() * scale, found, shares, gamma=1.0, proposal_weight=0.5
    )
