"""Run folders that an earlier version made; `generation_1.json` is what the last version of
generation 1 recorded.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from primaps import config as settings
from primaps import pipeline
from primaps.cli import app
from primaps.config import comparable, from_record, preset_config
from primaps.errors import CheckpointError
from primaps.heads.loading import load_backbone
from primaps.pipeline import fitting
from primaps.pipeline.fitting import fit_fingerprint
from primaps.pipeline.settings import backbone_for, earlier_run, preset_for, settings_for
from primaps.progress import Silent
from primaps.runs.run import ALGORITHM, Run, RunFolder
from primaps.segmenter import Segmenter

GENERATION_1 = json.loads((Path(__file__).parent / "generation_1.json").read_text())


class Listening(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def record():
    """Of a run with `texture`, 3 classes, seed 5, preset fast, 64 pixels."""
    return json.loads(json.dumps(GENERATION_1["record"]))


@pytest.fixture
def old_folder(record, photographs, tmp_path, texture):
    """A finished run folder as the earlier version left it."""
    out = tmp_path / "old"
    pipeline.segment(
        pipeline.open_run([photographs], out, texture, from_record(record["config"])),
        inputs=[str(photographs)],
    )
    present = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(
        json.dumps({**record, "seconds": present["seconds"], "counts": present["counts"]})
    )
    model = json.loads((out / "model" / "model.json").read_text())
    del model["predict"]
    (out / "model" / "model.json").write_text(json.dumps(model))
    return out


@pytest.fixture
def new_setting(monkeypatch):
    """Pretend that a setting came into being in this version, and that its default is not what
    earlier versions did.
    """
    monkeypatch.setitem(settings.IMPLIED, "fit.vote_stride", 1)
    monkeypatch.setitem(settings.IMPLIED, "predict.max_pixels", 1_000_000)


@pytest.mark.parametrize(
    ("preset", "backbone", "start"),
    [
        ("default", "efficientnet_lite0", "proposals"),
        ("default", "timm:resnet18", "proposals"),
        ("default", "texture", "pca"),
        ("fast", "texture", "pca"),
        ("paper", "efficientnet_lite0", "pca"),
    ],
)
def test_a_backbone_may_have_a_better_start_than_proposals(preset, backbone, start):
    chosen, plain = preset_for(preset, backbone), preset_config(preset)
    assert chosen.fit.initialise == start
    assert chosen == settings.with_settings(plain, {"fit.initialise": start})


def test_that_start_is_taken_wherever_none_was_given(photographs, tmp_path):
    out = tmp_path / "run"
    options = (
        "segment",
        photographs,
        "--size",
        64,
        "--preset",
        "fast",
        "--backbone",
        "texture",
        "--device",
        "cpu",
    )
    for start, given in (
        ("pca", ()),
        ("proposals", ("--init", "proposals")),
        ("proposals", ("--method", "clusters")),
    ):
        code, text = invoke(*options, "--classes", 3, "--out", out, "--overwrite", *given)
        assert code == 0, text
        assert (
            json.loads((out / "model" / "model.json").read_text())["settings"]["initialise"]
            == start
        )
    code, text = invoke("fit", out, "--method", "em", "--model", tmp_path / "em", "--device", "cpu")
    assert code == 0, text
    assert (
        json.loads((tmp_path / "em" / "model.json").read_text())["settings"]["initialise"] == "pca"
    )
    assert Segmenter(load_backbone("texture", device="cpu"), 3).config.fit.initialise == "pca"


def without(record, *names):
    """A record of a version that did not know these settings."""
    for name in names:
        part, key = name.split(".")
        for where in ("config", "settings"):
            del record[where][part][key]
    return record


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join((result.stdout + result.stderr).split())


# ---- what is stored stays valid ------------------------------------------------------------------


def test_settings_and_fingerprints_are_those_of_the_earlier_version(
    record, texture, tmp_path, monkeypatch
):
    run = Run(RunFolder(tmp_path), texture, from_record(record["config"]), ())
    assert json.loads(json.dumps(run.settings())) == record["settings"]
    assert ALGORITHM == 3, "features and proposals are made anew: pin their fingerprint again"
    monkeypatch.setattr("primaps.runs.run.ALGORITHM", 2)  # photographs are read otherwise since
    assert run.store.settings == GENERATION_1["store"]
    monkeypatch.setattr(fitting, "FIT_ALGORITHM", 3)
    assert fit_fingerprint(run, []) == GENERATION_1["fit"]


def test_a_setting_that_did_not_exist_changes_no_fingerprint(
    record, texture, tmp_path, new_setting, monkeypatch
):
    known = Run(RunFolder(tmp_path), texture, from_record(record["config"]), ())
    config = from_record(without(record, "fit.vote_stride")["config"])
    assert config.fit.vote_stride == 1
    run = Run(RunFolder(tmp_path), texture, config, ())
    assert run.settings() == known.settings()
    assert "vote_stride" not in run.settings()["fit"]
    assert fit_fingerprint(run, []) == fit_fingerprint(known, [])
    other = settings.with_settings(config, {"fit.vote_stride": 2})
    assert comparable(other.fit, "fit")["vote_stride"] == 2
    assert fit_fingerprint(Run(RunFolder(tmp_path), texture, other, ()), []) != fit_fingerprint(
        run, []
    )


def test_every_implied_setting_exists():
    present = settings.to_dict(preset_config("default"))
    known = {
        f"{part}.{key}"
        for part, values in present.items()
        if isinstance(values, dict)
        for key in values
    }
    known |= {f"proposals.crf.{key}" for key in present["proposals"]["crf"]}
    assert "fit.vote_stride" in known
    assert settings.IMPLIED.keys() <= known
    assert not settings.IMPLIED.keys() & {
        f"fit.{key}" for key in GENERATION_1["record"]["config"]["fit"]
    }, "these existed"


# ---- an old folder resumes with its own settings -------------------------------------------------


def test_the_command_without_settings_resumes_an_old_folder(old_folder, photographs):
    made = {
        path: path.stat().st_mtime_ns
        for path in old_folder.rglob("*")
        if path.suffix in {".png", ".safetensors"}
    }
    code, text = invoke("segment", photographs, "--out", old_folder, "--device", "cpu")
    assert code == 0, text
    assert "was made by an earlier version" in text
    assert "features.size: 320 -> 64" in text
    assert "Backbone: texture, as on record" in text
    present = json.loads((old_folder / "run.json").read_text())
    assert (present["counts"]["proposals_made"], present["counts"]["label_maps_made"]) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert "defaults" not in present, "the folder keeps its generation"
    assert present["threshold"] == {"value": 0.5, "source": "backbone"}
    assert json.loads((old_folder / "model" / "model.json").read_text())["predict"]["crf"] is False


@pytest.mark.parametrize(
    "given", [["--preset", "fast"], ["--classes", "3", "--backbone", "texture", "--size", "64"]]
)
def test_what_is_given_as_it_was_agrees(given, old_folder, photographs):
    code, text = invoke(
        "proposals", photographs, "--out", old_folder, "--device", "cpu", *given[:2]
    )
    assert (code, "other settings" in text) == (
        (0, False) if given[0] == "--preset" else (2, False)
    ), text
    assert invoke("segment", photographs, "--out", old_folder, "--device", "cpu", *given)[0] == 0


def test_what_is_given_otherwise_is_named_alone(old_folder, photographs):
    code, text = invoke("segment", photographs, "--out", old_folder, "--device", "cpu", "--seed", 6)
    assert code == 2
    assert "other settings: fit.seed: 5 -> 6 Choose" in text
    code, text = invoke(
        "segment", photographs, "--out", old_folder, "--device", "cpu", "--preset", "default"
    )
    assert code == 2
    assert "features.size: 64 -> 320" in text


def test_defaults_that_changed_since_do_not_matter(old_folder, photographs, monkeypatch):
    base = preset_config("default")
    changed = settings.with_settings(
        base, {"fit.epochs": 7, "proposals.crf_scale": 0.25, "fit.initialise": "head"}
    )
    monkeypatch.setattr("primaps.pipeline.settings.preset_config", lambda _: changed)
    monkeypatch.setattr("primaps.heads.loading.DEFAULT_BACKBONE", "mini")
    code, text = invoke("segment", photographs, "--out", old_folder, "--device", "cpu")
    assert code == 0, text
    assert "fit.epochs: 7 -> 30" in text
    assert json.loads((old_folder / "run.json").read_text())["counts"]["proposals_made"] == 0


def test_a_new_folder_names_its_generation_and_takes_the_defaults(
    photographs, tmp_path, texture, small_config
):
    pipeline.open_run([photographs], tmp_path / "run", texture, small_config)
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["defaults"]
        == settings.GENERATION
        == 2
    )
    assert earlier_run(tmp_path / "run") is None
    assert earlier_run(tmp_path / "none") is None
    listening = Listening()
    assert settings_for(tmp_path / "run", preset_config("fast"), {"seed": 3}, listening).seed == 3
    assert listening.notes == []


def test_a_setting_unknown_to_the_old_folder_resumes_too(
    old_folder, record, photographs, new_setting
):
    present = json.loads((old_folder / "run.json").read_text())
    (old_folder / "run.json").write_text(json.dumps(without(present, "fit.vote_stride")))
    code, text = invoke("segment", photographs, "--out", old_folder, "--device", "cpu")
    assert code == 0, text
    assert "vote_stride" not in json.loads((old_folder / "run.json").read_text())["settings"]["fit"]
    with pytest.raises(settings.ConfigError, match=r"fit\.vote_stride: 1 -> 4"):
        RunFolder(old_folder).claim(
            {"fit": {**record["settings"]["fit"], "vote_stride": 4}}, overwrite=False
        )


def test_fit_of_an_old_folder_keeps_what_was_not_given(old_folder, tmp_path):
    code, text = invoke(
        "fit", old_folder, "--seed", 9, "--model", tmp_path / "model", "--device", "cpu"
    )
    assert code == 0, text
    assert "The settings on its record are kept" in text
    made = json.loads((tmp_path / "model" / "model.json").read_text())["settings"]
    assert (made["num_clusters"], made["seed"], made["method"], made["initialise"]) == (
        3,
        9,
        "em",
        "pca",
    )


def test_label_maps_of_new_photographs_as_the_old_run_made_them(old_folder, photographs, tmp_path):
    code, text = invoke(
        "predict",
        photographs / "p0.png",
        "--model",
        old_folder,
        "--out",
        tmp_path / "new",
        "--device",
        "cpu",
    )
    assert code == 0, text
    name = "labels/p0.png.png"
    assert (
        json.loads((tmp_path / "new" / "run.json").read_text())["config"]["predict"]["crf"] is False
    )
    assert (tmp_path / "new" / name).stat().st_size > 0


# ---- the backbone on record ----------------------------------------------------------------------


def test_a_backbone_that_is_given_counts(record, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(record))
    listening = Listening()
    assert backbone_for(tmp_path, None, listening, device="cpu").name == "texture"
    assert listening.notes == [f"Backbone: texture, as on record in {tmp_path}."]
    assert backbone_for(tmp_path, "mini", Silent(), device="cpu").name == "mini"


def test_weights_and_head_on_record_are_taken(record, tmp_path, texture_head):
    record["head"] = str(texture_head)
    record["settings"]["backbone"]["head"] = {
        "kind": "stego",
        "dim": 6,
        "sha256": "",
        "inference_dropout": True,
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    found = backbone_for(tmp_path, None, Silent(), device="cpu")
    assert (found.dim, found.inference_dropout) == (6, True)
    moved = texture_head.rename(tmp_path / "moved")
    assert backbone_for(tmp_path, None, Silent(), head=moved, device="cpu").head_path == str(moved)
    with pytest.raises(CheckpointError):
        backbone_for(tmp_path, None, Silent(), device="cpu")


def test_head_dropout_that_is_given_counts(record, tmp_path, texture_head):
    (tmp_path / "run.json").write_text(json.dumps(record))
    found = backbone_for(
        tmp_path, "texture", Silent(), head=texture_head, head_dropout=True, device="cpu"
    )
    assert found.inference_dropout
    with pytest.raises(CheckpointError, match="head whose channels"):
        backbone_for(tmp_path, "texture", Silent(), head_dropout=True, device="cpu")


def test_records_without_settings_are_no_earlier_runs(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, "settings": {}}))
    assert earlier_run(tmp_path) is None


def test_a_proposed_number_of_classes_starts_from_proposals():
    assert preset_for("default", "texture").fit.initialise == "pca"
    assert preset_for("default", "texture", auto=True).fit.initialise == "proposals"
    assert preset_for("paper", "texture", auto=True).fit.initialise == "pca"
