import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from primaps.errors import BackboneError
from primaps.features.colour import equalise_exposure, rgb_to_lab
from primaps.features.mini import backbone as mini
from primaps.heads.loading import load_backbone
from primaps.types import FeatureExtractor


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("mini", device="cpu")


def picture(height=80, width=96, seed=0):
    """Smooth blobs of colour: something between noise and a photograph."""
    coarse = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    fine = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed + 1))
    return (0.85 * F.interpolate(coarse, (height, width), mode="bicubic") + 0.15 * fine).clamp(
        0.0, 1.0
    )


def as_uint8(rgb):
    return (rgb[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def test_follows_the_protocol(backbone):
    assert isinstance(backbone, FeatureExtractor)
    assert backbone.extract(np.zeros((50, 70, 3), np.uint8), size=64).shape == (387, 8, 11)
    assert backbone.describe()["implementation"] == "mini"
    assert len(backbone.describe()["weights_sha256"]) == 64
    assert not list(backbone.parameters())


def test_bundled_weights_are_small_half_precision_and_complete():
    assert mini.BUNDLED_WEIGHTS.stat().st_size <= 10_000_000
    state = load_file(mini.BUNDLED_WEIGHTS)
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert {name: tuple(value.shape) for name, value in state.items()} == mini.weight_shapes()


@pytest.mark.parametrize("size", [(8, 8), (8, 64), (24, 16), (40, 136)])
@pytest.mark.parametrize("value", [0, 255, 90])
def test_small_and_constant_images_have_finite_features(backbone, size, value):
    features = backbone.extract(np.full((*size, 3), value, np.uint8), size=min(size))
    assert features.shape[1:] == (size[0] // 8, size[1] // 8)
    assert torch.isfinite(features).all()


def test_a_batch_equals_its_images(backbone):
    batch = torch.cat(
        [backbone.preprocess(as_uint8(picture(seed=seed)), size=80) for seed in (0, 5)]
    )
    together = backbone.forward(batch)
    for index in range(2):
        torch.testing.assert_close(
            together[index], backbone.forward(batch[index : index + 1])[0], rtol=1e-3, atol=1e-2
        )


def test_activations_equal_a_plain_loop(backbone):
    rgb = picture(48, 48)
    found = mini.activations(rgb, backbone.dictionaries)[0]
    level = mini.pyramid(rgb)[1][0].double()
    projection, offset, centres = (value.double() for value in backbone.dictionaries[1])
    row, column = 2, 3
    expected = torch.zeros(len(centres), dtype=torch.float64)
    for y in (0, 1):
        for x in (0, 1):
            top, left = 2 * (2 * row + y), 2 * (2 * column + x)
            patch = level[:, top : top + 6, left : left + 6]
            distances = []
            # a mirrored centre is as far from a patch as the centre from its mirror image
            for seen in (patch, patch.flip(-1)):
                point = (projection * seen).sum(dim=(1, 2, 3)) + offset
                distances.append((point - centres).square().sum(dim=1).sqrt())
            mean = torch.cat(distances).mean()
            expected += sum((mean - distance).clamp_min(0.0) for distance in distances) / 4
    torch.testing.assert_close(
        found[128:256, row, column].double(), expected.sqrt(), rtol=2e-3, atol=5e-3
    )


def test_features_without_compiled_loops_are_the_same(backbone):
    batch = backbone.preprocess(as_uint8(picture(90, 130)), size=96)
    found = backbone.forward(batch)
    with mini.PATHS.plain_only():
        plain = backbone.forward(batch)
    assert not torch.equal(found, plain)  # both ways were taken
    assert float((found - plain).norm() / plain.norm()) < 1e-5
    assert F.cosine_similarity(found, plain).min() > 0.99999


def test_mirroring_an_image_mirrors_its_features(backbone):
    rgb = picture()
    mean, std = (torch.tensor(values)[:, None, None] for values in (backbone.mean, backbone.std))
    plain, mirrored = backbone.forward((torch.cat([rgb, rgb.flip(3)]) - mean) / std)
    assert F.cosine_similarity(plain, mirrored.flip(2), dim=0).min() > 0.999
    assert F.cosine_similarity(plain[64:384], mirrored[64:384], dim=0).mean() < 0.9


def test_exposure_is_equalised_and_colour_kept():
    lab = rgb_to_lab(picture(120, 120))
    dark = rgb_to_lab(picture(120, 120) ** 2.2)
    bright, darker = equalise_exposure(lab), equalise_exposure(dark)
    assert (lab[:, 0].mean() - dark[:, 0].mean()) > 0.15
    assert abs(bright[:, 0].mean() - darker[:, 0].mean()) < 0.05
    assert torch.equal(bright[:, 1:], lab[:, 1:])
    constant = equalise_exposure(torch.zeros(1, 3, 16, 16))
    assert torch.isfinite(constant).all()


def test_foreign_and_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(BackboneError, match="to hold the weights of 'mini'"):
        load_backbone("mini", weights=path, device="cpu")
    path.write_bytes(mini.BUNDLED_WEIGHTS.read_bytes()[:1000])
    with pytest.raises(BackboneError, match="damaged"):
        load_backbone("mini", weights=path, device="cpu")
    with pytest.raises(BackboneError, match="does not exist"):
        load_backbone("mini", weights=tmp_path / "none.safetensors", device="cpu")


def test_own_weights_can_be_given(tmp_path):
    path = tmp_path / "mine.safetensors"
    state = load_file(mini.BUNDLED_WEIGHTS)
    state["metric_mean"] = state["metric_mean"] + 0.1
    save_file(state, path)
    own, bundled = (
        load_backbone("mini", weights=weights, device="cpu") for weights in (path, None)
    )
    assert own.describe()["weights_sha256"] != bundled.describe()["weights_sha256"]
    assert not torch.equal(
        own.extract(as_uint8(picture()), size=80), bundled.extract(as_uint8(picture()), size=80)
    )
