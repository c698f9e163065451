import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.proposals.leading_direction import RemainingTokens
from primaps.proposals.principal import (
    MASK_LIMIT,
    median_filter,
    principal_direction,
    principal_masks,
    soft_scores,
)


def plain_masks(features, threshold, stop_fraction=0.95):
    """The default decomposition written as loops over tokens, with a full SVD."""
    channels, height, width = features.shape
    tokens = features.reshape(channels, -1).T.astype(np.float64)
    norms = np.linalg.norm(tokens, axis=1)
    available = [index for index in range(len(tokens)) if norms[index] > 0]
    used = len(tokens) - len(available)
    masks = []
    while used < stop_fraction * len(tokens) and available:
        centred = tokens[available] - tokens[available].mean(axis=0)
        direction = np.linalg.svd(centred, full_matrices=True)[2][0]
        strengths = [abs(tokens[index] @ direction) / norms[index] for index in available]
        anchor = available[int(np.argmax(strengths))]
        mask = np.zeros(len(tokens))
        for index in list(available):
            cosine = tokens[index] @ tokens[anchor] / (norms[index] * norms[anchor])
            if cosine >= threshold:
                mask[index] = cosine
                available.remove(index)
                used += 1
        masks.append(mask.reshape(height, width))
    return np.array(masks)


def random_features(seed, channels=12, height=7, width=9):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(4, channels)) * 3
    labels = generator.integers(0, 4, size=(height, width))
    return (
        (centres[labels] + generator.normal(size=(height, width, channels)))
        .transpose(2, 0, 1)
        .astype(np.float32)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_agrees_with_the_plain_statement(seed, threshold):
    features = random_features(seed)
    found = principal_masks(torch.from_numpy(features), threshold)
    np.testing.assert_allclose(
        found.similarity.numpy(), plain_masks(features, threshold), atol=1e-5
    )


def test_two_regions_give_two_masks():
    features = torch.zeros(3, 6, 8)
    features[0, :, :3] = 2.0
    features[1, :, 3:] = 5.0
    found = principal_masks(features)
    assert found.similarity.shape == (2, 6, 8)
    assert torch.equal(found.similarity.sum(dim=0), torch.ones(6, 8))
    assert {frozenset(mask.nonzero()[:, 1].tolist()) for mask in found.similarity} == {
        frozenset(range(3)),
        frozenset(range(3, 8)),
    }
    assert torch.allclose(found.scores, torch.ones(2))
    assert found.guards == ()


@given(
    seed=st.integers(0, 10_000),
    threshold=st.floats(0.05, 1.0),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    official=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_masks_are_disjoint_finite_and_ordered(seed, threshold, height, width, official):
    features = torch.from_numpy(random_features(seed, 5, height, width))
    found = principal_masks(features, threshold, official_anchor=official)
    assert torch.isfinite(found.similarity).all()
    assert torch.isfinite(found.scores).all()
    assert int((found.similarity > 0).sum(dim=0).max()) <= 1
    assert len(found.similarity) == len(found.scores) == len(found.anchors)
    assert all(bool(mask.any()) for mask in found.similarity)
    assert float((found.similarity > 0).any(dim=0).double().mean()) >= 0.95
    scores, _ = soft_scores(found.similarity)
    assert torch.isfinite(scores).all()
    assert torch.allclose(scores.exp().sum(dim=0), torch.ones(height, width), atol=1e-5)


@given(scale=st.floats(1e-3, 1e3), dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=20, deadline=None)
def test_the_magnitude_of_features_does_not_matter(scale, dtype):
    features = torch.from_numpy(random_features(3))
    expected = principal_masks(features).similarity
    assert torch.allclose(
        principal_masks((features * scale).to(dtype)).similarity, expected, atol=1e-5
    )


def test_a_rotation_of_the_channels_does_not_matter():
    features = torch.from_numpy(random_features(5))
    rotation = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0))).Q
    rotated = torch.einsum("dc,chw->dhw", rotation, features)
    assert torch.allclose(
        principal_masks(rotated).similarity, principal_masks(features).similarity, atol=1e-4
    )


@pytest.mark.parametrize("official", [False, True])
def test_constant_features_are_one_mask(official):
    found = principal_masks(torch.full((4, 5, 5), -2.0), official_anchor=official)
    assert len(found.similarity) == 1
    assert bool((found.similarity > 0).all())


