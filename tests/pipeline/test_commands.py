import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from primaps import pipeline
from primaps.errors import CheckpointError, ConfigError, DatasetError, OutputError
from primaps.pipeline import fitting
from primaps.pipeline.labelling import predict_stored
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.runs.run import cached_views
from primaps.types import View


def segment(inputs, out, backbone, config, **options):
    inputs = [str(path) for path in (inputs if isinstance(inputs, list) else [inputs])]
    run = pipeline.open_run(inputs, out, backbone, config, **options)
    pipeline.segment(run, inputs=inputs)
    return run


def contents(out):
    """Digest of every file that a resumed run must reproduce."""
    kept = [
        *(out / "proposals").rglob("*.png"),
        *(out / "labels").rglob("*.png"),
        out / "model" / "prototypes.safetensors",
    ]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(kept)
    }


def stamps(out, *folders):
    """When each PNG was written, by its path below the run folder."""
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns
        for folder in folders
        for path in (out / folder).rglob("*.png")
    }


def test_segment_writes_what_is_promised(photographs, tmp_path, texture, small_config):
    out = tmp_path / "run"
    run = segment(photographs, out, texture, small_config)
    names = ["more/p4.png", "p0.png", "p1.png", "p2.png", "p3.png"]
    assert [image.name for image in run.images] == names
    for name in names:
        with (
            Image.open(photographs / name) as photo,
            Image.open(out / "labels" / f"{name}.png") as labels,
        ):
            assert labels.size == photo.size
            assert labels.mode == "P"
            assert np.asarray(labels).max() < small_config.num_clusters
        with (
            Image.open(out / "proposals" / f"{name}.png") as proposals,
            Image.open(photographs / name) as photo,
        ):
            assert proposals.size == photo.size
            assert proposals.mode == "I;16"
            assert np.asarray(proposals).max() >= 1
    prototypes = load_file(out / "model" / "prototypes.safetensors")
    assert prototypes["teacher"].shape == (3, texture.dim)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["counts"]["images"] == 5
    assert record["counts"]["failures"] == 0
    assert record["seconds"]["proposals"] > 0
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert not (out / "failures.jsonl").exists()
    assert "<html" in (out / "report.html").read_text()
    assert not list(out.rglob("*.primaps-tmp"))


def test_two_runs_are_equal_byte_for_byte_and_a_second_call_does_nothing(
    photographs, tmp_path, texture, small_config
):
    segment(photographs, tmp_path / "a", texture, small_config)
    segment(photographs, tmp_path / "b", texture, small_config)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    before = stamps(tmp_path / "a", "proposals", "labels")
    again = segment(photographs, tmp_path / "a", texture, small_config)
    assert stamps(tmp_path / "a", "proposals", "labels") == before
    assert again.counts["proposals_made"] == 0
    assert again.counts["label_maps_made"] == 0


@pytest.mark.parametrize(
    ("stage", "step", "start"),
    [
        ("proposals", 2, "proposals"),
        ("fit: clusters", 3, "proposals"),
        ("fit: em", 7, "proposals"),
        ("fit: kmeans", 3, "pca"),
        ("fit: em", 7, "pca"),
        ("label maps", 2, "proposals"),
        ("report", 1, "proposals"),
    ],
)
def test_an_interrupted_run_resumes_to_the_same_bytes(
    stage, step, start, photographs, tmp_path, texture, small_config, cutting
):
    config = dataclasses.replace(
        small_config, fit=dataclasses.replace(small_config.fit, initialise=start)
    )
    segment(photographs, tmp_path / "whole", texture, config)
    out = tmp_path / "cut"
    with cutting.short():
        segment(photographs, out, texture, config, progress=cutting.at(stage, step))
    finished = stamps(out, "proposals", "labels")
    assert (out / "model" / "checkpoint.safetensors").exists() is (
        stage in {"fit: kmeans", "fit: em"}
    )
    segment(photographs, out, texture, config)
    assert contents(out) == contents(tmp_path / "whole")
    assert {
        name: stamp
        for name, stamp in stamps(out, "proposals", "labels").items()
        if name in finished
    } == finished
    assert not (out / "model" / "checkpoint.safetensors").exists()


