"""What a proof proves, from the definition: a network and a question become the raw system that must have no solution.

A signal is what a layer reads from one cell: a constant, plus some consecutive 0/1 variables, each with a gain
(a fixed bit: +-1; a free bit: -1 + 2 v; a level: its least value, and by how much each step raises it). A neuron is a
weighted sum of signals against a threshold, so substituting gives one row over literals. Everything is written by
loops over neurons and windows, and shares no code with the engines. Cost: one visit of every weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import Block, ConvBlock, InputLayer, Layer, MaxPool, Network, Output, QuantizedInput, Shape
from bnnverify.proofs.question import Question
from bnnverify.proofs.system import MOST_SUM, Row, System, system_of

Ints = NDArray[np.int64]


class Signals(NamedTuple):
    """What a layer reads: cell i is ``base[i]``, and more by ``gain[v - offset]`` for each of its variables v if true.

    Its variables are ``first[i]`` to ``first[i] + steps[i] - 1``.
    """

    base: Ints
    first: Ints
    steps: Ints
    gain: Ints
    offset: int


@dataclass(frozen=True, eq=False)
class Statement:
    """The raw system of a question about a network, and which variable is what.

    Args:
        fingerprint, name: the network's.
        system: has a solution iff an input of the region has a wanted class.
        inputs: ``(n_inputs + 1,)`` variables ``inputs[i]`` to ``inputs[i + 1] - 1`` are the steps of input i, upwards.
        neurons: first variable of each block, whose neurons follow in the order of its flattened output.
        selectors: variable of each wanted class that has one.
    """

    fingerprint: str
    name: str
    question: Question
    system: System
    inputs: Ints
    neurons: tuple[int, ...]
    selectors: dict[int, int]


def statement(network: Network, question: Question) -> Statement:
    """The system whose solutions are the inputs of the region with a wanted class.

    Raises:
        UsageError: if the question does not fit the network.
        UnsupportedError: if the network pools levels.
    """
    _require_fit(network, question)
    signals = _input_signals(network, question)
    rows, clauses = _budget_rows(question, signals), list(_order_clauses(signals))
    first, neurons = 1 + int(signals.steps.sum()), []
    inputs = np.append(signals.first, first)
    for block, shape in zip(network.blocks, network.shapes[:-1], strict=True):
        neurons.append(first)
        rows.extend(_block_rows(block, shape, signals, first))
        count = int(np.prod(block.output_shape(shape)))
        signals = _bit_signals(first, count)
        first += count
    selectors, last = _class_rows(network.output, question, signals, first, rows)
    if len(question.wanted) != 1:
        clauses.append(np.array(list(selectors.values()), dtype=np.int64))
    system = system_of(last - 1, rows, clauses, question.budget is not None)
    return Statement(network.fingerprint, network.name, question, system, inputs, tuple(neurons), selectors)


def _require_fit(network: Network, question: Question) -> None:
    levels = isinstance(network.input, QuantizedInput)
    if question.center.size != network.n_inputs or question.bits == levels:
        kind = "bits" if question.bits else "levels"
        expected = f"{network.n_inputs} {'levels' if levels else 'bits'}"
        raise UsageError(f"region: {question.center.size} {kind}, expected {expected}, the inputs of {network.name}")
    if len(question.order) != network.n_classes:
        raise UsageError(f"order of ties: {len(question.order)} classes, expected {network.n_classes}")
    if isinstance(network.input, QuantizedInput) and int(question.high.max()) > network.input.max_level:
        raise UsageError(f"region: a level {question.high.max()}, expected 0 to {network.input.max_level}")
    if levels and network.blocks and isinstance(network.blocks[0], MaxPool):
        raise UnsupportedError(f"{network.name} pools its input levels, for which there are no proofs")


def _input_signals(network: Network, question: Question) -> Signals:
    """One variable for each further value that an input can take."""
    values = [_values(network.input, *ends) for ends in zip(question.low.tolist(), question.high.tolist(), strict=True)]
    steps = np.array([len(v) - 1 for v in values], dtype=np.int64)
    gain = np.array([b - a for v in values for a, b in pairwise(v)], dtype=np.int64)
    return Signals(np.array([v[0] for v in values]), 1 + np.cumsum(steps) - steps, steps, gain, 1)


def _values(layer: InputLayer, low: int, high: int) -> list[int]:
    """The values of an input from low to high; levels that no pixel has are left out."""
    if not isinstance(layer, QuantizedInput):
        return [low, high] if low < high else [low]
    if layer.steps is None:
        return list(range(low, high + 1))
    edges = [0, *layer.steps.tolist(), layer.max_value + 1]
    return [level for level in range(low, high + 1) if level == low or edges[level] < edges[level + 1]]


def _bit_signals(first: int, count: int) -> Signals:
    """Neurons, as a block behind reads them."""
    ones = np.ones(count, dtype=np.int64)
    return Signals(-ones, np.arange(first, first + count), ones, 2 * ones, first)


def _variables(signals: Signals, cells: Ints) -> Ints:
    """All variables of some cells, cell by cell."""
    count = signals.steps[cells]
    offsets = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(signals.first[cells], count) + offsets


def _order_clauses(signals: Signals) -> Iterator[Ints]:
    """A level that reaches a step reaches the step before."""
    for first, count in zip(signals.first.tolist(), signals.steps.tolist(), strict=True):
        for variable in range(first, first + count - 1):
            yield np.array([-(variable + 1), variable], dtype=np.int64)


def _budget_rows(question: Question, signals: Signals) -> list[Row]:
    """The one row ``sum of costs of steps away from the centre <= budget``, turned around, if there is a budget."""
    if question.budget is None:
        return []
    owner = np.repeat(np.arange(question.center.size), signals.steps)
    if question.costs.size != owner.size:
        raise UsageError(f"region: {question.costs.size} costs, expected {owner.size}, one a step")
    variables, raised = np.arange(1, owner.size + 1), np.concatenate([[0], np.cumsum(signals.gain)])
    value = signals.base[owner] + raised[variables] - raised[signals.first[owner] - 1]
    literals = np.where(value > question.center[owner], -variables, variables)
    priced = question.costs > 0
    total = int(question.costs.sum())
    bound = min(max(total - question.budget, 0), total + 1)
    return [Row(0, bound, question.costs[priced], literals[priced])]


def _row(output: int, signals: Signals, cells: Ints, weights: NDArray[Any], threshold: int) -> Row:
    """``output <-> weights . signals[cells] >= threshold`` with positive coprime weights."""
    cells, weights = cells[weights != 0], weights[weights != 0]
    signed = np.repeat(weights, signals.steps[cells])
    variables = _variables(signals, cells)
    sizes = np.abs(signed) * signals.gain[variables - signals.offset]
    bound = threshold - int((weights * signals.base[cells]).sum()) + int(sizes[signed < 0].sum())
    literals = np.where(signed < 0, -variables, variables)
    divisor = int(np.gcd.reduce(sizes)) if sizes.size else 1
    sizes, bound = sizes // divisor, -(-bound // divisor)
    total = int(sizes.sum())
    return Row(output, min(max(bound, 0), total + 1), sizes.astype(np.int64) if total < MOST_SUM else sizes, literals)


def _block_rows(block: Layer, shape: Shape, signals: Signals, first: int) -> Iterator[Row]:
    """One row a neuron, in the order of the flattened output."""
    if isinstance(block, Block):
        cells = np.arange(block.weights.shape[1])
        for neuron, (weights, threshold) in enumerate(zip(block.weights, block.thresholds, strict=True)):
            yield _row(first + neuron, signals, cells, weights.astype(np.int64), int(threshold))
        return
    channels, height, width = block.output_shape(shape)
    places = [(y, x) for y in range(height) for x in range(width)]
    if isinstance(block, ConvBlock):
        yield from _conv_rows(block, shape, signals, first, places)
        return
    for neuron, (channel, (y, x)) in enumerate((c, place) for c in range(channels) for place in places):
        top, left = y * block.stride[0], x * block.stride[1]
        found, _ = _window(shape, [channel], (top, left), block.size)
        yield _row(first + neuron, signals, found, np.ones_like(found), 2 - found.size)


def _conv_rows(
    block: ConvBlock, shape: Shape, signals: Signals, first: int, places: list[tuple[int, int]]
) -> Iterator[Row]:
    """One row a channel and place; cells of the padding are left out."""
    windows = []
    for y, x in places:
        corner = (y * block.stride[0] - block.padding[0], x * block.stride[1] - block.padding[1])
        windows.append(_window(shape, range(shape[0]), corner, block.weights.shape[2:]))
    neuron = first
    for kernel, threshold in zip(block.weights, block.thresholds, strict=True):
        flat = kernel.reshape(-1).astype(np.int64)
        for cells, taps in windows:
            yield _row(neuron, signals, cells, flat[taps], int(threshold))
            neuron += 1


def _window(shape: Shape, channels: Any, corner: tuple[int, int], size: tuple[int, ...]) -> tuple[Ints, Ints]:
    """The cells of an image under a window, and which of the window's own cells lie over them."""
    _, height, width = shape
    cells, taps = [], []
    for index, channel in enumerate(channels):
        for dy in range(size[0]):
            for dx in range(size[1]):
                y, x = corner[0] + dy, corner[1] + dx
                if 0 <= y < height and 0 <= x < width:
                    cells.append((channel * height + y) * width + x)
                    taps.append((index * size[0] + dy) * size[1] + dx)
    return np.array(cells, dtype=np.int64), np.array(taps, dtype=np.int64)


