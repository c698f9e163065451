"""Weights checked by checksum, keys, shapes and features, with random ones in official layouts."""

import json
import shutil

import pytest
import torch

from primaps.errors import BackboneError, ConfigError
from primaps.features import timm_loading
from primaps.pipeline.verifying import backbone as module
from primaps.pipeline.verifying import verify_backbone

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def files(tmp_path_factory, official_weights):
    """Official state and file by name of the backbone, made when asked for."""
    folder, made = tmp_path_factory.mktemp("weights"), {}
    kinds = {
        "dino_vits16": lambda: official_weights.official_state(384, 16, 14),
        "dinov2_vits14": lambda: official_weights.official_state(384, 14, 37, layer_scale=True),
        "dinov2_vits14_reg": lambda: official_weights.official_state(
            384, 14, 37, layer_scale=True, registers=4
        ),
        "dinov3_vits16": lambda: official_weights.dinov3_state(384),
    }

    def get(name):
        if name not in made:
            state, path = kinds[name](), folder / f"{name}.pth"
            torch.save(state, path)
            made[name] = state, path
        return made[name]

    yield get
    shutil.rmtree(folder)  # 88 MB each


@pytest.fixture
def small(monkeypatch):
    """A photograph of few tokens, for what does not depend on it."""
    monkeypatch.setattr(module, "SIZE", 64)


def by_check(found):
    return {each.check.strip(): each for each in found.findings}


@pytest.mark.parametrize(
    ("name", "layout", "tensors"),
    [
        ("dino_vits16", "official, DINO (timm's is the same)", 150),
        ("dinov2_vits14", "official, DINOv2", 174),
        ("dinov2_vits14_reg", "official, DINOv2 with registers", 175),
        ("dinov3_vits16", "official, DINOv3", 186),
    ],
)
def test_weights_in_official_layouts_are_ok(files, name, layout, tensors, monkeypatch):
    monkeypatch.setattr(module, "SIZE", 112)
    found = verify_backbone(name, files(name)[1])
    assert found.sound, found.text()
    checks = by_check(found)
    assert checks["layout"].found == layout
    assert checks["keys"].found == f"{tensors} of {tensors}"
    assert checks["checksum"].verdict == "not known"
    assert float(checks["difference"].found.split()[0]) < 1e-4
    assert float(checks["least cosine"].found) > 0.99999
    assert ("periods" in checks) == (name == "dinov3_vits16")
    assert found.text().endswith("Ok, as far as it is known; not known: checksum.")
    assert json.loads(json.dumps(found.record()))["ok"] is True


def test_the_default_backbone_is_ok(small):
    found = verify_backbone("efficientnet_lite0")
    assert found.sound
    assert found.text().endswith("All is ok.")
    assert by_check(found)["checksum"].expected.endswith("(the registry)")


@pytest.fixture
def changed(files, tmp_path):
    """A file with weights that are changed."""

    def write(name, change):
        state = dict(files(name)[0])
        change(state)
        torch.save(state, tmp_path / "changed.pth")
        return tmp_path / "changed.pth"

    yield write
    for path in tmp_path.glob("*.pth"):
        path.unlink()


def test_a_wrong_key(changed):
    def change(state):
        state["blocks.3.attn.query.weight"] = state.pop("blocks.3.attn.qkv.weight")

    found = verify_backbone("dino_vits16", changed("dino_vits16", change))
    keys = by_check(found)["keys"]
    assert not found.sound
    assert keys.verdict == "not ok"
    assert "149 of 150; missing blocks.3.attn.qkv.weight; unexpected blocks.3.attn" in keys.found
    assert "difference" not in by_check(found)
    assert "Not ok: these are not the weights of this backbone" in found.text()


def test_a_wrong_shape(changed):
    def change(state):
        state["norm.bias"] = torch.zeros(385)

    found = verify_backbone("dino_vits16", changed("dino_vits16", change))
    assert by_check(found)["keys"].verdict == "ok"
    assert by_check(found)["shapes"].found == "norm.bias (385,) instead of (384,)"
    assert by_check(found)["shapes"].verdict == "not ok"


