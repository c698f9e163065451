"""The steps of EM against plain references and against a recorded trajectory of the official
momentum module.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional as F

from primaps.compute.cores import Workers, one_thread_each
from primaps.config import FitConfig
from primaps.prototypes import em
from primaps.prototypes import pixels as pixels_module
from primaps.prototypes.classifier import Prototypes, logits
from primaps.prototypes.em import (
    TrainingImage,
    expectation,
    focal_class_weights,
    kmeans_loss,
    pixel_weights,
    student_loss,
    teacher_momentum,
    update_teacher,
    vote,
)
from primaps.prototypes.pixels import pixel_grid
from primaps.prototypes.steps.compiled import CompiledSums
from primaps.prototypes.steps.plain import PlainSums, pseudo_labels
from primaps.types import IGNORE_INDEX

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "em_trajectory.safetensors"


@pytest.fixture(params=[CompiledSums, PlainSums])
def sums(request):
    """Everything here holds for the compiled loops and for plain torch."""
    return request.param()


def settings(**changes):
    """The publication's, with some changed."""
    return FitConfig(**{"min_agreement": 0.0, "pixels_per_image": None, **changes})


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def image(h=4, w=5, stride=4, channels=6, ids=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(ids, (h, w), generator=generator)
    return TrainingImage(
        teacher_features=random(channels, h, w, seed=seed + 1),
        student_features=random(channels, h, w, seed=seed + 2),
        proposals=blocks.repeat_interleave(stride, 0).repeat_interleave(stride, 1),
    )


def interpolate(values, size):
    return F.interpolate(values[None], size=size, mode="bilinear", align_corners=False)[0]


# --- E-step
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("limit", [1, 1000, 10**9])
def test_vote_is_the_majority_of_every_proposal(sums, monkeypatch, stride, limit):
    monkeypatch.setattr(pixels_module, "GROUP_ELEMENTS", limit)
    images = [
        image(seed=1),
        image(h=6, w=3, seed=2),
        image(ids=9, seed=3),
        image(ids=1, seed=4),
        image(h=6, w=3, seed=5),
    ]
    prototypes = random(7, 6, seed=9)
    for one, votes in zip(
        images, expectation(prototypes, images, sums, settings(vote_stride=stride)), strict=True
    ):
        height, width = (pixel_grid(length, stride) for length in one.size)
        classes = interpolate(logits(one.teacher_features, prototypes), one.size).argmax(0)[
            height, width
        ]
        ids = one.proposals[height, width]
        assert len(votes) > one.proposals.max()
        assert votes[0] == IGNORE_INDEX
        for number in range(1, len(votes)):
            inside = classes[ids == number]
            assert votes[number] == (torch.mode(inside).values if len(inside) else IGNORE_INDEX)


def test_vote_ties_go_to_the_smallest_class(sums):
    values = torch.zeros(1, 3, 1, 2)
    values[0, 2, 0, 0] = values[0, 1, 0, 1] = 1.0
    ballots = sums.ballots(values, torch.ones(1, 1, 2, dtype=torch.int64), 1)
    assert [counts.tolist() for counts in ballots] == [[[0, 0, 0], [0, 1, 1]]]
    assert vote(ballots)[0].tolist() == [IGNORE_INDEX, 1]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 2), (0.75, 2), (0.76, IGNORE_INDEX), (1.0, IGNORE_INDEX)]
)
def test_mixed_proposals_give_no_pseudo_label(share, expected):
    mixed, pure = torch.tensor([[9, 9, 9], [0, 1, 3]]), torch.tensor([[0, 0, 0], [0, 0, 5]])
    found = vote([mixed, pure], min_agreement=share)
    assert [votes.tolist() for votes in found] == [[IGNORE_INDEX, expected], [IGNORE_INDEX, 2]]


