import dataclasses

import pytest

from primaps.errors import ConfigError
from primaps.naming.cutting import cut_classes
from primaps.naming.table import (
    add_class,
    checked_table,
    fresh_table,
    ignore_class,
    merge_classes,
    name_class,
)

COLOURS = [(number, 0, 255 - number) for number in range(255)]
GROUPS = ((0, 2), (1, 3, 5), (4,))


@pytest.fixture
def table():
    return fresh_table(6, COLOURS)


def owned(table):
    return {each.id: each.clusters for each in table.classes}


def test_a_class_per_group_with_the_id_of_its_first_cluster(table):
    cut, gone = cut_classes(table, GROUPS, COLOURS)
    assert owned(cut) == {0: (0, 2), 1: (1, 3, 5), 4: (4,)}
    assert gone == {2: 0, 3: 1, 5: 1}
    assert cut.classes[1].colour == COLOURS[1]


def test_a_finer_cut_takes_a_coarse_one_apart(table):
    coarse, _ = cut_classes(table, ((0, 1, 2, 3, 4, 5),), COLOURS)
    finer, gone = cut_classes(coarse, GROUPS, COLOURS)
    assert owned(finer) == {0: (0, 2), 1: (1, 3, 5), 4: (4,)}
    assert gone == {}
    assert cut_classes(finer, [(each,) for each in range(6)], COLOURS)[0] == table


def test_names_notes_and_ignoring_go_along(table):
    table, _ = name_class(table, 3, "road")
    table = ignore_class(table, 2)
    cut, gone = cut_classes(table, GROUPS, COLOURS)
    assert owned(cut) == {2: (0, 2), 3: (1, 3, 5), 4: (4,)}
    assert (cut.classes[0].ignore, cut.classes[1].name) == (True, "road")
    assert gone == {0: 2, 1: 3, 5: 3}


def test_a_named_merge_within_a_group_stays(table):
    table, _ = merge_classes(table, [3, 5], "tree")
    assert owned(cut_classes(table, GROUPS, COLOURS)[0]) == {0: (0, 2), 3: (1, 3, 5), 4: (4,)}


def test_conflicts_are_named_and_nothing_is_done(table):
    table, _ = name_class(table, 1, "road")
    table, _ = name_class(table, 3, "pavement")
    table, _ = merge_classes(table, [0, 4], "sky")
    with pytest.raises(
        ConfigError,
        match="road and pavement would become one class; sky would be parted",
    ):
        cut_classes(table, GROUPS, COLOURS)


def test_what_owns_no_cluster_and_what_no_class_owns_stay(table):
    table = add_class(table, "car", (1, 2, 3))
    without = [each for each in table.classes if each.id not in {4, 5}]
    cut, _ = cut_classes(checked_table(6, without), GROUPS, COLOURS)
    assert owned(cut) == {0: (0, 2), 1: (1, 3), 6: ()}


def test_ids_that_mean_something_are_not_given_to_something_else(table):
    """Class 2 is named and owns cluster 0; cluster 2 needs another id then."""
    entries = [
        dataclasses.replace(table.classes[2], name="sky", clusters=(0,)),
        dataclasses.replace(table.classes[3], clusters=(1, 2, 3)),
        *table.classes[4:],
    ]
    cut, _ = cut_classes(checked_table(6, entries), [(each,) for each in range(6)], COLOURS)
    assert owned(cut) == {2: (0,), 3: (1,), 0: (2,), 1: (3,), 4: (4,), 5: (5,)}
