"""Fewer or more classes by the tree of the clusters, without another fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from primaps.errors import ConfigError
from primaps.naming.table import Colour, checked_table
from primaps.types import IGNORE_INDEX, ClassTable, NamedClass


def cut_classes(
    table: ClassTable, groups: Sequence[Sequence[int]], colours: Sequence[Colour]
) -> tuple[ClassTable, dict[int, int]]:
    """One class per group of clusters. A class that a person named, noted or ignored takes in the
    rest of its group; so a merge without a name can be taken apart again.

    Clusters that belong to no class stay without one, and classes without clusters stay as they
    are.

    Args:
        table: The classes.
        groups: Clusters, from `primaps.naming.class_tree.ClassTree.cut`.
        colours: 255 colours by class id, for new classes.

    Returns:
        The table, and the id that each class that is gone lives on under.

    Raises:
        ConfigError: If a group holds two such classes, or such a class lies in two groups; all of
            them are named.
    """
    owner = {cluster: each for each in table.classes for cluster in each.clusters}
    parts = [part for group in groups if (part := [each for each in group if each in owner])]
    said = [_said_of(part, owner) for part in parts]
    _refuse_conflicts(said)
    made = [each for each in table.classes if not each.clusters]
    used = {each.id for each in made} | {entry.id for found in said for entry in found}
    for part, found in zip(parts, said, strict=True):
        entry = found[0] if found else _unnamed(part[0], owner, used, colours)
        used.add(entry.id)
        made.append(dataclasses.replace(entry, clusters=tuple(part)))
    home = {cluster: entry.id for entry in made for cluster in entry.clusters}
    present = {entry.id for entry in made}
    gone = {each.id: home[each.clusters[0]] for each in table.classes if each.id not in present}
    return checked_table(table.num_clusters, made), gone


def _said_of(part: Sequence[int], owner: Mapping[int, NamedClass]) -> list[NamedClass]:
    """The classes of a group of which a person said something; to be a merge is nothing said."""
    entries = {owner[cluster].id: owner[cluster] for cluster in part}
    return [
        each for each in entries.values() if each.name is not None or each.ignore or bool(each.note)
    ]


def _refuse_conflicts(said: Sequence[Sequence[NamedClass]]) -> None:
    problems = [
        f"{' and '.join(each.title for each in found)} would become one class"
        for found in said
        if len(found) > 1
    ]
    every = [entry for found in said for entry in found]
    parted = {entry.id: entry for entry in every if every.count(entry) > 1}
    problems += [f"{entry.title} would be parted" for entry in parted.values()]
    if problems:
        raise ConfigError(
            f"Expected a cut that leaves named classes whole, but {'; '.join(problems)}. Cut"
            " elsewhere, merge them or take names away first (--name CLASS=), or add --reset."
        )


def _unnamed(
    cluster: int, owner: Mapping[int, NamedClass], used: set[int], colours: Sequence[Colour]
) -> NamedClass:
    """The class of a group that starts with a cluster: the one that owns it, unless another group
    has that already; then a new one, if possible with an id that means nothing yet.
    """
    former = owner[cluster]
    if former.id not in used:
        return former
    known = used | {each.id for each in owner.values()}
    free = [each for each in (cluster, *range(IGNORE_INDEX)) if each not in known]
    number = free[0] if free else min(set(range(IGNORE_INDEX)) - used)
    return NamedClass(number, None, colours[number], ())
