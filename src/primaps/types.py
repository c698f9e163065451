"""What travels between the stages. Shapes and dtypes are stated per field; everything is
immutable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import os

    import PIL.Image
    import torch

IGNORE_INDEX: Final = 255
"""Label of pixels that carry no class: excluded from every loss and every score."""

Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

ImageLike: TypeAlias = "str | os.PathLike[str] | PIL.Image.Image | NDArray[Any] | torch.Tensor"
"""What `primaps.pictures.as_image` makes an image of: a path, a PIL image, an array (H, W, 3) or
(H, W), a torch tensor (3, H, W); uint8, or floating point in [0, 1].
"""


NoteKind: TypeAlias = Literal[
    "alpha",
    "bands",
    "damaged",
    "no-data",
    "orientation",
    "page",
    "profile",
    "range",
    "reduced",
]


@dataclass(frozen=True)
class ReadingNote:
    """Something that was done to an image because it is not plain 8-bit RGB.

    Attributes:
        kind: What it concerns.
        text: A sentence.
    """

    kind: NoteKind
    text: str


@dataclass(frozen=True, eq=False)
class MaskProposals:
    """Disjoint principal mask proposals of one image.

    Attributes:
        label_image: (H, W) int32; 0 = unassigned, 1..K = proposals, consecutive, in order of
            extraction.
        scores: (K,) float32 in [-1, 1]; mean cosine similarity of a proposal's tokens to its
            anchor.
        guards: Names of the degenerate cases that had to be handled, in order (empty for most
            images).
    """

    label_image: NDArray[np.int32]
    scores: NDArray[np.float32]
    guards: tuple[str, ...] = ()

    @property
    def num_masks(self) -> int:
        """K, the number of proposals."""
        return len(self.scores)

    @property
    def coverage(self) -> float:
        """Fraction of pixels that belong to a proposal, in [0, 1]."""
        return float(np.count_nonzero(self.label_image) / self.label_image.size)

    def __eq__(self, other: object) -> bool:
        """The same regions, scores and cases."""
        if not isinstance(other, MaskProposals):
            return NotImplemented
        return (
            np.array_equal(self.label_image, other.label_image)
            and np.array_equal(self.scores, other.scores)
            and self.guards == other.guards
        )

    __hash__ = None  # type: ignore[assignment]  # arrays may change

    def __repr__(self) -> str:
        height, width = self.label_image.shape
        guards = f", guards={self.guards}" if self.guards else ""
        return (
            f"MaskProposals({self.num_masks} proposals in {width} x {height} pixels,"
            f" {self.coverage:.0%} covered{guards})"
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One record per proposal, in the form that mask tools read.

        Returns:
            For each proposal a dict with ``id`` (1..K), ``segmentation`` (COCO RLE: ``size`` [H, W]
            and ``counts`` str), ``area`` (pixels), ``bbox`` ([x, y, width, height] in pixels) and
            ``score`` (mean cosine to the anchor).
        """
        from pycocotools import mask as coco_mask

        records: list[dict[str, Any]] = []
        for index in range(self.num_masks):
            binary = np.asfortranarray(self.label_image == index + 1, dtype=np.uint8)
            rle = coco_mask.encode(binary)
            records.append(
                {
                    "id": index + 1,
                    "segmentation": {
                        "size": list(rle["size"]),
                        "counts": rle["counts"].decode("ascii"),
                    },
                    "area": int(coco_mask.area(rle)),
                    "bbox": [float(value) for value in coco_mask.toBbox(rle)],
                    "score": float(self.scores[index]),
                }
            )
        return records


@dataclass(frozen=True)
class ThresholdStatistics:
    """What a similarity threshold makes of a sample of images, before the CRF.

    Attributes:
        threshold: Cosine similarity to the anchor from which on a token belongs to a proposal.
        proposals: Median number of proposals per image that the median filter leaves.
        coverage: Mean fraction of the tokens that belong to one after the median filter, in [0, 1].
    """

    threshold: float
    proposals: float
    coverage: float


