"""Official checkpoints, synthetic ones in the official formats: what is found, and what is
refused.
"""

import os
import sys

import pytest
import torch
from torch.nn import functional as F

from primaps.errors import CheckpointError
from primaps.heads import official as official_module
from primaps.heads.official import OfficialHead, OfficialModel, read_official

VIT = {"cls_token": torch.randn(1, 1, 20), "patch_embed.proj.weight": torch.randn(20, 3, 8, 8)}


def reference_code(tensors, prefix, features):
    """The official forward in evaluation, written out."""
    taken = {key.removeprefix(prefix): value for key, value in tensors.items()}
    linear = F.conv2d(features, taken["cluster1.0.weight"], taken["cluster1.0.bias"])
    hidden = F.conv2d(features, taken["cluster2.0.weight"], taken["cluster2.0.bias"]).relu()
    return linear + F.conv2d(hidden, taken["cluster2.2.weight"], taken["cluster2.2.bias"])


@pytest.mark.parametrize("kind", ["auto", "stego"])
def test_stego(official, kind):
    content = official.stego_content(VIT)
    path = official.write(content)
    assert "omegaconf" not in sys.modules
    assert "pytorch_lightning" not in sys.modules

    found = read_official(path, kind)

    assert isinstance(found, OfficialHead)
    assert "omegaconf" not in sys.modules
    assert found.kind == "stego"
    features = torch.randn(2, official.channels, 3, 4)
    expected = reference_code(content["state_dict"], "net.", features)
    torch.testing.assert_close(found.network.eval()(features), expected)
    assert torch.equal(found.centres, content["state_dict"]["cluster_probe.clusters"])
    assert torch.equal(found.probe.weight, content["state_dict"]["linear_probe.weight"].flatten(1))
    assert torch.equal(found.probe.bias, content["state_dict"]["linear_probe.bias"])
    assert set(found.vit) == set(VIT)
    assert torch.equal(found.vit["cls_token"], VIT["cls_token"])
    expected_settings = {"epoch": 3, "global_step": 7000, "n_classes": 4, "model_type": "vit_base"}
    assert expected_settings.items() <= found.settings.items()


def test_hp_gives_the_trained_head_not_its_average(official):
    content = official.hp_content(VIT)
    found = read_official(official.write(content, "ckpt.pth"))
    assert isinstance(found, OfficialHead)
    assert found.kind == "hp"
    features = torch.randn(1, official.channels, 2, 2)
    expected = reference_code(content["net_model_state_dict"], "", features)
    torch.testing.assert_close(found.network.eval()(features), expected)
    assert torch.equal(found.centres, content["cluster_model_state_dict"]["clusters"])
    assert set(found.vit) == set(VIT)
    assert found.settings["epoch"] == 2


def test_primaps(official):
    content = official.primaps_content(VIT)
    found = read_official(official.write(content))
    assert isinstance(found, OfficialModel)
    assert found.method == "em"
    for prefix, prototypes in (
        ("cluster_probe.ema_model", found.teacher),
        ("seghead", found.student),
    ):
        layer = torch.nn.utils.parametrizations.weight_norm(
            torch.nn.Conv2d(official.channels, official.clusters, 1, bias=False)
        )
        layer.parametrizations.weight.original0.data = content["state_dict"][f"{prefix}.weight_g"]
        layer.parametrizations.weight.original1.data = content["state_dict"][f"{prefix}.weight_v"]
        torch.testing.assert_close(prototypes, layer.weight.detach().flatten(1))
    assert set(found.vit) == set(VIT)
    assert found.settings["validation_resize"] == 96
    assert found.settings["backbone_arch"] == "dino_vits"


def test_primaps_baseline_has_unit_prototypes(official):
    content = official.primaps_content(baseline=True)
    found = read_official(official.write(content))
    assert found.method == "baseline"
    expected = F.normalize(
        content["state_dict"]["cluster_probe.cluster_centers.weight_v"].flatten(1), dim=1
    )
    torch.testing.assert_close(found.teacher, expected)
    assert torch.equal(found.student, found.teacher)
    assert found.vit == {}


def test_a_head_without_nonlinear_branch_and_probe(official):
    content = official.stego_content()
    for key in [
        key for key in content["state_dict"] if key.startswith(("net.cluster2", "linear_probe"))
    ]:
        del content["state_dict"][key]
    found = read_official(official.write(content))
    assert found.network.hidden is None
    assert found.probe is None
    assert found.vit == {}


def test_half_precision_becomes_single(official):
    content = official.hp_content()
    for part in ("net_model_state_dict", "linear_model_state_dict", "cluster_model_state_dict"):
        content[part] = {key: value.half() for key, value in content[part].items()}
    found = read_official(official.write(content))
    assert found.network.linear.weight.dtype == torch.float32
    assert found.centres.dtype == torch.float32


