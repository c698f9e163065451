r"""Measure ways to find classes: fit each to training photographs without labels, and score the
label maps of the same ones.

    python tools/measure_classes.py --set camvid=CAMVID --set msrc=MSRC --every 3 \
        --rows clusters,default --work WORK
    python tools/measure_classes.py --set msrc=MSRC --rows em-pca,default --small 3,10,30 \
        --work WORK

Accuracy / mIoU in per cent after one Hungarian matching over all photographs, mean and sample
standard deviation over seeds, and CPU seconds of a fit. As many clusters as classes; label maps
from logits at token resolution, upsampled bilinearly to the size of the labels; teacher, no CRF.
The data set ``NAME=ROOT`` is a known one (camvid, ...) or, under any other name, a ``folder``; its
split is ``train``. Features and proposals are made once per backbone and data set with the settings
of ``default`` and lie in WORK, as do all scores: run again, only what is missing is measured.

Rows:

    baseline            principal directions, then cosine k-means of the tokens
    em-pca              PriMaPs-EM on pixels from there, proposals count by their area
    pixels-kmeans       spherical k-means of random tokens, best of 32 starts
    clusters-area, clusters-sqrt, clusters
                        spherical k-means of the mean features of the proposals; these count by
                        their area, by its square root, alike
    em-pixels, em-pixels-sqrt, em-pixels-one
                        EM on pixels from `clusters`; proposals count by their area, by its
                        square root, alike
    em-pixels-sqrt-all  as em-pixels-sqrt, and proposals on which the teacher is of two minds count
                        as well (min_agreement 0)
    em-proposals-area, em-proposals-sqrt, em-proposals-one
                        EM on whole proposals from `clusters`: mean features vote, softly, a few
                        tokens enter the loss; weights likewise
    em-proposals-hard, em-proposals-hard-sqrt
                        as em-proposals-area and -sqrt, with the best class of every proposal as
                        its vote
    em-proposals-means  as em-proposals-area, with the mean feature in the loss instead of tokens
    default             what the package does

With ``--small 3,10,30`` instead: five random subsets (``--seeds`` of them) of so many photographs,
at most 8 classes in each, and scores on these photographs alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from class_measures.photographs import Photographs, photographs
from class_measures.rows import ROWS, way
from class_measures.scores import Scores, measured, summary

from primaps.cli.terminal import TerminalProgress, make_console
from primaps.errors import ConfigError, PrimapsError
from primaps.heads.loading import load_backbone
from primaps.runs.store import write_json

SMALL_CLUSTERS: Final = 8


@dataclass(frozen=True)
class Task:
    """One row of the table on one data set: a fit per seed, each with its own photographs."""

    row: str
    label: str
    images: tuple[Photographs, ...]
    num_clusters: int


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="efficientnet_lite0", metavar="NAME")
    parser.add_argument("--device", default="auto", help="of the backbone; fits are on the CPU")
    parser.add_argument(
        "--set", dest="sets", action="append", required=True, type=_named, metavar="NAME=ROOT"
    )
    parser.add_argument(
        "--rows", default=",".join(ROWS), metavar="NAME,NAME,...", help="default: all"
    )
    parser.add_argument(
        "--seeds", type=_positive, metavar="N", help="default: 3, or 5 subsets with --small"
    )
    parser.add_argument(
        "--every", type=_positive, default=1, metavar="N", help="each N-th photograph"
    )
    parser.add_argument(
        "--small", type=_positives, metavar="N,N,...", help="fit to subsets of so many photographs"
    )
    parser.add_argument("--work", required=True, type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    arguments = parser.parse_args(given)
    arguments.rows = arguments.rows.split(",")
    arguments.seeds = arguments.seeds or (3 if arguments.small is None else 5)
    return arguments


def tasks(
    rows: Sequence[str], images: Photographs, seeds: int, small: Sequence[int] | None
) -> Iterator[Task]:
    """What is to be measured on one data set.

    Raises:
        ConfigError: If a subset has more photographs than there are.
    """
    classes = len(images.class_names)
    for row in rows:
        if small is None:
            yield Task(row, f"`{row}`", (images,) * seeds, classes)
            continue
        for size in small:
            subsets = tuple(subset(images, size, seed) for seed in range(seeds))
            yield Task(row, f"`{row}`, {size} photographs", subsets, min(classes, SMALL_CLUSTERS))


def subset(images: Photographs, size: int, seed: int) -> Photographs:
    """Random photographs; a smaller subset of the same seed is a part of it.

    Raises:
        ConfigError: If there are not as many.
    """
    if size > len(images.names):
        raise ConfigError(
            f"Expected --small to be at most {len(images.names)}, the number of photographs, but"
            f" got {size}."
        )
    order = torch.randperm(len(images.names), generator=torch.Generator().manual_seed(seed))
    return images.subset(order[:size].tolist())


def measure(arguments: argparse.Namespace, note: Callable[[str], None]) -> dict[str, Any]:
    """All scores: by data set, then by row.

    Args:
        arguments: From `parse`.
        note: Told every score as it comes.
    """
    ways = {row: way(row) for row in arguments.rows}
    backbone = load_backbone(arguments.backbone, device=arguments.device)
    progress, found = TerminalProgress(make_console()), dict[str, Any]()
    for name, root in arguments.sets:
        images = photographs(name, root, arguments.every, backbone, arguments.work, progress)
        found[name] = {
            "photographs": len(images.names),
            "classes": len(images.class_names),
            "rows": {},
        }
        for task in tasks(arguments.rows, images, arguments.seeds, arguments.small):
            scores = list[Scores]()
            for seed, chosen in enumerate(task.images):
                scores.append(measured(chosen, ways[task.row], task.num_clusters, seed))
                note(f"{name} {task.label} seed {seed}: {scores[-1]}")
            found[name]["rows"][task.label] = summary(scores)
    asked = {
        key: value for key, value in vars(arguments).items() if key not in {"sets", "work", "json"}
    }
    asked["sets"] = {name: str(root) for name, root in arguments.sets}
    return {"arguments": asked, "backbone": dict(backbone.describe()), "sets": found}


def table(sets: Mapping[str, Any]) -> list[str]:
    """Lines of a Markdown table: rows as measured, and per data set scores in per cent and CPU
    seconds.
    """
    head = [
        f"{name} ({one['photographs']} photographs, {one['classes']} classes) | CPU s"
        for name, one in sets.items()
    ]
    lines = [f"| accuracy / mIoU | {' | '.join(head)} |", "|---" * (1 + 2 * len(sets)) + "|"]
    for label in next(iter(sets.values()))["rows"]:
        found = [one["rows"][label] for one in sets.values()]
        cells = [
            f"{_percent(one['accuracy'])} / {_percent(one['miou'])} | {_seconds(one['seconds'])}"
            for one in found
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _percent(score: Mapping[str, Any]) -> str:
    deviation = "" if score["std"] is None else f" ± {100 * score['std']:.1f}"
    return f"{100 * score['mean']:.1f}{deviation}"


def _seconds(score: Mapping[str, Any]) -> str:
    return f"{score['mean']:.0f}" if score["mean"] >= 10 else f"{score['mean']:.1f}"


def _named(text: str) -> tuple[str, Path]:
    name, sign, root = text.partition("=")
    if not (name and sign and root):
        raise argparse.ArgumentTypeError(f"expected NAME=ROOT, but got {text!r}")
    return name, Path(root)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, but got {text!r}")
    return int(text)


def _positives(text: str) -> list[int]:
    return [_positive(part) for part in text.split(",")]


def main(given: list[str] | None = None) -> int:
    """Measure, print the table, and write the numbers with ``--json``."""
    arguments = parse(given)
    try:
        result = measure(arguments, lambda line: print(line, file=sys.stderr, flush=True))
        if arguments.json is not None:
            write_json(arguments.json, result)
    except PrimapsError as error:
        sys.exit(str(error))
    print("\n".join(table(result["sets"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