def test_another_backbone(files):
    found = verify_backbone("dino_vits8", files("dino_vits16")[1])
    assert not found.sound
    assert "patch_embed.proj.weight" in by_check(found)["shapes"].found


def test_a_truncated_file(files, tmp_path):
    data = files("dino_vits16")[1].read_bytes()
    (tmp_path / "half.pth").write_bytes(data[: len(data) // 2])
    found = verify_backbone("dino_vits16", tmp_path / "half.pth")
    assert not found.sound
    assert "cannot be read safely" in by_check(found)["reading"].found
    (tmp_path / "half.pth").unlink()


def test_blocks_that_loading_swaps_are_found(files, small, monkeypatch):
    right = timm_loading.to_timm_layout

    def swapping(state):
        names = {"blocks.4.": "blocks.5.", "blocks.5.": "blocks.4."}
        return right({names.get(key[:9], key[:9]) + key[9:]: value for key, value in state.items()})

    monkeypatch.setattr(timm_loading, "to_timm_layout", swapping)
    found = verify_backbone("dino_vits16", files("dino_vits16")[1])
    checks = by_check(found)
    assert (checks["keys"].verdict, checks["shapes"].verdict) == ("ok", "ok")
    assert checks["difference"].verdict == checks["least cosine"].verdict == "not ok"


def test_blocks_that_the_file_swaps_tells_its_checksum_alone(changed, small, tmp_path, monkeypatch):
    """The name of DINOv3's official file begins its checksum."""

    def change(state):
        for key in [key for key in state if key.startswith("blocks.4.")]:
            other = key.replace("blocks.4.", "blocks.5.")
            state[key], state[other] = state[other], state[key]

    path = changed("dinov3_vits16", change)
    assert verify_backbone("dinov3_vits16", path).sound
    named = path.rename(tmp_path / "dinov3_vits16_pretrain_lvd1689m-08c60483.pth")
    found = verify_backbone("dinov3_vits16", named)
    checksum = by_check(found)["checksum"]
    assert (checksum.expected, checksum.verdict) == ("08c60483 (its name)", "not ok")
    assert not found.sound
    monkeypatch.setattr(module, "file_sha256", lambda _: "08c60483" + 56 * "0")
    assert by_check(verify_backbone("dinov3_vits16", named))["checksum"].verdict == "ok"


def test_periods_that_are_others(changed, small):
    def change(state):
        state["rope_embed.periods"] = state["rope_embed.periods"] * 1.01

    found = verify_backbone("dinov3_vits16", changed("dinov3_vits16", change))
    assert by_check(found)["periods"].verdict == "not ok"


def test_weights_from_the_hub_have_its_checksum(files, small, hub, tmp_path):
    from safetensors.torch import save

    data = save(files("dino_vits16")[0])
    hub.put("timm/vit_small_patch16_224.dino", {"model.safetensors": data})
    found = verify_backbone("dino_vits16")
    assert found.came == "From the Hugging Face hub"
    assert by_check(found)["checksum"].expected.endswith("(the hub)")
    assert found.text().endswith("All is ok.")
    shutil.rmtree(tmp_path / "hub-cache")


def test_other_models_of_timm_are_checked_as_far_as_they_can_be(small, tmp_path):
    import timm

    model = timm.create_model("resnet10t", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "resnet.pth")
    found = verify_backbone("timm:resnet10t", tmp_path / "resnet.pth")
    assert found.sound
    assert by_check(found)["features"].verdict == "not known"


def test_what_cannot_be_checked_is_said(tmp_path):
    with pytest.raises(ConfigError, match="'texture' has no weights file"):
        verify_backbone("texture")
    with pytest.raises(BackboneError, match=r"nothing\.pth does not exist"):
        verify_backbone("dino_vits16", tmp_path / "nothing.pth")
