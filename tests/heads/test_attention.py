from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional as F

from primaps.heads.attention import features_and_attention, has_attention, self_similarity


@pytest.fixture(scope="module")
def vit():
    """A small vision transformer with random weights behind the interface of a backbone."""
    import timm

    from primaps.features.registry import BackboneSpec
    from primaps.features.timm_backbone import TimmBackbone

    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=64, depth=2, dynamic_img_size=True
    )
    for parameter in model.blocks[-1].attn.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    spec = BackboneSpec(
        "small", 192, 16, "-", "-", "-", timm_name="vit_tiny_patch16_224", position="dino"
    )
    return TimmBackbone(spec, model, "").freeze()


def test_equals_the_attention_that_timm_computes_unfused(vit):
    batch = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    attention = vit.model.blocks[-1].attn
    seen = []
    handle = attention.attn_drop.register_forward_hook(
        lambda _module, _inputs, output: seen.append(output)
    )
    attention.fused_attn = False
    expected = vit.forward(batch)
    attention.fused_attn = True
    handle.remove()
    features, found = features_and_attention(vit, batch)
    assert has_attention(vit)
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)
    assert found.shape == (2, 12, 12)
    torch.testing.assert_close(found, seen[0].mean(1)[:, 1:, 1:], atol=1e-6, rtol=1e-4)
    assert float(found.sum(2).min()) < 0.95  # the CLS token's part is gone
    assert float(found.std()) > 1e-4
    assert not attention.qkv._forward_hooks  # nothing is left behind


def test_threads_do_not_get_each_others_attention(vit):
    batches = [
        torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
        for seed in range(12)
    ]
    expected = [features_and_attention(vit, batch)[1] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: features_and_attention(vit, batch)[1], batches))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_backbone_without_attention_attends_by_its_own_similarity(texture):
    batch = torch.randn(1, 3, 32, 24, generator=torch.Generator().manual_seed(1))
    features, found = features_and_attention(texture, batch)
    assert not has_attention(texture)
    assert torch.equal(features, texture.forward(batch))
    unit = F.normalize(features[0].flatten(1), dim=0)
    row = torch.exp((unit[:, 3] @ unit) / 0.1)
    torch.testing.assert_close(found[0, 3], row / row.sum(), atol=1e-6, rtol=1e-4)


def test_rotary_transformers_have_no_plain_attention():
    import timm

    class Other:
        model = timm.create_model("vit_small_patch16_dinov3", num_classes=0, depth=1)

    assert not has_attention(Other())


def test_rows_of_the_self_similarity_add_up_to_one():
    found = self_similarity(torch.randn(2, 4, 3, 5))
    torch.testing.assert_close(found.sum(2), torch.ones(2, 15))
