import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from primaps import pipeline
from primaps.shards.places import place_of


def test_segment_then_every_other_stage(photographs, tmp_path, run, text, fast):
    out = tmp_path / "run"
    result = run("segment", photographs, "--out", out, *fast)
    assert result.exit_code == 0, text(result)
    assert str(out / "report.html") in result.stdout
    assert len(list((out / "labels").rglob("*.png"))) == 5

    assert (
        run("fit", out, "--classes", 3, "--seed", 1, "--model", tmp_path / "model").exit_code == 0
    )
    assert json.loads((tmp_path / "model" / "model.json").read_text())["settings"]["seed"] == 1

    result = run(
        "predict",
        photographs / "p0.png",
        "--model",
        tmp_path / "model",
        "--out",
        tmp_path / "new",
        "--no-crf",
    )
    assert result.exit_code == 0, text(result)
    with Image.open(tmp_path / "new" / "labels" / "p0.png.png") as labels:
        assert labels.size == (80, 60)

    (out / "report.html").unlink()
    assert run("report", out).exit_code == 0
    assert (out / "report.html").exists()


def test_kmeans_of_proposals_has_labels_a_report_and_no_steps(
    photographs, tmp_path, run, text, fast
):
    out = tmp_path / "run"
    result = run("segment", photographs, "--out", out, "--method", "clusters", *fast)
    assert result.exit_code == 0, text(result)
    assert len(list((out / "labels").rglob("*.png"))) == 5
    record = json.loads((out / "model" / "model.json").read_text())
    assert (record["settings"]["method"], record["settings"]["initialise"], record["losses"]) == (
        "clusters",
        "proposals",
        [],
    )
    assert not (out / "model" / "snapshots").exists()
    page = (out / "report.html").read_text("utf-8")
    shown = json.loads(re.search(r'id="run">(.*?)</script>', page).group(1))
    assert shown["method"] == "clusters"
    assert any((each["command"] or "").endswith("--method clusters") for each in shown["advice"])
    assert shown["curves"] is None

    assert (
        run(
            "fit",
            out,
            "--classes",
            3,
            "--method",
            "em",
            "--init",
            "pca",
            "--model",
            tmp_path / "model",
        ).exit_code
        == 0
    )
    settings = json.loads((tmp_path / "model" / "model.json").read_text())["settings"]
    assert (settings["method"], settings["initialise"], settings["snapshot_distance"]) == (
        "em",
        "pca",
        100,
    )
    assert run("segment", photographs, "--out", out, "--method", "clusters", *fast).exit_code == 0


def test_photographs_without_a_proposal_say_what_to_do(tmp_path, run, text, fast):
    (tmp_path / "photos").mkdir()
    for name in "ab":
        Image.new("RGB", (64, 48)).save(tmp_path / "photos" / f"{name}.png")
    start = ("--init", "proposals", "--backbone", "texture")
    options = (tmp_path / "photos", "--out", tmp_path / "run", "--min-area", 9999, *start, *fast)
    result = run("segment", *options)
    assert (result.exit_code, "Traceback" in text(result)) == (1, False)
    assert "Expected mask proposals to fit classes to" in text(result)
    assert "--init pca" in text(result)
    assert run("segment", *options, "--init", "pca", "--overwrite").exit_code == 0


def test_levels_are_recorded_and_restored(photographs, tmp_path, run, text, fast):
    out = tmp_path / "run"
    options = (photographs, "--out", out, "--backbone", "efficientnet_lite0", *fast)
    assert run("segment", *options, "--levels", "16,8:0.5").exit_code == 0
    assert (
        json.loads((out / "run.json").read_text())["settings"]["backbone"]["levels"] == "8:0.5,16"
    )

    assert run("segment", *options, "--levels", "8:0.5,16").exit_code == 0  # resumed
    refused = run("segment", *options)
    assert refused.exit_code == 2
    assert "backbone.levels: '8:0.5,16' -> '8,16,32'" in text(refused)
    assert run("fit", out, "--classes", 3, "--model", tmp_path / "model").exit_code == 0
    result = run(
        "predict", photographs / "p0.png", "--model", out, "--out", tmp_path / "new", "--no-crf"
    )
    assert result.exit_code == 0, text(result)


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        ("8,12", "has, with strides 2, 4, 8, 16, 32, but got 12"),
        ("fine", "Expected levels to be strides"),
    ],
)
def test_bad_levels_are_refused(levels, reason, photographs, tmp_path, run, text):
    for command in ("segment", "proposals"):
        result = run(
            command,
            photographs,
            "--out",
            tmp_path / "run",
            "--backbone",
            "efficientnet_lite0",
            "--levels",
            levels,
        )
        assert (result.exit_code, reason in text(result)) == (2, True)


