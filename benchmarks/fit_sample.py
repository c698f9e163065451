"""How accuracy depends on the number of images that prototypes are fitted to.

    python benchmarks/fit_sample.py --set camvid=CAMVID:train:val --set msrc=MSRC:train:train \
        --work WORK

``NAME=ROOT:FIT:SCORE``: a known data set (camvid, ...) or, under any other name, one in the layout
of ``folder``; the split that is fitted to, and the one that is scored. Features and proposals are
made once, with the settings of ``default``, and lie in WORK with all models: run again, only what
is missing is made.

A sample of n images is spread evenly over the split, as that of ``primaps fit --sample n`` is. Seed
s of S moves it by s / S of the distance of two images, and is the seed of the fit as well; all
images are all of them for every seed. As many clusters as classes; label maps from logits at token
resolution, without CRF; one Hungarian matching over all scored images. Labels serve the scores
alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.cli.terminal import TerminalProgress, make_console
from primaps.config import preset_config, with_settings
from primaps.data.dataset import DATASETS, load_dataset
from primaps.data.paired import PairedDataset
from primaps.errors import DatasetError
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.features.registry import DEFAULT_BACKBONE
from primaps.heads.loading import load_backbone
from primaps.pipeline import PROPOSAL_STAGES, open_run, proposals
from primaps.pipeline.fitting import fit
from primaps.pipeline.prediction import label_map
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import write_json
from primaps.types import FeatureExtractor, ImageFile, View

COUNTS: Final = (50, 100, 200)


@dataclass(frozen=True)
class Given:
    """One ``--set``."""

    name: str
    root: Path
    fitted: str
    scored: str


@dataclass(frozen=True)
class Split:
    """A split whose features and proposals are stored.

    Attributes:
        run: Its run folder, with all images.
        dataset: Its images with labels, for scores alone.
    """

    run: Run
    dataset: PairedDataset


@dataclass(frozen=True)
class Scores:
    """Of one fit.

    Attributes:
        accuracy: Fraction of labelled pixels with the right class.
        miou: Mean over classes of intersection over union.
        cpu_seconds: Of the fit; None if the model was there already.
    """

    accuracy: float
    miou: float
    cpu_seconds: float | None


def main() -> None:
    """Print the table."""
    options = parse()
    backbone = load_backbone(options.backbone, device=options.device)
    print("| data set | images fitted | accuracy | mIoU |\n|---|---:|---:|---:|", flush=True)
    found: dict[str, list[dict[str, float | None]]] = {}
    for given in options.sets:
        for count, scores in measured(given, options, backbone):
            print(line(given, count, scores), flush=True)
            key = f"{given.name}-{given.fitted}-{count}"
            found[key] = [dataclasses.asdict(each) for each in scores]
            if options.json is not None:
                write_json(options.json, found)


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The settings of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        required=True,
        type=_given,
        metavar="NAME=ROOT:FIT:SCORE",
    )
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="and all")
    parser.add_argument("--seeds", type=int, default=3, metavar="S")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, metavar="NAME")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores there too")
    return parser.parse_args(given)


def _given(text: str) -> Given:
    found = re.fullmatch(r"([^=]+)=(.+):([^:]+):([^:]+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected NAME=ROOT:FIT:SCORE, but got {text!r}")
    name, root, fitted, scored = found.groups()
    return Given(name, Path(root), fitted, scored)


def measured(
    given: Given, options: argparse.Namespace, backbone: FeatureExtractor
) -> Iterator[tuple[int, list[Scores]]]:
    """The scores of every number of images, one per seed.

    Raises:
        DatasetError: If the data set has no such split, or an image cannot be used.
    """
    fitted = stored(given, given.fitted, options.work, backbone)
    scored = (
        fitted
        if given.scored == given.fitted
        else stored(given, given.scored, options.work, backbone)
    )
    total = len(fitted.run.images)
    for count in [*(count for count in options.counts if count < total), total]:
        yield (
            count,
            [
                fitted_to(fitted, scored, spread(total, count, seed / options.seeds), seed)
                for seed in range(options.seeds)
            ],
        )


def stored(given: Given, split: str, work: Path, backbone: FeatureExtractor) -> Split:
    """Features and proposals of a split, made unless they are there.

    Raises:
        DatasetError: If there is no such split, or an image cannot be used.
    """
    kind = given.name if given.name in DATASETS else "folder"
    dataset = load_dataset(kind, given.root, split)
    if not isinstance(dataset, PairedDataset):
        raise DatasetError(f"Expected images and labels as files, but {kind} has none.")
    folder = work / f"{given.name}-{split}-{re.sub(r'[^a-z0-9]', '-', backbone.name)}"
    run = open_run(
        list(dataset.image_paths),
        folder,
        backbone,
        preset_config("default"),
        stages=PROPOSAL_STAGES,
        progress=TerminalProgress(make_console()),
    )
    proposals(run, inputs=[str(given.root)])
    if run.failures:
        raise DatasetError(f"{run.failures[0].path}: {run.failures[0].reason}")
    return Split(run, dataset)


def spread(total: int, count: int, shift: float) -> list[int]:
    """So many of ``range(total)``, evenly, moved by a part of their distance."""
    return [int((index + shift) * total / count) for index in range(count)]


def fitted_to(fitted: Split, scored: Split, chosen: Sequence[int], seed: int) -> Scores:
    """Fit prototypes to some images of one split, and score them on all of another."""
    run = fitted.run
    classes = len(fitted.dataset.class_names)
    config = with_settings(run.config, {"num_clusters": classes, "seed": seed})
    sample = dataclasses.replace(
        run, config=config, images=tuple(run.images[index] for index in chosen)
    )
    folder = run.folder.root / "models" / f"{len(chosen)}-seed-{seed}"
    there = (folder / "model.json").exists()
    started = time.process_time()
    model = fit(sample, folder)
    spent = time.process_time() - started
    result = evaluate_label_maps(
        _pairs(scored, model), model.num_clusters, scored.dataset.class_names
    )
    return Scores(result.accuracy, result.miou, None if there else round(spent, 2))


def _pairs(split: Split, model: Model) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Label map and labels of every image."""
    config = dataclasses.replace(split.run.config.predict, crf=False)
    store, images = split.run.store, {image.path: image for image in split.run.images}
    for index, path in enumerate(split.dataset.image_paths):
        image: ImageFile = images[Path(path)]
        labels = split.dataset.labels(index)
        features = store.features(image.name, View()).float()
        yield label_map(features, model, (labels.shape[0], labels.shape[1]), config), labels


def line(given: Given, count: int, scores: Sequence[Scores]) -> str:
    """A line of the table."""
    accuracy, miou = (
        _mean([100 * getattr(each, kind) for each in scores]) for kind in ("accuracy", "miou")
    )
    where = (
        f"{given.name} {given.fitted}"
        if given.fitted == given.scored
        else f"{given.name} {given.fitted}, scored on {given.scored}"
    )
    return f"| {where} | {count} | {accuracy} | {miou} |"


def _mean(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