@dataclass(frozen=True)
class ThresholdChoice:
    """The similarity threshold of a run, and how it came about.

    Attributes:
        value: Cosine similarity to the anchor from which on a token belongs to a proposal.
        source: "given" by the user, the "backbone"'s own, or "calibrated" on a sample of the
            images.
        candidates: What it was chosen from, if it was calibrated.
        sample: Names of the images it was calibrated on.
    """

    value: float
    source: Literal["given", "backbone", "calibrated"]
    candidates: tuple[ThresholdStatistics, ...] = ()
    sample: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberChoice:
    """The number of classes that a run proposed to itself, and how it came about.

    Attributes:
        value: K.
        curve: (number of classes, score), by ascending number; of the scores the criterion chose.
    """

    value: int
    curve: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ExtractionStep:
    """One round of the iterative extraction of mask proposals, on the token grid of the image: what
    a picture of it shows.

    Attributes:
        available: (h, w) bool; tokens that no earlier round took.
        alignment: (h, w) float32 cosine similarity to the principal direction of the available
            tokens, in [-1, 1].
        anchor: (row, column) of the token most similar to the direction.
        similarity: (h, w) float32 cosine similarity of every token to the anchor, in [-1, 1].
        mask: (h, w) bool; tokens of the proposal.
    """

    available: NDArray[np.bool_]
    alignment: NDArray[np.float32]
    anchor: tuple[int, int]
    similarity: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class ImageFile:
    """One input image.

    Attributes:
        path: Where it lies.
        name: Relative path with forward slashes and the image's extension; unique in a run, names
            every output of the image.
        page: Of a file of several pages or frames that are all used, from 1 on; None = the file is
            one image.
    """

    path: Path
    name: str
    page: int | None = None

    @property
    def place(self) -> str:
        """The path, and the page if there are several, as failures name the image."""
        return str(self.path) if self.page is None else f"{self.path}, page {self.page}"


@dataclass(frozen=True)
class Failure:
    """An input that could not be used: reported, never lost in silence.

    Attributes:
        path: The input as found.
        stage: "scan", "read", "proposals", "predict", ...
        reason: What was expected, what came, what to do.
    """

    path: str
    stage: str
    reason: str


@dataclass(frozen=True, order=True)
class View:
    """One cached view of an image: its geometry and, for the student, one photometric draw.

    Attributes:
        flip: The image was mirrored left to right before the backbone saw it.
        photometric: Number of the photometric draw (blur, jitter, grey); None = colours as they are
            (teacher view).
    """

    flip: bool = False
    photometric: int | None = None


