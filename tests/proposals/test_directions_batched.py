"""Eigenvectors by products alone, and decompositions with directions that are found for many images
at once.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.proposals.decomposition import plane_of
from primaps.proposals.directions_batched import BatchedDirections, _part, leading_eigenvectors
from primaps.proposals.principal import MASK_LIMIT, principal_masks, rounds


def matrix_of(values, seed):
    """A matrix with these eigenvalues, and the vector of the first."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(
        torch.randn(len(values), len(values), dtype=torch.float64, generator=generator)
    ).Q
    return vectors @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ vectors.T, vectors[
        :, 0
    ]


@given(
    seed=st.integers(0, 1000),
    size=st.integers(2, 30),
    gap=st.floats(3e-3, 1.0),
    scale=st.floats(1e-8, 1e8),
)
@settings(max_examples=40, deadline=None)
def test_vectors_are_those_of_the_largest_eigenvalue(seed, size, gap, scale):
    others = torch.rand(size - 1, generator=torch.Generator().manual_seed(seed)).double() * (
        1 - gap
    )
    matrix, expected = matrix_of([scale, *(others * scale).tolist()], seed)
    vectors, certain = leading_eigenvectors(torch.stack([matrix, matrix.flip(0, 1)]))
    assert certain.all()
    for found, exact in zip(vectors, (expected, expected.flip(0)), strict=True):
        assert (found - exact * torch.sign(exact @ found)).norm() < 2e-9


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 0.5], [1.0, 1.0 - 1e-7, 0.1], [0.0, 0.0, 0.0], [1.0] * 8]
)
def test_a_multiple_eigenvalue_is_not_certain(values):
    vectors, certain = leading_eigenvectors(matrix_of(values, 3)[0][None])
    assert not certain.any()
    assert vectors.isfinite().all()


@given(seed=st.integers(0, 1000), gap=st.floats(1e-9, 1e-2))
@settings(max_examples=40, deadline=None)
def test_what_is_certain_is_exact_however_small_the_gap(seed, gap):
    matrix, expected = matrix_of([1.0, 1.0 - gap, 0.3, 0.1], seed)
    vectors, certain = leading_eigenvectors(matrix[None])
    if certain[0]:
        assert 1.0 - (vectors[0] @ expected).abs() < 1e-14
    else:
        assert gap < 2e-3


def test_one_channel():
    vectors, certain = leading_eigenvectors(torch.full((2, 1, 1), 7.0, dtype=torch.float64))
    assert certain.all()
    assert torch.equal(vectors.abs(), torch.ones(2, 1, dtype=torch.float64))


def assert_same_as_alone(features, threshold=0.4, **options):
    """Compares every image of a batch with its decomposition by exact directions, and returns the
    batch.
    """
    found = principal_masks(features, threshold, directions=BatchedDirections, **options)
    for image, grid in enumerate(features):
        expected = principal_masks(grid[None], threshold, **options)
        count = expected.counts[0]
        assert found.counts[image] == count
        assert torch.equal(found.similarity[image, :count] > 0, expected.similarity[0] > 0)
        torch.testing.assert_close(
            found.similarity[image, :count], expected.similarity[0], rtol=0, atol=1e-6
        )
        torch.testing.assert_close(
            found.scores[image, :count], expected.scores[0], rtol=0, atol=1e-6
        )
        assert torch.equal(found.anchors[image, :count], expected.anchors[0])
        assert found.guards[image] == expected.guards[0]
        for beyond in (found.similarity, found.scores):
            assert not beyond[image, count:].any()
    return found


