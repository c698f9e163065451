import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.config import CRFConfig
from primaps.proposals.crf import plain


def picture(height, width, seed=0):
    """Noise with a hard edge."""
    image = np.random.default_rng(seed).integers(0, 99, (height, width, 3))
    image[:, width // 2 :] = 255 - image[:, width // 2 :]
    return torch.from_numpy(image.astype(np.uint8))


def probabilities(labels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(labels, height, width, generator=generator).softmax(0)


def mean_field(image, probability):
    return plain.mean_field_batch(image[None], probability[None], CRFConfig(), 10)[0]


def test_labels_and_pixels_in_turns_equal_all_at_once(monkeypatch):
    image, probability = picture(30, 30), probabilities(27, 30, 30)
    at_once = mean_field(image, probability)
    monkeypatch.setattr(plain, "_MAX_BUFFER", 1)
    assert torch.equal(mean_field(image, probability), at_once)


def test_smoothness_kernel_is_cached_for_small_images_only(monkeypatch):
    cache = plain._position_lattice
    cache.cache_clear()
    image, probability = picture(23, 19), probabilities(2, 23, 19)
    first, second = mean_field(image, probability), mean_field(image, probability)
    assert (cache.cache_info().hits, cache.cache_info().misses) == (1, 1)
    monkeypatch.setattr(plain, "_CACHED_POINTS", 23 * 19 - 1)
    uncached = mean_field(image, probability)
    assert (cache.cache_info().hits, cache.cache_info().misses) == (1, 1)
    assert torch.equal(first, second)
    assert torch.equal(first, uncached)


def test_cached_lattice_of_inference_mode_serves_training_code():
    plain._position_lattice.cache_clear()
    image, probability = picture(13, 12), probabilities(3, 13, 12)
    with torch.inference_mode():
        first = mean_field(image, probability)
    assert torch.equal(mean_field(image, probability.clone().requires_grad_()), first)


def test_images_of_any_size_fit():
    assert plain.fits(20000 * 20000)


@pytest.mark.parametrize("labels", [None, [5, 1, 3]])
def test_log_probabilities_are_made_on_the_device(labels):
    """On a device that is only pretended: operands on two devices, or a look at a value, are errors
    there.
    """
    with FakeTensorMode():
        logits = plain._log_unary(torch.empty(3, 5, 6, 7, device="cuda"), labels)
    assert (logits.device.type, logits.dtype, logits.shape) == (
        "cuda",
        torch.float32,
        (3 * 6 * 7, plain.LABEL_MULTIPLE),
    )
