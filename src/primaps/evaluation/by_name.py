"""Clusters that stand for the class that a person named them, instead of the best fitting one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ConfigError
from primaps.types import IGNORE_INDEX, ClassTable


def clusters_by_name(table: ClassTable, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Which class of a data set every cluster stands for, by the names of ``classes.yaml``.

    Names match exactly, but for upper and lower case. Clusters of ignored classes, of classes
    without a name and of names that the data set lacks stand for nothing: their pixels are wrong.

    Args:
        table: The classes as a person named them.
        class_names: Names of the data set by class id.

    Returns:
        (num_clusters,) int64 class id per cluster; IGNORE_INDEX where it stands for nothing.

    Raises:
        ConfigError: If no name is one of the data set's, or two of these differ by case alone.
    """
    known = {_plain(name): number for number, name in enumerate(class_names)}
    repeated = [name for name, count in Counter(map(_plain, class_names)).items() if count > 1]
    if repeated:
        raise ConfigError(
            f"Expected class names that differ by more than case, but got {repeated[0]!r} twice."
        )
    found = np.full(table.num_clusters, IGNORE_INDEX, dtype=np.int64)
    for entry in table.classes:
        if entry.name is not None and not entry.ignore and _plain(entry.name) in known:
            found[list(entry.clusters)] = known[_plain(entry.name)]
    if (found == IGNORE_INDEX).all():
        given = [each.name for each in table.classes if each.name is not None]
        named = f"the names are {', '.join(given)}" if given else "no class has a name"
        raise ConfigError(
            f"Expected classes with names of the data set, {', '.join(class_names)}, but {named}."
            " Give them: primaps classes RUN --name CLASS=NAME"
        )
    return found


def _plain(name: str) -> str:
    return name.strip().casefold()
