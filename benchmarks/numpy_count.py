"""Brute force in plain numpy, to compare with: generate the inputs chunk by chunk, multiply, compare, count.

``count`` unpacks every input and sends it through the network by matrix products: in float32 through
BLAS, in chunks that fit the caches, which is what numpy does best; or in 32-bit integers, which is what
one would write down first for exact answers, and which numpy multiplies without BLAS. ``count_by_flips``
is the cleverer way that still visits every input: the first block's sums of an input are those of the
input with one flip less, plus a column. All return exact counts per class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Block, Network
from bnnverify.regions import BitRegion

CHUNK = 2048

Numbers = Any  # an array of float32, or of int32


@dataclass(frozen=True, eq=False)
class NumpyNetwork:
    """A dense network in one number type, laid out for products from the left; scale and bias in float32."""

    blocks: tuple[tuple[Numbers, Numbers], ...]
    output: Numbers
    scale: Numbers
    bias: Numbers

    @classmethod
    def of(cls, network: Network, dtype: type[np.float32] | type[np.int32]) -> NumpyNetwork:
        blocks = []
        for block in network.blocks:
            assert isinstance(block, Block)
            blocks.append((_numbers(block.weights.T, dtype), _numbers(block.thresholds, dtype)))
        output = network.output
        scale, bias = _numbers(output.scale, np.float32), _numbers(output.bias, np.float32)
        return cls(tuple(blocks), _numbers(output.weights.T, dtype), scale, bias)

    def behind(self, sums: Numbers) -> NDArray[np.intp]:
        """Classes of inputs whose first-block sums are ``(batch, k)``."""
        hidden = _signs(sums, self.blocks[0][1])
        for weights, thresholds in self.blocks[1:]:
            hidden = _signs(hidden @ weights, thresholds)
        scores = (hidden @ self.output).astype(np.float32, copy=False)
        scores *= self.scale
        scores += self.bias
        classes: NDArray[np.intp] = scores.argmax(axis=1)
        return classes


def _numbers(values: NDArray[np.generic] | None, dtype: type[np.float32] | type[np.int32]) -> Any:
    return np.ascontiguousarray(values, dtype=dtype)


def _signs(sums: Numbers, thresholds: Numbers) -> Numbers:
    """+1 where a sum reaches its threshold, else -1: two passes without a branch."""
    signs: Any = (sums >= thresholds).astype(sums.dtype)
    signs *= 2
    signs -= 1
    return signs


def count(network: NumpyNetwork, region: BitRegion) -> list[int]:
    """Inputs of each class: every input is written out and multiplied."""
    center = region.center.astype(network.output.dtype)
    sets = _subsets(region) if region.budget is None else _flips(region.free.size, region.budget)
    counts = np.zeros(network.bias.size, dtype=np.int64)
    for chosen in sets:
        inputs = np.tile(center, (len(chosen), 1))
        if chosen.dtype == np.bool_:
            inputs[:, region.free] *= 1 - 2 * chosen.astype(center.dtype)
        else:
            columns = region.free[chosen]
            inputs[np.arange(len(chosen))[:, None], columns] = -center[columns]
        counts += np.bincount(network.behind(inputs @ network.blocks[0][0]), minlength=counts.size)
    return [int(n) for n in counts]


def count_by_flips(network: NumpyNetwork, region: BitRegion) -> list[int]:
    """Inputs of each class: the first block's sums grow by a column a flip."""
    center, weights = region.center.astype(np.float32), network.blocks[0][0]
    columns = -2 * center[region.free, None] * weights[region.free]
    counts = np.zeros(network.bias.size, dtype=np.int64)
    sums = _sums_of_subsets if region.budget is None else _sums_of_flips
    for chunk in sums((center @ weights)[None], columns, region.budget or 0):
        counts += np.bincount(network.behind(chunk), minlength=counts.size)
    return [int(n) for n in counts]


def _subsets(region: BitRegion) -> Iterator[NDArray[np.bool_]]:
    """All subsets of the free bits, ``(chunk, m)``."""
    m = region.free.size
    for first in range(0, 1 << m, CHUNK):
        numbers = np.arange(first, min(first + CHUNK, 1 << m))
        yield (numbers[:, None] >> np.arange(m) & 1).astype(np.bool_)


def _flips(m: int, radius: int) -> Iterator[NDArray[np.int64]]:
    """All sets of at most ``radius`` of m items, ``(chunk, flips)``; the largest sets are never all in memory."""
    sets = np.zeros((1, 0), dtype=np.int64)
    for _ in range(radius - 1):
        yield from _pieces(sets, CHUNK)
        sets = _extended(sets, m)
    yield from _pieces(sets, CHUNK)
    if radius:
        yield from (_extended(piece, m) for piece in _pieces(sets, _parents_a_chunk(m)))


def _extended(prefix: NDArray[np.int64], m: int) -> NDArray[np.int64]:
    """Every set with every later item added."""
    parents, items = _children(_last(prefix), m)
    return np.column_stack([prefix[parents], items])


def _last(prefix: NDArray[np.int64]) -> NDArray[np.int64]:
    return prefix[:, -1] if prefix.shape[1] else np.full(len(prefix), -1)


def _children(last: NDArray[np.int64], m: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For sets that end at ``last``: the index of the parent, and the later item, of each extension."""
    n_later = m - 1 - last
    parents = np.repeat(np.arange(last.size), n_later)
    starts = np.cumsum(n_later) - n_later
    return parents, np.arange(parents.size) - starts[parents] + last[parents] + 1


def _pieces(rows: NDArray[np.int64], n: int) -> Iterator[NDArray[np.int64]]:
    """At most n rows at a time."""
    for first in range(0, len(rows), n):
        yield rows[first : first + n]


def _parents_a_chunk(m: int) -> int:
    """How many sets have extensions that fill about a chunk."""
    return max(1, 2 * CHUNK // max(1, m))


def _sums_of_subsets(base: Numbers, columns: Numbers, _: int) -> Iterator[Numbers]:
    """First-block sums of all subsets: a table of the first items, shifted by each subset of the others."""
    low = min(len(columns), CHUNK.bit_length() - 1)
    table, rest = _all_sums(base, columns[:low]), _all_sums(np.zeros_like(base), columns[low:])
    for shift in rest:
        yield table + shift


def _all_sums(base: Numbers, columns: Numbers) -> Numbers:
    for column in columns:
        base = np.concatenate([base, base + column])
    return base


def _sums_of_flips(base: Numbers, columns: Numbers, radius: int) -> Iterator[Numbers]:
    """First-block sums of all sets of at most ``radius`` items, those of the largest sets in chunks."""
    sums, last = base, np.full(1, -1)
    for _ in range(radius - 1):
        yield sums
        parents, items = _children(last, len(columns))
        sums, last = sums[parents] + columns[items], items
    yield sums
    step = _parents_a_chunk(len(columns))
    for first in range(0, len(sums) if radius else 0, step):
        parents, items = _children(last[first : first + step], len(columns))
        yield sums[first : first + step][parents] + columns[items]