def test_settings_that_json_cannot_hold_are_left_out(official):
    content = official.hp_content() | {
        "nan": float("nan"),
        "huge": 10**5000,
        "text": "\ud800",
        "bell\a": 1,
        "fine": True,
    }
    settings = read_official(official.write(content)).settings
    assert settings["fine"] is True
    assert not {"nan", "huge", "text", "bell\a"} & set(settings)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (
            "net.cluster1.0.weight",
            None,
            (
                r"Expected .*official\.ckpt to hold a tensor 'net\.cluster1\.0\.weight', but it"
                r" does not"
            ),
        ),
        ("net.cluster2.2.bias", None, r"a tensor 'net\.cluster2\.2\.bias', but it does not"),
        ("linear_probe.bias", None, r"a tensor 'linear_probe\.bias'"),
        ("net.cluster1.0.weight", "text", r"a tensor 'net\.cluster1\.0\.weight', but it does not"),
        (
            "net.cluster1.0.weight",
            torch.zeros(7, 20),
            r"floating point with 4 axes, but got torch\.float32 \(7, 20\)",
        ),
        (
            "net.cluster1.0.weight",
            torch.zeros(7, 20, 1, 1, dtype=torch.int64),
            "floating point with 4 axes, but got torch.int64",
        ),
        (
            "net.cluster1.0.weight",
            torch.zeros(7, 20, 3, 3),
            r"to have shape \(7, 20, 1, 1\), but got \(7, 20, 3, 3\)",
        ),
        (
            "net.cluster2.0.weight",
            torch.zeros(21, 20, 1, 1),
            r"to have shape \(20, 20, 1, 1\), but got \(21, 20, 1, 1\)",
        ),
        ("cluster_probe.clusters", torch.zeros(4, 8), r"to have shape \(4, 7\), but got \(4, 8\)"),
        ("cluster_probe.clusters", torch.full((4, 7), float("nan")), "to be finite"),
        ("cluster_probe.clusters", torch.zeros(0, 7), "floating point with 2 axes"),
    ],
)
def test_missing_and_wrong_tensors_are_named(key, value, reason, official):
    content = official.stego_content()
    content["state_dict"][key] = value
    if value is None:
        del content["state_dict"][key]
    with pytest.raises(CheckpointError, match=reason):
        read_official(official.write(content))


@pytest.mark.parametrize("key", ["\ud800", "__metadata__", "a b", "", "x" * 201], ids=ascii)
def test_odd_names_of_weights_are_refused(key, official):
    with pytest.raises(
        CheckpointError, match=r"Expected names of weights in .* but got 'net\.model\."
    ):
        read_official(official.write(official.stego_content({key: torch.zeros(2)})))


def test_only_weights_of_the_backbone_are_read(official):
    found = read_official(official.write(official.stego_content({**VIT, "count": torch.tensor(3)})))
    assert set(found.vit) == set(VIT)


def test_weights_that_share_their_values_many_times_are_refused(official):
    base = torch.zeros(20_000)
    with pytest.raises(CheckpointError, match="share their values"):
        read_official(
            official.write(official.stego_content({f"w{number}": base for number in range(40)}))
        )


def test_one_dictionary_of_settings_many_times_is_read_a_few_times_only(official, monkeypatch):
    asked, plain = [], official_module._plain
    monkeypatch.setattr(official_module, "_plain", lambda values: asked.append(1) or plain(values))
    shared = {"lr": 0.5}
    content = official.stego_content() | {
        "hyper_parameters": {f"group{number}": shared for number in range(1000)}
    }
    assert read_official(official.write(content)).settings["lr"] == 0.5
    assert len(asked) < 100


def test_student_and_teacher_of_different_shape(official):
    content = official.primaps_content()
    content["state_dict"]["seghead.weight_v"] = torch.zeros(5, 20, 1, 1)
    content["state_dict"]["seghead.weight_g"] = torch.ones(5, 1, 1, 1)
    with pytest.raises(
        CheckpointError, match=r"to have one shape, but got \(5, 20\) and \(4, 20\)"
    ):
        read_official(official.write(content))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            {"state_dict": {"layer1.0.weight": torch.zeros(1)}},
            "of STEGO, HP or PriMaPs, but it holds 'state_dict'",
        ),
        ({}, "but it holds nothing"),
        ({10**18: 1, "a": 2}, "but it holds 'a'"),
        ({10**5000: 1, "a": 2}, "a key is a number"),
        ([1, 2], "but it holds list"),
        ({"net_model_state_dict": None}, "tensors by name under 'net_model_state_dict'"),
        (
            {"net_model_state_dict": {}, "linear_model_state_dict": {3: 4}},
            "tensors by name under 'linear_model_state_dict'",
        ),
    ],
)
def test_other_checkpoints_are_refused(content, reason, official):
    with pytest.raises(CheckpointError, match=reason):
        read_official(official.write(content))


def test_a_contradicting_kind(official):
    with pytest.raises(CheckpointError, match=r"of kind hp, but its keys are those of stego"):
        read_official(official.write(official.stego_content()), "hp")


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


@pytest.mark.parametrize("place", ["state_dict", "hyper_parameters", "callbacks", "cfg"])
def test_a_payload_anywhere_is_refused_and_not_run(place, official, tmp_path):
    canary = tmp_path / "canary"
    evil = Evil(f"touch {canary}")
    content = official.stego_content()
    if place == "state_dict":
        content["state_dict"]["net.cluster1.0.weight"] = evil
    elif place == "cfg":
        content["hyper_parameters"]["cfg"].__dict__["_content"]["model_type"].__dict__["_val"] = (
            evil
        )
    else:
        content[place]["more"] = evil
    with pytest.raises(
        CheckpointError,
        match=r"Refused to read .*: it names 'posix\.system'.* Nothing in it was run",
    ):
        read_official(official.write(content))
    assert not canary.exists()
