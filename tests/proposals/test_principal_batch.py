import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.proposals import principal_batch
from primaps.proposals.principal import MASK_LIMIT, principal_masks
from primaps.proposals.principal_batch import principal_masks_batch


def assert_same_as_alone(features, threshold=0.4, **options):
    """Compares every image of a batch with the plain decomposition, and returns the batch."""
    found = principal_masks_batch(features, threshold, **options)
    for image, grid in enumerate(features):
        expected = principal_masks(grid, threshold, **options)
        count = len(expected.scores)
        assert found.counts[image] == count
        assert torch.equal(found.similarity[image, :count] > 0, expected.similarity > 0)
        torch.testing.assert_close(
            found.similarity[image, :count], expected.similarity, rtol=0, atol=1e-6
        )
        torch.testing.assert_close(found.scores[image, :count], expected.scores, rtol=0, atol=1e-6)
        assert found.guards[image] == expected.guards
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
    alone = [principal_masks(grid, 0.3, official_anchor=True).guards for grid in features]
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
def test_number_of_masks_is_limited(max_masks):
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
        principal_masks_batch(features),
        principal_masks_batch(features[list(order[:count])]),
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
    found = principal_masks_batch(clustered(6, 3, 30, 8, 8), 0.9)
    assert found.doubtful == 0
    assert max(found.counts) >= 16
    assert len(waits) <= max(found.counts) / principal_batch._CHECK_EVERY + 4


@pytest.mark.parametrize("official", [False, True])
def test_a_round_stays_on_the_device_and_needs_no_value_of_it(official):
    """On a device that is only pretended: operands on two devices, or a look at a value, are errors
    there.
    """
    with FakeTensorMode():
        tokens = torch.empty(3, 30, 70, dtype=torch.float64, device="cuda")
        norms = tokens.norm(dim=2)
        total, doubtful = (norms > 0).sum(1), torch.empty(3, dtype=torch.bool, device="cuda")
        state = principal_batch._State(tokens, norms, norms > 0, total, doubtful)
        images, index = torch.arange(2, device="cuda"), torch.arange(20, device="cuda").repeat(2, 1)
        rows = images[:, None]
        part = principal_batch._Part(images, index, tokens[rows, index], norms[rows, index])
        made = principal_batch._round(
            state, part, principal_batch._Settings(0.4, 0.95, MASK_LIMIT, official)
        )
    assert {tensor.device.type for tensor in vars(made).values()} == {"cuda"}
    assert made.similarity.shape == (3, 30)


def test_learned_features(shared):
    files = sorted((shared / "golden").glob("*.safetensors"))[:2]
    features = torch.stack([load_file(file)["features"].float()[:, ::2, ::2] for file in files])
    for official in (False, True):
        assert assert_same_as_alone(features, official_anchor=official).doubtful == 0
