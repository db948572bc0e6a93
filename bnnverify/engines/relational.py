"""From a network to its diagram block by block in a decision-diagram package: a second road that shares no code.

Two ways to compose, from the same grids of :mod:`encoders.obdd`. *Functions*, forwards: the first block's neurons
become functions of the region's bits, and each further neuron, and each comparison of two classes, a grid of
if-then-elses over the functions before it; no other variables exist. *Relations*, backwards: a neuron is a variable
tied to its block's inputs by the relation "variable j is true iff neuron j is"; the classes are written over the last
block's variables, and one block after the other is eliminated, its relations conjoined in clusters, smallest first,
each variable quantified with the only cluster that holds it.

What keeps both small: bounds first (the residual holds only what moves); neurons that are equal or opposite as
functions share one; inside a ball, neurons count flips and sum together, and all functions are confined to the
region. The work is done in flips of the centre, where the region is one cardinality constraint, and translated to bit
values at the end.

Cost: that of the intermediate diagrams. Forwards they are functions of the region's bits, hardly larger than the
result. Backwards the classes over many hidden bits come first: with 42 moving neurons and ten classes (12 free bits
of mnist_bnn_1_blk_100_50_10) they pass a million nodes where the result has 771 (``benchmarks/diagrams.py``). Where
few neurons move the two are alike.

References: Burch, Clarke, Long, "Symbolic model checking with partitioned transition relations", 1991; Zhang et al.,
"BDD4BNN", CAV 2021.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import combinations, count

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines.residual import Residual
from bnnverify.network import Block
from encoders.manager import Function, Manager, NodeLimitError, open_manager
from encoders.obdd import Grid, ball_grid, build, equivalence, linear_grid

CLUSTER = 1000
NO_LIMIT = 1 << 62

_Relation = tuple[Function, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class _Neurons:
    """A block's neurons as literals of the distinct functions among them.

    Args:
        functions: one a variable.
        first: the number of the first variable.
        place: ``(k,)`` which of the functions each neuron is; -1 for a constant, which counts as false.
        negated: ``(k,)`` int64, 1 where the neuron is the function's negation.
    """

    functions: list[Function]
    first: int
    place: NDArray[np.int64]
    negated: NDArray[np.int64]

    def over_variables(self, weights: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``weights @ h`` for h in {0, 1} as coefficients ``(rows, functions)`` of the variables and a constant."""
        coefficients = np.zeros((len(weights), len(self.functions)), dtype=np.int64)
        moves = self.place >= 0
        np.add.at(coefficients.T, self.place[moves], (weights * (1 - 2 * self.negated)).T[moves])
        return coefficients, weights @ self.negated


def compile_relational(
    residual: Residual,
    levels: NDArray[np.int64],
    *,
    backend: str = "cudd",
    relations: bool = False,
    cluster: int = CLUSTER,
    node_limit: int | None = None,
) -> tuple[FlatDiagram, int]:
    """The diagram of a residual network, one root an entry of ``residual.classes``, and the most nodes at a time.

    Args:
        levels: ``(m,)`` the item at each level.
        backend: one of ``encoders.manager.BACKENDS``.
        relations: compose relations backwards instead of functions forwards.
        cluster: relations are conjoined with one another up to this many nodes before they meet the classes.
        node_limit: most nodes at a time, intermediate ones included.

    Raises:
        TooManyNodesError: past the limit.
        ImportError: if the backend is not installed.
    """
    m = levels.size
    try:
        work = _Work(
            open_manager(backend, _n_variables(residual), node_limit=node_limit),
            residual,
            levels,
            cluster if relations else None,
        )
        arrays = work.manager.flatten(work.class_functions())
    except NodeLimitError as error:
        raise TooManyNodesError(error.limit) from error
    level = np.minimum(arrays.level, m)
    flipped = np.append(residual.region.center[residual.region.free[residual.items[levels]]] > 0, False)[level]
    low, high = np.where(flipped, arrays.high, arrays.low), np.where(flipped, arrays.low, arrays.high)
    return FlatDiagram(level, low, high, arrays.roots, m), work.peak


def sifted_order(
    residual: Residual, levels: NDArray[np.int64], *, node_limit: int | None = None
) -> tuple[NDArray[np.int64], int]:
    """A better order by sifting the finished diagram in CUDD, and its nodes: slow, a yardstick for other orders.

    Args:
        levels: ``(m,)`` the order to start from.

    Returns:
        ``(m,)`` the item at each level, and the nodes of its diagram.

    Raises:
        TooManyNodesError: past the limit, which also holds for the diagram in the order given.
        ImportError: if CUDD is not installed.

    References: Rudell, "Dynamic variable ordering for ordered binary decision diagrams", 1993.
    """
    from encoders.cudd_manager import CuddManager

    manager = CuddManager(_n_variables(residual), node_limit)
    try:
        kept = _Work(manager, residual, levels, None).class_functions()
    except NodeLimitError as error:
        raise TooManyNodesError(error.limit) from error
    variables = manager.sift()
    return levels[variables[variables < levels.size]], manager.flatten(kept).level.size


def _n_variables(residual: Residual) -> int:
    """One a free bit, and one a moving neuron."""
    return residual.items.size + residual.slacks.size + sum(block.thresholds.size for block in residual.blocks)


