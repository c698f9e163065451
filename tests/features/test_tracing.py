"""Backbones in the form that exporters can follow."""

import pytest
import torch
from safetensors.torch import save_file

from primaps.errors import BackboneError
from primaps.features.position import resample_position
from primaps.features.tracing import cannot_be_traced, position_matrix, traceable
from primaps.heads.loading import load_backbone


@pytest.mark.parametrize("rule", ["dino", "dinov2", "dinov2_reg"])
@pytest.mark.parametrize("grid", [(7, 7), (5, 9), (14, 3), (1, 1), (7, 30), (29, 8)])
def test_matrices_equal_the_resampling_of_torch(rule, grid):
    side, dim = 7, 4
    known = torch.randn(1, side * side, dim, generator=torch.Generator().manual_seed(0))
    exact = torch.tensor(grid == (side, side))
    down, across = (position_matrix(count, side, rule, exact) for count in grid)
    image = known.reshape(side, side, dim)
    made = torch.einsum("hs,wt,stc->hwc", down, across, image).reshape(1, -1, dim)
    torch.testing.assert_close(made, resample_position(known, grid, rule), atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads a model of timm with random weights."""
    import timm

    folder = tmp_path_factory.mktemp("weights")

    def get(name, levels=None):
        path = folder / f"{name}.safetensors"
        with torch.random.fork_rng():
            torch.manual_seed(0)
            save_file(timm.create_model(name, pretrained=False).state_dict(), path)
        return load_backbone(f"timm:{name}", weights=path, device="cpu", levels=levels)

    return get


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("test_vit", None),
        ("test_vit2", None),  # registers
        ("test_vit3", None),
        ("test_convnext", None),
        ("test_resnet", "8:0.5,16"),
        ("test_efficientnet", "last"),
    ],
)
@torch.no_grad()
def test_features_are_those_of_the_backbone(load, name, levels):
    backbone = load(name, levels)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    copy = traceable(backbone)
    for rows, columns in ((3, 5), (10, 10), (4, 2)):
        batch = torch.randn(2, 3, rows * backbone.input_multiple, columns * backbone.input_multiple)
        torch.testing.assert_close(copy(batch), backbone.forward(batch), atol=1e-5, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key


@torch.no_grad()
def test_the_default_pads_as_tensorflow_does():
    backbone = load_backbone("efficientnet_lite0", device="cpu")
    copy = traceable(backbone)
    assert not [each for each in copy.modules() if type(each).__name__ == "Conv2dSame"]
    assert [each for each in backbone.modules() if type(each).__name__ == "Conv2dSame"]
    batch = torch.randn(1, 3, 96, 64)
    assert torch.equal(copy(batch), backbone.forward(batch))


@torch.no_grad()
def test_texture_is_computation_alone(texture):
    copy = traceable(texture)
    batch = torch.randn(2, 3, 40, 64)
    assert torch.equal(copy(batch), texture.forward(batch))


def test_what_cannot_be_followed_is_an_error_that_names_those_that_can():
    with pytest.raises(
        BackboneError,
        match=r"got 'mini': .* can: efficientnet_lite0, .*texture, dino_vits8.* and most timm:<",
    ) as caught:
        traceable(load_backbone("mini", device="cpu"))
    assert "mini" not in str(caught.value).partition("can: ")[2]
    assert str(cannot_be_traced("x", "y")).startswith(
        "Expected a backbone that can be exported, but got 'x': y. Those that can: "
    )
