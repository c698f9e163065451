import dataclasses
import subprocess
import sys
import types

import pytest

from primaps.errors import BackboneError, ConfigError
from primaps.features import registry
from primaps.features.backbone import load_plain_backbone
from primaps.features.registry import find_spec
from primaps.features.texture import TextureBackbone
from primaps.heads.loading import load_backbone


def test_a_module_and_an_entry_make_a_backbone(monkeypatch, photograph):
    """Nothing else has to know of it."""
    asked = []

    def load(spec, weights, levels):
        asked.append((weights, levels))
        return TextureBackbone(spec)

    entry = dataclasses.replace(
        find_spec("texture"), name="mine", implementation="mine", factory="my_features:load"
    )
    monkeypatch.setitem(sys.modules, "my_features", types.SimpleNamespace(load=load))
    monkeypatch.setattr(registry, "_SPECS", (*registry.list_backbones(), entry))
    backbone = load_backbone("mine", weights="own.pth", device="cpu", levels="8")
    assert [(weights.name, levels) for weights, levels in asked] == [("own.pth", "8")]
    assert backbone.weights_path.endswith("/own.pth")
    assert backbone.describe()["implementation"] == "mine"
    assert backbone.extract(photograph, size=64).shape == (entry.dim, 8, 11)
    assert not backbone.training
    assert load_plain_backbone("mine", device="cpu").weights_path is None


def test_texture_has_no_weights_file():
    with pytest.raises(BackboneError, match="Expected no weights file for 'texture'"):
        load_backbone("texture", weights="x.pth", device="cpu")


def test_device_is_checked():
    with pytest.raises(ConfigError, match="Expected device to be auto"):
        load_backbone("texture", device="gpu")


def test_bundled_backbones_need_neither_timm_nor_torchvision():
    code = (
        "import sys, numpy as np; from primaps.heads.loading import load_backbone;"
        "load_backbone('mini', device='cpu').extract(np.zeros((40, 50, 3), np.uint8), size=32);"
        "print([m for m in ('timm', 'torchvision', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
