import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from primaps.config import CRFConfig, PredictConfig
from primaps.errors import ConfigError
from primaps.pipeline import prediction
from primaps.pipeline.prediction import image_features, label_map, limited_size
from primaps.proposals.crf.dense_crf import dense_crf
from primaps.proposals.resampling import enlarge_nearest, shrink
from primaps.prototypes.classifier import label_map_from_logits
from primaps.runs.model import Model
from primaps.types import FitResult

PLAIN = PredictConfig(crf=False)


def model_of(prototypes, *, cosine=False):
    usage = torch.ones(len(prototypes), dtype=torch.int64)
    fit = FitResult(teacher=prototypes, student=-prototypes, cosine=cosine, usage=usage)
    return Model(fit, {"name": "texture"}, None, 64, {}, "f")


def random_model(num_clusters=4, channels=6, *, cosine=False, seed=0):
    return model_of(
        torch.randn(num_clusters, channels, generator=torch.Generator().manual_seed(seed)),
        cosine=cosine,
    )


def random_features(channels=6, height=7, width=9, seed=1):
    return torch.randn(channels, height, width, generator=torch.Generator().manual_seed(seed))


def plain_logits(features, prototypes):
    return torch.einsum("kc,chw->khw", prototypes, features)


# ---- features ------------------------------------------------------------------------------------


def test_image_features_are_those_of_the_backbone_rounded_as_the_store_rounds(texture, photograph):
    found = image_features(texture, photograph, 64)
    assert found.dtype == torch.float32
    assert torch.equal(found, texture.extract(photograph, size=64).half().float())
    assert found.shape == (texture.dim, 8, 11)


def test_flip_averages_with_the_mirrored_image(texture, photograph):
    batch = texture.preprocess(photograph, 64)
    expected = (texture.forward(batch)[0] + texture.forward(batch.flip(-1))[0].flip(-1)) / 2
    torch.testing.assert_close(
        image_features(texture, photograph, 64, flip=True), expected, atol=2e-3, rtol=1e-3
    )
    assert not torch.equal(
        image_features(texture, photograph, 64), image_features(texture, photograph, 64, flip=True)
    )


def test_flip_treats_an_image_and_its_mirror_image_alike(texture, photograph):
    # sides are multiples of the patch: nothing is resampled, so that features are equal bit by bit
    image = photograph[:56]
    mirrored = np.ascontiguousarray(image[:, ::-1])
    features = image_features(texture, image, 56, flip=True)
    other = image_features(texture, mirrored, 56, flip=True)
    assert torch.equal(other, features.flip(-1))
    assert not torch.equal(
        image_features(texture, mirrored, 56), image_features(texture, image, 56).flip(-1)
    )

    model = random_model(5, texture.dim)
    labels, mirror_labels = (label_map(each, model, (56, 80), PLAIN) for each in (features, other))
    assert len(np.unique(labels)) > 1
    # interpolation rounds differently from the other side
    assert (mirror_labels == labels[:, ::-1]).mean() > 0.999


# ---- label maps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 80), (7, 9), (61, 35), (5, 4), (1, 1)])
def test_a_label_map_equals_upsampled_logits_and_argmax(size):
    model, features = random_model(), random_features()
    logits = plain_logits(features, model.prototypes)
    expected = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[
        0
    ].argmax(0)
    found = label_map(features, model, size, PLAIN)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected.numpy())


def test_a_model_with_cosine_logits_looks_at_directions_only():
    model = random_model(cosine=True)
    longer = model_of(model.prototypes * torch.tensor([[9.0], [1.0], [0.1], [3.0]]), cosine=True)
    features = random_features()
    np.testing.assert_array_equal(
        label_map(features, model, (30, 40), PLAIN), label_map(features, longer, (30, 40), PLAIN)
    )
    unequal = dataclasses.replace(longer, fit=dataclasses.replace(longer.fit, cosine=False))
    assert (
        label_map(features, model, (30, 40), PLAIN) != label_map(features, unequal, (30, 40), PLAIN)
    ).any()


def test_the_teacher_labels_not_the_student():
    model = random_model()
    swapped = dataclasses.replace(
        model,
        fit=dataclasses.replace(model.fit, teacher=model.fit.student, student=model.fit.teacher),
    )
    features = random_features()
    assert (
        label_map(features, model, (7, 9), PLAIN) != label_map(features, swapped, (7, 9), PLAIN)
    ).mean() > 0.9


def test_large_images_are_labelled_at_max_pixels_and_enlarged():
    model, features = random_model(), random_features()
    config = PredictConfig(crf=False, max_pixels=1200)
    small = label_map(features, model, (30, 40), PLAIN)
    np.testing.assert_array_equal(
        label_map(features, model, (90, 120), config), small.repeat(3, axis=0).repeat(3, axis=1)
    )


def test_nothing_is_computed_at_full_size_beyond_max_pixels(monkeypatch):
    sizes = []
    original = prediction.label_map_from_logits

    def watched(scores, size):
        sizes.append(size)
        return original(scores, size)

    monkeypatch.setattr(prediction, "label_map_from_logits", watched)
    found = label_map(
        random_features(), random_model(), (900, 1200), PredictConfig(crf=False, max_pixels=2000)
    )
    assert found.shape == (900, 1200)
    assert sizes == [limited_size((900, 1200), 2000)]


def test_label_254_is_not_lost():
    prototypes = torch.zeros(254, 2)
    prototypes[253] = torch.tensor([1.0, 1.0])
    assert (label_map(torch.ones(2, 3, 3), model_of(prototypes), (6, 6), PLAIN) == 253).all()


