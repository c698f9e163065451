from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from primaps.errors import ConfigError, DatasetError
from primaps.evaluation.evaluate import evaluate_label_maps, score_table
from primaps.types import IGNORE_INDEX

NAMES = ("sky", "road", "car", "tree")


def _pairs(seed, num_clusters=4, images=3, num_classes=4):
    """Label maps that follow the truth half of the time, images of different sizes."""
    rng = np.random.default_rng(seed)
    pairs = []
    for index in range(images):
        shape = (8 + index, 11)
        truth = rng.integers(0, num_classes, shape)
        label_map = np.where(
            rng.random(shape) < 0.5, truth % num_clusters, rng.integers(0, num_clusters, shape)
        )
        truth[rng.random(shape) < 0.1] = IGNORE_INDEX
        pairs.append((label_map, truth))
    return pairs


def _plain(pairs, num_clusters, num_classes):
    """Accuracy and IoU from pixels, without tables: match, relabel every pixel, compare."""
    predicted = np.concatenate([label_map.ravel() for label_map, _ in pairs])
    truth = np.concatenate([truth.ravel() for _, truth in pairs])
    predicted, truth = predicted[truth != IGNORE_INDEX], truth[truth != IGNORE_INDEX]
    hits = np.array(
        [
            [((predicted == k) & (truth == c)).sum() for c in range(num_classes)]
            for k in range(num_clusters)
        ]
    )
    clusters, classes = linear_sum_assignment(-hits)
    mapping = hits.argmax(axis=1)
    mapping[clusters] = classes
    relabelled = mapping[predicted]
    iou = np.full(num_classes, np.nan)
    for c in range(num_classes):
        union = ((relabelled == c) | (truth == c)).sum()
        if union:
            iou[c] = ((relabelled == c) & (truth == c)).sum() / union
    return (relabelled == truth).mean(), np.nanmean(iou), iou


@pytest.mark.parametrize("num_clusters", [2, 3, 4, 6, 9])
@pytest.mark.parametrize("seed", range(4))
def test_against_an_independent_computation(seed, num_clusters):
    pairs = _pairs(seed, num_clusters)
    result = evaluate_label_maps(pairs, num_clusters, NAMES)
    accuracy, miou, iou = _plain(pairs, num_clusters, len(NAMES))
    assert result.accuracy == pytest.approx(accuracy)
    assert result.miou == pytest.approx(miou)
    assert list(result.per_class_iou) == list(NAMES)
    assert list(result.per_class_iou.values()) == pytest.approx(iou.tolist(), nan_ok=True)
    assert result.confusion.shape == (len(NAMES), num_clusters)
    assert result.confusion.dtype == np.int64
    assert result.confusion.sum() == sum(
        np.count_nonzero(truth != IGNORE_INDEX) for _, truth in pairs
    )
    assert result.assignment.cluster_to_class.shape == (num_clusters,)
    assert result.assignment.class_names == NAMES
    assert result.num_images == len(pairs)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_order_of_clusters_does_not_matter(seed, order):
    pairs = _pairs(seed)
    permuted = [(np.array(order)[label_map], truth) for label_map, truth in pairs]
    first, second = (
        evaluate_label_maps(given_pairs, 4, NAMES) for given_pairs in (pairs, permuted)
    )
    assert second.accuracy == pytest.approx(first.accuracy)
    # no tie between assignments
    if len(set(first.per_class_iou.values())) == 4 and first.accuracy > 0.5:
        assert second.miou == pytest.approx(first.miou)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(6)))
def test_permuted_truth_is_perfect(seed, order):
    maps = [truth for _, truth in _pairs(seed)]
    lookup = np.concatenate([np.array(order), np.zeros(250, dtype=np.int64)])
    result = evaluate_label_maps([(lookup[truth], truth) for truth in maps], 6, NAMES)
    assert (result.accuracy, result.miou) == (1.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 6))
def test_what_is_predicted_for_ignored_pixels_changes_no_score(seed, other, num_clusters):
    pairs, rng = _pairs(seed, num_clusters), np.random.default_rng(other)
    changed = [
        (np.where(truth == IGNORE_INDEX, rng.integers(0, 256, truth.shape), label_map), truth)
        for label_map, truth in pairs
    ]
    first, second = (evaluate_label_maps(each, num_clusters, NAMES) for each in (pairs, changed))
    assert np.array_equal(first.confusion, second.confusion)
    assert first.accuracy == second.accuracy
    np.testing.assert_equal(first.per_class_iou, second.per_class_iou)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(5)))
