"""The plain vision transformer computes what timm's does."""

import pytest
import timm
import torch

from primaps.features.plain.vit import vit_features


def shaken(name, **options):
    """A model of timm whose every entry is away from its initial value."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, depth=2, dynamic_img_size=True, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("vit_small_patch16_224.dino", (14, 14)),
        ("vit_small_patch14_dinov2.lvd142m", (37, 37)),
        # resampled as timm does it, which for registers is what the published code does
        ("vit_small_patch14_reg4_dinov2.lvd142m", (5, 8)),
        ("vit_small_patch16_dinov3.lvd1689m", (5, 8)),
        ("vit_small_patch16_dinov3_qkvb.lvd1689m", (4, 3)),
    ],
)
def test_features_are_those_of_timm(name, grid):
    model = shaken(name)
    side = model.patch_embed.patch_size[0]
    batch = torch.randn(2, 3, grid[0] * side, grid[1] * side)
    with torch.no_grad():
        (expected,) = model.forward_intermediates(
            batch, indices=1, norm=True, intermediates_only=True
        )
        features = vit_features(model.state_dict(), batch)
    assert features.shape == expected.shape
    torch.testing.assert_close(features, expected, atol=2e-5, rtol=1e-4)


def test_the_masked_bias_of_the_keys_has_no_part(official_weights):
    state = official_weights.dinov3_state(64, depth=1)
    batch = torch.randn(1, 3, 32, 48)
    expected = vit_features(state, batch)
    state["blocks.0.attn.qkv.bias"][64:128] = 7.0
    assert torch.equal(vit_features(state, batch), expected)
    state["blocks.0.attn.qkv.bias"][:64] = 7.0
    assert not torch.allclose(vit_features(state, batch), expected)
