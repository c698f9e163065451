import argparse
import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from primaps.errors import BackboneError
from primaps.features.weights import (
    file_sha256,
    guess_model,
    load_into,
    read_weights,
    rename_in_order,
    to_timm_layout,
)

STATE = {"cls_token": torch.ones(1, 1, 4), "blocks.0.norm1.weight": torch.arange(4.0)}


class Exploit:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (Path.touch, (Path(self.target),))


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
def test_torch_files_are_read(tmp_path, suffix):
    torch.save(STATE, tmp_path / f"weights{suffix}")
    assert same(read_weights(tmp_path / f"weights{suffix}"), STATE)


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "weights.safetensors")
    assert same(read_weights(tmp_path / "weights.safetensors"), STATE)


def test_training_checkpoint_gives_the_teacher_without_prefixes(tmp_path):
    student = {f"module.backbone.{key}": value * 2 for key, value in STATE.items()}
    teacher = {f"backbone.{key}": value for key, value in STATE.items()}
    content = {
        "student": student,
        "teacher": teacher,
        "epoch": 3,
        "args": argparse.Namespace(arch="vit_small"),
    }
    torch.save(content, tmp_path / "full.pth")
    assert same(read_weights(tmp_path / "full.pth"), STATE)
    del content["teacher"]
    torch.save(content, tmp_path / "student.pth")
    assert same(
        read_weights(tmp_path / "student.pth"), {key: value * 2 for key, value in STATE.items()}
    )


def test_malicious_pickle_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Exploit(trace)))
    torch.save({"teacher": Exploit(trace)}, tmp_path / "b.pth")
    for name in ("a.pth", "b.pth"):
        with pytest.raises(
            BackboneError,
            match=rf"Expected .*{name} to hold tensors only, but it cannot be read safely",
        ):
            read_weights(tmp_path / name)
    assert not trace.exists()
    pickle.loads((tmp_path / "a.pth").read_bytes())
    assert trace.exists()  # the attack itself works


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a weights file", bytes(range(256)) * 20])
def test_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackboneError, match="cannot be read safely"):
        read_weights(tmp_path / name)


def test_cut_off_files_are_refused(tmp_path):
    torch.save(STATE, tmp_path / "x.pth")
    save_file(STATE, tmp_path / "x.safetensors")
    for name in ("x.pth", "x.safetensors"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BackboneError, match="cannot be read safely"):
            read_weights(tmp_path / name)


def test_missing_file_folder_and_other_endings(tmp_path):
    with pytest.raises(BackboneError, match="does not exist"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(BackboneError, match="is a folder"):
        read_weights(tmp_path)
    (tmp_path / "x.onnx").write_bytes(b"x")
    with pytest.raises(
        BackboneError, match=r"ending in .safetensors, .pth or .pt, but got 'x.onnx'"
    ):
        read_weights(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(3), "but got Tensor"),
        ({}, "but got dict"),
        ({"epoch": 1, "x": torch.ones(1)}, "other values under epoch"),
    ],
)
def test_files_without_named_tensors_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(BackboneError, match=message):
        read_weights(tmp_path / "x.pth")


def test_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_dino_layout_is_timm_layout():
    assert same(to_timm_layout(STATE), STATE)


def test_dinov2_layout_with_registers():
    state = {
        "cls_token": torch.full((1, 1, 2), 3.0),
        "pos_embed": torch.arange(10.0).reshape(1, 5, 2),
        "register_tokens": torch.full((1, 4, 2), 7.0),
        "mask_token": torch.zeros(1, 2),
    }
    expected = {
        "cls_token": torch.tensor([[[3.0, 4.0]]]),
        "pos_embed": torch.arange(2.0, 10.0).reshape(1, 4, 2),
        "reg_token": torch.full((1, 4, 2), 7.0),
    }
    assert same(to_timm_layout(state), expected)


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_dinov3_layout(bias):
    state = {
        "storage_tokens": torch.ones(1, 4, 2),
        "mask_token": torch.zeros(1, 2),
        "rope_embed.periods": torch.ones(2),
        "blocks.0.ls1.gamma": torch.full((2,), 5.0),
        "blocks.0.attn.qkv.bias": (
            torch.tensor([1.0, 2.0, torch.nan, 4.0, 5.0, 6.0]) if bias else torch.zeros(6)
        ),
        "blocks.0.attn.qkv.bias_mask": torch.zeros(6),
    }
    expected = {"reg_token": torch.ones(1, 4, 2), "blocks.0.gamma_1": torch.full((2,), 5.0)}
    if bias:
        expected |= {
            "blocks.0.attn.q_bias": torch.tensor([1.0, 2.0]),
            "blocks.0.attn.v_bias": torch.tensor([5.0, 6.0]),
        }
    assert same(to_timm_layout(state), expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"cls_token": torch.zeros(4)},
            r"cls_token \(1, 1, C\) and pos_embed \(1, N, C\) .* but got \(\(4,\), \(1, 5, 4\)\)",
        ),
        ({"pos_embed": torch.zeros(4)}, "cls_token"),
        ({"pos_embed": torch.zeros(2, 5, 4)}, "cls_token"),
        ({"pos_embed": torch.zeros(1, 1, 4)}, "N of 2 or more"),
        ({"cls_token": torch.zeros(1, 1, 5)}, "as many channels"),
        (
            {"storage_tokens": torch.zeros(1, 4, 4), "a.qkv.bias": torch.tensor(1.0)},
            r"a\.qkv\.bias to have shape \(3 \* C,\)",
        ),
        ({"storage_tokens": torch.zeros(1, 4, 4), "a.qkv.bias": torch.zeros(7)}, r"but got \(7,\)"),
    ],
)
def test_shapes_that_cannot_be_are_named(changes, reason):
    state = {
        "cls_token": torch.zeros(1, 1, 4),
        "pos_embed": torch.zeros(1, 5, 4),
        "register_tokens": torch.zeros(1, 4, 4),
    }
    with pytest.raises(BackboneError, match=reason):
        to_timm_layout(state | changes)


