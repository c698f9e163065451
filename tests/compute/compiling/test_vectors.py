import numba
import numpy as np
import pytest

from primaps.compute.compiling.vectors import (
    add,
    add_product,
    add_scaled,
    exponential,
    fill,
    item,
    lane_of,
    larger,
    largest,
    load,
    power_of_two,
    prefetch,
    product,
    root,
    scaled,
    store,
    total,
    without_small,
)

WIDTHS = (1, 2, 4, 8, 16)


@numba.njit
def combine(left, right, output, factor, lanes):
    for start in range(0, output.size, len(lanes)):
        vector = add(load(left, start, lanes), fill(factor, lanes))
        vector = add_scaled(vector, load(right, start, lanes), factor)
        store(output, start, scaled(vector, np.float32(0.5)))


@numba.njit
def map_vectors(values, output, limit, lanes):
    for start in range(0, output.size, len(lanes)):
        output[start : start + len(lanes)] = 0
        store(output, start, without_small(exponential(load(values, start, lanes)), limit))


@numba.njit
def reduce_vectors(values, maxima, sums, lanes):
    for index in range(maxima.size):
        prefetch(values, index * len(lanes))
        vector = load(values, index * len(lanes), lanes)
        maxima[index], sums[index] = largest(vector), total(vector)


@numba.njit
def raise_two(values, output, lanes):
    for start in range(0, output.size, len(lanes)):
        store(output, start, power_of_two(load(values, start, lanes)))


@numba.njit
def keep_larger(left, right, output, lanes):
    for start in range(0, output.size, len(lanes)):
        store(output, start, larger(load(left, start, lanes), load(right, start, lanes)))


@numba.njit
def find(values, value, lanes):
    return lane_of(load(values, 0, lanes), value)


@numba.njit
def pick(values, index):
    return item(values, index)


def random(count, seed=0):
    return np.random.default_rng(seed).normal(0, 3, count).astype(np.float32)


@pytest.mark.parametrize("width", WIDTHS)
def test_arithmetic(width):
    left, right, output = random(48), random(48, 1), np.zeros(48, np.float32)
    combine(left, right, output, np.float32(1.5), (0,) * width)
    np.testing.assert_allclose(output, (left + 1.5 + 1.5 * right) / 2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
def test_positions_need_not_be_multiples_of_the_width(width):
    values, output = random(40), np.zeros(40, np.float32)
    combine(values[3:], values[3:], output[5 : 5 + 2 * width], np.float32(1), (0,) * width)
    expected = np.zeros(40, np.float32)
    expected[5 : 5 + 2 * width] = values[3 : 3 + 2 * width] + 0.5
    np.testing.assert_allclose(output, expected, rtol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
def test_reductions(width):
    values = random(64).reshape(-1, width)
    maxima, sums = np.empty(len(values), np.float32), np.empty(len(values), np.float32)
    reduce_vectors(values.reshape(-1), maxima, sums, (0,) * width)
    assert np.array_equal(maxima, values.max(1))
    np.testing.assert_allclose(sums, values.sum(1), rtol=1e-5, atol=1e-5)


def exponentials(values, limit=0.0):
    output = np.empty_like(values)
    map_vectors(values, output, np.float32(limit), (0,) * 8)
    return output


def test_exponential_is_as_good_as_float32():
    values = np.linspace(-86.9, 88, 1 << 16).astype(np.float32)
    np.testing.assert_allclose(exponentials(values), np.exp(values.astype(np.float64)), rtol=2.5e-7)


def test_exponential_of_special_values():
    values = np.array([0, -0.0, -87.5, -1e30, -np.inf, 1, -1, 10], np.float32)
    result = exponentials(values)
    assert result[:5].tolist() == [1, 1, 0, 0, 0]
    np.testing.assert_allclose(result[5:], np.exp(values[5:]), rtol=2.5e-7)


def test_small_values_become_zero():
    values = np.log(np.array([0.5, 0.25, 0.1, 0.01, 0.3, 0.2, 0.1, 0.9], np.float32))
    assert np.flatnonzero(exponentials(values, 0.15)).tolist() == [0, 1, 4, 5, 7]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_item(dtype):
    values = np.arange(7).astype(dtype)
    assert [pick(values, index) for index in range(7)] == list(range(7))


@pytest.mark.parametrize("width", WIDTHS)
def test_power_of_two_is_as_good_as_float32(width):
    values = np.linspace(-126, 127, 1 << 15).astype(np.float32)
    output = np.empty_like(values)
    raise_two(values, output, (0,) * width)
    np.testing.assert_allclose(output, 2.0 ** values.astype(np.float64), rtol=2e-7)


def test_power_of_two_of_special_values():
    values, output = (
        np.array([0, -0.0, -126.6, -1e30, -np.inf, 3, -2, np.nan], np.float32),
        np.empty(8, np.float32),
    )
    raise_two(values, output, (0,) * 8)
    np.testing.assert_array_equal(output, np.array([1, 1, 0, 0, 0, 8, 0.25, np.nan], np.float32))


@pytest.mark.parametrize("width", WIDTHS)
def test_larger(width):
    left, right, output = random(48), random(48, 1), np.zeros(48, np.float32)
    keep_larger(left, right, output, (0,) * width)
    assert np.array_equal(output, np.maximum(left, right))


@pytest.mark.parametrize("width", WIDTHS)
def test_lane_of(width):
    values = np.arange(width, dtype=np.float32)
    assert [find(values, np.float32(lane), (0,) * width) for lane in range(width)] == list(
        range(width)
    )
    assert find(values, np.float32(-1), (0,) * width) == width
    assert find(np.ones(width, np.float32), np.float32(1), (0,) * width) == 0


@numba.njit
def multiply_and_root(left, right, output, lanes):
    for start in range(0, len(output), len(lanes)):
        a, b = load(left, start, lanes), load(right, start, lanes)
        store(output, start, root(add_product(product(a, a), b, b)))


@pytest.mark.parametrize("width", [4, 8, 16])
def test_products_and_roots(width):
    left, right, output = random(48), random(48, 1), np.zeros(48, np.float32)
    multiply_and_root(left, right, output, (0,) * width)
    np.testing.assert_allclose(output, np.hypot(left, right), rtol=1e-6, atol=1e-7)
