"""One frozen dataclass per stage, strict parsing, and the presets ``default``, ``paper`` and
``fast``.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from primaps.errors import ConfigError
from primaps.given import real_number, truth, whole_number

Preset = Literal["default", "paper", "fast"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
PRESET_NOTES: Final[dict[Preset, str]] = {
    "default": "classes from whole proposals, label maps refined by the CRF",
    "paper": "constants and order of the publication: EM on pixels, six views, much slower",
    "fast": "as default, without the CRF on label maps and with fewer starts of the fit",
}
"""What each preset is, in a few words."""
Method = Literal["em", "clusters", "baseline"]
Initialise = Literal["proposals", "pca", "head"]
FitOn = Literal["proposals", "pixels"]
Framing = Literal["whole", "centre-crop"]
Interpolation = Literal["pillow", "tensor"]
Pages = Literal["first", "all"]
KeptStore = Literal["full", "light", "none"]

MIN_CLASSES, MAX_CLASSES = 2, 254
MAX_SIZE: Final = 4096
"""Of the short side of a backbone's input, in pixels."""

GENERATION: Final = 2
"""Of the defaults: raised when one changes. Run folders name theirs; those of an earlier one keep
the settings on record.
"""

IMPLIED: Final[dict[str, Any]] = {
    "features.max_enlargement": None,
    "fit.em_on": "pixels",
    "fit.proposal_weight": 1.0,
    "fit.cluster_restarts": 32,
    "fit.max_proposals": 10_000,
    "fit.tokens_per_proposal": 4,
    "fit.soft_votes": False,
    "fit.proposal_steps": 150,
    "fit.proposal_learning_rate": 3e-3,
    "predict.crf_scale": 1.0,
    "predict.unknown_below": 0.0,
    "inputs.value_range": "auto",
    "inputs.bands": None,
    "inputs.pages": "first",
    "inputs.megapixels": 179,
    "inputs.ranges": (),
}
"""What a setting was before it existed, by its full name (``"fit.grid"``), for each that was added
since generation 1.

Records that lack it mean this value. Where it has this value, it is left out of what fingerprints
are made of (`comparable`), so that everything stored before stays valid.
"""

UNCOMPARED: Final = frozenset({"features.max_enlargement"})
"""Settings that a folder keeps from its first run on, whatever is asked for, so that no fingerprint
holds them.
"""


@dataclass(frozen=True)
class InputConfig:
    """How files that are not plain 8-bit RGB become photographs (`docs/inputs.md`).

    Attributes:
        value_range: Values deeper than 8 bits that become 0 and 255: "auto" = measured on the
            images of a folder, once (`primaps.data.value_ranges`); "dtype" = the whole range of
            their type, [0, 1] for floating point; or (low, high).
        bands: Numbers, from 1 on, of the three bands that are red, green and blue, or of one that
            is grey; None = the first three, or the only one.
        pages: Of files with several pages or frames, the first or all are used.
        megapixels: Larger images are refused, JPEGs that can be decoded at a fraction of their
            size excepted.
        ranges: What "auto" measured: kind of values, low, high.
    """

    value_range: Literal["auto", "dtype"] | tuple[float, float] = "auto"
    bands: tuple[int, ...] | None = None
    pages: Pages = "first"
    megapixels: int = 179
    ranges: tuple[tuple[str, float, float], ...] = ()

    def __post_init__(self) -> None:
        """Take lists, as JSON has them, for tuples.

        Raises:
            ConfigError: If a value is out of range.
        """
        if not isinstance(self.value_range, str):
            object.__setattr__(self, "value_range", _low_high(self.value_range))
        elif self.value_range not in {"auto", "dtype"}:
            raise ConfigError(_expected_range(self.value_range))
        if self.bands is not None:
            object.__setattr__(self, "bands", _bands(self.bands))
        known = tuple((str(kind), float(low), float(high)) for kind, low, high in self.ranges)
        object.__setattr__(self, "ranges", known)
        _check_types(self)
        if self.megapixels < 1:
            raise ConfigError(f"Expected megapixels to be 1 or more, but got {self.megapixels}.")

    def measured(self, kind: str) -> tuple[float, float] | None:
        """The range of a kind of values that was measured; None if none was."""
        return next(((low, high) for known, low, high in self.ranges if known == kind), None)


