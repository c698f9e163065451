import json

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from primaps.cli import app

SMALL = ["--backbone", "texture", "--device", "cpu", "--classes", "3", "--steps", "2"]


def run(*arguments):
    return CliRunner().invoke(app, ["head", *(str(argument) for argument in arguments)])


def text(result):
    return " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize("kind", ["stego", "hp"])
def test_fit_then_segment_with_the_head(kind, photographs, tmp_path):
    result = run(
        kind, "fit", "--images", photographs, "--out", tmp_path / "head", *SMALL, "--seed", "3"
    )
    assert result.exit_code == 0, text(result)
    assert f"Head: {tmp_path / 'head'}" in result.stdout
    record = json.loads((tmp_path / "head" / "head.json").read_text())
    assert (record["kind"], record["num_clusters"], record["training"]["steps"]) == (kind, 3, 2)
    assert record["training"]["settings"]["seed"] == 3
    options = [
        "--head",
        tmp_path / "head",
        "--size",
        64,
        "--preset",
        "fast",
        "--classes",
        3,
        "--device",
        "cpu",
    ]
    result = CliRunner().invoke(
        app, [str(a) for a in ("segment", photographs, "--out", tmp_path / "run", *options)]
    )
    assert result.exit_code == 0, text(result)
    assert len(list((tmp_path / "run" / "labels").rglob("*.png"))) == 5


def test_a_data_set_gives_its_images_and_its_labels_are_not_read(photographs, tmp_path):
    camvid = tmp_path / "camvid"
    (camvid / "train").mkdir(parents=True)
    (camvid / "trainannot").mkdir()
    for path in photographs.glob("*.png"):
        path.rename(camvid / "train" / path.name)
        (camvid / "trainannot" / path.name).write_bytes(b"reading this label image fails")
    result = run(
        "stego",
        "fit",
        "--dataset",
        "camvid",
        "--root",
        camvid,
        "--split",
        "train",
        "--out",
        tmp_path / "head",
        *SMALL,
    )
    assert result.exit_code == 0, text(result)
    assert json.loads((tmp_path / "head" / "head.json").read_text())["training"]["images"] == 4


def test_a_data_set_without_label_files_is_refused_and_the_help_says_so(photographs, tmp_path):
    (tmp_path / "camvid" / "train").mkdir(parents=True)
    (tmp_path / "camvid" / "trainannot").mkdir()
    (photographs / "p0.png").rename(tmp_path / "camvid" / "train" / "p0.png")
    given = [
        "--dataset",
        "camvid",
        "--root",
        tmp_path / "camvid",
        "--split",
        "train",
        "--out",
        tmp_path / "head",
        *SMALL,
    ]
    result = run("stego", "fit", *given)
    assert result.exit_code == 1
    assert "Expected the label image of" in text(result)
    (option,) = (
        one
        for one in get_command(app).commands["head"].commands["stego"].commands["fit"].params
        if one.name == "dataset"
    )
    assert "label files have to be there" in option.help


def test_failures_give_exit_code_3(photographs, tmp_path):
    (photographs / "bad.png").write_bytes(b"no image")
    result = run("stego", "fit", "--images", photographs, "--out", tmp_path / "head", *SMALL)
    assert result.exit_code == 3
    assert "bad.png" in text(result)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "either --images or --dataset"),
        (["--images", "PHOTOS", "--dataset", "camvid"], "either --images or --dataset"),
        (["--images", "PHOTOS", "--split", "train"], "--root and --split with --dataset only"),
        (["--dataset", "camvid"], "Expected --root to be the folder"),
        (["--dataset", "camvid", "--root", "MISSING"], "Expected --root to be the folder"),
        (["--dataset", "camvit", "--root", "PHOTOS"], "Did you mean 'camvid'"),
        (["--images", "MISSING"], "found nothing"),
        (["--images", "PHOTOS", "--preset", "paper"], "Unknown preset 'paper'"),
        (["--images", "PHOTOS", "--classes", "1"], "between 2 and 254"),
        (["--images", "PHOTOS", "--steps", "0"], "steps to be 1 or more"),
        (["--images", "PHOTOS", "--seed", "-1"], "--seed to be 0 or more"),
        (["--images", "PHOTOS", "--backbone", "minni"], "Did you mean 'mini'"),
        (["--images", "PHOTOS", "--device", "tpu"], "Expected device"),
        (
            ["--images", "PHOTOS", "--backbone", "texture", "--levels", "8,16"],
            "Expected no levels with 'texture'",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["stego", "hp"])
def test_bad_input_is_refused_with_a_reason(kind, arguments, expected, photographs, tmp_path):
    places = {"PHOTOS": photographs, "MISSING": tmp_path / "missing"}
    arguments = [places.get(argument, argument) for argument in arguments]
    options = {SMALL[index]: SMALL[index + 1] for index in range(0, len(SMALL), 2)}
    given = {arguments[index]: arguments[index + 1] for index in range(0, len(arguments), 2)}
    merged = [item for pair in ({**options, **given}).items() for item in pair]
    result = run(kind, "fit", "--out", tmp_path / "head", *merged)
    assert result.exit_code == 2, text(result)
    assert expected in text(result)
    assert "Traceback" not in text(result)
    assert not (tmp_path / "head" / "head.json").exists()
