import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from primaps.config import preset_config
from primaps.errors import ConfigError, PrimapsError
from primaps.evaluation.matched_iou import matched_iou
from primaps.proposals import refining
from primaps.proposals.calibration import calibrate_threshold
from primaps.proposals.crf.dense_crf import PATHS, mean_field_batch
from primaps.proposals.extract import (
    consecutive,
    extract_proposals,
    extract_proposals_batch,
    mask_proposals,
)
from primaps.proposals.principal import principal_masks
from primaps.proposals.soft_scores import soft_scores

OFFICIAL = [
    "0001TP_006990",
    "0006R0_f01620",
    "0006R0_f03870",
    "0016E5_04470",
    "0016E5_06720",
    "106020",
    "183087",
    "28096",
]


THRESHOLD = 0.4


@pytest.fixture(scope="module")
def scene():
    """A drawn image of three regions and features that tell them apart."""
    regions = np.zeros((48, 64), dtype=np.int64)
    regions[:, 24:] = 1
    regions[30:, 40:] = 2
    colours = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200)], dtype=np.uint8)
    features = np.eye(3, dtype=np.float32)[regions[4::8, 4::8]].transpose(2, 0, 1) + 0.01
    return colours[regions], features, regions


@pytest.mark.parametrize("name", OFFICIAL)
def test_paper_preset_agrees_with_the_official_result(name, shared):
    """Matched IoU with the best of four official runs (they differ by the sign of a principal
    direction).
    """
    official = load_file(shared / "golden" / f"{name}.safetensors")
    image = np.asarray(Image.open(shared / "golden" / f"{name}.png").convert("RGB"))
    masks = principal_masks(official["features"].float()[None], 0.4, official_anchor=True)
    scores, _ = soft_scores(masks.similarity, masks.counts)
    torch.testing.assert_close(scores[0], official["soft_log_probabilities"], atol=1e-5, rtol=0)
    found = mask_proposals(image, official["features"].float(), 0.4, preset="paper").label_image
    references = [
        np.where(labels == 255, 0, labels.astype(int)) for labels in official["label_maps"].numpy()
    ]
    assert max(matched_iou(found, reference) for reference in references) >= 0.999


@pytest.mark.parametrize("preset", ["default", "paper", "fast"])
def test_regions_become_proposals(scene, preset):
    image, features, regions = scene
    found = mask_proposals(image, features, THRESHOLD, preset=preset)
    assert found.num_masks == 3
    assert matched_iou(found.label_image, regions) > 0.9
    assert found.label_image.dtype == np.int32
    if preset != "paper":  # there an anchor may lie among the used tokens
        np.testing.assert_allclose(found.scores, 1.0, atol=1e-3)


def test_arrays_and_tensors_of_any_float_type_give_the_same(scene):
    image, features, _ = scene
    expected = mask_proposals(image, features, THRESHOLD).label_image
    for kind in (torch.float16, torch.float32, torch.float64):
        np.testing.assert_array_equal(
            mask_proposals(
                torch.from_numpy(image), torch.from_numpy(features).to(kind), THRESHOLD
            ).label_image,
            expected,
        )


def test_features_may_require_a_gradient(scene):
    image, features, _ = scene
    found = mask_proposals(image, torch.from_numpy(features).requires_grad_(), THRESHOLD)
    np.testing.assert_array_equal(
        found.label_image, mask_proposals(image, features, THRESHOLD).label_image
    )


@pytest.mark.parametrize("size", [(48, 64), (47, 66), (96, 128), (20, 30), (1, 1), (1, 40)])
def test_the_image_may_have_any_size(scene, size):
    image = np.asarray(Image.fromarray(scene[0]).resize(size[::-1]))
    found = mask_proposals(image, scene[1], THRESHOLD)
    assert found.label_image.shape == size
    assert set(np.unique(found.label_image)) <= set(range(found.num_masks + 1))


def test_ids_are_consecutive_and_small_ones_can_be_dropped(scene):
    image, features, _ = scene
    found = mask_proposals(image, features, THRESHOLD)
    areas = np.bincount(found.label_image.ravel(), minlength=4)[1:]
    kept = mask_proposals(image, features, THRESHOLD, min_area=int(areas.min()) + 1)
    assert kept.num_masks == 2
    assert set(np.unique(kept.label_image)) == {0, 1, 2}
    assert mask_proposals(image, features, THRESHOLD, min_area=48 * 64 + 1).num_masks == 0
    assert mask_proposals(image, features, THRESHOLD, max_masks=1).num_masks == 1


