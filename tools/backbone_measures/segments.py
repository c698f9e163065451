"""Mask proposals of photographs without fitting anything: how much they cover, and how well they
cover what people drew.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.config import Config, CRFConfig, preset_config
from primaps.data.paired import require_folder
from primaps.data.reading import read_image, read_photo
from primaps.errors import ConfigError, DatasetError, MissingExtraError
from primaps.evaluation.covering import connected_segments, covering
from primaps.pipeline.features_and_proposals import features_and_proposals
from primaps.proposals.resampling import enlarge_nearest
from primaps.types import FeatureExtractor, MaskProposals, View

DATA: Final = ("camvid", "bsds500")
SPLITS: Final = ("train", "val")
EXTENSIONS: Final = {".jpg", ".jpeg", ".png"}

Segmentation = NDArray[Any]
Setting = dict[str, float]


def photographs(folder: Path, limit: int | None) -> list[Path]:
    """The image files of a folder sorted by name, at most ``limit`` of them evenly spread.

    Raises:
        DatasetError: If the folder is missing or holds no image.
    """
    require_folder(folder, "a folder of photographs")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    if not files:
        raise DatasetError(f"Expected photographs in {folder}, but found none. Check --data.")
    count = len(files) if limit is None else min(limit, len(files))
    return [files[index * len(files) // count] for index in range(count)]


def settings(threshold: float | None, *, crf: bool, preset: str = "default") -> Config:
    """A preset; without the CRF, the largest upsampled score of a pixel decides."""
    base = preset_config(preset)
    constants = base.proposals.crf if crf else CRFConfig(iterations=0)
    return dataclasses.replace(
        base, proposals=dataclasses.replace(base.proposals, threshold=threshold, crf=constants)
    )


def measure_proposals(
    backbone: FeatureExtractor, data: Path, config: Config, limit: int | None
) -> dict[str, Any]:
    """Coverage and number of proposals per image; ``limit`` holds for each data set and split."""
    result: dict[str, Any] = {}
    for name in DATA:
        paths = [path for split in SPLITS for path in photographs(data / name / split, limit)]
        found = [_proposals(path, backbone, config)[0] for path in paths]
        coverage, numbers = [one.coverage for one in found], [one.num_masks for one in found]
        result[name] = {
            "images": len(paths),
            "coverage": {"mean": statistics.fmean(coverage), "min": min(coverage)},
            "proposals": {
                "min": min(numbers),
                "median": statistics.median(numbers),
                "max": max(numbers),
            },
        }
    return result


def proposal_covering(
    backbone: FeatureExtractor, bsds: Path, config: Config, limit: int | None, split: str = "val"
) -> dict[str, Any]:
    """Covering of a split of BSDS500 by the connected components of proposals and of unassigned
    pixels.
    """
    paths = photographs(bsds / split, limit)
    numbers = []

    def segment(path: Path) -> Segmentation:
        segments = connected_segments(_proposals(path, backbone, config)[1])
        numbers.append(int(segments.max()) + 1)
        return segments

    score = _mean_covering(paths, segment)
    return {
        "covering": score,
        "segments": {"median": statistics.median(numbers)},
        f"{split}_images": len(paths),
    }


def baseline_covering(method: str, bsds: Path, limit: int | None) -> dict[str, Any]:
    """Covering of BSDS500 val by a classical segmentation, at the setting that is best on BSDS500
    train.

    Args:
        method: "felzenszwalb" or "slic".
        bsds: Folder of the data set.
        limit: At most this many images of each split.
    """
    segment, grid = _baseline(method)
    train, val = (photographs(bsds / split, limit) for split in ("train", "val"))
    scores = [_mean_covering(train, _applied(segment, setting)) for setting in grid]
    best = max(range(len(grid)), key=scores.__getitem__)
    return {
        "covering": _mean_covering(val, _applied(segment, grid[best])),
        "setting": _name(grid[best]),
        "train_images": len(train),
        "val_images": len(val),
        "train": {_name(setting): score for setting, score in zip(grid, scores, strict=True)},
    }


def _proposals(
    path: Path, backbone: FeatureExtractor, config: Config
) -> tuple[MaskProposals, Segmentation]:
    """Proposals at the backbone's input size as the pipeline makes them, and their label image at
    the photograph's own size.
    """
    photo = read_photo(path, config.predict.max_pixels)
    threshold = (
        backbone.threshold if config.proposals.threshold is None else config.proposals.threshold
    )
    if threshold is None:
        raise ConfigError(
            f"Expected a threshold for {backbone.name!r}, for which none is published. Give"
            " --threshold T."
        )
    _, proposals = features_and_proposals(photo, backbone, config, (View(),), threshold)
    return (
        proposals,
        enlarge_nearest(torch.from_numpy(proposals.label_image), photo.height, photo.width).numpy(),
    )


def _mean_covering(paths: Sequence[Path], segment: Callable[[Path], Segmentation]) -> float:
    return statistics.fmean(covering(segment(path), _annotations(path)) for path in paths)


def _annotations(path: Path) -> list[Segmentation]:
    """The (H, W) segmentations of all annotators of a photograph: SPLITannot/NAME.npz for
    SPLIT/NAME.jpg.
    """
    file = path.parent.with_name(f"{path.parent.name}annot") / f"{path.stem}.npz"
    if not file.is_file():
        raise DatasetError(
            f"Expected the segmentations of {path} in {file}, but there is no such file. Check"
            " --data."
        )
    with np.load(file) as stored:
        return [stored[name] for name in stored.files]


def _applied(
    segment: Callable[..., Segmentation], setting: Setting
) -> Callable[[Path], Segmentation]:
    return lambda path: segment(read_image(path), **setting)


def _name(setting: Setting) -> str:
    return " ".join(f"{name}={value:g}" for name, value in setting.items())


def _baseline(method: str) -> tuple[Callable[..., Segmentation], list[Setting]]:
    """The function (Felzenszwalb & Huttenlocher, IJCV 2004; SLIC, Achanta et al., TPAMI 2012) and
    the settings to try.
    """
    try:
        from skimage.segmentation import felzenszwalb, slic
    except ImportError as error:
        raise MissingExtraError(
            "Expected scikit-image for the classical segmentations, but it is not installed. pip"
            " install 'primaps[demo]'"
        ) from error
    if method == "slic":
        return slic, [
            {"n_segments": n, "compactness": c} for n in (4, 10, 25, 50, 100) for c in (5, 10, 20)
        ]
    scales, sigmas, sizes = (50, 100, 200, 400, 800), (0.5, 0.8), (50, 200)
    return felzenszwalb, [
        {"scale": s, "sigma": g, "min_size": m} for s in scales for g in sigmas for m in sizes
    ]