def test_proposals_alone(photographs, tmp_path, run, text):
    result = run(
        "proposals", photographs, "--out", tmp_path / "run", "--size", 64, "--max-masks", 2
    )
    assert result.exit_code == 0, text(result)
    for path in (tmp_path / "run" / "proposals").rglob("*.png"):
        assert 1 <= np.asarray(Image.open(path)).max() <= 2
    assert not (tmp_path / "run" / "labels").exists()


def test_some_bad_inputs_exit_with_3(photographs, tmp_path, run, text, fast):
    (photographs / "text.jpg").write_text("words")
    result = run("segment", photographs, "--out", tmp_path / "run", *fast)
    assert result.exit_code == 3
    assert "text.jpg" in text(result)
    assert "failures.jsonl" in text(result)


def test_the_number_of_classes_is_proposed(photographs, tmp_path, run, text, fast):
    out = tmp_path / "run"
    options = (*fast[:-1], "auto")
    assert fast[-2:] == ("--classes", "3")
    result = run("segment", photographs, "--out", out, *options)
    assert result.exit_code == 0, text(result)
    assert "classes are proposed for these photographs" in text(result)
    again = run("segment", photographs, "--out", out, *options)
    assert again.exit_code == 0
    assert "proposed" not in text(again)
    assert "Proposed number of classes" in text(run("classes", out))
    assert run("fit", out, "--classes", "auto", "--model", tmp_path / "model").exit_code == 0
    assert (tmp_path / "model" / "tree.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--classes", "0"], 2, "between 2 and 254"),
        (["--classes", "255"], 2, "between 2 and 254"),
        (["--classes", "many"], 2, "--classes to be auto, or a whole number from 2 to 254"),
        (["--backbone", "dino_vits9"], 2, "Did you mean 'dino_vits8'"),
        (["--preset", "papr"], 2, "Did you mean 'paper'"),
        (["--method", "magic"], 2, "em, clusters or baseline"),
        (["--device", "quantum"], 2, "quantum"),
        (["--weights", "none.pth"], 2, "none.pth"),
        (["--no-such-option"], 2, "--no-such-option"),
        (["--threshold", "7"], 2, "cosine similarity"),
        (["--threshold", "automatic"], 2, "--threshold to be auto, or a cosine similarity"),
        (["--init", "random"], 2, "--init to be proposals, pca or head"),
    ],
)
def test_wrong_settings_exit_with_2_and_say_why(
    arguments, code, message, photographs, tmp_path, run, text
):
    result = run("segment", photographs, "--out", tmp_path / "run", *arguments)
    assert result.exit_code == code
    assert message in text(result)
    assert "Traceback" not in text(result)


