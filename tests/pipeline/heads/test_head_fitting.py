import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from primaps.errors import CheckpointError, ConfigError, DatasetError
from primaps.heads.crops import CropConfig
from primaps.heads.files import load_head
from primaps.heads.loading import load_backbone
from primaps.heads.settings import hp_preset, stego_preset
from primaps.pipeline.heads import head_fitting
from primaps.pipeline.heads.head_fitting import HeadJob, fit_head
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.segmenter import Segmenter

SMALL = CropConfig(resolution=32, resample="bilinear")
CONFIGS = {
    "stego": dataclasses.replace(
        stego_preset("default"),
        dim=5,
        samples=4,
        batch_size=6,
        steps=9,
        crops=SMALL,
        checkpoint_every=2,
    ),
    "hp": dataclasses.replace(
        hp_preset("default"),
        dim=5,
        pool_size=12,
        batch_size=6,
        steps=9,
        warmup=2,
        renew_every=4,
        crops=SMALL,
        checkpoint_every=2,
    ),
}
kinds = pytest.mark.parametrize("kind", CONFIGS)


@pytest.fixture
def job(photographs, texture, tmp_path):
    def make(kind, out="head", **changes):
        options = {
            "num_clusters": 3,
            "config": CONFIGS[kind],
            "inputs": [str(photographs)],
            "backbone": texture,
            **changes,
        }
        return HeadJob(out=tmp_path / out, **options)

    return make


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def contents(out):
    return {
        name: (out / name).read_bytes()
        for name in ("head.safetensors", "head.json", "losses.json", "prototypes.safetensors")
    }


@kinds
def test_a_head_is_trained_and_can_be_used(job, kind, tmp_path, photograph, texture):
    run = fit_head(job(kind))
    head = load_head(tmp_path / "head")
    assert head.kind == kind
    assert head.size == 32
    assert head.centres.shape == (3, 5)
    assert head.backbone == json.loads(json.dumps(texture.describe()))
    assert not run.failures
    training = head.training
    assert (training["images"], training["crops"], training["steps"]) == (5, 25, 9)
    assert sum(training["usage"]) == 25 * 16
    assert training["settings"]["seed"] == 0
    assert training["mixing"] == {"stego": None, "hp": "self-similarity"}[kind]
    losses = json.loads((tmp_path / "head" / "losses.json").read_text())
    assert all(len(values) == 9 for values in losses.values())
    assert not (tmp_path / "head" / "checkpoint.safetensors").exists()
    codes = load_backbone("texture", device="cpu", head=tmp_path / "head").extract(
        photograph, size=64
    )
    assert codes.shape[0] == 5
    assert torch.isfinite(codes).all()


@kinds
def test_its_own_clusters_are_a_model(job, kind, tmp_path, photograph):
    fit_head(job(kind))
    segmenter = Segmenter.load(tmp_path / "head", device="cpu")
    labels = segmenter.predict(photograph, crf=False)
    codes = torch.nn.functional.normalize(segmenter.backbone.extract(photograph, size=320), dim=0)
    centres = torch.nn.functional.normalize(load_head(tmp_path / "head").centres, dim=1)
    cosines = torch.einsum("kd,dhw->khw", centres, codes)
    size = tuple(photograph.shape[:2])
    expected = torch.nn.functional.interpolate(cosines[None], size, mode="bilinear")[0].argmax(0)
    assert (torch.from_numpy(labels).long() == expected).float().mean() > 0.99


@kinds
@pytest.mark.parametrize("steps", [0, 5])
def test_interrupted_and_started_again_it_ends_with_the_same_bytes(
    job, kind, tmp_path, steps, cutting
):
    fit_head(job(kind))
    with pytest.raises(KeyboardInterrupt):
        fit_head(
            job(kind, "again"), progress=cutting.at(f"{kind} head", steps + 1, KeyboardInterrupt)
        )
    assert (tmp_path / "again" / "checkpoint.safetensors").exists() == (steps > 0)
    assert json.loads((tmp_path / "again" / "run.json").read_text())["status"] == "interrupted"
    fit_head(job(kind, "again"))
    assert contents(tmp_path / "again") == contents(tmp_path / "head")


@kinds
def test_another_seed_gives_another_head(job, kind, tmp_path):
    fit_head(job(kind))
    fit_head(job(kind, "other", seed=1))
    first, second = (load_file(tmp_path / name / "head.safetensors") for name in ("head", "other"))
    assert not torch.equal(first["centres"], second["centres"])


