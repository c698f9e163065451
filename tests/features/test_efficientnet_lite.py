"""The backbones whose weights come in packages: what comes out of the package is the network that
was trained.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from primaps.errors import BackboneError
from primaps.features.registry import find_spec
from primaps.features.weight_packages import packaged_weights
from primaps.features.weights import read_weights, rename_in_order
from primaps.heads.loading import load_backbone, reload_backbone
from primaps.types import FeatureExtractor

NAMES = ("efficientnet_lite0", "efficientnet_lite2")
CHANNELS = {"efficientnet_lite0": (40, 112, 320), "efficientnet_lite2": (48, 120, 352)}
# Classes of ImageNet by number: tabby, tiger cat and Egyptian cat; espresso and cup; missile,
# projectile and space shuttle.
PHOTOGRAPHS = {
    "chelsea.png": {281, 282, 285},
    "coffee.png": {967, 968},
    "rocket.jpg": {657, 744, 812},
}


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    package = find_spec(request.param).package
    if importlib.util.find_spec(package.name.replace("-", "_")) is None:
        pytest.skip(f"{package.name} is not installed")
    return request.param


@pytest.fixture(scope="module")
def backbone(name):
    return load_backbone(name, device="cpu")


@pytest.fixture(scope="module")
def classifier(name):
    """The whole network with its classifier, as it was trained."""
    import timm

    spec = find_spec(name)
    path = packaged_weights(spec.package, name)
    model = timm.create_model(spec.timm_name, pretrained=False).eval()
    model.load_state_dict(
        rename_in_order(read_weights(path), model.state_dict(), wanted=name, path=path)
    )
    return model


def centre_square(path, side):
    image = Image.open(path).convert("RGB")
    half = min(image.size) / 2
    box = (
        image.width / 2 - half,
        image.height / 2 - half,
        image.width / 2 + half,
        image.height / 2 + half,
    )
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


@pytest.mark.parametrize("file", PHOTOGRAPHS)
def test_the_classifier_knows_what_is_on_photographs(classifier, backbone, file):
    skimage = pytest.importorskip("skimage")
    image = centre_square(Path(skimage.__file__).parent / "data" / file, 224)
    with torch.no_grad():
        best = classifier(backbone.preprocess(image, 224))[0].topk(5).indices.tolist()
    assert len(PHOTOGRAPHS[file] & set(best)) == len(PHOTOGRAPHS[file])
    # for lite2 an oil rig comes before the missile
    assert best[0] in PHOTOGRAPHS[file] or file == "rocket.jpg"


def test_features_are_the_joined_levels_of_timm(name, backbone, classifier):
    import timm

    levels = timm.create_model(
        find_spec(name).timm_name, pretrained=False, features_only=True, out_indices=(2, 3, 4)
    ).eval()
    assert levels.feature_info.reduction() == [8, 16, 32]
    levels.load_state_dict(
        {key: value for key, value in classifier.state_dict().items() if key in levels.state_dict()}
    )
    batch = torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        units = [F.normalize(values, dim=1) for values in levels(batch)]
    assert tuple(unit.shape[1] for unit in units) == CHANNELS[name]
    expected = torch.cat(
        [F.interpolate(unit, (12, 20), mode="bilinear", align_corners=False) for unit in units],
        dim=1,
    )
    torch.testing.assert_close(
        backbone.forward(batch), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
    )


def test_follows_the_protocol(name, backbone):
    assert isinstance(backbone, FeatureExtractor)
    described = backbone.describe()
    assert (described["name"], described["levels"]) == (name, "8,16,32")
    assert described["weights_sha256"] == find_spec(name).package.sha256
    assert (backbone.dim, backbone.patch_size, backbone.input_multiple) == (
        sum(CHANNELS[name]),
        8,
        32,
    )
    assert backbone.threshold == 0.4
    assert backbone.weights_path is None
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("shape", "size", "grid"),
    [
        ((90, 131), 100, (12, 20)),
        ((480, 360), 250, (40, 32)),
        ((3, 5), 64, (8, 12)),
        ((40, 40), 7, (4, 4)),
    ],
)
def test_odd_sizes_are_rounded_to_the_largest_stride(backbone, shape, size, grid):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    features = backbone.extract(image, size=size)
    assert features.shape == (backbone.dim, *grid)
    assert bool(torch.isfinite(features).all())
    with pytest.raises(BackboneError, match="multiples of 32"):
        backbone.forward(torch.zeros(1, 3, 40, 64))


def test_mirrored_photographs_have_nearly_mirrored_features(backbone, photograph):
    plain, mirrored = (
        backbone.extract(np.ascontiguousarray(image), 320)
        for image in (photograph, photograph[:, ::-1])
    )
    assert float(F.cosine_similarity(plain, mirrored.flip(-1), dim=0).mean()) > 0.8


def test_default_is_lite0():
    assert load_backbone(device="cpu").name == "efficientnet_lite0"


def test_other_levels_and_back(name, backbone):
    other = load_backbone(name, device="cpu", levels="8:0.5,32")
    assert (other.dim, other.patch_size, other.input_multiple) == (
        CHANNELS[name][0] + CHANNELS[name][2],
        8,
        32,
    )
    for one in (backbone, other):
        again = reload_backbone(one.describe(), weights=None, device="cpu", head=None)
        assert again.describe() == one.describe()
        batch = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        assert torch.equal(again.forward(batch), one.forward(batch))


def test_own_weights_in_either_layout(name, backbone, classifier, tmp_path):
    batch = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.save(classifier.state_dict(), tmp_path / "timm.pth")
    for path in (tmp_path / "timm.pth", packaged_weights(find_spec(name).package, name)):
        own = load_backbone(name, weights=path, device="cpu")
        assert own.weights_path == str(path)
        assert torch.equal(own.forward(batch), backbone.forward(batch))


def test_the_file_of_another_model_is_refused():
    paths = {name: packaged_weights(find_spec(name).package, name) for name in NAMES}
    with pytest.raises(
        BackboneError, match="to hold the 296 tensors of 'efficientnet_lite0' in order, but got 386"
    ):
        load_backbone("efficientnet_lite0", weights=paths["efficientnet_lite2"], device="cpu")
