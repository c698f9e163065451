"""The examples of the help pages, carried out in a folder that has what they name."""

import shlex
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from primaps.cli import app
from primaps.cli.help_pages import EXAMPLES

NOT_HERE = {
    "studio": "serves until it is ended; see tests/e2e/test_pasted_commands.py",
    "demo": "see test_first_steps.py",
    "doctor": "see test_first_steps.py",
    "evaluate": "labelled data; see test_measuring.py",
    "check": "labelled data; see test_measuring.py",
    "benchmark": "labelled data and a download; see tests/protocol",
    "head stego fit": "hours; see test_head_commands.py",
    "head hp fit": "hours; see test_head_commands.py",
    "head import": "files of other projects; see test_head_commands.py",
}
BEFORE = {
    "primaps fit run --with names": [
        "primaps classes run --name 0=road --name 1=sky",
        "primaps corrections run --add street.png:1=road",
    ],
    "primaps accept run 1": [
        "primaps classes run --name 0=road --name 1=sky",
        "primaps corrections run --add street.png:1=road",
        "primaps fit run --with names",
    ],
    "primaps accept run --back": [
        "primaps classes run --name 0=road --name 1=sky",
        "primaps corrections run --add street.png:1=road",
        "primaps fit run --with names",
        "primaps accept run 1",
    ],
    "primaps predict --stored run --model other-model --out other": [
        "primaps fit run --classes 5 --model other-model"
    ],
    "primaps suggest run --read": [
        "primaps classes run --name 0=road",
        "primaps suggest run --groups 3",
    ],
    "primaps corrections run --add street.jpg:7=road": ["primaps classes run --name 3=road"],
    "primaps corrections run --from-export dataset": [
        "primaps classes run --name 3=road",
        "primaps export run --format coco --out dataset",
    ],
}
"""What a user has done by then."""


def carried_out(line):
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0])[1:]
    return CliRunner().invoke(app, words)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, draw):
    """A folder with photographs and a run, ``home`` in it for those of ``~``."""
    root = tmp_path_factory.mktemp("examples")
    photos, more = root / "home" / "photos", root / "home" / "more [2023]"
    for folder in (photos, more, root / "new-photos"):
        folder.mkdir(parents=True)
    for number in range(4):
        Image.fromarray(draw(number, 96, 128)).save(photos / f"p{number}.png")
    busy = np.kron(np.random.default_rng(0).integers(0, 255, (4, 4, 3)), np.ones((24, 32, 1)))
    Image.fromarray(busy.astype(np.uint8)).save(photos / "street.png")
    Image.fromarray(busy.astype(np.uint8)).save(photos / "street.jpg")
    Image.fromarray(busy.astype(np.uint8)).save(root / "street.jpg")
    Image.fromarray(draw(7)).save(more / "m.png")
    Image.fromarray(draw(8)).save(root / "new-photos" / "n.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("HOME", str(root / "home"))
        options = "--backbone texture --classes 12 --preset fast --size 128 --threshold 0.95"
        made = carried_out(f"primaps segment ~/photos --out run {options}")
    assert made.exit_code == 0, made.output
    shutil.copytree(photos, root / "home" / "moved-photos")
    return root


LINES = [
    line
    for name, lines in EXAMPLES.items()
    for line in lines
    if name not in NOT_HERE and "onnx" not in line  # a minute; see tests/pipeline/test_portable.py
]


@pytest.mark.parametrize("line", LINES)
def test_an_example_runs(line, prepared, tmp_path, monkeypatch):
    here = tmp_path / "here"
    shutil.copytree(prepared, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here / "home"))
    if line.endswith("--out run") or "--out run " in line:
        shutil.rmtree("run")
    for step in BEFORE.get(line, ()):
        done = carried_out(step)
        assert done.exit_code == 0, (step, done.output)
    done = carried_out(line)
    assert done.exit_code == 0, (line, done.output)


def test_all_others_are_tested_elsewhere():
    assert NOT_HERE.keys() < EXAMPLES.keys()
