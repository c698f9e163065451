import dataclasses

import pytest
import torch

from primaps.errors import BackboneError
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import find_spec


class Pooling(FrozenBackbone):
    """Mean colour per patch: the smallest backbone there is."""

    def __init__(self, dim=3):
        super().__init__(dataclasses.replace(find_spec("texture"), dim=dim, patch_size=4))
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def _features(self, batch):
        return self.scale * torch.nn.functional.avg_pool2d(batch, 4).permute(
            0, 2, 3, 1
        ).double().permute(0, 3, 1, 2)


def test_forward_gives_contiguous_float32_without_gradient():
    batch = torch.randn(2, 3, 8, 12).double().requires_grad_()
    features = Pooling().forward(batch)
    assert features.shape == (2, 3, 2, 3)
    assert features.dtype == torch.float32
    assert features.is_contiguous()
    assert not features.requires_grad
    torch.testing.assert_close(
        features, 2 * torch.nn.functional.avg_pool2d(batch.detach().float(), 4)
    )


def test_freeze_and_train():
    backbone = Pooling().freeze()
    assert backbone.train() is backbone
    assert not backbone.training
    assert not backbone.scale.requires_grad


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(3, 8, 8), r"\(N, 3, H, W\), but got torch.float32 \(3, 8, 8\)"),
        (torch.zeros(1, 4, 8, 8), r"but got torch.float32 \(1, 4, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "floating point of shape"),
        (torch.zeros(0, 3, 8, 8), "floating point of shape"),
        (torch.zeros(1, 3, 8, 10), "multiples of 4 for 'texture', but got 8 x 10"),
    ],
)
def test_other_batches_are_refused(batch, message):
    with pytest.raises(BackboneError, match=message):
        Pooling().forward(batch)


def test_wrong_feature_shape_is_noticed():
    with pytest.raises(
        BackboneError, match=r"to have shape \(1, 5, 2, 2\), but got \(1, 3, 2, 2\)"
    ):
        Pooling(dim=5).forward(torch.zeros(1, 3, 8, 8))


def test_an_input_is_made_elsewhere_without_the_device():
    image = torch.randint(0, 256, (10, 14, 3), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    elsewhere = Pooling().to("meta")  # whose values cannot be had
    assert elsewhere.device.type == "meta"
    found = elsewhere.preprocess(image, 8, device=torch.device("cpu"))
    assert torch.equal(found, Pooling().preprocess(image, 8))
    assert elsewhere.preprocess(image, 8).device.type == "meta"


def test_description_is_json():
    import json

    described = json.loads(json.dumps(Pooling().describe()))
    assert described["dim"] == 3
    assert described == dict(Pooling().describe())


def test_a_backbone_shows_what_users_call_and_says_what_it_is(texture):
    names = dir(texture)
    assert {"extract", "threshold", "describe", "device"} <= set(names)
    assert not [name for name in names if name.startswith("_")]
    assert "register_buffer" not in names
    assert (
        repr(texture) == f"TextureBackbone('texture', {texture.dim} channels at stride 8, on cpu)"
    )
