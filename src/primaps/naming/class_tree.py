"""The tree of a model's clusters: merged bottom-up, the most alike first; a cut of it makes fewer
classes of them without another fit.

Of all pairs that one is merged which costs least: by which the mean squared distance of the
clusters to the centre of their group grows least, each counting by its weight (Ward, Journal of the
American Statistical Association 1963; on unit vectors).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import CheckpointError, ConfigError

_FORMAT: Final = 1
_VANISHING: Final = 1e-9  # norms and shares that count as none


@dataclass(frozen=True)
class Merge:
    """Two groups that become one.

    Attributes:
        first: A cluster 0..K-1, or K + i for the group that merge i made.
        second: Likewise.
        height: By how much the mean squared distance of the clusters to the centre of their group
            grows, in [0, 1]; no less than that of any merge before.
        size: Share of the group in the weight of all clusters, in [0, 1].
    """

    first: int
    second: int
    height: float
    size: float


@dataclass(frozen=True)
class ClassTree:
    """How clusters become one group, step by step.

    Attributes:
        num_clusters: K.
        merges: K - 1 of them, in order.
    """

    num_clusters: int
    merges: tuple[Merge, ...]

    def cut(self, number: int) -> tuple[tuple[int, ...], ...]:
        """The groups that are left when all but the last merges are done.

        Args:
            number: Of groups, 1..K.

        Returns:
            The clusters of each group in ascending order, the groups by their first cluster.

        Raises:
            ConfigError: If the number is out of range.
        """
        if not 1 <= number <= self.num_clusters:
            raise ConfigError(
                f"Expected a number of groups from 1 to {self.num_clusters}, which is the number of"
                f" clusters, but got {number}."
            )
        groups: dict[int, tuple[int, ...]] = {
            cluster: (cluster,) for cluster in range(self.num_clusters)
        }
        for made, merge in enumerate(self.merges[: self.num_clusters - number], self.num_clusters):
            groups[made] = tuple(sorted(groups.pop(merge.first) + groups.pop(merge.second)))
        return tuple(sorted(groups.values()))

    def links(self) -> NDArray[np.float64]:
        """(K - 1, 4) one row per merge: first, second, height, size."""
        rows = [[each.first, each.second, each.height, each.size] for each in self.merges]
        return np.array(rows, dtype=np.float64).reshape(-1, 4)


def grow_tree(vectors: NDArray[np.floating[Any]], weights: NDArray[Any]) -> ClassTree:
    """Merge clusters until one is left.

    Args:
        vectors: (K, C) one direction per cluster, of any norm but zero.
        weights: (K,) how much each counts, 0 or more, such as the proposals in it.

    Returns:
        The tree; of merges that cost the same the one with the smallest clusters comes first.
    """
    count = len(vectors)
    unit = vectors.astype(np.float64)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True).clip(_VANISHING)
    weight = np.maximum(weights / max(float(weights.sum()), _VANISHING), _VANISHING)
    shared = np.outer(weight, weight) / np.add.outer(weight, weight)
    cost = shared * np.maximum(2.0 - 2.0 * unit @ unit.T, 0.0)
    np.fill_diagonal(cost, np.inf)
    node, merges = list(range(count)), list[Merge]()
    for made in range(count, 2 * count - 1):
        row, column = sorted(int(each) for each in np.unravel_index(cost.argmin(), cost.shape))
        height, both = float(cost[row, column]), weight[row] + weight[column]
        # Lance & Williams 1967: costs of the group from those of its parts
        grown = (weight[row] + weight) * cost[row] + (weight[column] + weight) * cost[column]
        merged = (grown - weight * height) / (both + weight)
        merged[[row, column]] = np.inf
        cost[row], cost[:, row] = merged, merged
        cost[column], cost[:, column] = np.inf, np.inf
        height = max(height, merges[-1].height) if merges else height  # up to rounding
        merges.append(Merge(node[row], node[column], height, min(float(both), 1.0)))
        node[row], weight[row] = made, both
    return ClassTree(count, tuple(merges))


def tree_record(tree: ClassTree, model: str) -> dict[str, Any]:
    """JSON values for ``tree.json``, for the model with a fingerprint."""
    return {
        "format": _FORMAT,
        "model": model,
        "num_clusters": tree.num_clusters,
        "merges": [
            [each.first, each.second, round(each.height, 6), round(each.size, 6)]
            for each in tree.merges
        ],
    }


def tree_from_record(record: Mapping[str, Any], model: str) -> ClassTree | None:
    """The inverse of `tree_record`; None if the record is for another model.

    Raises:
        CheckpointError: If it is damaged.
    """
    if record.get("format") != _FORMAT or record.get("model") != model:
        return None
    try:
        merges = tuple(
            Merge(int(first), int(second), height + 0.0, size + 0.0)
            for first, second, height, size in record["merges"]
        )
        tree = ClassTree(int(record["num_clusters"]), merges)
        whole = len(tree.cut(1)) == 1
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"Expected the merges of {model} in tree.json, but got: {error!r}. Delete the file; it"
            " is made anew."
        ) from error
    if not whole:
        raise CheckpointError(
            f"Expected the merges of {tree.num_clusters} clusters in tree.json, but got"
            f" {len(merges)}. Delete the file; it is made anew."
        )
    return tree
