"""What the pieces of the work on one image take: core-seconds and bytes, for `cost_model.py`.

Core-seconds are those of this process, in the program and in the system, with one thread; waiting
for disk and network is not in them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from inputs import folder_of_photographs
from numpy.typing import NDArray
from PIL import Image, ImageOps

from primaps.config import preset_config
from primaps.data.reading import Photo, read_image
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import BackboneSpec, find_spec
from primaps.heads.extractor import plain_backbone
from primaps.heads.loading import load_backbone
from primaps.outputs.label_files import write_label_map, write_proposals
from primaps.pipeline.features_and_proposals import as_image
from primaps.pipeline.framed import framed_photo
from primaps.pipeline.prediction import label_map
from primaps.proposals.extract import extract_proposals
from primaps.proposals.resampling import enlarge_nearest
from primaps.runs.model import Model
from primaps.runs.store import FeatureStore, ShardInfo
from primaps.types import ImageFile, MaskProposals, View

TILE: Final = (320, 480)
"""(height, width) of a small photograph; a large one is four of them."""
QUALITY: Final = 92
CONFIG: Final = preset_config("default")


@dataclass(frozen=True)
class Line:
    """Cost as a fixed part and one in proportion to the pixels.

    Attributes:
        fixed: Seconds or bytes per image.
        per_megapixel: The same per million pixels.
    """

    fixed: float
    per_megapixel: float

    def at(self, pixels: float) -> float:
        """The cost of an image of so many pixels."""
        return self.fixed + self.per_megapixel * pixels / 1e6


def line_through(points: Sequence[tuple[float, float]]) -> Line:
    """The line through (pixels, cost), by least squares; through the origin where its fixed part
    would be negative.
    """
    pixels, costs = (np.array(column, float) for column in zip(*points, strict=True))
    slope, fixed = np.polyfit(pixels, costs, 1) if len(set(pixels)) > 1 else (0.0, -1.0)
    if fixed < 0:
        slope, fixed = float(pixels @ costs / (pixels @ pixels)), 0.0
    return Line(float(fixed), float(slope) * 1e6)


@dataclass(frozen=True)
class Shared:
    """What does not depend on the backbone, as lines over the pixels of the photograph.

    Attributes:
        reading: Core-seconds: file to pixels, with its checksum.
        drawing: Core-seconds: proposals at the photograph's size, as PNG.
        labelling: Core-seconds: logits to a label map with CRF, as PNG.
        labelling_plain: The same without CRF.
        photo_bytes: JPEG of quality 92.
        proposal_bytes: 16-bit PNG.
        label_bytes: 8-bit PNG.
        proposals: Mean number per image.
    """

    reading: Line
    drawing: Line
    labelling: Line
    labelling_plain: Line
    photo_bytes: Line
    proposal_bytes: Line
    label_bytes: Line
    proposals: float


@dataclass(frozen=True)
class OfBackbone:
    """What depends on the backbone, as lines over the pixels of its input.

    Attributes:
        name: As in the registry.
        features: Core-seconds: photograph to features, resizing in it.
        proposals: Core-seconds: features to proposals with CRF, at the input's size.
        storing: Core-seconds: into the store.
        store_bytes: Of the file in the store, one view.
        dim: Channels.
        multiple: What sides of inputs are multiples of, in pixels.
        drawn: Its weights are random: learned ones take as long.
    """

    name: str
    features: Line
    proposals: Line
    storing: Line
    store_bytes: Line
    dim: int
    multiple: int
    drawn: bool


@dataclass(frozen=True)
class Pictures:
    """Photographs to measure on: small ones, and large ones made of four small ones each.

    Attributes:
        small: JPEG files of 320 x 480.
        large: JPEG files of 640 x 960.
        origin: In words.
    """

    small: tuple[ImageFile, ...]
    large: tuple[ImageFile, ...]
    origin: str


def write_pictures(folder: Path, count: int) -> Pictures:
    """Photographs cut to one size, in two sizes."""
    paths, origin = folder_of_photographs(count)
    tiles = [
        np.asarray(ImageOps.fit(Image.fromarray(read_image(path)), TILE[::-1])) for path in paths
    ]
    fours = [
        np.concatenate([np.concatenate(four[:2], axis=1), np.concatenate(four[2:], axis=1)], axis=0)
        for four in (
            [tiles[(first + add) % len(tiles)] for add in range(4)]
            for first in range(0, len(tiles), 4)
        )
    ]
    return Pictures(_save(folder, "small", tiles), _save(folder, "large", fours), origin)


def _save(folder: Path, name: str, pictures: Sequence[NDArray[np.uint8]]) -> tuple[ImageFile, ...]:
    made = []
    for number, picture in enumerate(pictures):
        path = folder / f"{name}-{number:04}.jpg"
        Image.fromarray(picture).save(path, quality=QUALITY)
        made.append(ImageFile(path, path.name))
    return tuple(made)


def core_seconds(work: Callable[[], Any], turns: int) -> float:
    """The least of so many times, after one that warms up."""
    work()
    spent = []
    for _ in range(turns):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def measure_shared(
    pictures: Pictures, backbone: FrozenBackbone, model: Model, turns: int
) -> Shared:
    """Reading, proposals as PNG, label maps, at two sizes of photographs.

    Args:
        pictures: The photographs.
        backbone: Whose features are taken.
        model: Fitted to such features.
        turns: Measurements, of which the least counts.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    counts = []
    with tempfile.TemporaryDirectory() as folder:
        for image in (*pictures.small, *pictures.large):
            photo = framed_photo(image, CONFIG)
            pixels = float(photo.height * photo.width)
            plain = backbone.preprocess(photo.image, CONFIG.features.size)
            features = backbone.forward(plain)[0]
            proposals = _proposals(plain, features, backbone)
            counts.append(proposals.num_masks)
            made = {
                "reading": core_seconds(partial(framed_photo, image, CONFIG), turns),
                "photo_bytes": image.path.stat().st_size,
                **_drawn(Path(folder), photo, proposals, turns),
                **_labelled(Path(folder), photo, features, model, turns),
            }
            for key, cost in made.items():
                points.setdefault(key, []).append((pixels, float(cost)))
    lines = {key: line_through(found) for key, found in points.items()}
    return Shared(**lines, proposals=float(np.mean(counts)))


