"""A fitted model as one portable file: backbone, prototypes and classes as an ONNX graph, beside a
description of how photographs are prepared for it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from primaps.errors import BackboneError, ConfigError, MissingExtraError, OutputError
from primaps.features.extractor import FrozenBackbone
from primaps.features.preprocess import MAX_ASPECT
from primaps.features.registry import find_spec
from primaps.features.tracing import cannot_be_traced, traceable
from primaps.heads.extractor import BackboneWithHead, plain_backbone
from primaps.heads.loading import reload_backbone
from primaps.pipeline.classes import read_classes
from primaps.progress import Progress, Silent
from primaps.prototypes.classifier import logits
from primaps.runs.model import Model
from primaps.runs.store import atomic_write, read_json, write_json
from primaps.types import IGNORE_INDEX, ClassTable, FeatureExtractor, NamedClass
from primaps.version import __version__

MODEL_FILE: Final = "model.onnx"
DESCRIPTION_FILE: Final = "preprocessing.json"
OPSET: Final = 18
"""Version of the operators: the first whose enlarging is as exact as torch's."""

_FORMAT: Final = "primaps-portable-1"
_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_AGREEMENT: Final = 0.999
"""Share of pixels of the same class that the file must reach on the noise it is checked with."""
_CHECKED_SIZES: Final = ((1, 4, 4), (2, 5, 3))
"""Images, and their sides in multiples; others than what the graph is traced with."""
_TRACED_SIZE: Final = (2, 3, 5)


@dataclass(frozen=True)
class Channel:
    """One channel of the logits.

    Attributes:
        id: Of the class, as in label maps with names; 255 = unlabelled.
        name: Its name, or ``class 3`` where nobody gave one.
        colour: Red, green, blue, 0..255.
        clusters: Cluster ids, ascending; the channel is the largest of their logits.
    """

    id: int
    name: str
    colour: tuple[int, int, int]
    clusters: tuple[int, ...]


def channels(table: ClassTable) -> tuple[Channel, ...]:
    """The channels of the logits: classes that have clusters, by ascending id, and last, if there
    is anything, what counts as unlabelled.

    Args:
        table: Classes of the model.
    """
    used = [each for each in table.classes if each.clusters and not each.ignore]
    found = [_channel(each) for each in used]
    named = {cluster for each in used for cluster in each.clusters}
    rest = tuple(cluster for cluster in range(table.num_clusters) if cluster not in named)
    if rest:
        found.append(Channel(IGNORE_INDEX, "unlabelled", (0, 0, 0), rest))
    return tuple(found)


def _channel(each: NamedClass) -> Channel:
    return Channel(each.id, each.title, each.colour, tuple(sorted(each.clusters)))


class PortableModel(nn.Module):
    """Class logits of normalised images: what `primaps.pipeline.prediction` does without CRF."""

    _prototypes: torch.Tensor

    def __init__(self, backbone: FeatureExtractor, model: Model, kept: tuple[Channel, ...]) -> None:
        """Join the parts, on the CPU.

        Args:
            backbone: What the model was fitted to, with a head or without.
            model: The prototypes.
            kept: What the channels are.

        Raises:
            BackboneError: If the backbone has no portable form.
        """
        super().__init__()
        plain = plain_backbone(backbone)
        if not isinstance(plain, FrozenBackbone):
            raise cannot_be_traced(plain.name, "it is none of this package")
        self.features = traceable(plain)
        self.head: nn.Module | None = None
        if isinstance(backbone, BackboneWithHead):
            if backbone.inference_dropout:
                raise cannot_be_traced(backbone.name, "its head drops channels at random")
            self.head = backbone.head.network.eval()
        order = [cluster for channel in kept for cluster in channel.clusters]
        self.register_buffer("_prototypes", model.prototypes.cpu()[order].clone())
        self._cosine = model.fit.cosine
        self._groups = [len(channel.clusters) for channel in kept]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class logits.

        Args:
            images: (N, 3, H, W) float32, normalised, sides multiples of the backbone's.

        Returns:
            (N, channels, H, W) float32.
        """
        features = self.features(images)
        if self.head is not None:
            features = self.head(features)
        return self.class_logits(features, images.shape[2:])

    def class_logits(self, features: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """Class logits of features. Clusters are enlarged first and merged second, so that the
        largest channel is the class of the largest cluster.

        Args:
            features: (N, C, h, w) float32, the backbone's or the head's.
            size: (H, W) of the result.

        Returns:
            (N, channels, H, W) float32.
        """
        scores = logits(features, self._prototypes, cosine=self._cosine)
        scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
        if max(self._groups) == 1:
            return scores
        parts = torch.split(scores, self._groups, dim=1)
        return torch.cat([part.amax(1, keepdim=True) for part in parts], dim=1)


def export_model(
    folder: str | Path,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    head: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a model as ``model.onnx`` and ``preprocessing.json``. The file is run before it is
    written, and compared with torch.

    Args:
        folder: Of a run or of a model; its names are applied.
        out: A new folder, or one of an earlier portable model.
        weights: Weights file of the backbone, if it has moved.
        head: Folder of the head, if it has moved.
        progress: Who is told.

    Returns:
        The ONNX file.

    Raises:
        MissingExtraError: If a package of the extra ``onnx`` is not installed.
        CheckpointError: If there is no model, or its backbone or head is another one.
        BackboneError: If the backbone cannot be exported, or its weights cannot be had.
        ConfigError: If ``out`` holds something else, or the names have a mistake.
        OutputError: If something cannot be written.
    """
    told, target = progress or Silent(), Path(out)
    _check_packages()
    _check_target(target)
    model = Model.load(Path(folder))
    kept = channels(read_classes(folder))
    backbone = reload_backbone(
        model.backbone,
        weights=weights or model.weights,
        device="cpu",
        head=head or model.head,
    )
    model.check_backbone(backbone.describe())
    portable = PortableModel(backbone, model, kept).eval()
    description = describe(backbone, model, kept)
    told.plan(("trace", "check"))
    told.start("trace", 1)
    data = _traced(portable, backbone, description)
    told.finish()
    told.start("check", len(_CHECKED_SIZES))
    _check(data, portable, backbone, told)
    told.finish()
    # the description last, as the sign that both are complete
    with contextlib.suppress(FileNotFoundError):
        (target / DESCRIPTION_FILE).unlink()
    atomic_write(target / MODEL_FILE, data)
    write_json(target / DESCRIPTION_FILE, description)
    return target / MODEL_FILE


