"""Accuracy by the number of images fitted, on a drawn data set."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def drawn(tmp_path):
    """Two classes of two colours, in the layout of `folder`."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for folder in (split, f"{split}annot"):
            (tmp_path / "data" / folder).mkdir(parents=True)
        for index in range(count):
            labels = np.zeros((48, 64), np.uint8)
            labels[:, 20 + 4 * index :] = 1
            image = np.where(labels[..., None], (200, 40, 40), (30, 60, 180))
            noisy = (image + random.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / "data" / split / f"{index}.png")
            Image.fromarray(labels).save(tmp_path / "data" / f"{split}annot" / f"{index}.png")
    (tmp_path / "data" / "classes.txt").write_text("sea\nland\n")
    return tmp_path / "data"


def test_samples_are_even_and_move_with_the_seed():
    from fit_sample import spread

    assert spread(12, 3, 0.0) == [0, 4, 8]
    assert spread(12, 3, 0.5) == [2, 6, 10]
    for shift in (0.0, 1 / 3, 2 / 3):
        assert spread(367, 367, shift) == list(range(367))
        assert len(set(spread(367, 200, shift))) == 200


def test_a_line_has_mean_and_deviation():
    from pathlib import Path

    from fit_sample import Given, Scores, line

    given = Given("camvid", Path("data"), "train", "val")
    scores = [Scores(0.70, 0.30, 1.0), Scores(0.72, 0.32, None)]
    assert (
        line(given, 50, scores) == "| camvid train, scored on val | 50 | 71.0 ± 1.4 | 31.0 ± 1.4 |"
    )
    assert line(given, 50, scores[:1]).endswith("| 50 | 70.0 | 30.0 |")


def test_sets_are_told_by_name_folder_and_splits(capsys):
    from fit_sample import parse

    (given,) = parse(["--set", "camvid=/data/a=b:train:val", "--work", "work"]).sets
    assert (given.name, str(given.root), given.fitted, given.scored) == (
        "camvid",
        "/data/a=b",
        "train",
        "val",
    )
    with pytest.raises(SystemExit):
        parse(["--set", "camvid=/data", "--work", "work"])
    assert "NAME=ROOT:FIT:SCORE" in capsys.readouterr().err


@pytest.mark.slow
def test_every_number_of_images_is_fitted_once(drawn, tmp_path, monkeypatch, capsys):
    import fit_sample

    command = ["fit_sample.py", "--set", f"drawn={drawn}:train:val", "--work", str(tmp_path / "w")]
    command += ["--counts", "3", "900", "--seeds", "2", "--backbone", "texture", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", [*command, "--json", str(tmp_path / "scores.json")])
    fit_sample.main()
    table = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[1] for row in table[2:]] == ["3", "6"]  # no more than there are
    found = json.loads((tmp_path / "scores.json").read_text())
    assert {key: len(scores) for key, scores in found.items()} == {
        "drawn-train-3": 2,
        "drawn-train-6": 2,
    }
    assert all(score["accuracy"] > 0.9 for scores in found.values() for score in scores)
    fit_sample.main()
    again = json.loads((tmp_path / "scores.json").read_text())
    assert all(score["cpu_seconds"] is None for scores in again.values() for score in scores)
    assert capsys.readouterr().out.splitlines() == table