def test_zero_features_are_no_mask():
    found = principal_masks(torch.zeros(4, 3, 3))
    assert found.similarity.shape == (0, 3, 3)
    assert found.guards == ("zero_tokens",)
    scores, _ = soft_scores(found.similarity)
    assert torch.equal(scores, torch.zeros(1, 3, 3))


def test_some_zero_tokens_belong_to_no_mask():
    features = torch.from_numpy(random_features(1))
    features[:, 2, 3] = 0
    found = principal_masks(features)
    assert found.guards == ("zero_tokens",)
    assert not found.similarity[:, 2, 3].any()


def test_one_token():
    found = principal_masks(torch.tensor([[[3.0]], [[4.0]]]))
    assert torch.equal(found.similarity, torch.ones(1, 1, 1))


def test_number_of_masks_is_limited():
    orthogonal = torch.eye(300).reshape(300, 15, 20)
    assert len(principal_masks(orthogonal, 0.9).similarity) == MASK_LIMIT
    assert len(principal_masks(orthogonal, 0.9, max_masks=3).similarity) == 3


def test_official_anchor_needs_its_guards_where_the_official_code_divides_zero_by_zero():
    # Every later token is opposite to the direction and orthogonal to the first, used one.
    found = {
        guard
        for seed in range(200)
        for guard in principal_masks(sparse_features(seed), 0.4, official_anchor=True).guards
    }
    assert "anchor_among_used" in found
    assert "anchor_without_tokens" in found
    for seed in range(200):
        assert not {"anchor_among_used", "anchor_without_tokens"} & set(
            principal_masks(sparse_features(seed), 0.4).guards
        )


def sparse_features(seed):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(6, 3, 3, generator=generator) * (torch.rand(6, 3, 3, generator=generator) < 0.4)
        + 1e-3
    )


@pytest.mark.parametrize("shape", [(60, 12), (8, 12), (90, 75), (65, 80), (50, 80)])
def test_direction_is_the_first_principal_one_with_the_sign_of_pca_lowrank(shape):
    agreed = 0
    for seed in range(20):
        torch.manual_seed(seed)
        tokens = torch.randn(shape, dtype=torch.float64) @ torch.diag(
            torch.arange(1, shape[1] + 1, dtype=torch.float64)
        )
        reference = torch.pca_lowrank(tokens, q=3, niter=100)[2][:, 0]
        direction = principal_direction(RemainingTokens(tokens))
        assert abs(float(direction @ reference)) == pytest.approx(1.0, abs=1e-6)
        agreed += float(direction @ reference) > 0
    assert agreed >= 19  # the sign of the reference itself can depend on its random start


def test_median_filter_agrees_with_loops():
    masks = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0))
    padded = np.pad(masks.numpy(), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    expected = np.zeros((2, 4, 5), dtype=np.float32)
    for mask, row, column in itertools.product(range(2), range(4), range(5)):
        expected[mask, row, column] = np.median(padded[mask, row : row + 3, column : column + 3])
    np.testing.assert_array_equal(median_filter(masks).numpy(), expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (1, 5, 1), (0, 4, 4)])
def test_median_filter_of_thin_grids_keeps_constant_masks(shape):
    assert torch.equal(median_filter(torch.ones(shape)), torch.ones(shape))


def test_background_is_what_no_mask_claims_for_one_mask_too():
    similarity = torch.zeros(1, 4, 4)
    similarity[0, :, :2] = 0.7
    scores, guards = soft_scores(similarity)
    assert guards == ()
    assert torch.equal(scores.argmax(dim=0)[:, 0], torch.ones(4, dtype=torch.int64))
    assert torch.equal(scores.argmax(dim=0)[:, 3], torch.zeros(4, dtype=torch.int64))
    active, passive = np.log(np.e / (np.e + 1)), np.log(1 / (np.e + 1))
    assert scores[1, 0, 0].item() == pytest.approx(active, abs=1e-6)
    assert scores[0, 0, 0].item() == pytest.approx(passive, abs=1e-6)


def test_masks_thinner_than_the_filter_are_kept_if_all_are():
    similarity = torch.zeros(2, 5, 5)
    similarity[0, 1, 1] = 1.0
    similarity[1, 3, 3] = 1.0
    scores, guards = soft_scores(similarity)
    assert guards == ("median_erased_all",)
    assert int(scores.argmax(dim=0)[1, 1]) == 1