def test_missing_and_empty_folders_and_only_bad_inputs(tmp_path, run, text):
    result = run("segment", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert (result.exit_code, "nowhere" in text(result)) == (2, True)
    (tmp_path / "empty").mkdir()
    result = run("segment", tmp_path / "empty", "--out", tmp_path / "run")
    assert (result.exit_code, "empty" in text(result)) == (1, True)
    (tmp_path / "bad.jpg").write_bytes(b"")
    result = run("segment", tmp_path / "bad.jpg", "--out", tmp_path / "run")
    assert (result.exit_code, "bad.jpg" in text(result)) == (1, True)


def test_other_settings_are_refused_with_2(photographs, tmp_path, run, text, fast):
    assert run("segment", photographs, "--out", tmp_path / "run", *fast).exit_code == 0
    result = run("segment", photographs, "--out", tmp_path / "run", *fast, "--seed", 3)
    assert result.exit_code == 2
    assert "fit.seed: 0 -> 3" in text(result)
    assert (
        run(
            "segment", photographs, "--out", tmp_path / "run", *fast, "--seed", 3, "--overwrite"
        ).exit_code
        == 0
    )


def test_out_that_is_a_file(photographs, tmp_path, run, text):
    (tmp_path / "file").write_text("")
    result = run("segment", photographs, "--out", tmp_path / "file")
    assert result.exit_code == 2
    assert "is a file" in text(result)


def test_a_model_that_is_not_there(photographs, tmp_path, run, text):
    result = run("predict", photographs, "--model", tmp_path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "primaps fit" in text(result)


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(),
    reason="mounting a small file system needs root on Linux",
)
def test_full_disk_and_read_only_folder(photographs, tmp_path, run, text, fast):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        result = run("segment", photographs, "--out", disk / "run", "--size", 200, "--classes", 3)
        assert result.exit_code == 1
        assert "disk is full" in text(result)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        result = run("segment", photographs, "--out", disk / "other", *fast)
        assert result.exit_code == 1
        assert "read-only" in text(result)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_steps_are_drawn_instead_of_a_run(photographs, tmp_path, run, text):
    out = tmp_path / "pictures"
    result = run(
        "proposals",
        photographs / "p0.png",
        "--steps",
        "--out",
        out,
        "--size",
        "64",
        "--backbone",
        "texture",
    )
    assert result.exit_code == 0, text(result)
    assert [path.name for path in out.iterdir()] == ["p0.png.steps.png"]
    assert "p0.png.steps.png" in text(result)
    partly = run(
        "proposals",
        photographs / "p0.png",
        "gone.png",
        "--steps",
        "--out",
        out,
        "--size",
        "64",
        "--backbone",
        "texture",
    )
    assert partly.exit_code == 3
    assert "gone.png" in text(partly)


def test_proposals_need_a_place(photographs, run, text):
    result = run("proposals", photographs)
    assert result.exit_code == 2
    assert "Expected --out DIR" in text(result)


def test_a_damaged_tile_is_reported_and_skipped(trees, tmp_path, run, text, fast):
    root = trees.write_potsdam(tmp_path / "potsdam")
    content = (root / "imgs/1.mat").read_bytes()
    (root / "imgs/1.mat").write_bytes(content[:3000])
    result = run(
        "proposals",
        *sorted((root / "imgs").glob("*.mat")),
        "--out",
        tmp_path / "run",
        "--backbone",
        "texture",
        *fast[:4],
    )
    assert result.exit_code == 3, text(result)
    assert "1.mat is damaged or truncated" in text(result)
    assert len(list((tmp_path / "run/proposals").glob("*.png"))) == 4


def test_predict_repeats_what_the_run_did(photographs, tmp_path, run, text):
    options = [
        "--size",
        64,
        "--preset",
        "fast",
        "--classes",
        3,
        "--backbone",
        "texture",
        "--device",
        "cpu",
    ]
    assert (
        run(
            "segment",
            photographs,
            "--out",
            tmp_path / "run",
            *options,
            "--crf",
            "--max-pixels",
            2000,
        ).exit_code
        == 0
    )
    result = run(
        "predict",
        photographs,
        "--model",
        tmp_path / "run",
        "--out",
        tmp_path / "new",
        "--device",
        "cpu",
    )
    assert result.exit_code == 0, text(result)
    maps = sorted((tmp_path / "run" / "labels").rglob("*.png"))
    assert len(maps) == 5
    for path in maps:
        other = tmp_path / "new" / path.relative_to(tmp_path / "run")
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(other)))
    again = run(
        "predict",
        photographs,
        "--model",
        tmp_path / "run",
        "--out",
        tmp_path / "new",
        "--device",
        "cpu",
        "--no-crf",
    )
    assert again.exit_code == 2
    assert "predict.crf: True -> False" in text(again)


def test_fit_repeats_what_is_not_given(photographs, tmp_path, run, text, fast):
    out, options = tmp_path / "run", ["--backbone", "texture", "--device", "cpu", "--seed", 4]
    assert run("segment", photographs, "--out", out, *fast, *options).exit_code == 0
    # the same model, so nothing to overwrite
    assert run("fit", out, "--device", "cpu").exit_code == 0
    result = run(
        "fit", out, "--device", "cpu", "--method", "baseline", "--model", tmp_path / "model"
    )
    assert result.exit_code == 0, text(result)
    settings = json.loads((tmp_path / "model" / "model.json").read_text())["settings"]
    assert (
        settings["num_clusters"],
        settings["seed"],
        settings["method"],
        settings["initialise"],
    ) == (3, 4, "baseline", "pca")