class _Work:
    """One compilation under way, forwards if ``cluster`` is None, and the most nodes seen."""

    def __init__(self, manager: Manager, residual: Residual, levels: NDArray[np.int64], cluster: int | None) -> None:
        self.manager, self.residual, self.cluster = manager, residual, cluster
        self.columns, self.costs = residual.columns[levels].astype(np.int64), residual.costs[levels]
        self.bits = [manager.variable(level) for level in range(levels.size)]
        self.region = self._region()
        self.peak = 0

    def class_functions(self) -> list[Function]:
        """Per class, the region's inputs that have it, over flips of the centre."""
        if self.residual.classes.size == 1 or self.region == self.manager.false:
            return [self.region] * self.residual.classes.size
        blocks = [self._first_block()]
        for block in self.residual.blocks:
            blocks.append(self._block(block, blocks[-1]))
        classes = self._classes(blocks[-1])
        for neurons in reversed(blocks[1:]):
            classes = self._eliminated(neurons, classes)
        return self._eliminated(blocks[0], [self.manager.conjunction(f, self.region) for f in classes])

    def _region(self) -> Function:
        budget = self.residual.region.budget
        if budget is None:
            return self.manager.true
        return build(self.manager, linear_grid(-self.costs, -budget), self.bits)

    def _first_block(self) -> _Neurons:
        constraints = zip(self.columns.T, (-self.residual.slacks).tolist(), strict=True)
        functions = [build(self.manager, self._smaller_grid(*constraint), self.bits) for constraint in constraints]
        return self._shared([self.manager.conjunction(f, self.region) for f in functions], len(self.bits))

    def _smaller_grid(self, column: NDArray[np.int64], bound: int) -> Grid:
        """The neuron everywhere, or only within the region, whichever takes fewer states."""
        everywhere, budget = linear_grid(column, bound), self.residual.region.budget
        if budget is None:
            return everywhere
        return min(everywhere, ball_grid(column, bound, self.costs, budget), key=lambda grid: grid.n_states)

    def _block(self, block: Block, inputs: _Neurons) -> _Neurons:
        """The neurons over the variables of the block before: +-1 sums, halved, over 0/1."""
        weights = block.weights.astype(np.int64)
        coefficients, constant = inputs.over_variables(weights)
        bounds = -((-block.thresholds - weights.sum(axis=1)) // 2) - constant
        operands = self._operands(inputs)
        grids = [linear_grid(row, bound) for row, bound in zip(coefficients, bounds.tolist(), strict=True)]
        functions = [build(self.manager, grid, operands) for grid in grids]
        return self._shared(functions, inputs.first + len(inputs.place))

    def _operands(self, neurons: _Neurons) -> list[Function]:
        """What stands for the neurons in what reads them: themselves, or their variables."""
        if self.cluster is None:
            return neurons.functions
        return [self.manager.variable(neurons.first + i) for i in range(len(neurons.functions))]

    def _shared(self, functions: list[Function], first: int) -> _Neurons:
        """One function for all neurons that are equal or opposite within the region, none for constants."""
        self._note_peak()
        found = {self.manager.false: (-1, 0), self.manager.true: (-1, 1), self.region: (-1, 1)}
        distinct: list[Function] = []
        for f in functions:
            if f not in found:
                opposite = self.manager.negation(f)
                found[opposite] = found[self.manager.conjunction(opposite, self.region)] = (len(distinct), 1)
                found[f] = (len(distinct), 0)
                distinct.append(f)
        place, negated = np.array([found[f] for f in functions], dtype=np.int64).reshape(-1, 2).T
        return _Neurons(distinct, first, place, negated)

    def _classes(self, hidden: _Neurons) -> list[Function]:
        """Per class, where its key is greater than every other's."""
        r, n = self.residual, self.residual.classes.size
        coefficients, constants = hidden.over_variables(r.output.astype(np.int64))
        keys = r.slopes[:, None] * coefficients
        offsets = r.offsets + r.slopes * (2 * constants - r.output.sum(axis=1, dtype=np.int64))
        operands = self._operands(hidden)
        wins: list[list[Function]] = [[] for _ in range(n)]
        for c, d in combinations(range(n), 2):
            bound = -((int(offsets[c] - offsets[d]) - 1) // 2)
            ahead = build(self.manager, linear_grid(keys[c] - keys[d], bound), operands)
            wins[c].append(ahead)
            wins[d].append(self.manager.negation(ahead))
        return [self._balanced(found) for found in wins]

    def _balanced(self, functions: list[Function]) -> Function:
        """The conjunction of all, two smallest first."""
        return self._clusters([(f, ()) for f in functions], NO_LIMIT)[0][0]

    def _eliminated(self, neurons: _Neurons, classes: list[Function]) -> list[Function]:
        """The classes with each neuron's variable, if it has one, replaced by the neuron."""
        self._note_peak()
        if self.cluster is None:
            return classes
        variables = range(neurons.first, neurons.first + len(neurons.functions))
        relations: list[_Relation] = [
            (equivalence(self.manager, self.manager.variable(v), f), (v,))
            for v, f in zip(variables, neurons.functions, strict=True)
        ]
        for relation, bound in self._clusters(relations, self.cluster):
            classes = [self.manager.and_exists(f, relation, bound) for f in classes]
            self._note_peak()
        return classes

    def _note_peak(self) -> None:
        self.peak = max(self.peak, self.manager.node_count())

    def _clusters(self, parts: list[_Relation], limit: int) -> list[_Relation]:
        """Conjunctions of the parts, the two smallest first, while the smaller ones together stay within the limit."""
        number = count()
        heap = [(self.manager.size(f), next(number), (f, bound)) for f, bound in parts]
        heapq.heapify(heap)
        while len(heap) > 1 and sum(size for size, _, _ in heapq.nsmallest(2, heap)) <= limit:
            (_, _, (f, f_bound)), (_, _, (g, g_bound)) = heapq.heappop(heap), heapq.heappop(heap)
            both = self.manager.conjunction(f, g)
            heapq.heappush(heap, (self.manager.size(both), next(number), (both, (*f_bound, *g_bound))))
        return [relation for _, _, relation in sorted(heap)]
