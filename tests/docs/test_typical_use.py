"""User code passes a strict type check, and the tour in Python runs."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_typical_code_passes_the_strict_type_check(tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path)]
    command += [
        "--config-file",
        str(ROOT / "pyproject.toml"),
        str(Path(__file__).parent / "typical_use.py"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout


def python_block():
    text = (ROOT / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]


def test_every_line_of_the_tour_runs(tmp_path, monkeypatch, draw):
    """With a small backbone, few photographs and few classes in the place of those named."""
    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for index in range(3):
        Image.fromarray(draw(index)).save(f"photos/{index}.jpg")
    Image.fromarray(draw(9)).save("street.jpg")
    for folder in ("val", "valannot"):
        Path("CAMVID", folder).mkdir(parents=True)
    Image.fromarray(draw(10)).save("CAMVID/val/a.png")
    Image.fromarray((draw(10)[..., 0] > 99).astype(np.uint8)).save("CAMVID/valannot/a.png")
    block = python_block()
    for named, small in (("dinov2_vits14", "texture"), ('"auto"', '"cpu"'), ("=27", "=3")):
        assert named in block
        block = block.replace(named, small)
    found = {}
    exec(compile(block, "python.md", "exec"), found)
    assert found["label_map"].shape == found["image"].shape[:2]
    assert found["result"].num_images > 0