def test_a_threshold_is_auto_or_a_number(photographs, tmp_path, run, text):
    options = ["--size", 64, "--backbone", "texture", "--device", "cpu"]
    assert (
        run(
            "proposals", photographs, "--out", tmp_path / "a", *options, "--threshold", "auto"
        ).exit_code
        == 0
    )
    assert run("proposals", photographs, "--out", tmp_path / "a", *options).exit_code == 0
    assert (
        run(
            "proposals", photographs, "--out", tmp_path / "b", *options, "--threshold", "0.7"
        ).exit_code
        == 0
    )
    found = [json.loads((tmp_path / name / "run.json").read_text())["threshold"] for name in "ab"]
    assert found == [{"value": 0.5, "source": "backbone"}, {"value": 0.7, "source": "given"}]
    result = run("proposals", photographs, "--out", tmp_path / "b", *options)
    assert result.exit_code == 2
    assert "proposals.threshold: 0.7 -> 0.5" in text(result)


def test_a_timm_model_is_calibrated_on_the_images(photographs, tmp_path, run, text):
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(
            timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "weights.pth"
        )
    options = [
        "--size",
        64,
        "--backbone",
        "timm:test_vit",
        "--weights",
        tmp_path / "weights.pth",
        "--device",
        "cpu",
    ]
    result = run("proposals", photographs, "--out", tmp_path / "run", *options)
    assert result.exit_code == 0, text(result)
    assert "No threshold is published for timm:test_vit" in text(result)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["threshold"]["source"] == "calibrated"
    assert record["settings"]["proposals"]["threshold"] == record["threshold"]["value"]
    again = run("proposals", photographs, "--out", tmp_path / "run", *options)
    assert again.exit_code == 0
    assert "No threshold is published" not in text(again)


def test_extras_names_and_the_store_of_a_run(photographs, tmp_path, run, text, fast):
    out, new = tmp_path / "run", tmp_path / "new"
    options = ("--backbone", "texture", "--certainty", "--overlays", *fast)
    assert run("segment", photographs, "--out", out, *options).exit_code == 0
    for folder, suffix in (("certainty", ".png"), ("overlays", ".jpg"), ("labels", ".png")):
        assert len(list((out / folder).rglob(f"*{suffix}"))) == 5
    assert run("classes", out, "--name", "0=sky").exit_code == 0
    assert run("fit", out, "--classes", 4, "--model", tmp_path / "four").exit_code == 0
    stored = ("predict", "--stored", out, "--model", tmp_path / "four", "--out", new)
    result = run(*stored, "--unknown-below", "0.2")
    assert result.exit_code == 0, text(result)
    assert "sky" in (new / "classes.yaml").read_text()
    assert len(list((new / "labels").rglob("*.png"))) == 5
    assert run("report", new).exit_code == 0
    refused = run(*stored)
    assert refused.exit_code == 2
    assert "predict.unknown_below: 0.2 -> 0.0" in text(refused)
    assert run(*stored, "--unknown-below", "2").exit_code == 2


