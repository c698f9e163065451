import json
import math

import numpy as np

from primaps.outputs.scores import as_record, as_text
from primaps.types import IGNORE_INDEX, ClusterAssignment, EvaluationResult


def result(miou=0.5):
    return EvaluationResult(
        accuracy=0.625,
        miou=miou,
        per_class_iou={"sky": 0.75, "unicorn": math.nan, "road": 0.25},
        assignment=ClusterAssignment(
            np.array([2, 0, IGNORE_INDEX, 1], dtype=np.int64), ("sky", "unicorn", "road")
        ),
        confusion=np.array([[0, 9, 1, 0], [0, 0, 0, 0], [3, 1, 0, 2]], dtype=np.int64),
        num_images=2,
    )


def test_the_record_is_strict_json():
    record = as_record(result())
    assert json.loads(json.dumps(record, allow_nan=False)) == {
        "accuracy": 0.625,
        "miou": 0.5,
        "per_class_iou": {"sky": 0.75, "unicorn": None, "road": 0.25},
        "cluster_to_class": {"0": 2, "1": 0, "2": 255, "3": 1},
        "n_images": 2,
        "confusion": [[0, 9, 1, 0], [0, 0, 0, 0], [3, 1, 0, 2]],
    }


def test_scores_that_do_not_exist_are_null():
    assert as_record(result(miou=math.nan))["miou"] is None


def test_numpy_numbers_become_plain_ones():
    record = as_record(result(miou=np.float32(0.25)))
    assert type(record["miou"]) is float
    assert record["miou"] == 0.25


def test_the_table_says_per_cent_and_absent():
    lines = as_text(result()).splitlines()
    assert [line.split() for line in lines] == [
        ["accuracy", "62.50%"],
        ["mIoU", "50.00%"],
        ["images", "2"],
        [],
        ["sky", "75.00%"],
        ["unicorn", "absent"],
        ["road", "25.00%"],
    ]
