"""`primaps fit RUN --with names`: a model whose clusters are the classes that a person named, as a
candidate beside the run's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from primaps.errors import ConfigError
from primaps.heads.extractor import head_path
from primaps.naming.corrections import UNLABELLED
from primaps.naming.named_classifier import (
    NOTHING,
    Handed,
    certain_weights,
    from_clusters,
    hand_on,
    linear_classifier,
)
from primaps.naming.table import checked_table, is_touched
from primaps.naming.table_text import write_classes
from primaps.pipeline.accepting import finish_pending
from primaps.pipeline.candidates import Candidate, CandidateFolder
from primaps.pipeline.commands import predict_from_store
from primaps.pipeline.fitting import fit_fingerprint, fit_settings
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.overview import write_run_report
from primaps.pipeline.stored_proposals import StoredProposals, read_proposals
from primaps.pipeline.suggesting import (
    SuggestionFiles,
    nearest_group,
    proposal_logits,
    said_of_proposals,
)
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import Run
from primaps.runs.store import fingerprint, hold, release, write_json
from primaps.types import IGNORE_INDEX, ClassTable, FitResult, NamedClass

NAMED_FIT_ALGORITHM: Final = 1
"""Raised when a change of the code changes named models."""


@dataclass(frozen=True)
class Evidence:
    """What a person said, and what it is about.

    Attributes:
        table: The present classes.
        said: Class id by image and proposal; `UNLABELLED` = of no class.
        stored: All proposals.
        groups: (M,) int64 group of every proposal; None = none were suggested.
        clusters: (M,) int64 cluster that the present model gives every proposal to.
    """

    table: ClassTable
    said: Mapping[tuple[str, int], int]
    stored: StoredProposals
    groups: Tensor | None
    clusters: Tensor

    def named_clusters(self) -> dict[int, int]:
        """Class id by cluster, of the classes that have a name or are ignored."""
        return {
            cluster: each.id
            for each in self.table.classes
            if each.name is not None or each.ignore
            for cluster in each.clusters
        }

    def classes(self) -> list[NamedClass]:
        """Those that something is said about, by ascending id."""
        known = {*self.said.values(), *self.named_clusters().values()}
        return [each for each in self.table.classes if each.id in known]

    def handed_on(self, numbers: Mapping[int, int]) -> Handed:
        """Class of every proposal.

        Args:
            numbers: Of the classes, 0, 1, ..., by their ids.
        """
        index = self.stored.rows()
        known = {index[key]: class_id for key, class_id in self.said.items() if key in index}
        handed = hand_on(
            self.stored.unit,
            torch.tensor(list(known), dtype=torch.int64),
            torch.tensor([numbers.get(each, NOTHING) for each in known.values()]),
            self.groups,
        )
        named = torch.full((self.table.num_clusters,), NOTHING)
        for cluster, class_id in self.named_clusters().items():
            named[cluster] = numbers[class_id]
        return from_clusters(handed, self.stored.unit, self.clusters, named)


def fit_with_names(run: Run) -> Candidate:
    """Fit a model to what a person named, and write it with its label maps as a candidate. The run
    itself stays as it is.

    Args:
        run: From `reopen`; it has a model.

    Raises:
        CheckpointError: If there is no model yet.
        ConfigError: If fewer than two classes are named, or names or corrections have a mistake.
        DatasetError: If no proposals are stored.
        OutputError: If something cannot be written, or another command is at work in the folder.
    """
    root = run.folder.root
    hold(root)
    try:
        finish_pending(root)
        evidence = gather(run)
        with run.stage("fit", 1):
            model = named_model(run, evidence)
            run.progress.advance(1)
        return _write(run, evidence, model)
    finally:
        release(root)


def gather(run: Run) -> Evidence:
    """Everything that was said about the proposals of a run.

    Raises:
        CheckpointError: If there is no model yet.
        ConfigError: If fewer than two classes are named, or names or corrections have a mistake.
        DatasetError: If no proposals are stored.
    """
    model = Model.load(run.folder.model)
    table, said = NamedLabels(run.folder.root).table, said_of_proposals(run.folder.root)
    stored = read_proposals(run, {image for image, _ in said})
    centres = SuggestionFiles(run.folder.root).centres()
    same = centres is not None and centres.shape[1] == stored.unit.shape[1]
    groups = nearest_group(stored.unit, centres) if same and centres is not None else None
    clusters = proposal_logits(stored, model).max(1).indices
    evidence = Evidence(table, said, stored, groups, clusters)
    if len(evidence.classes()) < 2:
        raise ConfigError(
            f"Expected two or more classes with names, but got {len(evidence.classes())}. Name"
            f" proposals: primaps suggest {run.folder.root}; or clusters: primaps classes"
            f" {run.folder.root} --name CLASS=NAME"
        )
    return evidence


def named_model(run: Run, evidence: Evidence) -> Model:
    """The linear classifier of what was said, as a model whose cluster i is class i."""
    classes, stored = evidence.classes(), evidence.stored
    handed = evidence.handed_on({each.id: number for number, each in enumerate(classes)})
    weights = certain_weights(handed, stored.areas)
    found = linear_classifier(stored.unit, handed.classes, weights, len(classes))
    prototypes = found / max(stored.token_norm, 1e-12)  # for features as they are stored
    images = run.usable_images()
    names = {
        "algorithm": NAMED_FIT_ALGORITHM,
        "of": fit_fingerprint(run, images),
        "classes": [each.title for each in classes],
        "clicks": len(evidence.said),
    }
    usage = torch.full((len(classes),), -1, dtype=torch.int64)
    return Model(
        FitResult(prototypes, prototypes.clone(), cosine=False, usage=usage),
        run.backbone.describe(),
        run.backbone.weights_path,
        run.config.features.size,
        {**fit_settings(run, len(images)), "num_clusters": len(classes), "names": names},
        fingerprint([names, _facts(evidence)]),
        head_path(run.backbone),
        run.config.predict,
    )


def _facts(evidence: Evidence) -> list[Any]:
    """What determines a named model, JSON-ready."""
    titles = {each.id: each.title for each in evidence.table.classes} | {UNLABELLED: None}
    said = [[*key, titles[class_id]] for key, class_id in sorted(evidence.said.items())]
    groups = [] if evidence.groups is None else evidence.groups.tolist()
    named = evidence.named_clusters()
    clusters = [
        titles[named[each]] if each in named else None for each in evidence.clusters.tolist()
    ]
    return [said, fingerprint(groups), fingerprint(clusters)]


def named_table(
    table: ClassTable, classes: Sequence[NamedClass]
) -> tuple[ClassTable, dict[int, int]]:
    """The classes of a named model: class i owns cluster i; those that a person touched and of
    which nothing is said follow, and wait.

    Returns:
        The table, and the new id of every class by its former one.
    """
    known = {each.id for each in classes}
    waiting = [each for each in table.classes if each.id not in known and is_touched(each)]
    moves = {each.id: number for number, each in enumerate([*classes, *waiting])}
    entries = [
        dataclasses.replace(
            each, id=moves[each.id], clusters=(moves[each.id],) if each.id in known else ()
        )
        for each in [*classes, *waiting]
        if moves[each.id] < IGNORE_INDEX
    ]
    return checked_table(len(classes), entries), moves


def _write(run: Run, evidence: Evidence, model: Model) -> Candidate:
    """Model, names, label maps and report of a candidate; its record last."""
    folders = CandidateFolder(run.folder.root)
    number = folders.next_number()
    out = folders.of(number)
    table, moves = named_table(evidence.table, evidence.classes())
    model.save(out / "model")
    named = NamedFolder(out)
    with named.lock():
        named.write_classes(write_classes(table, model.fingerprint))
    made = predict_from_store(run, out, out / "model", run.config, overwrite=True)
    images = {image.name: {"path": str(image.path.absolute())} for image in run.usable_images()}
    write_json(made.folder.images_file, {"images": images})
    write_run_report(made, model, made.folder.record.get("inputs", ()))
    classes = tuple(each.title for each in evidence.classes())
    candidate = Candidate(number, classes, moves, len(evidence.said), model.fingerprint)
    folders.write(candidate)
    return candidate
