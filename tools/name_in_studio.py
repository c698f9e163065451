r"""Name proposals in the studio as a person does, and measure what that gives.

    python tools/name_in_studio.py --oracle majority --set camvid=CAMVID:val --set msrc=MSRC:train \
        --clicks 50 --seeds 3 --work WORK --json FILE

The photographs of ``train`` are segmented by the main job, `primaps studio` is started on the run,
its suggestion cards are named one after another, then: refit, accept, and `primaps evaluate
--by-name` on the split after the colon. What is measured is thus what a user gets, by the code that
a user runs; `tools/measure_clicks.py` measures the same by calling its parts.

`--oracle majority` says who names: a program that looks at the labels and gives every proposal that
is shown the name most of its pixels have. It stands for a person; nothing else sees labels before
the scores.

Names are typed in a browser (playwright with the system's chromium), by the keyboard alone; with
``--api`` they are sent to the studio's HTTP API, without a browser.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from class_measures.photographs import SPLIT, Photographs
from click_measures.oracle import NOTHING, majority_labels
from studio_scripts.client import StudioClient
from studio_scripts.keyboard import name_cards
from studio_scripts.running import SOURCE, Studio, running_studio

from primaps.data.dataset import DATASETS, load_dataset
from primaps.pipeline.opening import reopen
from primaps.pipeline.stored_proposals import proposals_in

Oracle = Callable[[str, int], str | None]
"""Name of a proposal, by its image and id; None = of no class."""

FOLDER: Final = "folder"
"""The data set that has its classes' names in a file."""


@dataclass(frozen=True)
class Subject:
    """A data set: named on ``train``, scored on a split.

    Attributes:
        title: For the table, and folders.
        root: Where it lies.
        split: Which photographs are scored.
    """

    title: str
    root: Path
    split: str

    @property
    def dataset(self) -> str:
        """What `primaps evaluate` calls it."""
        return self.title if self.title in DATASETS else FOLDER


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--oracle", choices=("majority",), required=True, help="who names the proposals"
    )
    parser.add_argument(
        "--set", dest="sets", action="append", required=True, type=_set, metavar="NAME=ROOT:SPLIT"
    )
    parser.add_argument("--backbone", default="efficientnet_lite0", metavar="NAME")
    parser.add_argument("--clicks", default=50, type=int, metavar="N")
    parser.add_argument("--seeds", default=1, type=int, metavar="N")
    parser.add_argument("--work", required=True, type=Path, metavar="DIR")
    parser.add_argument("--api", action="store_true", help="by the HTTP API, without a browser")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    return parser.parse_args(given)


def _set(text: str) -> Subject:
    name, sign, rest = text.partition("=")
    root, colon, split = rest.rpartition(":")
    if not (name and sign and root and colon and split):
        raise argparse.ArgumentTypeError(f"expected NAME=ROOT:SPLIT, but got {text!r}")
    return Subject(name, Path(root), split)


def segmented(subject: Subject, backbone: str, seed: int, work: Path) -> Path:
    """A fresh copy of the run on the training photographs, which is made once."""
    paths = load_dataset(subject.dataset, subject.root, SPLIT).image_paths
    images = os.path.commonpath([path.parent for path in paths])
    made = work / f"{subject.title}-{backbone}-{seed}"
    _primaps("segment", images, "--out", made, "--backbone", backbone, "--seed", seed)
    named = made.with_name(f"{made.name}-named")
    if named.exists():
        shutil.rmtree(named)
    shutil.copytree(made, named)
    return named


def oracle(subject: Subject, folder: Path) -> Oracle:
    """Who knows the names of a run's proposals."""
    dataset, run = load_dataset(subject.dataset, subject.root, SPLIT), reopen(folder, {})
    paths = {image.path.resolve(): image.name for image in run.images}
    names = tuple(paths[path.resolve()] for path in dataset.image_paths)
    truths = tuple(dataset[index].labels.astype("uint8") for index in range(len(names)))
    images = Photographs(folder, run.store, names, truths, dataset.class_names)
    stored = proposals_in(run.store, list(names))
    labels, rows = majority_labels(images, stored), stored.rows()

    def name(image: str, proposal: int) -> str | None:
        label = labels[rows[image, proposal]]
        return None if label == NOTHING else dataset.class_names[label]

    return name


def name_by_api(studio: Studio, knows: Oracle, clicks: int) -> int:
    """Name suggestions round by round; then a refit, accepted.

    Returns:
        How many were named.
    """
    client, done, number = StudioClient(studio.url), 0, 0
    try:
        while done < clicks:
            cards = client.get("/api/suggestions", round=number)["cards"]
            open_cards = [card for card in cards if card["said"] is None][: clicks - done]
            if not cards:
                break
            for card in open_cards:
                said = knows(card["image"], card["proposal"])
                proposals = [[card["image"], card["proposal"]]]
                client.edit({"kind": "say", "proposals": proposals, "class": said})
            done, number = done + len(open_cards), number + 1
        refitted = client.job(kind="refit")
        client.job(kind="accept", candidate=refitted["result"]["candidate"])
    finally:
        client.close()
    return done


def scores(subject: Subject, folder: Path) -> dict[str, Any]:
    """By name, on the split that is asked for."""
    file = folder.with_name(f"{folder.name}.json")
    where = ("--dataset", subject.dataset, "--root", subject.root, "--split", subject.split)
    _primaps("evaluate", "--model", folder, *where, "--by-name", "--json", file)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def measure(arguments: argparse.Namespace, note: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row per data set and seed.

    Args:
        arguments: From `parse`.
        note: Told every score as it comes.
    """
    rows, name = [], name_by_api if arguments.api else name_cards
    for subject in arguments.sets:
        for seed in range(arguments.seeds):
            folder = segmented(subject, arguments.backbone, seed, arguments.work)
            knows = oracle(subject, folder)
            with running_studio(folder) as studio:
                started = time.monotonic()
                clicks = name(studio, knows, arguments.clicks)
                seconds = time.monotonic() - started
            found = scores(subject, folder)
            rows.append(
                {
                    "set": f"{subject.title}, {subject.split}",
                    "seed": seed,
                    "clicks": clicks,
                    "seconds": round(seconds, 1),
                    "accuracy": found["accuracy"],
                    "miou": found["miou"],
                }
            )
            note(str(rows[-1]))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows in Markdown, one line per data set."""
    lines = ["| photographs | names | accuracy | mIoU | seconds |", "|---|---|---|---|---|"]
    for title in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == title]
        clicks = "/".join(str(row["clicks"]) for row in own)
        seconds = statistics.fmean(row["seconds"] for row in own)
        values = [_mean([100 * row[kind] for row in own]) for kind in ("accuracy", "miou")]
        lines.append(f"| {title} | {clicks} | {values[0]} | {values[1]} | {seconds:.0f} |")
    return lines


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def _primaps(*arguments: str | int | Path) -> None:
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "primaps", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"primaps {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}")


def main(given: list[str] | None = None) -> int:
    """Measure, print the table, and write the numbers where they are asked for."""
    arguments = parse(given)
    rows = measure(arguments, lambda line: print(line, file=sys.stderr, flush=True))
    if arguments.json is not None:
        how = "api" if arguments.api else "keyboard"
        facts = {"oracle": arguments.oracle, "backbone": arguments.backbone, "by": how}
        arguments.json.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
