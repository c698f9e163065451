from __future__ import annotations

import numpy as np
import pytest

from primaps.data.no_data import untagged_note, untagged_value, without_data

LOWEST = float(np.finfo(np.float32).min)


def _with(value, dtype, low=0.0, high=2000.0):
    array = np.linspace(low, high, 60).reshape(6, 10, 1).astype(dtype)
    array[:2, :3] = value
    return array


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *((-9999, "int16"), (-9999, "float32"), (-32768, "int16"), (-32768, "float64")),
        *((-128, "int8"), (LOWEST, "float32"), (LOWEST, "float64")),
        (float(np.finfo(np.float64).min), "float64"),
    ],
)
def test_what_programs_write_is_known_where_it_is_far_from_all_others(value, dtype):
    array = _with(value, dtype, 0, 90 if dtype == "int8" else 2000)
    found = untagged_value(array)
    assert found == value
    ignored = without_data(array, found, None)
    assert ignored.sum() == 6
    assert ignored[:2, :3].all()
    assert f"{value:g} is taken as no data" in untagged_note(found).text


@pytest.mark.parametrize(
    "array",
    [
        _with(-9999, "float32", -9998, 20000),
        _with(-32768, "int16", -32767, 32000),
        _with(-9998, "float32"),
        _with(0, "uint16"),
        np.full((4, 4, 1), -9999, "int16"),
        np.full((4, 4, 1), np.nan),
    ],
)
def test_other_values_are_data(array):
    assert untagged_value(array) is None


def test_not_finite_ones_do_not_hide_it():
    array = _with(-9999, "float32")
    array[5, 5:, 0] = np.nan, np.inf, -np.inf, np.nan, np.nan
    assert untagged_value(array) == -9999
    assert without_data(array, -9999, None).sum() == 11
