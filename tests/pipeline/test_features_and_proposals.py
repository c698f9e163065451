import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.config import preset_config
from primaps.data.reading import Photo
from primaps.errors import ImageError
from primaps.heads.loading import load_backbone
from primaps.pipeline.features_and_proposals import (
    _grey_levels,
    as_image,
    features_and_proposals,
    features_and_proposals_batch,
    host_input,
)
from primaps.runs.run import cached_views

RNG = np.random.default_rng(0)
IMAGE = np.kron(RNG.integers(0, 256, (6, 8, 3)), np.ones((16, 16, 1), np.int64)).astype(np.uint8)
PHOTO = Photo(IMAGE, *IMAGE.shape[:2], "0" * 64)


class Counting(torch.nn.Module):
    """Counts the images that a backbone sees, and may hide that it is mirror equivariant."""

    def __init__(self, backbone, mirror_equivariant):
        super().__init__()
        self.backbone, self.mirror_equivariant, self.seen = backbone, mirror_equivariant, 0
        self.mean, self.std = backbone.mean, backbone.std

    def preprocess(self, image, size):
        return self.backbone.preprocess(image, size)

    def forward(self, batch):
        self.seen += len(batch)
        return self.backbone.forward(batch)


def small(preset):
    """At 96 pixels, with every kind of view."""
    config = preset_config(preset)
    features = dataclasses.replace(
        config.features,
        size=96,
        flip=True,
        photometric_views=max(1, config.features.photometric_views),
    )
    return dataclasses.replace(config, features=features)


def test_a_mirror_equivariant_backbone_sees_every_image_once():
    config = small("default")
    views = cached_views(config)
    fast, plain = (Counting(load_backbone("mini", device="cpu"), flag) for flag in (True, False))
    found, proposals = features_and_proposals(PHOTO, fast, config, views, 0.7)
    expected, same = features_and_proposals(PHOTO, plain, config, views, 0.7)
    assert (fast.seen, plain.seen) == (2, 4)
    assert np.array_equal(proposals.label_image, same.label_image)
    for position, view in enumerate(views):
        if view.photometric is None:
            cosine = torch.nn.functional.cosine_similarity(
                found[position], expected[position], dim=0
            )
            assert cosine.min() > 0.999, view
    assert torch.equal(
        found[views.index(dataclasses.replace(views[0], flip=True))], found[0].flip(-1)
    )


def test_with_a_head_features_are_codes_and_proposals_those_of_the_plain_backbone(
    texture, texture_head
):
    config = small("default")
    views = cached_views(config)
    headed = load_backbone("texture", device="cpu", head=texture_head)
    plain, proposals = features_and_proposals(PHOTO, texture, config, views, 0.7)
    codes, same = features_and_proposals(PHOTO, headed, config, views, 0.7)
    assert proposals.num_masks > 1
    assert np.array_equal(proposals.label_image, same.label_image)
    assert np.array_equal(proposals.scores, same.scores)
    assert codes.shape == (len(views), 6, *plain.shape[2:])
    torch.testing.assert_close(codes, headed.head.network(plain))


def test_the_image_behind_an_input(texture):
    batch = texture.preprocess(IMAGE, 96)
    assert np.array_equal(as_image(batch, texture), IMAGE)
    lower = as_image(batch, texture, round_down=True).astype(int)
    # rounding errors of the normalisation cost a level here and there
    assert set(np.unique(IMAGE - lower)) == {0, 1}


@pytest.mark.parametrize("round_down", [False, True])
def test_grey_levels_are_made_on_the_device(texture, round_down):
    with FakeTensorMode():  # operands on two devices, or a look at a value, are errors there
        levels = _grey_levels(
            torch.empty(3, 3, 16, 24, device="cuda"), texture, round_down=round_down
        )
    assert (levels.device.type, levels.dtype, levels.shape) == ("cuda", torch.uint8, (3, 16, 24, 3))


def test_the_input_in_host_memory_is_that_of_the_extractor(texture, texture_head):
    headed = load_backbone("texture", device="cpu", head=texture_head)
    for extractor in (texture, headed, Counting(texture, False)):
        found = host_input(IMAGE, extractor, 64)
        assert found.device.type == "cpu"
        assert torch.equal(found, extractor.preprocess(IMAGE, 64))


def test_no_memory_of_the_device_is_needed_for_the_input(texture):
    on_device = copy.deepcopy(texture).to("meta")  # which holds no values
    assert torch.equal(host_input(IMAGE, on_device, 64), texture.preprocess(IMAGE, 64))


# ---- several photographs at once -----------------------------------------------------------------


def several(backbone, size):
    """Three photographs of one size: the photographs, and their inputs as one batch."""
    images = [IMAGE, IMAGE[::-1].copy(), 255 - IMAGE]
    photos = [
        Photo(image, *image.shape[:2], f"{number:064}") for number, image in enumerate(images)
    ]
    return photos, torch.cat([backbone.preprocess(photo.image, size) for photo in photos])


@pytest.mark.parametrize(
    ("name", "preset"), [("mini", "default"), ("texture", "paper"), ("texture", "fast")]
)
def test_a_batch_gives_what_every_photograph_gives_alone(name, preset):
    backbone, config = load_backbone(name, device="cpu"), small(preset)
    views = cached_views(config)
    photos, inputs = several(backbone, 96)
    made = features_and_proposals_batch(
        inputs, [photo.sha256 for photo in photos], backbone, config, views, 0.7
    )
    for photo, (features, proposals) in zip(photos, made, strict=True):
        expected, same = features_and_proposals(photo, backbone, config, views, 0.7)
        assert features.dtype == torch.float16
        # half precision
        torch.testing.assert_close(features.float(), expected, rtol=2e-3, atol=1e-3)
        assert np.array_equal(proposals.label_image, same.label_image)
        np.testing.assert_allclose(proposals.scores, same.scores, atol=1e-5)
        assert proposals.guards == same.guards


def test_a_batch_with_a_head_gives_codes(texture_head):
    headed, config = load_backbone("texture", device="cpu", head=texture_head), small("default")
    views = cached_views(config)
    photos, inputs = several(headed, 96)
    made = features_and_proposals_batch(
        inputs, [photo.sha256 for photo in photos], headed, config, views, 0.7
    )
    for photo, (codes, proposals) in zip(photos, made, strict=True):
        expected, same = features_and_proposals(photo, headed, config, views, 0.7)
        torch.testing.assert_close(codes.float(), expected, rtol=2e-3, atol=1e-3)
        assert np.array_equal(proposals.label_image, same.label_image)


class Overflowing(Counting):
    """Gives some inputs features that half precision cannot hold."""

    def __init__(self, backbone, bad):
        super().__init__(backbone, False)
        self.bad = bad

    def forward(self, batch):
        features = super().forward(batch)
        for image in self.bad:
            features[image, 0, 0, 0] = 1e6
        return features


@pytest.mark.parametrize("bad", [[1], [0, 1, 2]])
def test_an_image_with_features_that_cannot_be_stored_is_an_error_in_its_place(bad):
    backbone, config = Overflowing(load_backbone("texture", device="cpu"), bad), small("default")
    photos, inputs = several(backbone, 96)
    made = features_and_proposals_batch(
        inputs, [photo.sha256 for photo in photos], backbone, config, cached_views(config), 0.7
    )
    assert [isinstance(each, ImageError) for each in made] == [image in bad for image in range(3)]
    assert "Expected finite features" in str(made[bad[0]])
