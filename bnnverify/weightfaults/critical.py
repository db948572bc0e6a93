"""The critical bits: for each stored weight bit, how many inputs change their class when it alone flips, exactly.

A flip moves sums of one row, so it matters only where that carries a neuron over its threshold, and then all that
matters is which neurons it toggles. In a dense layer that is one neuron, whichever of the helpful weights flips: each
input and neuron that one flip can toggle is executed once, from the next layer on, and counts for all these weights
at once. In the output layer a flip raises or lowers one class, so an input and a class have two outcomes. A
convolution's weight is shared, so each of its flips toggles its own set of positions and is executed by itself.
Cost: a matrix product and some executions a layer; a thousand images through a network of 84,000 dense weights take
under a second. Convolutions take one execution for each input and weight that toggles anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.inference import engine_of
from bnnverify.inference.reference import read_batch
from bnnverify.network import BitInput, Block, ConvBlock, Network, Output, QuantizedInput
from bnnverify.presolve.lower import window_cells
from bnnverify.scores import score_keys
from bnnverify.weightfaults.places import Longs, Mask, places_in, stored_layers
from bnnverify.weightfaults.results import CriticalBits
from bnnverify.weightflips import WeightBit

CHUNK = 1024
MOST_CELLS = 1 << 24


@dataclass(frozen=True, eq=False)
class _Batch:
    """Some inputs at one layer.

    Args:
        before: ``(n, inputs of the layer)`` what it reads.
        after: ``(n, neurons)`` what it gives, as signs; of the output layer nothing.
        wanted: ``(n, classes)`` which classes count as changed.
        order: the classes in the order in which they win ties, or None for the lowest first.
    """

    before: Longs
    after: Longs
    wanted: Mask
    order: tuple[int, ...] | None


def critical_bits(
    network: Network, X: Any, *, layers: Iterable[int] | None = None, top: int | None = None
) -> CriticalBits:
    """For each stored weight bit, the number of inputs whose predicted class changes when that bit alone flips.

    Args:
        X: ``(n, n_inputs)`` or ``(n, *shape)`` in the network's own input scale.
        layers: which to look at, the output layer being the last; default all.
        top: how many bits to list, the most critical ones; by default all that change any input.

    Raises:
        UsageError: if there is no such layer, or it has no weights.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> critical_bits(net, [[1, 1, 1], [1, 1, -1]], top=2)
    CriticalBits(5 bits, 2 inputs, 0:0:0 changes 1)
    """
    start = time.monotonic()
    places = places_in(network, layers, None)
    inputs = read_batch(network.input, X)
    stored = stored_layers(network)
    wanted = engine_of(network).classify(inputs)[:, None] != np.arange(network.n_classes)
    counts = counts_by_bit(network, inputs, places.layers, wanted)
    bits, changed = ranked(counts, top)
    n_bits = sum(int(np.count_nonzero(stored[n].weights)) for n in places.layers)
    return CriticalBits(len(inputs), n_bits, bits, changed, counts, time.monotonic() - start)


def counts_by_bit(
    network: Network,
    inputs: NDArray[Any],
    layers: Iterable[int],
    wanted: Mask,
    order: tuple[int, ...] | None = None,
) -> dict[int, Longs]:
    """For each weight of some layers, how many inputs have a wanted class when it alone flips.

    Args:
        inputs: ``(n, n_inputs)`` as the input layer has read them.
        wanted: ``(n, classes)`` the classes to count, not those that inputs have without a flip.
        order: the classes in the order in which they win ties; lowest first by default.
    """
    stored = stored_layers(network)
    counts = {n: np.zeros((len(stored[n].weights), stored[n].weights[0].size), dtype=np.int64) for n in layers}
    chunk = max(1, min([CHUNK, *(MOST_CELLS // _cells(network, number) for number in counts)]))
    for first in range(0, len(inputs), chunk):
        part = slice(first, first + chunk)
        for number, batch in _batches(network, inputs[part], wanted[part], order):
            if number in counts:
                counts[number] += _counted(network, number, batch)
    return counts


def _cells(network: Network, number: int) -> int:
    """How many numbers an input takes at a layer."""
    layer = stored_layers(network)[number]
    cells = int(layer.weights[0].size)
    return cells * prod(network.shapes[number + 1][1:]) if isinstance(layer, ConvBlock) else cells


def _batches(
    network: Network, inputs: NDArray[Any], wanted: Mask, order: tuple[int, ...] | None
) -> Iterator[tuple[int, _Batch]]:
    """What each layer reads and gives."""
    engine, layer = engine_of(network), network.input
    read = layer.to_levels(inputs) if isinstance(layer, QuantizedInput) else layer.to_bits(inputs)
    values = [part.reshape(len(inputs), -1).astype(np.int64) for part in (read, *engine.layer_bits(inputs))]
    for number in range(len(network.blocks) + 1):
        yield number, _Batch(values[number], values[min(number + 1, len(values) - 1)], wanted, order)


def ranked(counts: dict[int, Longs], top: int | None) -> tuple[tuple[WeightBit, ...], tuple[int, ...]]:
    """The bits that change any input, most inputs first, then by position."""
    none = np.zeros(0, dtype=np.int64)
    found = {number: table.nonzero() for number, table in counts.items()}
    layer = np.concatenate([none, *(np.full(rows.size, number) for number, (rows, _) in found.items())])
    row, column = (np.concatenate([none, *(places[i] for places in found.values())]) for i in (0, 1))
    changed = np.concatenate([none, *(counts[number][places] for number, places in found.items())])
    order = np.lexsort((column, row, layer, -changed))[:top]
    bits = (WeightBit(int(layer[i]), int(row[i]), int(column[i])) for i in order)
    return tuple(bits), tuple(changed[order].tolist())


def _counted(network: Network, number: int, batch: _Batch) -> Longs:
    """How many of these inputs each weight of a layer changes, ``(rows, weights a row)``."""
    layer = stored_layers(network)[number]
    if isinstance(layer, Output):
        return _in_output(layer, batch)
    tail = Network(network.blocks[number + 1 :], network.output, BitInput(network.shapes[number + 1]))
    if isinstance(layer, Block):
        return _in_dense(layer, tail, batch)
    return _in_convolution(layer, network.shapes[number], tail, batch)


def _in_dense(layer: Block, tail: Network, batch: _Batch) -> Longs:
    """Each neuron that some single flip toggles is toggled once, and counts for all such flips."""
    weights = layer.weights.astype(np.int64)
    missing = _missing(_product(batch.before, weights), layer.thresholds)
    widest = 2 * np.abs(weights).max(axis=1) * np.abs(batch.before).max(initial=1)
    which, neuron = np.nonzero(missing <= widest)
    changed = _changes(tail, batch, which, lambda part: neuron[part, None] == np.arange(len(weights)))
    which, neuron = which[changed], neuron[changed]
    counts = np.zeros_like(weights)
    for row in np.unique(neuron):
        mine = which[neuron == row]
        helps = 2 * batch.after[mine, row][:, None] * batch.before[mine] * weights[row]
        counts[row] = (helps >= missing[mine, row][:, None]).sum(axis=0)
    return counts


def _in_convolution(layer: ConvBlock, shape: tuple[int, ...], tail: Network, batch: _Batch) -> Longs:
    """Each weight toggles the positions where its product is large enough; all its positions at once."""
    _, height, width = layer.output_shape(shape)
    cells, inside = window_cells(shape, layer.weights.shape[2:], layer.stride, layer.padding, (height, width))
    area, n_in = shape[1] * shape[2], shape[0]
    places = (np.arange(n_in)[:, None, None] * area + cells.T[None]).reshape(-1, height * width)
    held = np.tile(inside.T, (n_in, 1))
    products = np.where(held, batch.before[:, np.where(held, places, 0)], 0)
    kernels = layer.weights.reshape(len(layer.weights), -1).astype(np.int64)
    counts = np.zeros_like(kernels)
    after = batch.after.reshape(len(batch.after), len(kernels), -1)
    for channel, kernel in enumerate(kernels):
        missing = _missing(np.einsum("nkp,k->np", products, kernel), layer.thresholds[channel])
        toggled = 2 * after[:, channel, None] * products * kernel[None, :, None] >= missing[:, None]
        which, position = np.nonzero(toggled.any(axis=2))
        spread = partial(_spread, toggled[which, position], channel, after[0])
        changed = _changes(tail, batch, which, spread)
        counts[channel] = np.bincount(position[changed], minlength=kernel.size)
    return counts


def _spread(toggled: Mask, channel: int, image: Longs, part: slice) -> Mask:
    """The positions of one channel that some cases toggle, among all activations."""
    cases = toggled[part]
    whole = np.zeros((len(cases), *image.shape), dtype=np.bool_)
    whole[:, channel] = cases
    return whole.reshape(len(cases), -1)


def _in_output(output: Output, batch: _Batch) -> Longs:
    """Each class is raised, and lowered, by one flip; which of the two a weight does is its term's sign."""
    weights, keys = output.weights.astype(np.int64), score_keys(output, batch.order)
    sums = _product(batch.before, weights)
    counts = np.zeros_like(weights)
    for c, row in enumerate(weights):
        terms = batch.before * row
        for sign in (1, -1):
            moved = sums.copy()
            moved[:, c] -= 2 * sign
            winners = np.argmax(keys.slopes * moved + keys.offsets, axis=1)
            hit = batch.wanted[np.arange(len(winners)), winners]
            counts[c] += (terms[hit] == sign).sum(axis=0)
    return counts


def _product(values: Longs, weights: Longs) -> Longs:
    """``values @ weights.T``, exact in floats of 53 bits, which are multiplied much faster than integers."""
    found: Longs = (values.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)
    return found


def _missing(sums: Longs, thresholds: Longs) -> Longs:
    """By how much each sum must move, towards the other side, to toggle its neuron; at least 1."""
    leads = sums - thresholds
    return np.where(leads >= 0, leads + 1, -leads)


def _changes(tail: Network, batch: _Batch, which: Longs, toggled: Callable[[slice], Mask]) -> Mask:
    """Whether inputs change their class when some activations are toggled.

    Args:
        which: the input of each case.
        toggled: for a slice of the cases, which activations, ``(cases, neurons)``.
    """
    changed = np.zeros(which.size, dtype=np.bool_)
    step = max(1, MOST_CELLS // batch.after.shape[1])
    for first in range(0, which.size, step):
        part = slice(first, first + step)
        after = batch.after[which[part]]
        bits = np.where(toggled(part), -after, after).astype(np.int8)
        changed[part] = batch.wanted[which[part], engine_of(tail).classify(bits, batch.order)]
    return changed