def test_a_fit_of_an_older_algorithm_is_made_anew(
    photographs, tmp_path, texture, small_config, monkeypatch
):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    fitted = (out / "model" / "prototypes.safetensors").stat().st_mtime_ns
    segment(photographs, out, texture, small_config)
    assert (out / "model" / "prototypes.safetensors").stat().st_mtime_ns == fitted
    monkeypatch.setattr(fitting, "FIT_ALGORITHM", fitting.FIT_ALGORITHM + 1)
    segment(photographs, out, texture, small_config)
    assert (out / "model" / "prototypes.safetensors").stat().st_mtime_ns != fitted


def test_a_changed_and_a_new_image_are_done_anew(photographs, tmp_path, texture, small_config):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    before = stamps(out, "proposals")
    shutil.copy(photographs / "p1.png", photographs / "p0.png")
    shutil.copy(photographs / "p2.png", photographs / "new.png")
    again = segment(photographs, out, texture, small_config)
    assert again.counts["proposals_made"] == 2
    after = stamps(out, "proposals")
    assert {name for name in after if after[name] != before.get(name)} == {
        "proposals/p0.png.png",
        "proposals/new.png.png",
    }
    segment(photographs, tmp_path / "fresh", texture, small_config)
    assert contents(out) == contents(tmp_path / "fresh")


def test_other_settings_are_named_and_need_overwrite(photographs, tmp_path, texture, small_config):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    other = dataclasses.replace(small_config, num_clusters=4)
    with pytest.raises(ConfigError, match=r"fit\.num_clusters: 3 -> 4"):
        segment(photographs, out, texture, other)
    again = segment(photographs, out, texture, other, overwrite=True)
    assert again.counts["proposals_made"] == 0  # only what depends on the difference is redone
    segment(photographs, tmp_path / "fresh", texture, other)
    assert contents(out) == contents(tmp_path / "fresh")


def test_bad_inputs_are_reported_and_their_neighbours_kept(
    photographs, tmp_path, texture, small_config
):
    (photographs / "bad.jpg").write_text("this is no photograph")
    (photographs / "empty.png").write_bytes(b"")
    out = tmp_path / "run"
    run = segment(photographs, out, texture, small_config)
    lines = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert {Path(line["path"]).name for line in lines} == {"bad.jpg", "empty.png"}
    assert all(line["reason"] and line["stage"] == "read" for line in lines)
    assert len(stamps(out, "labels")) == 5
    assert run.folder.record["status"] == "finished with failures"
    (photographs / "bad.jpg").unlink()
    (photographs / "empty.png").unlink()
    segment(photographs, out, texture, small_config)
    assert not (out / "failures.jsonl").exists()


def test_an_image_that_turned_bad_is_left_out_everywhere(
    photographs, tmp_path, texture, small_config
):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    (photographs / "p0.png").write_bytes(b"damaged since")
    run = segment(photographs, out, texture, small_config)
    assert [failure.path for failure in run.failures] == [str(photographs / "p0.png")]
    assert run.counts["images"] == 4


def test_all_inputs_bad(tmp_path, texture, small_config):
    (tmp_path / "bad.jpg").write_text("no photograph")
    with pytest.raises(DatasetError, match="all 1 inputs failed"):
        segment(tmp_path / "bad.jpg", tmp_path / "run", texture, small_config)


def test_missing_input_and_input_as_output(photographs, tmp_path, texture, small_config):
    with pytest.raises(ConfigError, match="nowhere"):
        segment(tmp_path / "nowhere", tmp_path / "run", texture, small_config)
    with pytest.raises(ConfigError, match="another folder"):
        segment(photographs, photographs, texture, small_config)


def test_the_run_folder_inside_the_images_is_not_scanned(photographs, texture, small_config):
    out = photographs / "run"
    segment(photographs, out, texture, small_config)
    again = segment(photographs, out, texture, small_config)
    assert again.counts["images"] == 5


def test_a_full_disk_ends_the_run_with_its_reason(
    photographs, tmp_path, texture, small_config, monkeypatch
):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    run = pipeline.open_run([photographs], tmp_path / "run", texture, small_config)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        pipeline.segment(run)


