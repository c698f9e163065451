import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.config import preset_config
from primaps.errors import ConfigError
from primaps.proposals import extract_batch
from primaps.proposals.crf import dense_crf as crf
from primaps.proposals.extract import extract_proposals
from primaps.proposals.extract_batch import extract_proposals_batch

SIZE = (40, 48)


@pytest.fixture(params=["compiled", "plain"])
def backend(request, monkeypatch):
    """What carries out the mean field; on accelerators it is plain torch."""
    if request.param == "plain":
        monkeypatch.setattr(crf, "_compiled_kernel", lambda: (None, "torch"))
    return request.param


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
    monkeypatch.setattr(extract_batch, "_MAX_POSTERIOR", 1)
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
def test_wrong_arrays_are_refused(images, features, message):
    with pytest.raises(ConfigError, match=message):
        extract_proposals_batch(images, features, 0.4, preset_config("default").proposals, 10**6)
