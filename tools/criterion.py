r"""Does a criterion without labels follow the mean IoU? Measure it over many fits and their
snapshots.

    primaps benchmark --dataset camvid --root CAMVID --backbone mini --preset paper \
        --store STORE --out row   # makes the store
    python tools/criterion.py --dataset camvid --root CAMVID --backbone mini --preset paper \
        --store STORE --out criterion

Makes ``--fits`` short fits on pixels of at most ``--max-steps`` steps from the features in the
store, with a spread of settings (steps, learning rate, epochs of k-means, ``feature_norm``,
``min_agreement``) and two seeds of each, which start from different halves of the images;
``--stored`` adds the fits that rows of PriMaPs-EM have left in the store. Of every snapshot (five
per fit; of stored fits at most five, evenly spread) all criteria are measured on up to 512 training
images, and the mean IoU on ``--split``: teacher, no mirroring, no CRF, one Hungarian matching per
snapshot. Labels are read for the mean IoU alone. A preset that stores no other view than the plain
one leaves out ``agreement``.

Prints n, Pearson's and Spearman's coefficient over the last snapshots of all fits, over all
snapshots, and within fits, and writes them with all values to ``OUT/criterion.json``. Resumable:
run it again; ``--fits`` may grow. The store is only read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from criterion_measures.correlation import summary
from criterion_measures.criteria import CRITERIA, measure_criteria, resampling
from criterion_measures.plans import SNAPSHOTS, plans

from primaps.cli.terminal import TerminalProgress, make_console
from primaps.config import PRESETS
from primaps.errors import ConfigError, DatasetError, PrimapsError
from primaps.heads.loading import load_backbone
from primaps.pipeline import fit
from primaps.pipeline.fit_curves import LOSS_DIGITS
from primaps.pipeline.fitting import read_snapshots
from primaps.pipeline.sampling import evenly
from primaps.protocol.features import measured_store
from primaps.protocol.images import Part, open_parts
from primaps.protocol.oracle import best_on_labels
from primaps.protocol.row import Row
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import FeatureStore, fingerprint, hold, read_json, release, write_json

FORMAT: Final = 1
UNMEASURED: Final = {
    "agreement": "the plain view is stored only",
    "resampling": "no two fits differ by their seed alone",
}


@dataclass(frozen=True)
class Fit:
    """A fit at hand: where it lies, and the snapshots that are measured."""

    folder: Path
    model: Model
    snapshots: list[Snapshot]

    @property
    def settings(self) -> dict[str, Any]:
        """All but the seed."""
        return {key: value for key, value in self.model.settings.items() if key != "seed"}


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, metavar="NAME")
    parser.add_argument("--root", required=True, type=Path, metavar="DIR")
    parser.add_argument("--backbone", default="mini", metavar="NAME")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--levels", metavar="STRIDES", help="that of the row that made the store")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--preset", choices=PRESETS, default="default", help="that of the row that made the store"
    )
    parser.add_argument("--size", type=_positive, help="that of the row that made the store")
    parser.add_argument("--split", default="val", help="measured")
    parser.add_argument("--store", required=True, type=Path, metavar="DIR")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument(
        "--fits", type=int, default=24, metavar="N", help="short fits to make; 0 = none"
    )
    parser.add_argument(
        "--max-steps", type=_positive, default=200, metavar="S", help="of the longest of them"
    )
    parser.add_argument(
        "--stored", action="store_true", help="also the fits of PriMaPs-EM that lie in the store"
    )
    arguments = parser.parse_args(given)
    if arguments.fits < 0 or (arguments.fits == 0 and not arguments.stored):
        parser.error("expected --fits to be 1 or more, or 0 with --stored")
    return arguments


def opened(arguments: argparse.Namespace) -> tuple[Run, Part]:
    """The store as a run, and the measured images.

    Raises:
        DatasetError: If the store holds no features of them under these settings.
    """
    row = Row(
        arguments.dataset,
        arguments.backbone,
        preset=arguments.preset,
        size=arguments.size,
        split=arguments.split,
    )
    fitted, measured = open_parts(row, arguments.root)
    backbone = load_backbone(
        arguments.backbone,
        weights=arguments.weights,
        levels=arguments.levels,
        device=arguments.device,
    )
    config = row.config(backbone, len(fitted.dataset.class_names), len(fitted.files))
    run = Run(
        RunFolder(arguments.store), backbone, config, fitted.files, TerminalProgress(make_console())
    )
    store = measured_store(run, arguments.split)
    usable = tuple(image for image in measured.files if store.info(image.name) is not None)
    if not run.usable_images() or not usable:
        raise DatasetError(
            f"Expected features of the training and the measured images in {arguments.store}, made"
            f" with these settings, but found {len(run.usable_images())} and {len(usable)}. Run"
            " `primaps benchmark` with this folder as --store first."
        )
    return run, dataclasses.replace(measured, files=usable)


def own_fits(run: Run, arguments: argparse.Namespace) -> list[Fit]:
    """The short fits; those that are current are not made again."""
    found = []
    for number, plan in enumerate(
        plans(arguments.fits, arguments.max_steps, len(run.usable_images()), run.config.fit)
    ):
        folder = arguments.out / "fits" / f"{number:03d}"
        config = dataclasses.replace(run.config, seed=plan.seed, fit=plan.fit)
        model = fit(dataclasses.replace(run, config=config, counts={}), folder)
        found.append(Fit(folder, model, read_snapshots(model, folder)))
    return found


def stored_fits(run: Run) -> list[Fit]:
    """The fits of PriMaPs-EM in the store, to the images and with the number of clusters at
    hand.
    """
    found, count = [], len(run.usable_images())
    for file in sorted(run.folder.root.glob("fits/*/model.json")):
        model = Model.load(file.parent)
        asked = (model.settings["method"], model.num_clusters, model.settings["images"])
        if asked == ("em", run.config.num_clusters, count) and model.backbone == json.loads(
            json.dumps(run.backbone.describe())
        ):
            snapshots = read_snapshots(model, file.parent)
            found.append(
                Fit(
                    file.parent,
                    model,
                    [snapshots[index] for index in evenly(len(snapshots), SNAPSHOTS)],
                )
            )
    return found


def measured_fit(run: Run, part: Part, store: FeatureStore, one: Fit, out: Path) -> dict[str, Any]:
    """Criteria and mean IoU of the snapshots of a fit, read if they were measured before."""
    steps = [snapshot.step for snapshot in one.snapshots]
    images = [
        [image.name, info.sha256]
        for image in part.files
        if (info := store.info(image.name)) is not None
    ]
    identity = fingerprint([FORMAT, one.model.fingerprint, steps, store.settings, images])
    path = out / "measured" / f"{one.model.fingerprint}.json"
    if path.exists() and (record := read_json(path)).get("identity") == identity:
        return record
    failures = len(run.failures)
    # as a model that is read knows them
    losses = [round(loss, LOSS_DIGITS) for loss in one.model.fit.losses]
    criteria = measure_criteria(run, one.snapshots, losses, cosine=one.model.fit.cosine)
    miou = best_on_labels(run, one.snapshots, part, store).criterion
    if len(run.failures) > failures:
        raise DatasetError(
            f"Expected all labels to be readable, but got: {run.failures[-1].reason}"
        )
    record = {
        "identity": identity,
        "fit": one.folder.name,
        "settings": dict(one.model.settings),
        "steps": steps,
    }
    record |= {"miou": list(miou), "criteria": criteria}
    write_json(path, record)
    return record


def add_resampling(run: Run, fits: Sequence[Fit], records: Sequence[dict[str, Any]]) -> None:
    """The criterion that needs several fits."""
    for one, record in zip(fits, records, strict=True):
        others = [
            other.snapshots for other in fits if other is not one and other.settings == one.settings
        ]
        found = (
            resampling(run, one.snapshots, others, cosine=one.model.fit.cosine) if others else None
        )
        record["criteria"] = {**record["criteria"], "resampling": found}


def lines(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The table that is printed: coefficients as Pearson / Spearman."""
    width = max(map(len, summaries))
    head = (
        f"{'criterion':{width}}  {'last snapshots':>22}  {'all snapshots':>22}  {'within fits':>22}"
        "  chosen / last / best mIoU"
    )
    found = [head]
    for name, one in summaries.items():
        if not one["fits"]:
            found.append(f"{name:{width}}  not measured: {UNMEASURED[name]}")
            continue
        cells = [_cell(one[kind]) for kind in ("across_fits", "across_snapshots", "within_fits")]
        choice = [one["choice"][f"snapshot_{kind}"] for kind in ("chosen", "last", "best")]
        found.append(
            "  ".join(
                [
                    f"{name:{width}}",
                    *(f"{cell:>22}" for cell in cells),
                    " / ".join(f"{c:.2%}" for c in choice),
                ]
            )
        )
    return found


