"""Changes of names and corrections as the studio makes them: one step after the other, at once on
disk, with undo and redo that outlive the process.

Everything goes through the same functions as `primaps classes` and `primaps correct`, under the
same lock; so both can be used side by side. What others change is a step as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from primaps.errors import ConfigError, PrimapsError
from primaps.naming.asking import Change, asked_change, checked_edit, words_of
from primaps.naming.corrections import (
    UNLABELLED,
    Correction,
    Journal,
    correction_lines,
    parse_corrections,
    resolve,
)
from primaps.naming.table import checked_name, find_class, fresh_table
from primaps.naming.table_text import parse_classes, write_classes
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.classes import (
    ClassChanges,
    changed_names,
    changed_table,
    clusters_of,
    cut_groups,
    default_colours,
    parsed_for,
)
from primaps.pipeline.correcting import with_new_class
from primaps.pipeline.edit_log import EditFiles, EditLog, Kind, Stand, Step, checksum
from primaps.pipeline.named_labels import NamedLabels, said_corrections
from primaps.pipeline.proposal_facts import proposal_facts
from primaps.pipeline.viewed_state import state_of
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder
from primaps.types import ClassTable

Proposal = tuple[str, int]
"""Name of an image, id of a proposal in it."""

_OUTSIDE: Final = "a change made outside the studio"


class Stale(ConfigError):  # noqa: N818 (said of a revision)
    """Somebody else changed something since; nothing was changed."""


@dataclass(frozen=True)
class _Texts:
    """What both files shall hold after a step.

    Attributes:
        classes: The text of ``classes.yaml``.
        lines: To be put at the end of ``corrections.jsonl``.
        words: What the step does.
    """

    classes: str
    lines: str
    words: str


class Editing:
    """The names and corrections of a folder, to be changed.

    Several of them, in several processes, may be at the same folder; jobs that hold the run do not
    keep names from being changed.

    Args:
        folder: Of a run or of `predict`.
        alike: The group of a proposal, for edits of kind ``alike``; None = they are refused.

    Raises:
        CheckpointError: If the folder is none of these.
    """

    def __init__(
        self, folder: str | Path, alike: Callable[[str, int], Sequence[Proposal]] | None = None
    ) -> None:
        self.named = NamedFolder.find(Path(folder))
        self.files = EditFiles(self.named)
        self.alike = alike

    def state(self) -> dict[str, Any]:
        """How everything is now, JSON-ready: ``State`` of ``viewer/web/types.js``.

        Raises:
            ConfigError: If names or corrections have a mistake; the message names the line.
            OutputError: If the folder cannot be written.
        """
        while True:  # read without the lock, which takes long the first time
            log = self._log()
            try:
                found = state_of(self.named.root)
            except PrimapsError:
                if self._log().revision == log.revision:
                    raise
                continue
            if self._log().revision == log.revision:
                undo, redo = log.undoable(), log.redoable()
                return {
                    **found,
                    "revision": log.revision,
                    "undo": None if undo is None else undo.words,
                    "redo": None if redo is None else redo.words,
                }

    def revision(self) -> int:
        """Number of the last step; changes made elsewhere count.

        Raises:
            As `state`.
        """
        return self._log().revision

    def apply(self, edit: object, revision: int) -> tuple[dict[str, Any], str]:
        """Make a change, as a whole or not at all.

        Args:
            edit: ``Edit`` of ``viewer/web/types.js``, from JSON.
            revision: On which it was asked for.

        Returns:
            The new state, and what was done, as a sentence.

        Raises:
            Stale: If the revision is not the present one.
            ConfigError: If the edit is none, or does not fit.
            ImageError: If a map of proposals cannot be read.
            OutputError: If something cannot be written.
        """
        asked = checked_edit(edit)
        said = self._said(asked) if asked["kind"] in {"say", "alike"} else []
        with self.named.lock():
            log = self._synced(revision)
            texts = self._asked(asked, said)
            same = not texts.lines and texts.classes == self.named.read_classes()
            if not same:
                self._carry_out(log, "edit", texts)
        return self.state(), "Nothing changed." if same else _sentence(texts.words)

    def undo(self, revision: int) -> tuple[dict[str, Any], str]:
        """Take back the last step that was not taken back yet.

        Args:
            revision: As for `apply`.

        Returns:
            As `apply`.

        Raises:
            Stale: If the revision is not the present one.
            ConfigError: If there is none, or it cannot be taken back; the message says why.
            OutputError: If something cannot be written.
        """
        with self.named.lock():
            log = self._synced(revision)
            if not log.done:
                raise ConfigError("Expected a change to take back, but there is none.")
            step = log.done[-1]
            if step.barrier:
                raise ConfigError(step.barrier)
            self._carry_out(log, "undo", self._towards(step.before, step.words))
        return self.state(), f"Taken back: {step.words}."

    def redo(self, revision: int) -> tuple[dict[str, Any], str]:
        """Do again what was taken back last, unless something else was done since.

        Args:
            revision: As for `apply`.

        Returns:
            As `apply`.

        Raises:
            As `undo`.
        """
        with self.named.lock():
            log = self._synced(revision)
            step = log.redoable()
            if step is None:
                raise ConfigError("Expected a change to do again, but there is none.")
            self._carry_out(log, "redo", self._towards(step.after, step.words))
        return self.state(), f"Done again: {step.words}."

    def _log(self) -> EditLog:
        with self.named.lock():
            return self._synced()

    def _synced(self, revision: int | None = None) -> EditLog:
        """The steps, with those that others made, once a killed one is finished."""
        if CandidateFolder(self.named.root).plan.exists():
            raise ConfigError(
                f"Expected a run whose models are in place, but an exchange in {self.named.root}"
                " was stopped halfway. Finish it: start the studio again, or run `primaps accept`"
                " again."
            )
        clusters = clusters_of(self.named)
        if not self.named.classes.exists():
            table = fresh_table(clusters.number, default_colours())
            self.named.write_classes(write_classes(table, clusters.model))
        self.files.finish()
        log, stand = self.files.read(), self.files.stand(clusters.model)
        if not log.steps:
            self.files.append(log, Step(0, "begin", "", stand, stand))
        elif not (former := log.steps[-1].after).same(stand):
            barrier = self._barrier(former, stand)
            step = Step(log.revision + 1, "outside", _OUTSIDE, former, stand, barrier)
            self.files.append(log, step)
        if revision is not None and revision != log.revision:
            raise Stale(
                "Something was changed elsewhere in the meantime. Look at it, and do yours again."
            )
        return log

    def _barrier(self, former: Stand, now: Stand) -> str:
        """Why a change from outside cannot be taken back here; empty = it can."""
        if former.model != now.model:
            return (
                "Expected a change of names to take back, but what came last is another model: a"
                " candidate was accepted or taken back, or the run was fitted again. Take back the"
                " accepted candidate instead."
            )
        if checksum(self.named.read_corrections()[: former.said]) != former.said_sum:
            return (
                f"Expected {self.named.corrections.name} to have grown only, but lines of it were"
                " changed elsewhere; what was done before cannot be taken back here. Mend that"
                " file, or say the right class of the proposals anew."
            )
        return ""

    def _said(self, asked: Mapping[str, Any]) -> list[Correction]:
        """The corrections that an edit speaks of, with numbers and classes to be filled in."""
        if asked["kind"] == "say":
            proposals = [(image, number) for image, number in asked["proposals"]]
        elif self.alike is None:
            raise ConfigError("Expected a run with stored features to find what looks alike.")
        else:
            proposals = list(self.alike(asked["image"], asked["proposal"]))
        pairs = [(*each, UNLABELLED) for each in sorted(set(proposals))]
        made = said_corrections(self.named, pairs, 1)
        for image in {each.image for each in made}:  # what is asked for under the lock
            proposal_facts(RunFolder(self.named.root).proposals(image))
        return made

    def _asked(self, asked: Mapping[str, Any], said: Sequence[Correction]) -> _Texts:
        """What an edit comes to."""
        if asked["kind"] in {"say", "alike"}:
            return self._with_said(asked, said)
        if asked["kind"] == "retract":
            return self._without_said(asked)
        new = changed_names(self.named, self._change(asked))
        return _Texts(new.text, correction_lines(new.moved), words_of(asked, new.former))

    def _change(self, asked: Mapping[str, Any]) -> Change:
        """Of the table of classes."""
        if asked["kind"] == "cut":
            groups = cut_groups(self.named.root, asked["classes"])
            return lambda table: changed_table(table, ClassChanges(cut=asked["classes"]), groups)
        if asked["kind"] in {"dataset", "reset"}:
            changes = ClassChanges(reset=asked["kind"] == "reset", dataset=asked.get("name"))
            return lambda table: changed_table(table, changes, None)
        return asked_change(asked)

    def _with_said(self, asked: Mapping[str, Any], said: Sequence[Correction]) -> _Texts:
        target = asked["class"]
        new = changed_names(self.named, lambda table: (_with_class(table, target), {}))
        number = UNLABELLED if target is None else _class_id(new.table, target)
        labels = NamedLabels(self.named.root)
        bindings = {image: labels.binding(image).classes for image in {each.image for each in said}}
        fresh = [each for each in said if bindings[each.image].get(each.proposal) != number]
        if asked["kind"] == "alike":  # what a person said of single ones stays
            own = (asked["image"], asked["proposal"])
            fresh = [
                each
                for each in fresh
                if (each.image, each.proposal) == own or each.proposal not in bindings[each.image]
            ]
        first = labels.journal.next_id
        lines = [
            replace(each, id=first + place, class_id=number) for place, each in enumerate(fresh)
        ]
        words = words_of(asked, new.table, len(fresh))
        return _Texts(new.text, correction_lines(lines), words)

    def _without_said(self, asked: Mapping[str, Any]) -> _Texts:
        wanted = {(image, number) for image, number in asked["proposals"]}
        labels = NamedLabels(self.named.root)
        gone, count = set[int](), 0
        for image in {image for image, _ in wanted} & set(labels.corrected_images):
            binding = labels.binding(image)
            count += sum((image, number) in wanted for number in binding.classes)
            means = [(each.id, each.proposal) for each in binding.bound]
            means += [(each.id, number) for each, number, _ in binding.rebound]
            gone |= {each for each, number in means if (image, number) in wanted}
        if not gone:
            raise ConfigError(
                "Expected proposals that somebody spoke of, but nothing was said of these."
            )
        kept = {each.id for each in labels.journal.active()} - gone
        lines = correction_lines(labels.journal.lines_towards(kept))
        text = self.named.read_classes() or ""
        return _Texts(text, lines, words_of(asked, labels.table, count))

    def _towards(self, stand: Stand, words: str) -> _Texts:
        """Back to how it was, or forth."""
        text, said = self.named.version(stand.names), self.named.read_corrections()
        if clusters_of(self.named).model != stand.model:
            raise ConfigError(self._barrier(stand, replace(stand, model=None)))
        if text is None or checksum(text) != stand.names_sum:
            raise ConfigError(
                f"Expected the former names in {self.named.history}, but version {stand.names} is"
                " not there any more. Name the classes anew."
            )
        where = str(self.named.corrections)
        wanted = parse_corrections(said[: stand.said], where).active()
        lines = parse_corrections(said, where).lines_towards({each.id for each in wanted})
        return _Texts(text, correction_lines(lines), words)

    def _carry_out(self, log: EditLog, kind: Kind, texts: _Texts) -> None:
        """Write a step, in an order in which the files agree at any moment."""
        before, clusters = log.steps[-1].after, clusters_of(self.named)
        former = self.named.read_corrections()
        said = self.named.with_lines(former, texts.lines)
        journal = parse_corrections(said, str(self.named.corrections))
        table = parsed_for(texts.classes, self.named, clusters).table
        resolve(journal, table)  # whatever is written can be read
        after = replace(
            before, names_sum=checksum(texts.classes), said=len(said), said_sum=checksum(said)
        )
        step = Step(log.revision + 1, kind, texts.words, before, after)
        self.files.begin(step, texts.classes, texts.lines, names_first=self._names_first(journal))
        self.files.finish()

    def _names_first(self, journal: Journal) -> bool:
        """Whether the new corrections need the new names."""
        text = self.named.read_classes() or ""
        former = parse_classes(text, str(self.named.classes), default_colours()).table
        try:
            resolve(journal, former)
        except ConfigError:
            return True
        return False


def _with_class(table: ClassTable, target: int | str | None) -> ClassTable:
    """The table with a class of this name, made if there is none."""
    if not isinstance(target, str):
        return table
    name = checked_name(target)
    known = name in {each.name for each in table.classes}
    return table if known else with_new_class(table, name)


def _class_id(table: ClassTable, target: int | str) -> int:
    name = checked_name(target) if isinstance(target, str) else None
    found = next((each.id for each in table.classes if each.name == name is not None), None)
    return find_class(table, target).id if found is None else found


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
