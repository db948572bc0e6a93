"""A dense layer brought up to date from its fault-free sums, where some inputs or weights have changed.

A neuron's *slack* is how many more differing bits it bears: below 0 it is -1. A changed input moves every slack by one,
up where the weight agrees with the new input, and so does a flipped weight, up where it disagreed before. So with c
changed inputs and f flipped weights the slack is ``s + 2 T - c - f``, where T counts the moves upwards. All of this is
bit-sliced: a vector holds one bit of 512 neurons, an adder tree counts 32 columns of weights at a time, and three
numbers are added by carries alone, since only the sign of the sum is wanted. The moves of flipped weights are counted
the other way round, a bit an instance (:mod:`bnnverify.faults.gains`). Rows and neurons where nothing changed are
copied. Measured: a changed input .0034 ns a neuron, a row .15 ns a neuron, against .00065 ns a weight in full; a flip
.06 ns an instance. So with 4096 inputs and neurons it pays until a fifth of the inputs, or 1 % of the weights, changed.
"""

from __future__ import annotations

import weakref
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import pack
from bnnverify.faults.gains import by_input, gains, spread
from bnnverify.faults.incrementtile import BLOCK, SMALL_BLOCK, add_block, add_small_block, decide, plane_word
from bnnverify.inference.layout import Neurons, aligned, aligned_zeros
from bnnverify.inference.program import Backend, DenseStep, Words
from bnnverify.inference.simd import popcount

FULL_NS = 0.00065
COLUMN_NS = 0.0034
ROW_NS = 0.15
FLIP_NS = 0.06
WIDEST_SUM = 1 << 14
PART = 512
LEAST_PLANES = 7


