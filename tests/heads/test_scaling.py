import pytest
import torch

from primaps.heads.scaling import ScaledCrops, unit_scale


def test_scaled_features_have_a_root_mean_square_of_one(crops):
    crops.all *= 0.01
    scaled = ScaledCrops(crops, unit_scale(crops))
    everything = scaled.features(range(len(scaled)))
    assert float(everything.square().mean().sqrt()) == pytest.approx(1.0)
    torch.testing.assert_close(everything / scaled.scale, crops.all)


def test_a_sample_of_many_crops_gives_the_scale(crops):
    crops.all = crops.all.repeat(30, 1, 1, 1)
    crops.asked.clear()
    scale = unit_scale(crops)
    assert 50 < len(crops.asked) <= 100
    assert scale == pytest.approx(float(crops.all.square().mean()) ** -0.5, rel=0.05)


def test_features_of_zero_stay_as_they_are(crops):
    crops.all.zero_()
    assert unit_scale(crops) == 1.0


def test_augmented_features_and_descriptors_are_scaled_and_weights_are_not(crops):
    scaled = ScaledCrops(crops, 4.0)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    torch.testing.assert_close(
        scaled.augmented([1, 2], draws[0]), 4 * crops.augmented([1, 2], draws[1])
    )
    torch.testing.assert_close(scaled.descriptors(), 4 * crops.descriptors())
    assert torch.equal(scaled.local_weights([0]), crops.local_weights([0]))
    assert scaled.dim == crops.dim
