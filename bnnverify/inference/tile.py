"""The register tile: a few inputs against a few groups of eight neurons, as LLVM vector code.

A binary dot product of n bits is ``n - 2 D`` where D counts the bits that differ, so a layer is
xor, population count and add. Weights lie interleaved, ``(groups, words, 8)``: one vector of eight
64-bit lanes holds one word of eight neurons, and a broadcast word of an input meets all eight at
once. A tile keeps ``rows * groups`` such accumulators in registers for the whole length of the
layer; each word of input and weight is loaded once a tile. At the end the eight counts are compared
with the neurons' limits, and the mask of that comparison *is* the next layer's byte of bits.

The generated code follows the argument types. A mask array makes the weights ternary (only masked
bits count), and ``None`` leaves the mask out. Three-dimensional inputs ``(rows, planes, words)`` are
bit planes of integers, low plane first, whose counts are weighted 1, 2, 4, ... An output of bytes
receives bits, one of int64 the counts. Processors without 512-bit vectors or a vector population
count get LLVM's expansion of the same operations: slower, with equal results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils

from bnnverify.inference.simd import WORD, emitted

LANES = 8
cgutils: Any = untyped_cgutils
VECTOR = ir.VectorType(WORD, LANES)


@emitted
def tile(
    _typing: Any,
    inputs: Any,
    weights: Any,
    mask: Any,
    limits: Any,
    kinds: Any,
    out: Any,
    row: Any,
    group: Any,
    n_rows: Any,
    n_groups: Any,
) -> Any:
    """Evaluate the inputs ``row..row+n_rows`` on the neuron groups ``group..group+n_groups``.

    Args:
        inputs: ``(rows, words)`` or ``(rows, planes, words)`` uint64.
        weights: ``(groups, words, 8)`` uint64; mask: the same, or None for weights without zeros.
        limits: ``(kinds, groups * 8)`` int64: the bit is +1 iff the count is at most the limit.
        kinds: ``(rows,)`` int64: which line of limits holds for each input.
        out: ``(rows, bytes)`` uint8 for bits, or ``(rows, groups * 8)`` int64 for counts.
        n_rows, n_groups: literal integers, the shape of the tile.
    """
    shape = n_rows.literal_value, n_groups.literal_value

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _Emitter(context, builder, signature, args, *shape).emit()
        return context.get_dummy_value()

    arguments = (inputs, weights, mask, limits, kinds, out, row, group, n_rows, n_groups)
    return types.void(*arguments), emit


class _Emitter:
    """Writes one tile; the methods follow the order of the code they write."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, n_rows: int, n_groups: int) -> None:
        names = ("inputs", "weights", "mask", "limits", "kinds", "out")
        self.builder = builder
        self.n_rows, self.n_groups = n_rows, n_groups
        self.arrays = {
            name: context.make_array(kind)(context, builder, value)
            for name, kind, value in zip(names, signature.args, args, strict=False)
            if kind is not types.none
        }
        self.by_planes = signature.args[0].ndim == 3
        self.to_bits = signature.args[5].dtype == types.uint8
        self.row = context.cast(builder, args[6], signature.args[6], types.int64)
        self.group = context.cast(builder, args[7], signature.args[7], types.int64)
        self.n_words = self._size("inputs", -1)

    def emit(self) -> None:
        counts = [cgutils.alloca_once(self.builder, VECTOR) for _ in range(self.n_rows * self.n_groups)]
        for count in counts:
            self.builder.store(ir.Constant(VECTOR, None), count)
        if self.by_planes:
            self._add_planes(counts)
        else:
            self._add_words(counts, [self._row_start(r) for r in range(self.n_rows)])
        finish = self._store_bits if self.to_bits else self._store_counts
        self._each(counts, finish)

    def _each(self, counts: list[Any], act: Callable[[Any, int, int], None]) -> None:
        for r in range(self.n_rows):
            for g in range(self.n_groups):
                act(counts[r * self.n_groups + g], r, g)

    def _add_planes(self, counts: list[Any]) -> None:
        """Horner's rule over the planes, highest first."""
        builder, planes = self.builder, self._size("inputs", 1)
        one = ir.Constant(VECTOR, [1] * LANES)
        with cgutils.for_range(builder, planes) as loop:
            for count in counts:
                builder.store(builder.shl(builder.load(count), one), count)
            plane = builder.sub(builder.sub(planes, _i64(1)), loop.index)
            shift = builder.mul(plane, self.n_words)
            starts = [builder.add(self._row_start(r, planes), shift) for r in range(self.n_rows)]
            self._add_words(counts, starts)

    def _add_words(self, counts: list[Any], starts: list[Any]) -> None:
        builder = self.builder
        with cgutils.for_range(builder, self.n_words) as loop:
            lanes = [self._splat(self._load("inputs", builder.add(start, loop.index))) for start in starts]
            for g in range(self.n_groups):
                at = self._weight_start(g, loop.index)
                weight = self._load("weights", at, VECTOR)
                mask = self._load("mask", at, VECTOR) if "mask" in self.arrays else None
                for r in range(self.n_rows):
                    count = counts[r * self.n_groups + g]
                    builder.store(builder.add(builder.load(count), self._differ(lanes[r], weight, mask)), count)

    def _differ(self, lanes: Any, weight: Any, mask: Any) -> Any:
        differ = self.builder.xor(lanes, weight)
        if mask is not None:
            differ = self.builder.and_(differ, mask)
        return self.builder.call(_vector_popcount(self.builder.module), [differ])

    def _store_bits(self, count: Any, r: int, g: int) -> None:
        builder, group = self.builder, self.builder.add(self.group, _i64(g))
        row = builder.add(self.row, _i64(r))
        line = builder.mul(self._load("kinds", row), self._size("limits", 1))
        limit = self._load("limits", builder.add(line, builder.mul(group, _i64(LANES))), VECTOR)
        bits = builder.icmp_signed("<=", builder.load(count), limit)
        at = builder.add(builder.mul(row, self._size("out", 1)), group)
        builder.store(builder.bitcast(bits, ir.IntType(LANES)), self._address("out", at))

    def _store_counts(self, count: Any, r: int, g: int) -> None:
        builder, group = self.builder, self.builder.add(self.group, _i64(g))
        row = builder.add(self.row, _i64(r))
        at = builder.add(builder.mul(row, self._size("out", 1)), builder.mul(group, _i64(LANES)))
        address = builder.bitcast(self._address("out", at), VECTOR.as_pointer())
        builder.store(builder.load(count), address, align=LANES)

    def _row_start(self, r: int, planes: Any = None) -> Any:
        row = self.builder.add(self.row, _i64(r))
        if planes is not None:
            row = self.builder.mul(row, planes)
        return self.builder.mul(row, self.n_words)

    def _weight_start(self, g: int, word: Any) -> Any:
        builder = self.builder
        group = builder.add(self.group, _i64(g))
        return builder.mul(builder.add(builder.mul(group, self.n_words), word), _i64(LANES))

    def _size(self, name: str, axis: int) -> Any:
        shape = cgutils.unpack_tuple(self.builder, self.arrays[name].shape)
        return shape[axis]

    def _address(self, name: str, at: Any) -> Any:
        return self.builder.gep(self.arrays[name].data, [at])

    def _load(self, name: str, at: Any, kind: Any = WORD) -> Any:
        address = self.builder.bitcast(self._address(name, at), kind.as_pointer())
        return self.builder.load(address, align=LANES)

    def _splat(self, word: Any) -> Any:
        empty = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(empty, word, ir.IntType(32)(0))
        return self.builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _i64(value: int) -> Any:
    return ir.Constant(WORD, value)


def _vector_popcount(module: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [VECTOR])
    return cgutils.get_or_insert_function(module, kind, f"llvm.ctpop.v{LANES}i64")
