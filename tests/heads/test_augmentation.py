import torch

from primaps.features.registry import IMAGENET_MEAN, IMAGENET_STD
from primaps.heads.augmentation import augment

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))


def images(count, side=12):
    colours = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return (colours - MEAN) / STD


def drawn(batch, seed=0, clamp_jitter=False):
    generator = torch.Generator().manual_seed(seed)
    return augment(
        batch, generator, clamp_jitter=clamp_jitter, mean=IMAGENET_MEAN, std=IMAGENET_STD
    )


def test_a_fifth_is_grey_and_a_half_blurred():
    batch = images(1).expand(600, -1, -1, -1)
    colours = drawn(batch) * STD + MEAN
    grey = (colours - colours[:, :1]).abs().amax((1, 2, 3)) < 1e-4
    assert 0.15 < float(grey.float().mean()) < 0.25
    roughness = (colours[..., 1:] - colours[..., :-1]).abs().mean((1, 2, 3))
    smooth = roughness < 0.5 * roughness.amax()
    assert 0.3 < float(smooth.float().mean()) < 0.6  # small sigmas hardly blur


def test_equal_draws_from_equal_generators():
    batch = images(4)
    assert torch.equal(drawn(batch), drawn(batch))
    assert not torch.equal(drawn(batch), drawn(batch, seed=1))
    assert drawn(batch).shape == batch.shape


def test_clamped_jitter_works_on_normalised_values():
    batch = images(4)
    clamped, free = drawn(batch, clamp_jitter=True), drawn(batch)
    assert float(clamped.min()) >= 0.0
    assert float(clamped.max()) <= 1.0 + 1e-6
    assert float(free.min()) < -0.5
