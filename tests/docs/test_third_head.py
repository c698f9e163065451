"""The example of docs/how-to/add-a-head.md works as it stands there."""

import importlib.util
import math
import re
from pathlib import Path

import pytest
import torch

from primaps.heads import files
from primaps.heads.loading import load_backbone

FILE = Path(__file__).parents[2] / "docs" / "how-to" / "third_head.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("third_head", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_agrees_with_a_loop(example):
    code = torch.randn(3, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    unit = code / code.norm(dim=1, keepdim=True)
    total = 0.0
    for n in range(3):
        for row in range(2):
            for column in range(3):
                own = unit[n, :, row, column]
                positive = math.exp(float(own @ unit[n, :, row, column - 1]) / 0.2)
                others = sum(
                    math.exp(float(own @ unit[m, :, row, column]) / 0.2) for m in range(3) if m != n
                )
                total -= math.log(positive / (positive + others))
    assert float(example.neighbour_loss(code, (0, 1))) == pytest.approx(total / 18, rel=1e-5)


def test_the_loss_falls(example, photographs, tmp_path):
    from primaps.config import Config
    from primaps.heads.crops import CropConfig
    from primaps.heads.training import train_head
    from primaps.pipeline import open_run
    from primaps.pipeline.heads.head_crops import CropNeeds, PreparedCrops

    texture = load_backbone("texture", device="cpu")
    run = open_run(
        [photographs], tmp_path / "out", texture, Config(num_clusters=3), stages=("backbone",)
    )
    crops = PreparedCrops(run, CropNeeds(CropConfig(resolution=32)))
    crops.prepare()
    history = train_head(example.NeighbourTask(crops, 3, 0, torch.device("cpu")), 40, seed=0)
    assert sum(history["neighbour"][-10:]) < sum(history["neighbour"][:10])


def test_the_head_is_written_and_used_like_the_others(
    example, photographs, photograph, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "KINDS", (*files.KINDS, example.KIND))  # what the page says to add
    for name in ("one", "two"):
        example.train(photographs, tmp_path / name, backbone="texture", classes=3, steps=2)
    head = files.load_head(tmp_path / "one")
    assert (head.kind, head.size, tuple(head.centres.shape)) == ("neighbour", 160, (3, 32))
    assert (tmp_path / "one" / "head.safetensors").read_bytes() == (
        tmp_path / "two" / "head.safetensors"
    ).read_bytes()
    codes = load_backbone("texture", device="cpu", head=tmp_path / "one").extract(
        photograph, size=64
    )
    assert codes.shape[0] == 32


def test_the_page_names_what_exists(example):
    page = (FILE.parent / "add-a-head.md").read_text(encoding="utf-8")
    assert "third_head.py" in page
    source = FILE.read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+)\(`", page):
        assert name in source, name
