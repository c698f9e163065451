import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.proposals.directions_batched import BatchedDirections
from primaps.proposals.directions_exact import ExactDirections
from primaps.proposals.principal import MASK_LIMIT, principal_masks, rounds
from primaps.proposals.soft_scores import soft_scores

FINDERS = [ExactDirections, BatchedDirections]


def clustered(seed, images, channels, height, width):
    """Features of a few kinds each, with noise."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(images, 5, channels, generator=generator) * 3
    kinds = torch.randint(0, 5, (images, height * width), generator=generator)
    tokens = centres[torch.arange(images)[:, None], kinds] + torch.randn(
        images, height * width, channels, generator=generator
    )
    return tokens.transpose(1, 2).reshape(images, channels, height, width)


@pytest.mark.parametrize("directions", FINDERS)
@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.6])
@pytest.mark.parametrize("shape", [(12, 7, 9), (70, 9, 9), (66, 8, 8), (20, 9, 9), (5, 4, 8)])
def test_agrees_with_the_plain_statement(shape, threshold, official, directions, reference):
    features = clustered(3, 4, *shape)
    found = principal_masks(features, threshold, official_anchor=official, directions=directions)
    assert found.doubtful < 4  # most images really take the path of the batch
    for image, grid in enumerate(features):
        expected = reference.decomposition(grid.numpy(), threshold, official=official)
        count = found.counts[image]
        assert found.anchors[image, :count].tolist() == expected.anchors
        torch.testing.assert_close(
            found.similarity[image, :count].numpy(),
            np.array(expected.similarity, dtype=np.float32),
            rtol=0,
            atol=1e-6,
        )
        assert found.scores[image, :count].tolist() == pytest.approx(expected.scores, abs=1e-6)
        assert list(found.guards[image]) == expected.guards
        assert not found.similarity[image, count:].any()
        assert not found.scores[image, count:].any()
        assert (found.anchors[image, count:] == -1).all()


@pytest.mark.parametrize("directions", FINDERS)
def test_guards_of_the_official_anchor_are_those_of_the_plain_statement(directions, reference):
    features = torch.randn(12, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    found = principal_masks(features, 0.3, official_anchor=True, directions=directions)
    expected = [reference.decomposition(grid.numpy(), 0.3, official=True) for grid in features]
    assert [list(guards) for guards in found.guards] == [each.guards for each in expected]
    assert any("anchor_among_used" in guards for guards in found.guards)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("directions", FINDERS)
def test_rounds_are_the_masks_one_by_one(directions, official):
    features = clustered(7, 3, 10, 5, 6)
    options = {"official_anchor": official, "directions": directions}
    masks = principal_masks(features, 0.5, **options)
    taken = torch.zeros(3, 30, dtype=torch.bool)
    for number, each in enumerate(rounds(features, 0.5, 0.95, MASK_LIMIT, **options)):
        assert torch.equal(each.available, ~taken)
        assert each.made.tolist() == [number < count for count in masks.counts]
        for image in each.made.nonzero().flatten().tolist():
            assert int(each.anchors[image]) == int(masks.anchors[image, number])
            member = each.similarity[image] > 0
            assert torch.equal(member.view(5, 6), masks.similarity[image, number] > 0)
        taken |= each.similarity > 0


def test_alignments_have_the_official_sign_on_request():
    features = clustered(8, 6, 10, 5, 6)
    plain, signed, official = (
        next(rounds(features, 0.5, 0.95, 1, official_anchor=kind, signed=sign)).alignment
        for kind, sign in ((False, False), (False, True), (True, False))
    )
    assert torch.equal(plain.abs(), signed.abs())
    assert torch.equal(signed, official)
    assert not torch.equal(plain, signed)


def test_two_regions_give_two_masks():
    features = torch.zeros(3, 6, 8)
    features[0, :, :3] = 2.0
    features[1, :, 3:] = 5.0
    found = principal_masks(features[None])
    similarity, scores = found.similarity[0], found.scores[0]
    assert similarity.shape == (2, 6, 8)
    assert torch.equal(similarity.sum(dim=0), torch.ones(6, 8))
    assert {frozenset(mask.nonzero()[:, 1].tolist()) for mask in similarity} == {
        frozenset(range(3)),
        frozenset(range(3, 8)),
    }
    assert torch.allclose(scores, torch.ones(2))
    assert found.guards == ((),)


@given(
    seed=st.integers(0, 10_000),
    threshold=st.floats(0.05, 1.0),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    official=st.booleans(),
    directions=st.sampled_from(FINDERS),
)
@settings(max_examples=60, deadline=None)
def test_masks_are_disjoint_finite_and_ordered(
    seed, threshold, height, width, official, directions
):
    features = clustered(seed, 1, 5, height, width)
    found = principal_masks(features, threshold, official_anchor=official, directions=directions)
    similarity, count = found.similarity[0], found.counts[0]
    assert torch.isfinite(similarity).all()
    assert torch.isfinite(found.scores).all()
    assert int((similarity > 0).sum(dim=0).max()) <= 1
    assert len(similarity) == len(found.scores[0]) == len(found.anchors[0]) == count
    assert all(bool(mask.any()) for mask in similarity)
    assert float((similarity > 0).any(dim=0).double().mean()) >= 0.95
    scores, _ = soft_scores(found.similarity, found.counts)
    assert torch.isfinite(scores).all()
    assert torch.allclose(scores[0].exp().sum(dim=0), torch.ones(height, width), atol=1e-5)


@given(scale=st.floats(1e-3, 1e3), dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=20, deadline=None)
def test_the_magnitude_of_features_does_not_matter(scale, dtype):
    features = clustered(3, 1, 12, 7, 9)
    expected = principal_masks(features).similarity
    assert torch.allclose(
        principal_masks((features * scale).to(dtype)).similarity, expected, atol=1e-5
    )


@given(seed=st.integers(0, 10_000), power=st.integers(-20, 20), directions=st.sampled_from(FINDERS))
@settings(max_examples=40, deadline=None)
def test_a_power_of_two_as_magnitude_changes_no_bit(seed, power, directions):
    features = clustered(seed, 2, 5, 4, 5)
    plain, scaled = (
        principal_masks(each, 0.4, directions=directions)
        for each in (features, features * 2.0**power)
    )
    assert torch.equal(plain.similarity, scaled.similarity)
    assert torch.equal(plain.anchors, scaled.anchors)


@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    axis=st.sampled_from([-1, -2]),
    directions=st.sampled_from(FINDERS),
)
@settings(max_examples=60, deadline=None)
def test_mirrored_features_give_mirrored_masks(seed, height, width, axis, directions):
    generator = torch.Generator().manual_seed(seed)
    # kinds at right angles, noise far below the threshold: no rounding decides what is a member
    kinds = torch.eye(6)[torch.randint(0, 6, (height * width,), generator=generator)] * 3.0
    tokens = kinds + 0.02 * torch.randn(height * width, 6, generator=generator)
    features = tokens.T.reshape(1, 6, height, width)
    plain, mirrored = (
        principal_masks(each, 0.5, directions=directions)
        for each in (features, features.flip(axis))
    )
    again = mirrored.similarity.flip(axis)
    assert plain.counts == mirrored.counts
    # kinds of equally many tokens may come in another order
    assert {
        frozenset(mask.flatten().nonzero().flatten().tolist()) for mask in plain.similarity[0]
    } == {frozenset(mask.flatten().nonzero().flatten().tolist()) for mask in again[0]}


def test_a_rotation_of_the_channels_does_not_matter():
    features = clustered(5, 1, 12, 7, 9)
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0))).Q
    rotated = torch.einsum("dc,bchw->bdhw", rotation, features)
    assert torch.allclose(
        principal_masks(rotated).similarity, principal_masks(features).similarity, atol=1e-4
    )


@pytest.mark.parametrize("official", [False, True])
def test_constant_features_are_one_mask(official):
    found = principal_masks(torch.full((1, 4, 5, 5), -2.0), official_anchor=official)
    assert found.counts == (1,)
    assert bool((found.similarity > 0).all())


def test_zero_features_are_no_mask():
    found = principal_masks(torch.zeros(1, 4, 3, 3))
    assert found.similarity.shape == (1, 0, 3, 3)
    assert found.guards == (("zero_tokens",),)
    scores, _ = soft_scores(found.similarity, found.counts)
    assert torch.equal(scores, torch.zeros(1, 1, 3, 3))


def test_some_zero_tokens_belong_to_no_mask():
    features = clustered(1, 1, 12, 7, 9)
    features[:, :, 2, 3] = 0
    found = principal_masks(features)
    assert found.guards == (("zero_tokens",),)
    assert not found.similarity[:, :, 2, 3].any()


def test_one_token():
    found = principal_masks(torch.tensor([[[[3.0]], [[4.0]]]]))
    assert torch.equal(found.similarity, torch.ones(1, 1, 1, 1))


def test_number_of_masks_is_limited():
    orthogonal = torch.eye(300).reshape(1, 300, 15, 20)
    assert principal_masks(orthogonal, 0.9).counts == (MASK_LIMIT,)
    assert principal_masks(orthogonal, 0.9, max_masks=3).counts == (3,)


def test_official_anchor_needs_its_guards_where_the_official_code_divides_zero_by_zero():
    # Every later token is opposite to the direction and orthogonal to the first, used one.
    names = ("anchor_among_used", "anchor_without_tokens")
    features = sparse(0, images=200)
    found, default = (
        {
            guard
            for grid in features
            for guard in principal_masks(grid[None], official_anchor=official).guards[0]
        }
        for official in (True, False)
    )
    assert found >= set(names)
    assert not default & set(names)


def sparse(seed, images=20):
    """Tokens that are orthogonal or opposite to each other: what the official anchor needs its
    guards for.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 6, 3, 3)
    return (
        torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.4)
        + 1e-3
    )
