"""A class parted in two or more: a model as a candidate beside the run's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import ConfigError
from primaps.naming.table import checked_table, find_class
from primaps.pipeline.accepting import finish_pending
from primaps.pipeline.candidates import Candidate
from primaps.pipeline.classes import default_colours
from primaps.pipeline.evidence import Evidence, gather
from primaps.pipeline.named_fit import write_candidate
from primaps.prototypes.clusters import spherical_kmeans
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import fingerprint, hold, release
from primaps.types import IGNORE_INDEX, ClassTable, FitResult, NamedClass

SPLIT_ALGORITHM: Final = 1
"""Raised when a change of the code changes split models."""

MOST_PARTS: Final = 20

SHIFT: Final = 0.1
"""How far the parts of a prototype lie from it, in lengths of the prototype times the distance of
the centres. Measured on street scenes: of larger shifts the other classes lose more pixels.
"""

_KEPT: Final = 0.95
"""Fraction of the proposals of a class for which the best part is no worse than the former class.
"""

_RESTARTS: Final = 8


def split_class(run: Run, class_id: int, parts: int = 2) -> Candidate:
    """Part a class, and write the model with its label maps as a candidate. The run itself stays
    as it is.

    The other clusters stay as they are, with their ids. Each cluster of the class becomes one per
    part, see `split_prototypes`.

    Args:
        run: From `reopen`; it has a model.
        class_id: Of the class, which owns a cluster.
        parts: How many, 2 or more.

    Raises:
        CheckpointError: If there is no model yet.
        ConfigError: If there is no such class, it cannot be parted so, or names or corrections
            have a mistake.
        DatasetError: If no proposals are stored.
        OutputError: If something cannot be written, or another command is at work in the folder.
    """
    root = run.folder.root
    hold(root)
    try:
        finish_pending(root)
        evidence, model = gather(run), Model.load(run.folder.model)
        members = _members(evidence, class_id)
        _check(evidence.table, class_id, parts, len(members))
        with run.stage("split", 1):
            centres = _centres(run, evidence, members, parts)
            new = _split_model(run, evidence, model, members, class_id, centres)
            table = split_table(evidence.table, class_id, parts)
            run.progress.advance(1)
        known = {each.id for each in evidence.table.classes}
        more = [each.id for each in table.classes if each.id not in known]
        facts = Candidate(
            0,
            (),
            {each: each for each in known},
            len(evidence.said),
            new.fingerprint,
            "split",
            dict.fromkeys(more, class_id),
            _said(evidence, class_id, [class_id, *_in_order(table, more)], centres),
        )
        return write_candidate(run, new, table, facts)
    finally:
        release(root)


def _members(evidence: Evidence, class_id: int) -> Tensor:
    """Numbers of the proposals of a class: by the model, unless a person said otherwise."""
    owner = torch.from_numpy(evidence.table.cluster_to_class())
    classes, rows = owner[evidence.clusters], evidence.stored.rows()
    ignored = next((each for each in evidence.table.classes if each.id == class_id), None)
    if ignored is not None and ignored.ignore:
        classes[torch.isin(evidence.clusters, torch.tensor(ignored.clusters))] = class_id
    for key, said in evidence.said.items():
        if key in rows:
            classes[rows[key]] = said
    return (classes == class_id).nonzero().flatten()


def _check(table: ClassTable, class_id: int, parts: int, members: int) -> None:
    entry = find_class(table, class_id)
    if not 2 <= parts <= MOST_PARTS:
        raise ConfigError(f"Expected 2..{MOST_PARTS} parts, but got {parts}.")
    if not entry.clusters:
        raise ConfigError(
            f"Expected a class with clusters to part, but {entry.title} lives by what was said of"
            " proposals alone."
        )
    if members < parts:
        raise ConfigError(
            f"Expected {parts} or more proposals of {entry.title} to part it, but there are"
            f" {members}."
        )
    clusters = table.num_clusters + (parts - 1) * len(entry.clusters)
    if clusters > IGNORE_INDEX or len(table.classes) + parts - 1 > IGNORE_INDEX:
        raise ConfigError(
            f"Expected at most {IGNORE_INDEX} clusters and classes, but {parts} parts of"
            f" {entry.title} make {clusters} clusters. Part it in fewer."
        )


def _centres(run: Run, evidence: Evidence, members: Tensor, parts: int) -> Tensor:
    """(P, C) float32 unit centres of the proposals of the class."""
    unit, seed = evidence.stored.unit[members], run.config.seed
    order = torch.randperm(len(unit), generator=torch.Generator().manual_seed(seed))
    starts = [torch.Generator().manual_seed(seed + each) for each in range(_RESTARTS)]
    return spherical_kmeans(unit[order], parts, starts).centres


def _said(
    evidence: Evidence, class_id: int, ids: Sequence[int], centres: Tensor
) -> dict[tuple[str, int], int]:
    """The part that each proposal is of, of which a person said that it is of the class."""
    rows = evidence.stored.rows()
    said = [key for key, to in evidence.said.items() if to == class_id and key in rows]
    unit = evidence.stored.unit[[rows[key] for key in said]]
    nearest = (unit @ centres.T).argmax(1).tolist()
    return {key: ids[part] for key, part in zip(said, nearest, strict=True) if part}


def _in_order(table: ClassTable, ids: Sequence[int]) -> list[int]:
    """Ids of the further parts, in the order of their clusters."""
    first = {each.id: each.clusters[0] for each in table.classes if each.id in ids}
    return sorted(first, key=lambda each: first[each])


def _split_model(
    run: Run, evidence: Evidence, model: Model, members: Tensor, class_id: int, centres: Tensor
) -> Model:
    unit = evidence.stored.unit[members]
    clusters = find_class(evidence.table, class_id).clusters
    prototypes = split_prototypes(
        model.prototypes, clusters, centres, unit, cosine=model.fit.cosine
    )
    more = len(prototypes) - model.num_clusters
    usage = torch.cat([model.fit.usage, torch.full((more,), -1, dtype=torch.int64)])
    usage[list(clusters)] = -1
    told = [class_id, len(centres), model.fingerprint, SPLIT_ALGORITHM]
    return dataclasses.replace(
        model,
        fit=FitResult(prototypes, prototypes.clone(), model.fit.cosine, usage),
        settings={**model.settings, "num_clusters": len(prototypes), "split": told},
        fingerprint=fingerprint([*told, list(clusters), members.tolist(), run.config.seed]),
    )


def split_prototypes(
    prototypes: Tensor, clusters: Sequence[int], centres: Tensor, unit: Tensor, *, cosine: bool
) -> Tensor:
    """The prototypes with one per part of some clusters.

    Each prototype p becomes p + s (c - m), one for each centre c. So parts compete among
    themselves by their centres alone, while all of them together keep the place among the other
    clusters that p had: m is the mean of the centres, stretched as far as the best of the shifts
    still gains for nearly all proposals of the class. To put the centres themselves in place of p
    would not do: prototypes that were fitted to tell classes apart point elsewhere than the mean
    features of what they stand for, and centres would take in much of the other classes.

    Args:
        prototypes: (K, C) float32.
        clusters: Ids of the n clusters to part.
        centres: (P, C) float32 unit centres.
        unit: (M, C) float32 unit features of the proposals of the class.
        cosine: Logits are cosines; the length of prototypes means nothing.

    Returns:
        (K + n (P - 1), C) float32: the first part of each cluster has its id, the others follow
        behind, part by part.
    """
    if cosine:
        prototypes = F.normalize(prototypes, dim=1)
    scores = unit @ centres.T
    gains = scores.amax(1) / scores.mean(1).clamp_min(1e-6)
    shifts = centres - gains.quantile(1.0 - _KEPT) * centres.mean(0)
    chosen = prototypes[list(clusters)]
    lengths = chosen.norm(dim=1, keepdim=True)
    made = [chosen + SHIFT * lengths * shift for shift in shifts]
    found = prototypes.clone()
    found[list(clusters)] = made[0]
    return torch.cat([found, *made[1:]])


def split_table(table: ClassTable, class_id: int, parts: int) -> ClassTable:
    """The classes of the model of `split_prototypes`: the first part keeps id and colour, and all
    classes of which nothing is said stay.

    Args:
        table: The classes.
        class_id: Of the class.
        parts: How many.
    """
    entry = find_class(table, class_id)
    number, size = table.num_clusters, len(entry.clusters)
    names = _part_names(table, entry, parts)
    made = [dataclasses.replace(entry, name=names[0])]
    taken, colours = {each.id for each in table.classes}, default_colours()
    for part in range(1, parts):
        clusters = tuple(range(number + (part - 1) * size, number + part * size))
        wanted = (clusters[0], *range(number, IGNORE_INDEX), *range(IGNORE_INDEX))
        new = next(each for each in wanted if each not in taken)
        taken.add(new)
        made.append(NamedClass(new, names[part], colours[new], clusters, entry.ignore))
    rest = [each for each in table.classes if each.id != class_id]
    return checked_table(number + (parts - 1) * size, [*rest, *made])


def _part_names(table: ClassTable, entry: NamedClass, parts: int) -> list[str | None]:
    if entry.name is None:
        return [None] * parts
    taken = {each.name for each in table.classes}
    names: list[str | None] = []
    number = 1
    while len(names) < parts:
        name = f"{entry.name} {number}"
        if name not in taken:
            names.append(name)
        number += 1
    return names
