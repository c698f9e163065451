"""A backbone with a head is a feature extractor like any other."""

import pytest
import torch

from primaps.errors import BackboneError, CheckpointError
from primaps.heads.extractor import (
    BackboneWithHead,
    encode,
    head_centres,
    head_path,
    plain_backbone,
)
from primaps.heads.files import Head, load_head, save_head
from primaps.heads.loading import backbone_name, load_backbone, reload_backbone
from primaps.heads.projection import ProjectionHead
from primaps.types import FeatureExtractor


@pytest.fixture
def headed(texture_head):
    return load_backbone("texture", device="cpu", head=texture_head)


def test_features_are_the_codes(headed, texture, texture_head, photograph):
    assert isinstance(headed, FeatureExtractor)
    codes = headed.extract(photograph, 64)
    expected = load_head(texture_head).network(texture.extract(photograph, 64)[None])[0]
    assert codes.shape == (6, 8, 11)
    assert torch.equal(codes, expected)
    assert not codes.requires_grad
    assert codes.is_contiguous()
    assert torch.equal(headed.forward(headed.preprocess(photograph, 64))[0], codes)


def test_it_takes_after_its_backbone(headed, texture, texture_head):
    assert (headed.dim, headed.patch_size, headed.threshold) == (
        6,
        texture.patch_size,
        texture.threshold,
    )
    assert (headed.mean, headed.std, headed.weights_path) == (texture.mean, texture.std, None)
    assert headed.name == "texture with a head of kind stego"
    assert plain_backbone(headed).describe() == texture.describe()
    assert plain_backbone(texture) is texture
    assert head_path(headed) == str(texture_head)
    assert head_path(texture) is None
    assert torch.equal(head_centres(headed), load_head(texture_head).centres)
    assert head_centres(texture) is None
    features = torch.randn(1, texture.dim, 2, 2)
    assert encode(texture, features) is features
    assert torch.equal(encode(headed, features), headed.head.network(features))


def test_the_description_names_the_head(headed, texture, texture_head):
    description = headed.describe()
    assert {key: value for key, value in description.items() if key != "head"} == texture.describe()
    before = description["head"]["sha256"]
    head = load_head(texture_head)
    head.network.linear.bias += 1
    save_head(texture_head, head)
    assert (
        load_backbone("texture", device="cpu", head=texture_head).describe()["head"]["sha256"]
        != before
    )
    noisy = load_backbone("texture", device="cpu", head=texture_head, head_dropout=True)
    assert noisy.describe()["head"]["inference_dropout"] is True


def test_dropout_in_inference_drops_channels_of_each_branch(texture, tmp_path, photograph):
    network = ProjectionHead(texture.dim, texture.dim, dropout=0.5)
    for layer in (network.linear, network.output):
        torch.nn.init.eye_(layer.weight.data.view(texture.dim, texture.dim))
        layer.bias.data.zero_()
    torch.nn.init.eye_(network.hidden.weight.data.view(texture.dim, texture.dim))
    network.hidden.bias.data.zero_()
    save_head(tmp_path, Head("stego", network, texture.describe()))
    noisy = load_backbone("texture", device="cpu", head=tmp_path, head_dropout=True)
    features = torch.rand(2, texture.dim, 3, 4) + 1.0

    codes = noisy.encode(features)

    factor = codes / features
    torch.testing.assert_close(factor, factor[:, :, :1, :1].expand_as(factor))  # whole channels
    assert sorted({round(value, 3) for value in factor.flatten().tolist()}) == [0.0, 2.0, 4.0]
    assert not torch.equal(factor[0], factor[1]), "every image has draws of its own"
    assert torch.equal(noisy.encode(features.flip(0)), codes.flip(0)), (
        "which depend on the image alone"
    )
    torch.manual_seed(1)
    state = torch.get_rng_state()
    noisy.encode(features)
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"


def test_the_rate_of_dropout(texture, tmp_path):
    network = ProjectionHead(texture.dim, 1, nonlinear=False, dropout=0.1)
    network.linear.weight.data.fill_(1.0)
    network.linear.bias.data.zero_()
    save_head(tmp_path, Head("stego", network, texture.describe()))
    noisy = load_backbone("texture", device="cpu", head=tmp_path, head_dropout=True)
    generator = torch.Generator().manual_seed(0)
    mean = torch.stack(
        [
            noisy.encode(
                torch.ones(1, texture.dim, 1, 1) + 1e-4 * torch.rand(1, generator=generator)
            )
            for _ in range(400)
        ]
    )
    assert mean.mean() == pytest.approx(texture.dim, rel=0.03), "the expectation stays"
    assert mean.unique().numel() > 2


def test_what_does_not_fit(headed, texture_head, tmp_path):
    with pytest.raises(BackboneError, match="a plain backbone to put a head on"):
        BackboneWithHead(headed, texture_head)
    with pytest.raises(CheckpointError, match="Expected the backbone 'texture', on which the head"):
        load_backbone("mini", device="cpu", head=texture_head)
    with pytest.raises(CheckpointError, match="Expected a head whose channels to drop"):
        load_backbone("texture", device="cpu", head_dropout=True)
    with pytest.raises(CheckpointError, match="Give --head DIR"):
        reload_backbone(headed.describe(), weights=None, device="cpu", head=None)
    save_head(tmp_path / "other", Head("stego", ProjectionHead(9, 2), {"name": "texture"}))
    with pytest.raises(CheckpointError, match="dim: 9 -> "):
        load_backbone("texture", device="cpu", head=tmp_path / "other")


def test_reloading_restores_the_switch(texture_head):
    noisy = load_backbone("texture", device="cpu", head=texture_head, head_dropout=True)
    again = reload_backbone(noisy.describe(), weights=None, device="cpu", head=texture_head)
    assert again.describe() == noisy.describe()


def test_the_name_left_open(texture_head):
    assert backbone_name(None, None) == "efficientnet_lite0"
    assert backbone_name(None, texture_head) == "texture"
    assert backbone_name("dino_vits8", texture_head) == "dino_vits8"


def test_a_head_brings_the_levels_that_it_was_trained_on(tmp_path):
    plain = load_backbone("efficientnet_lite0", device="cpu", levels="8,16:2")
    save_head(tmp_path, Head("stego", ProjectionHead(plain.dim, 6), plain.describe()))
    headed = load_backbone("efficientnet_lite0", device="cpu", head=tmp_path)
    assert headed.describe()["levels"] == "8,16:2"
    assert (headed.input_multiple, headed.patch_size, headed.dim) == (16, 8, 6)
    again = reload_backbone(headed.describe(), weights=None, device="cpu", head=tmp_path)
    assert again.describe() == headed.describe()
    with pytest.raises(CheckpointError, match="levels: '8,16:2' -> '8,16,32'"):
        load_backbone("efficientnet_lite0", device="cpu", head=tmp_path, levels="8,16,32")
