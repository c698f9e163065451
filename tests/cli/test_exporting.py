"""The command that exports."""

import json

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from primaps.cli.exporting import export
from primaps.outputs.label_files import write_label_map
from primaps.shards.places import place_of


@pytest.fixture
def run(tmp_path):
    """A run folder with two label maps, and a photograph of the first."""
    entries = {}
    for name in ("a.png", "b.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        if name == "a.png":
            Image.new("RGB", (6, 4)).save(path)
        labels = np.repeat(np.arange(3), 2)[None].repeat(4, axis=0)
        write_label_map(tmp_path / "run" / "labels" / f"{name}.png", labels, {})
        entries[name] = {"path": str(path)}
    record = {"format": 1, "config": {"num_clusters": 3}, "inputs": []}
    record["settings"] = {"model": {"fingerprint": "0123"}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    (tmp_path / "run" / "store").mkdir()
    (tmp_path / "run" / "store" / "manifest.json").write_text(json.dumps({"images": entries}))
    return tmp_path / "run"


def invoke(*arguments):
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_missing_photograph_ends_with_exit_code_3_and_the_rest_is_done(run, tmp_path):
    out = tmp_path / "out"
    result = invoke(run, "--format", "coco", "--out", out, "--polygons", "--min-area", 2)
    assert result.exit_code == 3, result.output
    assert "1 images in" in result.output
    assert "b.png" in result.output
    (failure,) = (out / ".primaps-export/failures.jsonl").read_text().splitlines()
    assert json.loads(failure)["stage"] == "read"
    data = json.loads((out / "annotations/instances.json").read_bytes())
    assert len(data["annotations"]) == 3
    assert isinstance(data["annotations"][0]["segmentation"], list)


def test_parts_and_links(run, tmp_path):
    out = tmp_path / "out"
    result = invoke(run, "--format", "voc", "--out", out, "--split", "0,1", "--seed", 4, "--link")
    assert result.exit_code == 3, result.output
    assert (out / "ImageSets/Segmentation/val.txt").read_text() == "a\n"
    assert (out / "JPEGImages/a.png").is_symlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "coko"), "Did you mean 'coco'"),
        (("--format", "coco", "--split", ".5,.4"), "add up to 1"),
        (("--format", "voc", "--polygons"), "--polygons"),
    ],
)
def test_wrong_options_end_with_exit_code_2(run, tmp_path, arguments, message):
    result = invoke(run, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [("--split", ".5,.5"), ("--polygons",), ("--min-area", 3, "--link"), ("--seed", 1)]
)
def test_a_portable_model_takes_no_options_of_data_sets(run, tmp_path, options):
    result = invoke(run, "--format", "onnx", "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    given = ", ".join(str(each) for each in options if str(each).startswith("--"))
    assert f"Expected no {given} with --format onnx" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_and_writes_nothing(run, tmp_path):
    out = tmp_path / "out"
    result = invoke(run, "--format", "coco", "--out", out, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "Images:      2, 0 of them up to date, 2 to do" in result.output
    assert f"Missing:     {tmp_path / 'photos' / 'b.png'}" in result.output
    assert not out.exists()


def test_a_url_takes_a_data_set_but_no_portable_model(run, tmp_path):
    out = f"memory://cli-export/{tmp_path.name}"
    result = invoke(run, "--format", "coco", "--out", out)
    assert result.exit_code == 3, result.output
    assert f"1 images in {out}" in result.output
    assert place_of(out).exists("annotations/instances.json")
    assert f"{out}/.primaps-export/failures.jsonl" in "".join(result.output.split())
    assert place_of(out).exists(".primaps-export/failures.jsonl")
    told = invoke(run, "--format", "coco", "--out", out, "--dry-run")
    assert f"to {out}" in told.output
    for options in (("--link",), ("--link", "--dry-run")):
        refused = invoke(run, "--format", "coco", "--out", out, *options)
        assert refused.exit_code == 2
        assert "an object store has no links" in " ".join(refused.output.split())
    portable = invoke(run, "--format", "onnx", "--out", out)
    assert portable.exit_code == 2
    assert "Expected folders on disk with --format onnx" in " ".join(portable.output.split())


def test_a_portable_model_needs_a_model(run, tmp_path):
    result = invoke(run, "--format", "onnx", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Expected a fitted model" in result.output


def test_help_names_the_formats():
    result = invoke("--help")
    assert "label-studio" in result.output.replace("\n", "")
    assert "onnx" in result.output
