from __future__ import annotations

import numpy as np
import pytest

from primaps.data.values import Values, eight_bit, stretched


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_linear_rounded_and_clipped(dtype):
    array = np.array([[-20, 0, 51, 100, 400]]).clip(0 if dtype[0] == "u" else None)
    expected = [[0, 0, 130, 255, 255]]
    assert stretched(array.astype(dtype), 0, 100).tolist() == expected


def test_bytes_stay_as_they_are():
    array = np.arange(256, dtype=np.uint8).reshape(16, 16)
    result = stretched(array, 0, 255)
    assert np.array_equal(result, array)
    assert result is not array


def test_what_is_not_finite_is_black_and_constant_images_are():
    array = np.array([[np.nan, np.inf, -np.inf, 1e308]])
    assert stretched(array, 0, 1).tolist() == [[0, 255, 0, 255]]
    assert stretched(array, 3, 3).tolist() == [[0] * 4]


def test_signalling_nan_are_passed_over_in_silence():
    array = np.array([[0x7F800001, 0x3F800000]], dtype=np.uint32).view(np.float32)
    assert stretched(array, 0, 1).tolist() == [[0, 255]]


def test_white_is_zero():
    array = np.array([[[0], [65535]]], dtype=np.uint16)
    assert eight_bit(Values(array, 16, white_is_zero=True), 0, 65535).tolist() == [[[255], [0]]]


def test_pixels_without_data_get_the_mean_of_the_others():
    array = np.array([[[-9999.0], [0.0], [10.0]]])
    values = Values(array, 64, ignored=array[..., 0] < 0)
    assert eight_bit(values, 0, 10).ravel().tolist() == [128, 0, 255]


def test_large_arrays_go_by_rows():
    array = np.linspace(0, 1, 1000 * 7).reshape(1000, 7)
    assert np.array_equal(stretched(array, 0, 1), np.rint(array * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("dtype", "kind"), [("uint16", "uint16"), ("float32", "float"), ("float64", "float")]
)
def test_kinds(dtype, kind):
    assert Values(np.zeros((1, 1, 1), dtype), 16).kind == kind
