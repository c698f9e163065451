"""The command line: exit codes, messages, files."""

import dataclasses
import json

import pytest
import torch
from typer.testing import CliRunner

from primaps.cli import app
from primaps.config import FitConfig, preset_config
from primaps.errors import ConfigError
from primaps.heads.files import Head, load_head, save_head
from primaps.heads.projection import ProjectionHead
from primaps.protocol.command import choose_row
from primaps.protocol.measure import row_settings
from primaps.protocol.row import read_row


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark", *(str(argument) for argument in arguments)])


def text(result):
    """Both streams in one line of words, so that line breaks do not matter."""
    return " ".join((result.stdout + result.stderr).split())


@pytest.mark.slow
def test_a_row_and_a_table_from_the_command_line(scenes, tmp_path, monkeypatch):
    short = dataclasses.replace(
        preset_config("fast"),
        fit=FitConfig(cluster_restarts=4, proposal_steps=4, min_steps=4, max_steps=4),
    )
    monkeypatch.setattr("primaps.protocol.row.preset_for", lambda preset, backbone: short)
    options = (
        "--dataset",
        "folder",
        "--root",
        scenes,
        "--backbone",
        "texture",
        "--preset",
        "fast",
        "--size",
        32,
        "--limit",
        3,
    )
    for method in ("baseline", "clusters", "em"):
        out = tmp_path / method
        result = run(
            *options,
            "--method",
            method,
            "--out",
            out,
            "--store",
            tmp_path / "store",
            "--device",
            "cpu",
        )
        assert result.exit_code == 0, text(result)
        assert "| teacher+crf |" in result.stdout
        assert json.loads((out / "metrics.json").read_text("utf-8"))["row"]["method"] == method
        assert (out / "row.md").read_text("utf-8") in result.stdout
        assert (out / "row.tex").exists()
    result = run(
        "--table",
        tmp_path / "baseline",
        tmp_path / "clusters",
        tmp_path / "em",
        "--out",
        tmp_path / "table",
    )
    assert result.exit_code == 0, text(result)
    markdown, latex = (
        (tmp_path / "table" / f"table.{end}").read_text("utf-8") for end in ("md", "tex")
    )
    assert markdown in result.stdout
    assert latex in result.stdout
    methods = [line.split(" | ")[0] for line in markdown.splitlines() if line.startswith("| ")]
    assert methods[1:] == ["| Baseline", "| Clusters of proposals", "| PriMaPs-EM"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--dataset and --backbone is missing"),
        (("--dataset", "camvid"), "--backbone is missing"),
        (("--dataset", "camvid", "--backbone", "texture"), "Expected --root"),
        (("--dataset", "camwid", "--backbone", "texture", "--root", "."), "Did you mean 'camvid'"),
        (("--dataset", "camvid", "--backbone", "textur", "--root", "."), "Did you mean 'texture'"),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--root", "nowhere"),
            "--root to be the folder of the data set",
        ),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--select", "best"),
            "--select to be one of",
        ),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--method", "kmeans"),
            "--method to be one of",
        ),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--seeds", "0"),
            "--seeds to be 1 or more",
        ),
        (("--row", "cityscapes-dino_vits8"), "Unknown row 'cityscapes-dino_vits8'"),
        (
            ("--row", "cityscapes-dino_vits8-em", "--method", "baseline"),
            "no other --method than that of row",
        ),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--root", ".", "--head-dropout"),
            "--head-dropout with --head DIR only",
        ),
        (
            ("--row", "cityscapes-dino_vitb8-stego-em"),
            "--head DIR with row cityscapes-dino_vitb8-stego-em, the folder of a head of kind",
        ),
        (
            ("--dataset", "camvid", "--backbone", "texture", "--method", "head"),
            "Expected --head DIR with --method head",
        ),
        (
            ("--row", "cityscapes-dino_vitb8-stego-em", "--head", "nowhere"),
            "Expected a head (head.json and head.safetensors) in",
        ),
        (("--table", "x", "--head", "y"), "but got --head"),
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
    options = (
        "--dataset",
        "folder",
        "--root",
        scenes,
        "--backbone",
        "texture",
        "--out",
        tmp_path / "row",
        "--clusters",
        2,
    )
    result = run(*options)
    assert result.exit_code == 2
    assert "at least as many clusters as the 4 classes of folder, but got 2" in text(result)


def test_a_missing_split_is_named(scenes, tmp_path):
    options = (
        "--dataset",
        "folder",
        "--root",
        scenes,
        "--backbone",
        "texture",
        "--out",
        tmp_path / "row",
        "--split",
        "test",
    )
    result = run(*options)
    assert result.exit_code == 1
    assert "there is no split 'test'. It has the splits train, val" in text(result)


def test_options_refine_a_row_of_the_package():
    row = choose_row(
        "potsdam-dinov2_vitb14-em", {"seeds": 3, "select": "oracle", "dataset": None, "limit": None}
    )
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
def test_dropout_of_the_head_is_part_of_what_identifies_a_row(
    dropout, texture_head, tmp_path, monkeypatch
):
    asked = {}

    def measured(row, place, backbone, **_):
        asked.update(out=place.out, head=backbone.describe()["head"])
        raise ConfigError("far enough")

    monkeypatch.setattr("primaps.protocol.command.measure_row", measured)
    monkeypatch.setattr("primaps.protocol.command.open_parts", lambda *_: None)
    options = ["--head-dropout"] if dropout else []
    result = run(
        "--dataset",
        "camvid",
        "--root",
        tmp_path,
        "--head",
        texture_head,
        "--device",
        "cpu",
        *options,
    )
    assert "far enough" in text(result)
    assert asked["head"]["inference_dropout"] is dropout
    assert str(asked["out"]).endswith(f"{texture_head.name}-dropout") is dropout


