"""The ``execute`` engine: run every input of a small region on the bitwise inference engine.

It shares nothing with the other engines but the region (no bounds, no residual network), so it is
what ``--check`` compares with wherever the region is small enough. Cost: one inference an input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.inference.engine import engine_of
from bnnverify.network import Network, QuantizedInput, ThresholdInput
from bnnverify.regions import BitRegion

MAX_INPUTS = 1 << 20
CHUNK = 4096


def class_keys(network: Network, bits: NDArray[np.int8], order: Sequence[int]) -> NDArray[np.int64]:
    """Integer keys ``(batch, n_classes)`` of input bits ``(batch, n_inputs)``, pixels already binarized."""
    assert not isinstance(network.input, QuantizedInput)
    if isinstance(network.input, ThresholdInput):
        bits = _pixels_of(network.input, bits)
    keys: NDArray[np.int64] = engine_of(network).keys(bits, order)
    return keys


def classify_bits(network: Network, bits: NDArray[np.int8], order: Sequence[int]) -> NDArray[np.int64]:
    """Classes ``(batch,)`` of input bits, as for :func:`class_keys`."""
    winners: NDArray[np.int64] = np.argmax(class_keys(network, bits, order), axis=1)
    return winners


def _pixels_of(layer: ThresholdInput, bits: NDArray[np.int8]) -> NDArray[Any]:
    """Some pixels with these bits; a constant bit's pixel is free to be anything."""
    above = np.clip(layer.thresholds, 0, layer.max_value)
    below = np.clip(layer.thresholds - 1, 0, layer.max_value)
    return np.where((bits > 0) == layer.rising, above, below)


def flip_sets(region: BitRegion) -> Iterator[tuple[int, ...]]:
    """Every affordable set of positions in ``region.free``, fewest flips first."""
    sizes = range(region.radius + 1)
    everything = chain.from_iterable(combinations(range(region.free.size), k) for k in sizes)
    if region.unit_costs:
        return everything
    costs = region.costs.tolist()
    return (s for s in everything if region.budget is None or sum(costs[i] for i in s) <= region.budget)


def flipped(region: BitRegion, sets: Sequence[tuple[int, ...]]) -> NDArray[np.int8]:
    """The centre with each set of positions flipped, ``(len(sets), n_inputs)``."""
    bits = np.tile(region.center, (len(sets), 1))
    rows = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    columns = region.free[np.fromiter(chain.from_iterable(sets), dtype=np.int64, count=rows.size)]
    bits[rows, columns] *= -1
    return bits


def count_by_distance(network: Network, region: BitRegion, order: Sequence[int]) -> list[dict[int, int]]:
    """Exact counts per class, one row for every number of flipped bits 0..radius."""
    rows: list[dict[int, int]] = [{} for _ in range(region.radius + 1)]
    sets = flip_sets(region)
    while chunk := list(islice(sets, CHUNK)):
        for flips, label in zip(chunk, classify_bits(network, flipped(region, chunk), order).tolist(), strict=True):
            rows[len(flips)][label] = rows[len(flips)].get(label, 0) + 1
    return rows
