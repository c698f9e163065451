import dataclasses

import numpy as np
import torch

from primaps.config import preset_config
from primaps.data.reading import Photo
from primaps.features.backbone import load_backbone
from primaps.pipeline.extraction import features_and_proposals
from primaps.run import cached_views

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
