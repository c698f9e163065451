"""`primaps fit RUN --with names`: a model whose clusters are the classes that a person named, as a
candidate beside the run's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from primaps.errors import ConfigError
from primaps.heads.extractor import head_path
from primaps.naming.table import checked_table, is_touched
from primaps.naming.table_text import write_classes
from primaps.pipeline.accepting import finish_pending
from primaps.pipeline.candidates import Candidate, CandidateFolder
from primaps.pipeline.commands import predict_from_store
from primaps.pipeline.evidence import NAMES, Evidence, gather
from primaps.pipeline.fitting import fit_fingerprint, fit_settings
from primaps.pipeline.framed import image_entry
from primaps.pipeline.labelling import extras_of
from primaps.pipeline.overview import write_run_report
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import Run
from primaps.runs.store import fingerprint, hold, release, write_json
from primaps.types import IGNORE_INDEX, ClassTable, FitResult, NamedClass

NAMED_FIT_ALGORITHM: Final = 1
"""Raised when a change of the code changes named models."""


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
        _check_enough(root, evidence)
        with run.stage("fit", 1):
            model = named_model(run, evidence)
            run.progress.advance(1)
        table, moves = named_table(evidence.table, evidence.classes())
        facts = Candidate(0, (), moves, len(evidence.said), model.fingerprint)
        return write_candidate(run, model, table, facts)
    finally:
        release(root)


def _check_enough(root: Path, evidence: Evidence) -> None:
    count = len(evidence.classes())
    if count < 2:
        raise ConfigError(
            f"Expected two or more classes with names, but got {count}. Name proposals: primaps"
            f" suggest {root}; or clusters: primaps classes {root} --name CLASS=NAME"
        )


def named_model(run: Run, evidence: Evidence) -> Model:
    """The linear classifier of what was said, as a model whose cluster i is class i.

    Args:
        run: The run.
        evidence: Of two or more classes.
    """
    classes = evidence.classes()
    # for features as they are stored
    prototypes = evidence.classifier() / max(evidence.stored.token_norm, 1e-12)
    images = run.usable_images()
    names = {
        "algorithm": NAMED_FIT_ALGORITHM,
        "of": fit_fingerprint(run, images),
        "classes": _titles(named_table(evidence.table, classes)[0]),
        "clicks": len(evidence.said),
    }
    usage = torch.full((len(classes),), -1, dtype=torch.int64)
    return Model(
        FitResult(prototypes, prototypes.clone(), cosine=False, usage=usage),
        run.backbone.describe(),
        run.backbone.weights_path,
        run.config.features.size,
        {**fit_settings(run, len(images)), "num_clusters": len(classes), NAMES: names},
        fingerprint([names, evidence.facts()]),
        head_path(run.backbone),
        run.config.predict,
        run.config.features.max_enlargement,
        run.config.inputs,
    )


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


def write_candidate(run: Run, model: Model, table: ClassTable, facts: Candidate) -> Candidate:
    """Model, names, label maps and report of a candidate; its record last.

    Args:
        run: The run, held by the caller.
        model: Of the candidate.
        table: Its classes.
        facts: What is known of it, but for number, titles and fingerprint.

    Raises:
        OutputError: If something cannot be written.
    """
    folders = CandidateFolder(run.folder.root)
    number = folders.next_number()
    out = folders.of(number)
    model.save(out / "model")
    named = NamedFolder(out)
    with named.lock():
        named.write_classes(write_classes(table, model.fingerprint))
    extras = extras_of(run.folder)
    made = predict_from_store(run, out, out / "model", overwrite=True, extras=extras)
    images = {image.name: image_entry(image) for image in run.usable_images()}
    write_json(made.folder.images_file, {"images": images})
    write_run_report(made, made.folder.record.get("inputs", ()))
    titles = tuple(_titles(table))
    candidate = dataclasses.replace(
        facts, number=number, classes=titles, fingerprint=model.fingerprint
    )
    folders.write(candidate)
    return candidate


def _titles(table: ClassTable) -> list[str]:
    """What the classes with clusters are called."""
    return [each.title for each in table.classes if each.clusters]
