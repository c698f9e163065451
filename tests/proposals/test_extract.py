import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from primaps.config import preset_config
from primaps.errors import ConfigError
from primaps.evaluation.matched_iou import matched_iou
from primaps.proposals.calibration import calibrate_threshold
from primaps.proposals.crf.dense_crf import mean_field_batch
from primaps.proposals.extract import (
    consecutive,
    enlarge_nearest,
    extract_proposals,
    limited_size,
    mask_proposals,
    shrink,
)
from primaps.proposals.principal import principal_masks, soft_scores

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
    masks = principal_masks(official["features"].float(), 0.4, official_anchor=True)
    scores, _ = soft_scores(masks.similarity)
    torch.testing.assert_close(scores, official["soft_log_probabilities"], atol=1e-5, rtol=0)
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
            np.zeros((4, 4), dtype=np.uint8),
            np.ones((2, 2, 2), dtype=np.float32),
            r"shape \(H, W, 3\)",
        ),
        (np.zeros((4, 4, 3), dtype=np.float32), np.ones((2, 2, 2), dtype=np.float32), "uint8"),
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
    with pytest.raises(ConfigError, match=message):
        mask_proposals(image, features, THRESHOLD)


@pytest.mark.parametrize(
    "options", [{"threshold": 0.0}, {"preset": "quick"}, {"min_area": -1}, {"max_masks": 0}]
)
def test_wrong_options_are_refused(scene, options):
    with pytest.raises(ConfigError):
        mask_proposals(scene[0], scene[1], **{"threshold": THRESHOLD, **options})


def test_enlarging_takes_the_cell_of_each_centre():
    labels = torch.tensor([[1, 2], [3, 4]])
    assert enlarge_nearest(labels, 4, 4).tolist() == [
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [3, 3, 4, 4],
        [3, 3, 4, 4],
    ]
    assert torch.equal(enlarge_nearest(enlarge_nearest(labels, 5, 7), 2, 2), labels)


def test_ids_of_every_image_are_closed_up_by_itself():
    labels = torch.tensor([[[0, 3, 3], [3, 1, 0]], [[2, 2, 1], [2, 2, 2]], [[0, 0, 0], [0, 0, 0]]])
    ids, kept = consecutive(labels, 4, 0)
    assert ids.tolist() == [[[0, 2, 2], [2, 1, 0]], [[2, 2, 1], [2, 2, 2]], [[0, 0, 0], [0, 0, 0]]]
    assert kept.int().tolist() == [[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    ids, kept = consecutive(labels, 4, 2)
    assert ids.tolist() == [[[0, 1, 1], [1, 0, 0]], [[1, 1, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert kept.int().tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_shrinking_keeps_the_aspect():
    pixels = torch.full((100, 200, 3), 9, dtype=torch.uint8)
    small = shrink(pixels, 5000)
    assert small.shape == (50, 100, 3)
    assert torch.equal(small, torch.full((50, 100, 3), 9, dtype=torch.uint8))
    assert shrink(pixels, 20_000) is pixels


def test_limited_size_of_common_photographs():
    assert limited_size((480, 640), 1_000_000) == (480, 640)
    assert limited_size((3000, 4000), 1_000_000) == (866, 1154)
    assert limited_size((1, 5_000_000), 1_000_000) == (1, 1_000_000)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1024, 2_000_000))
def test_limited_size_is_the_largest_of_its_shape_within_the_limit(height, width, limit):
    low, wide = limited_size((height, width), limit)
    assert 1 <= low <= height
    assert 1 <= wide <= width
    assert low * wide <= limit
    if height * width <= limit:
        assert (low, wide) == (height, width)
    else:
        assert (low + 1) * (wide + 1) > limit * 0.999
        assert (
            low == 1 or wide == 1 or abs(np.log(low * width / (wide * height))) < 1 / low + 1 / wide
        )


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1024, 100_000))
def test_limited_size_treats_both_sides_alike(height, width, limit):
    assert limited_size((height, width), limit) == limited_size((width, height), limit)[::-1]


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

    monkeypatch.setattr("primaps.proposals.extract.mean_field_batch", watched)
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

    monkeypatch.setattr("primaps.proposals.extract.mean_field_batch", ramps)
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
