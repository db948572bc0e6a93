"""Hidden patterns and their probabilities: a world of independent units, and its patterns, most probable first.

A *world* is a network whose weights flip, on one input. Given the values below a block its units are independent, so a
pattern is its most probable form and a chain of units that have another outcome. Units are ordered by the ratio of
their second outcome to their first; then each pattern has one parent that is at least as probable (its last unit takes
the outcome before; or hands over to the unit before; or goes back), so a heap that holds a popped pattern's up to three
children pops all patterns in order (Lawler's method). Cost: a logarithm and the pattern's length for each.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.inference.reference import layer_values
from bnnverify.network import Block, ConvBlock, MaxPool, Network, Output, Shape
from bnnverify.scores import ScoreKeys
from bnnverify.weightfaults.probability_scores import wins
from bnnverify.weightfaults.tails import Number, RowLaws, Tails, Unit

Patterns: TypeAlias = Iterator[tuple[float, NDArray[Any]]]

LEAST_MASS = 1e-200
MOST_MOVED = 6


@dataclass(frozen=True, eq=False)
class World:
    """A network whose weights flip, on one input.

    Args:
        values: of the input, as the first block reads them, ``(*shape)``.
        tails: the law of each layer's rows, the output layer's last.
        keys: with the rule for ties.
        label: the input's class without flips.
    """

    network: Network
    values: NDArray[np.int64]
    tails: tuple[Tails, ...]
    keys: ScoreKeys
    label: int

    def settled(self, values: NDArray[np.int64], block: int, end: int | None = None) -> tuple[NDArray[np.int64], int]:
        """Run the blocks that cannot err; the values below the first one that can, or below ``end``."""
        blocks = self.network.blocks
        end = len(blocks) if end is None else end
        while block < end and (isinstance(blocks[block], MaxPool) or self.tails[block].sound):
            values, block = layer_values(blocks[block], values[None])[0], block + 1
        return values, block

    def patterns(self, values: NDArray[np.int64], block: int) -> Patterns:
        """What a block may make of the values below it, most probable first."""
        shape = self.network.shapes[block + 1]
        for mass, pattern in most_probable_first(self.units(values, block)):
            yield mass, pattern.astype(np.int64).reshape(shape)

    def units(self, values: NDArray[np.int64], block: int) -> list[Unit]:
        """The independent units of a block that can err."""
        layer = self.network.blocks[block]
        assert not isinstance(layer, MaxPool)
        return self.tails[block].units(layer, values)

    def row_laws(self, block: int) -> RowLaws:
        """Laws of a dense block that reads bits."""
        layer = self.network.blocks[block]
        assert isinstance(layer, Block)
        return self.tails[block].rows(layer)

    @cached_property
    def off_by(self) -> float:
        """How far roundings can put a product of laws above its value, relatively: twice one unit a rounding."""
        layers: list[Any] = [*self.network.blocks, self.network.output]
        roundings = sum(_roundings(layer, self.values) for layer in layers if not isinstance(layer, MaxPool))
        return 2.0**-52 * roundings

    def wins(self, values: NDArray[np.int64]) -> list[Any]:
        """The probability that each class wins, given the values below the output."""
        return wins(self.tails[-1], self.network.output, self.keys, values.reshape(-1))


class _Choice(NamedTuple):
    """A pattern by its last unlikely unit and outcome, and the pattern before without them."""

    mass: float
    unit: int
    outcome: int
    before: Any


def most_probable_first(units: Sequence[Unit]) -> Iterator[tuple[float, NDArray[np.int8]]]:
    """Every pattern with its probability, as one vector of +1/-1; patterns below ``LEAST_MASS`` are left out.

    Units lie one after the other in the vector, as channels do in an image.
    """
    starts = np.cumsum([0, *(unit.values.shape[1] for unit in units)])
    most = np.concatenate([unit.values[0] for unit in units])
    for mass, choice in _choices(units):
        if mass < LEAST_MASS:
            return
        pattern = most.copy()
        while choice is not None:
            at = starts[choice.unit]
            values = units[choice.unit].values[choice.outcome]
            pattern[at : at + values.size] = values
            choice = choice.before
        yield mass, pattern


@dataclass(frozen=True, eq=False)
class Halving:
    """Bits of a dense block in the order in which a search decides them: those that move most often first.

    Args:
        first: the most probable pattern.
        order: bits that may differ from it.
        still, moves: of each of these, the probabilities that it does not and that it does.
        moved: for each number of decided bits, the probabilities that 0, 1, 2 ... of the others differ.
    """

    first: NDArray[np.int8]
    order: list[int]
    still: list[float]
    moves: list[float]
    moved: list[NDArray[np.float64]]


def halving(units: Sequence[Unit]) -> Halving:
    order = [i for i, unit in enumerate(units) if len(unit.mass) > 1]
    order.sort(key=lambda i: -units[i].mass[1])
    still, moves = ([float(units[i].mass[k]) for i in order] for k in (0, 1))
    moved = [np.array([prod(float(unit.mass[0]) for unit in units if len(unit.mass) == 1)])]
    for pair in zip(reversed(still), reversed(moves), strict=True):
        moved.append(np.convolve(moved[-1], pair)[: MOST_MOVED + 1])
    return Halving(np.concatenate([unit.values[0] for unit in units]), order, still, moves, moved[::-1])


def all_patterns(units: Sequence[Unit], shape: Shape) -> Iterator[tuple[Number, NDArray[np.int64]]]:
    """Every pattern with its probability, in no order, in the units' own kind of numbers."""
    for outcomes in product(*(range(len(unit.mass)) for unit in units)):
        chosen = list(zip(units, outcomes, strict=True))
        pattern = np.concatenate([unit.values[k] for unit, k in chosen]).astype(np.int64)
        yield prod(unit.mass[k] for unit, k in chosen), pattern.reshape(shape)