def test_load_into_is_strict_and_leaves_heads_out(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3))
    state = {
        "0.weight": torch.ones(3, 2),
        "0.bias": torch.zeros(3),
        "head.mlp.0.weight": torch.ones(1),
        "fc.bias": torch.ones(1),
    }
    load_into(model, state, classifiers=["fc"], wanted="x", path=tmp_path)
    assert torch.equal(model[0].weight, torch.ones(3, 2))
    with pytest.raises(BackboneError, match=r"1 unexpected keys \(fc.bias\)"):
        load_into(model, state, wanted="x", path=tmp_path)


def test_load_into_names_the_first_problems_and_loads_nothing(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = {"0.weight": torch.ones(3, 5), "0.bias": torch.ones(3), "other": torch.ones(1)}
    with pytest.raises(BackboneError) as caught:
        load_into(model, state, wanted="dino_vits8", path=tmp_path / "file.pth")
    message = str(caught.value)
    assert (
        "to hold the weights of 'dino_vits8', but got 4 missing keys (1.weight, 1.bias, 2.weight,"
        " ...)" in message
    )
    assert "1 unexpected keys (other)" in message
    assert "1 other shapes (0.weight (3, 5) instead of (3, 2))" in message
    assert "does not look like a vision transformer" in message
    assert same(model.state_dict(), before)


@pytest.mark.parametrize(
    ("dim", "patch", "extra", "names"),
    [
        (384, 8, {}, "dino_vits8 or dino_vits8_300ep"),
        (768, 16, {}, "dino_vitb16"),
        (768, 14, {}, "dinov2_vitb14"),
        (384, 14, {"register_tokens": torch.ones(1)}, "dinov2_vits14_reg"),
        (384, 16, {"reg_token": torch.ones(1)}, "dinov3_vits16"),
    ],
)
def test_guess_names_the_model_by_its_shapes(dim, patch, extra, names):
    state = {
        "patch_embed.proj.weight": torch.ones(dim, 3, patch, patch),
        "blocks.11.x": torch.ones(1),
        **extra,
    }
    assert guess_model(state).endswith(f": {names}.")
    assert f"dimension {dim}, patch size {patch}, 1 blocks" in guess_model(state)


def test_tensors_are_renamed_in_order():
    state = {"a": torch.zeros(2, 3), "b": torch.ones(4)}
    target = {"first.weight": torch.empty(2, 3), "first.bias": torch.empty(4)}
    renamed = rename_in_order(state, target, wanted="x", path=Path("w.pth"))
    assert list(renamed) == list(target)
    assert renamed["first.bias"] is state["b"]
    with pytest.raises(BackboneError, match=r"the 2 tensors of 'x' in order, but got 1\. Give"):
        rename_in_order({"a": state["a"]}, target, wanted="x", path=Path("w.pth"))
    with pytest.raises(
        BackboneError, match=r"but got 2 of which number 2 is \(4, 1\) instead of \(4,\)"
    ):
        rename_in_order({**state, "b": torch.ones(4, 1)}, target, wanted="x", path=Path("w.pth"))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    torch.save({"a": torch.ones(3), "b": torch.tensor([1.0, float("nan")])}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match=r"w\.pth to hold finite numbers, but got others in b"):
        read_weights(tmp_path / "w.pth")