def test_every_class_keeps_the_purer_half_of_its_proposals():
    """Otherwise a class that wins mixed ones only would get no pseudo label, and the others would
    take its pixels.
    """
    first, second = (
        torch.tensor([[0, 0, 0], [0, 4, 6], [8, 0, 0]]),
        torch.tensor([[0, 0, 0], [0, 3, 7], [0, 2, 8], [0, 0, 0]]),
    )
    found = vote([first, second], min_agreement=0.9)
    assert [votes.tolist() for votes in found] == [[255, 255, 0], [255, 2, 2, 255]]


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_vote_equals_a_loop_over_proposals(seed, share):
    generator = np.random.default_rng(seed)
    ballots = [generator.integers(0, 4, (generator.integers(1, 6), 3)) for _ in range(3)]
    found = vote([torch.from_numpy(each) for each in ballots], share)
    rows = [row for each in ballots for row in each[1:]]
    shares = [row.max() / max(1, row.sum()) for row in rows]
    labels = torch.cat([votes[1:] for votes in found]).tolist()
    for row, own, label in zip(rows, shares, labels, strict=True):
        rivals = [
            other
            for each, other in zip(rows, shares, strict=True)
            if each.any() and each.argmax() == row.argmax()
        ]
        if not row.any() or (
            own < share and sum(other > own for other in rivals) * 2 >= len(rivals)
        ):
            assert label == IGNORE_INDEX
        elif own >= share or sum(other >= own for other in rivals) * 2 <= len(rivals) + 1:
            assert label == row.argmax()
        else:
            # as many of equal shares as make up the half
            assert label in {IGNORE_INDEX, row.argmax()}


def test_expectation_passes_the_agreement_on(sums):
    images = [image(seed=1), image(h=6, w=3, seed=2)]
    prototypes = random(7, 6, seed=9)
    found = expectation(prototypes, images, sums, settings(min_agreement=0.5))
    tokens = [logits(one.teacher_features, prototypes) for one in images]
    ballots = PlainSums().ballots(tokens, [one.proposals for one in images], 1)
    for votes, expected in zip(found, vote(ballots, 0.5), strict=True):
        assert torch.equal(votes, expected)
    assert sum(int((votes == IGNORE_INDEX).sum()) for votes in found) > len(found)


def test_proposals_off_the_grid_and_missing_ones_are_ignored(sums):
    proposals = torch.ones(2, 8, 8, dtype=torch.int64)
    proposals[0, 0, 0] = 3
    found = vote(sums.ballots(torch.ones(2, 2, 2, 2), proposals, 4))
    assert [votes.tolist()[:2] for votes in found] == [[255, 0]] * 2
    assert found[0].tolist() == [255, 0, 255, 255]
    assert set(found[1].tolist()[2:]) <= {255}
    nothing = sums.ballots(torch.ones(1, 2, 2, 2), torch.zeros(1, 8, 8, dtype=torch.int64), 1)
    assert [votes.tolist() for votes in vote(nothing)] == [[255]]


# --- M-step
# --------------------------------------------------------------------------------------------------


