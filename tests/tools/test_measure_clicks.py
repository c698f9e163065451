"""The command that measures what clicks are worth, on a miniature data set."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module", autouse=True)
def tools():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Sky, ground and a box in four photographs of two splits."""
    root = tmp_path_factory.mktemp("data") / "scenes"
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for number in range(4):
            labels = np.zeros((64, 96), np.uint8)
            labels[int(generator.integers(24, 44)) :] = 1
            labels[4:20, number * 8 : number * 8 + 20] = 2
            colours = np.array([(120, 170, 230), (70, 120, 50), (200, 40, 40)])
            photo = colours[labels] + generator.normal(0, 8, (64, 96, 3))
            labels[:, :3] = 255
            Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(
                root / split / f"{number}.png"
            )
            Image.fromarray(labels).save(root / f"{split}annot" / f"{number}.png")
    (root / "classes.txt").write_text("sky\nground\nbox", encoding="utf-8")
    return root


def call(scenes, work, *more):
    from measure_clicks import main

    arguments = ("--oracle", "majority", "--set", f"scenes={scenes}:val", "--backbone", "texture")
    settings = ("--plans", "3/1", "--seeds", 1, "--work", work)
    return main([str(one) for one in (*arguments, *settings, *more)])


def test_more_clicks_and_the_scores_of_both_ways(scenes, tmp_path, capsys):
    places = ("--json", tmp_path / "s.json", "--figure", tmp_path / "f.png")
    assert (
        call(
            scenes,
            tmp_path / "w",
            "--clicks",
            "0,4",
            "--plans",
            "3/1",
            "--ways",
            "names,em",
            *places,
        )
        == 0
    )
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + 4
    assert table[2].startswith("| scenes, val, texture | names | 3/1 | 0 | 0.0 | 0.0 | 0.0 |")
    rows = json.loads((tmp_path / "s.json").read_text("utf-8"))["rows"]
    named = [row for row in rows if row["clicks"] == 4]
    assert all(score["accuracy"] > 0.5 for row in named for score in row["scores"])
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.width > 500
    assert call(scenes, tmp_path / "w", "--clicks", "4") == 0  # read, not measured again
    assert capsys.readouterr().out.splitlines()[2] == table[3]


def test_who_names_has_to_be_said(scenes, tmp_path, capsys):
    from measure_clicks import main

    with pytest.raises(SystemExit):
        main(["--set", f"scenes={scenes}:val", "--work", str(tmp_path)])
    assert "--oracle" in capsys.readouterr().err
