import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from primaps.cli.commands import app
from primaps.data.dataset import load_dataset

FAST = ["--size", "64", "--preset", "fast", "--classes", "3"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def text(result):
    """Both streams in one line of words, so that line breaks do not matter."""
    return " ".join((result.stdout + result.stderr).split())


def test_help_lists_the_commands():
    result = run("--help")
    assert result.exit_code == 0
    commands = (
        "segment",
        "proposals",
        "fit",
        "predict",
        "evaluate",
        "check",
        "report",
        "benchmark",
        "demo",
        "list",
        "doctor",
    )
    for command in commands:
        assert command in result.stdout


def commands_of(group, path=()):
    """All commands, those of groups within groups too, with the words that call them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*path, name))
        else:
            yield (*path, name), command


def test_help_swallows_no_default():
    """What stands in square brackets is taken for markup and does not show."""
    swallowed = re.compile(r"\[[a-z#/@][^\]]*\]")
    seen, written = 0, []
    for path, command in commands_of(typer.main.get_command(app)):
        texts = [
            command.help or "",
            *(getattr(parameter, "help", None) or "" for parameter in command.params),
        ]
        assert not [line for line in texts if swallowed.search(line)], path
        written += [
            (path, default) for line in texts for default in re.findall(r"\(default: [^)]*\)", line)
        ]
        seen += 1
    assert seen >= 14
    for path in (("fit",), ("head", "import")):
        shown = "".join(
            CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"}).stdout.split()
        )
        for _, default in (entry for entry in written if entry[0] == path):
            assert "".join(default.split()) in shown
    assert {path for path, _ in written} >= {
        ("fit",),
        ("head", "import"),
        ("segment",),
        ("head", "stego", "fit"),
    }


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.strip()[0].isdigit()


def test_segment_then_every_other_stage(photographs, tmp_path):
    out = tmp_path / "run"
    result = run("segment", photographs, "--out", out, *FAST)
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


def test_kmeans_of_proposals_has_labels_a_report_and_no_steps(photographs, tmp_path):
    out = tmp_path / "run"
    result = run("segment", photographs, "--out", out, "--method", "clusters", *FAST)
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
    assert "<span>--method</span> <span>clusters</span>" in page
    assert "<dd>clusters of proposals</dd>" in page
    assert 'id="fit"' not in page

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
    assert run("segment", photographs, "--out", out, "--method", "clusters", *FAST).exit_code == 0


def test_photographs_without_a_proposal_say_what_to_do(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in "ab":
        Image.new("RGB", (64, 48)).save(tmp_path / "photos" / f"{name}.png")
    start = ("--init", "proposals", "--backbone", "texture")
    options = (tmp_path / "photos", "--out", tmp_path / "run", "--min-area", 9999, *start, *FAST)
    result = run("segment", *options)
    assert (result.exit_code, "Traceback" in text(result)) == (1, False)
    assert "Expected mask proposals to fit classes to" in text(result)
    assert "--init pca" in text(result)
    assert run("segment", *options, "--init", "pca", "--overwrite").exit_code == 0


def test_levels_are_recorded_and_restored(photographs, tmp_path):
    out = tmp_path / "run"
    options = (photographs, "--out", out, "--backbone", "efficientnet_lite0", *FAST)
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
def test_bad_levels_are_refused(levels, reason, photographs, tmp_path):
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


def test_evaluate_writes_the_promised_record(photographs, tmp_path):
    camvid = tmp_path / "camvid"
    (camvid / "val").mkdir(parents=True)
    (camvid / "valannot").mkdir()
    for path in sorted(photographs.glob("*.png")):
        image = np.asarray(Image.open(path))
        Image.fromarray(image).save(camvid / "val" / path.name)
        sky = image[..., 2] > 190
        labels = np.where(sky, 0, 3).astype(np.uint8)
        labels[:4] = 11
        Image.fromarray(labels).save(camvid / "valannot" / path.name)
    assert (
        run(
            "segment", camvid / "val", "--out", tmp_path / "run", "--backbone", "texture", *FAST
        ).exit_code
        == 0
    )
    scores = tmp_path / "scores.json"
    arguments = [
        "--model",
        tmp_path / "run",
        "--dataset",
        "camvid",
        "--root",
        camvid,
        "--split",
        "val",
        "--json",
        scores,
    ]
    result = run("evaluate", *arguments, "--flip", "--crf")
    assert result.exit_code == 0, text(result)
    record = json.loads(scores.read_text())
    assert 0.8 < record["accuracy"] <= 1.0
    assert 0.0 < record["miou"] <= 1.0
    assert record["per_class_iou"]["car"] is None
    assert record["per_class_iou"]["sky"] > 0.8
    assert set(record["cluster_to_class"]) == {"0", "1", "2"}
    assert record["n_images"] == 4


def test_proposals_alone(photographs, tmp_path):
    result = run(
        "proposals", photographs, "--out", tmp_path / "run", "--size", 64, "--max-masks", 2
    )
    assert result.exit_code == 0, text(result)
    for path in (tmp_path / "run" / "proposals").rglob("*.png"):
        assert 1 <= np.asarray(Image.open(path)).max() <= 2
    assert not (tmp_path / "run" / "labels").exists()


def test_some_bad_inputs_exit_with_3(photographs, tmp_path):
    (photographs / "text.jpg").write_text("words")
    result = run("segment", photographs, "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 3
    assert "text.jpg" in text(result)
    assert "failures.jsonl" in text(result)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--classes", "0"], 2, "between 2 and 254"),
        (["--classes", "255"], 2, "between 2 and 254"),
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
def test_wrong_settings_exit_with_2_and_say_why(arguments, code, message, photographs, tmp_path):
    result = run("segment", photographs, "--out", tmp_path / "run", *arguments)
    assert result.exit_code == code
    assert message in text(result)
    assert "Traceback" not in text(result)


def test_missing_and_empty_folders_and_only_bad_inputs(tmp_path):
    result = run("segment", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert (result.exit_code, "nowhere" in text(result)) == (2, True)
    (tmp_path / "empty").mkdir()
    result = run("segment", tmp_path / "empty", "--out", tmp_path / "run")
    assert (result.exit_code, "empty" in text(result)) == (1, True)
    (tmp_path / "bad.jpg").write_bytes(b"")
    result = run("segment", tmp_path / "bad.jpg", "--out", tmp_path / "run")
    assert (result.exit_code, "bad.jpg" in text(result)) == (1, True)


def test_other_settings_are_refused_with_2(photographs, tmp_path):
    assert run("segment", photographs, "--out", tmp_path / "run", *FAST).exit_code == 0
    result = run("segment", photographs, "--out", tmp_path / "run", *FAST, "--seed", 3)
    assert result.exit_code == 2
    assert "fit.seed: 0 -> 3" in text(result)
    assert (
        run(
            "segment", photographs, "--out", tmp_path / "run", *FAST, "--seed", 3, "--overwrite"
        ).exit_code
        == 0
    )


def test_out_that_is_a_file(photographs, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("segment", photographs, "--out", tmp_path / "file")
    assert result.exit_code == 2
    assert "is a file" in text(result)


def test_a_model_that_is_not_there(photographs, tmp_path):
    result = run("predict", photographs, "--model", tmp_path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "primaps fit" in text(result)


def test_evaluate_without_its_data(photographs, tmp_path):
    assert run("segment", photographs, "--out", tmp_path / "run", *FAST).exit_code == 0
    result = run(
        "evaluate",
        "--model",
        tmp_path / "run",
        "--dataset",
        "camvid",
        "--root",
        tmp_path / "nowhere",
    )
    assert (result.exit_code, "nowhere" in text(result)) == (2, True)


def test_list_names_every_backbone():
    result = run("list")
    assert result.exit_code == 0
    for name in (
        "efficientnet_lite0",
        "mini",
        "texture",
        "dino_vits8",
        "dinov2_vitl14_reg",
        "dinov3_vitb16",
        "cityscapes",
        "potsdam",
        "folder",
        "paper",
    ):
        assert name in result.stdout


def test_doctor_is_content():
    result = run("doctor")
    assert result.exit_code == 0, text(result)
    assert "All is well" in result.stdout


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(),
    reason="mounting a small file system needs root on Linux",
)
def test_full_disk_and_read_only_folder(photographs, tmp_path):
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
        result = run("segment", photographs, "--out", disk / "other", *FAST)
        assert result.exit_code == 1
        assert "read-only" in text(result)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_module_and_script_start_without_torch():
    code = "import sys, primaps.cli.commands; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_steps_are_drawn_instead_of_a_run(photographs, tmp_path):
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


def test_proposals_need_a_place(photographs):
    result = run("proposals", photographs)
    assert result.exit_code == 2
    assert "Expected --out DIR" in text(result)


def test_check_of_a_complete_data_set(trees, tmp_path, monkeypatch):
    from primaps.data import potsdam
    from primaps.data.about import Split

    splits = (
        Split("train", 3, list_file="labelled_train.txt"),
        Split("val", 2, list_file="labelled_test.txt"),
    )
    monkeypatch.setattr(potsdam, "ABOUT", dataclasses.replace(potsdam.ABOUT, splits=splits))
    root = trees.write_potsdam(tmp_path / "potsdam")
    result = run("check", "potsdam", "--root", root, "--json", tmp_path / "check.json")
    assert result.exit_code == 0, text(result)
    assert "train: 3 of 3 published images are usable" in result.stdout
    assert (
        f"primaps evaluate --model RUN --dataset potsdam --root {root} --split val" in result.stdout
    )
    record = json.loads((tmp_path / "check.json").read_text())
    assert record["complete"] is True
    assert sum(record["splits"][1]["pixels"].values()) == 2 * 96 * 96
    assert "train 3 in" in " ".join(result.stderr.split())


def test_check_names_bad_files_and_where_to_get_them(trees, tmp_path):
    root = trees.write_cityscapes(tmp_path / "cityscapes")
    bad = root / "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.new("L", (128, 96), 99).save(bad)
    result = run("check", "cityscapes", "--root", root, "--split", "val")
    assert result.exit_code == 3, text(result)
    assert "val: 1 of 500 published images are usable" in result.stdout
    assert f"{bad}: Expected label ids 0..33, 255" in result.stdout
    assert "www.cityscapes-dataset.com" in result.stdout
    assert "\ntrain:" not in result.stdout


def test_check_of_nothing(tmp_path):
    for name in ("cityscapes", "cocostuff", "potsdam", "camvid", "folder"):
        result = run("check", name, "--root", tmp_path / "nowhere")
        assert result.exit_code == 1, text(result)
        assert "nowhere, but there is none" in result.stdout
        assert "Get it: " in result.stdout or name == "folder"
    result = run("check", "cityscape", "--root", tmp_path)
    assert result.exit_code == 2
    assert "Did you mean 'cityscapes'" in text(result)


def test_check_makes_the_curated_lists(trees, tmp_path):
    root = trees.write_cocostuff(
        tmp_path / "cocostuff", splits=(("train", 1), ("val", 1)), size=(364, 480)
    )
    for path in (root / "curated").rglob("*.txt"):
        path.unlink()
    assert run("check", "cocostuff", "--root", root).exit_code == 1
    result = run("check", "cocostuff", "--root", root, "--make-lists")
    assert result.exit_code == 3, text(result)  # there are fewer images than published
    assert "val: 2 of 2175 published images are usable" in result.stdout
    assert len(list((root / "curated").rglob("*_7.txt"))) == 2
    assert run("check", "potsdam", "--root", root, "--make-lists").exit_code == 2


@pytest.mark.parametrize("name", ["cityscapes", "cocostuff", "potsdam"])
def test_evaluate_takes_every_data_set(name, trees, tmp_path, segmenter_folder):
    root = getattr(trees, f"write_{name}")(tmp_path / name)
    scores = tmp_path / "scores.json"
    result = run(
        "evaluate",
        "--model",
        segmenter_folder,
        "--dataset",
        name,
        "--root",
        root,
        "--split",
        "val",
        "--json",
        scores,
    )
    assert result.exit_code == 0, text(result)
    record = json.loads(scores.read_text())
    assert record["n_images"] == 2
    assert 0.3 < record["accuracy"] <= 1.0
    assert list(record["per_class_iou"]) == list(load_dataset(name, root, "val").class_names)


@pytest.fixture(scope="module")
def segmenter_folder(trees, tmp_path_factory):
    """A model fitted to drawn Potsdam tiles through the command line."""
    root = trees.write_potsdam(tmp_path_factory.mktemp("potsdam"))
    tiles = sorted((root / "imgs").glob("*.mat"))
    result = run("segment", *tiles, "--out", root / "run", "--backbone", "texture", *FAST)
    assert result.exit_code == 0, text(result)
    assert len(list((root / "run" / "labels").glob("*.mat.png"))) == len(tiles)
    return root / "run"


def test_a_damaged_tile_is_reported_and_skipped(trees, tmp_path):
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
        *FAST[:4],
    )
    assert result.exit_code == 3, text(result)
    assert "1.mat is damaged or truncated" in text(result)
    assert len(list((tmp_path / "run/proposals").glob("*.png"))) == 4


def test_predict_repeats_what_the_run_did(photographs, tmp_path):
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


def test_fit_repeats_what_is_not_given(photographs, tmp_path):
    out, options = tmp_path / "run", ["--backbone", "texture", "--device", "cpu", "--seed", 4]
    assert run("segment", photographs, "--out", out, *FAST, *options).exit_code == 0
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


def test_a_threshold_is_auto_or_a_number(photographs, tmp_path):
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


def test_a_timm_model_is_calibrated_on_the_images(photographs, tmp_path):
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


def test_demo_says_what_the_photographs_are_and_where_its_views_lie(
    photographs, monkeypatch, tmp_path
):
    done = {}

    def write_views(folder):
        done["folder"] = folder
        return sorted(photographs.glob("*.png")), "Drawn landscapes."

    def segment(run, *, command, inputs):
        done.update(run=run, command=command, inputs=inputs)

    monkeypatch.setattr("primaps.data.demo_views.write_views", write_views)
    monkeypatch.setattr("primaps.pipeline.segment", segment)
    result = run("demo", "--out", tmp_path / "out", "--backbone", "texture", "--device", "cpu")
    assert result.exit_code == 0, text(result)
    assert result.stdout.startswith(f"Drawn landscapes.\nViews: {tmp_path / 'out-photographs'}\n")
    assert done["folder"] == tmp_path / "out-photographs"
    assert done["command"] == "demo"
    assert done["run"].folder.record["about"] == "Drawn landscapes."
    assert (done["run"].config.num_clusters, len(done["run"].images)) == (12, 4)
