import dataclasses

import numpy as np
import pytest
import torch

from primaps import pipeline
from primaps.config import preset_config
from primaps.data.framing import crop_image
from primaps.data.reading import Photo, read_image
from primaps.errors import ConfigError
from primaps.features.backbone import load_backbone
from primaps.pipeline.features_and_proposals import as_image, features_and_proposals
from primaps.run import cached_views
from primaps.types import View

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


def test_a_mirror_equivariant_backbone_sees_every_image_once():
    config = preset_config("default")
    config = dataclasses.replace(config, features=dataclasses.replace(config.features, size=96))
    views = cached_views(config)
    fast, plain = (Counting(load_backbone("mini", device="cpu"), flag) for flag in (True, False))
    found, proposals = features_and_proposals(PHOTO, fast, config, views, 0.7)
    expected, same = features_and_proposals(PHOTO, plain, config, views, 0.7)
    assert (fast.seen, plain.seen) == (2, 4)
    assert np.array_equal(proposals.label_image, same.label_image)
    for position, view in enumerate(views):
        if view.photometric is None:
            cosine = torch.nn.functional.cosine_similarity(found[position], expected[position], dim=0)
            assert cosine.min() > 0.999, view
    assert torch.equal(found[views.index(dataclasses.replace(views[0], flip=True))], found[0].flip(-1))


def test_with_a_head_features_are_codes_and_proposals_those_of_the_plain_backbone(texture, texture_head):
    config = preset_config("default")
    config = dataclasses.replace(config, features=dataclasses.replace(config.features, size=96))
    views = cached_views(config)
    headed = load_backbone("texture", device="cpu", head=texture_head)
    plain, proposals = features_and_proposals(PHOTO, texture, config, views, 0.7)
    codes, same = features_and_proposals(PHOTO, headed, config, views, 0.7)
    assert proposals.num_masks > 1
    assert np.array_equal(proposals.label_image, same.label_image)
    assert np.array_equal(proposals.scores, same.scores)
    assert codes.shape == (len(views), 6, *plain.shape[2:])
    torch.testing.assert_close(codes, headed.head.network(plain))


# ---- centre crops --------------------------------------------------------------------------------------------------------------


def cropping(config):
    return dataclasses.replace(config, features=dataclasses.replace(config.features, framing="centre-crop"))


def test_centre_crops_are_what_is_stored(photographs, small_config, texture, tmp_path):
    config = cropping(small_config)
    run = pipeline.open_run([photographs], tmp_path / "run", texture, config, stages=pipeline.PROPOSAL_STAGES)
    pipeline.proposals(run)
    name = run.images[0].name
    info = run.store.info(name)
    assert (info.height, info.width) == (64, 64)
    crop = crop_image(read_image(run.images[0].path), 64)
    assert torch.equal(run.store.features(name, View()), texture.extract(crop, 64).half())
    assert run.store.proposals(name).shape == (64, 64)


def test_whole_photographs_and_crops_do_not_share_a_folder(photographs, small_config, texture, tmp_path):
    pipeline.open_run([photographs], tmp_path / "run", texture, small_config, stages=pipeline.PROPOSAL_STAGES)
    with pytest.raises(ConfigError, match=r"features.framing: 'whole' -> 'centre-crop'"):
        pipeline.open_run([photographs], tmp_path / "run", texture, cropping(small_config), stages=pipeline.PROPOSAL_STAGES)


def test_label_maps_are_of_whole_photographs_only(photographs, small_config, texture, tmp_path):
    with pytest.raises(ConfigError, match="Expected framing to be 'whole'"):
        pipeline.open_run([photographs], tmp_path / "run", texture, cropping(small_config))


def test_the_image_behind_an_input(texture):
    batch = texture.preprocess(IMAGE, 96)
    assert np.array_equal(as_image(batch, texture), IMAGE)
    lower = as_image(batch, texture, round_down=True).astype(int)
    assert set(np.unique(IMAGE - lower)) == {0, 1}  # rounding errors of the normalisation cost a level here and there