def _cell(one: Mapping[str, Any]) -> str:
    values = " / ".join(
        "-" if one[kind] is None else f"{one[kind]:+.2f}" for kind in ("pearson", "spearman")
    )
    return f"n={one['n']} {values}"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make and measure all fits, and write ``criterion.json``."""
    run, part = opened(arguments)
    if arguments.out.resolve() == arguments.store.resolve():
        raise ConfigError(
            f"Expected --out to be another folder than --store, but both are {arguments.out}."
        )
    hold(arguments.out)
    try:
        fits = own_fits(run, arguments) + (stored_fits(run) if arguments.stored else [])
        if not fits:
            raise DatasetError(
                f"Expected fits of PriMaPs-EM in {arguments.store}, but found none. Give --fits N."
            )
        store = measured_store(run, arguments.split)
        records = [measured_fit(run, part, store, one, arguments.out) for one in fits]
        add_resampling(run, fits, records)
        asked = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(arguments).items()
        }
        summaries = {name: summary(records, name) for name in CRITERIA}
        result = {
            "arguments": asked,
            "criteria": CRITERIA,
            "summary": summaries,
            "seconds": run.seconds,
            "fits": records,
        }
        write_json(arguments.out / "criterion.json", result)
    finally:
        release(arguments.out)
    return result


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, but got {value}")
    return value


def main(given: list[str] | None = None) -> int:
    """Measure, print the table, and say where the values lie."""
    arguments = parse(given)
    try:
        result = measure(arguments)
    except PrimapsError as error:
        sys.exit(str(error))
    print("\n".join(lines(result["summary"])))
    print(f"Values: {arguments.out / 'criterion.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
