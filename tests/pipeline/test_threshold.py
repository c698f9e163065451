import dataclasses
import json
import shutil

import pytest

from primaps import pipeline
from primaps.errors import ConfigError, DatasetError
from primaps.heads.loading import load_backbone
from primaps.pipeline import threshold as module
from primaps.pipeline.drawing_steps import draw_steps
from primaps.pipeline.threshold import own_threshold
from primaps.progress import Silent
from primaps.protocol.features import measured_store
from primaps.runs.model import Model
from primaps.runs.run import RunFolder
from primaps.types import ImageFile, ThresholdChoice


@pytest.fixture
def unpublished():
    """A backbone of which no threshold is published, as of timm: models."""
    backbone = load_backbone("texture", device="cpu")
    backbone.threshold = None
    return backbone


@pytest.fixture
def calibrations(monkeypatch):
    """Calls of the calibration, which are rare."""
    calls = []
    plain = module.calibrate_threshold

    def counted(features, **options):
        calls.append(len(features))
        return plain(features, **options)

    monkeypatch.setattr(module, "calibrate_threshold", counted)
    return calls


def opened(photographs, out, backbone, config, threshold=None, **options):
    config = dataclasses.replace(
        config, proposals=dataclasses.replace(config.proposals, threshold=threshold)
    )
    return pipeline.open_run(
        [photographs], out, backbone, config, stages=pipeline.PROPOSAL_STAGES, **options
    )


def recorded(out):
    return json.loads((out / "run.json").read_text())


def test_a_given_threshold_and_the_backbones_are_on_record(
    photographs, tmp_path, texture, small_config, calibrations
):
    opened(photographs, tmp_path / "given", texture, small_config, 0.7)
    opened(photographs, tmp_path / "own", texture, small_config)
    assert recorded(tmp_path / "given")["threshold"] == {"value": 0.7, "source": "given"}
    assert recorded(tmp_path / "own")["threshold"] == {
        "value": texture.threshold,
        "source": "backbone",
    }
    assert calibrations == []


def test_a_calibrated_threshold_is_a_setting_like_any_other(
    photographs, tmp_path, unpublished, small_config, calibrations
):
    run = opened(photographs, tmp_path / "run", unpublished, small_config)
    record = recorded(tmp_path / "run")
    assert record["threshold"]["source"] == "calibrated"
    assert 0.2 <= record["threshold"]["value"] <= 0.95
    assert (
        record["settings"]["proposals"]["threshold"]
        == record["threshold"]["value"]
        == run.threshold
    )
    assert record["config"]["proposals"]["threshold"] is None
    assert sorted(record["threshold"]["sample"]) == [
        "more/p4.png",
        "p0.png",
        "p1.png",
        "p2.png",
        "p3.png",
    ]
    assert record["threshold"]["candidates"][0].keys() == {"threshold", "proposals", "coverage"}
    assert RunFolder(tmp_path / "run").threshold == run.chosen_threshold
    pipeline.proposals(run)
    given = opened(photographs, tmp_path / "given", unpublished, small_config, run.threshold)
    assert given.store.settings == run.store.settings
    assert calibrations == [5]


def test_resuming_repeats_it_and_overwriting_calibrates_anew(
    photographs, tmp_path, unpublished, small_config, calibrations
):
    first = opened(photographs, tmp_path / "run", unpublished, small_config)
    shutil.copy(photographs / "p0.png", photographs / "added.png")
    again = opened(photographs, tmp_path / "run", unpublished, small_config)
    assert again.chosen_threshold == first.chosen_threshold
    assert calibrations == [5]
    anew = opened(photographs, tmp_path / "run", unpublished, small_config, overwrite=True)
    assert calibrations == [5, 6]
    assert "added.png" in anew.chosen_threshold.sample


def test_another_threshold_is_a_difference(photographs, tmp_path, unpublished, small_config):
    first = opened(photographs, tmp_path / "run", unpublished, small_config)
    with pytest.raises(ConfigError, match=rf"proposals\.threshold: {first.threshold} -> 0\.99"):
        opened(photographs, tmp_path / "run", unpublished, small_config, 0.99)


