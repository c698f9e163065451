"""Official checkpoints to head and model folders, and from there to label maps."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from primaps.errors import BackboneError, CheckpointError, ConfigError
from primaps.heads.files import load_head
from primaps.heads.loading import load_backbone
from primaps.pipeline.heads import head_import as importing
from primaps.pipeline.heads.head_import import import_checkpoint
from primaps.runs.model import Model
from primaps.segmenter import Segmenter


@pytest.fixture
def on_texture(official, texture):
    """Checkpoints whose backbone is `texture`, which has no weights to hold."""
    official.channels = texture.dim
    return official


@pytest.fixture(scope="module")
def vit():
    """Random weights of a ViT-S/8 under their official keys."""
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("vit_small_patch8_224.dino", num_classes=0).state_dict()


@pytest.mark.parametrize("kind", ["stego", "hp"])
def test_a_head_becomes_a_head_folder_and_a_model(kind, on_texture, texture, tmp_path, photograph):
    content = on_texture.stego_content() if kind == "stego" else on_texture.hp_content()
    file = on_texture.write(content)
    out = tmp_path / "out"

    text = import_checkpoint(file, out, backbone="texture")

    assert (
        f"Head of kind {kind} for texture: {texture.dim} -> 7 channels, 4 cluster centres" in text
    )
    head = load_head(out)
    assert (head.kind, head.weights, head.size) == (kind, None, 224)
    assert head.training["checkpoint"] == "official.ckpt"
    assert head.training["official"]["epoch"] == content["epoch"]
    segmenter = Segmenter.load(out, device="cpu")
    labels = segmenter.predict(photograph, crf=False)
    codes = load_backbone("texture", device="cpu", head=out).extract(photograph, 320)
    cosines = torch.cosine_similarity(
        codes[None].half().float(), head.centres[:, :, None, None], dim=1
    )
    expected = (
        torch.nn.functional.interpolate(cosines[None], (60, 80), mode="bilinear")[0]
        .argmax(0)
        .numpy()
    )
    assert (labels == expected).mean() > 0.999
    assert len(np.unique(labels)) > 1
    assert segmenter.model.fit.dead_clusters == ()


@pytest.mark.slow
def test_a_head_with_its_backbone_inside(official, vit, tmp_path, photograph):
    official.channels = 384
    file = official.write(official.stego_content(vit))
    out = tmp_path / "out"
    assert "for dino_vits8_300ep: 384 -> 7" in import_checkpoint(file, out)
    assert load_head(out).weights == "backbone.safetensors"

    moved = tmp_path / "moved"
    out.rename(moved)
    segmenter = Segmenter.load(moved, device="cpu")
    assert segmenter.predict(photograph[:32, :32]).shape == (32, 32)
    headed = load_backbone("dino_vits8_300ep", device="cpu", head=moved)
    assert headed.weights_path == str(moved / "backbone.safetensors")
    assert headed.describe() == segmenter.backbone.describe()


def test_primaps_becomes_a_model_with_its_backbone(official, vit, tmp_path, photograph):
    official.channels = 384
    content = official.primaps_content(vit)
    text = import_checkpoint(official.write(content), tmp_path / "out")
    assert "Model of PriMaPs (em) for dino_vits8: 4 classes, 384 channels" in text
    model = Model.load(tmp_path / "out")
    assert (model.size, model.fit.cosine, model.backbone["name"]) == (96, False, "dino_vits8")
    assert (
        json.loads((tmp_path / "out" / "model.json").read_text())["weights"]
        == "backbone.safetensors"
    )
    segmenter = Segmenter.load(tmp_path / "out", device="cpu")
    labels = segmenter.predict(photograph, crf=False)
    features = segmenter.backbone.extract(photograph, 96).half().float()
    scores = torch.einsum("kc,chw->khw", model.prototypes, features)
    expected = (
        torch.nn.functional.interpolate(scores[None], photograph.shape[:2], mode="bilinear")[0]
        .argmax(0)
        .numpy()
    )
    assert (labels == expected).mean() > 0.999


def test_primaps_on_a_head(on_texture, tmp_path, photograph, texture_head):
    on_texture.channels = 6
    file = on_texture.write(on_texture.primaps_content())
    text = import_checkpoint(file, tmp_path / "out", head=texture_head)
    assert "for texture with a head of kind stego: 4 classes, 6 channels" in text
    segmenter = Segmenter.load(tmp_path / "out", device="cpu")
    assert segmenter.backbone.dim == 6
    assert segmenter.predict(photograph).shape == (60, 80)


def test_the_head_that_is_named_is_not_replaced(on_texture, tmp_path, texture_head):
    file = on_texture.write(on_texture.primaps_content())
    with pytest.raises(ConfigError, match="another folder than the head's"):
        import_checkpoint(file, texture_head / "..", head=texture_head / "..", overwrite=True)
    with pytest.raises(ConfigError, match="another folder than the head's"):
        import_checkpoint(file, texture_head, head=texture_head, overwrite=True)
    assert load_head(texture_head)


def test_primaps_baseline_compares_cosines(on_texture, tmp_path):
    file = on_texture.write(on_texture.primaps_content(baseline=True))
    import_checkpoint(file, tmp_path / "out", backbone="texture")
    model = Model.load(tmp_path / "out")
    assert model.fit.cosine is True
    assert model.settings["method"] == "baseline"


def test_contradicting_options(on_texture, official, vit, tmp_path, texture_head):
    stego = on_texture.write(on_texture.stego_content())
    full = on_texture.write(
        on_texture.primaps_content({"cls_token": torch.zeros(1, 1, 2)}), "full.ckpt"
    )
    primaps = on_texture.write(on_texture.primaps_content(), "primaps.ckpt")
    cases = [
        (
            stego,
            {"kind": "steg"},
            ConfigError,
            "auto or one of stego, hp, primaps, but got 'steg'. Did you mean 'stego'",
        ),
        (stego, {}, ConfigError, "Expected to be told the backbone, .* Give --backbone NAME"),
        (primaps, {}, ConfigError, "Give --head DIR with the head it was fitted on"),
        (stego, {"head": texture_head}, ConfigError, "is a head itself"),
        (full, {"weights": stego}, ConfigError, "Leave them away"),
        (full, {}, BackboneError, "does not look like a vision transformer"),
        (stego, {"backbone": "mini"}, CheckpointError, "dim: .* -> 387"),
        (stego, {"backbone": "textur"}, BackboneError, "Unknown backbone 'textur'"),
        (primaps, {"head": texture_head}, CheckpointError, "Expected prototypes of 6 channels"),
        (
            stego,
            {"kind": "primaps"},
            CheckpointError,
            "of kind primaps, but its keys are those of stego",
        ),
    ]
    for file, options, error, reason in cases:
        with pytest.raises(error, match=reason):
            import_checkpoint(file, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_weights_of_another_backbone_leave_nothing_behind(official, vit, tmp_path):
    official.channels = 384
    file = official.write(official.stego_content({**vit, "norm.weight": torch.zeros(5)}))
    with pytest.raises(
        BackboneError, match=r"other shapes \(norm\.weight \(5,\) instead of \(384,\)"
    ):
        import_checkpoint(file, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("name", "weights", "reason"),
    [
        (
            "dinov2_vits14_reg",
            {
                "register_tokens": torch.zeros(1, 4, 384),
                "cls_token": torch.zeros(1, 1, 5),
                "pos_embed": torch.zeros(1, 3, 7),
            },
            "cls_token and pos_embed",
        ),
        (
            "dinov3_vits16",
            {"storage_tokens": torch.zeros(1, 4, 384), "blocks.0.attn.qkv.bias": torch.tensor(1.0)},
            r"qkv\.bias",
        ),
    ],
)
def test_impossible_weights_leave_nothing_behind(name, weights, reason, official, tmp_path):
    official.channels = 384
    file = official.write(official.stego_content(weights))
    with pytest.raises(BackboneError, match=reason):
        import_checkpoint(file, tmp_path / "out", backbone=name)
    assert not list((tmp_path / "out").iterdir())


def test_an_interrupted_import_leaves_nothing_behind(official, tmp_path, monkeypatch):
    file = official.write(official.stego_content({"cls_token": torch.zeros(1, 1, 2)}))
    monkeypatch.setattr(importing, "load_backbone", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_checkpoint(file, tmp_path / "out", backbone="texture")
    assert not list((tmp_path / "out").iterdir())


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def taken(on_texture, tmp_path):
    """An imported head with weights and notes of the user's beside it, as --overwrite may find
    it.
    """
    import_checkpoint(
        on_texture.write(on_texture.stego_content()), tmp_path / "out", backbone="texture"
    )
    for name in ("backbone.safetensors", "notes.txt"):
        (tmp_path / "out" / name).write_bytes(b"the user's")
    return tmp_path / "out"


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["stego", "hp", "primaps"])
def test_an_import_that_fails_replaces_nothing(
    kind, taken, on_texture, tmp_path, texture_head, monkeypatch
):
    file = on_texture.write(getattr(on_texture, f"{kind}_content")())
    cases = [
        ({"backbone": "mini"}, CheckpointError, "another backbone|Expected prototypes"),
        ({"backbone": "dino_vits8", "weights": tmp_path / "gone.pth"}, BackboneError, "gone.pth"),
        ({"backbone": "textur"}, BackboneError, "Unknown backbone"),
    ]
    before = content(taken)
    for options, error, reason in cases:
        with pytest.raises(error, match=reason):
            import_checkpoint(file, taken, overwrite=True, **options)
        assert content(taken) == before
    for step in ("load_backbone", "file_sha256", "fingerprint", "save_head"):
        if (kind, step) != ("primaps", "save_head"):
            with monkeypatch.context() as patched:
                patched.setattr(importing, step, interrupted)
                with pytest.raises(KeyboardInterrupt):
                    import_checkpoint(file, taken, backbone="texture", overwrite=True)
        assert content(taken) == before
    import_checkpoint(file, taken, backbone="texture", overwrite=True)
    assert (taken / "head.json").exists() is (kind != "primaps")
    assert Model.load(taken).settings["checkpoint_sha256"] == importing.file_sha256(file)
    assert content(taken)["notes.txt"] == content(taken)["backbone.safetensors"] == b"the user's"


def test_weights_that_do_not_fit_replace_nothing(taken, official, vit):
    official.channels = 384
    file = official.write(official.stego_content({**vit, "norm.weight": torch.zeros(5)}))
    before = content(taken)
    with pytest.raises(BackboneError, match="other shapes"):
        import_checkpoint(file, taken, overwrite=True)
    assert content(taken) == before


@pytest.mark.parametrize("name", ["head.safetensors", "prototypes.safetensors"])
@pytest.mark.parametrize("own", [b"x", save({"weight": torch.ones(2)})])
def test_tensors_of_the_user_are_not_replaced_unasked(name, own, on_texture, tmp_path):
    file, out = on_texture.write(on_texture.stego_content()), tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(own)
    with pytest.raises(
        ConfigError, match=rf"holds {name}\. Choose another --out, or add --overwrite"
    ):
        import_checkpoint(file, out, backbone="texture")
    assert content(out) == {name: own}
    import_checkpoint(file, out, backbone="texture", overwrite=True)
    assert load_head(out).training["checkpoint"] == "official.ckpt"
    assert content(out)[name] != own


def test_weights_of_the_user_in_the_new_folder_move_with_it(official, vit, tmp_path):
    official.channels = 384
    own = tmp_path / "out" / "own.safetensors"
    own.parent.mkdir()
    save_file(vit, own)
    import_checkpoint(
        official.write(official.stego_content()), own.parent, backbone="dino_vits8", weights=own
    )
    record = json.loads((own.parent / "model.json").read_text())
    assert (record["weights"], record["head"]) == ("own.safetensors", ".")


@pytest.mark.parametrize("left", ["tensors", "head", "prototypes"])
def test_a_killed_import_can_be_run_again(left, on_texture, tmp_path):
    file = on_texture.write(on_texture.stego_content())
    import_checkpoint(file, tmp_path / "whole", backbone="texture")
    out = tmp_path / "out"
    import_checkpoint(file, out, backbone="texture")
    (out / "model.json").unlink()
    if left != "prototypes":
        (out / "prototypes.safetensors").unlink()
    if left == "tensors":
        (out / "head.json").unlink()
    import_checkpoint(file, out, backbone="texture")
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_weights_that_a_killed_import_left_are_written_again(official, vit, tmp_path):
    official.channels = 384
    file = official.write(official.stego_content(vit))
    import_checkpoint(file, tmp_path / "out")
    weights = tmp_path / "out" / "backbone.safetensors"
    before = weights.read_bytes()
    for path in (tmp_path / "out").iterdir():
        if path != weights:
            path.unlink()
    save_file({"other": torch.ones(2)}, weights, {"made_by": "primaps head import"})
    import_checkpoint(file, tmp_path / "out")
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    "own",
    [b"x", save({"weight": torch.ones(2)}), save({"weight": torch.ones(2)}, {"format": "pt"})],
)
def test_weights_of_the_user_are_not_replaced_unasked(own, official, vit, tmp_path):
    official.channels = 384
    file = official.write(official.stego_content(vit))
    weights = tmp_path / "out" / "backbone.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(own)
    with pytest.raises(
        ConfigError, match=r"backbone\.safetensors is not from an import.*--overwrite"
    ):
        import_checkpoint(file, tmp_path / "out")
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]
    assert weights.read_bytes() == own
    import_checkpoint(file, tmp_path / "out", overwrite=True)
    assert load_head(tmp_path / "out").weights == weights.name
    assert weights.read_bytes() != own


@pytest.mark.parametrize("damaged", [False, True])
def test_a_head_from_elsewhere_is_not_replaced(damaged, on_texture, tmp_path, texture_head):
    file = on_texture.write(on_texture.stego_content())
    if damaged:
        (texture_head / "head.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in texture_head.iterdir()}
    with pytest.raises(ConfigError, match=r"holds head\.json"):
        import_checkpoint(file, texture_head, backbone="texture")
    assert {path.name: path.read_bytes() for path in texture_head.iterdir()} == before
    import_checkpoint(file, texture_head, backbone="texture", overwrite=True)
    assert load_head(texture_head).training["checkpoint"] == "official.ckpt"


def test_weights_of_the_user_in_the_new_folder_stay(on_texture, tmp_path):
    file = on_texture.write(on_texture.stego_content())
    (tmp_path / "out").mkdir()
    own = tmp_path / "out" / "backbone.safetensors"
    own.write_bytes(b"x")
    with pytest.raises(BackboneError):
        import_checkpoint(file, tmp_path / "out", backbone="dino_vits8", weights=own)
    assert own.read_bytes() == b"x"


@pytest.mark.parametrize("clusters", [1, 255])
@pytest.mark.parametrize("kind", ["stego", "primaps"])
def test_numbers_of_clusters_that_label_maps_cannot_hold(kind, clusters, on_texture, tmp_path):
    on_texture.clusters = clusters
    content = on_texture.stego_content() if kind == "stego" else on_texture.primaps_content()
    with pytest.raises(CheckpointError, match=f"to have 2 to 254 clusters.* but it has {clusters}"):
        import_checkpoint(on_texture.write(content), tmp_path / "out", backbone="texture")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use(on_texture, tmp_path):
    file = on_texture.write(on_texture.stego_content())
    import_checkpoint(file, tmp_path / "out", backbone="texture")
    with pytest.raises(
        ConfigError, match=r"holds head\.json, .*model\.json.* Choose another --out"
    ):
        import_checkpoint(file, tmp_path / "out", backbone="texture")
    assert load_head(tmp_path / "out").kind == "stego"
    (tmp_path / "out" / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"run\.json\. Choose another --out\."):
        import_checkpoint(file, tmp_path / "out", backbone="texture", overwrite=True)