def _low_high(given: Any) -> tuple[float, float]:
    try:
        low, high = (float(each) for each in given)
    except (TypeError, ValueError) as error:
        raise ConfigError(_expected_range(given)) from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(_expected_range(given))
    return low, high


def _expected_range(given: Any) -> str:
    return (
        "Expected a range of values to be auto, dtype, or two numbers LOW,HIGH with LOW below HIGH,"
        f" but got {given!r}."
    )


def _bands(given: Any) -> tuple[int, ...]:
    try:
        bands = tuple(int(each) for each in given)
    except (TypeError, ValueError):
        bands = ()
    if len(bands) not in {1, 3} or min(bands) < 1:
        raise ConfigError(
            "Expected bands to be three numbers from 1 on, such as 4,3,2 for red, green and blue,"
            f" or one that is used as grey, but got {given!r}."
        )
    return bands


@dataclass(frozen=True)
class CRFConfig:
    """Dense CRF constants (Krähenbühl & Koltun 2011, with the settings common to the field).

    Attributes:
        iterations: Of mean field inference.
        gaussian_sxy: Reach of the smoothing that looks at positions alone, in pixels.
        gaussian_compat: Its weight.
        bilateral_sxy: Reach of the smoothing that follows edges, in pixels.
        bilateral_srgb: Difference of grey levels, of 255, that counts as an edge.
        bilateral_compat: Its weight.
    """

    iterations: int = 10
    gaussian_sxy: float = 1.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 67.0
    bilateral_srgb: float = 3.0
    bilateral_compat: float = 4.0

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            ConfigError: If a value is no number.
        """
        _check_types(self)


@dataclass(frozen=True)
class FeatureConfig:
    """Which features are computed and which views are cached.

    Attributes:
        size: Short side of the backbone's input in pixels.
        flip: Cache the mirrored image too.
        photometric_views: Number of photometric draws per geometry for the student (0 = student
            sees the teacher's view).
        clamp_jitter: Colour jitter clamps normalised values to [0, 1] as the official code does.
        framing: "whole" photographs, or a square "centre-crop" of side ``size``, as benchmarks have
            it (`primaps.data.framing`).
        max_enlargement: A whole photograph smaller than ``size`` is enlarged so many times at most:
            more shows the backbone nothing new and takes as much disk as a large one. None = up to
            ``size``, as published.
    """

    size: int = 320
    flip: bool = False
    photometric_views: int = 0
    clamp_jitter: bool = False
    framing: Framing = "whole"
    max_enlargement: int | None = 2

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            ConfigError: If a value has another one.
        """
        _check_types(self)

    def side(self, image: tuple[int, int]) -> int:
        """Short side of the backbone's input, before rounding to its multiples, for an image of
        (height, width).
        """
        most = self.max_enlargement if self.framing == "whole" else None
        return input_side(self.size, most, image)


def input_side(size: int, max_enlargement: int | None, image: tuple[int, int]) -> int:
    """``size``, or less for an image of (height, width) that would be enlarged more than so many
    times.
    """
    return size if max_enlargement is None else min(size, max_enlargement * min(image))


@dataclass(frozen=True)
class ProposalConfig:
    """Principal mask proposals (paper, section 3.1).

    Attributes:
        threshold: Cosine similarity to the anchor from which a token belongs to a proposal; None =
            the backbone's own, or, where none is published, one that is calibrated on the images.
        stop_fraction: Extraction ends when this fraction of tokens is used.
        official_order: Order of operations of the official code: anchor = signed maximum over all
            tokens, grey levels rounded down before the CRF. Otherwise the anchor is the available
            token with the largest absolute similarity.
        min_area: Proposals with fewer pixels become unassigned.
        max_masks: At most this many proposals per image; None = no limit.
        crf: Dense CRF constants, in pixels of the image.
        crf_scale: The CRF works at this fraction of each side, in (0, 1], with
            ``crf.bilateral_sxy`` reduced as much.
    """

    threshold: float | None = None
    stop_fraction: float = 0.95
    official_order: bool = False
    min_area: int = 0
    max_masks: int | None = None
    crf: CRFConfig = field(default_factory=CRFConfig)
    crf_scale: float = 0.5

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            ConfigError: If a value has another one.
        """
        _check_types(self)


@dataclass(frozen=True)
class FitConfig:
    """Prototype fitting (paper, section 3.2).

    Attributes:
        method: "em" = PriMaPs-EM; "clusters" = k-means of the proposals alone; "baseline" = PCA
            initialisation and cosine k-means of the tokens.
        initialise: Where prototypes start: "proposals" = k-means of the proposals; "pca" =
            principal directions of the features, then cosine k-means of the tokens, then EM on
            pixels; "head" = cluster centres of the head.
        em_on: What votes and enters the loss of EM: every pixel of a proposal, as published; or
            whole proposals: the mean feature votes, a few tokens enter the loss. A start from
            principal directions is always followed by EM on pixels.
        proposal_weight: A proposal of area A counts in the loss of EM by A to this power; 1 = as
            published.
        cluster_restarts: Starts of the k-means of proposals, of which the best by its objective is
            taken.
        max_proposals: At most so many proposals, of random images, enter k-means and EM on their
            mean features.
        tokens_per_proposal: Random tokens of each of them that enter the loss; 0 = its mean feature
            instead.
        soft_votes: In EM on proposals the teacher's class probabilities are the pseudo label,
            instead of the winner alone.
        proposal_steps: Steps of EM on mean features; each sees all proposals.
        proposal_learning_rate: Of Adam in them.
        batch_size: Images per step on pixels.
        epochs: Passes over the images in EM on pixels.
        kmeans_epochs: Passes of cosine k-means of the tokens that initialise EM.
        baseline_epochs: Passes of cosine k-means of the tokens when it is the method itself.
        min_steps: Lower bound on the steps of the main phase on pixels, so that small folders are
            fitted too.
        max_steps: Upper bound on them; None = none.
        learning_rate: Of Adam in cosine k-means.
        em_learning_rate: Of Adam in EM on pixels.
        focal_gamma: Exponent of the focal class weights.
        momentum: Cap of the teacher's momentum.
        teacher_every: Steps between two teacher updates.
        pixels_per_image: Random pixels per image in the loss; None = all pixels.
        vote_stride: Pixel stride of the grid on which the teacher votes and mean probabilities are
            taken; 1 = all pixels.
        min_agreement: Proposals of which the winning class holds a smaller share of the pixels give
            no pseudo label, unless in the purer half of those of the batch that their class wins; 0
            = all do.
        feature_norm: Features are scaled to this root mean square norm, which sets how soft the
            class probabilities are; None = taken as the backbone gives them.
        pca_images: Images that the PCA initialisation sees at most.
        checkpoint_every: Steps on pixels between two checkpoints of a fit that writes them.
    """

    method: Method = "em"
    initialise: Initialise = "proposals"
    em_on: FitOn = "proposals"
    proposal_weight: float = 1.0
    cluster_restarts: int = 32
    max_proposals: int = 10_000
    tokens_per_proposal: int = 4
    soft_votes: bool = True
    proposal_steps: int = 150
    proposal_learning_rate: float = 3e-3
    batch_size: int = 32
    epochs: int = 30
    kmeans_epochs: int = 10
    baseline_epochs: int = 10
    min_steps: int = 300
    max_steps: int | None = 1500
    learning_rate: float = 5e-3
    em_learning_rate: float = 1e-3
    focal_gamma: float = 2.0
    momentum: float = 0.98
    teacher_every: int = 10
    pixels_per_image: int | None = 4096
    vote_stride: int = 1
    min_agreement: float = 0.9
    feature_norm: float | None = 3.0
    pca_images: int = 2976
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            ConfigError: If a value has another one.
        """
        _check_types(self)

    def with_method(self, method: Method) -> FitConfig:
        """This fit by another method. Two methods have one start, unless they start from a head."""
        only: dict[Method, Initialise] = {"baseline": "pca", "clusters": "proposals"}
        initialise = (
            self.initialise if self.initialise == "head" else only.get(method, self.initialise)
        )
        return dataclasses.replace(self, method=method, initialise=initialise)

    def check_start(self) -> None:
        """Refuse a start that the method does not have.

        Raises:
            ConfigError: If k-means of tokens shall start from proposals, or k-means of proposals
                from principal directions.
        """
        wrong = {"baseline": "proposals", "clusters": "pca"}.get(self.method)
        if self.initialise == wrong:
            raise ConfigError(
                f"Expected the method {self.method!r} to start in its own way or from a head, but"
                f" got {wrong!r}. Leave --init out, or choose --method em."
            )

    @property
    def on_proposals(self) -> bool:
        """Whether the main phase sees mean features of proposals instead of pixels or tokens."""
        return self.method == "clusters" or (
            self.method == "em" and self.em_on == "proposals" and self.initialise != "pca"
        )

    @property
    def snapshot_distance(self) -> int:
        """Steps of the main phase between two checkpoints."""
        return (
            min(self.teacher_every, self.checkpoint_every)
            if self.on_proposals
            else self.checkpoint_every
        )

    def main_steps(self, num_images: int) -> int:
        """Steps of the main phase for a folder of ``num_images`` images; k-means of proposals
        counts as none.
        """
        if self.on_proposals:
            return self.proposal_steps if self.method == "em" else 0
        epochs = self.epochs if self.method == "em" else self.baseline_epochs
        return self._bounded(epochs * self.steps_per_epoch(num_images), self.min_steps)

    def kmeans_steps(self, num_images: int) -> int:
        """Steps of the k-means phase that initialises EM."""
        return self._bounded(self.kmeans_epochs * self.steps_per_epoch(num_images), self.min_steps)

    def steps_per_epoch(self, num_images: int) -> int:
        """Full batches in one pass; a folder smaller than one batch is one batch."""
        return max(1, num_images // self.batch_size)

    def _bounded(self, steps: int, minimum: int) -> int:
        steps = max(steps, minimum)
        return steps if self.max_steps is None else min(steps, self.max_steps)


@dataclass(frozen=True)
class PredictConfig:
    """How label maps are made.

    Attributes:
        crf: Refine label maps with the dense CRF.
        max_pixels: Label maps and the CRF are computed at no more than this many pixels per image.
        crf_scale: The CRF works at this fraction of each side of these, in (0, 1], like
            `ProposalConfig.crf_scale`.
        unknown_below: Pixels whose certainty is lower, in [0, 1], become 255, see
            `primaps.prototypes.certainty`; 0 = none.
    """

    crf: bool = True
    max_pixels: int = 1_000_000
    crf_scale: float = 0.5
    unknown_below: float = 0.0

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            ConfigError: If a value has another one.
        """
        _check_types(self)


@dataclass(frozen=True)
class ProtocolConfig:
    """How a benchmark frames its test images; training images are always framed in the way
    "pillow".

    Attributes:
        interpolation: "pillow" or "tensor", see `primaps.data.framing`.
    """

    interpolation: Interpolation = "pillow"

    def __post_init__(self) -> None:
        """Check types.

        Raises:
            ConfigError: If there is no such way.
        """
        _check_types(self)


@dataclass(frozen=True)
class Config:
    """All settings of a run.

    Attributes:
        preset: What the other settings started from.
        num_clusters: Number of classes; None = proposed from the images
            (`primaps.pipeline.number_of_classes`).
        seed: Of the fit.
        features: Which features are computed.
        proposals: How mask proposals are found.
        fit: How prototypes are fitted.
        predict: How label maps are made.
        protocol: How a benchmark frames its images.
        inputs: How files become photographs.
        store: What stays of the features when a command is done: "full" = all views; "light" = the
            plain one; "none" = nothing but the mean features of proposals. None = as the folder was
            made with, "full" for a new one.
    """

    preset: Preset = "default"
    num_clusters: int | None = 27
    seed: int = 0
    features: FeatureConfig = field(default_factory=FeatureConfig)
    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    inputs: InputConfig = field(default_factory=InputConfig)
    store: KeptStore | None = None

    def __post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            ConfigError: If a value is out of range.
        """
        _check_types(self)
        clusters = self.num_clusters
        if clusters is not None and not MIN_CLASSES <= clusters <= MAX_CLASSES:
            raise ConfigError(
                f"Expected the number of classes to be between {MIN_CLASSES} and {MAX_CLASSES}, but"
                f" got {clusters}. Label maps are 8-bit images and 255 means ignored."
            )
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"Expected seed to be a whole number from 0 on, but got {self.seed}.")
        if not 1 <= self.features.size <= MAX_SIZE:
            raise ConfigError(
                f"Expected size to be between 1 and {MAX_SIZE} pixels, but got"
                f" {self.features.size}."
            )
        most = self.features.max_enlargement
        if most is not None and most < 1:
            raise ConfigError(f"Expected max_enlargement to be 1 or more, but got {most}.")
        threshold = self.proposals.threshold
        if threshold is not None and not 0.0 < threshold <= 1.0:
            raise ConfigError(
                f"Expected threshold to be a cosine similarity in (0, 1], but got {threshold}."
            )
        if self.proposals.min_area < 0:
            raise ConfigError(
                f"Expected min_area to be 0 or more pixels, but got {self.proposals.min_area}."
            )
        if self.proposals.max_masks is not None and self.proposals.max_masks < 1:
            raise ConfigError(
                f"Expected max_masks to be 1 or more, but got {self.proposals.max_masks}."
            )
        for scale in (self.proposals.crf_scale, self.predict.crf_scale):
            if not 0.0 < scale <= 1.0:
                raise ConfigError(
                    f"Expected crf_scale to be a fraction in (0, 1], but got {scale}."
                )
        self._check_predict()

    def _check_predict(self) -> None:
        if self.predict.max_pixels < 1024:
            raise ConfigError(
                f"Expected max_pixels to be 1024 or more, but got {self.predict.max_pixels}."
            )
        if not 0.0 <= self.predict.unknown_below <= 1.0:
            raise ConfigError(
                "Expected unknown_below to be a certainty in [0, 1], but got"
                f" {self.predict.unknown_below}."
            )


@dataclass(frozen=True)
class FailureLimit:
    """How many inputs may be of no use (``--max-failures``). Concerns no output.

    Attributes:
        number: So many.
        share: Such a fraction of all inputs.
    """

    number: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str | None) -> FailureLimit | None:
        """From ``20`` or ``5%``; None = no limit.

        Raises:
            ConfigError: If it is neither.
        """
        if text is None:
            return None
        try:
            if text.strip().endswith("%"):
                share = float(text.strip().removesuffix("%")) / 100
                if 0 <= share <= 1:
                    return cls(share=share)
            elif int(text) >= 0:
                return cls(number=int(text))
        except ValueError:
            pass
        raise ConfigError(
            "Expected --max-failures to be a number such as 20, or a share of all inputs such as"
            f" 5%, but got {text!r}."
        )

    def most(self, inputs: int) -> int:
        """The largest number of failures that is accepted among so many inputs."""
        if self.number is not None or self.share is None:
            return inputs if self.number is None else self.number
        return math.floor(round(self.share * inputs, 6))  # rounded first: 7 % of 100 are 7


