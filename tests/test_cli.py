import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from primaps.cli import app

FAST = ["--size", "64", "--preset", "fast", "--classes", "3"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def text(result):
    """Both streams in one line of words, so that line breaks do not matter."""
    return " ".join((result.stdout + result.stderr).split())


def test_help_lists_the_commands():
    result = run("--help")
    assert result.exit_code == 0
    for command in ("segment", "proposals", "fit", "predict", "evaluate", "report", "demo", "list", "doctor"):
        assert command in result.stdout


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

    assert run("fit", out, "--classes", 3, "--seed", 1, "--model", tmp_path / "model").exit_code == 0
    assert json.loads((tmp_path / "model" / "model.json").read_text())["settings"]["seed"] == 1

    result = run("predict", photographs / "p0.png", "--model", tmp_path / "model", "--out", tmp_path / "new", "--no-crf")
    assert result.exit_code == 0, text(result)
    with Image.open(tmp_path / "new" / "labels" / "p0.png.png") as labels:
        assert labels.size == (80, 60)

    (out / "report.html").unlink()
    assert run("report", out).exit_code == 0
    assert (out / "report.html").exists()


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
    assert run("segment", camvid / "val", "--out", tmp_path / "run", *FAST).exit_code == 0
    scores = tmp_path / "scores.json"
    arguments = ["--model", tmp_path / "run", "--dataset", "camvid", "--root", camvid, "--split", "val", "--json", scores]
    result = run("evaluate", *arguments, "--flip", "--crf")
    assert result.exit_code == 0, text(result)
    record = json.loads(scores.read_text())
    assert 0.5 < record["accuracy"] <= 1.0
    assert 0.0 < record["miou"] <= 1.0
    assert record["per_class_iou"]["car"] is None
    assert record["per_class_iou"]["sky"] > 0.3
    assert set(record["cluster_to_class"]) == {"0", "1", "2"}
    assert record["n_images"] == 4


def test_proposals_alone(photographs, tmp_path):
    result = run("proposals", photographs, "--out", tmp_path / "run", "--size", 64, "--max-masks", 2)
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
        (["--method", "magic"], 2, "em or baseline"),
        (["--device", "quantum"], 2, "quantum"),
        (["--weights", "none.pth"], 2, "none.pth"),
        (["--no-such-option"], 2, "--no-such-option"),
        (["--threshold", "7"], 2, "cosine similarity"),
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
    assert run("segment", photographs, "--out", tmp_path / "run", *FAST, "--seed", 3, "--overwrite").exit_code == 0


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
    result = run("evaluate", "--model", tmp_path / "run", "--dataset", "camvid", "--root", tmp_path / "nowhere")
    assert (result.exit_code, "nowhere" in text(result)) == (2, True)


def test_list_names_every_backbone():
    result = run("list")
    assert result.exit_code == 0
    for name in ("mini", "texture", "dino_vits8", "dinov2_vitl14_reg", "dinov3_vitb16", "camvid", "folder", "paper"):
        assert name in result.stdout


def test_doctor_is_content():
    result = run("doctor")
    assert result.exit_code == 0, text(result)
    assert "All is well" in result.stdout


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="mounting a small file system needs root on Linux"
)
def test_full_disk_and_read_only_folder(photographs, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True, check=False)
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
    code = "import sys, primaps.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_steps_are_drawn_instead_of_a_run(photographs, tmp_path):
    out = tmp_path / "pictures"
    result = run("proposals", photographs / "p0.png", "--steps", "--out", out, "--size", "64", "--backbone", "texture")
    assert result.exit_code == 0, text(result)
    assert [path.name for path in out.iterdir()] == ["p0.png.steps.png"]
    assert "p0.png.steps.png" in text(result)
    partly = run(
        "proposals", photographs / "p0.png", "gone.png", "--steps", "--out", out, "--size", "64", "--backbone", "texture"
    )
    assert partly.exit_code == 3
    assert "gone.png" in text(partly)


def test_proposals_need_a_place(photographs):
    result = run("proposals", photographs)
    assert result.exit_code == 2
    assert "Expected --out DIR" in text(result)
