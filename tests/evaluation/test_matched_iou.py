from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from primaps.errors import ConfigError
from primaps.evaluation.matched_iou import matched_iou

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
LABELS = arrays(np.int32, (4, 5), elements=st.integers(0, 3))


def _by_trying_all(a: np.ndarray, b: np.ndarray) -> float:
    first, second = sorted((a, b), key=lambda labels: len(np.unique(labels)))
    masks = [[labels == value for value in np.unique(labels)] for labels in (first, second)]
    sums = [
        sum(
            (one & other).sum() / (one | other).sum()
            for one, other in zip(masks[0], others, strict=True)
        )
        for others in itertools.permutations(masks[1], len(masks[0]))
    ]
    return max(sums) / len(masks[1])


@settings(deadline=None)
@given(LABELS, LABELS)
def test_against_trying_all_matchings(a, b):
    assert matched_iou(a, b) == pytest.approx(_by_trying_all(a, b))
    assert matched_iou(a, b) == pytest.approx(matched_iou(b, a))


@settings(deadline=None)
@given(LABELS, st.permutations(range(4)))
def test_ids_do_not_matter(a, order):
    renamed = np.array([7, 40, 0, 255])[np.array(order)][a]
    assert matched_iou(a, renamed.astype(np.uint8)) == 1.0


def test_surplus_labels_count_as_zero():
    a = np.array([[0, 0, 0, 0]])
    b = np.array([[0, 0, 1, 2]])
    assert matched_iou(a, b) == pytest.approx(0.5 / 3)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (3, 2)), ((0, 3), (0, 3))])
def test_images_that_do_not_fit(a, b):
    with pytest.raises(
        ConfigError, match=r"two label images of one size, not empty, but got shapes"
    ):
        matched_iou(np.zeros(a, int), np.zeros(b, int))


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="reference outputs are not on this machine")
def test_real_label_images_agree_with_themselves_more_than_with_others():
    from safetensors.numpy import load_file

    files = sorted(GOLDEN.glob("*_*.safetensors"))
    maps = [load_file(path)["label_maps"] for path in files if "label_maps" in load_file(path)]
    assert len(maps) >= 2
    for index, own in enumerate(maps):
        other = maps[index - 1]
        assert matched_iou(own[0], own[0]) == 1.0
        assert matched_iou(own[0], own[1]) > matched_iou(own[0], other[0])
