"""Fixed-width float32 vectors for compiled loops: a short row of values fills vector registers
whatever the optimiser sees.

numba compiles scalar loops and leaves it to the optimiser to find vectors in them, which fails for
short rows that may overlap in memory. The functions here emit vector instructions themselves and
work in compiled functions only. The number of values in a vector is the length of a tuple,
``lanes``, a power of two that is known when compiling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)
_ALIGNMENT = 4

_LOWEST_EXPONENT = -87.0
"""Below this the exponential counts as 0; a little further down it would be a denormal number."""

_ZERO_EXPONENT = -127.0
"""Here 2^x counts as 0."""

_ROUNDER = 12582912.0
"""1.5 * 2^23: adding it rounds a float32 below 2^22 to an integer, which then stands in the lowest
bits.
"""

_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
"""ln(2) in two parts, the first of which has few digits, so that its product with a small integer
is exact.
"""

_EXP_COEFFICIENTS = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
"""Polynomial (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, highest power first (Moshier, Cephes
mathematical library, expf).
"""


class Vector(types.Type):
    """Type of a vector of float32 in compiled functions.

    Attributes:
        lanes: Number of values.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float32x{lanes}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(_FLOAT, kind.lanes))


_POWER_COEFFICIENTS = (
    1.3264727065e-3,
    9.6715126489e-3,
    5.5507337437e-2,
    2.4022242085e-1,
    6.931469776e-1,
)
"""Polynomial (2^r - 1) / r for |r| <= 1 / 2, highest power first: relative error of the power at
most 9.2e-8 (Remez).
"""

Signature = tuple[Any, Callable[[Any, Any, Any, Any], Any]]
"""What an intrinsic hands to numba: its signature and the function that emits instructions."""


@intrinsic
def load(_: Any, array: Any, start: Any, lanes: Any) -> Signature:
    """Read ``len(lanes)`` values of a contiguous one-dimensional float32 array from position
    ``start`` on.
    """
    del start

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(
            _address(context, builder, signature.args[0], arguments, lanes.count), align=_ALIGNMENT
        )

    return Vector(lanes.count)(array, types.intp, lanes), emit


@intrinsic
def store(_: Any, array: Any, start: Any, vector: Any) -> Signature:
    """Write a vector into a contiguous one-dimensional float32 array from position ``start`` on."""
    del start

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _address(context, builder, signature.args[0], arguments, vector.lanes)
        builder.store(arguments[2], target, align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), emit


@intrinsic
def item(_: Any, array: Any, index: Any) -> Signature:
    """One value of a contiguous one-dimensional array; unlike ``array[index]`` it need not look out
    for negative indices.
    """
    del index

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]]))

    return array.dtype(array, types.intp), emit


@intrinsic
def prefetch(_: Any, array: Any, index: Any) -> Signature:
    """Have the processor fetch one cache line of a contiguous one-dimensional array that is about
    to be changed.
    """
    del index

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        for_writing, keep, data_cache = _INT(1), _INT(3), _INT(1)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, for_writing, keep, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


@intrinsic
def fill(_: Any, value: Any, lanes: Any) -> Signature:
    """Vector of ``len(lanes)`` equal values."""
    del value

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _repeat(builder, arguments[0], lanes.count)

    return Vector(lanes.count)(types.float32, lanes), emit


@intrinsic
def add(_: Any, left: Any, right: Any) -> Signature:
    """Sum of two vectors."""
    del right

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return left(left, left), emit


@intrinsic
def scaled(_: Any, vector: Any, factor: Any) -> Signature:
    """Product of a vector and a number."""
    del factor

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fmul(arguments[0], _repeat(builder, arguments[1], vector.lanes))

    return vector(vector, types.float32), emit


@intrinsic
def add_scaled(_: Any, summand: Any, vector: Any, factor: Any) -> Signature:
    """``summand + factor * vector`` with a number as factor, rounded once where the processor can
    do so.
    """
    del factor

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _multiply_add(
            builder, arguments[1], _repeat(builder, arguments[2], vector.lanes), arguments[0]
        )

    return summand(summand, vector, types.float32), emit


@intrinsic
def product(_: Any, left: Any, right: Any) -> Signature:
    """Product of two vectors, position by position."""
    del right

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return left(left, left), emit


@intrinsic
def add_product(_: Any, summand: Any, left: Any, right: Any) -> Signature:
    """``summand + left * right`` of three vectors, rounded once where the processor can do so."""
    del left, right

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _multiply_add(builder, arguments[1], arguments[2], arguments[0])

    return summand(summand, summand, summand), emit


@intrinsic
def larger(_: Any, left: Any, right: Any) -> Signature:
    """The larger value in each position of two vectors; the right one where one of them is NaN."""
    del right

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _larger(builder, *arguments)

    return left(left, left), emit


@intrinsic
def largest(_: Any, vector: Any) -> Signature:
    """Largest value of a vector without NaN."""

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _fold(builder, arguments[0], vector.lanes, partial(_larger, builder))

    return types.float32(vector), emit


@intrinsic
def lane_of(_: Any, vector: Any, value: Any) -> Signature:
    """Position of the first value of a vector that equals ``value``; the number of lanes if none
    does.
    """
    del value

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        is_equal = builder.fcmp_ordered(
            "==", arguments[0], _repeat(builder, arguments[1], vector.lanes)
        )
        # Widened, so that a bit stands behind the last lane in any case.
        bits = builder.zext(builder.bitcast(is_equal, ir.IntType(vector.lanes)), ir.IntType(64))
        bits = builder.or_(bits, ir.Constant(ir.IntType(64), 1 << vector.lanes))
        return builder.cttz(bits, ir.Constant(ir.IntType(1), 1))

    return types.intp(vector, types.float32), emit