def test_no_direction_no_proposal():
    found = mask_proposals(
        np.zeros((16, 16, 3), dtype=np.uint8), np.zeros((4, 2, 2), dtype=np.float32), THRESHOLD
    )
    assert found.num_masks == 0
    assert not found.label_image.any()
    assert found.guards == ("zero_tokens",)


def test_one_token_grid_and_constant_image():
    image = np.full((8, 8, 3), 7, dtype=np.uint8)
    assert mask_proposals(image, np.ones((4, 1, 1), dtype=np.float32), THRESHOLD).num_masks == 1
    assert mask_proposals(image, np.ones((4, 3, 5), dtype=np.float32), THRESHOLD).coverage == 1.0


def test_proposals_that_the_crf_would_erase_are_kept():
    # One token of 64 differs; the CRF over a constant image lets the rest take its pixels. Nothing
    # else is a proposal.
    features = np.zeros((2, 12, 12), dtype=np.float32)
    features[0, 5, 5] = features[1, 5, 6] = 1.0
    found = mask_proposals(np.full((96, 96, 3), 128, dtype=np.uint8), features, THRESHOLD)
    assert found.num_masks >= 1
    assert "median_erased_all" in found.guards
    assert "crf_erased_all" in found.guards


def test_large_images_are_refined_at_a_limited_size(scene):
    image = np.asarray(Image.fromarray(scene[0]).resize((640, 480), Image.Resampling.NEAREST))
    config = preset_config("default").proposals
    found = extract_proposals(image, scene[1], 0.4, config, max_pixels=3000)
    assert found.label_image.shape == (480, 640)
    expected = np.asarray(
        Image.fromarray(scene[2].astype(np.uint8)).resize((640, 480), Image.Resampling.NEAREST)
    )
    assert matched_iou(found.label_image, expected) > 0.85


@pytest.mark.parametrize(
    ("image", "features", "message"),
    [
        (
            np.zeros((4, 4, 2), dtype=np.uint8),
            np.ones((2, 2, 2), dtype=np.float32),
            r"shape \(H, W, 3\)",
        ),
        (np.zeros((4, 4, 3), dtype=np.int32), np.ones((2, 2, 2), dtype=np.float32), "uint8"),
        (
            np.zeros((4, 4, 3), dtype=np.uint8),
            np.ones((2, 2), dtype=np.float32),
            r"shape \(C, h, w\)",
        ),
        (np.zeros((4, 4, 3), dtype=np.uint8), np.ones((2, 2, 2), dtype=np.int64), "float dtype"),
        (
            np.zeros((4, 4, 3), dtype=np.uint8),
            np.full((2, 2, 2), np.nan, dtype=np.float32),
            "finite",
        ),
    ],
)
def test_wrong_arrays_are_refused(image, features, message):
    with pytest.raises(PrimapsError, match=message):
        mask_proposals(image, features, THRESHOLD)


@pytest.mark.parametrize(
    "options", [{"threshold": 0.0}, {"preset": "quick"}, {"min_area": -1}, {"max_masks": 0}]
)
def test_wrong_options_are_refused(scene, options):
    with pytest.raises(ConfigError):
        mask_proposals(scene[0], scene[1], **{"threshold": THRESHOLD, **options})


