"""`primaps accept`: a candidate takes the place of a run's model, or gives it back.

Model, label maps, names and report change places with those of the run; what took their place
lies where they lay. Corrections follow their classes. An exchange that was killed is finished by
the next command that comes here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from primaps.errors import CheckpointError, ConfigError
from primaps.naming.corrections import (
    UNLABELLED,
    Correction,
    Journal,
    correction_lines,
    moved_corrections,
    parse_corrections,
    resolve,
)
from primaps.naming.table import add_class, find_class
from primaps.naming.table_text import ClassesText, parse_classes, update_classes
from primaps.pipeline.candidates import Candidate, CandidateFolder
from primaps.pipeline.classes import default_colours, read_classes
from primaps.pipeline.commands import finishing
from primaps.pipeline.fit_curves import fit_curves
from primaps.pipeline.labelling import extras_of, predict_stored
from primaps.pipeline.overview import write_run_report
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.records import check_record, is_count, is_mapping, list_of, maybe
from primaps.runs.run import Run, RunFolder, read_failures
from primaps.runs.store import read_json, write_json
from primaps.runs.swapping import Swap, begin_swap, end_swap, finish_swap, pending_swap
from primaps.types import ClassTable

EXCHANGED: Final = (
    "model",
    "labels",
    "certainty",
    "certainty.jsonl",
    "overlays",
    "report.html",
    "classes.yaml",
)


def accept(run: Run, number: int | None) -> int:
    """Have a candidate take the place of the run's model, or take back the one accepted last; then
    label maps and report are brought up to date.

    Args:
        run: From `reopen`.
        number: Of the candidate; None = take back the one accepted last.

    Returns:
        The number of the candidate that was accepted or taken back.

    Raises:
        ConfigError: If there is no such candidate, it is accepted already, nothing is to be taken
            back, or names or corrections have a mistake.
        CheckpointError: If the candidate is damaged.
        OutputError: If something cannot be written, or another command is at work in the folder.
    """
    root = run.folder.root
    _chosen(CandidateFolder(root), run.folder.record, number)  # before anything is on record
    run.failures += read_failures(run.folder)
    run.folder.claim({}, overwrite=False)
    inputs = run.folder.record.get("inputs", ())
    with finishing(run, "accept", inputs):
        finish_pending(root)
        chosen = swap_model(root, number)
        run.folder.record |= _accepted(RunFolder(root))
        model = Model.load(run.folder.model)
        predict_stored(run, model, extras_of(run.folder))
        curves = fit_curves(run, model, run.folder.model)
        write_run_report(run, inputs, curves)
    return chosen


def _accepted(written: RunFolder) -> dict[str, object]:
    return {key: written.record.get(key) for key in ("accepted", "named")}


def swap_model(root: Path, number: int | None) -> int:
    """Exchange the files of a run and a candidate, and have names and corrections follow.

    Args:
        root: The run folder, held by the caller.
        number: As for `accept`.

    Raises:
        As `accept`.
    """
    folders, named = CandidateFolder(root), NamedFolder(root.absolute())
    record = RunFolder(root).record
    accepted, chosen = _list(record), _chosen(folders, record, number)
    candidate = folders.read(chosen)
    back = number is None
    if not back and Model.load(folders.of(chosen)).fingerprint != candidate.fingerprint:
        raise CheckpointError(
            f"Expected {folders.of(chosen)} to hold the model of candidate {chosen}, but it holds"
            " another one. Fit again: primaps fit RUN --with names"
        )
    moves = dict(candidate.moves)
    if back:
        moves = dict(candidate.back) | {new: old for old, new in moves.items()}
    now = accepted[:-1] if back else [*accepted, chosen]
    named_ones = [each for each in map(folders.read, now) if each.kind == "names"]
    facts: dict[str, Any] = {
        "accepted": now,
        "named": named_ones[-1].record() if named_ones else None,
    }
    with named.lock():
        former = read_classes(root)
        parted = None if back else candidate
        text, lines, following = _following(named, folders.of(chosen), former, moves, parted)
        named.write_classes(named.read_classes() or text)  # the history has it, edited or not
        facts |= {"classes": text, "lines": lines, "next": following}
        swap = begin_swap(folders.plan, root, folders.of(chosen), EXCHANGED, facts)
        _finish(named, folders, swap)
    return chosen


def _list(record: Mapping[str, Any]) -> list[int]:
    """Numbers of the accepted candidates, the last one last."""
    return [int(each) for each in record.get("accepted") or ()]


def _chosen(folders: CandidateFolder, record: Mapping[str, Any], number: int | None) -> int:
    accepted = _list(record)
    if number is None:
        if not accepted:
            raise ConfigError("Expected an accepted candidate to take back, but there is none.")
        return accepted[-1]
    if number in accepted:
        raise ConfigError(
            f"Expected a candidate that is not accepted yet, but {number} is. Take it back: primaps"
            f" accept {folders.root} --back"
        )
    return folders.read(number).number


def _following(
    named: NamedFolder,
    other: Path,
    former: ClassTable,
    moves: Mapping[int, int],
    parted: Candidate | None,
) -> tuple[str, str, int]:
    """The names that come, with all classes that corrections need, the lines by which corrections
    follow, and the id of the first of them. Those of a class that the candidate ``parted`` go to
    its parts.
    """
    source = NamedFolder(other.absolute())
    text = source.read_classes()
    if text is None:
        raise CheckpointError(f"Expected names in {source.classes}, but there are none.")
    found = parse_classes(text, str(source.classes), default_colours())
    journal = parse_corrections(named.read_corrections(), str(named.corrections))
    table, full = _with_all(journal, former, found.table, moves)
    moved = moved_corrections(journal, former, table, full)
    if parted is not None:
        moved += _to_parts(journal, former, parted, journal.next_id + len(moved))
    new = update_classes(text, ClassesText(found.table, found.model), table, found.model)
    return new, correction_lines(moved), journal.next_id


def _to_parts(
    journal: Journal, former: ClassTable, candidate: Candidate, first: int
) -> list[Correction]:
    """New lines for corrections of a class that was parted."""
    parts, whole = candidate.said, set(candidate.back.values())
    found = [
        each
        for each in resolve(journal, former)
        if each.class_id in whole and (each.image, each.proposal) in parts
    ]
    return [
        dataclasses.replace(each, id=first + place, class_id=parts[each.image, each.proposal])
        for place, each in enumerate(found)
    ]


def _with_all(
    journal: Journal, former: ClassTable, table: ClassTable, moves: Mapping[int, int]
) -> tuple[ClassTable, dict[int, int]]:
    """The table with every class that a correction names, and where each of these is in it."""
    full: dict[int, int] = {}
    for class_id in dict.fromkeys(int(each.class_id) for each in resolve(journal, former)):
        if class_id == UNLABELLED:
            continue
        entry, ids = find_class(former, class_id), {each.id for each in table.classes}
        same = [each.id for each in table.classes if each.name == entry.name is not None]
        if moves.get(class_id) in ids:
            full[class_id] = moves[class_id]
        elif same:
            full[class_id] = same[0]
        else:
            table = add_class(table, entry.title, entry.colour)
            full[class_id] = next(each.id for each in table.classes if each.name == entry.title)
    return table, full


_FACTS: Final = {
    "accepted": list_of(is_count),
    "named": maybe(is_mapping),
    "classes": lambda value: isinstance(value, str),
    "lines": lambda value: isinstance(value, str),
    "next": is_count,
}


def finish_pending(root: Path) -> None:
    """Finish an exchange that was killed; nothing happens if there is none.

    Args:
        root: The run folder, held by the caller.

    Raises:
        CheckpointError: If its plan is damaged.
        OutputError: If something cannot be moved or written.
    """
    folders, named = CandidateFolder(root), NamedFolder(root.absolute())
    if folders.plan.exists():
        with named.lock():
            swap = pending_swap(folders.plan)
            if swap is not None:
                advice = f"Move the file away; files of the exchange lie in {folders.folder}."
                check_record(swap.facts, _FACTS, folders.plan, advice, tuple(_FACTS))
                _finish(named, folders, swap)


def _finish(named: NamedFolder, folders: CandidateFolder, swap: Swap) -> None:
    """All steps of an exchange; each can be done again. Only under the lock of the names."""
    finish_swap(folders.plan, swap)
    journal = parse_corrections(named.read_corrections(), str(named.corrections))
    if swap.facts["lines"] and journal.next_id == swap.facts["next"]:
        named.append_corrections(swap.facts["lines"])
    named.write_classes(swap.facts["classes"])
    record = read_json(named.root / "run.json")
    record |= {key: swap.facts[key] for key in ("accepted", "named")}
    write_json(named.root / "run.json", record)
    end_swap(folders.plan)
