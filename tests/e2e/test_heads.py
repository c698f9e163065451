"""A head through every stage: segment, fit, predict, evaluate, report."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from primaps import pipeline
from primaps.cli import app
from primaps.errors import CheckpointError, ConfigError
from primaps.heads.files import load_head, save_head
from primaps.heads.loading import load_backbone
from primaps.runs.model import Model
from primaps.segmenter import Segmenter

FAST = ["--size", "64", "--preset", "fast", "--no-crf"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def text(result):
    return " ".join((result.stdout + result.stderr).split())


def succeed(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, text(result)
    return text(result)


@pytest.mark.slow
def test_every_command_takes_a_head(photographs, texture_head, tmp_path):
    out, plain = tmp_path / "run", tmp_path / "plain"
    for path in (photographs / "p2.png", photographs / "p3.png", photographs / "more" / "p4.png"):
        path.unlink()
    succeed(
        "segment",
        photographs,
        "--out",
        out,
        "--head",
        texture_head,
        "--classes",
        3,
        "--init",
        "head",
        *FAST,
    )
    succeed(
        "proposals",
        photographs,
        "--out",
        plain,
        "--backbone",
        "texture",
        "--size",
        64,
        "--preset",
        "fast",
    )

    for path in sorted((plain / "proposals").rglob("*.png")):
        other = out / "proposals" / path.relative_to(plain / "proposals")
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(other))), (
            "proposals are the plain backbone's"
        )
    assert load_file(out / "store" / "p0.png.safetensors")["features"].shape[1] == 6
    assert "texture with a head of kind stego" in (out / "report.html").read_text(encoding="utf-8")
    model = Model.load(out)
    assert model.prototypes.shape == (3, 6)
    assert model.head == str(texture_head)
    assert model.settings["initialise"] == "head"

    moved = tmp_path / "moved-head"
    texture_head.rename(moved)
    gone = run("fit", out, "--classes", 2, "--model", tmp_path / "model")
    assert gone.exit_code == 2
    assert "Expected a head" in text(gone)
    succeed("fit", out, "--classes", 2, "--model", tmp_path / "model", "--head", moved)
    assert Model.load(tmp_path / "model").head == str(moved)
    succeed(
        "predict",
        photographs / "p0.png",
        "--model",
        out,
        "--out",
        tmp_path / "new",
        "--no-crf",
        "--head",
        moved,
    )
    labels = np.asarray(Image.open(tmp_path / "new" / "labels" / "p0.png.png"))
    assert np.array_equal(labels, np.asarray(Image.open(out / "labels" / "p0.png.png"))), (
        "stored and new features agree"
    )
    succeed("report", out, "--head", moved)


def test_evaluate_with_a_head(photographs, texture_head, tmp_path):
    camvid = tmp_path / "camvid"
    (camvid / "val").mkdir(parents=True)
    (camvid / "valannot").mkdir()
    for path in sorted(photographs.glob("*.png"))[:2]:
        image = np.asarray(Image.open(path))
        Image.fromarray(image).save(camvid / "val" / path.name)
        Image.fromarray(np.where(image[..., 2] > 190, 0, 3).astype(np.uint8)).save(
            camvid / "valannot" / path.name
        )
    succeed(
        "segment",
        camvid / "val",
        "--out",
        tmp_path / "run",
        "--head",
        texture_head,
        "--classes",
        3,
        *FAST,
    )
    scores = tmp_path / "scores.json"
    succeed(
        *(
            "evaluate",
            "--model",
            tmp_path / "run",
            "--dataset",
            "camvid",
            "--root",
            camvid,
            "--split",
            "val",
        ),
        *("--flip", "--head", texture_head, "--json", scores),
    )
    assert 0.3 < json.loads(scores.read_text())["accuracy"] <= 1.0


def test_import_on_the_command_line(official, texture, photographs, tmp_path):
    official.channels = texture.dim
    file = official.write(official.stego_content())
    assert "4 cluster centres" in succeed(
        "head", "import", file, "--out", tmp_path / "head", "--backbone", "texture"
    )
    succeed(
        "segment",
        photographs / "p0.png",
        "--out",
        tmp_path / "a",
        "--head",
        tmp_path / "head",
        "--classes",
        4,
        *FAST,
    )
    succeed(
        "predict",
        photographs / "p0.png",
        "--model",
        tmp_path / "head",
        "--out",
        tmp_path / "b",
        "--no-crf",
    )
    (tmp_path / "bad.ckpt").write_bytes(file.read_bytes()[:5000])
    failed = run("head", "import", tmp_path / "bad.ckpt", "--out", tmp_path / "c")
    assert failed.exit_code == 2
    assert "damaged or incomplete" in text(failed)
    assert "Traceback" not in text(failed)
    assert not (tmp_path / "c").exists()
    assert run("head", "import", file, "--out", tmp_path / "c", "--kind", "eagle").exit_code == 2


def test_contradictions_show_before_the_work(photographs, texture_head, tmp_path):
    out = tmp_path / "run"
    for options, reason in (
        (
            ["--backbone", "texture", "--init", "head"],
            "Expected a head with cluster centres to start from",
        ),
        (
            ["--head", texture_head, "--init", "head", "--classes", 5],
            "as the head has cluster centres, 3, but got 5",
        ),
        (
            ["--head", texture_head, "--init", "random"],
            "Expected --init to be proposals, pca or head, but got 'random'",
        ),
    ):
        result = run("segment", photographs, "--out", out, *FAST, *options)
        assert result.exit_code == 2
        assert reason in text(result)
        assert not (out / "store").exists()


def test_another_head_is_another_run(photographs, texture_head, texture, small_config, tmp_path):
    out = tmp_path / "run"
    headed = load_backbone("texture", device="cpu", head=texture_head)
    pipeline.proposals(pipeline.open_run([photographs], out, headed, small_config))
    with pytest.raises(ConfigError, match=r"backbone\.head: \{.*\} -> None"):
        pipeline.open_run([photographs], out, texture, small_config)
    noisy = load_backbone("texture", device="cpu", head=texture_head, head_dropout=True)
    with pytest.raises(ConfigError, match=r"backbone\.head\.inference_dropout: False -> True"):
        pipeline.open_run([photographs], out, noisy, small_config)

    head = load_head(texture_head)
    head.network.linear.bias += 1
    save_head(texture_head, head)
    with pytest.raises(CheckpointError, match=r"another backbone or head(.|\n)*head\.sha256"):
        pipeline.reopen(out, {})


@pytest.mark.parametrize("dropout", [False, True])
def test_a_run_with_a_head_can_be_repeated_and_resumed(
    dropout, photographs, texture_head, small_config, tmp_path
):
    config = dataclasses.replace(
        small_config, predict=dataclasses.replace(small_config.predict, crf=False)
    )
    for name in ("a", "b"):
        headed = load_backbone("texture", device="cpu", head=texture_head, head_dropout=dropout)
        pipeline.segment(pipeline.open_run([photographs], tmp_path / name, headed, config))
    (tmp_path / "b" / "store" / "p1.png.safetensors").unlink()
    (tmp_path / "b" / "model" / "model.json").unlink()
    again = pipeline.reopen(tmp_path / "b", {})
    assert again.backbone.describe() == headed.describe()
    pipeline.segment(pipeline.open_run([photographs], tmp_path / "b", headed, config))
    for path in sorted((tmp_path / "a" / "store").glob("*.safetensors")):
        expected, found = load_file(path), load_file(tmp_path / "b" / "store" / path.name)
        assert torch.equal(expected["features"], found["features"])
    for pattern in ("model/prototypes.safetensors", "labels/*.png", "proposals/*.png"):
        paths = sorted((tmp_path / "a").glob(pattern))
        assert paths
        for path in paths:
            assert (
                path.read_bytes()
                == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
            ), path


def test_segmenter_with_a_head(photographs, texture_head, small_config, photograph, tmp_path):
    config = dataclasses.replace(
        small_config, fit=dataclasses.replace(small_config.fit, initialise="head")
    )
    headed = load_backbone("texture", device="cpu", head=texture_head)
    segmenter = Segmenter(headed, num_clusters=3, config=config).fit(photographs)
    segmenter.save(tmp_path / "model")
    loaded = Segmenter.load(tmp_path / "model", device="cpu")
    assert torch.equal(loaded.model.prototypes, segmenter.model.prototypes)
    assert np.array_equal(loaded.predict(photograph), segmenter.predict(photograph))