def test_fit_again_with_another_seed_into_another_folder(
    photographs, tmp_path, texture, small_config
):
    out = tmp_path / "run"
    pipeline.segment(pipeline.open_run([photographs], out, texture, small_config))
    run = pipeline.reopen(out, {"seed": 5, "method": "baseline"}, device="cpu")
    model = pipeline.fit_again(run, tmp_path / "other")
    assert model.fit.cosine
    assert Model.load(tmp_path / "other").settings["seed"] == 5
    assert Model.load(out).settings["seed"] == 0
    with pytest.raises(ConfigError, match=r"fit\.seed: 0 -> 5"):
        pipeline.fit_again(pipeline.reopen(out, {"seed": 5}, device="cpu"), None)


def test_report_again(photographs, tmp_path, texture, small_config):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    first = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    pipeline.report_again(pipeline.reopen(out, {}, device="cpu"))
    assert (out / "report.html").read_bytes() == first


def test_predict_images_agrees_with_segment(photographs, tmp_path, texture, small_config):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    pipeline.predict_images([photographs], tmp_path / "new", texture, Model.load(out), small_config)
    for name in ("p0.png", "more/p4.png"):
        with (
            Image.open(out / "labels" / f"{name}.png") as one,
            Image.open(tmp_path / "new" / "labels" / f"{name}.png") as two,
        ):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def with_views(config):
    """Mirrored and in one photometric draw."""
    return dataclasses.replace(
        config, features=dataclasses.replace(config.features, flip=True, photometric_views=1)
    )


def test_views_of_an_image_do_not_depend_on_its_neighbours(
    photographs, tmp_path, texture, small_config
):
    config = with_views(small_config)
    whole = pipeline.open_run([photographs], tmp_path / "whole", texture, config)
    pipeline.extract(whole)
    single = pipeline.open_run([photographs / "p2.png"], tmp_path / "single", texture, config)
    pipeline.extract(single)
    assert len(cached_views(config)) == 4
    for view in cached_views(config):
        assert torch.equal(
            whole.store.features("p2.png", view), single.store.features("p2.png", view)
        )


def test_cached_views_hold_the_plain_one_first(small_config):
    assert cached_views(small_config) == (View(),)
    expected = (View(), View(flip=True), View(photometric=0), View(flip=True, photometric=0))
    assert cached_views(with_views(small_config)) == expected


def test_a_refused_command_in_the_folder_leaves_report_and_fit_alone(
    photographs, tmp_path, texture, small_config
):
    out = tmp_path / "run"
    config = dataclasses.replace(
        small_config, proposals=dataclasses.replace(small_config.proposals, threshold=0.6)
    )
    segment(photographs, out, texture, config)
    with pytest.raises(ConfigError, match="is a run"):
        pipeline.predict_images(
            [photographs / "p0.png"], out, texture, Model.load(out), small_config
        )
    again = pipeline.reopen(out, {}, device="cpu")
    assert again.threshold == 0.6
    assert again.config.num_clusters == 3
    assert len(again.usable_images()) == 5
    pipeline.report_again(again)


def test_a_report_without_stored_images_is_refused(photographs, tmp_path, texture, small_config):
    out = tmp_path / "run"
    segment(photographs, out, texture, small_config)
    before = (out / "report.html").read_bytes()
    for shard in (out / "store").rglob("*.safetensors"):
        shard.unlink()
    with pytest.raises(CheckpointError, match="found none that fit"):
        pipeline.report_again(pipeline.reopen(out, {}, device="cpu"))
    assert (out / "report.html").read_bytes() == before


def test_a_model_elsewhere_is_not_replaced_unasked(photographs, tmp_path, texture, small_config):
    out, other = tmp_path / "run", tmp_path / "other"
    segment(photographs, out, texture, small_config)
    pipeline.fit_again(pipeline.reopen(out, {"seed": 1}, device="cpu"), other)
    pipeline.fit_again(pipeline.reopen(out, {"seed": 1}, device="cpu"), other)
    with pytest.raises(ConfigError, match="seed: 1 -> 2"):
        pipeline.fit_again(pipeline.reopen(out, {"seed": 2}, device="cpu"), other)
    pipeline.fit_again(pipeline.reopen(out, {"seed": 2}, device="cpu"), other, overwrite=True)
    assert Model.load(other).settings["seed"] == 2


