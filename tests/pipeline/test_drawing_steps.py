"""Pictures of the iterative extraction of photographs."""

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from primaps.config import preset_config
from primaps.data.reading import read_image
from primaps.errors import DatasetError
from primaps.heads.loading import load_backbone
from primaps.pipeline import drawing_steps as module
from primaps.pipeline.drawing_steps import draw_steps
from primaps.proposals.principal import principal_masks


@pytest.fixture
def config():
    base = preset_config("default")
    return dataclasses.replace(base, features=dataclasses.replace(base.features, size=64))


def test_every_image_gets_a_picture_and_the_bad_one_a_reason(photographs, config, tmp_path):
    (photographs / "broken.png").write_bytes(b"no image")
    written, failures = draw_steps(
        [photographs], tmp_path / "out", load_backbone("texture"), config
    )
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in written)
    assert names == ["more/p4.png.steps.png", *(f"p{number}.png.steps.png" for number in range(4))]
    assert all(plt.imread(path).shape[1] > 500 for path in written)
    assert [failure.path for failure in failures] == [str(photographs / "broken.png")]


def test_what_is_drawn_are_the_masks_of_the_method(photographs, config, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        module,
        "steps_figure",
        lambda image, steps, *_: drawn.update(steps=steps, image=image),
    )
    monkeypatch.setattr(module, "figure_png", lambda _: b"")
    backbone = load_backbone("texture")
    draw_steps([photographs / "p0.png"], tmp_path, backbone, config)
    pixels = read_image(photographs / "p0.png")
    features = backbone.forward(backbone.preprocess(pixels, 64))[0]
    masks = principal_masks(features[None], backbone.threshold)
    assert np.array_equal(
        np.stack([step.mask for step in drawn["steps"]]), masks.similarity[0].numpy() > 0
    )
    assert [
        row * features.shape[2] + column for row, column in (step.anchor for step in drawn["steps"])
    ] == masks.anchors[0].tolist()
    taken = np.zeros_like(drawn["steps"][0].mask)
    for step in drawn["steps"]:
        assert np.array_equal(step.available, ~taken)
        assert step.similarity[step.anchor] == pytest.approx(1, abs=1e-5)
        taken |= step.mask
    assert drawn["image"].shape[:2] == (64, 88)


def test_an_image_without_features_is_reported(photographs, config, tmp_path, monkeypatch):
    backbone = load_backbone("texture")
    monkeypatch.setattr(backbone, "forward", lambda batch: torch.zeros(1, 196, 8, 11))
    with pytest.raises(DatasetError, match="differ from zero"):
        draw_steps([photographs / "p0.png"], tmp_path, backbone, config)


def test_nothing_to_draw(config, tmp_path):
    with pytest.raises(DatasetError):
        draw_steps([tmp_path / "nowhere"], tmp_path / "out", load_backbone("texture"), config)


def test_a_head_takes_no_part_in_the_extraction(
    photographs, config, texture, texture_head, tmp_path
):
    headed = load_backbone("texture", device="cpu", head=texture_head)
    pictures = [
        draw_steps([photographs / "p0.png"], tmp_path / name, each, config)[0][0]
        for name, each in (("a", texture), ("b", headed))
    ]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