def _choices(units: Sequence[Unit]) -> Iterator[tuple[float, _Choice | None]]:
    root = float(prod(unit.mass[0] for unit in units))
    yield root, None
    order = [i for i, unit in enumerate(units) if len(unit.mass) > 1]
    order.sort(key=lambda i: -_ratio(units[i], 1))
    ratios = [[_ratio(units[i], k) for k in range(len(units[i].mass))] for i in order]
    heap: list[tuple[float, int, int, int, _Choice | None]] = []
    made = 0

    def push(before: _Choice | None, place: int, outcome: int) -> None:
        nonlocal made
        mass = (root if before is None else before.mass) * ratios[place][outcome]
        heapq.heappush(heap, (-mass, made, place, outcome, before))
        made += 1

    if order:
        push(None, 0, 1)
    while heap:
        negative, _, place, outcome, before = heapq.heappop(heap)
        choice = _Choice(-negative, order[place], outcome, before)
        yield choice.mass, choice
        if outcome + 1 < len(ratios[place]):
            push(before, place, outcome + 1)
        if place + 1 < len(order):
            push(choice, place + 1, 1)
            if outcome == 1:
                push(before, place + 1, 1)


def _ratio(unit: Unit, outcome: int) -> float:
    return float(unit.mass[outcome] / unit.mass[0])


def _roundings(layer: Block | ConvBlock | Output, values: NDArray[np.int64]) -> int:
    """More roundings than lie on any one way through the laws of a layer's rows and their product.

    A binomial of n by doubling takes fewer than 4 n bits(n), a row two of them, their convolution and its sum 3 n;
    over integers a row adds two a weight and one a value of its sum; a kernel one a weight and one a set.
    """
    rows, n = len(layer.weights), int(layer.weights[0].size)
    levels = int(np.abs(values).max(initial=1)) * int(np.abs(layer.weights).max(initial=1))
    return rows * (32 * n * n.bit_length() + 2 * n * levels + 4096 + 64)