@pytest.mark.parametrize("given", [(), ("photos", "--stored", "run")])
def test_predict_takes_images_or_a_run(given, tmp_path, run, text):
    result = run("predict", *given, "--model", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "IMAGES, or --stored RUN" in text(result)


def test_a_dry_run_tells_and_writes_nothing(run, photographs, tmp_path, fast, text, monkeypatch):
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "cache"))  # no earlier job tells of its time
    out = tmp_path / "run"
    asked = ("segment", photographs, "--out", out, *fast, "--backbone", "texture", "--dry-run")
    told = run(*asked)
    assert told.exit_code == 0, told.output
    assert not out.exists()
    assert "Photographs: 5, 5 of them to do" in told.stdout
    assert "Classes: 3, method em, seed 0" in text(told)
    for part in ("Disk: about", "Memory: about", "Time: about", "by 4 of them that were tried"):
        assert part in text(told)
    assert run(*asked[:-1]).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = run(*asked, "--classes", "4")
    assert "Photographs: 5, 0 of them to do" in again.stdout
    assert "fit.num_clusters: 3 -> 4" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    new = ("proposals", photographs, "--out", tmp_path / "new", *fast[:2], "--dry-run")
    assert "5 of them to do" in run(*new).stdout
    assert not (tmp_path / "new").exists()


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_of_fit_and_predict_writes_nothing(run, photographs, tmp_path, fast, text):
    out, model, new = tmp_path / "run", tmp_path / "model", tmp_path / "new"
    asked = ("segment", photographs, "--out", out, *fast, "--backbone", "texture")
    assert run(*asked).exit_code == 0
    before = snapshot(tmp_path)
    own = run("fit", out, "--dry-run")
    assert own.exit_code == 0, own.output
    assert "none, since this model is there already" in text(own)
    told = run("fit", out, "--classes", "4", "--dry-run")
    assert told.exit_code == 0, told.output
    for part in ("5 with stored", "Classes: 4", "Disk: about", "Memory: about", "Time: about"):
        assert part in text(told)
    assert "Refused without --overwrite" in told.stdout
    assert "num_clusters: 3 -> 4" in told.stdout
    beside = run("fit", out, "--classes", "auto", "--model", model, "--dry-run")
    assert (beside.exit_code, "proposed from them" in beside.stdout) == (0, True), beside.output
    assert "Refused" not in beside.stdout
    for crf, word in (("--crf", "with CRF"), ("--no-crf", "without CRF")):
        for source in ((photographs,), ("--stored", out)):
            options = ("--model", out, "--out", new, crf, "--certainty", "--overlays", "--dry-run")
            shown = run("predict", *source, *options)
            assert shown.exit_code == 0, shown.output
            assert "Photographs: 5, 5 of them to do" in shown.stdout
            assert word in shown.stdout
            assert "of them that were tried" in shown.stdout
    assert snapshot(tmp_path) == before
    assert run("predict", photographs, "--model", out, "--out", new).exit_code == 0
    before = snapshot(tmp_path)
    again = run("predict", photographs, "--model", out, "--out", new, "--dry-run")
    assert "5, 0 of them to do" in again.stdout
    assert "all label maps are there" in again.stdout
    other = ("--unknown-below", "0.5", "--dry-run")
    refused = run("predict", photographs, "--model", out, "--out", new, *other)
    assert "Refused without --overwrite" in refused.stdout
    assert run("predict", photographs, "--model", out, "--out", out, "--dry-run").exit_code == 2
    shards = ("--shard-format", "tar", "--shards", 2, "--dry-run")
    for command in (("predict", "--model", out), ("proposals", *fast[:2], "--backbone", "texture")):
        planned = run(*command, photographs, "--out", tmp_path / "shards", *shards)
        assert planned.exit_code == 0, planned.output
        assert "Images:      5, 0 of them done, 5 to do" in planned.stdout
        assert "3 of 2 images (tar), 0 of them done, 3 to do" in planned.stdout
    far = run("predict", photographs, "--model", out, "--out", "memory://x/y", "--dry-run")
    assert "to memory://x/y" in far.stdout
    assert snapshot(tmp_path) == before


def test_moved_photographs_are_found_by_report_and_export(run, photographs, tmp_path, fast, text):
    out, moved = tmp_path / "run", tmp_path / "moved"
    asked = ("segment", photographs, "--out", out, *fast, "--backbone", "texture")
    assert run(*asked).exit_code == 0
    photographs.rename(moved)
    assert run("report", out).exit_code == 3
    told = run("report", out, "--images", moved)
    assert told.exit_code == 0, told.output
    assert "found again" in told.stderr
    moved.rename(photographs)
    options = ("--format", "coco", "--out", tmp_path / "coco", "--images", photographs)
    exported = run("export", out, *options)
    assert exported.exit_code == 0, exported.output
    assert "5 images" in exported.stdout


@pytest.fixture
def sharded(photographs, tmp_path, texture, small_config, pack):
    """The outputs of `proposals --shards 2` of five photographs."""
    one = pipeline.open_run([photographs], tmp_path / "one", texture, small_config)
    pipeline.proposals(one, inputs=[str(photographs)])
    return pack(one, place_of(tmp_path / "sharded"), photographs, 2)


