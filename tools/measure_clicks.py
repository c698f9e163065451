r"""Measure how good a model gets by naming a few proposals: a simulated person names what `primaps
suggest` shows, `primaps fit --with names` learns from it, and classes are scored by their names.

    python tools/measure_clicks.py --oracle majority --set camvid=CAMVID:val --set msrc=MSRC:train \
        --backbone efficientnet_lite0 --backbone mini --clicks 0,20,50,100 --work WORK \
        --json FILE --figure docs/images/clicks.png

`--oracle majority` says who names: a program that looks at the labels and gives every proposal that
is shown the name most of its pixels have. It stands for a person; nothing else sees labels before
the scores. Names are given for photographs of ``train``, without any other label; accuracy / mIoU
in per cent are those of the split after the colon, matched by name (`primaps evaluate --by-name`):
a pixel of a class that nobody named is wrong. Mean and sample standard deviation over seeds, which
decide the groups.

Features and proposals are made once per backbone, data set and split, and lie in WORK, as do all
scores: run again, only what is missing is measured.

Ways (``--ways``):

    names       the linear classifier of the package
    em          PriMaPs-EM from named prototypes, in which named proposals and those that look like
                them stay where they are

Plans (``--plans``): groups/round, as 15/10: fifteen clicks for medoids of groups, all further ones
for uncertain proposals, ten at a time; 0/10 = medoids only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from class_measures.photographs import SPLIT, Photographs, photographs
from click_measures.figure import Curve, draw_curves
from click_measures.named_em import em_with_names, training_proposals
from click_measures.naming import named_by_clicks
from click_measures.oracle import majority_labels
from numpy.typing import NDArray
from torch import Tensor

from primaps.cli.terminal import TerminalProgress, make_console
from primaps.config import preset_config
from primaps.errors import PrimapsError
from primaps.evaluation.by_name import clusters_by_name
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.heads.loading import load_backbone
from primaps.pipeline.evidence import Evidence
from primaps.pipeline.named_fit import NAMED_FIT_ALGORITHM, named_table
from primaps.pipeline.stored_proposals import StoredProposals, proposals_in
from primaps.pipeline.suggestion_rounds import Plan
from primaps.prototypes.classifier import label_map_from_logits, logits
from primaps.prototypes.clusters import ProposalMeans
from primaps.runs.store import fingerprint, read_json, write_json
from primaps.types import View


@dataclass(frozen=True)
class Setting:
    """One data set with one backbone.

    Attributes:
        title: For the table.
        named: The photographs whose proposals are named.
        scored: The photographs that are scored.
    """

    title: str
    named: Photographs
    scored: Photographs


@dataclass(frozen=True)
class Material:
    """What the ways learn from, read when the first score is missing.

    Attributes:
        stored: All proposals.
        labels: Class id of each, as the simulated person would say.
        training: The same proposals as EM takes them.
    """

    stored: StoredProposals
    labels: list[int]
    training: ProposalMeans | None


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
    parser.add_argument(
        "--backbone", dest="backbones", action="append", metavar="NAME", help="repeatable"
    )
    parser.add_argument("--device", default="auto", help="of the backbone")
    parser.add_argument("--clicks", default="0,20,50,100", type=_numbers, metavar="N,N,...")
    parser.add_argument("--ways", default="names", type=_words, metavar="NAME,NAME")
    parser.add_argument("--plans", default="15/10", type=_plans, metavar="GROUPS/ROUND,...")
    parser.add_argument("--seeds", default=3, type=int, metavar="N")
    parser.add_argument("--every", default=1, type=int, metavar="N", help="each N-th photograph")
    parser.add_argument("--work", required=True, type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the curves there")
    arguments = parser.parse_args(given)
    arguments.backbones = arguments.backbones or ["efficientnet_lite0"]
    return arguments


def settings(arguments: argparse.Namespace) -> Iterator[Setting]:
    """All data sets with all backbones; features are made where they are missing."""
    progress = TerminalProgress(make_console())
    for backbone_name in arguments.backbones:
        backbone = load_backbone(backbone_name, device=arguments.device)
        for name, root, split in arguments.sets:
            take = (name, root, arguments.every, backbone, arguments.work, progress)
            named = photographs(*take)
            scored = named if split == SPLIT else photographs(*take, split)
            yield Setting(f"{name}, {split}, {backbone_name}", named, scored)


def measure(arguments: argparse.Namespace, note: Callable[[str], None]) -> list[dict[str, Any]]:
    """All rows of the table.

    Args:
        arguments: From `parse`.
        note: Told every score as it comes.
    """
    rows = []
    for setting in settings(arguments):
        read = _reader(setting.named, em="em" in arguments.ways)
        for way in arguments.ways:
            for plan in arguments.plans:
                for clicks in arguments.clicks:
                    scores = []
                    for seed in range(arguments.seeds):
                        scores.append(_measured(setting, read, way, plan, clicks, seed))
                        note(f"{setting.title}, {way}, {plan}, {clicks}, {seed}: {scores[-1]}")
                    rows.append(
                        {
                            "set": setting.title,
                            "way": way,
                            "groups": plan.groups,
                            "round": plan.round,
                            "clicks": clicks,
                            "scores": scores,
                        }
                    )
    return rows


def _reader(images: Photographs, *, em: bool) -> Callable[[], Material]:
    """Reads the material once, when it is needed."""
    found: list[Material] = []

    def read() -> Material:
        if not found:
            stored = proposals_in(images.store, images.names)
            training = training_proposals(images) if em else None
            found.append(Material(stored, majority_labels(images, stored), training))
        return found[0]

    return read


def _measured(
    setting: Setting, read: Callable[[], Material], way: str, plan: Plan, clicks: int, seed: int
) -> dict[str, Any]:
    """Scores of one model; read if they were made before."""
    contents = [setting.named.fingerprint(), setting.scored.fingerprint()]
    facts = [NAMED_FIT_ALGORITHM, contents, way, plan.groups, plan.round, clicks, seed]
    path = setting.named.folder / "clicks" / f"{fingerprint(facts)}.json"
    if path.exists():
        return read_json(path)
    if clicks == 0:
        return {"accuracy": 0.0, "miou": 0.0, "classes": 0}
    material, names = read(), setting.named.class_names
    evidence = named_by_clicks(material.stored, material.labels, names, clicks, plan, seed)
    if way == "names":
        weights = evidence.classifier()
    else:
        assert material.training is not None
        weights = em_with_names(evidence, material.training)
    scores = _scores(setting.scored, evidence, weights / material.stored.token_norm)
    write_json(path, scores)
    return scores


def _scores(images: Photographs, evidence: Evidence, prototypes: Tensor) -> dict[str, Any]:
    """By name, without CRF."""
    table, _ = named_table(evidence.table, evidence.classes())

    def pairs() -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        for name, truth in zip(images.names, images.truths, strict=True):
            values = logits(images.store.features(name, View()), prototypes)
            yield label_map_from_logits(values, (truth.shape[0], truth.shape[1])).numpy(), truth

    result = evaluate_label_maps(
        pairs(),
        len(prototypes),
        images.class_names,
        cluster_to_class=clusters_by_name(table, images.class_names),
    )
    return {
        "accuracy": result.accuracy,
        "miou": result.miou,
        "classes": len(prototypes),
        "clicks": len(evidence.said),
    }


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    lines = [
        "| photographs, backbone | way | plan | clicks | classes named | accuracy | mIoU |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        scores = row["scores"]
        classes = statistics.fmean(score["classes"] for score in scores)
        cells = (_mean(scores, "accuracy"), _mean(scores, "miou"))
        lines.append(
            f"| {row['set']} | {row['way']} | {row['groups']}/{row['round']} | {row['clicks']}"
            f" | {classes:.1f} | {cells[0]} | {cells[1]} |"
        )
    return lines


def _mean(scores: Sequence[dict[str, Any]], kind: str) -> str:
    values = [100 * float(score[kind]) for score in scores]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def curves(rows: Sequence[dict[str, Any]]) -> list[Curve]:
    """One for each data set and backbone; of the first way and plan."""
    first = (rows[0]["way"], rows[0]["groups"], rows[0]["round"])
    kept = [row for row in rows if (row["way"], row["groups"], row["round"]) == first]
    return [
        Curve(
            title,
            [row["clicks"] for row in kept if row["set"] == title],
            [[s["accuracy"] for s in row["scores"]] for row in kept if row["set"] == title],
            [[s["miou"] for s in row["scores"]] for row in kept if row["set"] == title],
        )
        for title in dict.fromkeys(row["set"] for row in kept)
    ]


def _set(text: str) -> tuple[str, Path, str]:
    name, sign, rest = text.partition("=")
    root, colon, split = rest.rpartition(":")
    if not (name and sign and root and colon and split):
        raise argparse.ArgumentTypeError(f"expected NAME=ROOT:SPLIT, but got {text!r}")
    return name, Path(root), split


def _numbers(text: str) -> list[int]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"expected numbers as 0,20,50, but got {text!r}")
    return [int(part) for part in text.split(",")]


def _words(text: str) -> list[str]:
    words = text.split(",")
    if not set(words) <= {"names", "em"}:
        raise argparse.ArgumentTypeError(f"expected names, em or both, but got {text!r}")
    return words


def _plans(text: str) -> list[Plan]:
    try:
        pairs = [part.split("/") for part in text.split(",")]
        return [Plan(int(groups), int(size)) for groups, size in pairs]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected plans as 15/10, but got {text!r}") from error


def main(given: list[str] | None = None) -> int:
    """Measure, print the table, and write numbers and figure where they are asked for."""
    arguments = parse(given)
    try:
        rows = measure(arguments, lambda line: print(line, file=sys.stderr, flush=True))
        if arguments.json is not None:
            facts = {"oracle": arguments.oracle, "preset": preset_config("default").preset}
            write_json(arguments.json, {**facts, "rows": rows})
        if arguments.figure is not None:
            draw_curves(curves(rows), arguments.figure)
    except PrimapsError as error:
        sys.exit(str(error))
    print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