def test_ids_of_every_image_are_closed_up_by_itself():
    labels = torch.tensor([[[0, 3, 3], [3, 1, 0]], [[2, 2, 1], [2, 2, 2]], [[0, 0, 0], [0, 0, 0]]])
    ids, kept = consecutive(labels, 4, 0)
    assert ids.tolist() == [[[0, 2, 2], [2, 1, 0]], [[2, 2, 1], [2, 2, 2]], [[0, 0, 0], [0, 0, 0]]]
    assert kept.int().tolist() == [[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    ids, kept = consecutive(labels, 4, 2)
    assert ids.tolist() == [[[0, 1, 1], [1, 0, 0]], [[1, 1, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert kept.int().tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("size", [(48, 64), (33, 40), (1, 40)])
def test_the_crf_may_work_at_a_fraction_of_each_side(scene, size, monkeypatch):
    seen = []

    def watched(pixels, probabilities, constants, labels):
        seen.append(
            (
                tuple(pixels.shape),
                tuple(probabilities.shape[2:]),
                constants.bilateral_sxy,
                constants.gaussian_sxy,
            )
        )
        return mean_field_batch(pixels, probabilities, constants, labels=labels)

    monkeypatch.setattr("primaps.proposals.refining.mean_field_batch", watched)
    image = np.asarray(Image.fromarray(scene[0]).resize(size[::-1]))
    found = mask_proposals(image, scene[1], THRESHOLD, preset="fast")
    half = max(1, round(size[0] / 2)), max(1, round(size[1] / 2))
    assert seen == [((1, *half, 3), half, 33.5, 1.0)]
    assert found.label_image.shape == size


def test_posterior_is_upsampled_before_its_largest_label_is_taken(scene, monkeypatch):
    def ramps(pixels, probabilities, _, labels):
        # the two labels are equal at column 16 of 32
        excess = (torch.arange(pixels.shape[2]) - 16.0) / 100
        posterior = torch.zeros_like(probabilities)
        posterior[:, 1], posterior[:, 2] = 0.5 - excess, 0.5 + excess
        return posterior

    monkeypatch.setattr("primaps.proposals.refining.mean_field_batch", ramps)
    found = mask_proposals(scene[0], scene[1], THRESHOLD, preset="fast").label_image
    # Column 16 has its centre at 33 of 64: labels that are enlarged themselves change at even
    # columns only.
    np.testing.assert_array_equal(found, np.where(np.arange(64) < 33, 1, 2)[None].repeat(48, 0))


@pytest.mark.parametrize("name", OFFICIAL[:3])
def test_fast_proposals_are_nearly_those_of_default(name, shared):
    features = load_file(shared / "golden" / f"{name}.safetensors")["features"].float()
    image = np.asarray(Image.open(shared / "golden" / f"{name}.png").convert("RGB"))
    default, fast = (
        mask_proposals(image, features, THRESHOLD, preset=preset) for preset in ("default", "fast")
    )
    assert (fast.label_image == default.label_image).mean() > 0.95


def test_features_of_a_backbone_carry_its_threshold(photograph, texture):
    features = texture.extract(photograph, size=64)
    found, expected = (
        mask_proposals(photograph, features),
        mask_proposals(photograph, features, texture.threshold),
    )
    np.testing.assert_array_equal(found.label_image, expected.label_image)
    assert mask_proposals(photograph, features, 0.95).num_masks > found.num_masks


def test_a_threshold_that_is_not_known_is_never_guessed(photograph, texture, monkeypatch):
    features = texture.extract(photograph, size=64)
    for copied in (features * 1, features.numpy()):
        with pytest.raises(ConfigError, match=r"Give threshold=backbone\.threshold"):
            mask_proposals(photograph, copied)
    monkeypatch.setattr(texture, "threshold", None)  # as of timm: models
    features = texture.extract(photograph, size=64)
    with pytest.raises(ConfigError, match=r"threshold=primaps\.calibrate_threshold"):
        mask_proposals(photograph, features)
    assert (
        mask_proposals(photograph, features, calibrate_threshold([features]).value).num_masks >= 1
    )


SIZE = (40, 48)


@pytest.fixture(params=["compiled", "plain"])
def backend(request):
    """What carries out the mean field; on accelerators it is plain torch."""
    with PATHS.plain_only() if request.param == "plain" else nullcontext():
        yield request.param


def scenes(seed, kinds):
    """Images of as many kinds of regions as ``kinds`` says, and noisy features that tell them
    apart.
    """
    random = np.random.default_rng(seed)
    images, features = [], []
    for count in kinds:
        corners = random.uniform(0, 1, (count, 2))
        rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / max(SIZE)
        nearest = np.stack([(rows - y) ** 2 + (columns - x) ** 2 for y, x in corners]).argmin(0)
        colours = random.integers(0, 256, (count, 3))
        images.append(
            (colours[nearest] + random.normal(0, 6, (*SIZE, 3))).clip(0, 255).astype(np.uint8)
        )
        cells = random.normal(size=(count, 24))[nearest[2::4, 2::4]]
        features.append(
            (cells + 0.1 * random.normal(size=cells.shape)).transpose(2, 0, 1).astype(np.float32)
        )
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(features))


def assert_same_as_alone(images, features, config, threshold=0.4, max_pixels=10**6):
    found = extract_proposals_batch(images, features, threshold, config, max_pixels)
    for image, grid, each in zip(images, features, found, strict=True):
        expected = extract_proposals(image, grid, threshold, config, max_pixels)
        assert each.label_image.dtype == np.int32
        np.testing.assert_array_equal(each.label_image, expected.label_image)
        np.testing.assert_allclose(each.scores, expected.scores, atol=1e-6)
        assert each.guards == expected.guards
    return found


@pytest.mark.parametrize("preset", ["default", "paper", "fast"])
def test_proposals_are_those_of_every_image_alone(backend, preset):
    images, features = scenes(0, [1, 3, 12, 5, 9])
    found = assert_same_as_alone(images, features, preset_config(preset).proposals)
    assert len({each.num_masks for each in found}) > 2  # in several groups of labels


@given(
    seed=st.integers(0, 10_000),
    kinds=st.lists(st.integers(1, 10), min_size=1, max_size=4),
    threshold=st.floats(0.2, 0.9),
)
@settings(max_examples=15, deadline=None)
def test_any_scenes(seed, kinds, threshold):
    images, features = scenes(seed, kinds)
    assert_same_as_alone(images, features, preset_config("default").proposals, threshold)


def test_small_and_superfluous_proposals_are_dropped():
    images, features = scenes(1, [6, 8])
    config = dataclasses.replace(
        preset_config("default").proposals, min_area=150, max_masks=4, threshold=0.5
    )
    found = assert_same_as_alone(images, features, config, threshold=0.9)
    assert all(each.num_masks <= 4 for each in found)
    assert all(np.bincount(each.label_image.ravel())[1:].min() >= 150 for each in found)


def test_the_crf_works_at_a_limited_size_and_in_parts_that_fit(backend, monkeypatch):
    images, features = scenes(2, [2, 3, 4])
    config = preset_config("default").proposals
    whole = assert_same_as_alone(images, features, config, max_pixels=1024)
    monkeypatch.setattr(refining, "_MAX_POSTERIOR", 1)
    for each, expected in zip(
        assert_same_as_alone(images, features, config, max_pixels=1024), whole, strict=True
    ):
        np.testing.assert_array_equal(each.label_image, expected.label_image)


def test_images_without_direction_and_such_that_the_crf_erases(backend):
    images, features = scenes(3, [3, 3, 3])
    features[0] = 0.0
    images[1], features[1] = 128, 0.0
    features[1, 0, 5, 5] = features[1, 1, 5, 6] = 1.0
    for preset in ("default", "paper", "fast"):
        found = assert_same_as_alone(images, features, preset_config(preset).proposals)
        assert found[0].guards == ("zero_tokens",)
        assert found[0].num_masks == 0
        assert ("crf_erased_all" in found[1].guards) is (preset != "paper")
        assert found[2].num_masks > 1


@pytest.mark.parametrize(
    ("images", "features", "message"),
    [
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.ones(2, 2, 2, 2), r"shape \(B, H, W, 3\)"),
        (torch.zeros(2, 4, 4, 3), torch.ones(2, 2, 2, 2), "uint8"),
        (
            torch.zeros(2, 4, 4, 3, dtype=torch.uint8),
            torch.ones(3, 2, 2, 2),
            r"shape \(2, C, h, w\)",
        ),
        (
            torch.zeros(2, 4, 4, 3, dtype=torch.uint8),
            torch.ones(2, 2, 2, 2, dtype=torch.int64),
            "float dtype",
        ),
        (torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.full((2, 2, 2, 2), torch.inf), "finite"),
    ],
)
def test_wrong_batches_are_refused(images, features, message):
    with pytest.raises(ConfigError, match=message):
        extract_proposals_batch(images, features, 0.4, preset_config("default").proposals, 10**6)
