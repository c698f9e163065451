"""The fitting loop on pixels and tokens, on small synthetic sources."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.compute import cores
from primaps.config import FitConfig
from primaps.errors import CheckpointError, ConfigError, DatasetError
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.prototypes.loop.state import snapshot
from primaps.types import View

SMALL = FitConfig(
    initialise="pca",
    em_on="pixels",
    batch_size=3,
    epochs=6,
    kmeans_epochs=4,
    min_steps=1,
    learning_rate=0.02,
    em_learning_rate=0.02,
    pixels_per_image=64,
    teacher_every=3,
    checkpoint_every=4,
)


class Scenes:
    """Images of noisy blocks of a few hidden classes; every block is a proposal. Mirrored views are
    exact mirrors.
    """

    def __init__(
        self,
        count=8,
        grids=((6, 8), (5, 6)),
        channels=12,
        hidden=3,
        flip=True,
        draws=1,
        noise=0.1,
        dtype=torch.float16,
    ):
        generator = torch.Generator().manual_seed(7)
        centres = 3 * torch.randn(hidden, channels, generator=generator)
        self.views = tuple(
            View(f, p) for f in ((False, True) if flip else (False,)) for p in (None, *range(draws))
        )
        self.truth, self._features, self._proposals, self.loads = [], [], [], []
        for index in range(count):
            h, w = grids[index % len(grids)]
            truth = torch.randint(hidden, (2, 2), generator=generator)
            rows, columns = (torch.arange(h) * 2 // h), (torch.arange(w) * 2 // w)
            cells = truth[rows][:, columns]
            ids = (rows[:, None] * 2 + columns + 1).repeat_interleave(8, 0).repeat_interleave(8, 1)
            plain = centres[cells].permute(2, 0, 1) + noise * torch.randn(
                channels, h, w, generator=generator
            )
            self.truth.append(cells)
            self._proposals.append(ids)
            self._features.append(
                {
                    None: plain,
                    **{
                        p: plain + noise * torch.randn(channels, h, w, generator=generator)
                        for p in range(draws)
                    },
                }
            )
        self._dtype = dtype

    def __len__(self):
        return len(self._features)

    def features(self, index, view):
        assert view in self.views
        self.loads.append((index, view))
        values = self._features[index][view.photometric].to(self._dtype)
        return values.flip(2) if view.flip else values

    def proposals(self, index):
        return self._proposals[index]


class Memory:
    """A checkpoint store that keeps the last state."""

    def __init__(self):
        self.state, self.saves = None, 0

    def load(self):
        return None if self.state is None else dict(self.state)

    def save(self, state):
        self.state, self.saves = state, self.saves + 1


class StoppedError(Exception):
    pass


def stop_after(calls):
    """A progress callback that interrupts the fit at its `calls`-th call."""
    seen = []

    def progress(phase, done, total):
        seen.append((phase, done, total))
        if len(seen) == calls:
            raise StoppedError

    return progress


def assert_same(one, other):
    assert torch.equal(one.teacher, other.teacher)
    assert torch.equal(one.student, other.student)
    assert torch.equal(one.usage, other.usage)
    assert one.losses == other.losses
    assert one.cosine == other.cosine


def purity(source, result):
    """Fraction of tokens whose hidden class is the most frequent one of their cluster."""
    counts = np.zeros((len(result.teacher), 16), dtype=int)
    for index, cells in enumerate(source.truth):
        features = source.features(index, View()).float()
        clusters = torch.einsum("kc,chw->khw", result.teacher, features).argmax(0)
        np.add.at(counts, (clusters.flatten().numpy(), cells.flatten().numpy()), 1)
    return counts.max(1).sum() / counts.sum()


@pytest.mark.parametrize("method", ["em", "baseline"])
@pytest.mark.parametrize("exact", [False, True])
def test_fit_finds_the_hidden_classes(method, exact):
    source = Scenes(count=12)
    changes = {"pixels_per_image": None, "vote_stride": 1} if exact else {}
    config = dataclasses.replace(
        SMALL, method=method, epochs=20, baseline_epochs=20, kmeans_epochs=15, **changes
    )
    result = fit_prototypes(source, 6, config, seed=1)
    assert purity(source, result) > 0.98
    assert result.losses[-1] < result.losses[0]
    assert len(result.losses) == config.main_steps(12)
    assert result.usage.sum() == sum(cells.numel() for cells in source.truth)


def test_baseline_gives_unit_prototypes_and_em_its_own_teacher():
    baseline = fit_prototypes(Scenes(), 4, dataclasses.replace(SMALL, method="baseline"), seed=0)
    torch.testing.assert_close(baseline.teacher.norm(dim=1), torch.ones(4))
    assert baseline.cosine
    assert torch.equal(baseline.teacher, baseline.student)
    em = fit_prototypes(Scenes(), 4, SMALL, seed=0)
    assert not em.cosine
    assert not torch.equal(em.teacher, em.student)
    assert em.teacher.dtype == torch.float32
    assert em.usage.dtype == torch.int64


def test_usage_counts_the_tokens_of_the_teacher():
    source = Scenes()
    for method in ("em", "baseline"):
        result = fit_prototypes(source, 5, dataclasses.replace(SMALL, method=method), seed=0)
        counts = torch.zeros(5, dtype=torch.int64)
        for index in range(len(source)):
            winners = torch.einsum(
                "kc,chw->khw", result.teacher, source.features(index, View()).float()
            ).argmax(0)
            counts += torch.bincount(winners.flatten(), minlength=5)
        assert torch.equal(result.usage, counts)


def test_same_seed_same_bytes_other_seed_other_bytes():
    first, second, other = (fit_prototypes(Scenes(), 4, SMALL, seed=seed) for seed in (3, 3, 4))
    assert_same(first, second)
    assert not torch.equal(first.teacher, other.teacher)


def test_fit_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    fit_prototypes(Scenes(count=2), 2, SMALL, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


UNDISTURBED = {}


@settings(deadline=None, max_examples=12)
@given(
    method=st.sampled_from(["em", "baseline"]),
    stops=st.lists(st.integers(1, 40), min_size=1, max_size=3),
)
def test_interrupted_fit_resumes_to_the_same_bytes(method, stops):
    config = dataclasses.replace(SMALL, method=method, baseline_epochs=9)
    if method not in UNDISTURBED:
        UNDISTURBED[method] = fit_prototypes(Scenes(), 4, config, seed=5)
    store = Memory()
    for calls in stops:
        try:
            fit_prototypes(
                Scenes(), 4, config, seed=5, checkpoint=store, progress=stop_after(calls)
            )
        except StoppedError:
            continue
    assert_same(fit_prototypes(Scenes(), 4, config, seed=5, checkpoint=store), UNDISTURBED[method])


@pytest.mark.parametrize("method", ["em", "baseline"])
@pytest.mark.parametrize("pixels", [None, 64])
def test_the_number_of_threads_does_not_matter(monkeypatch, method, pixels):
    config = dataclasses.replace(SMALL, method=method, pixels_per_image=pixels)

    def fitted(cores_, **options):
        monkeypatch.setattr(cores, "usable_cores", lambda: cores_)
        return fit_prototypes(Scenes(), 4, config, seed=5, **options)

    single, store = fitted(1), Memory()
    assert_same(fitted(2), single)
    with pytest.raises(StoppedError):
        fitted(1, checkpoint=store, progress=stop_after(14))
    assert_same(fitted(3, checkpoint=store), single)


def test_resume_does_not_repeat_finished_steps():
    store, seen = Memory(), []
    with pytest.raises(StoppedError):  # 8 images, 8 steps of k-means, then 10 steps of EM
        fit_prototypes(
            Scenes(), 4, SMALL, seed=5, checkpoint=store, progress=stop_after(9 + 9 + 11)
        )
    fit_prototypes(
        Scenes(), 4, SMALL, seed=5, checkpoint=store, progress=lambda *call: seen.append(call)
    )
    assert seen[:2] == [("em", 8, 12), ("em", 9, 12)]
    assert seen[-1] == ("usage", 8, 8)
    fit_prototypes(
        Scenes(), 4, SMALL, seed=5, checkpoint=store, progress=lambda *call: seen.append(call)
    )
    assert [call[0] for call in seen[-9:]] == ["usage"] * 9
    assert len(seen) == 1 + 4 + 9 + 9


def test_progress_and_checkpoints_of_a_whole_fit():
    store, seen = Memory(), []
    fit_prototypes(
        Scenes(), 4, SMALL, seed=5, checkpoint=store, progress=lambda *call: seen.append(call)
    )
    phases = [("pca", 8), ("kmeans", 8), ("em", 12), ("usage", 8)]
    assert seen == [(name, done, total) for name, total in phases for done in range(total + 1)]
    assert store.saves == 1 + 2 + 3  # after pca; k-means at 4 and 8; EM at 4, 8 and 12
    assert all(
        value.device.type == "cpu" and not value.requires_grad for value in store.state.values()
    )


def test_checkpoint_of_another_fit_is_refused():
    store = Memory()
    fit_prototypes(Scenes(), 4, SMALL, seed=5, checkpoint=store)
    with pytest.raises(CheckpointError, match=r"shape \(5, 12\), but got \(4, 12\)"):
        fit_prototypes(Scenes(), 5, SMALL, seed=5, checkpoint=store)
    del store.state["teacher.scale"]
    with pytest.raises(CheckpointError, match=r"hold \['teacher.scale'\]"):
        fit_prototypes(Scenes(), 4, SMALL, seed=5, checkpoint=store)


def test_without_other_views_the_student_sees_the_teachers_view():
    source = Scenes(flip=False, draws=0)
    fit_prototypes(source, 3, SMALL, seed=0)
    assert {view for _, view in source.loads} == {View()}


def test_only_some_images_initialise():
    source = Scenes(count=8)
    seen = []
    config = dataclasses.replace(SMALL, pca_images=5)
    fit_prototypes(source, 3, config, seed=0, progress=lambda *call: seen.append(call))
    assert [call for call in seen if call[0] == "pca"] == [("pca", done, 5) for done in range(6)]


@pytest.mark.parametrize("method", ["em", "baseline"])
@pytest.mark.parametrize(
    ("source", "clusters"),
    [
        (Scenes(count=1, grids=((1, 1),)), 7),
        (Scenes(count=2, grids=((1, 3),), channels=2), 27),
        (Scenes(count=3, noise=0.0, hidden=1), 4),
        (Scenes(count=4), 254),
    ],
    ids=["one token", "more clusters than channels", "constant", "254 clusters"],
)
def test_degenerate_sources_give_finite_prototypes(source, clusters, method):
    result = fit_prototypes(source, clusters, dataclasses.replace(SMALL, method=method), seed=0)
    assert torch.isfinite(result.teacher).all()
    assert torch.isfinite(result.student).all()
    assert np.isfinite(result.losses).all()
    assert result.usage.sum() == sum(cells.numel() for cells in source.truth)


@pytest.mark.parametrize("exact", [False, True])
def test_images_without_proposals_leave_the_prototypes(exact):
    source = Scenes(count=3)
    source._proposals = [torch.zeros_like(ids) for ids in source._proposals]
    config = dataclasses.replace(SMALL, pixels_per_image=None if exact else 16)
    result = fit_prototypes(source, 4, config, seed=0)
    assert result.losses == (0.0,) * 6
    torch.testing.assert_close(result.student, result.teacher)
    torch.testing.assert_close(result.teacher.norm(dim=1), result.teacher.norm(dim=1)[0].expand(4))


def test_the_norm_of_the_features_does_not_matter_unless_it_is_taken_as_it_is():
    def fitted(factor, feature_norm):
        source = Scenes(dtype=torch.float32)
        source._features = [
            {draw: factor * values for draw, values in views.items()} for views in source._features
        ]
        return fit_prototypes(
            source, 4, dataclasses.replace(SMALL, feature_norm=feature_norm), seed=1
        )

    plain, scaled = fitted(1.0, 3.0), fitted(8.0, 3.0)
    torch.testing.assert_close(scaled.teacher * 8.0, plain.teacher, rtol=1e-3, atol=1e-4)
    assert scaled.losses == pytest.approx(plain.losses, rel=1e-3)
    assert fitted(8.0, None).losses != pytest.approx(fitted(1.0, None).losses, rel=1e-1)


def test_feature_norm_is_the_root_mean_square_of_the_fitted_logits_scale():
    source = Scenes(dtype=torch.float32)
    config = dataclasses.replace(SMALL, feature_norm=5.0, learning_rate=1e-9, em_learning_rate=1e-9)
    result = fit_prototypes(source, 4, config, seed=1)
    norms = torch.cat(
        [source.features(i, View()).flatten(1).norm(dim=0) for i in range(len(source))]
    )
    torch.testing.assert_close(
        result.teacher.norm(dim=1),
        (5.0 / norms.square().mean().sqrt()).expand(4),
        rtol=1e-3,
        atol=1e-5,
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused(value):
    source = Scenes(count=3)
    source._features[1][None][0, 0, 0] = value
    with pytest.raises(DatasetError, match=r"Image 1: Expected features to be finite"):
        fit_prototypes(source, 4, SMALL, seed=0)
    source = Scenes(count=3)
    source._features[1][0][0, 0, 0] = value
    with pytest.raises(
        DatasetError, match=r"Expected the loss to be finite, but got nan. .* \[0, 1, 2\]"
    ):
        fit_prototypes(source, 4, SMALL, seed=0)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"batch_size": 0}, {}, "batch_size to be 1 or more, but got 0"),
        ({"teacher_every": -1}, {}, "teacher_every to be 1 or more, but got -1"),
        ({"pixels_per_image": 0}, {}, "pixels_per_image to be 1 or more"),
        ({"method": "kmeans"}, {}, "method to be one of em, clusters, baseline, but got"),
        ({}, {"seed": -1}, "seed to be 0 or more"),
        ({}, {"num_clusters": 0}, "num_clusters to be 1 or more"),
        ({}, {"num_clusters": 255}, "num_clusters to be at most 254"),
    ],
)
def test_settings_out_of_range_are_refused(changes, arguments, message):
    arguments = {"seed": 0, "num_clusters": 3, **arguments}
    with pytest.raises(ConfigError, match=message):
        fit_prototypes(Scenes(), config=dataclasses.replace(SMALL, **changes), **arguments)


def test_no_images_are_refused():
    with pytest.raises(DatasetError, match="at least one image"):
        fit_prototypes(Scenes(count=0), 3, SMALL, seed=0)


def test_em_starts_from_initial_prototypes_without_kmeans():
    source = Scenes()
    initial = 5 * torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    config = dataclasses.replace(SMALL, epochs=0, min_steps=0, feature_norm=None)
    phases = []
    result = fit_prototypes(
        source, 3, config, seed=0, initial=initial, progress=lambda phase, *_: phases.append(phase)
    )
    assert "kmeans" not in phases
    expected = torch.nn.functional.normalize(initial, dim=1)
    torch.testing.assert_close(result.teacher, expected)
    torch.testing.assert_close(result.student, expected)
    assert result.cosine is False


def test_the_norm_of_initial_prototypes_sets_the_size_of_the_steps():
    source, directions = Scenes(), torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    config = dataclasses.replace(SMALL, epochs=1)
    moved = [
        (
            fit_prototypes(source, 3, config, seed=0, initial=norm * directions).student.norm(dim=1)
        ).tolist()
        for norm in (1.0, 100.0)
    ]
    assert moved[0] != moved[1]
    again = (
        fit_prototypes(source, 3, config, seed=0, initial=directions).student.norm(dim=1).tolist()
    )
    assert again == moved[0]


def test_the_baseline_starts_its_kmeans_from_initial_prototypes():
    source = Scenes()
    initial = torch.randn(3, 12, generator=torch.Generator().manual_seed(1))
    before = initial.clone()
    config = dataclasses.replace(SMALL, method="baseline")
    phases = []
    result = fit_prototypes(
        source, 3, config, seed=0, initial=initial, progress=lambda phase, *_: phases.append(phase)
    )
    assert {"kmeans", "usage"} <= set(phases)
    assert result.cosine is True
    assert torch.equal(initial, before), "the caller's tensor is left alone"
    assert result.losses != fit_prototypes(source, 3, config, seed=0).losses


@pytest.mark.parametrize(
    "initial",
    [
        torch.ones(4, 12),
        torch.ones(3, 11),
        torch.full((3, 12), float("nan")),
        torch.eye(3, 12) * torch.tensor([[1], [0], [1]]),
    ],
)
def test_initial_prototypes_that_do_not_fit(initial):
    with pytest.raises(
        ConfigError,
        match="Expected the initial prototypes to be 3 finite directions of 12 channels",
    ):
        fit_prototypes(Scenes(), 3, SMALL, seed=0, initial=initial)


# ---- snapshots -----------------------------------------------------------------------------------


class Snapshots(Memory):
    """Takes a snapshot of every state that is saved."""

    def __init__(self, config):
        super().__init__()
        self.config, self.taken = config, []

    def save(self, state):
        super().save(state)
        self.taken.append(snapshot(state, self.config))


@pytest.mark.parametrize("method", ["em", "baseline"])
@pytest.mark.parametrize("feature_norm", [None, 3.0])
def test_a_snapshot_is_what_a_fit_of_so_many_steps_gives(method, feature_norm):
    config = dataclasses.replace(
        SMALL, method=method, feature_norm=feature_norm, epochs=4, baseline_epochs=4
    )
    store = Snapshots(config)
    fit_prototypes(Scenes(), 3, config, seed=5, checkpoint=store)
    taken = [one for one in store.taken if one is not None]
    # 8 steps in the main phase; neither the start nor the end is a snapshot
    assert [one.step for one in taken] == [4]
    short = dataclasses.replace(config, epochs=2, baseline_epochs=2)
    expected = fit_prototypes(Scenes(), 3, short, seed=5)
    assert torch.equal(taken[0].teacher, expected.teacher)
    assert torch.equal(taken[0].student, expected.student)