def numpy_step(teacher, scale, direction, images, gamma, exponent):
    """Loss and gradient of one step in float64, every pixel written out."""
    norm = np.linalg.norm(direction, axis=1, keepdims=True)
    unit = direction / norm
    weight = scale[:, None] * unit
    features, probabilities, labels, counts = [], [], [], []
    for one in images:
        size = one.size
        wide = interpolate(one.student_features.double(), size).flatten(1).numpy()
        classes = (
            teacher @ interpolate(one.teacher_features.double(), size).flatten(1).numpy()
        ).argmax(0)
        ids = one.proposals.flatten().numpy()
        label, count = np.full(ids.shape, IGNORE_INDEX), np.zeros(ids.shape)
        for number in set(ids.tolist()) - {0}:
            label[ids == number] = np.bincount(classes[ids == number]).argmax()
            count[ids == number] = (ids == number).sum() ** (exponent - 1)
        power = np.exp(weight @ wide - (weight @ wide).max(0))
        features.append(wide)
        probabilities.append(power / power.sum(0))
        labels.append(label)
        counts.append(count)
    wide, probability, label, count = (
        np.hstack(each) for each in (features, probabilities, labels, counts)
    )
    focal = (1 - probability.mean(1)) ** gamma
    known = np.flatnonzero(label != IGNORE_INDEX)
    weights = focal[label[known]] * count[known] * len(known) / count.sum()
    loss = -(weights * np.log(probability[label[known], known])).sum() / len(label)
    error = probability[:, known].copy()
    error[label[known], np.arange(len(known))] -= 1
    error *= weights / len(label)
    grad_weight = error @ wide[:, known].T
    grad_scale = (grad_weight * unit).sum(1)
    grad_direction = scale[:, None] / norm * (grad_weight - grad_scale[:, None] * unit)
    return loss, grad_scale, grad_direction


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("limit", [1, 10**9])
def test_loss_and_gradient_equal_a_numpy_restatement(sums, monkeypatch, limit, exponent):
    monkeypatch.setattr(pixels_module, "GROUP_ELEMENTS", limit)
    images = [
        image(seed=1),
        image(h=6, w=3, seed=2),
        image(ids=3, seed=4),
        image(h=2, w=2, ids=1, seed=3),
    ]
    teacher, direction, scale = (
        random(5, 6, seed=4),
        random(5, 6, seed=5),
        1 + 0.1 * random(5, seed=6),
    )
    student = Prototypes(scale.requires_grad_(), direction.requires_grad_())
    votes = expectation(teacher, images, sums, settings())
    loss = student_loss(
        student.effective(), images, votes, sums, settings(proposal_weight=exponent)
    )
    loss.backward()
    arrays = (value.detach().double().numpy() for value in (teacher, scale, direction))
    expected, grad_scale, grad_direction = numpy_step(*arrays, images, 2.0, exponent)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)
    np.testing.assert_allclose(student.scale.grad, grad_scale, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(student.direction.grad, grad_direction, rtol=1e-5, atol=1e-7)


def test_loss_is_weighted_cross_entropy_over_all_pixels(sums):
    one, student = image(seed=7), random(5, 6)
    votes = expectation(random(5, 6, seed=8), [one], sums, settings())
    full = interpolate(logits(one.student_features, student), one.size)[None]
    labels = pseudo_labels(one.proposals[None], votes[0][None])
    assert (labels == IGNORE_INDEX).any()
    weights = (1 - full.softmax(1).mean((0, 2, 3))) ** 2
    plain = (
        F.cross_entropy(full, labels, weight=weights, ignore_index=IGNORE_INDEX, reduction="sum")
        / labels.numel()
    )
    torch.testing.assert_close(student_loss(student, [one], votes, sums, settings()), plain)


@pytest.mark.parametrize(
    ("exponent", "counts"), [(1.0, (12, 4, 9)), (0.5, (3.4641016, 2, 3)), (0.0, (1, 1, 1))]
)
def test_a_proposal_counts_by_a_power_of_its_area(sums, exponent, counts):
    """Areas 12 and 4, 9; every token of an image is the same, so that every proposal has one
    logarithm.
    """
    first, second = torch.zeros(4, 5, dtype=torch.int64), torch.zeros(5, 4, dtype=torch.int64)
    first[:, :3], first[:, 3], second[:3, :3], second[4] = 1, 2, 1, 2
    features = [torch.tensor([1.0, 0.0])[:, None, None], torch.tensor([0.0, 2.0])[:, None, None]]
    images = [
        TrainingImage(each, each, ids) for each, ids in zip(features, (first, second), strict=True)
    ]
    votes = [torch.tensor([IGNORE_INDEX, 0, 2]), torch.tensor([IGNORE_INDEX, 1, IGNORE_INDEX])]
    student = torch.tensor([[0.5, -1.0], [0.0, 0.3], [-0.2, 0.1]])
    one, other = ((student @ each.flatten()).softmax(0) for each in features)
    focal = 1 - (one + other) / 2
    terms = [
        count * focal[label] * -p[label].log()
        for count, label, p in zip(counts, (0, 2, 1), (one, one, other), strict=True)
    ]
    expected = sum(terms) * (12 + 4 + 9) / sum(counts) / 40
    config = settings(focal_gamma=1.0, proposal_weight=exponent)
    torch.testing.assert_close(student_loss(student, images, votes, sums, config), expected)


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0])
def test_weights_of_labelled_pixels_add_up_to_their_number(sums, exponent):
    proposals = [
        image(seed=1).proposals,
        image(h=6, w=3, ids=9, seed=2).proposals,
        image(ids=1, seed=3).proposals,
    ]
    votes = [
        torch.tensor([255, 2, 255, 0, 1]),
        torch.tensor([255, 0, 0, 2, 2, 1, 0, 255, 1, 1, 2]),
        torch.tensor([255]),
    ]
    weights = pixel_weights(torch.ones(3), proposals, votes, exponent, sums)
    spread = torch.cat([each[ids.flatten()] for each, ids in zip(weights, proposals, strict=True)])
    labelled = (
        torch.cat([each[ids.flatten()] for each, ids in zip(votes, proposals, strict=True)])
        != IGNORE_INDEX
    )
    assert torch.equal(spread > 0, labelled)
    assert spread.sum().item() == pytest.approx(labelled.sum().item(), rel=1e-6)
    assert weights[1][10] == float(exponent == 1.0)  # a vote for no pixel weighs on nobody


