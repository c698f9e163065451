import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.data.reading import read_image
from primaps.errors import CheckpointError, DatasetError, ImageError
from primaps.heads.attention import features_and_attention
from primaps.heads.crops import CropConfig, crop_boxes, cut
from primaps.heads.local_positives import local_weights
from primaps.heads.neighbours import pooled
from primaps.pipeline import open_run
from primaps.pipeline.heads.head_crops import CropNeeds, PreparedCrops, crop_tensors

NEEDS = CropNeeds(CropConfig(resolution=32, resample="bilinear"), local=True, views=2)


@pytest.fixture
def make(photographs, texture, small_config, tmp_path):
    """Prepared crops of the five drawn photographs."""

    def prepare(needs=NEEDS, out="head"):
        run = open_run(
            [str(photographs)], tmp_path / out, texture, small_config, stages=("backbone",)
        )
        crops = PreparedCrops(run, needs)
        crops.contents = crops.prepare()
        return crops

    return prepare


def expected_input(photographs, texture, name, number):
    image = read_image(photographs / name)
    box = crop_boxes(*image.shape[:2], NEEDS.crops)[number]
    return texture.preprocess(cut(image, box, 32, "bilinear"), 32)


def test_crops_are_the_backbones_features_of_the_cut_photographs(make, photographs, texture):
    crops = make()
    assert [image.name for image in crops.images] == [
        "more/p4.png",
        "p0.png",
        "p1.png",
        "p2.png",
        "p3.png",
    ]
    assert list(crops.contents) == [image.name for image in crops.images]
    assert len(crops) == 25
    found = crops.features([9, 0])
    assert found.shape == (2, texture.dim, 4, 4)
    assert found.dtype == torch.float32
    for one, (name, number) in zip(found, (("p0.png", 4), ("more/p4.png", 0)), strict=True):
        torch.testing.assert_close(
            one,
            texture.forward(expected_input(photographs, texture, name, number))[0],
            atol=1e-2,
            rtol=1e-3,
        )


def test_local_weights_and_descriptors(make, photographs, texture):
    crops = make()
    features, attention = features_and_attention(
        texture, expected_input(photographs, texture, "p1.png", 2)
    )
    torch.testing.assert_close(
        crops.local_weights([12])[0], local_weights(attention[0], (4, 4)), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(crops.descriptors()[12], pooled(features)[0], atol=1e-4, rtol=1e-3)
    assert crops.descriptors().shape == (25, texture.dim)


def test_augmented_versions_are_stored_ones_and_follow_from_the_content(make):
    crops = make()
    drawn = {
        float(crops.augmented([3], torch.Generator().manual_seed(seed)).sum()) for seed in range(12)
    }
    assert len(drawn) == 2
    assert float(crops.features([3]).sum()) not in drawn
    again = make(out="again")
    first, second = (
        one.augmented([3, 7], torch.Generator().manual_seed(0)) for one in (crops, again)
    )
    assert torch.equal(first, second)


def test_new_augmentations_whenever_asked(make):
    crops = make(dataclasses.replace(NEEDS, views=None))
    drawn = {
        float(crops.augmented([3], torch.Generator().manual_seed(seed)).sum()) for seed in range(4)
    }
    assert len(drawn) == 4
    first, second = (crops.augmented([3], torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("views", [2, None])
def test_without_a_cache_everything_is_computed_and_little_is_written(make, tmp_path, views):
    kept, fresh = (
        make(dataclasses.replace(NEEDS, views=views, cache=cache), out=str(cache))
        for cache in (True, False)
    )
    torch.testing.assert_close(fresh.features([9, 0]), kept.features([9, 0]), atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(
        fresh.local_weights([9, 0]), kept.local_weights([9, 0]), atol=1e-3, rtol=1e-2
    )
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    one, other = (
        crops.augmented([9, 0], generator)
        for crops, generator in zip((kept, fresh), generators, strict=True)
    )
    torch.testing.assert_close(one, other, atol=2e-2, rtol=1e-2)
    sizes = [
        sum(path.stat().st_size for path in (tmp_path / name / "crops").rglob("*.safetensors"))
        for name in ("True", "False")
    ]
    assert sizes[1] < 0.2 * sizes[0]


def test_only_missing_and_changed_photographs_are_cut_again(make, photographs, tmp_path):
    before = make()
    shards = sorted((tmp_path / "head" / "crops").rglob("*.safetensors"))
    times = [path.stat().st_mtime_ns for path in shards]
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(photographs / "p2.png")
    shards[-1].unlink()
    after = make()
    changed = [
        path.name
        for path, time in zip(shards, times, strict=True)
        if path.stat().st_mtime_ns != time
    ]
    assert changed == ["p2.png.safetensors", "p3.png.safetensors"]
    assert {name for name in after.contents if after.contents[name] != before.contents[name]} == {
        "p2.png"
    }


def test_a_bad_photograph_is_reported_and_the_rest_is_used(make, photographs):
    (photographs / "bad.png").write_bytes(b"no image")
    crops = make()
    assert len(crops) == 25
    assert [failure.path for failure in crops.run.failures] == [str(photographs / "bad.png")]


def test_only_bad_photographs_are_an_error(make, photographs):
    for path in photographs.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="5"):
        make()


def test_a_damaged_shard_is_named(make, tmp_path):
    crops = make()
    path = tmp_path / "head" / "crops" / "p0.png.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"stored crops of p0\.png"):
        crops.features([5])


def test_features_that_are_not_finite_are_refused(texture, photograph, monkeypatch):
    monkeypatch.setattr(
        texture,
        "forward",
        lambda batch: torch.full((len(batch), 2, 4, 4), float("inf")),
        raising=False,
    )
    with pytest.raises(ImageError, match="finite features"):
        crop_tensors(photograph, texture, dataclasses.replace(NEEDS, local=False, views=0), seed=0)
