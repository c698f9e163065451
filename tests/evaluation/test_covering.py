from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from primaps.errors import ConfigError
from primaps.evaluation.covering import connected_segments, covering

LABELS = arrays(np.int32, (4, 5), elements=st.integers(-1, 3))


def _by_double_loop(segmentation, truths):
    """The definition, region by region."""
    scores = []
    for truth in truths:
        score = 0.0
        for region in np.unique(truth):
            inside = truth == region
            overlaps = []
            for segment in np.unique(segmentation):
                other = segmentation == segment
                overlaps.append((inside & other).sum() / (inside | other).sum())
            score += inside.sum() * max(overlaps)
        scores.append(score / truth.size)
    return sum(scores) / len(scores)


def _by_flood_fill(labels):
    """Components one after the other, from their first pixel on."""
    result = np.full(labels.shape, -1)
    count = 0
    for start in np.ndindex(labels.shape):
        if result[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            row, column = waiting.pop()
            inside = 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]
            if inside and result[row, column] < 0 and labels[row, column] == labels[start]:
                result[row, column] = count
                waiting += [
                    (row + 1, column),
                    (row - 1, column),
                    (row, column + 1),
                    (row, column - 1),
                ]
        count += 1
    return result


@settings(deadline=None)
@given(LABELS, st.lists(LABELS, min_size=1, max_size=3))
def test_against_the_double_loop(segmentation, truths):
    score = covering(segmentation, truths)
    assert score == pytest.approx(_by_double_loop(segmentation, truths))
    assert 0 < score <= 1


@settings(deadline=None)
@given(LABELS)
def test_a_segmentation_covers_itself_whatever_its_ids(segmentation):
    renamed = np.array([7, 2, 65535, 0, 40], dtype=np.uint16)[segmentation]
    assert covering(segmentation, [renamed]) == pytest.approx(1.0, abs=1e-12)


def test_by_hand():
    truth = np.array([[1, 1, 1, 2]])
    assert covering(np.array([[5, 5, 5, 9]]), [truth]) == 1.0
    assert covering(np.zeros((1, 4), int), [truth]) == pytest.approx((3 * 3 / 4 + 1 * 1 / 4) / 4)
    assert covering(np.array([[0, 0, 1, 1]]), [truth]) == pytest.approx((3 * 2 / 3 + 1 * 1 / 2) / 4)
    # the covering of S by G differs from that of G by S
    assert covering(truth, [np.array([[0, 0, 1, 1]])]) == pytest.approx((2 * 2 / 3 + 2 * 1 / 2) / 4)


def test_annotators_count_alike():
    segmentation, fine, coarse = (
        np.array([[0, 0, 1, 1]]),
        np.array([[0, 1, 2, 3]]),
        np.array([[0, 0, 1, 1]]),
    )
    assert covering(segmentation, [fine]) == pytest.approx(0.5)
    assert covering(segmentation, [fine, coarse, coarse]) == pytest.approx((0.5 + 1 + 1) / 3)


@settings(deadline=None)
@given(
    arrays(np.int16, st.tuples(st.integers(1, 6), st.integers(1, 7)), elements=st.integers(-1, 2))
)
def test_components_against_flood_fill(labels):
    components, reference = connected_segments(labels), _by_flood_fill(labels)
    assert components.dtype == np.int32
    pairs = set(zip(components.ravel().tolist(), reference.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(reference))  # one to one
    assert sorted({component for component, _ in pairs}) == list(range(len(pairs)))


def test_pixels_that_touch_at_a_corner_are_apart():
    assert len(np.unique(connected_segments(np.eye(3, dtype=int)))) == 3 + 2


@pytest.mark.parametrize("unassigned", [0, 255, -1])
def test_unassigned_pixels_are_split_like_all_others(unassigned):
    labels = np.array(
        [[unassigned, 3, unassigned], [unassigned, 3, unassigned], [unassigned, 3, 3]]
    )
    components = connected_segments(labels)
    assert len(np.unique(components)) == 3
    assert components[0, 0] != components[0, 2]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(4, int),
        np.zeros((0, 3), int),
        np.zeros((2, 2)),
        np.zeros((2, 2), bool),
        np.zeros((2, 2, 1), int),
    ],
)
def test_no_label_maps(array):
    with pytest.raises(ConfigError, match=r"non-empty \(H, W\) array of integer ids"):
        connected_segments(array)
    with pytest.raises(ConfigError, match=r"non-empty \(H, W\) array of integer ids"):
        covering(array, [array])


def test_truths_that_do_not_fit():
    with pytest.raises(ConfigError, match="one or more annotators"):
        covering(np.zeros((2, 2), int), [])
    with pytest.raises(ConfigError, match=r"one size, but got \(2, 2\) and \(2, 3\)"):
        covering(np.zeros((2, 2), int), [np.zeros((2, 2), int), np.zeros((2, 3), int)])
