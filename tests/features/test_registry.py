import subprocess
import sys

import pytest

from primaps.errors import BackboneError
from primaps.features.registry import DEFAULT_BACKBONE, find_spec, list_backbones

NAMES = {
    "efficientnet_lite0", "efficientnet_lite2", "mini", "texture",
    "dino_vits8", "dino_vitb8", "dino_vits16", "dino_vitb16", "dino_vits8_300ep",
    "dinov2_vits14", "dinov2_vitb14", "dinov2_vitl14",
    "dinov2_vits14_reg", "dinov2_vitb14_reg", "dinov2_vitl14_reg",
    "dinov3_vits16", "dinov3_vitb16",
}  # fmt: skip


def test_every_promised_name_is_listed_once():
    names = [spec.name for spec in list_backbones()]
    assert sorted(names) == sorted(NAMES)
    assert names[0] == DEFAULT_BACKBONE == "efficientnet_lite0"


def test_find_spec_returns_the_entry_of_that_name():
    for name in NAMES:
        assert find_spec(name).name == name


def test_vision_transformers_carry_threshold_licence_and_preprocessing():
    for spec in list_backbones():
        if spec.timm_name:
            assert spec.threshold == 0.4
            assert spec.needs_download == (spec.package is None)
            if spec.package is None:
                assert spec.mean == (0.485, 0.456, 0.406)
                assert spec.std == (0.229, 0.224, 0.225)
        assert spec.licence


def test_every_backbone_says_whether_it_saw_labels():
    for spec in list_backbones():
        if spec.name.startswith("efficientnet"):
            assert "ImageNet with class labels" in spec.training
        else:
            assert spec.training.startswith("no label"), spec.name
    assert find_spec("timm:resnet18").training == "see the model card"


def test_no_threshold_is_published_for_other_models_of_timm():
    assert find_spec("timm:resnet18").threshold is None


def test_official_files_and_addresses():
    assert (
        find_spec("dino_vits8").url
        == "https://dl.fbaipublicfiles.com/dino/dino_deitsmall8_pretrain/dino_deitsmall8_pretrain.pth"
    )
    assert find_spec("dino_vits8_300ep").file_name == "dino_deitsmall8_300ep_pretrain.pth"
    assert (
        find_spec("dinov2_vitl14_reg").url
        == "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_reg4_pretrain.pth"
    )
    assert find_spec("dinov3_vitb16").file_name == "dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth"


def test_only_the_two_dino_vits8_share_an_architecture_and_only_one_is_on_the_hub():
    assert find_spec("dino_vits8").timm_name == find_spec("dino_vits8_300ep").timm_name
    assert find_spec("dino_vits8").hub
    assert not find_spec("dino_vits8_300ep").hub


def test_timm_names_exist_in_timm_with_these_properties():
    import timm

    for spec in list_backbones():
        if spec.timm_name:
            settings = timm.get_pretrained_cfg(spec.timm_name)
            assert settings is not None, spec.name
            assert (tuple(settings.mean), tuple(settings.std)) == (spec.mean, spec.std)
            if spec.position is not None:
                assert settings.url == find_spec(spec.name.replace("_300ep", "")).url


def test_unknown_name_suggests_the_closest():
    with pytest.raises(
        BackboneError, match=r"Unknown backbone 'dinov2_vit14'.* Did you mean 'dinov2_vit[sbl]14'"
    ):
        find_spec("dinov2_vit14")
    with pytest.raises(
        BackboneError, match="Choose one of efficientnet_lite0, efficientnet_lite2, mini, texture"
    ):
        find_spec("timm:")


def test_any_timm_model_has_an_entry():
    spec = find_spec("timm:resnet18.a1_in1k")
    assert (spec.name, spec.timm_name, spec.position) == (
        "timm:resnet18.a1_in1k",
        "resnet18.a1_in1k",
        None,
    )


def test_import_stays_light():
    code = (
        "import sys, primaps.features.registry; print([m for m in ('torch', 'timm', 'torchvision')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
