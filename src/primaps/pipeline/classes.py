"""Names in a folder: read, changed, copied. A folder is that of a run, of `predict`, or of a model.

What is refused leaves all files as they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from primaps.data.dataset import dataset_module
from primaps.errors import CheckpointError, ConfigError
from primaps.given import given_path
from primaps.naming.corrections import (
    Correction,
    Journal,
    correction_lines,
    moved_corrections,
    parse_corrections,
    resolve,
)
from primaps.naming.cutting import cut_classes
from primaps.naming.table import (
    Colour,
    Key,
    checked_table,
    colour_class,
    fresh_table,
    ignore_class,
    merge_classes,
    name_class,
    with_known_classes,
)
from primaps.naming.table_text import ClassesText, parse_classes, update_classes, write_classes
from primaps.outputs.visualize import MAX_COLOURS, palette
from primaps.pipeline.trees import read_tree
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder
from primaps.runs.store import read_json
from primaps.types import ClassTable


@dataclass(frozen=True)
class Clusters:
    """The clusters that a folder's label maps, or model, speak of.

    Attributes:
        number: K.
        model: Fingerprint of the model; None if none is on record.
    """

    number: int
    model: str | None


@dataclass(frozen=True)
class ClassChanges:
    """What `primaps classes` is asked to change, in the order in which it is done.

    Attributes:
        reset: Start from classes without names; the former ones stay in the history.
        cut: So many classes, by the tree of the clusters; None = as they are.
        dataset: Names and colours of a known data set are added.
        merges: Classes, and the name of the one that they become.
        names: Class to new name; None takes it away.
        ignored: Classes that count as unlabelled.
        used: Classes that no longer do.
        colours: Class to colour, as ``#804080``.
    """

    reset: bool = False
    cut: int | None = None
    dataset: str | None = None
    merges: Sequence[tuple[Sequence[Key], str]] = ()
    names: Sequence[tuple[Key, str | None]] = ()
    ignored: Sequence[Key] = ()
    used: Sequence[Key] = ()
    colours: Sequence[tuple[Key, str | Colour]] = ()


def default_colours() -> list[Colour]:
    """Colours by class id, those of the label maps."""
    return [(int(red), int(green), int(blue)) for red, green, blue in palette(MAX_COLOURS)]


def clusters_of(named: NamedFolder) -> Clusters:
    """The clusters that names in a folder are for.

    Raises:
        CheckpointError: If it has neither a model nor label maps made with one.
    """
    for path in (named.root / "model" / "model.json", named.root / "model.json"):
        if path.exists():
            record = read_json(path)
            try:
                return Clusters(int(record["num_clusters"]), str(record["fingerprint"]))
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"Expected {path} to be the record of a model, but got: {error!r}. Fit again."
                ) from error
    record = RunFolder(named.root).record
    model = record.get("settings", {}).get("model", {}).get("fingerprint")
    if model is None:
        raise CheckpointError(
            f"Expected {named.root} to hold a model, or label maps, but it holds neither yet. Run"
            " `primaps segment` or `primaps fit` first."
        )
    number = record.get("num_clusters", record["config"]["num_clusters"])
    return Clusters(int(number), str(model))


def read_classes(folder: str | Path) -> ClassTable:
    """The classes of a folder; without ``classes.yaml`` one class per cluster. Nothing is written.

    Args:
        folder: Of a run, of `predict`, or of a model.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If ``classes.yaml`` has a mistake, or is for other clusters than the folder's.
    """
    named = NamedFolder.find(Path(folder))
    text = named.read_classes()
    clusters = clusters_of(named)
    if text is None:
        return fresh_table(clusters.number, default_colours())
    return parsed_for(text, named, clusters).table


def parsed_for(text: str, named: NamedFolder, clusters: Clusters) -> ClassesText:
    """The names of a folder, once they are known to be for its clusters.

    Raises:
        ConfigError: If the text has a mistake, or is for other clusters.
    """
    found = parse_classes(text, str(named.classes), default_colours())
    if found.model not in {None, clusters.model} or found.table.num_clusters != clusters.number:
        raise ConfigError(
            f"Expected {named.classes} to name the {clusters.number} clusters of model"
            f" {clusters.model}, but it is for {found.table.num_clusters} clusters of model"
            f" {found.model}. Run the command that fitted, or made label maps here, again: it"
            " carries names over. Or move the file away to have it made anew."
        )
    return found


def edit_classes(folder: str | Path, changes: ClassChanges) -> ClassTable:
    """Change the classes of a folder, as a whole or not at all; two at once wait for each other.
    Without changes ``classes.yaml`` is made if there is none.

    Args:
        folder: Of a run, of `predict`, or of a model.
        changes: What to change.

    Returns:
        The classes as they are now.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If ``classes.yaml`` has a mistake, or a change does not fit.
        OutputError: If something cannot be written.
    """
    groups = None if changes.cut is None else cut_groups(folder, changes.cut)
    return transform_classes(folder, lambda table: changed_table(table, changes, groups))


def cut_groups(folder: str | Path, number: int) -> tuple[tuple[int, ...], ...]:
    """The clusters of each of so many classes, by the tree of the clusters.

    Raises:
        ConfigError: If the folder has no tree, or not so many classes can be had.
    """
    tree = read_tree(folder)
    if tree is None:
        raise ConfigError(
            f"Expected a folder with a model to cut its tree, but {folder} has label maps only. Cut"
            " where the model is, and run `primaps predict` again: it takes the classes along."
        )
    if number > tree.num_clusters:
        raise ConfigError(
            f"Expected a cut into at most {tree.num_clusters} classes, as many as the model has"
            f" clusters, but got {number}. Finer ones need another fit: primaps fit RUN --classes"
            f" {number} --overwrite"
        )
    if number < 1:
        raise ConfigError(f"Expected a cut into 1 or more classes, but got {number}.")
    return tree.cut(number)


def classes(
    folder: str | Path,
    *,
    name: Mapping[Key, str | None] | None = None,
    merge: Mapping[Sequence[Key], str] | None = None,
    ignore: Sequence[Key] = (),
    unignore: Sequence[Key] = (),
    colour: Mapping[Key, str | Colour] | None = None,
    dataset: str | None = None,
    cut: int | None = None,
    reset: bool = False,
) -> ClassTable:
    """The classes of a folder, after the changes that are asked for: `primaps classes` in Python.

    Classes are given by id or name.

    Args:
        folder: Of a run, of `predict`, or of a model.
        name: New names; None takes one away.
        merge: Classes, and the name of the one that they become, as in ``{(4, 7): "building"}``.
        ignore: Classes that count as unlabelled.
        unignore: Classes that no longer do.
        colour: New colours, as in ``{"road": "#804080"}``.
        dataset: Names and colours of a known data set are added, as of "camvid".
        cut: So many classes, by the tree of the clusters: fewer, or as many as there are clusters.
        reset: Start from classes without names; the former ones stay in ``classes-history``.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If ``classes.yaml`` has a mistake, or a change does not fit; nothing is changed
            then.
        OutputError: If something cannot be written.
    """
    for what, given in (("name", name), ("merge", merge), ("colour", colour)):
        if not isinstance(given, Mapping | None):
            raise ConfigError(
                f"Expected {what} to be a dictionary, such as {{3: 'road'}}, but got {given!r}."
            )
    for title in (*(name or {}).values(), *(merge or {}).values()):
        if not isinstance(title, str | None):
            raise ConfigError(f"Expected the name of a class to be a text, but got {title!r}.")
    changes = ClassChanges(
        reset=reset,
        cut=cut,
        dataset=dataset,
        merges=list((merge or {}).items()),
        names=list((name or {}).items()),
        ignored=ignore,
        used=unignore,
        colours=list((colour or {}).items()),
    )
    return edit_classes(given_path("folder", folder), changes)


def transform_classes(
    folder: str | Path, change: Callable[[ClassTable], tuple[ClassTable, Mapping[int, int]]]
) -> ClassTable:
    """As `edit_classes`, by a function.

    Args:
        folder: Of a run, of `predict`, or of a model.
        change: From the present classes to the new ones, and the id that each class that is gone
            lives on under, which corrections follow.
    """
    named = NamedFolder.find(Path(folder))
    with named.lock():
        new = changed_names(named, change)
        if new.moved:  # first: until the classes are written, both classes exist
            named.append_corrections(correction_lines(new.moved))
        named.write_classes(new.text)
    return new.table


@dataclass(frozen=True)
class ChangedNames:
    """What a change of classes comes to; nothing of it is written yet.

    Attributes:
        former: The classes before.
        table: The new ones.
        text: Of ``classes.yaml``.
        moved: New lines of corrections, which follow their classes.
    """

    former: ClassTable
    table: ClassTable
    text: str
    moved: tuple[Correction, ...]


def changed_names(
    named: NamedFolder, change: Callable[[ClassTable], tuple[ClassTable, Mapping[int, int]]]
) -> ChangedNames:
    """Work out a change of classes. Only under the lock of the names.

    Args:
        named: The folder.
        change: As for `transform_classes`.
    """
    clusters, text = clusters_of(named), named.read_classes()
    if text is None:
        former = ClassesText(fresh_table(clusters.number, default_colours()), clusters.model)
        text = write_classes(former.table, former.model)
    else:
        former = parsed_for(text, named, clusters)
    table, gone = change(former.table)
    journal = parse_corrections(named.read_corrections(), str(named.corrections))
    moved = moved_corrections(journal, former.table, table, gone)
    table = _with_corrected(table, former.table, journal, gone)
    new = update_classes(text, former, table, former.model or clusters.model)
    return ChangedNames(former.table, table, new, tuple(moved))


def _with_corrected(
    table: ClassTable, former: ClassTable, journal: Journal, gone: Mapping[int, int]
) -> ClassTable:
    """The table with the classes that corrections name, should it lack them."""
    wanted = {gone.get(int(each.class_id), int(each.class_id)) for each in resolve(journal, former)}
    missing = wanted - {each.id for each in table.classes}
    kept = [dataclasses.replace(each, clusters=()) for each in former.classes if each.id in missing]
    return checked_table(table.num_clusters, [*table.classes, *kept])


def changed_table(
    table: ClassTable, changes: ClassChanges, groups: Sequence[Sequence[int]] | None
) -> tuple[ClassTable, dict[int, int]]:
    """The table after changes, and the id that each class that is gone lives on under.

    Args:
        table: The classes.
        changes: What to change.
        groups: The clusters of each class, from `cut_groups`, if it is to be cut.

    Raises:
        ConfigError: If a change does not fit.
    """
    gone: dict[int, int] = {}
    if changes.reset:
        table = fresh_table(table.num_clusters, default_colours())
    if groups is not None:
        table, gone = cut_classes(table, groups, default_colours())
    if changes.dataset is not None:
        table = with_known_classes(table, known_classes(changes.dataset))
    for keys, name in changes.merges:
        table, moved = merge_classes(table, keys, name)
        gone = {old: moved.get(new, new) for old, new in gone.items()} | moved
    for key, new_name in changes.names:
        table, moved = name_class(table, key, new_name)
        gone = {old: moved.get(new, new) for old, new in gone.items()} | moved
    for key in changes.ignored:
        table = ignore_class(table, key)
    for key in changes.used:
        table = ignore_class(table, key, ignore=False)
    for key, colour in changes.colours:
        table = colour_class(table, key, colour)
    return table, gone


def known_classes(dataset: str) -> dict[str, Colour]:
    """Names and colours of a known data set; its images and labels are not needed.

    Raises:
        ConfigError: If the name is unknown, or the set's classes are only known from its files.
    """
    module = dataset_module(dataset)
    colours = getattr(module, "CLASS_COLOURS", None)
    if colours is None:
        raise ConfigError(
            f"Expected a data set whose classes are published, but those of {dataset!r} stand in"
            " its own files. Give names with --name."
        )
    return {name: (int(r), int(g), int(b)) for name, (r, g, b) in colours.items()}


def save_classes(
    table: ClassTable, model: str, source: str | Path | None, folder: str | Path
) -> None:
    """Write the names of a model into its folder; comments are kept, of the names there or else of
    those where the model came from.

    Args:
        table: The classes.
        model: Fingerprint of the model.
        source: Folder that the model came from; None = it was just fitted.
        folder: Of the model.

    Raises:
        ConfigError: If ``classes.yaml`` there has a mistake.
        OutputError: If it cannot be written.
    """
    target = NamedFolder.of_model(Path(folder))
    texts = (target, None if source is None else NamedFolder.of_model(Path(source)))
    with target.lock():
        found = ((each, each.read_classes()) for each in texts if each is not None)
        named, text = next(((each, text) for each, text in found if text), (target, None))
        if text is None:
            target.write_classes(write_classes(table, model))
            return
        former = parse_classes(text, str(named.classes), default_colours())
        target.write_classes(update_classes(text, former, table, model))


def copy_classes(source: NamedFolder | None, target: NamedFolder, clusters: Clusters) -> str | None:
    """Take the names of a model into the folder of label maps made with it.

    Names that somebody changed there are kept, unless they are for another model; then they stay
    in the history.

    Args:
        source: Where the model's names lie; None = the model has none.
        target: The folder of the label maps, held by the caller.
        clusters: Of the model.

    Returns:
        What the user should know; None = nothing.

    Raises:
        ConfigError: If ``classes.yaml`` of either has a mistake.
        OutputError: If something cannot be written.
    """
    given = None if source is None else source.read_classes()
    if given is None or source is None:
        text = write_classes(fresh_table(clusters.number, default_colours()), clusters.model)
    else:
        found = parsed_for(given, source, clusters)
        text = update_classes(given, found, found.table, clusters.model)
    with target.lock():
        present = target.read_classes()
        if present == text:
            return None
        note = None
        if present is not None and not target.unchanged_copy():
            former = parse_classes(present, str(target.classes), default_colours())
            if former.model == clusters.model:
                return (
                    f"{target.classes} was changed since it was copied from the model, and is kept."
                    " Move it away to take the model's names."
                )
            note = (
                f"{target.classes} was for another model; the model's own names are in its place."
                f" The former file is in {target.history}."
            )
        target.write_classes(text, copied=True)
    return note
