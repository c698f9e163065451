"""Folders as users have them: photographs, runs with names and candidates, heads, checkpoints."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

TESTS: Final = Path(__file__).parents[2] / "tests"


def make_tree(root: Path) -> None:
    """Make everything below a new folder; a second or two.

    Args:
        root: ``photos``, ``new`` and ``labelled`` have photographs, ``run`` and ``headed`` are
            runs of them, ``head`` is a head, ``stego.ckpt`` and ``hp.pth`` are official
            checkpoints, ``mini.safetensors`` and ``mini.pth`` weights, ``given.json``,
            ``given.yaml`` and ``given.toml`` options.
    """
    _photographs(root)
    _checkpoints(root)
    _weights(root)
    _segment(root, root / "run", head=None)
    _head(root / "head")
    _segment(root, root / "headed", head=root / "head")
    _name(root / "run")
    _predict(root)
    shutil.copy(root / "run" / "run.json", root / "given.json")
    fit = {"proposal_steps": 4, "cluster_restarts": 2}
    yaml = "".join(f"  {key}: {value}\n" for key, value in fit.items())
    toml = "".join(f"{key} = {value}\n" for key, value in fit.items())
    (root / "given.yaml").write_text("classes: 4\nsize: 64\nfit:\n" + yaml)
    (root / "given.toml").write_text("classes = 4\nsize = 64\n[fit]\n" + toml)


def _drawn(seed: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:48, :64]
    noise = np.random.default_rng(seed).normal(scale=8, size=(48, 64, 3))
    image = np.where((rows > 20 + 3 * seed)[..., None], (70, 120, 50), (120, 170, 230))
    image = np.where((columns > 40 + 3 * seed)[..., None], (200, 40, 40), image) + noise
    return image.clip(0, 255).astype(np.uint8)


def _photographs(root: Path) -> None:
    for folder in ("photos/sub", "new", "labelled/images", "labelled/labels"):
        (root / folder).mkdir(parents=True)
    for seed, name in enumerate(("0.png", "sub/1.png", "2.png")):
        PIL.Image.fromarray(_drawn(seed)).save(root / "photos" / name)
    deep = _drawn(3)[..., 0].astype(np.uint16) * 30
    PIL.Image.fromarray(deep).save(root / "photos" / "deep.png")  # for warnings.jsonl
    (root / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")  # for failures.jsonl
    PIL.Image.fromarray(_drawn(4)).save(root / "new" / "4.png")
    labels = (np.mgrid[:48, :64][0] > 24).astype(np.uint8)
    for seed in (5, 6):
        PIL.Image.fromarray(_drawn(seed)).save(root / "labelled" / "images" / f"{seed}.png")
        PIL.Image.fromarray(labels).save(root / "labelled" / "labels" / f"{seed}.png")


def _texture(head: Path | None = None) -> Any:
    from primaps.heads.loading import load_backbone

    return load_backbone("texture", device="cpu", head=head)


def _segment(root: Path, out: Path, head: Path | None) -> None:
    from primaps import pipeline
    from primaps.config import preset_config
    from primaps.pipeline.labelling import Extras

    base = preset_config("default")
    config = dataclasses.replace(
        base,
        num_clusters=4,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(base.fit, cluster_restarts=2, proposal_steps=4, checkpoint_every=2),
        predict=dataclasses.replace(base.predict, crf=False),
    )
    photos = root / "photos"
    run = pipeline.open_run([photos], out, _texture(head), config)
    pipeline.segment(run, inputs=[str(photos)], extras=Extras(certainty=head is None))


def _head(folder: Path) -> None:
    import torch

    from primaps.heads.files import Head, save_head
    from primaps.heads.projection import ProjectionHead

    backbone = _texture()
    torch.manual_seed(0)
    network = ProjectionHead(backbone.dim, 6)
    save_head(folder, Head("stego", network, backbone.describe(), centres=torch.randn(3, 6)))


def _checkpoints(root: Path) -> None:
    """Of the research code, from the tests, which know its formats."""
    import pytest

    spec = importlib.util.spec_from_file_location("test_fixtures", TESTS / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    channels = _texture().dim
    for kind, name in (("stego", "stego.ckpt"), ("hp", "hp.pth")):
        with pytest.MonkeyPatch.context() as patch:
            official = module.OfficialCheckpoints(root, patch)
            official.channels = channels
            official.write(getattr(official, f"{kind}_content")(), name)


def _weights(root: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from primaps.features.mini.backbone import BUNDLED_WEIGHTS

    shutil.copy(BUNDLED_WEIGHTS, root / "mini.safetensors")
    torch.save(load_file(BUNDLED_WEIGHTS), root / "mini.pth")


def _name(run: Path) -> None:
    """Names, steps of the studio, corrections, a table of suggestions and a candidate."""
    from primaps.pipeline.editing import Editing
    from primaps.pipeline.named_fit import fit_with_names
    from primaps.pipeline.opening import reopen
    from primaps.pipeline.suggesting import suggest

    editing = Editing(run)
    revision = editing.state()["revision"]
    for edit in (
        {"kind": "name", "class": 0, "name": "meadow"},
        {"kind": "name", "class": 1, "name": "sky: blue #1"},
        {"kind": "note", "class": 0, "note": "what is green"},
        {"kind": "say", "proposals": [["0.png", 1], ["2.png", 1]], "class": 1},
        {"kind": "colour", "class": 2, "colour": "#102030"},
    ):
        revision = editing.apply(edit, revision)[0]["revision"]
    classes = run / "classes.yaml"
    classes.write_text("# mine\n" + classes.read_text("utf-8"), "utf-8")  # by hand
    suggest(reopen(run, {}, device="cpu"), groups=3, uncertain=1)
    fit_with_names(reopen(run, {}, device="cpu"))


def _predict(root: Path) -> None:
    from primaps.segmenter import Segmenter

    Segmenter.load(root / "run").predict_folder(root / "new", root / "predicted")
