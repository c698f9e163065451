from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.errors import ConfigError, DatasetError
from primaps.evaluation.metrics import accuracy, class_table, confusion, mean_iou, per_class_iou
from primaps.types import IGNORE_INDEX

sklearn_metrics = pytest.importorskip(
    "sklearn.metrics", reason="scikit-learn (extra demo) is the reference"
)


def _maps(seed, num_classes=5, num_clusters=7, size=400, ignored=0.2):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_classes, size)
    truth[rng.random(size) < ignored] = IGNORE_INDEX
    return truth, rng.integers(0, num_clusters, size)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_confusion_against_a_plain_loop(seed, num_classes, num_clusters):
    truth, prediction = _maps(seed, num_classes, num_clusters, size=60)
    expected = np.zeros((num_classes, num_clusters), dtype=np.int64)
    for true, predicted in zip(truth, prediction, strict=True):
        if true != IGNORE_INDEX:
            expected[true, predicted] += 1
    table = confusion(truth.reshape(6, 10), prediction.reshape(6, 10), num_classes, num_clusters)
    assert table.dtype == np.int64
    assert np.array_equal(table, expected)


def test_scores_against_scikit_learn():
    for seed in range(5):
        truth, prediction = _maps(seed, 6, 6)
        kept = truth != IGNORE_INDEX
        table = confusion(truth, prediction, 6, 6)
        assert np.array_equal(
            table, sklearn_metrics.confusion_matrix(truth[kept], prediction[kept], labels=range(6))
        )
        assert accuracy(table) == pytest.approx(
            sklearn_metrics.accuracy_score(truth[kept], prediction[kept])
        )
        jaccard = sklearn_metrics.jaccard_score(
            truth[kept], prediction[kept], labels=range(6), average=None, zero_division=0
        )
        assert per_class_iou(table) == pytest.approx(jaccard)
        assert mean_iou(per_class_iou(table)) == pytest.approx(jaccard.mean())


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 399))
def test_tables_of_batches_add_up(seed, cut):
    truth, prediction = _maps(seed)
    parts = confusion(truth[:cut], prediction[:cut], 5, 7) + confusion(
        truth[cut:], prediction[cut:], 5, 7
    )
    assert np.array_equal(parts, confusion(truth, prediction, 5, 7))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(7)), st.permutations(range(5)))
def test_other_ids_permute_the_table_and_leave_its_scores(seed, clusters, classes):
    truth, prediction = _maps(seed)
    table = confusion(truth, prediction, 5, 7)
    assert np.array_equal(
        confusion(truth, np.array(clusters)[prediction], 5, 7)[:, clusters], table
    )
    # ids of classes and of the clusters that stand for them change together
    square = confusion(truth, prediction % 5, 5, 5)
    permuted = square[np.ix_(classes, classes)]
    assert accuracy(permuted) == accuracy(square)
    assert np.array_equal(per_class_iou(permuted), per_class_iou(square)[list(classes)])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_any_integer_dtype_counts_the_same(dtype):
    truth, prediction = _maps(0, 200, 254, ignored=0.1)
    table = confusion(truth.astype(dtype), prediction.astype(dtype), 200, 254)
    assert np.array_equal(table, confusion(truth, prediction, 200, 254))
    assert table.sum() == np.count_nonzero(truth != IGNORE_INDEX)


def test_prediction_of_ignored_pixels_does_not_matter():
    truth = np.array([IGNORE_INDEX, 0])
    assert confusion(truth, np.array([999, 1]), 2, 2).tolist() == [[0, 1], [0, 0]]


def test_unassigned_pixels_are_an_error_or_an_extra_column():
    truth, prediction = (
        np.array([0, 1, 1, IGNORE_INDEX]),
        np.array([0, IGNORE_INDEX, 1, IGNORE_INDEX]),
    )
    with pytest.raises(
        ConfigError, match=r"unassigned pixels \(255\) are counted with unassigned_column=True"
    ):
        confusion(truth, prediction, 2, 2)
    assert confusion(truth, prediction, 2, 2, unassigned_column=True).tolist() == [
        [1, 0, 0],
        [0, 1, 1],
    ]


@pytest.mark.parametrize("wrong", [2, -1, 254])
def test_truth_out_of_range(wrong):
    with pytest.raises(
        DatasetError,
        match=rf"Expected true classes 0\.\.1 or 255 \(unlabelled\), but got ids from .*{wrong}",
    ):
        confusion(np.array([0, wrong]), np.array([0, 0]), 2, 2)


