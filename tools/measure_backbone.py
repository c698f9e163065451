"""Measure a backbone: the figures by which one is judged, each reproducible by one command.

    # classes without labels, on CamVid
    python tools/measure_backbone.py kmeans --backbone texture --fold held-out
    # classes with labels, on CamVid
    python tools/measure_backbone.py probe --backbone texture --fold val
    # coverage and number of mask proposals
    python tools/measure_backbone.py proposals --backbone texture --limit 50
    # regions against those that people drew
    python tools/measure_backbone.py covering --backbone texture --no-crf
    # CPU time beside ViT-S/8
    python tools/measure_backbone.py forward --backbone texture

``kmeans`` and ``probe``: crops of 320 x 320 pixels, no flips, no CRF, label maps from logits at
token resolution upsampled bilinearly; mean and sample standard deviation over seeds. The fold
``held-out`` holds back the last quarter of every training sequence of CamVid: choose recipes by it,
and keep ``val`` for the end. ``covering``: mean over annotators and photographs of BSDS500 val; the
settings of the classical methods are chosen on BSDS500 train.

Data: ``--data`` holds ``camvid/{train,val}`` with ``{train,val}annot`` (the SegNet tutorial) and
``bsds500/{train,val}`` with ``{train,val}annot`` (one .npz per photograph, one (H, W) array per
annotator).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from backbone_measures.classes import measure_kmeans, measure_probe
from backbone_measures.crops import FOLDS
from backbone_measures.forward import measure_forward
from backbone_measures.segments import (
    SPLITS,
    baseline_covering,
    measure_proposals,
    proposal_covering,
    settings,
)

from primaps.config import PRESETS
from primaps.errors import PrimapsError
from primaps.heads.loading import load_backbone
from primaps.types import FeatureExtractor

METHODS = ("proposals", "felzenszwalb", "slic")


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """The command and its settings."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--backbone", default="mini", metavar="NAME")
    common.add_argument("--weights", type=Path, metavar="FILE")
    common.add_argument(
        "--levels", metavar="STRIDES", help="levels that are joined, for example 8:0.5,16,32"
    )
    common.add_argument("--device", default="auto")
    common.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="ROOT")
    common.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("kmeans", "probe"):
        command = commands.add_parser(name, parents=[common])
        command.add_argument("--fold", choices=FOLDS, default=FOLDS[0])
        command.add_argument("--seeds", type=_positive, default=3)
    for name in ("proposals", "covering"):
        command = commands.add_parser(name, parents=[common])
        command.add_argument("--threshold", type=float, help="default: the backbone's own")
        command.add_argument(
            "--limit", type=_positive, metavar="N", help="images per folder, evenly spread"
        )
        command.add_argument("--no-crf", dest="crf", action="store_false")
        command.add_argument(
            "--preset",
            choices=PRESETS,
            default="default",
            help="whose settings of the mask proposals",
        )
    command.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    command.add_argument(
        "--split",
        choices=SPLITS,
        default="val",
        help="of BSDS500, for the proposals; choose settings on train",
    )
    commands.add_parser("forward", parents=[common]).add_argument(
        "--rounds", type=_positive, default=7
    )
    return parser.parse_args(given)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The numbers of a command."""
    backbone = load_backbone(
        arguments.backbone,
        weights=arguments.weights,
        levels=arguments.levels,
        device="cpu" if arguments.command == "forward" else arguments.device,
    )
    numbers = _numbers(arguments, backbone)
    asked = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
    }
    return {"arguments": asked, "backbone": dict(backbone.describe()), "numbers": numbers}


def _numbers(arguments: argparse.Namespace, backbone: FeatureExtractor) -> dict[str, Any]:
    if arguments.command in {"kmeans", "probe"}:
        measured = measure_kmeans if arguments.command == "kmeans" else measure_probe
        return measured(backbone, arguments.data, arguments.fold, arguments.seeds)
    if arguments.command == "forward":
        return measure_forward(backbone, arguments.rounds)
    config = settings(arguments.threshold, crf=arguments.crf, preset=arguments.preset)
    if arguments.command == "proposals":
        return measure_proposals(backbone, arguments.data, config, arguments.limit)
    bsds = arguments.data / "bsds500"
    return {
        method: (
            proposal_covering(backbone, bsds, config, arguments.limit, arguments.split)
            if method == "proposals"
            else baseline_covering(method, bsds, arguments.limit)
        )
        for method in arguments.methods
    }


def rows(numbers: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Name and value of every number, nested ones under joined names; mean and deviation over seeds
    in one row, in percent.
    """
    found: list[tuple[str, str]] = []
    for name, value in numbers.items():
        if isinstance(value, dict) and "seeds" in value:
            deviation = "" if value["std"] is None else f" ± {value['std']:.2%}"
            found.append((prefix + name, f"{value['mean']:.2%}{deviation}"))
        elif isinstance(value, dict):
            found += rows(value, f"{prefix}{name} ")
        else:
            found.append(
                (prefix + name, f"{value:.4f}" if isinstance(value, float) else str(value))
            )
    return found


def without_nan(value: Any) -> Any:
    """NaN, which JSON lacks, becomes None (null)."""
    if isinstance(value, dict):
        return {name: without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, but got {value}")
    return value


def main() -> int:
    """Measure, print a table, and write the numbers with ``--json``."""
    arguments = parse()
    try:
        result = measure(arguments)
    except PrimapsError as error:
        sys.exit(str(error))
    table = rows(result["numbers"])
    width = max(len(name) for name, _ in table)
    print("\n".join(f"{name:{width}}  {value}" for name, value in table))
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(without_nan(result), indent=1) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
