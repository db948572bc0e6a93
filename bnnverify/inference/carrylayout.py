"""Weights as bit planes of 512 neurons, for :mod:`bnnverify.inference.carries`.

Plane p of a part holds, for each of its neurons, the parity of the first p weight bits. Thresholds are
bit-sliced likewise, as the bound that a neuron's count of differing bits must stay below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bnnverify.inference.layout import Neurons, aligned

Words = NDArray[np.uint64]
PART = 512
CHUNK_WORDS = 2
CHUNK_POSITIONS = 64 * CHUNK_WORDS
CHUNK_LEVELS = 6


@dataclass(frozen=True, eq=False)
class CarryWeights:
    """A layer's weights as bit planes of 512 neurons.

    Args:
        parities: ``(parts, positions + 1, 8)`` uint64 prefix parities, positions a multiple of 128.
        bounds: ``(parts, levels + 1, 8)`` uint64: a neuron is +1 iff its count is below its bound.
        n_out: number of neurons.
    """

    parities: Words
    bounds: Words
    n_out: int

    def writable(self) -> CarryWeights:
        """The same with planes of its own, which may be changed in place."""
        return replace(self, parities=aligned(self.parities), bounds=aligned(self.bounds))

    def set_limits(self, limits: NDArray[np.int64]) -> None:
        """Replace the bounds in place by those of one line of limits ``(1, groups * 8)``."""
        self.bounds[:] = _bounds(limits, self.n_out, PART * len(self.bounds), self.bounds.shape[1] - 1)


def carry_weights(neurons: Neurons, limits: NDArray[np.int64]) -> CarryWeights:
    """From interleaved weights without zeros and their limits, one line of ``(1, groups * 8)``."""
    bits = _position_planes(neurons)
    n_levels = max(CHUNK_LEVELS, (len(bits) // 2).bit_length())
    bounds = _bounds(limits, neurons.n_out, bits.shape[1], n_levels)
    return CarryWeights(_by_part(np.bitwise_xor.accumulate(bits, axis=0)), bounds, neurons.n_out)


def _bounds(limits: NDArray[np.int64], n_out: int, n_lanes: int, n_levels: int) -> Words:
    """Limits plus one, bit-sliced; neurons that only fill up a part get 0."""
    bounds = np.zeros(n_lanes, dtype=np.int64)
    bounds[:n_out] = limits[0, :n_out] + 1
    return _by_part((bounds >> np.arange(n_levels + 1)[:, None] & 1).astype(np.uint8))


def _position_planes(neurons: Neurons) -> NDArray[np.uint8]:
    """Weight bits ``(1 + positions, neurons)`` after a plane of zeros; both sizes filled up with zeros."""
    groups, n_words, lanes = neurons.words.shape
    n_positions = -(-n_words // CHUNK_WORDS) * CHUNK_POSITIONS
    bits = np.zeros((1 + n_positions, -(-neurons.n_out // PART) * PART), dtype=np.uint8)
    by_neuron = np.ascontiguousarray(neurons.words.transpose(0, 2, 1)).reshape(groups * lanes, n_words)
    unpacked = np.unpackbits(by_neuron.view(np.uint8), axis=1, bitorder="little")
    bits[1 : 1 + 64 * n_words, : neurons.n_out] = unpacked[: neurons.n_out].T
    return bits


def _by_part(planes: NDArray[np.uint8]) -> Words:
    """Bits ``(planes, neurons)`` as vectors ``(parts, planes, 8)``."""
    packed = np.packbits(planes, axis=1, bitorder="little").view(np.uint64)
    return aligned(packed.reshape(len(planes), -1, 8).transpose(1, 0, 2))
