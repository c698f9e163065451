import numpy as np
import pytest

from primaps.errors import CheckpointError, ConfigError
from primaps.naming.class_tree import ClassTree, grow_tree, tree_from_record, tree_record


def directions(*degrees):
    return np.stack([(np.cos(np.radians(each)), np.sin(np.radians(each))) for each in degrees])


@pytest.fixture
def tree():
    """0 and 2 are near, 1 and 3 a little less, both pairs far apart."""
    return grow_tree(directions(0, 90, 2, 95), np.array([1, 1, 1, 1]))


def test_the_most_alike_merge_first(tree):
    assert [(each.first, each.second) for each in tree.merges] == [(0, 2), (1, 3), (4, 5)]
    assert [each.size for each in tree.merges] == [0.5, 0.5, 1.0]
    # two halves of a group of half the weight, each half of their distance from its centre
    assert tree.merges[0].height == pytest.approx((1 - np.cos(np.radians(2))) / 4)
    assert tree.cut(4) == ((0,), (1,), (2,), (3,))
    assert tree.cut(3) == ((0, 2), (1,), (3,))
    assert tree.cut(2) == ((0, 2), (1, 3))
    assert tree.cut(1) == ((0, 1, 2, 3),)
    assert tree.links().shape == (3, 4)


def test_heights_add_up_to_the_mean_squared_distance_to_the_centre():
    vectors, weights = directions(0, 10, 60), np.array([3, 1, 2])
    tree = grow_tree(3 * vectors, weights)
    centre = weights @ vectors / 6
    spread = weights @ ((vectors - centre) ** 2).sum(axis=1) / 6
    assert sum(each.height for each in tree.merges) == pytest.approx(spread)


@pytest.mark.parametrize("number", [0, 5])
def test_a_cut_into_more_groups_than_clusters_is_refused(tree, number):
    with pytest.raises(ConfigError, match="from 1 to 4"):
        tree.cut(number)


def test_every_cut_refines_the_coarser_one_and_heights_rise():
    generator = np.random.default_rng(0)
    tree = grow_tree(generator.normal(size=(30, 5)), generator.integers(0, 9, 30))
    heights = [each.height for each in tree.merges]
    assert heights == sorted(heights)
    for number in range(1, 30):
        coarse, fine = (
            {cluster: row for row, group in enumerate(tree.cut(count)) for cluster in group}
            for count in (number, number + 1)
        )
        assert len({(fine[each], coarse[each]) for each in range(30)}) == number + 1


def test_clusters_that_own_nothing_and_equal_ones_have_their_place():
    tree = grow_tree(directions(0, 0, 0, 80), np.zeros(4))
    assert tree.cut(2) == ((0, 1, 2), (3,))
    assert grow_tree(directions(10), np.ones(1)) == ClassTree(1, ())
    assert ClassTree(1, ()).links().shape == (0, 4)


def test_a_record_comes_back_for_its_model_only(tree):
    record = tree_record(tree, "abc")
    found = tree_from_record(record, "abc")
    assert found is not None
    assert [found.cut(each) for each in (2, 3)] == [tree.cut(each) for each in (2, 3)]
    assert tree_record(found, "abc") == record
    assert tree_from_record(record, "other") is None
    assert tree_from_record({}, "abc") is None


@pytest.mark.parametrize(
    "merges",
    [
        [[0, 2]],
        [[0, 2, 0.1, 0.5]],
        [[0, 9, 0.1, 1.0]] * 3,
        5,
        [[0, 2, "0.1", 0.5]] * 3,
    ],
)
def test_a_damaged_record_says_what_to_do(tree, merges):
    with pytest.raises(CheckpointError, match="Delete the file"):
        tree_from_record({**tree_record(tree, "abc"), "merges": merges}, "abc")
