"""The script that names proposals in the studio and measures what that gives."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def script():
    for module in ("httpx", "starlette", "uvicorn"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra `test`)")
    sys.path.insert(0, str(TOOLS))
    yield __import__("name_in_studio")
    sys.path.remove(str(TOOLS))


@pytest.fixture
def labelled(tmp_path, draw):
    """A data set in the layout of `folder`: sky, hill and disc in six drawn photographs."""
    root = tmp_path / "set"
    for name in ("train", "trainannot"):
        (root / name).mkdir(parents=True)
    (root / "classes.txt").write_text("sky\nhill\ndisc\n", encoding="utf-8")
    colours = np.array([(120, 170, 230), (70, 120, 50), (200, 40, 40)])
    for number in range(6):
        photo = draw(number, 120, 160)
        away = np.abs(photo[..., None, :].astype(int) - colours).sum(axis=-1)
        Image.fromarray(photo).save(root / "train" / f"{number}.png")
        labels = away.argmin(axis=-1).astype(np.uint8)
        Image.fromarray(labels).save(root / "trainannot" / f"{number}.png")
    return root


@pytest.mark.slow
def test_names_by_the_api_are_learnt_and_scored(script, labelled, tmp_path, capsys):
    given = ["--oracle", "majority", "--api", "--backbone", "mini", "--clicks", "12"]
    wanted = [f"--set=drawn={labelled}:train", f"--work={tmp_path / 'work'}"]
    assert script.main([*given, *wanted, f"--json={tmp_path / 'found.json'}"]) == 0
    title, clicks, accuracy, *_ = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert (title, clicks) == ("drawn, train", "12")
    assert float(accuracy) > 85
    assert '"by": "api"' in (tmp_path / "found.json").read_text(encoding="utf-8")


def test_the_table_gives_mean_and_spread(script):
    row = {"set": "msrc, train", "clicks": 50, "seconds": 60.0, "miou": 0.6}
    rows = [row | {"accuracy": value} for value in (0.8, 0.9)]
    assert script.table(rows)[2] == "| msrc, train | 50/50 | 85.0 ± 7.1 | 60.0 ± 0.0 | 60 |"


def test_a_set_has_name_root_and_split(script):
    subject = script._set("camvid=/data/camvid:val")
    assert (subject.title, str(subject.root), subject.split) == ("camvid", "/data/camvid", "val")
    assert (subject.dataset, script._set("other=/x:train").dataset) == ("camvid", "folder")
    with pytest.raises(argparse.ArgumentTypeError, match="expected NAME=ROOT:SPLIT"):
        script._set("camvid")
