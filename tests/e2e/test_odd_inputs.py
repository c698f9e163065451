"""What real folders and real users bring: odd files, bad files, wrong commands. Nothing may end in
a traceback.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from primaps.cli import app

FAST = ("--size", "64", "--preset", "fast")
UPRIGHT = (36, 24)  # width, height of the odd images but one


def words(result):
    """Both streams in one line, so that line breaks do not matter."""
    return " ".join((result.stdout + result.stderr).split())


def in_process(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def pngs(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


def failures(out):
    return [json.loads(line) for line in (out / "failures.jsonl").read_text("ascii").splitlines()]


def copy_of(photograph, *paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph).save(path)


# ---- odd inputs are segmented --------------------------------------------------------------------


@pytest.mark.slow
def test_odd_images_all_get_their_outputs(odd_images, primaps, tmp_path):
    root, out = odd_images["grey"].parent, tmp_path / "run"
    noise = np.random.default_rng(0).integers(0, 256, (1, 3000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "wide.png")
    Image.fromarray(noise.transpose(1, 0, 2)).save(root / "tall.png")
    sizes = {path.relative_to(root).as_posix(): UPRIGHT for path in odd_images.values()}
    sizes |= {"one_pixel.png": (1, 1), "wide.png": (3000, 1), "tall.png": (1, 3000)}

    result = primaps("segment", root, "--out", out, *FAST, "--crf", "--classes", 40)

    assert result.returncode == 0, words(result)
    assert "Traceback" not in words(result)
    assert not (out / "failures.jsonl").exists()
    assert pngs(out / "labels") == pngs(out / "proposals") == {f"{name}.png" for name in sizes}
    for name, size in sizes.items():
        with Image.open(out / "labels" / f"{name}.png") as labels:
            assert (labels.size, labels.mode) == (size, "P"), name
            ids = np.unique(np.asarray(labels))
            assert all(value < 40 or value == 255 for value in ids), name
        with Image.open(out / "proposals" / f"{name}.png") as proposals:
            assert (proposals.size, proposals.mode) == (size, "I;16"), name
    counts = json.loads((out / "run.json").read_text())["counts"]
    assert counts["images"] == len(sizes)
    assert counts["clusters"] == 40
    assert "東京" in (out / "report.html").read_text("utf-8")


def test_several_roots_are_told_apart_by_their_folders_names(photograph, tmp_path):
    copy_of(
        photograph,
        tmp_path / "a" / "x.png",
        tmp_path / "b" / "x.png",
        tmp_path / "b" / "deep" / "x.png",
    )
    result = in_process(
        "proposals", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "run", "--size", 64
    )
    assert result.exit_code == 0, words(result)
    assert pngs(tmp_path / "run" / "proposals") == {
        "a/x.png.png",
        "b/x.png.png",
        "b/deep/x.png.png",
    }


def test_patterns_are_relative_to_the_part_without_wildcards(photograph, tmp_path):
    root = tmp_path / "in"
    copy_of(
        photograph,
        root / "2023" / "x.png",
        root / "2024" / "x.png",
        root / "2024" / "y.jpg",
        root / "other" / "x.png",
    )
    result = in_process(
        "proposals", root / "20*" / "*.png", "--out", tmp_path / "run", "--size", 64
    )
    assert result.exit_code == 0, words(result)
    assert pngs(tmp_path / "run" / "proposals") == {"2023/x.png.png", "2024/x.png.png"}


def test_the_same_images_given_in_many_ways_are_done_once(photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(photographs.parent)
    many = ("photos", "./photos/", photographs, "photos/p0.png", "photos/*.png", "photos/../photos")
    result = in_process("proposals", *many, "--out", "run", "--size", 64)
    assert result.exit_code == 0, words(result)
    before = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "proposals").rglob("*.png")
    }
    assert pngs(tmp_path / "run" / "proposals") == {
        "p0.png.png",
        "p1.png.png",
        "p2.png.png",
        "p3.png.png",
        "more/p4.png.png",
    }

    monkeypatch.chdir(photographs)
    assert in_process("proposals", ".", "--out", tmp_path / "run", "--size", 64).exit_code == 0
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "proposals").rglob("*.png")
    } == before


def test_the_run_folder_may_lie_inside_the_images(photographs):
    out = photographs / "results" / "run"
    for _ in range(2):
        result = in_process("segment", photographs, "--out", out, *FAST, "--classes", 3)
        assert result.exit_code == 0, words(result)
        assert len(pngs(out / "labels")) == 5
    assert json.loads((out / "run.json").read_text())["counts"]["images"] == 5


# ---- bad inputs are listed, and their neighbours done --------------------------------------------

REASONS = {
    "empty.jpg": "is empty",
    "text.jpg": "is none of these",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "huge_header.png": "usual size",
    "bomb.png": "usual size",
    "broken_link.jpg": "does not exist",
    "folder.jpg": "folder with an image's name",
}


def add_unnameable(folder):
    """Good images that no output can be named after: the name is no UTF-8, or as long as the system
    allows.
    """
    (folder / f"{'x' * 251}.png").hardlink_to(folder / "good.png")
    try:
        os.link(folder / "good.png", os.fsencode(folder) + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    return {f"{'x' * 251}.png": "at most 243 bytes", "caf\\xe9.png": "UTF-8"}


@pytest.mark.slow
def test_bad_images_are_listed_once_and_their_neighbours_done(
    bad_images, photograph, primaps, tmp_path
):
    root, out = bad_images["empty_jpg"].parent, tmp_path / "run"
    copy_of(photograph, root / "good.png", root / "sub" / "good.png")
    reasons = REASONS | add_unnameable(root)

    result = primaps(
        "segment", root, os.fsencode(root) + b"/caf\xe9.png", "--out", out, *FAST, "--classes", 3
    )

    assert result.returncode == 3, words(result)
    assert "Traceback" not in words(result)
    assert pngs(out / "labels") == {"good.png.png", "sub/good.png.png", "folder.jpg/inside.png.png"}
    listed = failures(out)
    assert sorted(Path(line["path"]).name for line in listed) == sorted(reasons)
    for line in listed:
        assert reasons[Path(line["path"]).name] in line["reason"]
        assert line["path"] in words(result)
    assert f"{len(reasons)} inputs could not be used" in words(result)


def test_an_image_that_vanishes_after_it_was_found(photographs, tmp_path, texture, small_config):
    from primaps import pipeline

    run = pipeline.open_run([photographs], tmp_path / "run", texture, small_config)
    (photographs / "p1.png").unlink()
    pipeline.proposals(run)
    assert [(Path(failure.path).name, failure.stage) for failure in run.failures] == [
        ("p1.png", "read")
    ]
    assert len(pngs(tmp_path / "run" / "proposals")) == 4


@pytest.mark.slow
def test_only_bad_images(bad_images, primaps, tmp_path):
    bad = [bad_images[kind] for kind in ("empty_jpg", "text_jpg")]
    result = primaps("segment", *bad, "--out", tmp_path / "run", *FAST)
    assert result.returncode == 1
    assert "Traceback" not in words(result)
    assert "all 2 inputs failed" in words(result)
    assert [line["path"] for line in failures(tmp_path / "run")] == [str(path) for path in bad]


# ---- wrong commands ------------------------------------------------------------------------------


def assert_refused(result, code, *parts):
    """The exit code, one message, nothing on standard output, no traceback."""
    assert result.returncode == code, words(result)
    assert not result.stdout
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error: ") == 1
    for part in parts:
        assert part in words(result)


@pytest.mark.slow
def test_nothing_to_do(primaps, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "run"
    assert_refused(
        primaps("segment", tmp_path / "empty", "--out", out),
        1,
        "Expected images",
        "There are no files there",
    )
    result = in_process("segment", tmp_path / "missing", "--out", out)
    assert result.exit_code == 2
    assert "found nothing at" in words(result)
    assert not out.exists()


@pytest.mark.slow
def test_settings_that_do_not_exist(photographs, primaps, tmp_path):
    out = tmp_path / "run"
    assert_refused(
        primaps("segment", photographs, "--out", out, "--classes", 0),
        2,
        "between 2 and 254",
        "got 0",
    )
    assert_refused(
        primaps("segment", photographs, "--out", out, "--backbone", "dinov2_vit14"),
        2,
        "Did you mean 'dinov2_vit",
    )
    assert not out.exists()


@pytest.mark.slow
def test_weights_of_another_model_and_damaged_weights(photographs, primaps, tmp_path):
    out, weights = tmp_path / "run", tmp_path / "tiny.safetensors"
    tensors = {
        "patch_embed.proj.weight": torch.zeros(192, 3, 16, 16),
        "cls_token": torch.zeros(1, 1, 192),
    }
    save_file({**tensors, "blocks.0.norm1.weight": torch.ones(192)}, weights)
    arguments = (
        "segment",
        photographs,
        "--out",
        out,
        "--backbone",
        "dino_vits8",
        "--weights",
        weights,
    )
    assert_refused(
        primaps(*arguments),
        2,
        "weights of 'dino_vits8'",
        "missing keys",
        "dimension 192, patch size 16",
    )
    weights.write_bytes(weights.read_bytes()[:-1000])
    result = in_process(*arguments)
    assert result.exit_code == 2
    assert f"{weights} to hold tensors only" in words(result)
    assert "download it again" in words(result)
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("photos/p0.png", "is a file"),
        ("photos/p0.png/run", "is something else"),
        ("x" * 300, "too long"),
    ],
)
def test_out_that_cannot_be_a_folder(given, message, photographs, monkeypatch):
    monkeypatch.chdir(photographs.parent)
    before = (photographs / "p0.png").read_bytes()
    result = in_process("segment", photographs, "--out", given, *FAST)
    assert result.exit_code in {1, 2}
    assert message in words(result)
    assert (photographs / "p0.png").read_bytes() == before


def test_inputs_that_cannot_be_a_path(tmp_path):
    result = in_process("segment", "x" * 300, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "File name too long" in words(result)


def test_an_out_that_is_not_utf8(photographs, tmp_path):
    result = in_process(
        "segment", photographs, "--out", os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"), *FAST
    )
    assert result.exit_code == 2
    assert "UTF-8" in words(result)


# ---- at work -------------------------------------------------------------------------------------


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.005)


@pytest.mark.slow
def test_interrupted_while_another_command_waits_outside(
    photographs, start_primaps, primaps, tmp_path
):
    out = tmp_path / "run"
    arguments = ("segment", photographs, "--out", out, "--size", 64, "--classes", 3)
    process = start_primaps(*arguments)
    wait_for(out / "model" / "checkpoint.safetensors", process)
    process.send_signal(signal.SIGSTOP)  # still at work, however slow the second command is
    second = primaps(*arguments)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert_refused(second, 1, "only command at work", str(out))
    assert process.returncode == 130
    assert "Interrupted. Run the same command again to resume." in errors
    assert "Traceback" not in errors
    assert not list(out.rglob("*.primaps-tmp"))


# ---- a run folder that was tampered with ---------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Images, arguments and folder of a finished run; tests copy it."""
    root = tmp_path_factory.mktemp("finished")
    (root / "photos").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 60)).save(root / "photos" / f"{seed}.png")
    result = in_process("segment", root / "photos", "--out", root / "run", *FAST, "--classes", 2)
    assert result.exit_code == 0, words(result)
    return root


