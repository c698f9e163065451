"""How much faster are mask proposals than the operations of the official code?

    python benchmarks/extraction.py [--preset default fast]
    python benchmarks/extraction.py --features FOLDER
    python benchmarks/extraction.py --photographs FOLDER

``--features`` wants NAME.png (320 x 320) beside NAME.safetensors with ``features`` (384, 40, 40).
With ``--photographs`` the features are those of the ``texture`` backbone for the centre square at
320 x 320: 196 channels under a fixed rotation to 384, so real spectra, but of rank 196 at most.
With neither, features stored beside the repository are taken, or else the photographs of
scikit-image; the table says which.

Everything runs in one process on one thread, the two sides by turns, after one round that compiles;
a figure is the median over rounds of the ratio of CPU seconds, and the summary is the median over
images.

- ``pca``: the first principal direction of every round, for the same rounds:
  ``torch.pca_lowrank(q=3, niter=100)`` on the tokens that remain, against
  `primaps.proposals.directions_exact`, set-up included.
- ``no crf``: all of mask extraction but the mean-field inference.
- ``all``: all of it; against pydensecrf2 with 10 iterations.

The official operations (Hahn et al., TMLR 2024, section 3.1, and its code) are restated here. Their
signed anchor finds more masks than ``preset="default"`` does on most images; ``--preset paper``
compares like with like.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from inputs import FEATURES, photographs
from numpy.typing import NDArray
from PIL import Image
from rows import Row, add_rows_option, at_least, publish
from safetensors.torch import load_file

from primaps.config import PRESETS
from primaps.data.reading import read_image
from primaps.heads.loading import load_backbone
from primaps.proposals.crf.dense_crf import mean_field_batch
from primaps.proposals.directions_exact import RemainingTokens
from primaps.proposals.extract import mask_proposals

CHANNELS, SIDE = 384, 320
BARS = {"default": 5.0, "fast": 12.0}
THRESHOLD = 0.4


@dataclass
class Sample:
    """One 320 x 320 image with its features.

    Attributes:
        name: For the table.
        image: (320, 320, 3) uint8 RGB.
        features: (384, 40, 40) float32.
    """

    name: str
    image: NDArray[np.uint8]
    features: torch.Tensor


@dataclass
class Seconds:
    """CPU seconds of one extraction.

    Attributes:
        pca: In principal component analysis.
        crf: In mean-field inference.
        total: Of everything.
        available: (rounds) x (N,) bool: the tokens that every round started from.
    """

    pca: float = 0.0
    crf: float = 0.0
    total: float = 0.0
    available: list[torch.Tensor] = field(default_factory=list)


def main() -> None:
    """Print a table of ratios, one line per image, for every preset."""
    options = _options()
    torch.set_num_threads(1)
    samples, origin = _samples(options)
    densecrf = _pydensecrf()
    found: list[Row] = []
    for preset in options.preset:
        found += _compared(samples, densecrf, preset, options.rounds, origin)
    publish(found, options.rows)


def _samples(options: argparse.Namespace) -> tuple[list[Sample], str]:
    """The images, and in words what they are."""
    if options.features or (options.photographs is None and FEATURES.is_dir()):
        return _stored(options.features or FEATURES, options.images), "stored features"
    paths = photographs() if options.photographs is None else _listed(options.photographs)
    return _photographs(paths, options.images), "features of `texture`"


def _compared(
    samples: Sequence[Sample], densecrf: ModuleType | None, preset: str, rounds: int, origin: str
) -> list[Row]:
    """Both sides on every image, and the lines of the table."""
    print(
        f"{preset:24} {'rounds':>6} {'pca':>7} {'no crf':>7} {'all':>7}   ours, ms: pca / no crf"
        " / all"
    )
    every: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    for sample in samples:
        mask_proposals(sample.image, sample.features, THRESHOLD, preset=preset)  # compiles
        measured = [_round(sample, densecrf, preset) for _ in range(rounds)]
        ratios = {
            key: _median(official[key] / ours[key] for official, ours, _ in measured)
            for key in measured[0][0]
        }
        seconds = {key: _median(ours[key] for _, ours, _ in measured) for key in measured[0][1]}
        for key, ratio in ratios.items():
            every.setdefault(key, []).append(ratio)
            spent.setdefault(key, []).append(seconds[key])
        times = " / ".join(f"{1000 * value:.0f}" for value in seconds.values())
        print(
            f"{sample.name[:24]:24} {measured[0][2]:6} {_columns(ratios.values())}   {times}",
            flush=True,
        )
    print(f"{'median':31} {_columns(_median(column) for column in every.values())}")
    what = f"proposals `{preset}` against the official operations, {len(samples)} images, {origin}"
    bars = {"all": BARS[preset]} if preset in BARS else {}
    return [
        (
            at_least(
                f"{what}: {key}",
                _median(every[key]),
                bars[key],
                f" ({1000 * _median(spent[key]):.0f} ms)",
            )
            if key in bars
            else Row(
                f"{what}: {key}",
                f"{_median(every[key]):.2f} x ({1000 * _median(spent[key]):.0f} ms)",
            )
        )
        for key in every
    ]


def _columns(ratios: Iterable[float]) -> str:
    return " ".join(f"{ratio:6.1f}x" for ratio in ratios)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--features", type=Path, help="folder of NAME.png and NAME.safetensors")
    source.add_argument("--photographs", type=Path, help="folder of photographs")
    parser.add_argument("--images", type=int, default=8, help="at most this many")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions per image")
    parser.add_argument(
        "--preset", nargs="+", choices=PRESETS, default=["default"], help="our side"
    )
    add_rows_option(parser)
    return parser.parse_args()


def _median(values: Iterable[float]) -> float:
    return float(statistics.median(values))


def _stored(folder: Path, limit: int) -> list[Sample]:
    samples: list[Sample] = []
    for path in sorted(folder.glob("*.safetensors")):
        if len(samples) == limit:
            break
        picture = path.with_suffix(".png")
        if picture.exists():
            samples.append(
                Sample(
                    path.stem,
                    np.asarray(Image.open(picture).convert("RGB")),
                    load_file(path)["features"].float(),
                )
            )
    if not samples:
        raise SystemExit(f"Expected NAME.png beside NAME.safetensors in {folder}, but found none.")
    print(
        f"Features: stored ones, {tuple(samples[0].features.shape)}, of {len(samples)} images in"
        f" {folder}"
    )
    return samples


def _listed(folder: Path) -> list[Path]:
    paths = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    if not paths:
        raise SystemExit(f"Expected photographs (JPEG or PNG) in {folder}, but found none.")
    return paths


def _photographs(paths: Sequence[Path], limit: int) -> list[Sample]:
    backbone = load_backbone("texture", device="cpu")
    rotation = torch.linalg.qr(
        torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(0))
    ).Q[:, : backbone.dim]
    samples = []
    for path in paths[:: max(1, len(paths) // limit)][:limit]:
        whole = Image.fromarray(read_image(path))
        short = min(whole.size)
        left, top = (whole.width - short) // 2, (whole.height - short) // 2
        image = np.asarray(
            whole.crop((left, top, left + short, top + short)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            )
        )
        features = torch.einsum("dc,chw->dhw", rotation, backbone.extract(image, size=SIDE))
        samples.append(Sample(path.stem, image, features))
    channels = f"{backbone.dim} channels rotated to {CHANNELS}"
    print(
        f"Features: texture backbone, {channels}, centre squares of photographs in"
        f" {paths[0].parent}"
    )
    return samples


def _pydensecrf() -> ModuleType | None:
    try:
        from pydensecrf import densecrf  # type: ignore[import-untyped]
    except ImportError as error:
        print(
            f"pydensecrf2 is not installed ({error}): the column `all` is left out. pip install"
            " 'primaps[crf-oracle]'"
        )
        return None
    return densecrf  # type: ignore[no-any-return]


def _round(
    sample: Sample, densecrf: ModuleType | None, preset: str
) -> tuple[dict[str, float], dict[str, float], int]:
    """Both sides once: CPU seconds by column, and the number of the official rounds."""
    official = _official(sample, densecrf)
    ours = _ours(sample, preset)
    ours.pca = _our_pca(sample.features, official.available)
    found = []
    for side in (official, ours):
        columns = {"pca": side.pca, "no crf": side.total - side.crf}
        if densecrf is not None:
            columns["all"] = side.total
        found.append(columns)
    return found[0], found[1], len(official.available)


def _clocked(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    result = call()
    return result, time.process_time() - started


# ---- our side ------------------------------------------------------------------------------------


def _ours(sample: Sample, preset: str) -> Seconds:
    seconds = Seconds()

    def clocked_inference(*args: Any, **options: Any) -> Any:
        result, spent = _clocked(lambda: mean_field_batch(*args, **options))
        seconds.crf += spent
        return result

    with mock.patch("primaps.proposals.refining.mean_field_batch", clocked_inference):
        _, seconds.total = _clocked(
            lambda: mask_proposals(sample.image, sample.features, THRESHOLD, preset=preset)
        )
    return seconds


def _our_pca(features: torch.Tensor, available: list[torch.Tensor]) -> float:
    """Directions for given rounds."""

    def directions() -> None:
        remaining = RemainingTokens(features.flatten(1).T.contiguous().double())
        for now, after in zip(available, [*available[1:], None], strict=True):
            remaining.direction()
            if after is not None:
                remaining.remove(now & ~after)

    return _clocked(directions)[1]


# ---- the official operations ---------------------------------------------------------------------


def _official(sample: Sample, densecrf: ModuleType | None) -> Seconds:
    seconds = Seconds()
    started = time.process_time()
    scores = _official_scores(sample.features, seconds)
    upsampled = F.interpolate(
        scores[None], size=sample.image.shape[:2], mode="bilinear", align_corners=False
    )[0]
    probabilities = upsampled.softmax(dim=0).numpy()
    if densecrf is not None:
        probabilities, seconds.crf = _clocked(
            lambda: _official_crf(densecrf, sample.image, probabilities)
        )
    labels = probabilities.argmax(axis=0)
    labels[labels == 0] = 255
    seconds.total = time.process_time() - started
    return seconds


def _official_scores(features: torch.Tensor, seconds: Seconds) -> torch.Tensor:
    """(K + 1, h, w) log-probabilities, background first."""
    channels, height, width = features.shape
    tokens = features.reshape(channels, -1)
    unit = F.normalize(tokens, dim=0)
    available = torch.ones(height * width, dtype=torch.bool)
    masks: list[torch.Tensor] = []
    while (~available).float().mean() < 0.95:
        seconds.available.append(available.clone())
        rows = tokens[:, available].T
        direction, spent = _clocked(partial(_official_direction, rows))
        seconds.pca += spent
        similarity = (direction @ unit).masked_fill(~available, 0.0)
        anchor = int((similarity == similarity.max()).nonzero()[0, 0])
        similarity = (unit[:, anchor] @ unit).masked_fill(~available, 0.0)
        # the official code divides 0 by 0 here, and ends two rounds later
        if similarity.max() <= 0:
            break
        similarity[similarity < THRESHOLD * similarity.max()] = 0
        masks.append((similarity / similarity.max()).reshape(height, width))
        available &= similarity <= 0
    padded = F.pad(torch.stack(masks)[None], (1, 1, 1, 1), mode="reflect")
    windows = F.unfold(padded.transpose(0, 1), 3)
    stack = (windows.median(dim=1).values.reshape(-1, height, width) * 10).clamp(0, 1)
    background = (stack[stack != 0].mean() - stack.sum(dim=0)).clamp(0, 1)
    return torch.log_softmax(torch.cat([background[None], stack]), dim=0)


def _official_direction(rows: torch.Tensor) -> torch.Tensor:
    direction: torch.Tensor = torch.pca_lowrank(rows, q=3, niter=100)[2][:, 0]
    return direction


def _official_crf(
    densecrf: ModuleType, image: NDArray[np.uint8], probabilities: NDArray[np.float32]
) -> NDArray[np.float32]:
    labels, height, width = probabilities.shape
    unary = -np.log(np.clip(probabilities, 1e-5, 1.0)).reshape(labels, -1)
    field = densecrf.DenseCRF2D(width, height, labels)
    field.setUnaryEnergy(np.ascontiguousarray(unary))
    field.addPairwiseGaussian(sxy=1, compat=3)
    field.addPairwiseBilateral(
        sxy=67, srgb=3, rgbim=np.ascontiguousarray(image[..., ::-1]), compat=4
    )
    return np.array(field.inference(10), dtype=np.float32).reshape(labels, height, width)


if __name__ == "__main__":
    main()
