"""Where a fit starts."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from primaps.config import FitConfig
from primaps.errors import ConfigError
from primaps.prototypes.clusters import ProposalMeans
from primaps.prototypes.loop.starts import start_from_features, start_from_proposals
from primaps.prototypes.loop.state import Phase
from primaps.prototypes.loop.task import Task

GIVEN = torch.tensor([[4.0, 0, 0, 0, 0], [0, 0, 3.0, 0, 0]])


def means(count):
    features = F.normalize(torch.randn(count, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    return ProposalMeans(
        0.5 * features,
        torch.ones(count),
        torch.tensor(16.0, dtype=torch.float64),
        torch.empty(count, 0, 5),
    )


def test_principal_directions_are_followed_by_kmeans(source):
    state = start_from_features(Task(source, 3, FitConfig(feature_norm=None), 0))
    assert (state.phase, state.feature_scale) == (Phase.KMEANS, 1.0)
    directions = state.student.direction
    torch.testing.assert_close(directions @ directions.T, torch.eye(3), rtol=0, atol=1e-6)
    assert torch.equal(state.teacher.direction, directions)


@pytest.mark.parametrize(("method", "phase"), [("em", Phase.EM), ("baseline", Phase.KMEANS)])
def test_given_directions_take_the_place_of_principal_ones(source, method, phase):
    task = Task(source, 2, FitConfig(method=method), 0, initial=GIVEN)
    state = start_from_features(task)
    assert state.phase is phase
    assert torch.equal(state.student.direction, GIVEN)


@pytest.mark.parametrize(("method", "phase"), [("em", Phase.EM), ("clusters", Phase.DONE)])
def test_centres_of_proposals(source, method, phase):
    state = start_from_proposals(Task(source, 4, FitConfig(method=method), 0), means(30))
    assert state.phase is phase
    torch.testing.assert_close(state.student.effective().norm(dim=1), torch.ones(4))
    assert state.feature_scale == pytest.approx(3.0 / (0.5 * 4))


def test_centres_that_repeat_others_are_shorter(source):
    state = start_from_proposals(Task(source, 4, FitConfig(), 0), means(2))
    assert torch.equal(state.student.direction[:2], state.student.direction[2:])
    torch.testing.assert_close(state.student.scale, torch.tensor([1, 1, 0.999, 0.999]))


def test_kmeans_of_proposals_goes_on_from_given_directions(source):
    task = Task(source, 2, FitConfig(), 0, initial=GIVEN)
    assert torch.equal(start_from_proposals(task, means(30)).student.direction, GIVEN)
    clusters = dataclasses.replace(task, config=FitConfig(method="clusters"))
    moved = start_from_proposals(clusters, means(30)).student.direction
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(2))
    assert not torch.equal(moved, F.normalize(GIVEN, dim=1))


def test_directions_that_do_not_fit_are_refused(source):
    task = Task(source, 3, FitConfig(), 0, initial=GIVEN)
    for start in (start_from_features, lambda one: start_from_proposals(one, means(5))):
        with pytest.raises(ConfigError, match="3 finite directions of 5 channels"):
            start(task)
