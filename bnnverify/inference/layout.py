"""How weights and thresholds lie in memory for the bit engine.

Weights are interleaved by lane: neuron ``8 g + lane`` has its word k at ``[g, k, lane]``, bit 1 for +1. A mask of
the same shape marks the nonzero weights where a layer has zeros. With n nonzero weights and D
differing bits the sum is ``n - 2 D``, so ``sum >= t`` is ``D <= (n - t) // 2``: the limit. For bit planes of integers,
``sum = (2^planes - 1) p - D`` with p positive weights and D weighted by plane. A limit out of reach is
clipped to -1 (never) or to the greatest count (always), which keeps constant neurons constant. Cells
that a convolution reads outside its image hold 0 bits, which differ from +1 weights: each border
position raises the limit by their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import pack

LANES = 8
LINE = 64
NEVER = -1


@dataclass(frozen=True, eq=False)
class Neurons:
    """Interleaved ternary weights.

    Args:
        words: ``(groups, words, 8)`` uint64, aligned to cache lines.
        mask: the nonzero weights, likewise; None if there are no zeros.
        nonzero: ``(n_out,)`` number of nonzero weights of each neuron.
        positive: ``(n_out,)`` number of weights +1.
    """

    words: NDArray[np.uint64]
    mask: NDArray[np.uint64] | None
    nonzero: NDArray[np.int64]
    positive: NDArray[np.int64]

    @property
    def n_out(self) -> int:
        return int(self.nonzero.size)

    def writable(self) -> Neurons:
        """The same with words of its own, which may be changed in place."""
        return replace(self, words=aligned(self.words))


def interleave(weights: NDArray[np.int8]) -> Neurons:
    """Ternary weights ``(n_out, n_in)`` in the engine's layout."""
    mask = None if weights.all() else _interleaved(weights != 0)
    nonzero, positive = (np.count_nonzero(chosen, axis=1).astype(np.int64) for chosen in (weights, weights > 0))
    return Neurons(_interleaved(weights > 0), mask, nonzero, positive)


def _interleaved(ones: NDArray[np.bool_]) -> NDArray[np.uint64]:
    words = pack(ones.astype(np.int8))
    groups = -(-len(words) // LANES)
    padded = np.zeros((groups * LANES, words.shape[1]), dtype=np.uint64)
    padded[: len(words)] = words
    return aligned(padded.reshape(groups, LANES, -1).transpose(0, 2, 1))


def aligned(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A contiguous copy that starts on a cache line, so that no vector straddles two."""
    copy = aligned_zeros(array.shape)
    copy[:] = array
    return copy


def aligned_zeros(shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Zeros that start on a cache line."""
    room = np.zeros(prod(shape) + LINE // 8, dtype=np.uint64)
    skip = (-room.ctypes.data % LINE) // 8
    return room[skip : skip + prod(shape)].reshape(shape)


def bit_limits(neurons: Neurons, thresholds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Greatest count of differing bits with which each neuron is +1, ``(1, groups * 8)``."""
    return _padded(neurons, _sum_limits(neurons.nonzero, thresholds)[None])


def plane_limits(neurons: Neurons, thresholds: NDArray[np.int64], n_planes: int) -> NDArray[np.int64]:
    """The same for bit planes of integers, whose counts are weighted by plane."""
    level = (1 << n_planes) - 1
    clipped = np.clip(thresholds, -level * neurons.nonzero - 1, level * neurons.nonzero + 1)
    limits = np.clip(level * neurons.positive - clipped, NEVER, level * neurons.nonzero)
    return _padded(neurons, limits[None])


def border_limits(
    neurons: Neurons, weights: NDArray[np.int8], thresholds: NDArray[np.int64], inside: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Limits for each way in which a kernel can overlap its image.

    Args:
        weights: ``(n_out, channels, height, width)``.
        inside: ``(kinds, height * width)``: which cells of the kernel lie inside the image.
    """
    cells = weights.reshape(*weights.shape[:2], -1)
    used = np.count_nonzero(cells, axis=1) @ inside.T.astype(np.int64)
    missed = np.count_nonzero(cells > 0, axis=1) @ (~inside).T.astype(np.int64)
    limits = _sum_limits(used, thresholds[:, None]) + missed
    return _padded(neurons, limits.T)


def _sum_limits(nonzero: NDArray[np.int64], thresholds: NDArray[np.int64]) -> NDArray[np.int64]:
    clipped = np.clip(thresholds, -nonzero - 1, nonzero + 1)
    limits: NDArray[np.int64] = np.clip((nonzero - clipped) // 2, NEVER, nonzero)
    return limits


def _padded(neurons: Neurons, limits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lines as wide as the groups; neurons that only fill up a group are never +1."""
    padded = np.full((len(limits), len(neurons.words) * LANES), NEVER, dtype=np.int64)
    padded[:, : limits.shape[1]] = limits
    return padded


def overlaps(
    image: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The distinct overlaps of kernel and image ``(kinds, cells)``, and the kind of each position."""
    rows, columns = (_inside(image[a], kernel[a], stride[a], padding[a]) for a in (0, 1))
    cells = rows[:, None, :, None] & columns[None, :, None, :]
    inside, kinds = np.unique(cells.reshape(len(rows) * len(columns), -1), axis=0, return_inverse=True)
    return inside, kinds.reshape(-1).astype(np.int64)


def _inside(size: int, kernel: int, stride: int, padding: int) -> NDArray[np.bool_]:
    """Along one axis: whether each cell of the kernel is inside, ``(positions, kernel)``."""
    starts = np.arange(0, size + 2 * padding - kernel + 1, stride) - padding
    cells = starts[:, None] + np.arange(kernel)
    return (cells >= 0) & (cells < size)