def test_order_and_grouping_of_images_do_not_matter(seed, order):
    pairs = _pairs(seed, images=5)
    merged = [
        (np.concatenate([p[i] for p in pairs]), np.concatenate([p[1 - i] for p in pairs]))
        for i in (0,)
    ]
    results = [evaluate_label_maps(p, 4, NAMES) for p in (pairs, [pairs[i] for i in order], merged)]
    assert results[0].miou == results[1].miou == results[2].miou
    assert results[0].accuracy == results[1].accuracy == results[2].accuracy
    assert [result.num_images for result in results] == [5, 5, 1]


def test_scores_are_of_the_data_set_not_means_over_images():
    large = (np.zeros((10, 10), int), np.zeros((10, 10), int))
    small = (np.zeros((1, 1), int), np.ones((1, 1), int))
    result = evaluate_label_maps([large, small], 2, ("a", "b"))
    assert result.accuracy == pytest.approx(100 / 101)
    assert result.miou == pytest.approx((100 / 101 + 0) / 2)


def test_class_absent_from_truth_and_prediction_is_nan_and_left_out():
    truth = np.array([[0, 1]])
    result = evaluate_label_maps([(truth, truth)], 2, ("a", "b", "c"))
    assert np.isnan(result.per_class_iou["c"])
    assert result.miou == 1.0


def test_unassigned_pixels_are_errors():
    truth = np.array([[0] * 10 + [1] * 10])
    label_map = truth.copy()
    label_map[0, :5] = IGNORE_INDEX
    result = evaluate_label_maps([(label_map, truth)], 2, ("a", "b"))
    assert result.accuracy == 0.75
    assert result.per_class_iou == {"a": 0.5, "b": 1.0}
    assert result.confusion.tolist() == [[5, 0], [0, 10]]


def test_everything_unassigned_scores_zero():
    truth = np.array([[0, 1]])
    result = evaluate_label_maps([(np.full_like(truth, IGNORE_INDEX), truth)], 2, ("a", "b"))
    assert (result.accuracy, result.miou) == (0.0, 0.0)


def test_predictions_are_not_kept():
    class Map(np.ndarray):
        """Plain arrays have no weak references."""

    alive: list[weakref.ref[Map]] = []
    most = 0

    def stream():
        nonlocal most
        for label_map, truth in _pairs(0, images=20):
            tracked = label_map.view(Map)
            alive.append(weakref.ref(tracked))
            yield tracked, truth
            del tracked
            most = max(most, sum(reference() is not None for reference in alive))

    assert evaluate_label_maps(stream(), 4, NAMES).num_images == 20
    assert 1 <= most <= 2


def test_size_mismatch_names_the_image_and_both_sizes():
    pairs = [
        (np.zeros((2, 2), int), np.zeros((2, 2), int)),
        (np.zeros((2, 3), int), np.zeros((3, 2), int)),
    ]
    with pytest.raises(
        DatasetError, match=r"image 1 has \(2, 3\) and \(3, 2\)\. Predict at the size of the truth"
    ):
        evaluate_label_maps(pairs, 2, NAMES)


def test_nothing_to_evaluate():
    with pytest.raises(DatasetError, match="one or more images to evaluate, but got none"):
        evaluate_label_maps([], 2, NAMES)
    ignored = np.full((2, 2), IGNORE_INDEX)
    with pytest.raises(
        DatasetError, match="labelled pixels, but all pixels of the 1 images are unlabelled"
    ):
        evaluate_label_maps([(ignored, ignored)], 2, NAMES)


@pytest.mark.parametrize("names", [(), ("a", "b", "a")])
def test_class_names_that_repeat_or_are_missing(names):
    with pytest.raises(ConfigError, match="Expected different class names"):
        evaluate_label_maps(_pairs(0), 4, names)


def test_cluster_out_of_range():
    with pytest.raises(
        ConfigError, match=r"Expected predicted clusters 0\.\.2, but got ids from 0 to 3"
    ):
        evaluate_label_maps(_pairs(0, num_clusters=4), 3, NAMES)


def test_a_known_assignment_is_not_matched_again():
    table = np.array([[0, 9, 0, 1], [8, 0, 0, 0], [0, 1, 5, 0], [0, 0, 0, 0]])
    matched = score_table(table, NAMES, 2)
    assert matched.accuracy == pytest.approx(22 / 24)
    given_ids = score_table(table, NAMES, 2, cluster_to_class=np.arange(3))
    assert given_ids.accuracy == pytest.approx(5 / 24)
    assert given_ids.per_class_iou["road"] == 0.0
    assert np.isnan(given_ids.per_class_iou["tree"])
    assert given_ids.num_images == 2


def test_a_table_without_images_or_labels():
    with pytest.raises(DatasetError, match="one or more images"):
        score_table(np.zeros((4, 5), dtype=np.int64), NAMES, 0)
    with pytest.raises(DatasetError, match="all pixels of the 3 images are unlabelled"):
        score_table(np.zeros((4, 5), dtype=np.int64), NAMES, 3)
