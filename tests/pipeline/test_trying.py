import dataclasses

import numpy as np
import pytest

from primaps import pipeline
from primaps.data.reading import read_photo
from primaps.errors import CheckpointError, ConfigError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.commands import predict_images
from primaps.pipeline.trying import try_photo
from primaps.runs.model import Model


@pytest.fixture
def parts(finished_run, texture):
    run = pipeline.reopen(finished_run, {})
    model, image = Model.load(finished_run), run.images[1]
    photo = read_photo(image.path, run.config.predict.max_pixels)
    return run, model, image, photo


@pytest.mark.parametrize("crf", [False, True])
def test_it_is_what_predict_and_the_run_write(parts, texture, tmp_path, crf):
    run, model, image, photo = parts
    settings = dataclasses.replace(model.predict, crf=crf)
    model = dataclasses.replace(model, predict=settings)
    made = try_photo(photo, texture, model, run.config, run.threshold)
    config = dataclasses.replace(run.config, predict=settings)
    out = predict_images([image.path], tmp_path / "out", texture, model, config)
    expected = read_label_image(out.folder.labels(out.images[0].name))
    np.testing.assert_array_equal(made.labels, expected)
    proposals = read_label_image(run.folder.proposals(image.name))
    np.testing.assert_array_equal(made.proposals, proposals)
    assert made.num_proposals == proposals.max()
    assert made.labels.shape == made.proposals.shape == (photo.height, photo.width)
    assert made.seconds > 0


def test_the_threshold_counts(parts, texture):
    run, model, _, photo = parts
    many = try_photo(photo, texture, model, run.config, 0.05)
    few = try_photo(photo, texture, model, run.config, 0.99)
    assert many.num_proposals != few.num_proposals or (many.proposals != few.proposals).any()
    with pytest.raises(ConfigError, match=r"in \(0, 1\], but got 1.5"):
        try_photo(photo, texture, model, run.config, 1.5)


def test_another_backbone_gives_proposals_alone(parts, texture):
    run, model, _, photo = parts
    made = try_photo(photo, texture, None, run.config, run.threshold)
    assert (made.labels == 255).all()
    assert made.num_proposals > 0
    other = dataclasses.replace(model, backbone={**model.backbone, "name": "another"})
    with pytest.raises(CheckpointError):
        try_photo(photo, texture, other, run.config, run.threshold)