# ---- the CRF -------------------------------------------------------------------------------------


def two_halves(height=40, width=60, edge=26):
    """An image whose colours change at column ``edge``, and logits on a coarse grid that change
    somewhere near.
    """
    image = np.full((height, width, 3), (30, 60, 200), dtype=np.uint8)
    image[:, edge:] = (220, 180, 20)
    features = torch.zeros(2, 4, 6)
    features[0, :, :3], features[1, :, 3:] = 2.0, 2.0  # at column 30 of 60
    return image, features


@pytest.mark.parametrize(
    ("scale", "size", "agreement"), [(1.0, (40, 60), 0.99), (0.5, (80, 120), 59 / 60)]
)
def test_the_crf_moves_boundaries_to_the_edges_of_the_image(scale, size, agreement):
    """At half of each side up to a pixel of that size."""
    edge = size[1] * 13 // 30
    image, features = two_halves(*size, edge)
    model = model_of(torch.eye(2))
    expected = np.zeros(size, dtype=np.uint8)
    expected[:, edge:] = 1
    plain = label_map(features, model, size, PLAIN)
    refined = label_map(features, model, size, PredictConfig(crf_scale=scale), image)
    assert (plain == expected).mean() < 0.95
    assert (refined == expected).mean() >= agreement


@pytest.mark.parametrize(("size", "max_pixels"), [((40, 60), 10_000), ((41, 59), 1200)])
def test_the_crf_at_all_of_each_side_is_that_of_the_image(size, max_pixels):
    image, features = two_halves(*size)
    model = random_model(7, 2)
    working = shrink(torch.tensor(image), max_pixels)
    scores = torch.log_softmax(plain_logits(features, model.prototypes), dim=0)
    expected = enlarge_nearest(dense_crf(working, scores).argmax(0), *size)
    found = label_map(
        features, model, size, PredictConfig(crf_scale=1.0, max_pixels=max_pixels), image
    )
    np.testing.assert_array_equal(found, expected)


def test_the_crf_at_half_of_each_side_agrees_on_most_pixels(photograph, texture):
    image = photograph.repeat(3, 0).repeat(3, 1)
    features, model = image_features(texture, image, 160), random_model(5, texture.dim)
    full, half = (
        label_map(features, model, (180, 240), PredictConfig(crf_scale=scale), image)
        for scale in (1.0, 0.5)
    )
    assert len(np.unique(full)) > 2
    assert 0.95 < (full == half).mean() < 1.0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)])
def test_no_side_of_a_tiny_image_vanishes(size):
    image = np.zeros((*size, 3), dtype=np.uint8)
    assert (
        label_map(
            random_features(), random_model(), size, PredictConfig(crf_scale=0.1), image
        ).shape
        == size
    )


def test_the_crf_of_a_shrunk_photograph_is_enlarged_to_its_own_size():
    image, features = two_halves()
    config, model = PredictConfig(crf=True), model_of(torch.eye(2))
    small = label_map(features, model, (40, 60), config, image)
    np.testing.assert_array_equal(
        label_map(features, model, (120, 180), config, image), small.repeat(3, 0).repeat(3, 1)
    )


@pytest.mark.parametrize(
    ("num_clusters", "max_pixels", "scale", "expected"),
    [
        (2, 10_000, 1.0, 2400),
        (2, 1024, 1.0, 1024),
        (100, 10_000, 1.0, 600),
        (2, 10_000, 0.5, 600),
        (100, 10_000, 0.5, 150),
    ],
)
def test_the_crf_works_at_fewer_pixels_for_many_classes(
    num_clusters, max_pixels, scale, expected, monkeypatch
):
    shapes = []

    def watched(image, scores, config):
        shapes.append((image.shape[0] * image.shape[1], scores.shape[0]))
        assert config == dataclasses.replace(
            CRFConfig(), bilateral_sxy=scale * CRFConfig().bilateral_sxy
        )
        torch.testing.assert_close(scores.exp().sum(0), torch.ones(4, 6))  # log-probabilities
        return F.interpolate(scores[None], size=image.shape[:2], mode="bilinear")[0].softmax(0)

    monkeypatch.setattr(prediction, "refine", watched)
    monkeypatch.setattr(prediction, "POSTERIOR_LIMIT", 60_000)
    image, features = two_halves()
    model = random_model(num_clusters, 2)
    labels = label_map(
        features, model, (40, 60), PredictConfig(max_pixels=max_pixels, crf_scale=scale), image
    )
    (pixels, classes), *rest = shapes
    assert not rest
    assert classes == num_clusters
    assert 0.9 * expected <= pixels <= expected
    assert labels.shape == (40, 60)


def test_posteriors_of_large_images_are_enlarged_to_max_pixels(monkeypatch):
    sizes = []

    def watched(posterior, size):
        sizes.append((tuple(posterior.shape[1:]), size))
        return label_map_from_logits(posterior, size)

    monkeypatch.setattr(prediction, "label_map_from_logits", watched)
    image, features = two_halves(150, 200, 88)
    found = label_map(
        features, model_of(torch.eye(2)), (600, 800), PredictConfig(max_pixels=7500), image
    )
    assert sizes == [((38, 50), (75, 100))]
    assert found.shape == (600, 800)
    # a pixel of the CRF; half way between two tokens would be 400
    assert abs(int((found == 0).sum(1)[0]) - 4 * 88) <= 16


def test_the_crf_without_an_image_is_refused():
    with pytest.raises(ConfigError, match=r"Expected the image, which the CRF needs"):
        label_map(random_features(), random_model(), (7, 9), PredictConfig(crf=True))
