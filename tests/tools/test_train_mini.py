import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.features.mini import backbone as mini

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("train_mini", ROOT / "tools" / "train_mini.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.SIZE, module.PATCHES, module.ROUNDS = 64, 1200, 2
    return module


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for index in range(4):
        coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
        noise = rng.integers(-20, 20, (72, 96, 3))
        smooth = np.asarray(
            Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC), np.int64
        )
        Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(
            tmp_path / "photographs" / f"{index}.png"
        )
    return tmp_path / "photographs"


class CutError(Exception):
    pass


@pytest.mark.slow
def test_same_seed_same_bytes_also_when_cut_in_between(tool, folder, tmp_path, monkeypatch):
    cpu = torch.device("cpu")
    whole = tool.train(tmp_path / "whole", [folder], 0, cpu).read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(tool, "fit_metric", lambda *_: (_ for _ in ()).throw(CutError))
        with pytest.raises(CutError):
            tool.train(tmp_path / "cut", [folder], 0, cpu)
    with monkeypatch.context() as patch:
        patch.setattr(tool, "fit_dictionaries", None)  # a finished stage is not run again
        patch.setattr(tool, "fit_components", None)
        assert tool.train(tmp_path / "cut", [folder], 0, cpu).read_bytes() == whole
    assert tool.train(tmp_path / "other", [folder], 1, cpu).read_bytes() != whole


def test_weights_load_and_whiten(tool, folder, tmp_path):
    from primaps.heads.loading import load_backbone

    path = tool.train(tmp_path / "out", [folder], 0, torch.device("cpu"))
    backbone = load_backbone("mini", weights=path, device="cpu")
    rgb = torch.cat(list(tool.images(tool.photographs([folder]), torch.device("cpu"))))
    local = mini.project(
        mini.activations(rgb, backbone.dictionaries), backbone.components, backbone.components_mean
    )
    tokens = local.permute(0, 2, 3, 1).flatten(0, 2)[:, :16].double()
    assert tokens.mean(dim=0).abs().max() < 0.02
    torch.testing.assert_close(
        torch.cov(tokens.T), torch.eye(16, dtype=torch.float64), rtol=0.0, atol=0.05
    )


def test_stages_of_other_photographs_are_not_taken_over(tool, folder, tmp_path):
    tool.train(tmp_path / "out", [folder], 0, torch.device("cpu"))
    (folder / "0.png").unlink()
    with pytest.raises(SystemExit, match="same photographs and seed"):
        tool.train(tmp_path / "out", [folder], 0, torch.device("cpu"))


def test_a_folder_without_photographs_is_named(tool, tmp_path):
    with pytest.raises(SystemExit, match="Expected photographs"):
        tool.train(tmp_path / "out", [tmp_path / "missing"], 0, torch.device("cpu"))


def test_k_means_finds_separate_groups_and_knows_mirror_images(tool):
    generator = torch.Generator().manual_seed(0)
    corners, mirror = torch.tensor([[1.0, 3.0], [9.0, 0.0], [2.0, 9.0]]), torch.tensor([-1.0, 1.0])
    points = (corners[:, None] + 0.1 * torch.randn(3, 50, 2, generator=generator)).flatten(0, 1)
    points[::2] *= mirror
    centres = tool.k_means(points, 3, mirror, generator)
    centres = torch.where(centres[:, :1] < 0, centres * mirror, centres)
    assert torch.cdist(corners, centres).amin(dim=1).max() < 0.2
