import socket

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from primaps.errors import BackboneError, ImageError
from primaps.features.hub_files import HubFile
from primaps.features.plain.vit import vit_features
from primaps.heads.loading import load_backbone
from primaps.types import FeatureExtractor

SMALL = {
    "dino_vits8": {"patch": 8, "side": 28},
    "dino_vits16": {"patch": 16, "side": 14},
    "dinov2_vits14": {"patch": 14, "side": 37, "layer_scale": True},
    "dinov2_vits14_reg": {"patch": 14, "side": 37, "layer_scale": True, "registers": 4},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory, official_weights):
    """(official state, weights file, backbone) by name, made when asked for."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def get(name):
        if name not in made:
            state, path = (
                official_weights.official_state(384, **SMALL[name]),
                folder / f"{name}.pth",
            )
            torch.save(state, path)
            made[name] = state, path, load_backbone(name, weights=path, device="cpu")
        return made[name]

    return get


def random_batch(height, width):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        ("dino_vits8", 320, 320),
        pytest.param("dino_vits8", 480, 360, marks=pytest.mark.slow),
        ("dino_vits8", 120, 160),
        ("dino_vits8", 224, 224),
        ("dino_vits8", 112, 448),
        ("dino_vits16", 160, 240),
        ("dinov2_vits14", 322, 322),
        ("dinov2_vits14", 476, 364),
        pytest.param("dinov2_vits14", 518, 518, marks=pytest.mark.slow),
        ("dinov2_vits14_reg", 322, 322),
        ("dinov2_vits14_reg", 238, 364),
    ],
)
def test_features_equal_the_hub_code(models, name, height, width):
    state, _, backbone = models(name)
    batch = random_batch(height, width)
    features = backbone.forward(batch)
    with torch.no_grad():
        expected = vit_features(state, batch)
    assert (
        features.shape
        == expected.shape
        == (1, 384, height // backbone.patch_size, width // backbone.patch_size)
    )
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def test_resampling_matters_in_these_tests(models):
    """With timm's own resampling the features differ, so that the test above can fail."""
    _, _, backbone = models("dino_vits8")
    batch = random_batch(160, 240)
    with torch.no_grad():
        other = backbone.model.forward_intermediates(
            batch, indices=1, norm=True, intermediates_only=True
        )[0]
    assert F.cosine_similarity(backbone.forward(batch), other).mean() < 0.999


def test_position_cache_follows_the_grid(models):
    _, _, backbone = models("dino_vits8")
    first = backbone.forward(random_batch(64, 96))
    backbone.forward(random_batch(96, 64))
    assert torch.equal(backbone.forward(random_batch(64, 96)), first)


def test_batches_equal_single_images(models):
    _, _, backbone = models("dino_vits16")
    batch = torch.cat([random_batch(64, 96), random_batch(64, 96) * 0.5])
    single = torch.cat([backbone.forward(image[None]) for image in batch])
    torch.testing.assert_close(backbone.forward(batch), single, atol=1e-5, rtol=1e-5)


