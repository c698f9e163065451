"""Heads on disk: what is saved comes back, and what is damaged is named."""

import json

import pytest
import torch

from primaps.errors import CheckpointError
from primaps.features.weights import file_sha256
from primaps.heads.files import Head, LinearProbe, head_record, load_head, save_head
from primaps.heads.projection import ProjectionHead
from primaps.runs.store import read_tensors, write_tensors

BACKBONE = {"name": "dino_vits8", "dim": 5, "weights_sha256": "ab"}


@pytest.fixture
def head():
    probe = LinearProbe(torch.randn(4, 3), torch.randn(4))
    return Head(
        "hp",
        ProjectionHead(5, 3, dropout=0.2),
        BACKBONE,
        224,
        torch.randn(2, 3),
        probe,
        "backbone.safetensors",
        {"steps": 7},
    )


def test_a_head_comes_back(head, tmp_path):
    save_head(tmp_path / "new", head)
    found = load_head(tmp_path / "new")
    features = torch.randn(2, 5, 3, 4)
    assert torch.equal(found.network(features), head.network.eval()(features))
    assert torch.equal(found.centres, head.centres)
    assert torch.equal(found.probe.weight, head.probe.weight)
    assert torch.equal(found.probe.bias, head.probe.bias)
    assert (found.kind, found.backbone, found.size, found.weights) == (
        "hp",
        BACKBONE,
        224,
        "backbone.safetensors",
    )
    assert found.training == {"steps": 7}
    assert found.network.dropout.p == 0.2
    assert not found.network.training
    assert not any(value.requires_grad for value in found.network.parameters())


def test_a_head_without_extras_comes_back(tmp_path):
    save_head(tmp_path, Head("stego", ProjectionHead(5, 3, nonlinear=False), {"name": "mini"}))
    found = load_head(tmp_path)
    assert (found.centres, found.probe, found.weights, found.network.hidden) == (
        None,
        None,
        None,
        None,
    )


def test_the_same_head_gives_the_same_bytes(head, tmp_path):
    for name in ("a", "b"):
        save_head(tmp_path / name, head)
    for file in ("head.json", "head.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_killed_save_leaves_no_head(head, tmp_path, monkeypatch):
    save_head(tmp_path, head)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("primaps.heads.files.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        save_head(tmp_path, head)
    with pytest.raises(CheckpointError, match="found none"):
        load_head(tmp_path)


def test_no_head(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"Expected a head .* found none.* `primaps head import`"
    ):
        load_head(tmp_path)


def test_exchanged_tensors_are_noticed(head, tmp_path):
    save_head(tmp_path, head)
    tensors = read_tensors(tmp_path / "head.safetensors")
    write_tensors(tmp_path / "head.safetensors", {**tensors, "centres": tensors["centres"] + 1})
    with pytest.raises(CheckpointError, match="its checksum is another one"):
        load_head(tmp_path)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"centres": None}, r"centres: \(2, 3\) -> None"),
        ({"centres": torch.zeros(2, 4)}, r"centres: \(2, 3\) -> \(2, 4\)"),
        ({"network.hidden.weight": None}, r"network\.hidden\.weight: \(5, 5, 1, 1\) -> None"),
        ({"more": torch.zeros(1)}, r"more: None -> \(1,\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, line, head, tmp_path):
    save_head(tmp_path, head)
    path = tmp_path / "head.safetensors"
    tensors = {**read_tensors(path), **change}
    write_tensors(path, {name: value for name, value in tensors.items() if value is not None})
    record = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps({**record, "sha256": file_sha256(path)}))
    with pytest.raises(CheckpointError, match=line):
        load_head(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("in_channels", 0),
        ("in_channels", 10**30),
        ("dim", 10**18),
        ("dropout", 1.0),
        ("dropout", float("nan")),
        ("dim", "3"),
        ("dim", True),
        ("nonlinear", 1),
        ("dropout", None),
        ("num_clusters", 0),
        ("backbone", []),
        ("size", 2.5),
        ("sha256", None),
        ("training", "long"),
    ],
)
def test_damaged_descriptions_are_named(key, value, head, tmp_path):
    save_head(tmp_path, head)
    record = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps({**record, key: value}))
    with pytest.raises(CheckpointError, match=f"to give a usable '{key}'|NaN, which is no number"):
        load_head(tmp_path)
    del record[key]
    (tmp_path / "head.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=f"to give a usable '{key}', but got nothing"):
        head_record(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format 1, but got 2"),
        ({"kind": "eagle"}, "kind 'eagle'"),
        ({"layer": "keys"}, "layer 'keys'"),
        ({"backbone": {}}, "the name of its backbone"),
        ({"weights": "../other.safetensors"}, "a file beside it"),
        ({"weights": ".."}, "a file beside it"),
        ({"weights": ""}, "a file beside it"),
        ({"weights": "a\0b"}, "a file beside it"),
    ],
)
def test_other_descriptions_are_refused(change, reason, head, tmp_path):
    save_head(tmp_path, head)
    record = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(CheckpointError, match=reason):
        load_head(tmp_path)


def test_the_backbone_has_to_agree(head):
    head.check_backbone({**BACKBONE, "patch_size": 8})
    with pytest.raises(
        CheckpointError, match=r"weights_sha256: 'ab' -> 'cd'(.|\n)*Give --backbone dino_vits8"
    ):
        head.check_backbone({**BACKBONE, "weights_sha256": "cd"})
    with pytest.raises(CheckpointError, match="name: 'dino_vits8' -> None"):
        head.check_backbone({})
    with pytest.raises(CheckpointError, match="dim: 5 -> 6"):
        Head("hp", head.network, {"name": "mini"}).check_backbone({"name": "mini", "dim": 6})