def test_label_maps_of_another_model_are_not_replaced_unasked(
    photographs, tmp_path, texture, small_config
):
    out, other = tmp_path / "run", tmp_path / "other"
    segment(photographs, out, texture, small_config)
    pipeline.fit_again(pipeline.reopen(out, {"seed": 1}, device="cpu"), other)
    first, second = Model.load(out), Model.load(other)
    pipeline.predict_images([photographs], tmp_path / "new", texture, first, small_config)
    with pytest.raises(ConfigError, match=r"model\.fingerprint"):
        pipeline.predict_images([photographs], tmp_path / "new", texture, second, small_config)
    pipeline.predict_images(
        [photographs], tmp_path / "new", texture, second, small_config, overwrite=True
    )
    with pytest.raises(ConfigError, match="is a run, with label maps"):
        pipeline.predict_images([photographs], out, texture, second, small_config)


def test_the_record_says_how_a_command_ended_and_adds_up_its_time(
    photographs, tmp_path, texture, small_config, cutting
):
    out = tmp_path / "run"
    with cutting.short():
        segment(photographs, out, texture, small_config, progress=cutting.at("proposals", 2))
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "failed"
    spent = record["seconds"]["proposals"]
    assert spent > 0
    segment(photographs, out, texture, small_config)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["seconds"]["proposals"] > spent
    segment(photographs, out, texture, small_config)
    assert (
        json.loads((out / "run.json").read_text())["seconds"]["proposals"]
        == record["seconds"]["proposals"]
    )


def test_label_maps_that_all_fail_are_an_error(photographs, tmp_path, texture, small_config):
    run = pipeline.open_run([photographs], tmp_path / "run", texture, small_config)
    pipeline.extract(run)
    model = pipeline.fit(run)
    for path in photographs.rglob("*.png"):
        path.unlink()
    with pytest.raises(DatasetError, match="all 5 inputs failed"):
        predict_stored(run, model)


def test_features_that_are_not_finite_concern_one_image_only(
    photographs, tmp_path, texture, small_config, monkeypatch
):
    plain = type(texture).forward
    calls = []

    def forward(self, batch):
        calls.append(1)
        return plain(self, batch) * (float("nan") if len(calls) == 1 else 1.0)

    monkeypatch.setattr(type(texture), "forward", forward)
    run = segment(photographs, tmp_path / "run", texture, small_config)
    assert [Path(failure.path).name for failure in run.failures] == ["p4.png"]
    assert run.counts["images"] == 4


class Planned(Silent):
    def __init__(self):
        self.plans, self.stages = [], []

    def plan(self, stages, kind="", images=0):
        self.plans.append((stages, kind, images))

    def start(self, stage, total, done=0):
        self.stages.append((stage, total, done))


def test_the_stages_are_told_in_advance_and_whether_anything_is_done(
    photographs, tmp_path, texture, small_config
):
    progress, again, other = Planned(), Planned(), Planned()
    segment(photographs, tmp_path / "run", texture, small_config, progress=progress)
    ((stages, kind, images),) = progress.plans
    assert list(dict.fromkeys(stage.partition(":")[0] for stage, _, _ in progress.stages)) == list(
        stages
    )
    assert images == 5
    segment(photographs, tmp_path / "run", texture, small_config, progress=again)
    assert again.plans == [(stages, kind, 0)]
    more = dataclasses.replace(small_config, num_clusters=4, seed=1)
    segment(photographs, tmp_path / "other", texture, more, progress=other)
    assert other.plans[0][1] != kind


def test_jobs_that_differ_in_their_seed_alone_are_of_one_kind(
    photographs, tmp_path, texture, small_config
):
    kinds = set()
    for seed in (0, 1):
        progress = Planned()
        config = dataclasses.replace(small_config, seed=seed)
        segment(photographs, tmp_path / f"run{seed}", texture, config, progress=progress)
        kinds.add(progress.plans[0][1])
    assert len(kinds) == 1
