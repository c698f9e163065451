import pytest
import torch

from primaps.errors import ConfigError
from primaps.proposals import calibration
from primaps.proposals.calibration import CANDIDATES, calibrate_threshold, choose_threshold
from primaps.types import ThresholdStatistics


def kinds(seed, per_side, side=12, noise=0.3):
    """(32, side, side) features in per_side x per_side blocks, orthogonal to each other but for
    noise.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(32, 32, generator=generator)).Q
    place = torch.arange(side) * per_side // side
    blocks = place[:, None] * per_side + place
    return (
        directions[blocks] + noise * torch.randn(side, side, 32, generator=generator) / 32**0.5
    ).permute(2, 0, 1)


def statistics(*rows):
    return [ThresholdStatistics(*row) for row in rows]


def test_the_number_of_proposals_closest_to_typical_by_ratio():
    assert choose_threshold(statistics((0.3, 5.0, 0.95), (0.4, 8.0, 0.9), (0.5, 17.0, 0.85))) == 0.5
    assert choose_threshold(statistics((0.3, 5.0, 0.95), (0.4, 8.0, 0.9), (0.5, 19.0, 0.85))) == 0.4


def test_of_those_as_close_the_highest():
    assert choose_threshold(statistics((0.3, 6.0, 0.95), (0.4, 24.0, 0.9))) == 0.4
    assert choose_threshold(statistics((0.3, 3.0, 0.95), (0.4, 3.0, 0.9), (0.5, 3.0, 0.7))) == 0.4


def test_what_covers_too_little_is_left_out_unless_all_do():
    assert choose_threshold(statistics((0.3, 5.0, 0.95), (0.4, 12.0, 0.74))) == 0.3
    assert choose_threshold(statistics((0.3, 5.0, 0.4), (0.4, 12.0, 0.6), (0.5, 12.0, 0.5))) == 0.4


def test_no_proposal_at_all_is_the_farthest():
    assert choose_threshold(statistics((0.3, 0.0, 0.9), (0.4, 1.0, 0.9))) == 0.4


def test_kinds_are_told_apart():
    sample = [kinds(seed, 3, noise=0.2) for seed in range(3)]
    choice = calibrate_threshold(sample)
    chosen = next(each for each in choice.candidates if each.threshold == choice.value)
    assert choice.source == "calibrated"
    assert chosen.proposals == 9
    assert chosen.coverage > calibration.ENOUGH


def test_neither_order_nor_type_of_the_sample_matters():
    sample = [
        kinds(seed, number, side) for seed, (number, side) in enumerate([(2, 9), (4, 12), (3, 10)])
    ]
    assert calibrate_threshold(sample) == calibrate_threshold(sample[::-1])
    assert (
        calibrate_threshold([grid.double() for grid in sample]).value
        == calibrate_threshold(sample).value
    )


def test_thresholds_beyond_many_proposals_are_not_tried(monkeypatch):
    tried = []

    def masks(_features, threshold, _stop, *, official_anchor):
        tried.append((threshold, official_anchor))
        return round(threshold * 60), 0.9

    monkeypatch.setattr(calibration, "_masks", masks)
    choice = calibrate_threshold([torch.ones(2, 3, 3)], official_anchor=True)
    assert [each.threshold for each in choice.candidates] == [0.2, 0.25, 0.3, 0.35, 0.4]
    assert tried == [(each.threshold, True) for each in choice.candidates]
    assert choice.value == 0.2


def test_thresholds_that_cover_too_little_end_the_search(monkeypatch):
    monkeypatch.setattr(
        calibration,
        "_masks",
        lambda _features, threshold, _stop, *, official_anchor: (
            3,
            0.5 if threshold in (0.2, 0.4) else 0.8,
        ),
    )
    choice = calibrate_threshold([torch.ones(2, 3, 3)])
    assert [each.threshold for each in choice.candidates] == [0.2, 0.25, 0.3, 0.35, 0.4]
    assert choice.value == 0.35


def test_masks_that_the_median_filter_erases_do_not_count():
    """Two halves, and a single cell of another kind."""
    halves = torch.zeros(3, 8, 8)
    halves[0, :, :4] = halves[1, :, 4:] = 1
    halves[:, 4, 1] = torch.tensor([0.0, 0.0, 1.0])
    choice = calibrate_threshold([halves], stop_fraction=1.0)
    assert {each.proposals for each in choice.candidates} == {2.0}


def test_candidates_are_round_numbers():
    assert CANDIDATES[0] == 0.2
    assert CANDIDATES[-1] == 0.95
    assert len(CANDIDATES) == 16


def test_features_without_any_direction_cover_nothing():
    choice = calibrate_threshold([torch.zeros(3, 4, 4)])
    assert {(each.proposals, each.coverage) for each in choice.candidates} == {(0.0, 0.0)}


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([], "at least one image"),
        ([torch.zeros(4, 4)], r"shape \(C, h, w\)"),
        ([torch.zeros(1, 4, 4).long()], "float dtype"),
    ],
)
def test_wrong_samples_are_refused(sample, message):
    with pytest.raises(ConfigError, match=message):
        calibrate_threshold(sample)