def clustered(seed, images, channels, height, width):
    """Features of a few kinds each, with noise."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(images, 5, channels, generator=generator) * 3
    kinds = torch.randint(0, 5, (images, height * width), generator=generator)
    tokens = centres[torch.arange(images)[:, None], kinds] + torch.randn(
        images, height * width, channels, generator=generator
    )
    return tokens.transpose(1, 2).reshape(images, channels, height, width)


@given(
    seed=st.integers(0, 10_000),
    images=st.integers(1, 5),
    channels=st.sampled_from([1, 2, 5, 40]),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    threshold=st.sampled_from([0.05, 0.3, 0.4, 0.8, 1.0]),
    official=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_masks_are_those_of_every_image_alone(
    seed, images, channels, height, width, threshold, official
):
    assert_same_as_alone(
        clustered(seed, images, channels, height, width), threshold, official_anchor=official
    )


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("shape", [(70, 9, 9), (66, 8, 8), (20, 9, 9)])
def test_signs_follow_pca_lowrank_on_both_of_its_paths(shape, official):
    found = assert_same_as_alone(clustered(0, 4, *shape), official_anchor=official)
    assert found.doubtful < 4  # most images really take the path of the batch


def test_no_image_is_decomposed_alone_where_tokens_differ():
    assert assert_same_as_alone(clustered(1, 3, 12, 6, 7)).doubtful == 0


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


@pytest.mark.parametrize("official", [False, True])
def test_guards_are_the_same(official):
    guards = {
        guard
        for seed in range(3)
        for each in assert_same_as_alone(sparse(seed), official_anchor=official).guards
        for guard in each
    }
    assert ("anchor_among_used" in guards) is official
    assert ("anchor_without_tokens" in guards) is official


def test_official_anchor_among_used_tokens_is_found_in_the_batch_too():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(12, 6, 6, 6, generator=generator)
    found = assert_same_as_alone(features, 0.3, official_anchor=True)
    alone = [principal_masks(grid[None], 0.3, official_anchor=True).guards[0] for grid in features]
    assert found.doubtful < 12
    assert list(found.guards) == alone
    assert any("anchor_among_used" in guards for guards in alone)


@pytest.mark.parametrize("official", [False, True])
def test_degenerate_images_in_one_batch_with_ordinary_ones(official):
    features = clustered(2, 6, 4, 5, 6)
    features[0] = 0.0
    features[1] = -2.0
    features[2, :, 2, 3] = 0.0
    features[3] = 0.0
    features[3, 1, 4, 4] = 5.0
    # two kinds, equally often: every token ties
    features[4] = torch.eye(4)[torch.arange(30) % 2].T.reshape(4, 5, 6)
    found = assert_same_as_alone(features, official_anchor=official)
    assert found.counts[:2] == (0, 1)
    assert found.guards[0] == ("zero_tokens",)
    assert 0 < found.doubtful < 6


def test_images_of_one_token():
    assert_same_as_alone(torch.tensor([[3.0, 4.0], [-1.0, 0.0], [0.0, 0.0]])[:, :, None, None])


@pytest.mark.parametrize("max_masks", [1, 3, 4, 5, MASK_LIMIT])
def test_number_of_masks_is_limited_in_the_batch_too(max_masks):
    assert_same_as_alone(clustered(3, 3, 30, 6, 6), 0.9, max_masks=max_masks)
    assert_same_as_alone(torch.eye(20).reshape(1, 20, 4, 5), 0.9, max_masks=max_masks)


@pytest.mark.parametrize("fraction", [0.3, 0.95, 1.0])
def test_fraction_that_ends_the_extraction(fraction):
    assert_same_as_alone(clustered(4, 4, 8, 6, 5), 0.5, stop_fraction=fraction)


@given(order=st.permutations(range(5)), count=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_other_images_make_no_difference(order, count):
    features = clustered(5, 5, 10, 5, 5)
    whole, part = (
        principal_masks(features, directions=BatchedDirections),
        principal_masks(features[list(order[:count])], directions=BatchedDirections),
    )
    for position, image in enumerate(order[:count]):
        number = whole.counts[image]
        assert part.counts[position] == number
        assert torch.equal(
            part.similarity[position, :number] > 0, whole.similarity[image, :number] > 0
        )
        torch.testing.assert_close(
            part.similarity[position, :number], whole.similarity[image, :number], rtol=0, atol=1e-6
        )


def test_the_host_waits_once_in_a_few_rounds(monkeypatch):
    waits = []
    for name in ("tolist", "item", "__bool__", "__int__", "__float__", "nonzero", "cpu", "numpy"):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda self, *given, plain=plain, name=name: (waits.append(name), plain(self, *given))[
                1
            ],
        )
    found = principal_masks(clustered(6, 3, 30, 8, 8), 0.9, directions=BatchedDirections)
    assert found.doubtful == 0
    assert max(found.counts) >= 16
    assert len(waits) <= max(found.counts) / BatchedDirections.patience + 4


@pytest.mark.parametrize("official", [False, True])
def test_a_round_stays_on_the_device_and_needs_no_value_of_it(official, monkeypatch):
    """On a device that is only pretended: operands on two devices, or a look at a value, are errors
    there.
    """

    def look(self, available, active):
        images = torch.arange(2, device="cuda")
        self._part = _part(self._tokens, available, images, 20)
        return True

    monkeypatch.setattr(BatchedDirections, "look", look)
    with FakeTensorMode():
        features = torch.empty(3, 70, 5, 6, device="cuda")
        made = list(
            rounds(features, 0.4, 0.95, 2, official_anchor=official, directions=BatchedDirections)
        )
        planes = [plane_of(each) for each in made]
    assert len(made) == 2
    for each in (*made, *planes):
        assert {tensor.device.type for tensor in vars(each).values()} == {"cuda"}
    assert made[1].similarity.shape == planes[1].similarity.shape == (3, 30)


def test_learned_features(shared):
    files = sorted((shared / "golden").glob("*.safetensors"))[:2]
    features = torch.stack([load_file(file)["features"].float()[:, ::2, ::2] for file in files])
    for official in (False, True):
        assert assert_same_as_alone(features, official_anchor=official).doubtful == 0
