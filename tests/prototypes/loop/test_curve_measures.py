"""The curves of a fit against a direct computation."""

import numpy as np
import pytest
import torch

from primaps.config import FitConfig
from primaps.errors import DatasetError
from primaps.prototypes.loop.curve_measures import measure_curves, token_classes
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.prototypes.loop.state import Snapshot, snapshot
from primaps.types import View


class Images:
    """Random features of images of several sizes, each with two proposals."""

    views = (View(),)

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.made = [torch.randn(5, 3, width, generator=generator) for width in (4, 6, 5)]

    def __len__(self):
        return len(self.made)

    def features(self, index, view):
        assert view == View()
        return self.made[index].half()

    def proposals(self, index):
        height, width = self.made[index].shape[1:]
        labels = torch.ones(2 * height, 2 * width, dtype=torch.int64)
        labels[:, width:] = 2
        return labels


class Kept:
    """A checkpoint that keeps the snapshots of a fit."""

    def __init__(self, config):
        self.config, self.snapshots = config, []

    def load(self):
        return None

    def save(self, state):
        found = snapshot(state, self.config)
        if found is not None:
            self.snapshots.append(found)


@pytest.mark.parametrize("method", ["em", "baseline"])
def test_curves_of_a_fit_are_those_of_counting_token_by_token(method):
    config = FitConfig(
        method=method,
        initialise="pca",
        batch_size=2,
        min_steps=6,
        max_steps=6,
        checkpoint_every=2,
        teacher_every=2,
        em_learning_rate=0.3,
        min_agreement=0,
    )
    source, kept = Images(), Kept(config)
    result = fit_prototypes(source, 4, config, seed=0, checkpoint=kept)
    snapshots = [*kept.snapshots, Snapshot(6, result.teacher, result.student)]
    curves = measure_curves(source, snapshots, result.losses, cosine=result.cosine)
    assert curves.steps.tolist() == [2, 4, 6]
    assert curves.losses.tolist() == list(result.losses)
    tokens = torch.cat([source.features(index, View()).float().flatten(1).T for index in range(3)])
    for number, one in enumerate(snapshots):
        similarity = (
            torch.nn.functional.normalize if result.cosine else (lambda prototypes, dim: prototypes)
        )
        teacher, student = (
            (tokens @ similarity(weight, dim=1).T).argmax(1)
            for weight in (one.teacher, one.student)
        )
        expected = [int((teacher == cluster).sum()) / len(tokens) for cluster in range(4)]
        assert curves.usage[number].tolist() == pytest.approx(expected)
        assert curves.agreement[number] == pytest.approx(
            float((teacher == student).double().mean())
        )
    assert curves.usage[-1] == pytest.approx(result.usage.numpy() / len(tokens))
    assert (curves.agreement == 1).all() == (method == "baseline")


def test_several_sets_of_prototypes_classify_like_each_alone():
    features = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1))
    prototypes = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(2))
    together = token_classes(features, prototypes, cosine=False)
    for number in range(2):
        assert torch.equal(
            together[number], torch.einsum("kc,chw->khw", prototypes[number], features).argmax(0)
        )


def test_progress_advances_per_image():
    calls = []
    one = Snapshot(1, torch.eye(5), torch.eye(5))
    curves = measure_curves(Images(), [one], [0.5], cosine=False, advance=lambda: calls.append(1))
    assert len(calls) == 3
    assert np.array_equal(curves.agreement, [1.0])


def test_nothing_to_draw_is_an_error():
    with pytest.raises(DatasetError, match="images and snapshots"):
        measure_curves(Images(), [], [0.5], cosine=False)