@intrinsic
def total(_: Any, vector: Any) -> Signature:
    """Sum of the values of a vector; its halves are added to each other until one value is left."""

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _fold(builder, arguments[0], vector.lanes, builder.fadd)

    return types.float32(vector), emit


@intrinsic
def root(_: Any, vector: Any) -> Signature:
    """Square roots of values of at least 0."""

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(arguments[0].type, [arguments[0].type])
        function = cgutils.get_or_insert_function(
            builder.module, kind, f"llvm.sqrt.v{vector.lanes}f32"
        )
        return builder.call(function, arguments)

    return vector(vector), emit


@intrinsic
def without_small(_: Any, vector: Any, limit: Any) -> Signature:
    """The vector with values of at most ``limit`` replaced by 0."""
    del limit

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        is_large = builder.fcmp_ordered(
            ">", arguments[0], _repeat(builder, arguments[1], vector.lanes)
        )
        return builder.select(is_large, arguments[0], _constant(0.0, vector.lanes))

    return vector(vector, types.float32), emit


@intrinsic
def exponential(_: Any, vector: Any) -> Signature:
    """Exponential of values of at most 88, within 2 units in the last place; 0 below -87, minus
    infinity included.
    """

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _exponential(builder, arguments[0], vector.lanes)

    return vector(vector), emit


@intrinsic
def power_of_two(_: Any, vector: Any) -> Signature:
    """2 to the power of values of at most 127, within 2e-7 of it; 0 below -126.5, minus infinity
    included.

    Two thirds of the work of `exponential`, and the same once the factor 1 / ln(2) is in the
    values.
    """

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return _power_of_two(builder, arguments[0], vector.lanes)

    return vector(vector), emit


def _power_of_two(builder: Any, values: Any, lanes: int) -> Any:
    """2^n * 2^r with n the integer nearest to a value; 2^-127 is the number whose bits are 0."""
    values = _larger(builder, _constant(_ZERO_EXPONENT, lanes), values)
    shifted = builder.fadd(values, _constant(_ROUNDER, lanes))
    rest = builder.fsub(values, builder.fsub(shifted, _constant(_ROUNDER, lanes)))
    curve = _constant(_POWER_COEFFICIENTS[0], lanes)
    for coefficient in _POWER_COEFFICIENTS[1:]:
        curve = _multiply_add(builder, curve, rest, _constant(coefficient, lanes))
    curve = _multiply_add(builder, curve, rest, _constant(1.0, lanes))
    integers = ir.VectorType(_INT, lanes)
    exponent = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * lanes))
    exponent = builder.add(exponent, ir.Constant(integers, [127 << 23] * lanes))
    return builder.fmul(curve, builder.bitcast(exponent, curve.type))


def _exponential(builder: Any, values: Any, lanes: int) -> Any:
    """2^n * exp(r) with n the integer nearest to values / ln(2)."""
    shifted = _multiply_add(
        builder, values, _constant(1 / math.log(2), lanes), _constant(_ROUNDER, lanes)
    )
    power = builder.fsub(shifted, _constant(_ROUNDER, lanes))
    rest = _multiply_add(builder, power, _constant(-_LN2_HIGH, lanes), values)
    rest = _multiply_add(builder, power, _constant(-_LN2_LOW, lanes), rest)
    curve = _constant(_EXP_COEFFICIENTS[0], lanes)
    for coefficient in _EXP_COEFFICIENTS[1:]:
        curve = _multiply_add(builder, curve, rest, _constant(coefficient, lanes))
    curve = _multiply_add(builder, builder.fmul(rest, rest), curve, rest)
    curve = builder.fadd(curve, _constant(1.0, lanes))
    integers = ir.VectorType(_INT, lanes)
    exponent = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * lanes))
    exponent = builder.add(exponent, ir.Constant(integers, [127 << 23] * lanes))
    curve = builder.fmul(curve, builder.bitcast(exponent, curve.type))
    is_tiny = builder.fcmp_ordered("<", values, _constant(_LOWEST_EXPONENT, lanes))
    return builder.select(is_tiny, _constant(0.0, lanes), curve)


def _address(context: Any, builder: Any, array_type: Any, arguments: Any, lanes: int) -> Any:
    """Pointer to a vector in the array ``arguments[0]`` at position ``arguments[1]``."""
    data = context.make_array(array_type)(context, builder, arguments[0]).data
    return builder.bitcast(
        builder.gep(data, [arguments[1]]), ir.VectorType(_FLOAT, lanes).as_pointer()
    )


def _repeat(builder: Any, scalar: Any, lanes: int) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, _INT(0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes)
    )


def _constant(value: float, lanes: int) -> Any:
    """Vector of equal values, which are rounded to float32 first."""
    return ir.Constant(ir.VectorType(_FLOAT, lanes), [float(np.float32(value))] * lanes)


def _multiply_add(builder: Any, left: Any, right: Any, summand: Any) -> Any:
    kind = ir.FunctionType(left.type, [left.type] * 3)
    function = cgutils.get_or_insert_function(
        builder.module, kind, f"llvm.fmuladd.v{left.type.count}f32"
    )
    return builder.call(function, [left, right, summand])


def _larger(builder: Any, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def _fold(builder: Any, vector: Any, lanes: int, combine: Callable[[Any, Any], Any]) -> Any:
    while lanes > 1:
        lanes //= 2
        undefined, kind = ir.Constant(vector.type, ir.Undefined), ir.VectorType(_INT, lanes)
        lower = builder.shuffle_vector(vector, undefined, ir.Constant(kind, list(range(lanes))))
        upper = builder.shuffle_vector(
            vector, undefined, ir.Constant(kind, list(range(lanes, 2 * lanes)))
        )
        vector = combine(lower, upper)
    return builder.extract_element(vector, _INT(0))
