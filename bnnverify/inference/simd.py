"""LLVM operations that numba does not expose: the population count, and comparisons of 64 numbers.

``popcount`` maps to the processor's own instruction, and to its vector form where a loop over it
is vectorized. The ``*_word`` operations compare 64 consecutive numbers of any integer type at once; the mask
of the comparison is the packed word, least significant bit first, so packing costs a few instructions a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WORD = ir.IntType(64)


def emitted(code: Callable[..., Any]) -> Any:
    """A function whose LLVM code is written by ``code``; literal arguments arrive as literals.

    Numba's cache on disk watches the file of the calling kernel, not of ``code``: clear it after changes here.
    """
    return intrinsic(prefer_literal=True)(code)


@emitted
def popcount(_typing: Any, word: Any) -> Any:
    """Number of 1 bits in a uint64, as int64."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        function = builder.module.declare_intrinsic("llvm.ctpop", [WORD])
        return builder.call(function, args)

    return types.int64(types.uint64), emit


@emitted
def equal_word(_typing: Any, values: Any, row: Any, start: Any, wanted: Any) -> Any:
    """Which of ``values[row, start:start+64]`` equal ``wanted``; integers, contiguous rows."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = _load_row(context, builder, signature.args[0], args[0], args[1], args[2])
        constant = context.cast(builder, args[3], signature.args[3], signature.args[0].dtype)
        equal = builder.icmp_unsigned("==", found, _splat(builder, constant, found.type))
        return builder.bitcast(equal, WORD)

    return types.uint64(values, types.int64, types.int64, wanted), emit


@emitted
def above_word(_typing: Any, values: Any, row: Any, start: Any, thresholds: Any) -> Any:
    """Which of ``values[row, start:start+64]`` are at least ``thresholds[0, start:start+64]`` of their type."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = _load_row(context, builder, signature.args[0], args[0], args[1], args[2])
        least = _load_row(context, builder, signature.args[3], args[3], ir.Constant(WORD, 0), args[2])
        compare = builder.icmp_signed if signature.args[0].dtype.signed else builder.icmp_unsigned
        return builder.bitcast(compare(">=", found, least), WORD)

    return types.uint64(values, types.int64, types.int64, thresholds), emit


@emitted
def plane_word(_typing: Any, values: Any, row: Any, start: Any, plane: Any) -> Any:
    """Bit ``plane`` of each of ``values[row, start:start+64]``."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = _load_row(context, builder, signature.args[0], args[0], args[1], args[2])
        shift = context.cast(builder, args[3], types.int64, signature.args[0].dtype)
        shifted = builder.lshr(found, _splat(builder, shift, found.type))
        return builder.bitcast(builder.trunc(shifted, ir.VectorType(ir.IntType(1), 64)), WORD)

    return types.uint64(values, types.int64, types.int64, types.int64), emit


def _load_row(context: Any, builder: Any, kind: Any, value: Any, row: Any, start: Any) -> Any:
    """64 consecutive items of a contiguous two-dimensional array, as one vector."""
    array = context.make_array(kind)(context, builder, value)
    width = builder.extract_value(array.shape, 1)
    at = builder.add(builder.mul(row, width), start)
    item = context.get_data_type(kind.dtype)
    address = builder.bitcast(builder.gep(array.data, [at]), ir.VectorType(item, 64).as_pointer())
    return builder.load(address, align=1)


def _splat(builder: Any, value: Any, kind: Any) -> Any:
    empty = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(empty, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64))
