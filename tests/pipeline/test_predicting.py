import json

import numpy as np
import pytest

import primaps as pm
from primaps import pipeline
from primaps.errors import CheckpointError, ConfigError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.class_overview import class_rows
from primaps.pipeline.labelling import Extras
from primaps.segmenter import Segmenter


def predict(run, out, inputs=None, **options):
    segmenter = Segmenter.load(run, device="cpu")
    photos = json.loads((run / "run.json").read_text())["inputs"] if inputs is None else inputs
    return pipeline.predict_images(
        photos, out, segmenter.backbone, segmenter.model, segmenter.config, names=run, **options
    )


def maps(out):
    return {
        str(path.relative_to(out / "labels")): path.read_bytes()
        for path in (out / "labels").rglob("*.png")
    }


def test_names_come_with_the_model_and_everything_accepts_the_folder(named_run, tmp_path):
    pm.classes(named_run, merge={(1, 2): "wall"}, name={3: "road"})
    out = tmp_path / "out"
    predict(named_run, out)
    assert (out / "classes.yaml").read_text() == (named_run / "classes.yaml").read_text()
    assert maps(out) == maps(named_run)
    page = (out / "report.html").read_text()
    assert "wall" in page
    rows, _ = class_rows(out)
    here, _ = class_rows(named_run)
    assert [(row.entry, row.share, row.examples) for row in rows] == [
        (row.entry, row.share, row.examples) for row in here
    ]
    pm.classes(out, name={"road": "street"})
    pipeline.report_again(pipeline.reopen(out, {}, device="cpu"))
    page = (out / "report.html").read_text()
    assert "street" in page
    assert "wall" in page
    assert "street" not in (named_run / "classes.yaml").read_text()


def test_names_that_were_changed_there_are_kept(named_run, tmp_path):
    out = tmp_path / "out"
    predict(named_run, out)
    pm.classes(named_run, name={3: "road"})
    predict(named_run, out)
    assert "road" in (out / "classes.yaml").read_text()
    pm.classes(out, name={3: "street"})
    predict(named_run, out)
    assert "street" in (out / "classes.yaml").read_text()


def test_certainties_are_measured_once_and_drawn_on_request(named_run, tmp_path):
    out = tmp_path / "out"
    run = predict(named_run, out)
    lines = (out / "certainty.jsonl").read_text()
    assert lines == (named_run / "certainty.jsonl").read_text()
    means = [json.loads(line)["mean"] for line in lines.splitlines()]
    assert run.counts["certainty"]["mean"] == pytest.approx(np.mean(means), abs=1e-4)
    assert not (out / "certainty").exists()
    before = maps(out)
    predict(named_run, out, extras=Extras(certainty=True))
    assert maps(out) == before
    levels = read_label_image(out / "certainty" / "0.png.png")
    assert levels.shape == read_label_image(out / "labels" / "0.png.png").shape
    assert levels.mean() / 255 == pytest.approx(means[0], abs=0.1)


def test_a_lost_certainty_is_measured_again_and_leaves_label_maps(named_run, tmp_path):
    out = tmp_path / "out"
    predict(named_run, out)
    written = {path: path.stat().st_mtime_ns for path in (out / "labels").rglob("*.png")}
    lines = (out / "certainty.jsonl").read_text()
    (out / "certainty.jsonl").write_text(lines[: len(lines) // 2])
    predict(named_run, out)
    assert (out / "certainty.jsonl").read_text() == lines
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_pixels_below_a_certainty_become_unknown(named_run, tmp_path):
    import dataclasses

    segmenter = Segmenter.load(named_run, device="cpu")
    photos = json.loads((named_run / "run.json").read_text())["inputs"]
    config = dataclasses.replace(
        segmenter.config,
        predict=dataclasses.replace(segmenter.config.predict, unknown_below=0.3),
    )
    arguments = (photos, tmp_path / "out", segmenter.backbone, segmenter.model, config)
    pipeline.predict_images(*arguments, extras=Extras(certainty=True))
    for name in ("0.png.png", "sub/3.png.png"):
        plain = read_label_image(named_run / "labels" / name)
        levels = read_label_image(tmp_path / "out" / "certainty" / name)
        found = read_label_image(tmp_path / "out" / "labels" / name)
        assert (found[levels > 77] == plain[levels > 77]).all()
        assert (found[levels < 76] == 255).all()
    assert (segmenter.predict(pm.read_image(photos[0] + "/0.png"), unknown_below=1.0) == 255).all()


def test_overlays_on_request(named_run, tmp_path):
    predict(named_run, tmp_path / "out", extras=Extras(overlays=True))
    assert len(list((tmp_path / "out" / "overlays").rglob("*.jpg"))) == 4


@pytest.fixture
def other_model(named_run, tmp_path):
    opened = pipeline.reopen(named_run, {"num_clusters": 6}, device="cpu")
    pipeline.fit_again(opened, tmp_path / "other")
    return tmp_path / "other"


def test_another_model_labels_what_is_stored(named_run, other_model, tmp_path, monkeypatch):
    pm.classes(other_model, name={5: "five"})
    before = maps(named_run)
    expected = tmp_path / "expected"
    predict(other_model, expected, json.loads((named_run / "run.json").read_text())["inputs"])
    stored = pipeline.reopen(named_run, {}, device="cpu")
    monkeypatch.setattr(type(stored.backbone), "forward", lambda *_: 1 / 0)
    run = pipeline.predict_from_store(stored, tmp_path / "out", other_model)
    assert run.counts["label_maps_made"] == 4
    found, wanted = maps(tmp_path / "out"), maps(expected)
    assert found.keys() == wanted.keys()
    for name in found:
        np.testing.assert_array_equal(
            read_label_image(tmp_path / "out" / "labels" / name),
            read_label_image(expected / "labels" / name),
        )
    assert "five" in (tmp_path / "out" / "classes.yaml").read_text()
    assert "five" in (tmp_path / "out" / "report.html").read_text()
    assert maps(named_run) == before
    again = pipeline.predict_from_store(stored, tmp_path / "out", other_model)
    assert again.counts["label_maps_made"] == 0


def test_models_of_other_features_and_the_run_itself_are_refused(named_run, other_model, tmp_path):
    stored = pipeline.reopen(named_run, {}, device="cpu")
    with pytest.raises(ConfigError, match="another folder"):
        pipeline.predict_from_store(stored, named_run, other_model)
    record = json.loads((other_model / "model.json").read_text())
    (other_model / "model.json").write_text(json.dumps({**record, "size": 96}))
    with pytest.raises(CheckpointError, match="inputs of 64 pixels"):
        pipeline.predict_from_store(stored, tmp_path / "out", other_model)
    (other_model / "model.json").write_text(json.dumps({**record, "backbone": {"name": "x"}}))
    with pytest.raises(CheckpointError, match="another backbone"):
        pipeline.predict_from_store(stored, tmp_path / "out", other_model)


def test_label_maps_of_another_model_need_overwrite(named_run, other_model, tmp_path):
    out = tmp_path / "out"
    predict(named_run, out)
    pm.classes(out, name={3: "road"})
    stored = pipeline.reopen(named_run, {}, device="cpu")
    with pytest.raises(ConfigError, match="overwrite"):
        pipeline.predict_from_store(stored, out, other_model)
    pipeline.predict_from_store(stored, out, other_model, overwrite=True)
    assert "road" not in (out / "classes.yaml").read_text()
    assert any("road" in path.read_text() for path in out.glob("classes-history/*"))