def preset_config(preset: str) -> Config:
    """The settings of a named preset.

    Args:
        preset: "default", "paper" (constants and order of operations of the publication) or "fast".

    Raises:
        ConfigError: If the name is unknown.
    """
    if preset == "default":
        return Config()
    if preset == "paper":
        return Config(
            preset="paper",
            features=FeatureConfig(
                flip=True, photometric_views=2, clamp_jitter=True, max_enlargement=None
            ),
            proposals=ProposalConfig(official_order=True, crf_scale=1.0),
            fit=FitConfig(
                initialise="pca",
                em_on="pixels",
                proposal_weight=1.0,
                soft_votes=False,
                epochs=50,
                kmeans_epochs=2,
                min_steps=1,
                max_steps=None,
                em_learning_rate=5e-3,
                pixels_per_image=None,
                min_agreement=0.0,
                feature_norm=None,
            ),
            predict=PredictConfig(crf_scale=1.0),
            protocol=ProtocolConfig(interpolation="tensor"),
        )
    if preset == "fast":
        return Config(
            preset="fast",
            fit=FitConfig(cluster_restarts=8, min_steps=200, max_steps=500, pixels_per_image=1024),
            predict=PredictConfig(crf=False),
        )
    raise ConfigError(
        f"Unknown preset {preset!r}.{did_you_mean(preset, PRESETS)} Choose one of"
        f" {', '.join(PRESETS)}."
    )


