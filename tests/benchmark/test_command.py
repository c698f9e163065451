"""The command line: exit codes, messages, files."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from primaps.benchmark.command import choose_row
from primaps.benchmark.row import read_row
from primaps.cli import app
from primaps.config import FitConfig, preset_config
from primaps.errors import ConfigError


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark", *(str(argument) for argument in arguments)])


def text(result):
    """Both streams in one line of words, so that line breaks do not matter."""
    return " ".join((result.stdout + result.stderr).split())


def test_a_row_and_a_table_from_the_command_line(scenes, tmp_path, monkeypatch):
    short = dataclasses.replace(preset_config("fast"), fit=FitConfig(min_steps=4, max_steps=4))
    monkeypatch.setattr("primaps.benchmark.row.preset_config", lambda name: short)
    options = ("--dataset", "folder", "--root", scenes, "--backbone", "texture", "--preset", "fast", "--size", 32, "--limit", 3)
    for method in ("baseline", "em"):
        out = tmp_path / method
        result = run(*options, "--method", method, "--out", out, "--store", tmp_path / "store", "--device", "cpu")
        assert result.exit_code == 0, text(result)
        assert "| teacher+crf |" in result.stdout
        assert json.loads((out / "metrics.json").read_text("utf-8"))["row"]["method"] == method
        assert (out / "row.md").read_text("utf-8") in result.stdout
        assert (out / "row.tex").exists()
    result = run("--table", tmp_path / "baseline", tmp_path / "em", "--out", tmp_path / "table")
    assert result.exit_code == 0, text(result)
    markdown, latex = ((tmp_path / "table" / f"table.{end}").read_text("utf-8") for end in ("md", "tex"))
    assert markdown in result.stdout
    assert latex in result.stdout
    assert [line.split(" | ")[0] for line in markdown.splitlines() if line.startswith("| ")][1:] == ["| Baseline", "| PriMaPs-EM"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--dataset and --backbone is missing"),
        (("--dataset", "camvid"), "--backbone is missing"),
        (("--dataset", "camvid", "--backbone", "texture"), "Expected --root"),
        (("--dataset", "camwid", "--backbone", "texture", "--root", "."), "Did you mean 'camvid'"),
        (("--dataset", "camvid", "--backbone", "textur", "--root", "."), "Did you mean 'texture'"),
        (("--dataset", "camvid", "--backbone", "texture", "--root", "nowhere"), "--root to be the folder of the data set"),
        (("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--select", "best"), "--select to be one of"),
        (("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--method", "kmeans"), "--method to be one of"),
        (("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--seeds", "0"), "--seeds to be 1 or more"),
        (("--row", "cityscapes-dino_vits8"), "Unknown row 'cityscapes-dino_vits8'"),
        (("--row", "cityscapes-dino_vits8-em", "--method", "baseline"), "no other --method than that of row"),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--head-dropout"),
            "--head-dropout with --head DIR only",
        ),
        (("--table", "x", "--head-dropout"), "but got --head-dropout"),
        (("--table",), "folders of finished rows, but got none"),
        (("--table", "nowhere"), "to hold a finished row"),
        (("--table", "nowhere", "--seeds", "3"), "--out after --table, but got --seeds"),
        (("nowhere",), "folders after --table only, but got nowhere"),
    ],
)
def test_usage_errors(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2, text(result)
    assert message in text(result)
    assert "Traceback" not in text(result)


def test_too_few_clusters(scenes, tmp_path):
    options = ("--dataset", "folder", "--root", scenes, "--backbone", "texture", "--out", tmp_path / "row", "--clusters", 2)
    result = run(*options)
    assert result.exit_code == 2
    assert "at least as many clusters as the 4 classes of folder, but got 2" in text(result)


def test_a_missing_split_is_named(scenes, tmp_path):
    options = ("--dataset", "folder", "--root", scenes, "--backbone", "texture", "--out", tmp_path / "row", "--split", "test")
    result = run(*options)
    assert result.exit_code == 1
    assert "there is no split 'test'. It has the splits train, val" in text(result)


def test_options_refine_a_row_of_the_package():
    row = choose_row("potsdam-dinov2_vitb14-em", {"seeds": 3, "select": "oracle", "dataset": None, "limit": None})
    expected = read_row("potsdam-dinov2_vitb14-em")
    assert (row.seeds, row.select) == (3, "oracle")
    assert (row.dataset, row.backbone, row.method, row.preset) == (
        expected.dataset,
        expected.backbone,
        expected.method,
        "paper",
    )
    with pytest.raises(ConfigError, match="no other --dataset"):
        choose_row("potsdam-dinov2_vitb14-em", {"dataset": "cityscapes"})


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_of_the_head_is_part_of_what_identifies_a_row(dropout, texture_head, tmp_path, monkeypatch):
    asked = {}

    def measured(row, root, out, backbone, **_):
        asked.update(out=out, head=backbone.describe()["head"])
        raise ConfigError("far enough")

    monkeypatch.setattr("primaps.benchmark.command.measure_row", measured)
    monkeypatch.setattr("primaps.benchmark.command.open_parts", lambda *_: None)
    options = ["--head-dropout"] if dropout else []
    result = run("--dataset", "camvid", "--root", tmp_path, "--head", texture_head, "--device", "cpu", *options)
    assert "far enough" in text(result)
    assert asked["head"]["inference_dropout"] is dropout
    assert str(asked["out"]).endswith(f"{texture_head.name}-dropout") is dropout
