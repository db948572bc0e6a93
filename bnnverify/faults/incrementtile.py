"""The LLVM vector code of :mod:`bnnverify.faults.increments`: slice slacks, count columns, decide a sign.

A vector is one bit of 512 neurons. Counters are planes of such vectors, where plane k counts 2^k and plane 0 stays
empty, since every count is added twice.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from bnnverify.inference.carrytile import CARRY_AFTER, PARITY, Code
from bnnverify.inference.simd import emitted
from bnnverify.inference.tile import VECTOR, cgutils

BLOCK_LEVELS, SMALL_LEVELS = 5, 3
BLOCK, SMALL_BLOCK = 1 << BLOCK_LEVELS, 1 << SMALL_LEVELS
LANES = ir.VectorType(ir.IntType(16), 64)
WORD = ir.IntType(64)
MAJORITY = 0b11101000
ONES = ir.Constant(VECTOR, [(1 << 64) - 1] * 8)
ZEROS = ir.Constant(VECTOR, None)


@emitted
def plane_word(_typing: Any, slacks: Any, row: Any, word: Any, plane: Any) -> Any:
    """One bit of 64 successive numbers ``slacks[row, 64 * word:]`` of int16, as a word."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        width = cgutils.unpack_tuple(builder, array.shape)[1]
        first = builder.add(builder.mul(args[1], width), builder.mul(args[2], WORD(64)))
        numbers = builder.load(builder.bitcast(builder.gep(array.data, [first]), LANES.as_pointer()), align=2)
        shift = builder.sub(ir.IntType(16)(15), builder.trunc(args[3], ir.IntType(16)))
        lifted = builder.shl(numbers, _splat(builder, shift, LANES))
        return builder.bitcast(builder.icmp_signed("<", lifted, ir.Constant(LANES, [0] * 64)), WORD)

    return types.uint64(slacks, types.int64, types.int64, types.int64), emit


@emitted
def add_block(_typing: Any, columns: Any, part: Any, codes: Any, start: Any, counters: Any) -> Any:
    """Count where 32 changed inputs agree with the weights of 512 neurons.

    Args:
        columns: ``(parts, inputs + 1, 8)`` uint64; part: which neurons.
        codes: twice the input, plus 1 where the weight is to be -1; start: the first of them.
        counters: ``(planes, 8)`` uint64.
    """
    return types.void(columns, types.int64, codes, types.int64, counters), _adding(BLOCK_LEVELS)


@emitted
def add_small_block(_typing: Any, columns: Any, part: Any, codes: Any, start: Any, counters: Any) -> Any:
    """The same for 8."""
    return types.void(columns, types.int64, codes, types.int64, counters), _adding(SMALL_LEVELS)


@emitted
def decide(_typing: Any, sound: Any, part: Any, row: Any, counters: Any, fewer: Any, constant: Any, out: Any) -> Any:
    """Write for 512 neurons whether ``sound + counters - fewer - constant`` is at least 0.

    Args:
        sound: ``(parts, rows, planes, 8)`` uint64 in two's complement; part, row: which.
        counters: ``(planes, 8)`` uint64, enough planes for the sum and its sign.
        fewer: ``(parts, planes, 8)`` uint64, as many planes.
        out: ``(rows, parts * 8)`` uint64.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 3, 4, 6)]
        _Decider(Code(context, builder), *arrays).emit(part=args[1], row=args[2], constant=args[5])
        return context.get_dummy_value()

    return types.void(sound, types.int64, types.int64, counters, fewer, types.int64, out), emit


@emitted
def add_flip(
    _typing: Any, inputs: Any, column: Any, opposite: Any, chunk: Any, planes: Any, neuron: Any, live: Any
) -> Any:
    """Add one for each of 512 instances whose input is 1, or with ``opposite`` of ones -1, to a neuron's counters.

    Args:
        inputs: ``(n_in, chunks, 8)`` uint64, a bit an instance; column, chunk: which.
        planes: ``(planes, 64, chunks, 8)`` uint64, bit-sliced; neuron: which; live: how many planes it can need.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder)
        source, target = (context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 4))
        n_chunks = cgutils.unpack_tuple(builder, source.shape)[1]
        bits = code.load(source.data, builder.add(builder.mul(args[1], n_chunks), args[3]))
        place = cgutils.alloca_once_value(builder, builder.xor(bits, _splat(builder, args[2], VECTOR)))
        with cgutils.for_range(builder, args[6]) as loop:
            line = builder.add(builder.mul(loop.index, WORD(64)), args[5])
            at = builder.add(builder.mul(line, n_chunks), args[3])
            plane, carried = code.load(target.data, at), builder.load(place)
            code.store(builder.xor(plane, carried), target.data, at)
            builder.store(builder.and_(plane, carried), place)
        return context.get_dummy_value()

    where = (types.int64, types.uint64, types.int64)
    return types.void(inputs, *where, planes, types.int64, types.int64), emit


