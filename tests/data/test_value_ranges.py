from __future__ import annotations

import numpy as np
import pytest

from primaps.config import InputConfig
from primaps.data.value_ranges import SAMPLE, as_text, measured_range, range_of, sample
from primaps.data.values import Values


def _found(values, inputs):
    found = range_of(values, inputs)
    return found.low, found.high


def _values(array, bits=16, **others):
    return Values(np.asarray(array), bits, **others)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "expected"),
    [
        ("uint16", 0, 65000, (0, 65535)),
        ("uint16", 8000, 40000, (0, 65535)),  # hazy, and still its 8-bit twin
        ("uint16", 0, 4000, (0, 4095)),
        ("uint16", 0, 16300, (0, 16383)),
        ("uint16", 3, 1000, (0, 1023)),
        ("uint16", 0, 250, (0, 255)),
        ("int16", 0, 32000, (0, 32767)),
        ("uint32", 0, 2**32 - 1, (0, 2**32 - 1)),
        ("float32", 0, 0.9, (0, 1)),
        ("float64", 0, 250, (0, 255)),
        ("float32", 0, 60000, (0, 65535)),
    ],
)
def test_values_that_fill_a_usual_depth_get_it(dtype, low, high, expected):
    taken = np.linspace(low, high, 5000).astype(dtype)
    assert measured_range(taken) == expected


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("uint16", 0, 1100),  # would use a quarter of 12 bits
        ("uint16", 26000, 30000),  # counts of a thermal camera
        ("int16", -1000, 3000),
        ("float32", 0, 0.3),
        ("float32", 250, 310),
        ("float64", 0, 1e30),
    ],
)
def test_others_get_their_quantiles(dtype, low, high):
    taken = np.linspace(low, high, 100_001).astype(dtype)
    found = measured_range(taken)
    width = high - low
    assert np.allclose(found, (low + 0.001 * width, high - 0.001 * width), atol=0.0001 * width + 1)


def test_a_few_outliers_do_not_count():
    taken = np.concatenate([np.linspace(100, 2000, 10_000), [0, 60000]]).astype(np.uint16)
    low, high = measured_range(taken)
    assert 90 <= low <= 110
    assert 1990 <= high <= 2010


def test_constant_values():
    assert measured_range(np.full(10, 7.0)) == (7.0, 7.0)


def test_policies():
    values = _values(np.full((2, 2, 1), 100, np.uint16))
    assert _found(values, InputConfig("dtype")) == (0, 65535)
    assert _found(_values(values.array, 12), InputConfig("dtype")) == (0, 4095)
    assert _found(_values(values.array.astype(np.int16)), InputConfig("dtype")) == (
        -32768,
        32767,
    )
    assert _found(_values(values.array / 7), InputConfig("dtype")) == (0, 1)
    assert _found(values, InputConfig((0, 3000))) == (0, 3000)
    known = InputConfig(ranges=(("uint16", 5, 200),))
    assert _found(values, known) == (5, 200)
    assert range_of(values, known).origin.startswith("measured on the images of the folder")
    # another kind than the folder's
    other = range_of(_values(values.array.astype(np.int32)), known)
    assert other.origin.startswith("measured on this image")


@pytest.mark.parametrize(("top", "lost"), [(4095, True), (6000, False), (65535, False)])
def test_an_image_that_would_be_black_in_the_range_of_its_folder_gets_its_own(top, lost):
    folder = InputConfig(ranges=(("uint16", 0, 65535),))
    values = _values(np.linspace(0, top, 10_000).reshape(100, 100, 1).astype(np.uint16))
    found = range_of(values, folder)
    assert (found.low, found.high) == ((0, 4095) if lost else (0, 65535))
    assert found.basis == (0, 65535)
    assert ("its own range" in found.origin) == lost


def test_and_so_does_one_that_would_be_white():
    folder = InputConfig(ranges=(("uint16", 0, 4095),))
    values = _values(np.linspace(9000, 60000, 10_000).reshape(100, 100, 1).astype(np.uint16))
    assert range_of(values, folder).high == 65535


def test_eight_bit_values_are_left_alone():
    values = _values(np.zeros((2, 2, 3), np.uint8), 8)
    for policy in ("auto", "dtype", (3, 9)):
        assert range_of(values, InputConfig(policy)).origin == ""
        assert _found(values, InputConfig(policy)) == (0, 255)


def test_the_sample_is_bounded_and_leaves_out_what_holds_no_data():
    array = np.arange(400 * 500 * 3, dtype=np.float32).reshape(400, 500, 3)
    assert SAMPLE / 2 < sample(_values(array)).size <= SAMPLE
    ignored = array[..., 0] > 3000
    assert sample(_values(array, ignored=ignored)).max() <= 3002
    ignored[:] = True
    ignored[7, 3] = False
    assert sample(_values(array, ignored=ignored)).tolist() == array[7, 3].tolist()


@pytest.mark.parametrize(
    ("value", "text"),
    [(4294967295.0, "4294967295"), (-9999.0, "-9999"), (0.25, "0.25"), (-3.4e38, "-3.4e+38")],
)
def test_as_people_write_them(value, text):
    assert as_text(value) == text