def describe(backbone: FeatureExtractor, model: Model, kept: tuple[Channel, ...]) -> dict[str, Any]:
    """What a program needs to know to use the file, as JSON values."""
    spec = find_spec(str(model.backbone["name"]))
    return {
        "format": _FORMAT,
        "primaps": __version__,
        "input": "images: (N, 3, H, W) float32, RGB, (value / 255 - mean) / std",
        "output": "logits: (N, channels, H, W) float32; the class is that of the largest channel",
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "short_side": model.size,
        "multiple": backbone.input_multiple,
        "max_enlargement": model.max_enlargement,
        "max_aspect": MAX_ASPECT,
        "resize": (
            "Scale the short side to short_side pixels, but to no more than max_enlargement times"
            " its own length if that is given, and the long one alike (at most max_aspect times the"
            " short one), round each to the nearest multiple (halves go up, at least one)."
            " Bilinear with antialiasing, on 8-bit values, as Pillow's BILINEAR does."
        ),
        "channels": [
            {
                "id": channel.id,
                "name": channel.name,
                "colour": list(channel.colour),
                "clusters": list(channel.clusters),
            }
            for channel in kept
        ],
        "backbone": {
            "name": backbone.name,
            "source": spec.source,
            "training": spec.training,
            "licence": model.backbone["licence"],
        },
        "model": model.fingerprint,
    }


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"Expected {', '.join(missing)}, which a portable model is made with, but"
            f" {'it is' if len(missing) == 1 else 'they are'} not installed. Install with: pip"
            " install 'primaps[onnx]'"
        )


def _check_target(target: Path) -> None:
    """Nobody else's folder is written to.

    Raises:
        ConfigError: If there is something else.
    """
    if target.exists() and not target.is_dir():
        raise ConfigError(f"Expected --out to be a folder, but {target} is a file.")
    if not target.is_dir() or not any(target.iterdir()):
        return
    description = target / DESCRIPTION_FILE
    if (target / MODEL_FILE).exists() and not description.exists():
        return  # cut short between the two files
    if not description.exists() or read_json(description).get("format") != _FORMAT:
        raise ConfigError(
            f"Expected {target} to be a new folder, or one of an earlier portable model, but it"
            " holds something else. Choose another --out."
        )


def _traced(
    portable: PortableModel, backbone: FeatureExtractor, description: dict[str, Any]
) -> bytes:
    """The ONNX file."""
    from torch.export import Dim

    images, rows, columns = _TRACED_SIZE
    multiple = backbone.input_multiple
    sizes = {0: Dim("images"), 2: multiple * Dim("rows"), 3: multiple * Dim("columns")}
    with _quiet():
        try:
            program = torch.onnx.export(
                portable,
                (torch.zeros(images, 3, multiple * rows, multiple * columns),),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes={"images": sizes},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # whatever an exporter says to a model it cannot follow
            if isinstance(error, MemoryError | torch.OutOfMemoryError):
                raise
            raise cannot_be_traced(backbone.name, _first_line(error)) from error
    assert program is not None
    proto = program.model_proto
    proto.producer_name = "primaps"
    proto.producer_version = str(description["primaps"])
    for key, value in description.items():
        text = value if isinstance(value, str) else json.dumps(value)
        proto.metadata_props.add(key=key, value=text)
    try:
        data: bytes = proto.SerializeToString()
    except ValueError as error:
        raise OutputError(
            f"Expected a model of less than 2 GB, as an ONNX file can hold, but got more:"
            f" {_first_line(error)}"
        ) from error
    return data


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's talk, which is for its developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@torch.no_grad()
def _check(
    data: bytes, portable: PortableModel, backbone: FeatureExtractor, told: Progress
) -> None:
    """Run the file on noise of other sizes than it was traced with, beside the backbone itself.

    Raises:
        BackboneError: If its classes differ from those of torch.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    for images, rows, columns in _CHECKED_SIZES:
        shape = (images, 3, rows * backbone.input_multiple, columns * backbone.input_multiple)
        batch = torch.randn(shape, generator=generator)
        expected = portable.class_logits(backbone.forward(batch), shape[2:])
        try:
            found = np.asarray(session.run(None, {"images": batch.numpy()})[0])
        except Exception as error:  # of the runtime, which has no class of its own for it
            raise cannot_be_traced(backbone.name, _first_line(error)) from error
        same = float((found.argmax(1) == expected.argmax(1).numpy()).mean())
        if same < _AGREEMENT:
            raise BackboneError(
                f"Expected the exported {backbone.name!r} to give the classes that torch gives, but"
                f" only {same:.2%} of the pixels of inputs of {shape[2]} x {shape[3]} agree. Fit"
                " with another backbone, or report this."
            )
        told.advance()
