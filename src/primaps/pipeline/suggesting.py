"""`primaps suggest`: which proposals to name, their cards, and the table that a person fills in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from primaps.errors import ConfigError
from primaps.naming.corrections import UNLABELLED
from primaps.naming.suggesting import Suggestion, doubtful, typical
from primaps.outputs.cards import card
from primaps.outputs.label_files import read_label_image
from primaps.outputs.overlays import write_overlay
from primaps.outputs.suggestion_table import SuggestionRow, read_table, write_table
from primaps.pipeline.evidence import Evidence, gather, said_of_proposals
from primaps.pipeline.framed import photo_of
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.prototypes.certainty import certainty
from primaps.prototypes.clusters import spherical_kmeans
from primaps.runs.run import Run
from primaps.runs.store import (
    atomic_write,
    hold,
    release,
    remove_file,
)

GROUPS: Final = 50
MOST: Final = 10_000
"""Groups, or uncertain proposals, that can be asked for."""

RESTARTS: Final = 8
"""Starts of the k-means that finds the groups, of which the best counts."""

SMALL_GROUPS: Final = 200
"""Small groups of which the most doubtful are asked for; twice as many as are asked for and known,
if that is more.
"""

SMALL_RESTARTS: Final = 2

_PIXELS: Final = 1_000_000


@dataclass(frozen=True)
class SuggestionFiles:
    """Where suggestions lie.

    Attributes:
        root: The run folder.
    """

    root: Path

    @property
    def table(self) -> Path:
        """To be filled in."""
        return self.root / "suggestions.csv"

    @property
    def folder(self) -> Path:
        """The cards."""
        return self.root / "suggestions"


def suggest(
    run: Run, *, groups: int = GROUPS, uncertain: int = 0, overwrite: bool = False
) -> list[SuggestionRow]:
    """Choose proposals to be named, and write their cards and the table.

    Proposals are grouped by spherical k-means with one vote each, as the default fit starts; the
    medoid of every group is asked for, the largest group first; then those that the names so far
    say least about (or, before there are any, that the model is least certain of). What was said
    before is filled in.

    Args:
        run: From `reopen`; it has a model.
        groups: Number of groups, 1 or more.
        uncertain: How many uncertain proposals are asked for besides.
        overwrite: Replace a table with names that were not read yet.

    Returns:
        The rows of the table.

    Raises:
        CheckpointError: If there is no model yet.
        ConfigError: If a number is out of range, or there is a table with names not read yet.
        DatasetError: If no proposals are stored.
        OutputError: If something cannot be written, or another command is at work in the folder.
    """
    if not 1 <= groups <= MOST or not 0 <= uncertain <= MOST:
        raise ConfigError(
            f"Expected 1..{MOST} groups and 0..{MOST} uncertain proposals, but got {groups} and"
            f" {uncertain}."
        )
    files = SuggestionFiles(run.folder.root)
    hold(run.folder.root)
    try:
        if not overwrite:
            _refuse_unread(files)
        evidence = gather(run)
        stored = evidence.stored
        centres, members = group_proposals(stored, groups, run.config.seed, RESTARTS)
        chosen = list(typical(stored.unit, stored.areas, centres, members))
        chosen += _uncertain(run, evidence, chosen, uncertain)
        rows = _rows(evidence, chosen)
        _write_cards(run, files, rows)
        atomic_write(files.table, write_table(rows))
    finally:
        release(run.folder.root)
    return rows


def group_proposals(
    stored: StoredProposals, groups: int, seed: int, restarts: int
) -> tuple[Tensor, Tensor]:
    """Spherical k-means of all proposals, one vote each.

    Args:
        stored: The proposals.
        groups: G; fewer if there are fewer proposals.
        seed: Of the starts.
        restarts: Number of starts, of which the best counts.

    Returns:
        (G, C) float32 unit centres, and (M,) int64 group of every proposal.
    """
    entropy = np.random.SeedSequence([seed, groups]).generate_state(restarts + 1, np.uint32)
    order, *starts = (torch.Generator().manual_seed(int(each)) for each in entropy)
    shuffled = stored.unit[torch.randperm(len(stored.unit), generator=order)]
    found = spherical_kmeans(shuffled, min(groups, len(shuffled)), starts)
    return found.centres, (stored.unit @ found.centres.T).max(1).indices


def _uncertain(
    run: Run, evidence: Evidence, chosen: Sequence[Suggestion], number: int
) -> tuple[Suggestion, ...]:
    if not number:
        return ()
    known = {*known_rows(evidence), *(each.row for each in chosen)}
    small = max(SMALL_GROUPS, 2 * (len(known) + number))
    found = group_proposals(evidence.stored, small, run.config.seed, SMALL_RESTARTS)
    return uncertain_proposals(evidence, *found, known, number)


def known_rows(evidence: Evidence) -> list[int]:
    """Numbers of the proposals that something was said of."""
    return [row for key, row in evidence.stored.rows().items() if key in evidence.said]


def uncertain_proposals(
    evidence: Evidence, centres: Tensor, members: Tensor, known: Collection[int], number: int
) -> tuple[Suggestion, ...]:
    """Those that the names so far say least about; before there are any, the model itself.

    Args:
        evidence: What was said.
        centres: (G, C) float32 unit centres of small groups.
        members: (M,) int64 small group of every proposal.
        known: Numbers of proposals that are named or asked for.
        number: How many.
    """
    stored = evidence.stored
    certain = certainty(learnt_scores(evidence).T[..., None])[:, 0]
    return doubtful(stored.unit, stored.areas, centres, members, certain, sorted(known), number)


def learnt_scores(evidence: Evidence) -> Tensor:
    """(M, K) float32 logits of all proposals: of the classes that something is said about, once
    there are two; before, of the clusters of the present model.
    """
    if len(evidence.classes()) < 2:
        return evidence.logits
    scores: Tensor = evidence.stored.unit @ evidence.classifier().T
    return scores


def _rows(evidence: Evidence, chosen: Sequence[Suggestion]) -> list[SuggestionRow]:
    """The table: what was said, and what the present names make of the model's opinion."""
    table = evidence.table
    titles = {each.id: each.title for each in table.classes} | {UNLABELLED: "none"}
    names = {each.id: each.name or "" for each in table.classes}
    owner, best = table.cluster_to_class(), evidence.clusters.tolist()
    rows = []
    for number, each in enumerate(chosen, start=1):
        image, proposal = evidence.stored.name(each.row)
        class_id = evidence.said.get((image, proposal))
        rows.append(
            SuggestionRow(
                image,
                proposal,
                "" if class_id is None else titles[class_id],
                f"{number:04d}.jpg",
                each.group,
                each.share,
                each.why,
                names.get(int(owner[best[each.row]]), ""),
            )
        )
    return rows


def _write_cards(run: Run, files: SuggestionFiles, rows: Sequence[SuggestionRow]) -> None:
    """The cards; those of a former table that are not replaced are deleted."""
    images = {image.name: image for image in run.images}
    stamps = {row.card: f"{row.image!a} {row.proposal}" for row in rows}
    for old in files.folder.glob("[0-9]*.jpg"):
        if old.name not in stamps:
            remove_file(old)
    with run.stage("cards", len(rows)):
        for row in rows:
            photo = photo_of(images[row.image], run.config, _PIXELS).image
            proposals = read_label_image(run.folder.proposals(row.image), photo.shape[:2])
            picture = card(photo, proposals == row.proposal)
            write_overlay(files.folder / row.card, picture, stamps[row.card])
            run.progress.advance(1)


def _refuse_unread(files: SuggestionFiles) -> None:
    if not files.table.exists():
        return
    said = said_of_proposals(files.root)
    rows = read_table(files.table.read_bytes(), str(files.table))
    unread = [row for row in rows if row.name and (row.image, row.proposal) not in said]
    if unread:
        raise ConfigError(
            f"{files.table} has {len(unread)} names that were not read yet. Read them: primaps"
            f" suggest {files.root} --read; or add --overwrite to lose them."
        )
