from __future__ import annotations

import numpy as np
import PIL.Image
import tifffile

import primaps as pm


def test_deep_images_are_read_as_those_that_it_was_fitted_to(
    photograph, texture, small_config, tmp_path
):
    """By the range of the folder, although one of them would fill a range of its own."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for name, factor in {"bright": 10, "dim": 3}.items():
        values = photograph[..., 0].astype(np.float32) * factor
        tifffile.imwrite(images / f"{name}.tif", values)
    segmenter = pm.Segmenter(texture, num_clusters=3, config=small_config)
    segmenter.fit(images, run_dir=tmp_path / "run", progress=False)
    for name in ("bright", "dim"):
        truth = segmenter.predict(images / f"{name}.tif")
        PIL.Image.fromarray(truth).save(labels / f"{name}.png")
    dataset = pm.load_dataset("folder", tmp_path, None)
    result = pm.evaluate(segmenter, dataset, crf=segmenter.config.predict.crf, progress=False)
    assert result.accuracy == 1.0
    assert not np.array_equal(segmenter.predict(dataset[1].image), dataset[1].labels)
