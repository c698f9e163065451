from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from primaps.errors import ConfigError
from primaps.evaluation.matching import hungarian
from primaps.evaluation.metrics import class_table
from primaps.types import IGNORE_INDEX

TABLES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 30))
)


def _best_by_trying_all(table: np.ndarray) -> int:
    """Largest number of right pixels over all one-to-one assignments."""
    small, large = (table, table.T)[:: 1 if table.shape[0] <= table.shape[1] else -1]
    rows = np.arange(small.shape[0])
    return max(
        int(small[rows, list(columns)].sum())
        for columns in itertools.permutations(range(large.shape[0]), len(rows))
    )


@settings(deadline=None)
@given(TABLES)
def test_no_one_to_one_assignment_is_better(table):
    num_classes, num_clusters = table.shape
    assignment = hungarian(table)
    assert assignment.shape == (num_clusters,)
    assert assignment.dtype == np.int64
    right = int(
        sum(
            table[assigned, cluster]
            for cluster, assigned in enumerate(assignment)
            if assigned != IGNORE_INDEX
        )
    )
    if num_clusters <= num_classes:
        assert len(set(assignment.tolist())) == num_clusters
        assert right == _best_by_trying_all(table)
    else:
        assert set(range(num_classes)) <= set(assignment.tolist())
        assert right >= _best_by_trying_all(table)


def test_square():
    table = np.array([[0, 90, 5], [80, 85, 0], [3, 4, 2]])
    assert hungarian(table).tolist() == [1, 0, 2]


def test_overclustering_joins_further_clusters_to_their_most_frequent_class():
    #            cluster 0   1   2   3  4
    table = np.array([[50, 40, 10, 1, 0],
                      [0, 5, 60, 30, 0]])  # fmt: skip
    assert hungarian(table).tolist() == [0, 0, 1, 1, IGNORE_INDEX]
    assert class_table(table, hungarian(table)).tolist() == [[90, 11, 0], [5, 90, 0]]


def test_fewer_clusters_than_classes():
    table = np.array([[9, 1], [0, 0], [8, 7]])
    assert hungarian(table).tolist() == [0, 2]
    assert class_table(table, hungarian(table)).tolist() == [
        [9, 0, 1, 0],
        [0, 0, 0, 0],
        [8, 0, 7, 0],
    ]


@settings(deadline=None)
@given(TABLES, st.randoms(use_true_random=False))
def test_order_of_clusters_does_not_matter(table, random):
    order = list(range(table.shape[1]))
    random.shuffle(order)
    traces = [np.trace(class_table(t, hungarian(t))) for t in (table, table[:, order])]
    # with ties among more clusters, the surplus one may join another class
    if table.shape[1] <= table.shape[0]:
        assert traces[0] == traces[1]
    else:
        assert min(traces) >= _best_by_trying_all(table)


@pytest.mark.parametrize(
    "table", [np.zeros((0, 3), int), np.zeros((3, 0), int), np.zeros(3, int), np.array([[1, -1]])]
)
def test_no_table_of_counts(table):
    with pytest.raises(
        ConfigError, match=r"Expected a \(num_classes, num_clusters\) table of counts"
    ):
        hungarian(table)
