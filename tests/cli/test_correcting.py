import json
import shutil

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def finished(run, fast, tmp_path_factory):
    """A run over two photographs."""
    root = tmp_path_factory.mktemp("corrections")
    (root / "photos").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).normal(128, 6, (48, 64, 3))
        pixels[:, 20 + 10 * index :] += 90
        pixels[30:] -= 80
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            root / "photos" / f"{index}:3=1.png"
        )
    assert run("segment", root / "photos", "--out", root / "run", *fast).exit_code == 0
    return root / "run"


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_said_shown_and_taken_back(run, folder):
    assert run("corrections", folder).stdout == "No corrections.\n"
    run("classes", folder, "--name", "2=street: wet")
    result = run(
        "corrections", folder, "--add", "0:3=1.png:1=street: wet", "--add", "1:3=1.png:1=255"
    )
    assert result.exit_code == 0, result.stderr
    assert "2 in force" in result.stdout
    assert "1  street: wet" in result.stdout
    assert "1  unlabelled" in result.stdout
    undone = run("corrections", folder, "--undo")
    assert "1 in force" in undone.stdout
    assert "unlabelled" not in undone.stdout
    run("corrections", folder, "--undo")
    result = run("corrections", folder, "--undo")
    assert result.exit_code == 2
    assert "there is none" in result.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0.png=2", "--add street.jpg:7=road"),
        ("0:3=1.png:1=raod", "Expected the id or name"),
        ("0:3=1.png:999=2", "no pixel belongs to proposal 999"),
        ("2.png:1=2", "Expected an image of the run"),
    ],
)
def test_mistakes_are_told_and_nothing_is_said(run, folder, given, message):
    result = run("corrections", folder, "--add", "0:3=1.png:1=2", "--add", given)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (folder / "corrections.jsonl").exists()


def test_mended_masks_are_read_and_unknown_photographs_reported(run, folder, tmp_path):
    out = tmp_path / "out"
    assert run("export", folder, "--format", "cvat", "--out", out).exit_code == 0
    text = (out / "annotations.xml").read_text("utf-8")
    other = text.replace('name="1:3=1.png"', 'name="7.png"')
    for class_id in range(3):
        other = other.replace(f'label="class {class_id}"', 'label="Haus"')
    (out / "annotations.xml").write_text(other, "utf-8")
    result = run("corrections", folder, "--from-export", out)
    assert result.exit_code == 3, result.stderr
    assert "7.png" in result.stderr
    assert "Read from cvat: 1 photographs, 1 of them mended" in result.stdout
    assert "New classes: Haus." in result.stdout
    assert "Haus" in run("classes", folder).stdout
    lines = (folder / "corrections.jsonl").read_text().splitlines()
    assert {json.loads(line)["source"] for line in lines} == {"cvat"}
