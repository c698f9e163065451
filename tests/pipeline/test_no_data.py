from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import tifffile

from primaps import pipeline
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.no_data import without_ignored
from primaps.runs.model import Model
from primaps.runs.run import read_warnings
from primaps.types import MaskProposals


def test_proposals_lose_pixels_and_close_up():
    labels = np.zeros((4, 6), np.int32)
    labels[:, :2], labels[:, 2:4], labels[:, 4:] = 1, 2, 3
    proposals = MaskProposals(labels, np.array([0.5, 0.6, 0.7], np.float32), ("guard",))
    ignored = np.zeros((40, 60), bool)
    ignored[:, 20:50] = True
    found = without_ignored(proposals, ignored)
    assert np.unique(found.label_image[:, 2:5]).tolist() == [0]
    assert (found.label_image[:, :2] == 1).all()
    assert (found.label_image[:, 5] == 2).all()
    assert np.allclose(found.scores, [0.5, 0.7])
    assert found.guards == ("guard",)
    assert without_ignored(proposals, None) is proposals
    assert without_ignored(proposals, np.ones((4, 6), bool)).num_masks == 0


@pytest.mark.parametrize("crf", [False, True])
def test_label_maps_are_255_where_there_is_no_data(tmp_path, texture, small_config, draw, crf):
    import dataclasses

    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        values = draw(seed)[..., 0].astype(np.float32)
        values[:20, 10 * seed : 10 * seed + 15] = -9999
        tags = [(42113, "s", 0, "-9999", True)]
        tifffile.imwrite(folder / f"{seed}.tif", values, extratags=tags)
    PIL.Image.fromarray(draw(8)).save(folder / "plain.png")
    config = dataclasses.replace(
        small_config, predict=dataclasses.replace(small_config.predict, crf=crf)
    )
    run = pipeline.open_run([folder], tmp_path / "run", texture, config)
    pipeline.segment(run)
    model = Model.load(tmp_path / "run")
    config = dataclasses.replace(config, inputs=model.inputs)
    other = pipeline.predict_images([folder], tmp_path / "other", texture, model, config)
    for files in (run.folder, other.folder):
        for seed in range(3):
            labels = read_label_image(files.labels(f"{seed}.tif"))
            expected = np.zeros((60, 80), bool)
            expected[:20, 10 * seed : 10 * seed + 15] = True
            assert np.array_equal(labels == 255, expected)
        assert read_label_image(files.labels("plain.png")).max() < 255
        assert [note.kind for note in read_warnings(files)["1.tif"]] == ["range", "no-data"]
    proposals = read_label_image(run.folder.proposals("0.tif"))
    assert proposals[:20, :15].max() == 0
    assert run.store.info("0.tif").ignored == pytest.approx(300 / 4800)