class FeatureSource(Protocol):
    """Random access to cached features and proposals: what prototypes are fitted to.

    Images may differ in size; everything of one image shares one token grid (h, w). Several threads
    may ask at the same time.
    """

    @property
    def views(self) -> tuple[View, ...]:
        """The views that every image has; always contains ``View()``."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def features(self, index: int, view: View) -> torch.Tensor:
        """(C, h, w) floating-point features of one view of image ``index``."""
        ...

    def proposals(self, index: int) -> torch.Tensor:
        """(H, W) integer proposal ids of image ``index`` (un-flipped), 0 = unassigned; H/h = W/w =
        stride.
        """
        ...


class CheckpointStore(Protocol):
    """Where a fit keeps its state between two runs. The caller makes sure that it belongs to the
    same data and settings.
    """

    def load(self) -> dict[str, torch.Tensor] | None:
        """The state saved last, or None if there is none."""
        ...

    def save(self, state: dict[str, torch.Tensor]) -> None:
        """Replace the saved state by this flat dictionary of CPU tensors."""
        ...


_THRESHOLD: Final = "_primaps_threshold"


def remember_threshold(features: torch.Tensor, threshold: float | None) -> torch.Tensor:
    """Note on a tensor of features the threshold of their backbone, for `remembered_threshold`;
    None = it has none.
    """
    setattr(features, _THRESHOLD, threshold)
    return features


def remembered_threshold(features: object) -> float | None:
    """The threshold of the backbone that features came from; None if it has none, or they are
    copies or computed further.
    """
    threshold: float | None = getattr(features, _THRESHOLD, None)
    return threshold


@runtime_checkable
class FeatureExtractor(Protocol):
    """A frozen backbone, or a backbone with a head: images in, dense features out.

    ``primaps.load_backbone(NAME)`` gives one.

    Attributes:
        name: Name it was loaded under.
        dim: Number of feature channels C.
        patch_size: Stride of the feature grid in pixels of the input.
        input_multiple: What the sides of an input are multiples of, in pixels.
        threshold: Cosine similarity from which a token belongs to a proposal; None = none is
            published.
        mean: Per-channel mean of the input normalisation, RGB in [0, 1].
        std: Per-channel standard deviation of the input normalisation.
        weights_path: File that the weights were read from; None = bundled or from the hub.
    """

    name: str
    dim: int
    patch_size: int
    input_multiple: int
    threshold: float | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights_path: str | None

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        ...

    def extract(self, image: ImageLike, size: int = 320) -> torch.Tensor:
        """(C, h, w) float32 features of one image, a path included."""
        ...

    def preprocess(self, image: ImageLike, size: int = 320) -> torch.Tensor:
        """(1, 3, H', W') float32 normalised input on the device; H' and W' are multiples of
        ``input_multiple``.
        """
        ...

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) float32 features of a preprocessed (N, 3, H', W') batch, without
        gradient.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """What identifies the features (name, weights checksum, ...): JSON values, compared on
        resume.
        """
        ...


@dataclass(frozen=True)
class FitResult:
    """Fitted class prototypes.

    Attributes:
        teacher: (K, C) float32 effective prototypes (scale times unit direction) of the momentum
            teacher.
        student: (K, C) float32 likewise of the student; equal to the teacher for the baseline.
        cosine: True if logits are cosines (baseline), False if they are inner products with raw
            features (EM).
        usage: (K,) int64 number of tokens of the training images that the teacher gives to each
            cluster; -1 where that is not known, as of imported prototypes.
        losses: Loss per step of the main phase.
    """

    teacher: torch.Tensor
    student: torch.Tensor
    cosine: bool
    usage: torch.Tensor
    losses: tuple[float, ...] = field(default=(), repr=False)

    @property
    def dead_clusters(self) -> tuple[int, ...]:
        """Ids of the clusters that no token of the training images belongs to."""
        return tuple(int(index) for index in (self.usage == 0).nonzero().flatten())


@dataclass(frozen=True)
class FitCurves:
    """What changes over the main phase of a fit.

    Attributes:
        losses: (steps,) float64 loss of every step.
        steps: (n,) int64 steps that are done at each of the n snapshots, increasing.
        usage: (n, K) float64 share of the tokens that the teacher gives to each cluster; rows sum
            to 1.
        agreement: (n,) float64 share of the tokens that student and teacher classify alike; 1 for
            the baseline, which has one set of prototypes only.
    """

    losses: NDArray[np.float64]
    steps: NDArray[np.int64]
    usage: NDArray[np.float64]
    agreement: NDArray[np.float64]


@dataclass(frozen=True)
class ClusterAssignment:
    """Which class each cluster stands for.

    Attributes:
        cluster_to_class: (K,) int64 class id per cluster id; IGNORE_INDEX where a cluster stands
            for nothing.
        class_names: Names by class id.
    """

    cluster_to_class: NDArray[np.int64]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class NamedClass:
    """A class as a person names it: some clusters, or none where it lives by corrections alone.

    Attributes:
        id: Class id, 0..254; what label maps with names hold. Stays when other classes change.
        name: What the person calls it; None = nothing yet.
        colour: Red, green, blue, 0..255.
        clusters: Cluster ids that belong to the class, ascending.
        ignore: Its pixels count as unlabelled (255) wherever names are applied.
        note: Free text.
    """

    id: int
    name: str | None
    colour: tuple[int, int, int]
    clusters: tuple[int, ...]
    ignore: bool = False
    note: str = ""

    @property
    def title(self) -> str:
        """The name, or ``class 3`` where there is none."""
        return f"class {self.id}" if self.name is None else self.name


@dataclass(frozen=True)
class ClassTable:
    """All classes of a model, by ascending id.

    Attributes:
        num_clusters: K; every cluster 0..K-1 belongs to one class at most.
        classes: The classes.
    """

    num_clusters: int
    classes: tuple[NamedClass, ...]

    def cluster_to_class(self) -> NDArray[np.int64]:
        """(256,) int64 class id per value of a label map; IGNORE_INDEX for ignored classes, for
        clusters of no class and for IGNORE_INDEX itself.
        """
        table = np.full(IGNORE_INDEX + 1, IGNORE_INDEX, dtype=np.int64)
        for each in self.classes:
            if not each.ignore:
                table[list(each.clusters)] = each.id
        return table


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Scores of label maps against ground truth, over a whole data set.

    Attributes:
        accuracy: Fraction of labelled pixels with the right class, in [0, 1].
        miou: Mean over classes of intersection over union, NaN classes left out, in [0, 1].
        per_class_iou: IoU by class name; NaN = absent from truth and prediction.
        assignment: The cluster assignment that the scores were computed under.
        confusion: (num_classes, num_clusters) int64 pixel counts, rows = truth.
        num_images: How many images were compared.
    """

    accuracy: float
    miou: float
    per_class_iou: Mapping[str, float]
    assignment: ClusterAssignment
    confusion: NDArray[np.int64]
    num_images: int

    def __eq__(self, other: object) -> bool:
        """The same counts, images and assignment, from which all scores follow."""
        if not isinstance(other, EvaluationResult):
            return NotImplemented
        return (
            np.array_equal(self.confusion, other.confusion)
            and np.array_equal(self.assignment.cluster_to_class, other.assignment.cluster_to_class)
            and self.assignment.class_names == other.assignment.class_names
            and self.num_images == other.num_images
        )

    __hash__ = None  # type: ignore[assignment]  # arrays may change
