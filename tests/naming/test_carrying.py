import numpy as np

from primaps.naming.carrying import carry_over
from primaps.naming.table import fresh_table, ignore_class, merge_classes, name_class
from primaps.types import NamedClass

COLOURS = [(number, 0, 0) for number in range(255)]


def described(table):
    return {each.id: (each.name, each.clusters) for each in table.classes}


def test_classes_take_the_clusters_they_held_by_half():
    table, _ = merge_classes(fresh_table(4, COLOURS), [1, 2], "wall")
    table = ignore_class(name_class(table, 0, "lost")[0], 3)
    overlap = np.array([[1, 1, 5, 0], [0, 9, 0, 5], [9, 0, 0, 5], [0, 0, 9, 0]])
    carried = carry_over(table, overlap, COLOURS, set())
    assert described(carried.table) == {0: ("lost", ()), 1: ("wall", (0, 1, 3)), 3: (None, (2,))}
    assert [(each.id, cluster, round(share, 2)) for each, cluster, share in carried.found] == [
        (1, 0, 0.9),
        (1, 1, 0.9),
        (3, 2, 0.64),
        (1, 3, 1.0),
    ]
    ((waiting, cluster, share),) = carried.waiting
    assert (waiting.name, cluster, round(share, 2)) == ("lost", 2, 0.36)


def test_new_clusters_get_classes_with_free_ids():
    table, _ = name_class(fresh_table(3, COLOURS), 1, "road")
    overlap = np.array([[9, 9, 0, 0], [0, 0, 1, 9], [0, 0, 8, 0]])
    carried = carry_over(table, overlap, COLOURS, {2})
    # class 1 and, since a correction names it, class 2 stay
    assert described(carried.table) == {
        0: (None, (0,)),
        1: ("road", (3,)),
        2: (None, (2,)),
        3: (None, (1,)),
    }


def test_without_label_maps_all_names_wait():
    table, _ = name_class(fresh_table(2, COLOURS), 1, "road")
    carried = carry_over(table, np.zeros((2, 3), dtype=np.int64), COLOURS, set())
    assert described(carried.table) == {
        0: (None, (0,)),
        1: ("road", ()),
        2: (None, (2,)),
        3: (None, (1,)),
    }
    assert [(each.name, cluster) for each, cluster, _ in carried.waiting] == [("road", None)]


def test_untouched_classes_leave_no_trace():
    carried = carry_over(fresh_table(2, COLOURS), np.ones((2, 5), dtype=np.int64), COLOURS, set())
    assert carried.table == fresh_table(5, COLOURS)
    assert carried.waiting == ()


def test_classes_that_never_owned_a_cluster_do_not_wait():
    table = fresh_table(2, COLOURS)
    more = NamedClass(7, "sky", (1, 1, 1), ())
    carried = carry_over(
        type(table)(2, (*table.classes, more)), np.eye(2, dtype=np.int64), COLOURS, set()
    )
    assert more in carried.table.classes
    assert carried.waiting == ()