def contents(out):
    kept = [
        *(out / "proposals").rglob("*.png"),
        *(out / "labels").rglob("*.png"),
        out / "model" / "prototypes.safetensors",
    ]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture
def tampered(finished, tmp_path):
    """Damages a copy of the run, starts the command again, and returns (its result, the folder)."""

    def again(damage):
        out = tmp_path / "run"
        shutil.copytree(finished / "run", out)
        damage(out)
        return in_process("segment", finished / "photos", "--out", out, *FAST, "--classes", 2), out

    return again


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "labels" / "0.png.png").unlink(),
        lambda out: cut(out / "labels" / "1.png.png"),
        lambda out: (out / "proposals" / "2.png.png").unlink(),
        lambda out: cut(out / "proposals" / "0.png.png"),
        lambda out: cut(out / "store" / "0.png.safetensors"),
        lambda out: (out / "store" / "manifest.json").unlink(),
        lambda out: cut(out / "model" / "model.json"),
        lambda out: cut(out / "model" / "prototypes.safetensors"),
        lambda out: (out / "model" / "prototypes.safetensors").unlink(),
        lambda out: (out / "model" / "checkpoint.safetensors").write_text("junk"),
        lambda out: (out / "run.json").unlink(),
        lambda out: (out / "labels" / ".0123.primaps-tmp").write_text("half"),
    ],
)
def test_whatever_is_missing_or_damaged_is_made_again(damage, tampered, finished):
    result, out = tampered(damage)
    assert result.exit_code == 0, words(result)
    assert contents(out) == contents(finished / "run")
    assert not list(out.rglob("*.primaps-tmp"))


