"""Backbones that a photograph can be tried with."""

import dataclasses
import json

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.features.registry import find_spec, list_backbones
from primaps.studio import backbones
from primaps.studio.backbones import described_backbones, is_installed


def test_all_are_described_and_one_is_the_runs(finished):
    found = {each["name"]: each for each in described_backbones(finished)}
    assert list(found) == [spec.name for spec in list_backbones()]
    assert [name for name, each in found.items() if each["current"]] == ["texture"]
    assert found["mini"]["installed"]
    assert found["dinov3_vits16"] == {
        "name": "dinov3_vits16",
        "training": "no labels, self-supervised",
        "installed": False,
        "current": False,
    }


def test_one_of_timm_is_among_them(folder):
    record = json.loads((folder / "run.json").read_text())
    record["settings"]["backbone"]["name"] = "timm:resnet18"
    (folder / "run.json").write_text(json.dumps(record))
    first = described_backbones(folder)[0]
    assert (first["name"], first["current"], first["installed"]) == ("timm:resnet18", True, True)


def test_a_package_that_is_missing_is_noticed():
    lite = find_spec("efficientnet_lite0")
    assert is_installed(lite)
    other = dataclasses.replace(lite.package, name="no-such-package")
    assert not is_installed(dataclasses.replace(lite, package=other))


def test_weights_in_the_cache_of_the_hub_count(monkeypatch, tmp_path):
    from huggingface_hub import constants

    spec = find_spec("dino_vits16")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert not is_installed(spec)
    monkeypatch.setattr(backbones, "_is_cached", lambda spec: True)
    assert is_installed(spec)
    assert not is_installed(find_spec("dino_vits8_300ep"))  # no hub has it