def _class_rows(
    output: Output, question: Question, signals: Signals, first: int, rows: list[Row]
) -> tuple[dict[int, int], int]:
    """Adds the rows that say "a wanted class wins"; gives the selectors and the next free variable.

    A wanted class wins iff some wanted class beats every class that is not wanted.
    """
    rivals = [c for c in range(output.n_classes) if c not in question.wanted]
    if len(question.wanted) == 1:
        rows.extend(_beats(output, question, signals, question.wanted[0], rival, 0) for rival in rivals)
        return {}, first
    selectors = {c: first + i for i, c in enumerate(question.wanted)}
    first += len(selectors)
    for c, selector in selectors.items():
        if len(rivals) == 1:
            rows.append(_beats(output, question, signals, c, rivals[0], selector))
            continue
        rows.extend(_beats(output, question, signals, c, rival, first + i) for i, rival in enumerate(rivals))
        pairs = np.arange(first, first + len(rivals))
        rows.append(Row(selector, len(rivals), np.ones_like(pairs), pairs))
        first += len(rivals)
    return selectors, first


def _beats(output: Output, question: Question, signals: Signals, c: int, rival: int, variable: int) -> Row:
    """``variable <-> score of c > score of rival``, or >= where c wins ties; in exact integers."""
    assert output.scale is not None
    assert output.bias is not None
    scales = [Fraction(float(output.scale[i])) for i in (c, rival)]
    biases = [Fraction(float(output.bias[i])) for i in (c, rival)]
    common = lcm(*(f.denominator for f in (*scales, *biases)))
    ours, theirs = (int(f * common) for f in scales)
    lead = int(biases[1] * common) - int(biases[0] * common)
    weights = output.weights[c].astype(object) * ours - output.weights[rival].astype(object) * theirs
    wins_ties = question.order.index(c) < question.order.index(rival)
    return _row(variable, signals, np.arange(weights.size), weights, lead if wins_ties else lead + 1)
