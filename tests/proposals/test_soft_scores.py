import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.proposals.soft_scores import median_filter, soft_scores


def disjoint(seed, counts, height, width, share):
    """Disjoint masks, as many per image as ``counts`` says."""
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.zeros(len(counts), max(counts), height, width)
    for image, count in enumerate(counts):
        owner = torch.randint(0, count + 1, (height, width), generator=generator)
        strength = torch.rand(height, width, generator=generator) * (
            torch.rand(height, width, generator=generator) < share
        )
        for mask in range(count):
            similarity[image, mask] = strength * (owner == mask)
    return similarity


@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    height=st.integers(1, 8),
    width=st.integers(1, 8),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    gain=st.sampled_from([1.0, 10.0]),
)
@settings(max_examples=80, deadline=None)
def test_equals_the_plain_statement_of_every_image(
    seed, counts, height, width, share, gain, reference
):
    similarity = disjoint(seed, counts, height, width, share)
    scores, erased = soft_scores(similarity, tuple(counts), gain)
    for image, count in enumerate(counts):
        expected, thin = reference.soft_scores(similarity[image, :count].numpy(), gain)
        np.testing.assert_allclose(scores[image, : count + 1].numpy(), expected, atol=1e-6)
        alone, _ = soft_scores(similarity[image : image + 1, :count], (count,), gain)
        torch.testing.assert_close(scores[image, : count + 1], alone[0], rtol=0, atol=1e-6)
        assert not scores[image, count + 1 :].any()
        assert bool(erased[image]) == thin


@pytest.mark.parametrize("thin", [0, 1])
def test_only_the_image_that_the_median_empties_keeps_its_masks(thin):
    similarity = torch.zeros(2, 1, 5, 5)
    similarity[1 - thin] = 1.0
    similarity[thin, 0, 2, 2] = 1.0
    scores, erased = soft_scores(similarity, (1, 1))
    assert erased.tolist() == [thin == 0, thin == 1]
    assert scores[thin, 1, 2, 2] > scores[thin, 0, 2, 2]


def test_background_is_what_no_mask_claims_for_one_mask_too():
    similarity = torch.zeros(1, 4, 4)
    similarity[0, :, :2] = 0.7
    (scores,), erased = soft_scores(similarity[None], (1,))
    assert not erased.any()
    assert torch.equal(scores.argmax(dim=0)[:, 0], torch.ones(4, dtype=torch.int64))
    assert torch.equal(scores.argmax(dim=0)[:, 3], torch.zeros(4, dtype=torch.int64))
    active, passive = np.log(np.e / (np.e + 1)), np.log(1 / (np.e + 1))
    assert scores[1, 0, 0].item() == pytest.approx(active, abs=1e-6)
    assert scores[0, 0, 0].item() == pytest.approx(passive, abs=1e-6)


def test_masks_thinner_than_the_filter_are_kept_if_all_are():
    similarity = torch.zeros(2, 5, 5)
    similarity[0, 1, 1] = 1.0
    similarity[1, 3, 3] = 1.0
    (scores,), erased = soft_scores(similarity[None], (2,))
    assert erased.all()
    assert int(scores.argmax(dim=0)[1, 1]) == 1


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


@pytest.mark.parametrize("shape", [(3, 4, 6, 7), (2, 1, 1, 5), (2, 0, 4, 4)])
def test_it_stays_on_the_device_and_needs_no_value_of_it(shape):
    """On a device that is only pretended: operands on two devices, or a look at a value, are errors
    there.
    """
    images, masks, height, width = shape
    with FakeTensorMode():
        scores, erased = soft_scores(torch.empty(shape, device="cuda"), (masks,) * images)
    assert (scores.device.type, erased.device.type) == ("cuda", "cuda")
    assert scores.shape == (images, masks + 1, height, width)
    assert erased.shape == (images,)