def test_fit_of_a_sample_of_sharded_outputs(sharded, tmp_path, run, text, s3, pack):
    result = run("fit", sharded.url, "--out", tmp_path / "run", "--sample", 3, "--classes", 2)
    assert result.exit_code == 0, text(result)
    assert f"Model: {tmp_path / 'run' / 'model'}" in text(result)
    assert "3 of 5 images; 3 to fetch" in text(result)
    assert len(list((tmp_path / "run" / "store").rglob("*.safetensors"))) == 3
    again = run("fit", sharded.url, "--out", tmp_path / "run", "--sample", 3, "--classes", 2)
    assert again.exit_code == 0, text(again)
    assert "to fetch" not in text(again)
    other = run("fit", sharded.url, "--out", tmp_path / "run", "--classes", 2)
    assert other.exit_code == 2
    assert "another sample: 3 images of" in text(other)
    assert "Wanted are 5 of" in text(other)
    remote = place_of(f"{s3}/out")
    for path in ("run.json", "plan.json"):
        remote.write(path, sharded.read(path))
    for folder in ("plan", "shards"):
        for name in sharded.names(folder):
            remote.write(f"{folder}/{name}", sharded.read(f"{folder}/{name}"))
    result = run("fit", remote.url, "--out", tmp_path / "far", "--sample", 3, "--classes", 2)
    assert result.exit_code == 0, text(result)
    model = "model/prototypes.safetensors"
    assert (tmp_path / "far" / model).read_bytes() == (tmp_path / "run" / model).read_bytes()


def test_a_sample_needs_a_folder_of_its_own(sharded, tmp_path, run, text):
    for arguments in (
        (sharded.url,),
        (sharded.url, "--sample", 3),
        ("s3://bucket/out",),
        (tmp_path / "one", "--sample", 3),
    ):
        result = run("fit", *arguments)
        assert result.exit_code == 2, text(result)
        assert "Expected --out RUN beside the outputs of" in text(result)
    result = run("fit", tmp_path / "one", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "is fitted without --out and --sample" in text(result)
    result = run("fit", sharded.url, "--out", tmp_path / "run", "--dry-run")
    assert result.exit_code == 2
    assert "Expected --dry-run without --out" in text(result)
    result = run("fit", sharded.url, "--out", tmp_path / "run", "--with", "names")
    assert result.exit_code == 2
    assert "without --out" in text(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_several_processes_fit_a_sample_alike(sharded, tmp_path, run, text):
    for name, processes in (("one", 1), ("two", 2)):
        result = run(
            *("fit", sharded.url, "--out", tmp_path / "runs" / name, "--classes", 2),
            *("--processes", processes),
        )
        assert result.exit_code == 0, text(result)
    one, two = (
        load_file(tmp_path / "runs" / name / "model" / "prototypes.safetensors")
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        assert torch.allclose(tensor, two[key], atol=1e-5), key


def test_what_stays_of_the_features(run, photographs, tmp_path, fast, text):
    out = tmp_path / "run"
    asked = ("segment", photographs, "--out", out, *fast, "--backbone", "texture")
    assert "Store: full" in text(run(*asked, "--dry-run"))
    told = text(run(*asked, "--store", "none", "--dry-run"))
    assert "Store: none; features are removed when all is done" in told
    assert run(*asked, "--store", "none").exit_code == 0
    assert not (out / "store").exists()
    again = run(*asked, "--dry-run")  # the folder's own
    assert "Store: none" in text(again)
    assert "5, 0 of them to do" in again.stdout
    assert "5, 5 of them to do" in run(*asked, "--store", "light", "--dry-run").stdout
    assert run(*asked, "--store", "light").exit_code == 0
    assert (out / "store").exists()
    assert json.loads((out / "run.json").read_text())["config"]["store"] == "light"


def test_kinds_of_stores_that_there_are_not(run, photographs, tmp_path, text):
    for command in ("segment", "proposals"):
        result = run(command, photographs, "--out", tmp_path / "run", "--store", "litle")
        assert result.exit_code == 2
        assert "Expected --store to be full, light or none, but got 'litle'." in text(result)
        assert "Did you mean 'light'?" in text(result)


def test_another_fit_says_how_to_make_the_store_again(run, photographs, tmp_path, fast, text):
    out = tmp_path / "run"
    asked = ("segment", photographs, "--out", out, *fast, "--backbone", "texture")
    assert run(*asked, "--store", "none").exit_code == 0
    refused = run("fit", out, "--seed", "4", "--model", tmp_path / "model")
    assert refused.exit_code == 2
    assert f"Make them again: primaps proposals {photographs} --out {out}" in text(refused)
    made = run(
        "proposals", photographs, "--out", out, "--config", out / "run.json", "--store", "full"
    )
    assert made.exit_code == 0, made.output
    assert run("fit", out, "--seed", "4", "--model", tmp_path / "model").exit_code == 0
