import pytest

from primaps.protocol.label_maps import moments


def test_mean_and_sample_deviation():
    assert moments([0.2, 0.4]) == {"mean": pytest.approx(0.3), "std": pytest.approx(0.141421356)}
    assert moments([0.5]) == {"mean": 0.5, "std": None}
