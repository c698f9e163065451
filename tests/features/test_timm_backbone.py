"""Models of timm of several kinds, small ones with random weights from a file, through features at
any size.
"""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from primaps.errors import BackboneError, ConfigError
from primaps.heads.loading import load_backbone, reload_backbone

# name, input multiple, stride of the features, channels by default
HIERARCHICAL = {
    "convnext_atto": (32, 8, 80 + 160 + 320),
    "resnet10t": (32, 8, 128 + 256 + 512),
    "swin_tiny_patch4_window7_224": (32, 8, 192 + 384 + 768),
    "mobilenetv3_small_050": (32, 8, 16 + 24 + 288),
    "test_efficientnet": (32, 8, 32 + 48 + 64),
}
PLAIN = {"vit_tiny_patch16_224": (16, 16, 192), "test_vit": (16, 16, 64)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights file with its classifier by name of the model, made when asked for."""
    import timm

    folder = tmp_path_factory.mktemp("weights")

    def get(name):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            torch.manual_seed(0)
            save_file(timm.create_model(name, pretrained=False).state_dict(), path)
        return path

    return get


def load(weights, name, levels=None):
    return load_backbone(f"timm:{name}", weights=weights(name), device="cpu", levels=levels)


@pytest.mark.parametrize("name", [*HIERARCHICAL, *PLAIN])
def test_features_at_the_usual_and_at_an_odd_size(name, weights):
    backbone = load(weights, name)
    multiple, stride, channels = {**HIERARCHICAL, **PLAIN}[name]
    assert (backbone.input_multiple, backbone.patch_size, backbone.dim) == (
        multiple,
        stride,
        channels,
    )
    image = np.random.default_rng(0).integers(0, 256, (250, 333, 3), dtype=np.uint8)
    for size, (height, width) in {
        320: (320, 416 if multiple == 32 else 432),
        250: (256, 320 if multiple == 32 else 336),
    }.items():
        features = backbone.extract(image, size)
        assert features.shape == (channels, height // stride, width // stride)
        assert bool(torch.isfinite(features).all())
        assert float(features.std(dim=(1, 2)).max()) > 0  # not the same everywhere


@pytest.mark.parametrize("name", HIERARCHICAL)
def test_levels_are_described_and_restored(name, weights):
    batch = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    for asked, described in ((None, "8,16,32"), ("32, 16:0.25", "16:0.25,32"), ("last", None)):
        backbone = load(weights, name, asked)
        assert backbone.describe().get("levels") == described
        again = reload_backbone(backbone.describe(), weights=weights(name), device="cpu", head=None)
        assert again.describe() == backbone.describe()
        assert torch.equal(again.forward(batch), backbone.forward(batch))


def test_a_level_alone_is_the_one_among_others(weights):
    batch = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    all_three, finest = load(weights, "convnext_atto"), load(weights, "convnext_atto", "8:2")
    assert (finest.dim, finest.input_multiple) == (80, 8)
    torch.testing.assert_close(finest.forward(batch), 2 * all_three.forward(batch)[:, :80])


def test_the_last_level_is_as_the_model_gives_it(weights):
    backbone = load(weights, "resnet10t", "last")
    assert (backbone.dim, backbone.patch_size, backbone.input_multiple) == (512, 32, 32)
    batch = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(backbone.forward(batch), backbone.model.forward_features(batch))


def test_plain_transformers_are_described_as_ever(weights):
    assert set(load(weights, "test_vit").describe()) == {
        "name", "implementation", "dim", "patch_size", "mean", "std", "licence", "source",
        "timm_name", "weights_sha256",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "levels", "message"),
    [
        ("resnet10t", "64", "has, with strides 2, 4, 8, 16, 32, but got 64"),
        ("resnet10t", "eight", "Expected levels to be strides"),
        ("test_vit", "8,16", "Expected no levels with 'timm:test_vit'"),
    ],
)
def test_levels_that_cannot_be_had(name, levels, message, weights):
    with pytest.raises(ConfigError, match=message):
        load(weights, name, levels)


@pytest.mark.parametrize("name", ["mini", "texture"])
def test_bundled_backbones_have_no_levels(name):
    with pytest.raises(ConfigError, match=f"Expected no levels with '{name}'"):
        load_backbone(name, device="cpu", levels="8,16")


def test_weights_of_another_model_are_told(weights):
    for name, other in (
        ("convnext_atto", "resnet10t"),
        ("swin_tiny_patch4_window7_224", "convnext_atto"),
    ):
        with pytest.raises(
            BackboneError, match=f"Expected .* to hold the weights of 'timm:{name}', but got"
        ):
            load_backbone(f"timm:{name}", weights=weights(other), device="cpu")


def test_a_model_that_refuses_a_size_in_any_way_says_so(weights):
    # the position embedding of its attention has the size of the training images: timm fails with a
    # RuntimeError
    backbone = load(weights, "levit_128s")
    with pytest.raises(
        BackboneError, match="to accept inputs of 320 x 320 pixels, but the model refuses: "
    ):
        backbone.forward(torch.zeros(1, 3, 320, 320))
    assert backbone.forward(torch.zeros(1, 3, 224, 224)).shape[2:] == (14, 14)


def test_official_layouts_that_timm_knows(weights, tmp_path):
    """ConvNeXt as its authors (and DINOv3's) name its tensors, and a ResNet as SwAV's training
    checkpoint holds it.
    """
    convnext = load_file(weights("convnext_atto"))
    renamed = {}
    for key, value in convnext.items():
        official = key.replace("stem.", "downsample_layers.0.").replace("blocks.", "")
        official = re.sub(r"stages\.(\d)\.downsample\.", r"downsample_layers.\1.", official)
        official = official.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        official = official.replace("head.norm", "norm").replace("head.fc", "head")
        renamed[official] = value.flatten(1) if "pwconv" in official and value.ndim == 4 else value
    torch.save({"model": renamed}, tmp_path / "convnext.pth")
    resnet = {
        f"module.{key}": value
        for key, value in load_file(weights("resnet10t")).items()
        if not key.startswith("fc.")
    }
    swav = {
        **resnet,
        "module.projection_head.0.weight": torch.ones(2),
        "module.prototypes.weight": torch.ones(2),
    }
    torch.save({"state_dict": swav, "epoch": 800}, tmp_path / "swav.pth.tar")
    batch = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    for name, file in (("convnext_atto", "convnext.pth"), ("resnet10t", "swav.pth.tar")):
        official = load_backbone(f"timm:{name}", weights=tmp_path / file, device="cpu")
        assert torch.equal(official.forward(batch), load(weights, name).forward(batch))