def test_fit_and_report_repeat_it(photographs, tmp_path, unpublished, small_config):
    run = pipeline.open_run([photographs], tmp_path / "run", unpublished, small_config)
    pipeline.segment(run)
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"{run.threshold:g}, calibrated on 5 photographs" in page
    # with a texture that has a threshold of its own
    again = pipeline.reopen(tmp_path / "run", {"seed": 3}, device="cpu")
    assert again.threshold == run.threshold
    assert len(again.usable_images()) == 5
    pipeline.fit_again(again, tmp_path / "model")
    pipeline.report_again(pipeline.reopen(tmp_path / "run", {}, device="cpu"))
    assert (
        f"{run.threshold:g}, calibrated on 5 photographs"
        in (tmp_path / "run" / "report.html").read_text()
    )


def test_label_maps_of_new_photographs_need_no_threshold(
    photographs, tmp_path, unpublished, small_config, calibrations
):
    pipeline.segment(pipeline.open_run([photographs], tmp_path / "run", unpublished, small_config))
    model = Model.load(tmp_path / "run")
    pipeline.predict_images(
        [photographs / "p0.png"], tmp_path / "new", unpublished, model, small_config
    )
    assert "threshold" not in recorded(tmp_path / "new")
    assert calibrations == [5]


def test_the_sample_depends_on_names_and_not_on_order(
    photographs, unpublished, small_config, monkeypatch
):
    monkeypatch.setattr(module, "SAMPLE", 2)
    images = [ImageFile(path, path.name) for path in sorted(photographs.rglob("*.png"))]
    choice = own_threshold(images, unpublished, small_config, Silent())
    assert len(choice.sample) == 2
    assert own_threshold(images[::-1], unpublished, small_config, Silent()) == choice
    rest = [image for image in images if image.name not in choice.sample]
    assert set(own_threshold(rest, unpublished, small_config, Silent()).sample).isdisjoint(
        choice.sample
    )


def test_unreadable_images_make_room_for_others(photographs, tmp_path, unpublished, small_config):
    images = [ImageFile(path, path.name) for path in sorted(photographs.rglob("*.png"))]
    (photographs / "p0.png").write_text("words")
    assert len(own_threshold(images, unpublished, small_config, Silent()).sample) == 4
    run = opened(photographs, tmp_path / "run", unpublished, small_config)
    assert run.failures == []
    pipeline.proposals(run)
    assert [failure.path for failure in run.failures] == [str(photographs / "p0.png")]
    for path in photographs.rglob("*.png"):
        path.write_text("words")
    with pytest.raises(DatasetError, match="all 5 inputs failed"):
        own_threshold(images, unpublished, small_config, Silent())


def test_a_head_takes_no_part(photographs, unpublished, texture_head, small_config):
    from primaps.heads.extractor import BackboneWithHead

    images = [ImageFile(path, path.name) for path in sorted(photographs.rglob("*.png"))]
    headed = BackboneWithHead(unpublished, texture_head)
    assert headed.threshold is None
    assert own_threshold(images, headed, small_config, Silent()) == own_threshold(
        images, unpublished, small_config, Silent()
    )


def test_steps_are_drawn_at_it(photographs, tmp_path, unpublished, small_config, monkeypatch):
    monkeypatch.setattr(
        "primaps.pipeline.drawing_steps.own_threshold",
        lambda *_: ThresholdChoice(0.99, "calibrated"),
    )
    drawn = []
    monkeypatch.setattr(
        "primaps.pipeline.drawing_steps.steps_figure",
        lambda _image, steps, *_: drawn.append(len(steps)),
    )
    monkeypatch.setattr("primaps.pipeline.drawing_steps.figure_png", lambda _: b"")
    draw_steps([photographs / "p0.png"], tmp_path, unpublished, small_config)
    assert drawn[0] > 10


def test_what_was_not_settled_is_said(photographs, tmp_path, unpublished, small_config):
    run = pipeline.opening.find_images([photographs], tmp_path / "run", unpublished, small_config)
    assert run.settings()["proposals"]["threshold"] is None
    with pytest.raises(ConfigError, match="none is published"):
        _ = run.threshold
    assert measured_store(run, "val").settings  # features alone need none