def did_you_mean(name: object, known: tuple[str, ...] | list[str]) -> str:
    """A hint naming the closest known names, with a leading blank, or an empty string."""
    if not isinstance(name, str):
        return ""
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of some words.

    Raises:
        ConfigError: If it is none; the message suggests the closest.
    """
    if value not in choices:
        raise ConfigError(
            f"Expected {name} to be one of {', '.join(choices)}, but got"
            f" {value!r}.{did_you_mean(value, choices)}"
        )


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "Method": get_args(Method),
    "Initialise": get_args(Initialise),
    "FitOn": get_args(FitOn),
    "Framing": get_args(Framing),
    "Interpolation": get_args(Interpolation),
    "Pages": get_args(Pages),
    "KeptStore": get_args(KeptStore),
}


def _check_types(part: Any) -> None:
    """Refuse values of other types than the fields of a dataclass say; NumPy's numbers become
    Python's, which JSON can hold.
    """
    for entry in dataclasses.fields(part):
        kind, value = str(entry.type), getattr(part, entry.name)
        plain = kind.removesuffix(" | None")
        if value is None and plain != kind:
            continue
        if plain == "int":
            checked: object = whole_number(entry.name, value)
        elif plain == "float":
            checked = real_number(entry.name, value)
        elif plain == "bool":
            checked = truth(entry.name, value)
        elif plain in _CHOICES:
            one_of(entry.name, value, _CHOICES[plain])
            continue
        else:
            _check_part(part, entry.name, value)
            continue
        if type(checked) is not type(value):
            object.__setattr__(part, entry.name, checked)


def _check_part(part: Any, name: str, value: object) -> None:
    expected = _NESTED.get((type(part), name))
    if expected is not None and not isinstance(value, expected):
        raise ConfigError(
            f"Expected {name} to be a primaps.config.{expected.__name__}, but got {value!r}."
        )


def to_dict(config: Config) -> dict[str, Any]:
    """Plain nested dictionary of a configuration, JSON-ready."""
    return dataclasses.asdict(config)


T = TypeVar("T")

_NESTED: dict[tuple[type, str], type] = {
    (Config, "features"): FeatureConfig,
    (Config, "proposals"): ProposalConfig,
    (Config, "fit"): FitConfig,
    (Config, "predict"): PredictConfig,
    (Config, "protocol"): ProtocolConfig,
    (Config, "inputs"): InputConfig,
    (ProposalConfig, "crf"): CRFConfig,
}


def from_dict(values: Mapping[str, Any]) -> Config:
    """Strict inverse of `to_dict`; missing keys take their defaults.

    Raises:
        ConfigError: If a key is unknown; the message suggests the closest known one.
    """
    return _parse(Config, values, where="")


def from_record(values: Mapping[str, Any]) -> Config:
    """A configuration that `to_dict` of this version or an earlier one gave; settings that did not
    exist yet are as `IMPLIED`.

    Raises:
        ConfigError: If a key is unknown.
    """
    return _parse(Config, values, where="", implied=IMPLIED)


def part_from_record(part: str, values: Mapping[str, Any]) -> Any:
    """`from_record` for one part of a configuration, such as ``predict``."""
    return _parse(_NESTED[Config, part], values, where=f"{part}.", implied=IMPLIED)


def comparable(part: Any, name: str) -> dict[str, Any]:
    """Plain dictionary of a part of a configuration, for comparisons and fingerprints: without what
    is as `IMPLIED`.

    Args:
        part: One of the dataclasses of this module.
        name: Of the part, such as ``fit``.
    """
    values: dict[str, Any] = {}
    for entry in dataclasses.fields(part):
        value, full = getattr(part, entry.name), f"{name}.{entry.name}"
        if full in UNCOMPARED:
            continue
        if dataclasses.is_dataclass(value):
            values[entry.name] = comparable(value, full)
        elif full not in IMPLIED or IMPLIED[full] != value:
            values[entry.name] = value
    return values


def with_settings(config: Config, given: Mapping[str, Any]) -> Config:
    """A configuration with other values.

    Args:
        config: All settings.
        given: Values by full name, such as ``{"num_clusters": 5, "fit.method": "baseline"}``. With
            a method and no ``fit.initialise``, the fit starts as that method does, see
            `FitConfig.with_method`.

    Raises:
        ConfigError: If a name is unknown, or a value out of range.
    """
    values = to_dict(config)
    for name, value in given.items():
        *path, last = name.split(".")
        part = values
        for key in path:
            part = part[key]
        part[last] = value
    changed = from_dict(values)
    if "fit.initialise" in given:
        changed.fit.check_start()
        return changed
    return dataclasses.replace(changed, fit=changed.fit.with_method(changed.fit.method))


def _parse(
    kind: type[T],
    values: Mapping[str, Any],
    where: str,
    implied: Mapping[str, Any] = MappingProxyType({}),
) -> T:
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"Expected {where.removesuffix('.') or 'a configuration'} to hold settings by name, but"
            f" got {repr(values)[:80]}."
        )
    names = [entry.name for entry in dataclasses.fields(kind)]  # type: ignore[arg-type]
    parsed: dict[str, Any] = {
        name: implied[where + name] for name in names if where + name in implied
    }
    hints = get_type_hints(kind)
    for key, value in values.items():
        if key not in names:
            raise ConfigError(
                f"Unknown setting {where + key!r}.{did_you_mean(key, names)} Known:"
                f" {', '.join(names)}."
            )
        hint = hints[key]
        if (kind, key) not in _NESTED and not _fits(value, hint):
            raise ConfigError(
                f"Expected {where + key} to be {in_words(hint)}, but got {repr(value)[:80]}."
            )
        parsed[key] = value
    for key in names:
        nested = _NESTED.get((kind, key))
        if nested is not None:
            parsed[key] = _parse(nested, values.get(key, {}), f"{where}{key}.", implied)
    return kind(**parsed)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from a file or a call is of the type that a setting has."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return isinstance(value, str)  # which ones there are is told by the setting's own check
    if parts and get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and _fit_together(value, parts)
    if parts:
        return any(_fits(value, part) for part in parts)
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if hint in {int, float}:
        return isinstance(value, int | hint) and abs(value) < _LARGEST
    return bool(isinstance(value, hint))


def _fit_together(values: Sequence[Any], parts: tuple[Any, ...]) -> bool:
    """The same for the values of a tuple."""
    wanted = (parts[0],) * len(values) if parts[-1] is Ellipsis else parts
    return len(values) == len(wanted) and all(map(_fits, values, wanted))


_LARGEST: Final = 2**63
"""Where numbers of other libraries end; NaN is not below it."""

_WORDS: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def in_words(hint: Any) -> str:
    """What a setting of such a type may be."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if get_origin(hint) is tuple:
        return "a list"
    if parts:
        return " or ".join(dict.fromkeys(map(in_words, parts)))
    return "nothing" if hint is types.NoneType else _WORDS[hint]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Human-readable lines ``name: old -> new`` for every leaf in which two nested dictionaries
    differ.

    Args:
        old: May lack settings that are as `IMPLIED`, like `comparable`.
        new: Likewise.
        prefix: Of the names.
    """
    lines: list[str] = []
    for key in sorted({*old, *new}):
        before, after = (values.get(key, IMPLIED.get(prefix + key)) for values in (old, new))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return lines