@pytest.mark.parametrize("wrong", [2, -1, 254])
@pytest.mark.parametrize("column", [False, True])
def test_prediction_out_of_range(wrong, column):
    with pytest.raises(ConfigError, match=r"Expected predicted clusters 0\.\.1, but got ids from"):
        confusion(np.array([0, 1]), np.array([0, wrong]), 2, 2, unassigned_column=column)


def test_more_ids_than_fit_below_the_ignore_index():
    with pytest.raises(
        ConfigError, match="Expected at most 255 classes and clusters, but got 2 and 256"
    ):
        confusion(np.array([0]), np.array([0]), 2, 256)


def test_arrays_that_do_not_fit():
    with pytest.raises(ConfigError, match=r"of one shape, but got \(2, 3\) and \(3, 2\)"):
        confusion(np.zeros((2, 3), int), np.zeros((3, 2), int), 1, 1)
    with pytest.raises(
        ConfigError, match="Expected prediction to hold integer ids, but got float64"
    ):
        confusion(np.zeros(2, int), np.zeros(2), 1, 1)


def test_nan_only_if_absent_from_truth_and_prediction():
    #              predicted 0  1  2  3   true
    table = np.array([[8, 0, 2, 0],  # 0
                      [0, 5, 0, 0],  # 1
                      [0, 0, 0, 0],  # 2: predicted, but not in the truth -> 0
                      [0, 0, 0, 0]])  # 3: in neither -> NaN  # fmt: skip
    iou = per_class_iou(table)
    assert iou[:3].tolist() == [0.8, 1.0, 0.0]
    assert np.isnan(iou[3])
    assert mean_iou(iou) == pytest.approx(0.6)
    assert accuracy(table) == pytest.approx(13 / 15)


def test_nothing_labelled_scores_nan_without_a_warning():
    table = np.zeros((3, 4), dtype=np.int64)
    assert np.isnan(accuracy(table))
    assert np.isnan(mean_iou(per_class_iou(table)))


def test_class_table_by_hand():
    # three clusters and a column of unassigned pixels
    table = np.array([[5, 1, 2, 9], [0, 7, 3, 4]])
    assert class_table(table, np.array([0, 1, 0])).tolist() == [[7, 1, 9], [3, 7, 4]]
    assert class_table(table, np.array([0, 1, IGNORE_INDEX])).tolist() == [[5, 1, 11], [0, 7, 7]]
    assert class_table(table[:, :3], np.array([1, 1, 0])).tolist() == [[2, 6, 0], [3, 7, 0]]


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_class_table_keeps_row_sums_and_equals_relabelling_the_pixels(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = _maps(seed)
    prediction[rng.random(prediction.size) < 0.1] = IGNORE_INDEX
    cluster_to_class = rng.choice([0, 1, 2, 3, 4, IGNORE_INDEX], 7)
    table = confusion(truth, prediction, 5, 7, unassigned_column=True)
    lookup = np.full(256, IGNORE_INDEX)
    lookup[:7] = cluster_to_class
    assert np.array_equal(
        class_table(table, cluster_to_class),
        confusion(truth, lookup[prediction], 5, 5, unassigned_column=True),
    )
    assert np.array_equal(class_table(table, cluster_to_class).sum(axis=1), table.sum(axis=1))


@pytest.mark.parametrize("assignment", [[0], [0, 1, 0, 1, 0], [[0, 1, 0]], [0, 1, 2], [0, 1, -1]])
def test_assignments_that_do_not_fit(assignment):
    with pytest.raises(
        ConfigError,
        match=r"Expected (an assignment of 4 or 3 clusters|clusters to stand for classes)",
    ):
        class_table(np.ones((2, 4), dtype=np.int64), np.array(assignment))


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_leaving_a_pixel_unassigned_does_not_pay(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = _maps(seed, 5, 5, size=80)
    before = confusion(truth, prediction, 5, 5, unassigned_column=True)
    labelled = np.flatnonzero(truth != IGNORE_INDEX)
    pixel = rng.choice(labelled)
    left_out = prediction.copy()
    left_out[pixel] = IGNORE_INDEX
    after = confusion(truth, left_out, 5, 5, unassigned_column=True)
    right = prediction.copy()
    right[pixel] = truth[pixel]
    best = confusion(truth, right, 5, 5, unassigned_column=True)
    assert accuracy(after) <= accuracy(before)
    assert per_class_iou(after)[truth[pixel]] <= per_class_iou(before)[truth[pixel]]
    assert accuracy(after) < accuracy(best)
    assert np.all(per_class_iou(after)[truth[pixel]] < per_class_iou(best)[truth[pixel]])
    assert after.sum() == before.sum() == labelled.size