@kinds
def test_centres_are_found_anew_if_the_settings_say_so(job, kind, tmp_path):
    assert CONFIGS[kind].refit_centres
    fit_head(job(kind))
    fit_head(job(kind, "trained", config=dataclasses.replace(CONFIGS[kind], refit_centres=False)))
    anew, trained = (
        load_file(tmp_path / name / "head.safetensors") for name in ("head", "trained")
    )
    torch.testing.assert_close(anew["centres"].norm(dim=1), torch.ones(3))
    assert trained["centres"].norm(dim=1).max() > 1.1  # as drawn, but for nine steps
    assert all(torch.equal(anew[name], trained[name]) for name in anew if name != "centres")


def test_a_head_of_scaled_features_does_not_depend_on_their_scale(
    job, tmp_path, texture, monkeypatch
):
    fit_head(job("hp"))
    forward = texture.forward
    # exact, also in half precision
    monkeypatch.setattr(texture, "forward", lambda batch: forward(batch) / 16)
    fit_head(job("hp", "small"))
    plain, small = (load_file(tmp_path / name / "head.safetensors") for name in ("head", "small"))
    torch.testing.assert_close(
        small["network.linear.weight"], 16 * plain["network.linear.weight"], rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(
        small["network.output.weight"], plain["network.output.weight"], rtol=1e-3, atol=1e-3
    )


def test_a_trained_head_is_left_alone(job, tmp_path):
    fit_head(job("stego"))
    time = (tmp_path / "head" / "head.safetensors").stat().st_mtime_ns
    fit_head(job("stego"))
    assert (tmp_path / "head" / "head.safetensors").stat().st_mtime_ns == time


def test_a_changed_photograph_trains_anew(job, tmp_path, photographs):
    fit_head(job("stego"))
    before = contents(tmp_path / "head")
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(photographs / "p0.png")
    fit_head(job("stego"))
    assert contents(tmp_path / "head") != before


def test_a_touched_photograph_does_not(job, tmp_path, photographs):
    fit_head(job("stego"))
    before = (tmp_path / "head" / "head.safetensors").stat().st_mtime_ns
    os.utime(photographs / "p0.png")
    fit_head(job("stego"))
    assert (tmp_path / "head" / "head.safetensors").stat().st_mtime_ns == before


def test_damaged_leftovers_are_made_again(job, tmp_path):
    fit_head(job("stego"))
    before = contents(tmp_path / "head")
    (tmp_path / "head" / "head.json").write_text("{}")
    (tmp_path / "head" / "neighbours.safetensors").write_bytes(b"no tensors")
    (tmp_path / "head" / "checkpoint.safetensors").write_bytes(b"no tensors")
    told = Notes()
    fit_head(job("stego"), progress=told)
    assert contents(tmp_path / "head") == before
    assert any("neighbours" in note for note in told.notes)
    assert any("unfinished fit" in note for note in told.notes)


@kinds
def test_a_damaged_head_is_trained_again(job, kind, tmp_path):
    fit_head(job(kind))
    before = contents(tmp_path / "head")
    path = tmp_path / "head" / "head.safetensors"
    path.write_bytes(before["head.safetensors"][:-8] + bytes(8))
    fit_head(job(kind))
    assert contents(tmp_path / "head") == before


@pytest.mark.parametrize("damage", ["prototypes", "model", "absent"])
def test_a_damaged_model_is_written_again_without_training(job, tmp_path, damage, monkeypatch):
    fit_head(job("stego"))
    out = tmp_path / "head"
    before = {**contents(out), "model.json": (out / "model.json").read_bytes()}
    if damage == "prototypes":
        (out / "prototypes.safetensors").write_bytes(
            before["prototypes.safetensors"][:-30] + bytes(30)
        )
    elif damage == "model":
        (out / "model.json").write_text("{}")
    else:
        (out / "model.json").unlink()
    monkeypatch.setattr(head_fitting, "_train", None)
    fit_head(job("stego"))
    assert {**contents(out), "model.json": (out / "model.json").read_bytes()} == before


@pytest.mark.parametrize(("stage", "step"), [("crops", 1), ("stego head", 1)])
def test_a_killed_retraining_does_not_leave_the_old_head_in_use(
    stage, step, job, tmp_path, cutting
):
    fit_head(job("stego"))
    larger = dataclasses.replace(
        CONFIGS["stego"], crops=dataclasses.replace(SMALL, resolution=40), steps=11
    )
    with cutting.short():
        fit_head(job("stego", config=larger), overwrite=True, progress=cutting.at(stage, step))
    for load in (load_head, Model.load):
        with pytest.raises(CheckpointError, match="found none"):
            load(tmp_path / "head")
    fit_head(job("stego", config=larger))
    assert load_head(tmp_path / "head").training["steps"] == 11


def test_another_backbone_discards_the_head_at_once(job, tmp_path, cutting):
    fit_head(job("stego"))
    with cutting.short():
        fit_head(
            job("stego", backbone=load_backbone("mini", device="cpu")),
            overwrite=True,
            progress=cutting.at("crops", 1),
        )
    with pytest.raises(CheckpointError, match="found none"):
        load_head(tmp_path / "head")


def test_a_refused_training_changes_nothing(job, tmp_path):
    fit_head(job("stego"))
    out = tmp_path / "head"
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(ConfigError, match="other settings"):
        fit_head(job("stego", seed=1))
    with pytest.raises(ConfigError, match="found nothing"):
        fit_head(job("stego", seed=1, inputs=[str(tmp_path / "nowhere")]), overwrite=True)
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_other_settings_are_refused_by_name_unless_overwritten(job, tmp_path):
    fit_head(job("stego"))
    before = contents(tmp_path / "head")
    longer = job("stego", config=CONFIGS["stego"].with_steps(11))
    with pytest.raises(ConfigError, match=r"head\.steps: 9 -> 11"):
        fit_head(longer)
    assert contents(tmp_path / "head") == before
    fit_head(longer, overwrite=True)
    assert load_head(tmp_path / "head").training["steps"] == 11


def test_a_head_from_elsewhere_is_not_replaced(job, tmp_path):
    fit_head(job("stego"))
    record = tmp_path / "head" / "run.json"
    written = json.loads(record.read_text())
    del written["settings"]["head"]
    record.write_text(json.dumps(written))  # as if a run had been made beside an imported head
    with pytest.raises(ConfigError, match="not trained there"):
        fit_head(job("stego"))
    record.unlink()
    with pytest.raises(ConfigError, match="not trained there"):
        fit_head(job("stego"))
    assert (tmp_path / "head" / "head.json").exists()


def test_a_bad_photograph_is_reported(job, photographs, tmp_path):
    (photographs / "bad.png").write_bytes(b"no image")
    run = fit_head(job("stego"))
    assert [failure.stage for failure in run.failures] == ["read"]
    assert (tmp_path / "head" / "failures.jsonl").exists()
    assert load_head(tmp_path / "head").training["images"] == 5


def test_stego_needs_a_second_photograph(job, photographs):
    whole = dataclasses.replace(CONFIGS["stego"], crops=dataclasses.replace(SMALL, mode="whole"))
    with pytest.raises(DatasetError, match="two or more"):
        fit_head(job("stego", config=whole, inputs=[str(photographs / "p0.png")]))


def test_without_a_cache_the_head_is_nearly_the_same(job, tmp_path):
    fit_head(job("hp"))
    fit_head(job("hp", "fresh", cache=False))
    kept, fresh = (load_file(tmp_path / name / "head.safetensors") for name in ("head", "fresh"))
    torch.testing.assert_close(kept["centres"], fresh["centres"], atol=1e-2, rtol=0.1)


def test_unused_centres_are_noted(job):
    told, config = Notes(), dataclasses.replace(CONFIGS["stego"], refit_centres=False)
    run = fit_head(job("stego", num_clusters=200, config=config), progress=told)
    assert run.counts["clusters"] == 200
    assert run.counts["dead_clusters"]
    assert any("of 200 cluster centres own no part" in note for note in told.notes)


@pytest.mark.parametrize(
    ("calls", "heard"), [((0, 1, 3), [1, 2]), ((20, 21), [("hp head", 40, 20), 1])]
)
def test_what_an_earlier_run_did_is_no_progress_of_this_one(calls, heard):
    class Told(Silent):
        def __init__(self):
            self.heard = []

        def start(self, stage, total, done=0):
            self.heard.append((stage, total, done))

        def advance(self, steps=1):
            self.heard.append(steps)

    told = Told()
    report = head_fitting._advance(told, "hp head", 40)
    for done in calls:
        report(done)
    assert told.heard == heard
