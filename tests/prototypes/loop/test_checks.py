"""What a fit refuses."""

import dataclasses

import pytest
import torch

from primaps.config import FitConfig
from primaps.errors import ConfigError, DatasetError
from primaps.prototypes.loop.checks import (
    check_processes,
    check_settings,
    checked_initial,
    finite_loss,
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cluster_restarts": 0}, "cluster_restarts to be 1 or more, but got 0"),
        ({"proposal_weight": 1.5}, "exponent between 0 and 1, but got 1.5"),
        ({"min_agreement": -0.1}, "share between 0 and 1, but got -0.1"),
        ({"feature_norm": 0.0}, "feature_norm to be positive, or None to keep the features"),
        ({"em_on": "tokens"}, "em_on to be one of proposals, pixels, but got 'tokens'"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    check_settings(1, 2, FitConfig(), 0)
    with pytest.raises(ConfigError, match=message):
        check_settings(1, 2, dataclasses.replace(FitConfig(), **changes), 0)


def test_a_process_without_an_image_is_refused():
    check_processes(3, 3)
    with pytest.raises(ConfigError, match="at most 3 processes, one per image of a batch, but got"):
        check_processes(4, 3)


def test_initial_prototypes_become_float32():
    found = checked_initial(torch.eye(2, 3, dtype=torch.float64), (2, 3))
    assert torch.equal(found, torch.eye(2, 3))
    with pytest.raises(ConfigError, match="3 finite directions of 3 channels"):
        checked_initial(torch.eye(2, 3), (3, 3))


def test_a_loss_that_is_no_number_is_refused():
    assert finite_loss(0.5, [1]) == 0.5
    with pytest.raises(
        DatasetError, match=r"but got inf. The features of one of the images \[1, 2"
    ):
        finite_loss(float("inf"), [2, 1])
    with pytest.raises(DatasetError, match="The features of an image hold NaN"):
        finite_loss(float("nan"), [])
