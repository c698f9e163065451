"""The fit that starts from whole proposals, on small synthetic sources."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from primaps.compute import cores
from primaps.config import FitConfig
from primaps.errors import ConfigError, DatasetError
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.clusters import lloyd, spherical_kmeans
from primaps.prototypes.em import update_teacher
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.prototypes.loop.proposal_steps import read_proposals
from primaps.prototypes.loop.state import Phase, snapshot
from primaps.prototypes.loop.task import Draw, Task
from primaps.prototypes.proposal_em import proposal_loss
from primaps.types import View

SMALL = FitConfig(
    cluster_restarts=3,
    proposal_steps=8,
    teacher_every=3,
    tokens_per_proposal=2,
    batch_size=3,
    epochs=3,
    min_steps=1,
    pixels_per_image=64,
    checkpoint_every=4,
)
KINDS = {
    "em": {},
    "means only": {"tokens_per_proposal": 0},
    "hard votes": {"soft_votes": False},
    "clusters": {"method": "clusters"},
    "then pixels": {"em_on": "pixels"},
}
DIRECTIONS = 5 * torch.randn(4, 12, generator=torch.Generator().manual_seed(1))


class Scenes:
    """Ground, sky and a thing of two tokens, in one image of six; each is a proposal. Two sizes of
    image; stride 8.
    """

    views = (View(), View(flip=True))

    def __init__(self, count=12, noise=0.3, factor=1.0):
        generator = torch.Generator().manual_seed(7)
        self.centres = 3 * torch.randn(3, 12, generator=generator)
        self.truth, self._features, self._proposals, self.loads = [], [], [], []
        for index in range(count):
            cells = torch.zeros((6, 8) if index % 2 else (8, 5), dtype=torch.int64)
            cells[:2] = 1
            if index % 6 == 2:
                cells[4, 2:4] = 2
            noises = noise * torch.randn(*cells.shape, 12, generator=generator)
            self.truth.append(cells)
            self._features.append(factor * (self.centres[cells] + noises).permute(2, 0, 1))
            self._proposals.append(
                (cells + 1).repeat_interleave(8, 0).repeat_interleave(8, 1).int()
            )

    def __len__(self):
        return len(self._features)

    def features(self, index, view):
        self.loads.append((index, view))
        return self._features[index].half().flip(2) if view.flip else self._features[index].half()

    def proposals(self, index):
        return self._proposals[index]


class Memory:
    """A checkpoint store that keeps all states."""

    def __init__(self, state=None):
        self.state, self.saved = state, []

    def load(self):
        return None if self.state is None else dict(self.state)

    def save(self, state):
        self.state = state
        self.saved.append(state)


class StoppedError(Exception):
    pass


def stop_after(calls):
    """A progress callback that interrupts the fit at its `calls`-th call."""
    seen = []

    def progress(*call):
        seen.append(call)
        if len(seen) == calls:
            raise StoppedError

    return progress


def configured(kind, **changes):
    return dataclasses.replace(SMALL, **{**KINDS[kind], **changes})


def fitted(source, clusters, config, **options):
    """The result, and all that was told of the progress."""
    seen = []
    return fit_prototypes(
        source, clusters, config, seed=5, progress=lambda *call: seen.append(call), **options
    ), seen


def assert_same(one, other):
    assert torch.equal(one.teacher, other.teacher)
    assert torch.equal(one.student, other.student)
    assert torch.equal(one.usage, other.usage)
    assert (one.losses, one.cosine) == (other.losses, other.cosine)


def confusion(source, result):
    """(3, K) tokens by hidden class and cluster."""
    counts = np.zeros((3, len(result.teacher)), dtype=int)
    for features, cells in zip(source._features, source.truth, strict=True):
        clusters = torch.einsum("kc,chw->khw", result.teacher, features).argmax(0)
        np.add.at(counts, (cells.flatten().numpy(), clusters.flatten().numpy()), 1)
    return counts


def measured(source, config):
    """What the fit reads of the proposals."""
    return read_proposals(Task(source, 4, config, 5))


# ---- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_rare_class_of_small_things_keeps_a_cluster_of_its_own(kind):
    source = Scenes(count=24)
    result, _ = fitted(source, 3, configured(kind))
    counts = confusion(source, result)
    assert counts[2].sum() == 8 < counts.sum() / 100
    assert counts.max(1).sum() == counts.sum(), counts
    assert sorted(counts.argmax(1)) == [0, 1, 2]
    assert not result.cosine
    assert result.usage.tolist() == counts.sum(0).tolist()


def test_soft_votes_save_a_rare_class_that_hard_votes_lose():
    """The third prototype starts aside of the things, which lie nearer to the second: it wins no
    proposal.
    """
    source = Scenes(count=24)
    ground, sky, thing = F.normalize(source.centres, dim=1)
    aside = torch.linalg.svd(source.centres).Vh[3]  # at right angles to all three
    initial = F.normalize(
        torch.stack([ground, sky + 0.5 * thing, 0.55 * thing + 0.835 * aside]), dim=1
    )
    results = {}
    for steps, soft in ((0, True), (150, False), (150, True)):
        config = configured("em", soft_votes=soft, proposal_steps=steps, teacher_every=10)
        results[steps, soft], _ = fitted(source, 3, config, initial=initial)
    lost = [[736, 0, 0], [0, 312, 0], [0, 8, 0]]
    assert confusion(source, results[0, True]).tolist() == lost
    assert confusion(source, results[150, False]).tolist() == lost
    assert confusion(source, results[150, True]).tolist() == [[736, 0, 0], [0, 312, 0], [0, 0, 8]]
    assert [list(result.dead_clusters) for result in results.values()] == [[2], [2], []]


def test_kmeans_alone_gives_the_centres_in_the_length_that_makes_probabilities():
    source, config = Scenes(), configured("clusters")
    result, _ = fitted(source, 4, config)
    found = measured(source, config)
    fit = Task(source, 4, config, 5)
    expected = spherical_kmeans(
        found.features, 4, [fit.generator(Phase.PCA, Draw.STEP, start) for start in range(3)]
    )
    norms = torch.cat(
        [
            features.half().float().flatten(1).norm(dim=0).square().mean()[None]
            for features in source._features
        ]
    )
    length = 3.0 / (norms.mean() * found.features.norm(dim=1).square().mean()).sqrt()
    torch.testing.assert_close(result.teacher, length * expected.centres, rtol=1e-4, atol=1e-5)
    assert torch.equal(result.teacher, result.student)
    assert result.losses == ()


@pytest.mark.parametrize("kind", ["em", "means only", "hard votes"])
def test_em_takes_the_steps_of_the_method_one_by_one(kind):
    source, config = Scenes(), configured(kind, proposal_weight=0.7, momentum=0.5)
    start, _ = fitted(source, 4, dataclasses.replace(config, proposal_steps=0))
    found = measured(source, config)
    scale = start.teacher.norm(dim=1).mean()
    unit = scale * found.square_norm.float().sqrt()
    student = Prototypes(torch.ones(4).requires_grad_(), (start.student / scale).requires_grad_())
    teacher, losses = Prototypes(torch.ones(4), start.teacher / scale), []
    adam = torch.optim.Adam([student.direction, student.scale], lr=config.proposal_learning_rate)
    for step in range(8):
        logits = found.features @ (teacher.effective() * unit).T
        shares = torch.eye(4)[logits.argmax(1)] if kind == "hard votes" else logits.softmax(1)
        loss = proposal_loss(
            student.effective() * unit, found, shares, gamma=2.0, proposal_weight=0.7
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        if step in {3, 6}:
            teacher = update_teacher(teacher, student, step // 3, 0.5)
    result, _ = fitted(source, 4, config)
    assert result.losses == pytest.approx(losses, rel=1e-4)
    torch.testing.assert_close(
        result.student, (student.effective() * scale).detach(), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(result.teacher, teacher.effective() * scale, rtol=1e-4, atol=1e-5)
    assert not torch.equal(result.teacher, result.student)


@pytest.mark.parametrize("kind", KINDS)
def test_the_norm_of_the_features_does_not_matter(kind):
    plain, _ = fitted(Scenes(), 3, configured(kind))
    scaled, _ = fitted(Scenes(factor=8.0), 3, configured(kind))
    torch.testing.assert_close(scaled.teacher * 8.0, plain.teacher, rtol=1e-3, atol=1e-4)
    assert scaled.losses == pytest.approx(plain.losses, rel=1e-3)


def test_the_weight_of_proposals_their_tokens_and_their_votes_matter():
    results = [
        fitted(Scenes(), 3, configured("em", **changes))[0]
        for changes in (
            {},
            {"proposal_weight": 0.5},
            {"tokens_per_proposal": 0},
            {"soft_votes": False},
            {"proposal_learning_rate": 1e-4},
        )
    ]
    assert len({result.losses for result in results}) == 5


def test_only_the_plain_view_is_read_on_proposals():
    for kind, seen in (
        ("em", {View()}),
        ("clusters", {View()}),
        ("then pixels", {View(), View(flip=True)}),
    ):
        source = Scenes()
        fitted(source, 3, configured(kind))
        assert {view for _, view in source.loads} == seen


# ---- the same bytes ------------------------------------------------------------------------------


def test_same_seed_same_bytes_other_seed_other_bytes():
    first, second, other = (fit_prototypes(Scenes(), 4, SMALL, seed=seed) for seed in (3, 3, 4))
    assert_same(first, second)
    assert not torch.equal(first.teacher, other.teacher)


@pytest.mark.parametrize("initial", [None, DIRECTIONS], ids=["found", "given"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_interrupted_anywhere_resumes_to_the_same_bytes(kind, initial):
    config, source = configured(kind), Scenes(count=5)
    undisturbed, seen = fitted(source, 4, config, initial=initial)
    for calls in range(1, len(seen) + 1):
        store = Memory()
        with pytest.raises(StoppedError):
            fit_prototypes(
                source,
                4,
                config,
                seed=5,
                initial=initial,
                checkpoint=store,
                progress=stop_after(calls),
            )
        assert_same(fitted(source, 4, config, initial=initial, checkpoint=store)[0], undisturbed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_does_not_matter(monkeypatch, kind):
    results = []
    for count in (1, 3):
        monkeypatch.setattr(cores, "usable_cores", lambda count=count: count)
        store = Memory()
        results.append((fitted(Scenes(), 4, configured(kind), checkpoint=store)[0], store.saved))
    (one, its_states), (other, other_states) = results
    assert_same(one, other)
    for state, expected in zip(its_states, other_states, strict=True):
        assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_fit_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    fitted(Scenes(count=2), 2, SMALL)
    assert torch.equal(torch.get_rng_state(), before)


# ---- progress, checkpoints, snapshots ------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "phases", "saves"),
    [
        # the start; EM at 3, 6 and 8
        ("em", [("proposals", 12), ("clusters", 3), ("em", 8), ("usage", 12)], 1 + 3),
        ("clusters", [("proposals", 12), ("clusters", 3), ("usage", 12)], 1),
        # 4, 8 and 12
        ("then pixels", [("proposals", 12), ("clusters", 3), ("em", 12), ("usage", 12)], 1 + 3),
    ],
)
def test_progress_and_checkpoints_of_a_whole_fit(kind, phases, saves):
    store, watched = Memory(), []
    result, seen = fitted(
        Scenes(), 4, configured(kind), checkpoint=store, watch=lambda *call: watched.append(call)
    )
    assert seen == [(name, done, total) for name, total in phases for done in range(total + 1)]
    assert len(store.saved) == saves
    assert watched == list(enumerate(result.losses, start=1))
    assert all(
        value.device.type == "cpu" and not value.requires_grad for value in store.state.values()
    )
    again, seen = fitted(Scenes(), 4, configured(kind), checkpoint=store)
    assert_same(again, result)
    assert [phase for phase, *_ in seen] == ["usage"] * 13


def test_resume_reads_the_proposals_and_repeats_no_step():
    store = Memory()
    with pytest.raises(StoppedError):  # 12 images, 3 starts, then step 7 of EM
        fit_prototypes(
            Scenes(), 4, SMALL, seed=5, checkpoint=store, progress=stop_after(13 + 4 + 8)
        )
    _, seen = fitted(Scenes(), 4, SMALL, checkpoint=store)
    assert [call for call in seen if call[0] == "em"] == [("em", 6, 8), ("em", 7, 8), ("em", 8, 8)]
    assert "clusters" not in {phase for phase, *_ in seen}


def test_a_snapshot_is_what_a_fit_of_so_many_steps_gives():
    store = Memory()
    fitted(Scenes(), 4, SMALL, checkpoint=store)
    taken = [one for one in (snapshot(state, SMALL) for state in store.saved) if one is not None]
    assert [one.step for one in taken] == [3, 6]
    for one in taken:
        expected, _ = fitted(Scenes(), 4, dataclasses.replace(SMALL, proposal_steps=one.step))
        assert torch.equal(one.teacher, expected.teacher)
        assert torch.equal(one.student, expected.student)


def test_kmeans_alone_has_no_snapshot():
    store, config = Memory(), configured("clusters")
    fitted(Scenes(), 4, config, checkpoint=store)
    assert [snapshot(state, config) for state in store.saved] == [None]


# ---- initial prototypes --------------------------------------------------------------------------


def test_em_starts_from_initial_prototypes_without_kmeans():
    before = DIRECTIONS.clone()
    result, seen = fitted(
        Scenes(), 4, configured("em", proposal_steps=0, feature_norm=None), initial=DIRECTIONS
    )
    assert "clusters" not in {phase for phase, *_ in seen}
    torch.testing.assert_close(result.teacher, F.normalize(DIRECTIONS, dim=1))
    torch.testing.assert_close(result.student, F.normalize(DIRECTIONS, dim=1))
    moved, _ = fitted(Scenes(), 4, configured("em", feature_norm=None), initial=DIRECTIONS)
    assert not torch.equal(moved.student, result.student)
    assert torch.equal(before, DIRECTIONS), "the caller's tensor is left alone"


def test_kmeans_of_proposals_starts_from_initial_prototypes():
    source, config = Scenes(), configured("clusters", feature_norm=None)
    result, _ = fitted(source, 4, config, initial=DIRECTIONS)
    unit = F.normalize(measured(source, config).features, dim=1)
    expected = lloyd(unit, F.normalize(DIRECTIONS, dim=1), torch.ones(len(unit)))
    torch.testing.assert_close(result.teacher, expected.centres)
    assert not torch.equal(result.teacher, fitted(source, 4, config)[0].teacher)


def test_initial_prototypes_keep_their_length_where_there_are_fewer_proposals():
    initial = torch.eye(12)[:9]
    for kind in ("em", "clusters"):
        result, _ = fitted(
            Scenes(count=2),
            9,
            configured(kind, proposal_steps=0, feature_norm=None),
            initial=initial,
        )
        torch.testing.assert_close(result.teacher.norm(dim=1), torch.ones(9))


@pytest.mark.parametrize("kind", ["em", "clusters"])
@pytest.mark.parametrize(
    "initial",
    [torch.ones(5, 12), torch.ones(4, 11), torch.full((4, 12), float("nan")), torch.zeros(4, 12)],
)
def test_initial_prototypes_that_do_not_fit_are_refused(initial, kind):
    with pytest.raises(
        ConfigError,
        match="Expected the initial prototypes to be 4 finite directions of 12 channels",
    ):
        fitted(Scenes(), 4, configured(kind), initial=initial)


# ---- few, many and odd proposals -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_more_classes_than_proposals_leave_the_others_empty(kind):
    source = Scenes(count=2)  # of two proposals each
    result, _ = fitted(source, 9, configured(kind))
    assert result.teacher.isfinite().all()
    assert result.usage.sum() == 6 * 8 + 8 * 5
    assert result.usage[4:].tolist() == [0] * 5
    assert (confusion(source, result) > 0).sum(0).max() == 1


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("em", "--init pca"), ("clusters", "--method baseline"), ("then pixels", "--init pca")],
)
@pytest.mark.parametrize("initial", [None, DIRECTIONS], ids=["found", "given"])
def test_images_without_any_proposal_are_refused(kind, advice, initial):
    source = Scenes(count=3)
    source._proposals = [torch.zeros_like(ids) for ids in source._proposals]
    if kind == "then pixels" and initial is not None:  # which needs none to start
        assert fitted(source, 4, configured(kind), initial=initial)[0].losses == (0.0,) * 3
        return
    with pytest.raises(
        DatasetError,
        match=f"the images have none. Give a lower --threshold to `primaps proposals`, or {advice}",
    ):
        fitted(source, 4, configured(kind), initial=initial)


def test_some_images_without_proposals_do_no_harm():
    source = Scenes()
    for index in (1, 4):
        source._proposals[index] = torch.zeros_like(source._proposals[index])
    assert confusion(source, fitted(source, 3, SMALL)[0]).max(1).sum() == sum(
        cells.numel() for cells in source.truth
    )


@pytest.mark.parametrize("kind", ["em", "clusters"])
@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_features_without_any_variation(kind, factor):
    """All zero: there is no direction to fit to. All equal: one class owns everything."""
    source = Scenes(count=3)
    source._features = [torch.full_like(features, factor) for features in source._features]
    if factor == 0.0:
        with pytest.raises(DatasetError, match="Expected mask proposals to fit classes to"):
            fitted(source, 4, configured(kind))
        return
    result, _ = fitted(source, 4, configured(kind))
    assert result.teacher.isfinite().all()
    assert len(result.dead_clusters) == 3


@pytest.mark.parametrize("most", [1, 7, 26])
def test_no_more_proposals_than_allowed_are_read(most):
    source, config = Scenes(), configured("em", max_proposals=most)
    everything, found = measured(source, configured("em")), measured(source, config)
    assert (len(everything.features), len(found.features)) == (26, most)
    for part in ("features", "areas", "tokens"):
        assert torch.equal(getattr(found, part), getattr(everything, part)[:most])
    result, seen = fitted(source, 4, config)
    assert result.losses[-1] >= 0.0
    read = [call for call in seen if call[0] == "proposals"]
    assert (len(read) == 13) == (most == 26), "the other images are not read"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused(kind, value):
    source = Scenes(count=3)
    source._features[1][0, 0, 0] = value
    with pytest.raises(DatasetError, match="Image 1: Expected features to be finite"):
        fitted(source, 4, configured(kind))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cluster_restarts": 0}, "cluster_restarts to be 1 or more, but got 0"),
        ({"max_proposals": 0}, "max_proposals to be 1 or more, but got 0"),
        ({"tokens_per_proposal": -1}, "tokens_per_proposal to be 0 or more, but got -1"),
        ({"proposal_steps": -1}, "proposal_steps to be 0 or more, but got -1"),
        (
            {"proposal_weight": 1.1},
            "proposal_weight to be an exponent between 0 and 1, but got 1.1",
        ),
        ({"em_on": "tokens"}, "em_on to be one of proposals, pixels, but got 'tokens'"),
        (
            {"initialise": "random"},
            "initialise to be one of proposals, pca, head, but got 'random'",
        ),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        fitted(Scenes(count=1), 3, dataclasses.replace(SMALL, **changes))