def _drawn(folder: Path, photo: Photo, proposals: MaskProposals, turns: int) -> dict[str, float]:
    path = folder / "proposals.png"

    def draw() -> None:
        small = torch.from_numpy(proposals.label_image.astype(np.uint8))
        write_proposals(path, enlarge_nearest(small, photo.height, photo.width).numpy(), {})

    return {"drawing": core_seconds(draw, turns), "proposal_bytes": path.stat().st_size}


def _labelled(
    folder: Path, photo: Photo, features: torch.Tensor, model: Model, turns: int
) -> dict[str, float]:
    path = folder / "labels.png"

    def label(crf: bool) -> None:
        size, settings = (photo.height, photo.width), replace(CONFIG.predict, crf=crf)
        write_label_map(path, label_map(features, model, size, settings, photo.image), {})

    return {
        "labelling_plain": core_seconds(lambda: label(crf=False), turns),
        "labelling": core_seconds(lambda: label(crf=True), turns),
        "label_bytes": path.stat().st_size,
    }


def measure_backbone(
    name: str,
    pictures: Sequence[ImageFile],
    tokens_of: FrozenBackbone,
    sizes: Sequence[int],
    turns: int,
) -> OfBackbone:
    """Features, proposals and store of one backbone, at several sizes of its input.

    Args:
        name: As in the registry, or ``timm:<model>``.
        pictures: Photographs; the first two are enough for a transformer, whose time does not
            depend on them.
        tokens_of: Whose features take the place of those of random weights, which have no regions:
            at the same grid, and with as many channels (the first of its own, or rotated to more).
        sizes: Short sides of inputs in pixels.
        turns: Measurements, of which the least counts.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    with any_backbone(name) as (backbone, drawn), tempfile.TemporaryDirectory() as folder:
        threshold = (tokens_of if drawn else backbone).threshold or 0.4
        for size in sizes:
            for number, image in enumerate(pictures):
                photo = framed_photo(image, CONFIG)
                plain = backbone.preprocess(photo.image, size)
                pixels = float(plain.shape[-2] * plain.shape[-1])
                features = backbone.forward(plain)[0]
                if number < 2:
                    spent = core_seconds(
                        partial(_features, backbone, photo, size), 1 if drawn else turns
                    )
                    points.setdefault("features", []).append((pixels, spent))
                if drawn:
                    features = stand_in(photo, features, tokens_of, size)
                made = _kept(Path(folder), plain, features, backbone, threshold, turns)
                for key, cost in made.items():
                    points.setdefault(key, []).append((pixels, cost))
        lines = {key: line_through(found) for key, found in points.items()}
        return OfBackbone(
            name, **lines, dim=backbone.dim, multiple=backbone.input_multiple, drawn=drawn
        )


def _features(backbone: FrozenBackbone, photo: Photo, size: int) -> torch.Tensor:
    return backbone.forward(backbone.preprocess(photo.image, size))[0]


def _kept(
    folder: Path,
    plain: torch.Tensor,
    features: torch.Tensor,
    backbone: FrozenBackbone,
    threshold: float,
    turns: int,
) -> dict[str, float]:
    """Proposals, and both into the store."""
    store = FeatureStore(folder, "settings", [View()])
    proposals = _proposals(plain, features, backbone, threshold)
    info = ShardInfo(
        settings="settings",
        sha256="0" * 64,
        file_size=1,
        mtime_ns=1,
        height=TILE[0],
        width=TILE[1],
        num_masks=proposals.num_masks,
        coverage=proposals.coverage,
        scores=tuple(float(score) for score in proposals.scores),
        guards=(),
    )
    return {
        "proposals": core_seconds(lambda: _proposals(plain, features, backbone, threshold), turns),
        "storing": core_seconds(
            lambda: store.write("image", features[None], proposals, info), turns
        ),
        "store_bytes": float(store.path("image").stat().st_size),
    }


def _proposals(
    plain: torch.Tensor,
    features: torch.Tensor,
    backbone: FrozenBackbone,
    threshold: float | None = None,
) -> MaskProposals:
    limit = CONFIG.predict.max_pixels
    chosen = (backbone.threshold or 0.4) if threshold is None else threshold
    return extract_proposals(as_image(plain, backbone), features, chosen, CONFIG.proposals, limit)


def stand_in(
    photo: Photo, features: torch.Tensor, tokens_of: FrozenBackbone, size: int
) -> torch.Tensor:
    """Features with regions, at the grid and with the channels of others, (C, h, w)."""
    learned = tokens_of.forward(tokens_of.preprocess(photo.image, size))
    grid = (features.shape[1], features.shape[2])
    resampled = torch.nn.functional.interpolate(learned, grid, mode="area")[0]
    if len(features) <= len(learned[0]):
        return resampled[: len(features)].contiguous()
    noise = torch.randn(len(features), len(resampled), generator=torch.Generator().manual_seed(0))
    return torch.einsum("dc,chw->dhw", torch.linalg.qr(noise).Q, resampled).contiguous()


@contextmanager
def any_backbone(name: str) -> Iterator[tuple[FrozenBackbone, bool]]:
    """A backbone on the CPU; with random weights, in a file of the layout of timm, if its own do
    not come with the installation, and whether they are random.
    """
    spec = find_spec(name)
    if not spec.needs_download:
        yield _plain(load_backbone(name, device="cpu")), False
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        _write_random(spec, path)
        yield _plain(load_backbone(name, weights=path, device="cpu")), True


def _plain(backbone: Any) -> FrozenBackbone:
    plain = plain_backbone(backbone)
    if not isinstance(plain, FrozenBackbone):
        raise TypeError(f"Expected a FrozenBackbone, but got {type(plain).__name__}.")
    return plain


def _write_random(spec: BackboneSpec, path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model: Any = timm.create_model(spec.timm_name, pretrained=False, num_classes=0)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