def layouts(state, folder):
    """The same weights as a DINO training checkpoint, a plain prefixed one, and in timm's
    layout.
    """
    head = {
        "module.head.mlp.0.weight": torch.ones(2, 2),
        "module.head.last_layer.weight_g": torch.ones(2, 1),
    }
    prefixed = {f"module.backbone.{key}": value for key, value in state.items()}
    torch.save(
        {"teacher": prefixed | head, "student": {"x": torch.ones(1)}, "epoch": 1},
        folder / "full.pth",
    )
    torch.save({f"backbone.{key}": value for key, value in state.items()}, folder / "prefixed.pt")
    timm_state = {key: value for key, value in state.items() if key != "mask_token"}
    if "register_tokens" in state:
        timm_state["reg_token"] = timm_state.pop("register_tokens")
        timm_state["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
        timm_state["pos_embed"] = state["pos_embed"][:, 1:]
    save_file(
        {key: value.contiguous() for key, value in timm_state.items()}, folder / "timm.safetensors"
    )
    return [folder / "full.pth", folder / "prefixed.pt", folder / "timm.safetensors"]


@pytest.mark.parametrize("name", ["dino_vits16", "dinov2_vits14_reg"])
def test_every_layout_gives_the_same_features(models, name, tmp_path):
    state, _, backbone = models(name)
    batch = random_batch(4 * backbone.patch_size, 6 * backbone.patch_size)
    expected, sums = backbone.forward(batch), {backbone.describe()["weights_sha256"]}
    for path in layouts(state, tmp_path):
        other = load_backbone(name, weights=path, device="cpu")
        assert torch.equal(other.forward(batch), expected), path.name
        sums.add(other.describe()["weights_sha256"])
        path.unlink()
    assert len(sums) == 4


def test_dinov3_official_layout_equals_timm(tmp_path):
    import timm

    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch16_dinov3_qkvb.lvd1689m", num_classes=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    official = {"mask_token": torch.zeros(1, 384), "rope_embed.periods": torch.ones(16)}
    for key, value in model.state_dict().items():
        if key.endswith("q_bias"):
            bias = torch.cat(
                [value, torch.zeros(384), model.state_dict()[key.replace("q_bias", "v_bias")]]
            )
            official |= {
                key.replace("q_bias", "qkv.bias"): bias,
                key.replace("q_bias", "qkv.bias_mask"): torch.ones(1152),
            }
        elif not key.endswith(("v_bias", "k_bias")):
            official[
                key.replace("reg_token", "storage_tokens")
                .replace("gamma_1", "ls1.gamma")
                .replace("gamma_2", "ls2.gamma")
            ] = value
    torch.save(official, tmp_path / "dinov3.pth")
    backbone = load_backbone("dinov3_vits16", weights=tmp_path / "dinov3.pth", device="cpu")
    batch = random_batch(64, 96)
    with torch.no_grad():
        expected = model.forward_features(batch)[:, 5:].transpose(1, 2).reshape(1, 384, 4, 6)
    torch.testing.assert_close(backbone.forward(batch), expected, atol=1e-5, rtol=1e-5)


def test_description_and_attributes(models):
    _, path, backbone = models("dino_vits8")
    assert isinstance(backbone, FeatureExtractor)
    assert (backbone.name, backbone.dim, backbone.patch_size, backbone.threshold) == (
        "dino_vits8",
        384,
        8,
        0.4,
    )
    assert backbone.device == torch.device("cpu")
    described = backbone.describe()
    assert described["implementation"] == "timm"
    assert described["licence"] == backbone.licence == "Apache-2.0"
    assert described["mean"] == [0.485, 0.456, 0.406]
    assert len(described["weights_sha256"]) == 64
    assert str(path) not in str(described)


def test_extract_preprocesses_at_the_given_short_side(models):
    _, _, backbone = models("dinov2_vits14")
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    features = backbone.extract(image, size=56)
    assert features.shape == (384, 4, 6)
    assert torch.equal(features, backbone.forward(backbone.preprocess(image, 56))[0])
    assert torch.equal(features, backbone.extract(torch.from_numpy(image), size=56))
    assert backbone.preprocess(image).shape == (1, 3, 322, 476)
    with pytest.raises(ImageError, match=r"values in \[0, 1\], but got 0\.\.255"):
        backbone.extract(image.astype(np.float32))


def test_frozen_for_good(models):
    _, _, backbone = models("dino_vits16")
    outer = torch.nn.Sequential(backbone).train()
    assert outer.training
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    features = backbone.forward(random_batch(32, 32).requires_grad_())
    assert not features.requires_grad
    assert not features.is_inference()
    weight = torch.ones(384, requires_grad=True)
    (features * weight[:, None, None]).sum().backward()
    assert weight.grad is not None


def test_file_of_another_model_is_named(models):
    _, path, _ = models("dino_vits16")
    with pytest.raises(
        BackboneError, match=r"weights of 'dino_vits8', but got 2 other shapes .*: dino_vits16\."
    ) as caught:
        load_backbone("dino_vits8", weights=path, device="cpu")
    assert "pos_embed (1, 197, 384) instead of (1, 785, 384)" in str(caught.value)
    with pytest.raises(BackboneError, match=r"missing keys \(reg_token"):
        load_backbone("dinov2_vits14_reg", weights=models("dinov2_vits14")[1], device="cpu")


def test_without_network_the_message_names_the_file(monkeypatch):
    import huggingface_hub

    def offline(*args, **kwargs):
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", offline)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    with pytest.raises(BackboneError) as caught:
        load_backbone("dinov2_vitb14_reg", device="cpu")
    assert "the download failed (OSError: no route to host)" in str(caught.value)
    assert (
        "dinov2_vitb14_reg4_pretrain.pth from https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/"
        in str(caught.value)
    )
    assert "--weights FILE" in str(caught.value)
    with pytest.raises(
        BackboneError,
        match=r"Fetch https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors",
    ):
        load_backbone("timm:resnet18", device="cpu")


@pytest.mark.parametrize(
    ("known", "proxies"), [(True, {}), (False, {}), (False, {"https": "http://proxy"})]
)
def test_a_hub_whose_name_is_unknown_is_not_asked(monkeypatch, known, proxies):
    import huggingface_hub

    from primaps.features import hub as module

    def look_up(*_):
        if not known:
            raise socket.gaierror("Name or service not known")

    asked = []

    def ask(url, **_):
        asked.append(url)
        raise OSError("not to be had")

    monkeypatch.setattr(module, "getproxies", lambda: proxies)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", ask)
    with pytest.raises(
        BackboneError, match="not to be had" if known or proxies else "there is no network"
    ):
        load_backbone("dino_vits8", device="cpu")
    assert len(asked) == (1 if known or proxies else 0)


def test_the_300_epoch_model_comes_from_a_file_only(models):
    with pytest.raises(
        BackboneError,
        match=(
            r"no hub carries them. Fetch dino_deitsmall8_300ep_pretrain.pth from https://\S+ and"
            r" give"
        ),
    ):
        load_backbone("dino_vits8_300ep", device="cpu")
    _, path, other = models("dino_vits8")
    backbone = load_backbone("dino_vits8_300ep", weights=path, device="cpu")
    assert torch.equal(backbone.forward(random_batch(32, 32)), other.forward(random_batch(32, 32)))
    assert backbone.describe()["name"] == "dino_vits8_300ep"


def test_a_relative_weights_file_is_found_again_from_any_folder(models, monkeypatch):
    _, path, backbone = models("dino_vits16")
    assert backbone.weights_path is None or backbone.weights_path == str(path)
    monkeypatch.chdir(path.parent)
    assert load_backbone("dino_vits16", weights=path.name, device="cpu").weights_path == str(path)


def test_hub_file_is_used_when_it_arrives(models, monkeypatch):
    _, path, backbone = models("dino_vits16")
    asked = []
    monkeypatch.setattr(
        "primaps.features.timm_loading.fetch_file", lambda file: asked.append(file) or path
    )
    loaded = load_backbone("dino_vits16", device="cpu")
    assert asked == [HubFile("timm/vit_small_patch16_224.dino", "model.safetensors")]
    assert loaded.describe() == backbone.describe()
    assert torch.equal(loaded.forward(random_batch(32, 32)), backbone.forward(random_batch(32, 32)))


@pytest.mark.parametrize("name", ["dino_vits16", "dinov2_vits14_reg"])
def test_weights_are_downloaded_once_from_a_hub(models, hub, name, tmp_path):
    """The hub's file, in timm's layout, behind the redirect of large files."""
    state, _, backbone = models(name)
    path = layouts(state, tmp_path)[-1]
    repo_id = {
        "dino_vits16": "timm/vit_small_patch16_224.dino",
        "dinov2_vits14_reg": "timm/vit_small_patch14_reg4_dinov2.lvd142m",
    }[name]
    hub.put(repo_id, {"model.safetensors": path.read_bytes()})
    batch = random_batch(4 * backbone.patch_size, 6 * backbone.patch_size)
    for downloads in (1, 1):  # the second time it is in the cache
        loaded = load_backbone(name, device="cpu")
        assert torch.equal(loaded.forward(batch), backbone.forward(batch))
        assert sum(asked.startswith("GET /cdn/") for asked in hub.requests) == downloads
    assert loaded.weights_path is None


def test_what_the_hub_lacks_or_sends_wrong_is_said(models, hub):
    with pytest.raises(BackboneError, match=r"the hub knows no timm/.* Fetch .*--weights FILE"):
        load_backbone("dino_vits16", device="cpu")
    other = {"model.safetensors": b"no tensors at all"}
    hub.put("timm/vit_small_patch16_224.dino", other)
    with pytest.raises(BackboneError, match="to hold tensors only, but it cannot be read safely"):
        load_backbone("dino_vits16", device="cpu")


def test_a_hub_that_has_the_older_file_only(hub, tmp_path):
    import timm

    model = timm.create_model("test_vit", pretrained=False, num_classes=0)
    torch.save(model.state_dict(), tmp_path / "weights.bin")
    data = (tmp_path / "weights.bin").read_bytes()
    hub.put("timm/test_vit.r160_in1k", {"pytorch_model.bin": data})
    assert load_backbone("timm:test_vit", device="cpu").dim == 64
    hub.put("timm/test_vit2.r160_in1k", {"README.md": b"nothing"})
    with pytest.raises(BackboneError, match=r"has no such file .*/resolve/main/model.safetensors"):
        load_backbone("timm:test_vit2", device="cpu")


@pytest.mark.parametrize("with_token", [False, True])
def test_gated_weights_say_what_to_do(hub, monkeypatch, with_token):
    repo_id = "timm/vit_small_patch16_dinov3.lvd1689m"
    hub.put(repo_id, {"model.safetensors": b"tensors"})
    hub.repositories[repo_id].gated = True
    if with_token:
        monkeypatch.setenv("HF_TOKEN", hub.token)
    with pytest.raises(BackboneError) as caught:
        load_backbone("dinov3_vits16", device="cpu")
    told = str(caught.value)
    assert f"accept it at {hub.endpoint}/{repo_id}, " in told
    assert ("HF_TOKEN" in told) is not with_token
    assert "Fetch dinov3_vits16_pretrain_lvd1689m-08c60483.pth from https://ai.meta.com/" in told
    assert told.endswith("give it with --weights FILE.")


@torch.no_grad()
def expected_features(model, batch):
    """Strides 8, 16 and 32 as unit vectors on the grid of stride 8; of a plain transformer the last
    block after its norm.
    """
    maps = model.forward_intermediates(batch, norm=True, intermediates_only=True)
    if len({info["reduction"] for info in model.feature_info}) == 1:
        return maps[-1]
    units = [
        values / values.norm(dim=1, keepdim=True)
        for values, info in zip(maps, model.feature_info, strict=True)
        if info["reduction"] in {8, 16, 32}
    ]
    return torch.cat(
        [F.interpolate(unit, units[0].shape[2:], mode="bilinear") for unit in units], dim=1
    )


@pytest.mark.parametrize("hub", [True, False])
@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_resnet", "test_efficientnet"])
def test_any_timm_model(name, hub, tmp_path, monkeypatch):
    import timm

    torch.manual_seed(0)
    # with its classifier, as files on the hub are
    model = timm.create_model(name, pretrained=False).eval()
    path = tmp_path / "model.safetensors"
    save_file(model.state_dict(), path)
    monkeypatch.setattr("primaps.features.timm_loading.fetch_file", lambda _: path)
    backbone = load_backbone(f"timm:{name}", weights=None if hub else path, device="cpu")
    height, width = 3 * backbone.input_multiple, 5 * backbone.input_multiple
    features = backbone.forward(torch.zeros(2, 3, height, width))
    cells = backbone.input_multiple // backbone.patch_size
    assert features.shape == (2, backbone.dim, 3 * cells, 5 * cells)
    assert features.is_contiguous()
    size = model.pretrained_cfg["input_size"]
    batch = torch.randn(1, *size)
    torch.testing.assert_close(backbone.forward(batch), expected_features(model, batch))
    assert backbone.mean == tuple(model.pretrained_cfg["mean"])
    assert backbone.describe()["name"] == f"timm:{name}"


def test_timm_names_are_checked():
    with pytest.raises(
        BackboneError, match=r"Unknown timm model 'resnet19'.* Did you mean 'resnet1"
    ):
        load_backbone("timm:resnet19", device="cpu")
    with pytest.raises(
        BackboneError, match=r"Unknown weights 'a9_in1k' of timm model 'resnet18'.* Did you mean 'a"
    ):
        load_backbone("timm:resnet18.a9_in1k", device="cpu")


def test_fixed_size_models_say_so(tmp_path):
    import timm

    path = tmp_path / "model.safetensors"
    save_file(timm.create_model("mixer_s32_224", num_classes=0).state_dict(), path)
    backbone = load_backbone("timm:mixer_s32_224", weights=path, device="cpu")
    assert backbone.patch_size == 32
    assert backbone.forward(torch.zeros(1, 3, 224, 224)).shape == (1, 512, 7, 7)
    with pytest.raises(
        BackboneError, match="to accept inputs of 320 x 320 pixels, but the model refuses"
    ):
        backbone.forward(torch.zeros(1, 3, 320, 320))
