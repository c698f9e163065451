import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.proposals.principal import soft_scores
from primaps.proposals.unary_batch import soft_scores_batch


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
def test_equals_every_image_alone(seed, counts, height, width, share, gain):
    similarity = disjoint(seed, counts, height, width, share)
    scores, erased = soft_scores_batch(similarity, tuple(counts), gain)
    for image, count in enumerate(counts):
        expected, guards = soft_scores(similarity[image, :count], gain)
        torch.testing.assert_close(scores[image, : count + 1], expected, rtol=0, atol=1e-6)
        assert not scores[image, count + 1 :].any()
        assert bool(erased[image]) == (guards == ("median_erased_all",))


@pytest.mark.parametrize("thin", [0, 1])
def test_only_the_image_that_the_median_empties_keeps_its_masks(thin):
    similarity = torch.zeros(2, 1, 5, 5)
    similarity[1 - thin] = 1.0
    similarity[thin, 0, 2, 2] = 1.0
    scores, erased = soft_scores_batch(similarity, (1, 1))
    assert erased.tolist() == [thin == 0, thin == 1]
    assert scores[thin, 1, 2, 2] > scores[thin, 0, 2, 2]


@pytest.mark.parametrize("shape", [(3, 4, 6, 7), (2, 1, 1, 5), (2, 0, 4, 4)])
def test_it_stays_on_the_device_and_needs_no_value_of_it(shape):
    """On a device that is only pretended: operands on two devices, or a look at a value, are errors
    there.
    """
    images, masks, height, width = shape
    with FakeTensorMode():
        scores, erased = soft_scores_batch(torch.empty(shape, device="cuda"), (masks,) * images)
    assert (scores.device.type, erased.device.type) == ("cuda", "cuda")
    assert scores.shape == (images, masks + 1, height, width)
    assert erased.shape == (images,)