def test_levels_are_part_of_what_identifies_a_row(tmp_path, monkeypatch):
    asked = {}

    def measured(row, place, backbone, **_):
        asked.update(
            row=row_settings(row), out=place.out.name, levels=backbone.describe()["levels"]
        )
        raise ConfigError("far enough")

    monkeypatch.setattr("primaps.protocol.command.measure_row", measured)
    monkeypatch.setattr("primaps.protocol.command.open_parts", lambda *_: None)
    options = (
        "--dataset",
        "camvid",
        "--root",
        tmp_path,
        "--backbone",
        "efficientnet_lite0",
        "--device",
        "cpu",
    )
    assert "far enough" in text(run(*options, "--levels", "8:0.5,16"))
    assert (asked["row"]["levels"], asked["levels"]) == ("8:0.5,16", "8:0.5,16")
    assert asked["out"] == "benchmark-camvid-efficientnet_lite0-em-levels-8x0.5-16"
    assert "far enough" in text(run(*options))
    assert (asked["row"]["levels"], asked["levels"]) == (None, "8,16,32")
    assert asked["out"] == "benchmark-camvid-efficientnet_lite0-em"
    refused = run(*options, "--levels", "8,64")
    assert (refused.exit_code, "with strides 2, 4, 8, 16, 32, but got 64" in text(refused)) == (
        2,
        True,
    )


def described(folder, kind, backbone, centres=1):
    """A head whose description alone matters."""
    head = Head(
        kind, ProjectionHead(4, 2), {"name": backbone}, centres=torch.full((3, 2), float(centres))
    )
    save_head(folder, head)
    return folder


@pytest.mark.parametrize(
    ("row", "kind", "backbone", "message"),
    [
        (
            "potsdam-dino_vitb8-hp-em",
            "stego",
            "dino_vitb8",
            "kind hp on dino_vitb8 with row potsdam-dino_vitb8-hp-em, but got one",
        ),
        (
            "potsdam-dino_vitb8-hp-em",
            "hp",
            "dino_vits8_300ep",
            "but got one of kind hp on dino_vits8_300ep",
        ),
        (
            "potsdam-dino_vitb8-em",
            "hp",
            "dino_vitb8",
            "Expected no --head with row potsdam-dino_vitb8-em",
        ),
    ],
)
def test_a_row_refuses_another_head(row, kind, backbone, message, tmp_path):
    result = run(
        "--row", row, "--root", tmp_path, "--head", described(tmp_path / "head", kind, backbone)
    )
    assert result.exit_code == 2
    assert message in text(result)


def test_the_head_of_a_row_is_taken():
    with pytest.raises(ConfigError, match="Expected --head DIR with row"):
        choose_row("potsdam-dino_vitb8-hp-em", {})


def test_heads_say_what_they_are(tmp_path):
    heads = [described(tmp_path / f"h{number}", "hp", "dino_vitb8", number) for number in range(2)]
    row = choose_row("potsdam-dino_vitb8-hp-em", {"limit": 3}, heads)
    assert (row.head, row.limit) == ("hp", 3)
    row = choose_row(None, {"dataset": "camvid", "method": "head"}, heads)
    assert (row.name, row.head, row.backbone) == ("camvid-dino_vitb8-hp-head", "hp", "dino_vitb8")
    with pytest.raises(
        ConfigError,
        match="kind hp on texture with --backbone texture, but got one of kind hp on dino_vitb8",
    ):
        choose_row(None, {"dataset": "camvid", "backbone": "texture"}, heads)
    other = described(tmp_path / "other", "stego", "dino_vitb8")
    with pytest.raises(
        ConfigError,
        match=(
            r"heads of one kind on one backbone, but .*h0 is hp on dino_vitb8 and .*other is"
            r" stego on"
        ),
    ):
        choose_row(None, {"dataset": "camvid"}, [*heads, other])


@pytest.mark.slow
def test_several_heads_from_the_command_line(trees, texture_head, tmp_path, monkeypatch):
    short = dataclasses.replace(preset_config("fast"), fit=FitConfig(proposal_steps=2))
    monkeypatch.setattr("primaps.protocol.row.preset_for", lambda preset, backbone: short)
    root = trees.write_potsdam(tmp_path / "potsdam")
    second = load_head(texture_head)
    save_head(tmp_path / "second", dataclasses.replace(second, centres=second.centres.flip(1)))
    heads = ("--head", texture_head, "--head", tmp_path / "second", "--size", 32, "--device", "cpu")
    for method in ("head", "em"):
        options = (
            "--dataset",
            "potsdam",
            "--root",
            root,
            *heads,
            "--method",
            method,
            "--store",
            tmp_path / "store",
        )
        result = run(*options, "--out", tmp_path / method)
        assert result.exit_code == 0, text(result)
        assert ", 2 heads, " in result.stdout
    assert len(list((tmp_path / "store").iterdir())) == 2  # shared by both rows
    result = run("--table", tmp_path / "head", tmp_path / "em")
    assert "| STEGO alone | texture |" in result.stdout
    assert "| PriMaPs-EM on STEGO | texture |" in result.stdout
