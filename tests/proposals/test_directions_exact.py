import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from primaps.proposals.directions_exact import RemainingTokens, leading_eigenvector
from primaps.proposals.principal import principal_masks


def random_tokens(generator, count, channels):
    """Tokens of decaying variances, as features have."""
    return generator.normal(size=(count, channels)) * 0.97 ** np.arange(channels)


def equal_eigenvalues(generator, count, channels):
    """Signed unit vectors by turns: the covariance of all of them is a multiple of the identity."""
    units = np.eye(channels)[np.arange(count) % channels]
    return units * (-1.0) ** (np.arange(count) // channels)[:, None]


def close_eigenvalues(generator, count, channels):
    """The first two eigenvalues differ by some 0.1 %."""
    tokens = generator.normal(size=(count, channels)) * 0.05
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    tokens[:, 0] = 1.0005 * np.cos(angles)
    tokens[:, -1] = np.sin(angles)
    return tokens


def rank_one(generator, count, channels):
    return np.outer(generator.normal(size=count), generator.normal(size=channels))


def constant(generator, count, channels):
    return np.tile(generator.normal(size=channels), (count, 1))


def far_from_the_origin(generator, count, channels):
    return random_tokens(generator, count, channels) + 1e4


def energy_in_few(generator, count, channels):
    """A tenth of the tokens, the first to be removed, holds nearly all of the variance."""
    return (
        random_tokens(generator, count, channels)
        * np.where(np.arange(count) < count / 10, 1e5, 1.0)[:, None]
    )


KINDS = [
    random_tokens,
    equal_eigenvalues,
    close_eigenvalues,
    rank_one,
    constant,
    far_from_the_origin,
    energy_in_few,
]
SHAPES = [
    (600, 40),
    (400, 150),
    (150, 150),
    (130, 400),
    (1, 5),
    (2, 5),
    (1, 200),
    (2, 200),
    (9, 1),
    (5, 2),
]


def check_against_svd(direction, rows):
    """It is the first right singular vector; where that is in doubt, it explains as much
    variance.
    """
    centred = rows - rows.mean(axis=0)
    _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
    found = direction.numpy()
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-12)
    if singular[0] <= 1e-9 * np.abs(rows).max() * len(rows):
        return  # constant tokens: every direction is as good
    explained = np.linalg.norm(centred @ found)
    assert explained == pytest.approx(singular[0], rel=1e-8)
    second = singular[1] if len(singular) > 1 else 0.0
    if singular[0] - second > 1e-5 * singular[0]:
        assert abs(found @ vectors[0]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_direction_after_every_removal_equals_the_svd_of_what_is_left(kind, shape):
    generator = np.random.default_rng(0)
    tokens = kind(generator, *shape)
    remaining = RemainingTokens(torch.from_numpy(tokens))
    left = np.arange(len(tokens))
    while len(left):
        assert remaining.count == len(left)
        check_against_svd(remaining.direction(), tokens[left])
        expected = tokens[left[0]] - tokens[left].mean(axis=0)
        np.testing.assert_allclose(
            remaining.first().numpy(), expected, atol=1e-12 * np.abs(tokens).max()
        )
        used = left[: max(1, len(left) * 2 // 7)]
        remaining.remove(
            torch.zeros(len(tokens), dtype=torch.bool).index_fill(0, torch.from_numpy(used), True)
        )
        left = left[len(used) :]
    assert not remaining.available.any()


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 160),
    channels=st.integers(1, 140),
    kind=st.sampled_from(KINDS),
    parts=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_removal_and_asking(seed, count, channels, kind, parts):
    generator = np.random.default_rng(seed)
    tokens = kind(generator, count, channels)
    available = generator.random(count) < 0.9
    available[generator.integers(count)] = True
    remaining = RemainingTokens(torch.from_numpy(tokens), torch.from_numpy(available))
    for part in parts:
        if generator.random() < 0.7:
            check_against_svd(remaining.direction(), tokens[available])
        used = available & (generator.random(count) < part)
        if used.sum() < available.sum():
            remaining.remove(torch.from_numpy(used))
            available &= ~used
    np.testing.assert_array_equal(remaining.available.numpy(), available)
    check_against_svd(remaining.direction(), tokens[available])


def test_the_given_mask_is_left_alone():
    available = torch.ones(6, dtype=torch.bool)
    RemainingTokens(torch.eye(6, dtype=torch.float64), available).remove(torch.arange(6) < 3)
    assert bool(available.all())


@pytest.mark.parametrize("size", [3, 50, 128, 129, 250])
@pytest.mark.parametrize("multiplicity", [1, 2, 3])
def test_a_multiple_eigenvalue_is_noticed(size, multiplicity):
    orthogonal = torch.linalg.qr(
        torch.randn(size, size, generator=torch.Generator().manual_seed(size)).double()
    ).Q
    values = 0.9 ** torch.arange(size, dtype=torch.float64)
    values[:multiplicity] = 2.0
    found = leading_eigenvector(orthogonal * values @ orthogonal.T)
    if multiplicity > 1:
        assert found is None
    else:
        assert found is not None
        assert abs(float(found @ orthogonal[:, 0])) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("size", [1, 5, 200])
def test_a_zero_matrix_has_no_leading_eigenvector(size):
    assert leading_eigenvector(torch.zeros(size, size, dtype=torch.float64)) is None


def test_a_flat_spectrum_that_lanczos_cannot_resolve_is_decomposed_in_full():
    size = 400
    orthogonal = torch.linalg.qr(
        torch.randn(size, size, generator=torch.Generator().manual_seed(0)).double()
    ).Q
    found = leading_eigenvector(
        orthogonal * torch.linspace(1.0, 0.99, size, dtype=torch.float64) @ orthogonal.T
    )
    assert found is not None
    assert abs(float(found @ orthogonal[:, 0])) == pytest.approx(1.0, abs=1e-12)


def test_features_may_require_a_gradient():
    tokens = (
        torch.randn(300, 150, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    )
    check_against_svd(RemainingTokens(tokens).direction().detach(), tokens.detach().numpy())


def test_where_the_direction_is_in_doubt_it_is_the_one_of_the_full_decomposition():
    tokens = torch.from_numpy(equal_eigenvalues(None, 400, 200))
    expected = torch.linalg.eigh(tokens.T @ tokens).eigenvectors[:, -1]
    assert torch.equal(RemainingTokens(tokens).direction(), expected)


def svd_masks(features, threshold):
    """The default decomposition with a full SVD of the centred remaining tokens in every round:
    anchors and members.
    """
    tokens = features.flatten(1).T.double()
    unit = torch.nn.functional.normalize(tokens, dim=1)
    available = torch.ones(len(tokens), dtype=torch.bool)
    anchors, members = [], []
    while float((~available).double().mean()) < 0.95:
        rows = tokens[available]
        direction = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh[0]
        anchor = int((unit @ direction).abs().masked_fill(~available, -1.0).argmax())
        member = (unit @ unit[anchor] >= threshold) & available
        anchors.append(anchor)
        members.append(member)
        available &= ~member
    return anchors, torch.stack(members).reshape(-1, *features.shape[1:])


@pytest.mark.parametrize("name", ["0016E5_04470", "106020", "28096"])
def test_masks_of_real_features_equal_those_by_svd(name, shared):
    features = load_file(shared / "golden" / f"{name}.safetensors")["features"].float()
    anchors, members = svd_masks(features, 0.4)
    found = principal_masks(features[None], 0.4)
    assert found.anchors[0].tolist() == anchors
    assert torch.equal(found.similarity[0] > 0, members)


@pytest.mark.parametrize("shape", [(300, 16, 12), (20, 9, 30), (160, 14, 14)])
def test_masks_of_clustered_features_equal_those_by_svd(shape):
    generator = torch.Generator().manual_seed(1)
    channels, height, width = shape
    centres = torch.randn(7, channels, generator=generator)
    labels = torch.randint(0, 7, (height, width), generator=generator)
    features = centres[labels].permute(2, 0, 1) + 0.6 * torch.randn(shape, generator=generator)
    anchors, members = svd_masks(features, 0.4)
    found = principal_masks(features[None], 0.4)
    assert found.anchors[0].tolist() == anchors
    assert torch.equal(found.similarity[0] > 0, members)
    assert torch.equal(principal_masks(features[None], 0.4).similarity, found.similarity)
