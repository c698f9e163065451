import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from primaps.data.dataset import load_dataset


def test_evaluate_writes_the_promised_record(photographs, tmp_path, run, text, fast):
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
            "segment", camvid / "val", "--out", tmp_path / "run", "--backbone", "texture", *fast
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


def test_evaluate_without_its_data(photographs, tmp_path, run, text, fast):
    assert run("segment", photographs, "--out", tmp_path / "run", *fast).exit_code == 0
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


def test_check_of_a_complete_data_set(trees, tmp_path, monkeypatch, run, text):
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


def test_check_names_bad_files_and_where_to_get_them(trees, tmp_path, run, text):
    root = trees.write_cityscapes(tmp_path / "cityscapes")
    bad = root / "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.new("L", (128, 96), 99).save(bad)
    result = run("check", "cityscapes", "--root", root, "--split", "val")
    assert result.exit_code == 3, text(result)
    assert "val: 1 of 500 published images are usable" in result.stdout
    assert f"{bad}: Expected label ids 0..33, 255" in result.stdout
    assert "www.cityscapes-dataset.com" in result.stdout
    assert "\ntrain:" not in result.stdout


def test_check_of_nothing(tmp_path, run, text):
    for name in ("cityscapes", "cocostuff", "potsdam", "camvid", "folder"):
        result = run("check", name, "--root", tmp_path / "nowhere")
        assert result.exit_code == 1, text(result)
        assert "nowhere, but there is none" in result.stdout
        assert "Get it: " in result.stdout or name == "folder"
    result = run("check", "cityscape", "--root", tmp_path)
    assert result.exit_code == 2
    assert "Did you mean 'cityscapes'" in text(result)


def test_check_makes_the_curated_lists(trees, tmp_path, run, text):
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


@pytest.fixture(scope="module")
def segmenter_folder(trees, tmp_path_factory, run, text, fast):
    """A model fitted to drawn Potsdam tiles through the command line."""
    root = trees.write_potsdam(tmp_path_factory.mktemp("potsdam"))
    tiles = sorted((root / "imgs").glob("*.mat"))
    result = run("segment", *tiles, "--out", root / "run", "--backbone", "texture", *fast)
    assert result.exit_code == 0, text(result)
    assert len(list((root / "run" / "labels").glob("*.mat.png"))) == len(tiles)
    return root / "run"


@pytest.mark.parametrize("name", ["cityscapes", "cocostuff", "potsdam"])
def test_evaluate_takes_every_data_set(name, trees, tmp_path, segmenter_folder, run, text):
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
