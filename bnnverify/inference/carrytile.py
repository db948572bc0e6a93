"""The LLVM vector code of :mod:`bnnverify.inference.carries`: build a table, add up one chunk, compare.

A vector is one bit of 512 neurons. Three-operand logic is one instruction with AVX-512 and a short
expression elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from llvmlite import ir
from numba import types

from bnnverify.inference.carrylayout import CHUNK_LEVELS, CHUNK_POSITIONS
from bnnverify.inference.simd import WORD, emitted
from bnnverify.inference.tile import VECTOR, cgutils

VECTOR_BYTES = 64
CHUNK_LOOKUPS = CHUNK_POSITIONS // 2
PATTERNS = 8
_TRUTH_ORDER = tuple(product((0, 1), repeat=3))


def _carry(before: int, between: int, after: int) -> int:
    """Whether two bits and the parity before them reach two, from three successive prefix parities."""
    return int(before + (before ^ between) + (between ^ after) >= 2)


def _truth_table(values: Sequence[int]) -> int:
    """Values at (0,0,0), (0,0,1), ... (1,1,1) as the immediate of a three-operand logic instruction."""
    return sum(int(value) << place for place, value in enumerate(values))


PARITY = _truth_table([a ^ b ^ c for a, b, c in _TRUTH_ORDER])
CARRY_AFTER = _truth_table([(parity ^ b ^ c) + b + c >= 2 for parity, b, c in _TRUTH_ORDER])
LESS = _truth_table([less if bit == limit else limit for bit, limit, less in _TRUTH_ORDER])


@emitted
def write_table(_typing: Any, parities: Any, part: Any, lookup: Any, table: Any, entry: Any) -> Any:
    """For each of the eight patterns of an input at one lookup, the carries of 512 neurons.

    Args:
        parities: ``(parts, 2 lookups + 1, 8)`` uint64 prefix parities of the weights; part, lookup: which.
        table: ``(entries, 8, 8)`` uint64; entry: which line to write.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder)
        source = context.make_array(signature.args[0])(context, builder, args[0])
        target = context.make_array(signature.args[3])(context, builder, args[3])
        planes = cgutils.unpack_tuple(builder, source.shape)[1]
        first = builder.add(builder.mul(args[1], planes), builder.mul(args[2], _i64(2)))
        weights = [code.load(source.data, builder.add(first, _i64(k))) for k in range(3)]
        line = builder.mul(args[4], _i64(PATTERNS))
        for pattern in range(PATTERNS):
            x = [pattern >> k & 1 for k in range(3)]
            truth = [_carry(a ^ x[0], b ^ x[1], c ^ x[2]) for a, b, c in _TRUTH_ORDER]
            carries = code.logic(_truth_table(truth), *weights)
            code.store(carries, target.data, builder.add(line, _i64(pattern)))
        return context.get_dummy_value()

    return types.void(parities, types.int64, types.int64, table, types.int64), emit


@emitted
def add_chunk(_typing: Any, table: Any, offsets: Any, chunk: Any, row: Any, counters: Any) -> Any:
    """Add the carries of one input at all lookups of a chunk to its bit-sliced counters.

    Args:
        table: ``(64, 8, 8)`` uint64, written by :func:`write_table`.
        offsets: ``(chunks, rows, 64)`` uint16: byte offset of the input's pattern within each line.
        counters: ``(rows, levels, 8)`` uint64, lowest level first; level k counts 2^k.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 1, 4)]
        _ChunkAdder(Code(context, builder), *arrays).emit(args[2], args[3])
        return context.get_dummy_value()

    return types.void(table, offsets, types.int64, types.int64, counters), emit


@emitted
def compare(_typing: Any, counters: Any, row: Any, parities: Any, part: Any, odd: Any, bounds: Any, out: Any) -> Any:
    """Write the bits of 512 neurons whose count is below their bound, and clear the counters.

    Args:
        counters: ``(rows, levels, 8)`` uint64, halves of the counts of differing bits; row: the input.
        parities: as in :func:`write_table`; its last plane with ``odd``, the parity of the input (0 or 1),
            gives the lowest bit of the count.
        bounds: ``(parts, levels + 1, 8)`` uint64, bit-sliced, lowest first.
        out: ``(rows, parts * 8)`` uint64.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 5, 6)]
        _Comparer(Code(context, builder), *arrays).emit(row=args[1], part=args[3], odd=args[4])
        return context.get_dummy_value()

    signature = types.void(counters, types.int64, parities, types.int64, types.uint64, bounds, out)
    return signature, emit