@emitted
def swap_halves(_typing: Any, squares: Any, first: Any, second: Any, shift: Any, mask: Any) -> Any:
    """Exchange the masked high halves of eight words with the low halves of eight others.

    Args:
        squares: any uint64 whose last axis is 8; first, second: which vectors.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        shift, mask = (_splat(builder, value, VECTOR) for value in args[3:])
        upper, lower = code.load(data, args[1]), code.load(data, args[2])
        swapped = builder.and_(builder.xor(builder.lshr(upper, shift), lower), mask)
        code.store(builder.xor(upper, builder.shl(swapped, shift)), data, args[1])
        code.store(builder.xor(lower, swapped), data, args[2])
        return context.get_dummy_value()

    return types.void(squares, types.int64, types.int64, types.uint64, types.uint64), emit


def _adding(n_levels: int) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 4)]
        _BlockAdder(Code(context, builder), n_levels, *arrays).emit(args[1], args[3])
        return context.get_dummy_value()

    return emit


class _BlockAdder:
    """A tree of full adders whose standing operands are the lowest counter planes."""

    def __init__(self, code: Any, n_levels: int, columns: Any, codes: Any, counters: Any) -> None:
        self.code, self.builder, self.n_levels = code, code.builder, n_levels
        self.columns, self.codes, self.counters = columns, codes, counters

    def emit(self, part: Any, start: Any) -> None:
        builder, code = self.builder, self.code
        self.line = builder.mul(part, cgutils.unpack_tuple(builder, self.columns.shape)[1])
        self.chosen = builder.gep(self.codes.data, [start])
        self.levels = [code.load(self.counters.data, WORD(1 + k)) for k in range(self.n_levels)]
        carry = self._sum(self.n_levels, 0)
        for k, level in enumerate(self.levels):
            code.store(level, self.counters.data, WORD(1 + k))
        self._ripple(carry)

    def _sum(self, level: int, change: int) -> Any:
        """Add ``2^level`` changes into the planes below; what is carried out of them."""
        if level == 0:
            return self._agreeing(change)
        left = self._sum(level - 1, change)
        right = self._sum(level - 1, change + (1 << (level - 1)))
        parity = self.code.logic(PARITY, self.levels[level - 1], left, right)
        self.levels[level - 1] = parity
        return self.code.logic(CARRY_AFTER, parity, left, right)

    def _agreeing(self, change: int) -> Any:
        builder = self.builder
        told = builder.zext(builder.load(builder.gep(self.chosen, [WORD(change)])), WORD)
        bits = self.code.load(self.columns.data, builder.add(self.line, builder.lshr(told, WORD(1))))
        return builder.xor(bits, _splat(builder, builder.neg(builder.and_(told, WORD(1))), VECTOR))

    def _ripple(self, carry: Any) -> None:
        """Add the last carry to the planes above."""
        builder, code = self.builder, self.code
        n_planes = cgutils.unpack_tuple(builder, self.counters.shape)[0]
        place = cgutils.alloca_once_value(builder, carry)
        with cgutils.for_range(builder, builder.sub(n_planes, WORD(1 + self.n_levels))) as loop:
            at = builder.add(loop.index, WORD(1 + self.n_levels))
            level, carried = code.load(self.counters.data, at), builder.load(place)
            code.store(builder.xor(level, carried), self.counters.data, at)
            builder.store(builder.and_(level, carried), place)


class _Decider:
    """Adds plane by plane: first what is subtracted, then three numbers to two, of which only the carries go on."""

    def __init__(self, code: Any, sound: Any, counters: Any, fewer: Any, out: Any) -> None:
        self.code, self.builder = code, code.builder
        self.sound, self.counters, self.fewer, self.out = sound, counters, fewer, out

    def emit(self, *, part: Any, row: Any, constant: Any) -> None:
        builder, code = self.builder, self.code
        n_parts, n_rows, n_stored, _ = cgutils.unpack_tuple(builder, self.sound.shape)
        n_planes = cgutils.unpack_tuple(builder, self.counters.shape)[0]
        first = builder.mul(builder.add(builder.mul(part, n_rows), row), n_stored)
        subtracted, saved, sign = (cgutils.alloca_once_value(builder, ZEROS) for _ in range(3))
        carried = cgutils.alloca_once_value(builder, ONES)
        with cgutils.for_range(builder, n_planes) as loop:
            plane, last = loop.index, builder.sub(n_stored, WORD(1))
            stored = builder.select(builder.icmp_signed("<", plane, last), plane, last)
            slack = code.load(self.sound.data, builder.add(first, stored))
            count = code.load(self.counters.data, plane)
            bit = builder.neg(builder.and_(builder.lshr(constant, plane), WORD(1)))
            fewer = code.load(self.fewer.data, builder.add(builder.mul(part, n_planes), plane))
            less = self._add(subtracted, fewer, _splat(builder, bit, VECTOR))
            opposite = builder.xor(less, ONES)
            total = code.logic(PARITY, slack, count, opposite)
            before = builder.load(saved)
            builder.store(code.logic(MAJORITY, slack, count, opposite), saved)
            builder.store(self._add(carried, total, before), sign)
        at = builder.add(builder.mul(row, n_parts), part)
        code.store(builder.xor(builder.load(sign), ONES), self.out.data, at)

    def _add(self, carry: Any, left: Any, right: Any) -> Any:
        """The sum's bit of a full adder whose carry is kept."""
        before = self.builder.load(carry)
        self.builder.store(self.code.logic(MAJORITY, before, left, right), carry)
        return self.code.logic(PARITY, before, left, right)


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """The value in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.IntType(32)(0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, undefined, order)