@dataclass(frozen=True, eq=False)
class Flips:
    """Flipped weights of a layer: their neurons, ascending, their packed columns, and their signs before the flip."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    signs: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Moves:
    """Flips by neuron: which parts of 512 have some, as numbers from 0 or -1, and how many each neuron has."""

    flips: Flips
    struck: NDArray[np.int64]
    per_neuron: NDArray[np.int64]
    most: int


@dataclass(frozen=True, eq=False)
class Sound:
    """What a layer computes from the fault-free inputs of a slab.

    Args:
        planes: slacks, bit-sliced in two's complement, ``(parts, rows, planes, 8)``.
        inputs: the inputs by input, a bit an instance, ``(n_in, chunks, 8)``.
        widest: greatest absolute slack.
    """

    planes: Words
    inputs: Words
    widest: int


class Columns:
    """A dense layer's weights by input, 512 neurons a vector.

    Args:
        step: a layer without zero weights that reads bits; see :func:`fits`.
        weights: its weights ``(n_out, n_in)`` in the order of its packed inputs.
    """

    def __init__(self, step: DenseStep, weights: NDArray[np.int8]) -> None:
        self._neurons, self._limits = step.neurons, step.limits
        self.shape = weights.shape
        n_out, n_in = weights.shape
        padded = np.full((n_in + 1, -(-n_out // PART) * PART), -1, dtype=np.int8)
        padded[:n_in, :n_out] = weights.T
        self._columns = aligned(pack(padded).reshape(n_in + 1, -1, 8).transpose(1, 0, 2))

    def writable(self) -> Columns:
        """The same with columns of its own, which one thread may change."""
        twin = copy(self)
        twin._columns = aligned(self._columns)
        return twin

    def sound(self, backend: Backend, inputs: Words) -> Sound:
        """What :meth:`updated` starts from."""
        counts = backend.dense_counts(inputs, self._neurons.words, None)[:, : self._neurons.n_out]
        slacks = np.full((len(inputs), len(self._columns) * PART), -1, dtype=np.int16)
        slacks[:, : counts.shape[1]] = self._limits[0, : counts.shape[1]] - counts
        widest = int(max(slacks.max(initial=0), -int(slacks.min(initial=0))))
        planes = aligned_zeros((len(self._columns), len(inputs), widest.bit_length() + 1, 8))
        _slice(slacks, planes)
        return Sound(planes, by_input(inputs, self.shape[1]), widest)

    def pays(self, n_changed: float, n_flips: int) -> bool:
        """Whether updating is faster than executing, with so many changed inputs an instance."""
        n_out, n_in = self.shape
        updating_ns = n_out * (n_changed * COLUMN_NS + ROW_NS) + n_flips * FLIP_NS
        return bool(updating_ns < n_in * n_out * FULL_NS)

    def strike(self, flips: Flips) -> Moves:
        """Flip these weights in place; striking again undoes it."""
        _toggle(self._columns, flips.rows, flips.columns)
        struck, per_neuron = spread(flips.rows, len(self._columns))
        return Moves(flips, struck, per_neuron, int(per_neuron.max(initial=0)))

    def updated(self, inputs: Words, before: Words, n_changed: int, sound: Sound, moves: Moves) -> Words:
        """The struck layer's bits for inputs of which so many have changed, ``(rows, n_words(n_out))``."""
        n_parts, n_out, flips = len(self._columns), self.shape[0], moves.flips
        starts, counts, codes = _changes(inputs, before, self.shape[1], n_changed)
        reach = sound.widest + int(counts.max(initial=0)) + moves.most
        n_planes = max(LEAST_PLANES, reach.bit_length() + 1)
        fewer = _bit_planes(moves.per_neuron, n_planes)
        more = gains(flips.rows, flips.columns, flips.signs, sound.inputs, moves.struck, moves.most, len(inputs))
        out = np.empty((len(inputs), 8 * n_parts), dtype=np.uint64)
        _update(self._columns, starts, counts, codes, sound.planes, moves.struck, more, fewer, n_planes, out)
        found = np.ascontiguousarray(out[:, : -(-n_out // 64)])
        if n_out % 64:
            found[:, -1] &= np.uint64((1 << (n_out % 64)) - 1)
        return found


_MADE: weakref.WeakKeyDictionary[DenseStep, Columns] = weakref.WeakKeyDictionary()


def columns_of(step: DenseStep, weights: NDArray[np.int8]) -> Columns:
    """The columns of a step's weights, made once and kept as long as the step lives; shared, so not to be struck."""
    if step not in _MADE:
        _MADE[step] = Columns(step, weights)
    return _MADE[step]


def fits(neurons: Neurons, n_in: int) -> bool:
    """Whether a layer has no zero weights, and sums that 16 bits hold."""
    return neurons.mask is None and n_in <= WIDEST_SUM


def sound_bytes(n_in: int, n_out: int) -> int:
    """Bytes of :class:`Sound` an instance, at most."""
    return -(-n_out // PART) * 64 * (n_in.bit_length() + 2) + n_in // 8


def n_differing(first: Words, second: Words) -> int:
    """Number of differing bits of two equal shapes of words."""
    return 0 if first is second else int(np.bitwise_count(first ^ second).sum(dtype=np.int64))


def _bit_planes(numbers: NDArray[np.int64], n_planes: int) -> Words:
    """Numbers from 0, one a neuron, bit-sliced: ``(parts, planes, 8)``."""
    bits = (numbers >> np.arange(n_planes)[:, None] & 1).astype(np.uint8)
    packed = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    return aligned(packed.reshape(n_planes, -1, 8).transpose(1, 0, 2))


@njit(cache=True, nogil=True)
def _slice(slacks: Any, planes: Any) -> None:
    """Slacks ``(rows, neurons)`` int16 as planes ``(parts, rows, planes, 8)``."""
    for row in range(slacks.shape[0]):
        for word in range(slacks.shape[1] // 64):
            for plane in range(planes.shape[2]):
                planes[word >> 3, row, plane, word & 7] = plane_word(slacks, row, word, plane)


@njit(cache=True, nogil=True)
def _toggle(columns: Any, rows: Any, places: Any) -> None:
    """Flip these weights in place."""
    for k in range(rows.size):
        neuron = rows[k]
        columns[neuron >> 9, places[k], (neuron >> 6) & 7] ^= np.uint64(1) << np.uint64(neuron & 63)


@njit(cache=True, nogil=True)
def _changes(inputs: Any, before: Any, n_in: int, n_changed: int) -> Any:
    """Changed inputs, instance after instance: where each one's begin, how many, and their codes.

    A code is twice the input, plus 1 where it became -1; the column of zeros fills up small blocks.
    """
    n_rows = inputs.shape[0]
    starts, counts = np.zeros(n_rows + 1, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    codes = np.full(n_changed + n_rows * SMALL_BLOCK, 2 * n_in, dtype=np.uint32)
    if n_changed == 0:
        return starts, counts, codes
    at = 0
    for row in range(n_rows):
        first = at
        for word in range(inputs.shape[1]):
            differ = inputs[row, word] ^ before[row, word]
            while differ != 0:
                lowest = differ & (~differ + np.uint64(1))
                place = 64 * word + popcount(lowest - np.uint64(1))
                codes[at] = 2 * place + (0 if inputs[row, word] & lowest else 1)
                at += 1
                differ ^= lowest
        counts[row] = at - first
        at = first + (at - first + SMALL_BLOCK - 1) // SMALL_BLOCK * SMALL_BLOCK
        starts[row + 1] = at
    return starts, counts, codes


@njit(cache=True, nogil=True)
def _update(
    columns: Any,
    starts: Any,
    counts: Any,
    codes: Any,
    sound: Any,
    struck: Any,
    more: Any,
    fewer: Any,
    n_planes: int,
    out: Any,
) -> None:
    """All rows of one part of 512 neurons after the other, so that its columns stay in the second cache."""
    counters = np.zeros((n_planes, 8), dtype=np.uint64)
    for part in range(columns.shape[0]):
        for row in range(counts.size):
            if counts[row] == 0 and struck[part] < 0:
                for lane in range(8):
                    out[row, 8 * part + lane] = ~sound[part, row, sound.shape[2] - 1, lane]
                continue
            counters[:] = np.uint64(0)
            if struck[part] >= 0:
                for plane in range(more.shape[2]):
                    for lane in range(8):
                        counters[1 + plane, lane] = more[struck[part], row, plane, lane]
            at, stop = starts[row], starts[row + 1]
            while at + BLOCK <= stop:
                add_block(columns, part, codes, at, counters)
                at += BLOCK
            while at < stop:
                add_small_block(columns, part, codes, at, counters)
                at += SMALL_BLOCK
            decide(sound, part, row, counters, fewer, counts[row], out)