class Code:
    """Vector loads, stores and three-operand logic for one builder."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.builder = builder
        self.ternary = "+avx512f" in str(context.codegen().magic_tuple())

    def load(self, data: Any, at: Any) -> Any:
        return self.builder.load(self._address(data, at), align=8)

    def store(self, value: Any, data: Any, at: Any) -> None:
        self.builder.store(value, self._address(data, at), align=8)

    def _address(self, data: Any, at: Any) -> Any:
        return self.builder.gep(self.builder.bitcast(data, VECTOR.as_pointer()), [at])

    def logic(self, truth: int, a: Any, b: Any, c: Any) -> Any:
        """The function of three bits with this truth table, bit by bit."""
        if self.ternary:
            return self._one_instruction(truth, a, b, c)
        builder = self.builder
        if truth == PARITY:
            return builder.xor(a, builder.xor(b, c))
        if truth == CARRY_AFTER:
            return builder.or_(builder.and_(b, c), builder.and_(builder.not_(a), builder.xor(b, c)))
        return self._minterms(truth, (a, b, c))

    def _one_instruction(self, truth: int, a: Any, b: Any, c: Any) -> Any:
        builder, halves = self.builder, ir.VectorType(ir.IntType(32), 16)
        kind = ir.FunctionType(halves, [halves, halves, halves, ir.IntType(32)])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.pternlog.d.512")
        operands = [builder.bitcast(value, halves) for value in (a, b, c)]
        return builder.bitcast(builder.call(function, [*operands, ir.IntType(32)(truth)]), VECTOR)

    def _minterms(self, truth: int, values: tuple[Any, Any, Any]) -> Any:
        builder, found = self.builder, ir.Constant(VECTOR, None)
        for place, wanted in enumerate(_TRUTH_ORDER):
            if truth >> place & 1:
                terms = [value if bit else builder.not_(value) for value, bit in zip(values, wanted, strict=True)]
                found = builder.or_(found, builder.and_(terms[0], builder.and_(terms[1], terms[2])))
        return found


class _ChunkAdder:
    """A tree of full adders whose standing operands are the lowest counter levels."""

    def __init__(self, code: Code, table: Any, offsets: Any, counters: Any) -> None:
        self.code, self.builder = code, code.builder
        self.table, self.offsets, self.counters = table, offsets, counters

    def emit(self, chunk: Any, row: Any) -> None:
        builder, code = self.builder, self.code
        rows = cgutils.unpack_tuple(builder, self.offsets.shape)[1]
        line = builder.mul(builder.add(builder.mul(chunk, rows), row), _i64(CHUNK_LOOKUPS))
        self.patterns = builder.gep(self.offsets.data, [line])
        n_levels = cgutils.unpack_tuple(builder, self.counters.shape)[1]
        first = builder.mul(row, n_levels)
        self.levels = [code.load(self.counters.data, builder.add(first, _i64(k))) for k in range(CHUNK_LEVELS)]
        carry = self._sum(CHUNK_LEVELS, 0)
        for k, level in enumerate(self.levels):
            code.store(level, self.counters.data, builder.add(first, _i64(k)))
        self._ripple(carry, first, n_levels)

    def _sum(self, level: int, lookup: int) -> Any:
        """Add ``2^level`` lookups into the levels below; what is carried out of them.

        The carry of a full adder is taken from its new parity, so that no operand need be copied.
        """
        if level == 0:
            return self._looked_up(lookup)
        left = self._sum(level - 1, lookup)
        right = self._sum(level - 1, lookup + (1 << (level - 1)))
        parity = self.code.logic(PARITY, self.levels[level - 1], left, right)
        self.levels[level - 1] = parity
        return self.code.logic(CARRY_AFTER, parity, left, right)

    def _looked_up(self, lookup: int) -> Any:
        builder = self.builder
        offset = builder.zext(builder.load(builder.gep(self.patterns, [_i64(lookup)])), WORD)
        line = builder.bitcast(self.table.data, ir.IntType(8).as_pointer())
        start = builder.add(offset, _i64(lookup * PATTERNS * VECTOR_BYTES))
        address = builder.bitcast(builder.gep(line, [start]), VECTOR.as_pointer())
        return builder.load(address, align=8)

    def _ripple(self, carry: Any, first: Any, n_levels: Any) -> None:
        """Add the last carry to the levels above, which hold little and change seldom."""
        builder, code = self.builder, self.code
        place = cgutils.alloca_once(builder, VECTOR)
        builder.store(carry, place)
        with cgutils.for_range(builder, builder.sub(n_levels, _i64(CHUNK_LEVELS))) as loop:
            at = builder.add(first, builder.add(loop.index, _i64(CHUNK_LEVELS)))
            level, carried = code.load(self.counters.data, at), builder.load(place)
            code.store(builder.xor(level, carried), self.counters.data, at)
            builder.store(builder.and_(level, carried), place)


class _Comparer:
    """Compares from the lowest bit up: the highest bit in which count and bound differ decides."""

    def __init__(self, code: Code, counters: Any, parities: Any, bounds: Any, out: Any) -> None:
        self.code, self.builder = code, code.builder
        self.counters, self.parities, self.bounds, self.out = counters, parities, bounds, out

    def emit(self, *, row: Any, part: Any, odd: Any) -> None:
        builder, code = self.builder, self.code
        n_levels = cgutils.unpack_tuple(builder, self.counters.shape)[1]
        first_bound = builder.mul(part, builder.add(n_levels, _i64(1)))
        first, zero = builder.mul(row, n_levels), ir.Constant(VECTOR, None)
        less = cgutils.alloca_once(builder, VECTOR)
        lowest = code.load(self.bounds.data, first_bound)
        builder.store(builder.and_(builder.not_(self._odd_counts(part, odd)), lowest), less)
        with cgutils.for_range(builder, n_levels) as loop:
            at = builder.add(first, loop.index)
            bound = code.load(self.bounds.data, builder.add(first_bound, builder.add(loop.index, _i64(1))))
            level = code.load(self.counters.data, at)
            builder.store(code.logic(LESS, level, bound, builder.load(less)), less)
            code.store(zero, self.counters.data, at)
        parts = builder.udiv(cgutils.unpack_tuple(builder, self.out.shape)[1], _i64(8))
        code.store(builder.load(less), self.out.data, builder.add(builder.mul(row, parts), part))

    def _odd_counts(self, part: Any, odd: Any) -> Any:
        """The neurons that differ from the input in an odd number of bits."""
        builder = self.builder
        planes = cgutils.unpack_tuple(builder, self.parities.shape)[1]
        last = builder.sub(builder.mul(builder.add(part, _i64(1)), planes), _i64(1))
        everywhere = builder.sub(_i64(0), odd)
        first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), everywhere, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
        spread = builder.shuffle_vector(first, ir.Constant(VECTOR, ir.Undefined), lanes)
        return builder.xor(self.code.load(self.parities.data, last), spread)


def _i64(value: int) -> Any:
    return ir.Constant(WORD, value)