def test_a_damaged_record_is_not_guessed(tampered):
    result, _ = tampered(lambda out: cut(out / "run.json"))
    assert result.exit_code == 2
    assert "run.json" in words(result)
    assert "delete it to resume" in words(result)


@pytest.mark.parametrize(
    ("command", "damage", "message"),
    [
        ("fit", lambda out: (out / "run.json").unlink(), "to hold a run"),
        ("fit", lambda out: (out / "store" / "manifest.json").unlink(), "to hold a run"),
        ("report", lambda out: (out / "failures.jsonl").write_text("junk"), "one JSON object per line"),
        ("report", lambda out: cut(out / "model" / "model.json"), "readable JSON"),
    ],
)
def test_commands_on_a_damaged_run_say_what_is_missing(command, damage, message, tampered):
    _, out = tampered(lambda _: None)
    damage(out)
    result = in_process(command, out)
    assert result.exit_code == 2, words(result)
    assert message in words(result)


def test_a_refit_keeps_the_list_of_failures(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    line = json.dumps({"path": "bad.jpg", "stage": "read", "reason": "It is bad."}) + "\n"
    (tmp_path / "run" / "failures.jsonl").write_text(line)
    result = in_process("fit", tmp_path / "run", "--classes", 3, "--overwrite")
    assert result.exit_code == 3, words(result)
    assert (tmp_path / "run" / "failures.jsonl").read_text() == line