def test_class_weights_do_not_carry_a_gradient():
    probabilities = torch.tensor([0.25, 0.75], requires_grad=True)
    weights = focal_class_weights(probabilities, 2.0)
    assert not weights.requires_grad
    torch.testing.assert_close(weights, torch.tensor([0.5625, 0.0625]))


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_the_mean_of_the_sampled_loss_over_all_pixels_is_the_loss_of_all_pixels(
    sums, monkeypatch, exponent
):
    """Class weights and votes come from all pixels, so that the sampled loss is linear in the
    sample.
    """
    one, student = image(h=5, w=6, stride=8, seed=1), random(5, 6, seed=3).requires_grad_()
    votes = expectation(random(5, 6, seed=4), [one], sums, settings())
    full = student_loss(student, [one], votes, sums, settings(proposal_weight=exponent))
    sampled = settings(proposal_weight=exponent, pixels_per_image=32)
    (expected,) = torch.autograd.grad(full, student)
    losses, gradient = [], torch.zeros(5, 6)
    for part in torch.randperm(
        one.proposals.numel(), generator=torch.Generator().manual_seed(0)
    ).split(32):
        monkeypatch.setattr(em, "_draw_pixels", lambda *_, part=part: part)
        loss = student_loss(student, [one], votes, sums, sampled)
        losses.append(loss.item())
        gradient += torch.autograd.grad(loss, student)[0]
    assert len(losses) == 60
    assert np.std(losses) > 0.01 * full.item()
    assert np.mean(losses) == pytest.approx(full.item(), rel=1e-5)
    torch.testing.assert_close(gradient / len(losses), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pixels", [None, 100])
def test_loops_and_torch_agree_on_a_step(pixels, exponent):
    images = [image(h=5, w=6, stride=8, seed=seed) for seed in range(3)] + [image(h=3, w=4, seed=9)]
    teacher, student = random(11, 6, seed=4), random(11, 6, seed=3).requires_grad_()

    config = settings(min_agreement=0.5, pixels_per_image=pixels, proposal_weight=exponent)

    def step(way):
        votes = expectation(teacher, images, way, config)
        generator = torch.Generator().manual_seed(0)
        loss = student_loss(student, images, votes, way, config, generator)
        closest = kmeans_loss(student, [one.student_features for one in images], way)
        return (
            votes,
            loss,
            closest,
            *(torch.autograd.grad(value, student)[0] for value in (loss, closest)),
        )

    found, plain = step(CompiledSums()), step(PlainSums())
    for votes, expected in zip(found[0], plain[0], strict=True):
        assert torch.equal(votes, expected[: len(votes)])
    torch.testing.assert_close(found[1:], plain[1:], rtol=1e-5, atol=1e-6)


def test_one_and_three_threads_give_the_same_bytes():
    images = [image(h=5, w=6, stride=8, seed=seed) for seed in range(3)] + [image(h=3, w=4, seed=9)]
    student, config = random(11, 6, seed=3).requires_grad_(), settings(proposal_weight=0.3)
    found = []
    with one_thread_each(), ThreadPoolExecutor(3) as pool:
        for count in (1, 3):
            sums = CompiledSums(Workers(None if count == 1 else pool, count))
            votes = expectation(random(11, 6, seed=4), images, sums, config)
            loss = student_loss(student, images, votes, sums, config)
            found.append((*votes, loss, *torch.autograd.grad(loss, student)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_sampled_loss_is_unbiased(sums):
    images = [image(h=5, w=5, seed=1), image(h=3, w=4, seed=2)]
    student, sampled = random(5, 6, seed=3), settings(pixels_per_image=40)
    votes = expectation(random(5, 6, seed=4), images, sums, settings())
    full = student_loss(student, images, votes, sums, settings()).item()
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor(
        [student_loss(student, images, votes, sums, sampled, generator).item() for _ in range(600)]
    )
    error = draws.std().item() / len(draws) ** 0.5
    assert error < 0.02 * full
    assert abs(draws.mean().item() - full) < 4 * error


def test_sampling_at_least_all_pixels_is_the_full_loss(sums):
    one, student = image(), random(5, 6)
    votes = expectation(student, [one], sums, settings())
    exact = student_loss(student, [one], votes, sums, settings())
    sampled = settings(pixels_per_image=one.proposals.numel())
    assert torch.equal(student_loss(student, [one], votes, sums, sampled), exact)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
@pytest.mark.parametrize("pixels", [None, 16])
def test_batch_without_proposals_has_zero_loss_and_gradient(sums, pixels, exponent):
    one, student = image(ids=1), random(5, 6).requires_grad_()
    votes = expectation(student.detach(), [one], sums, settings())
    config = settings(pixels_per_image=pixels, proposal_weight=exponent)
    loss = student_loss(student, [one], votes, sums, config, torch.Generator())
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(student.grad, torch.zeros(5, 6))


def test_kmeans_loss_is_the_mean_cosine_to_the_closest_prototype(sums):
    maps, prototypes = [random(6, 3, 4), random(6, 2, 2, seed=1)], random(5, 6, seed=2)
    tokens = torch.cat([values.flatten(1) for values in maps], dim=1).T
    cosines = F.cosine_similarity(tokens[:, None], prototypes[None], dim=2)
    torch.testing.assert_close(kmeans_loss(prototypes, maps, sums), -cosines.max(1).values.mean())


# --- teacher
# --------------------------------------------------------------------------------------------------


def test_momentum_schedule():
    expected = {
        1: 0.0,
        2: 0.0,
        3: 2 / 3,
        4: 0.75,
        5: 0.8,
        10: 0.9,
        20: 0.95,
        49: 48 / 49,
        50: 0.98,
        51: 0.98,
        500: 0.98,
    }
    assert {call: teacher_momentum(call, 0.98) for call in expected} == pytest.approx(expected)
    assert [teacher_momentum(1, 1.0), teacher_momentum(9, 0.0)] == [1.0, 0.0]


def test_teacher_is_the_running_mean_of_the_students_before_the_cap():
    students = [Prototypes(random(5, seed=seed), random(5, 6, seed=seed)) for seed in range(8)]
    teacher = Prototypes(torch.zeros(5), torch.zeros(5, 6))
    for call, student in enumerate(students, start=1):
        teacher = update_teacher(teacher, student, call, 0.98)
    # The first student was replaced by the second one, which therefore counts twice.
    counted = [students[1], *students[1:]]
    torch.testing.assert_close(
        teacher.scale, torch.stack([student.scale for student in counted]).mean(0)
    )
    torch.testing.assert_close(
        teacher.direction, torch.stack([student.direction for student in counted]).mean(0)
    )


def test_sixty_steps_follow_the_recorded_trajectory(sums):
    if not GOLDEN.exists():
        pytest.skip(f"{GOLDEN} is absent")
    golden = load_file(GOLDEN)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    proposals = golden["proposals"].long()
    proposals = torch.where(proposals == 255, 0, proposals + 1)
    direction = golden["prototypes_init"].clone().requires_grad_()
    scale = torch.ones(len(direction), requires_grad=True)
    student, teacher = (
        Prototypes(scale, direction),
        Prototypes(torch.ones(len(direction)), golden["prototypes_init"].clone()),
    )
    optimizer = torch.optim.Adam([scale, direction], lr=5e-3)
    try:
        for step, batch in enumerate(golden["batch_indices"].tolist()):
            images = [
                TrainingImage(golden["features"][i], golden["features_student"][i], proposals[i])
                for i in batch
            ]
            votes = expectation(teacher.effective(), images, sums, settings())
            optimizer.zero_grad()
            loss = student_loss(student.effective(), images, votes, sums, settings())
            loss.backward()
            optimizer.step()
            if step > 0 and step % 10 == 0:
                teacher = update_teacher(teacher, student, step // 10, 0.98)
            padded = torch.full((len(batch), 11), IGNORE_INDEX)
            for row, classes in zip(padded, votes, strict=True):
                row[: len(classes)] = classes
            assert torch.equal(padded[:, 1:], golden["vote"][step].long())
            current = (loss, student.scale, student.direction, teacher.scale, teacher.direction)
            names = ("loss", "student_g", "student_v", "teacher_g", "teacher_v")
            for name, value in zip(names, current, strict=True):
                torch.testing.assert_close(
                    value.detach(),
                    golden[name][step],
                    rtol=0,
                    atol=1e-4,
                    msg=lambda m, n=name: f"{n}: {m}",
                )
    finally:
        torch.set_num_threads(threads)
