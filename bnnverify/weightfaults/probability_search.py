"""Which class a network with bit errors has: hidden patterns looked at, most probable first, for as long as one likes.

Given the values below a block its rows (a convolution's channels) are independent, so the probability of a pattern is
a product; marginally, past the first block, nothing is. So the search goes block by block: a node is a set of patterns
of one block, and the node whose bounds leave most open is divided next.

With two dense blocks left a node is all patterns that agree in the bits decided so far, those that move most often.
If at most m of the others move, no sum of the last block moves by more than m terms, so each of its bits is +1 with a
probability between two known ones; the bits being independent given the pattern, and duels monotone in them (errors no
likelier than none), taking the worse end of each bounds all these patterns at once. With one block left duels bound
a single pattern, and where classes overlap its own patterns, given which the classes are independent, replace them.
What no node covers stays unknown, at most by Cantelli's inequality. So the bounds hold at every moment, and tighten.
Cost: a fraction of a millisecond a node for hundreds of neurons.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Block
from bnnverify.weightfaults.patterns import LEAST_MASS, Halving, Patterns, World, halving
from bnnverify.weightfaults.probability_moments import Spread, differences_of, moments_of
from bnnverify.weightfaults.probability_scores import Duels

UNDERFLOW = 1e-290
NEGLIGIBLE = 1e-5
"""Share of a node not worth bounding as long as the node may be divided."""
SUBTRACTED = 2.0**-40
"""More than sums and differences of a few thousand numbers up to 1 are off by their own roundings."""


@dataclass(frozen=True, eq=False)
class Found:
    """Certified bounds.

    Args:
        change, most: from below and from above, the probability that the class changes.
        classes: from below, the probability that each class wins.
        patterns: looked at.
    """

    change: float
    most: float
    classes: tuple[float, ...]
    patterns: int


@dataclass(eq=False)
class _Node:
    """A set of patterns with what is known of it: ``(n_classes + 2,)`` numbers that only grow.

    They are the probabilities, within the set, that each class wins and that the class changes; and the *relief*: by
    how much knowing the set betters Cantelli's bound of everything, which is 0 if it does not.

    Args:
        bounds: of the set as a whole.
        opened: sums over those of its parts that were looked at.
        parent: the set that it is a part of.
    """

    bounds: NDArray[np.float64]
    opened: NDArray[np.float64]
    parent: _Node | None

    @property
    def best(self) -> NDArray[np.float64]:
        return np.maximum(np.maximum(self.bounds, self.opened), 0)

    def add(self, part: NDArray[np.float64]) -> None:
        """Take in what has become known of a part, here and in the sets around."""
        before = self.best
        self.opened += part
        if self.parent is not None:
            self.parent.add(self.best - before)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A pattern below the last block.

    Args:
        still: bounds of itself, of one in all.
        kept: how probably the class stays once at most 1, 2 ... of its bits have moved, at least; ``kept[0]`` is 0.
    """

    pattern: NDArray[np.int8]
    still: NDArray[np.float64]
    kept: NDArray[np.float64]


class Search:
    """The patterns of one world in their order; see the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._pushed = self._looked_at = 0
        self._blocks, self._n_blocks = world.network.blocks, len(world.network.blocks)
        nothing = np.zeros(world.network.n_classes + 2)
        self._root = _Node(nothing, nothing.copy(), None)
        values, block = world.settled(world.values, 0)
        self._duels, self._spread = self._duels_for(values, block), None
        self._rare = all(tails.flip <= 0.5 for tails in world.tails)
        if self._duels is not None and block == self._n_blocks - 2:
            self._spread = self._spread_over(values, block)
        self._reach(1.0, values, block, self._root)

    def run(self, precision: float, deadline: float, most_patterns: int) -> Found:
        """Go on until what is unknown is below ``precision``, or time or patterns are over."""
        while self._heap and self._looked_at < most_patterns and perf_counter() < deadline:
            if self._unknown() <= precision:
                break
            heapq.heappop(self._heap)[2]()
        return self._found()

    def _duels_for(self, values: NDArray[np.int64], block: int) -> Duels | None:
        """Duels, if the last block is dense, reads bits and can err, and the scales allow it."""
        world, at = self._world, self._n_blocks - 1
        last = world.network.blocks[at] if at >= block and at >= 0 else None
        if not isinstance(last, Block) or world.tails[at].sound or not Duels.possible(world.keys):
            return None
        if at == 0 and (np.any(np.abs(values) != 1) or np.abs(last.weights).max() > 1):
            return None
        return Duels(world.tails[-1], world.network.output, world.keys, world.label)

    def _spread_over(self, values: NDArray[np.int64], block: int) -> Spread | None:
        """The bound for patterns that are never looked at, if the next to last block is dense."""
        world, last = self._world, self._world.network.blocks[block + 1]
        if not isinstance(world.network.blocks[block], Block):
            return None
        assert isinstance(last, Block)
        moments = moments_of(world.row_laws(block + 1), last, world.units(values, block), world.off_by)
        if moments is None:
            return None
        spread = Spread(differences_of(world.tails[-1], world.network.output, world.keys, world.label), moments)
        return spread if spread.total < 1 else None

    def _push(self, promise: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (-promise, self._pushed, act))
        self._pushed += 1

    def _reach(self, mass: float, values: NDArray[np.int64], block: int, node: _Node) -> None:
        """Values below ``block``: look at them, bound them, or wait for the patterns that the block makes of them."""
        values, block = self._world.settled(values, block)
        if block == self._n_blocks:
            self._look(mass, values, node)
        elif block == self._n_blocks - 1 and self._duels is not None:
            self._bound(mass, values, node)
        elif block == self._n_blocks - 2 and self._duels is not None and isinstance(self._blocks[block], Block):
            parts = halving(self._world.units(values, block))
            self._decide(mass, self._seen(parts.first, parts.moved[0]), 0, node, parts)
        else:
            patterns = self._world.patterns(values, block)
            self._next(mass, patterns, lambda m, v: self._reach(m, v, block + 1, node))

    def _next(self, mass: float, patterns: Patterns, meet: Callable[[float, NDArray[Any]], None]) -> None:
        """Queue the most probable pattern that is left."""
        following = next(patterns, None)
        if following is None:
            return
        share, values = following

        def act() -> None:
            self._next(mass, patterns, meet)
            meet(mass * share, values)

        self._push(mass * share, act)

    def _look(self, mass: float, values: NDArray[np.int64], node: _Node) -> None:
        """All hidden bits are known: the classes are independent, and what each wins is exact."""
        self._looked_at += 1
        label = self._world.label
        won = mass * np.array(self._world.wins(values), dtype=np.float64)
        node.add(np.concatenate([won, [won[:label].sum() + won[label + 1 :].sum(), won[label]]]))

    def _bound(self, mass: float, values: NDArray[np.int64], parent: _Node) -> None:
        """Only the last block is unknown: bound by duels, and open it later if the gap is worth it."""
        nothing_moves = np.ones(1)
        seen = self._seen(values.reshape(-1).astype(np.int8), nothing_moves)
        self._decide(mass, seen, 0, parent, Halving(seen.pattern, [], [], [], [nothing_moves]))

    def _seen(self, pattern: NDArray[np.int8], moved: NDArray[np.float64]) -> _Seen:
        """Bounds of a pattern, and of those near it in which no row's sum can have moved further."""
        assert self._duels is not None
        self._looked_at += 1
        values, laws = pattern.astype(np.int64), self._world.row_laws(self._n_blocks - 1)
        still, kept = self._still(laws.over(values), self._duels), np.zeros(moved.size)
        worth = int(np.count_nonzero(np.cumsum(moved[:0:-1]) >= NEGLIGIBLE)) if self._rare else 0
        if worth:
            kept[1 : worth + 1] = [self._kept(row) for row in self._duels.least_kept(laws.least_over(values, worth))]
        return _Seen(pattern, still, kept)

    def _decide(self, mass: float, seen: _Seen, decided: int, parent: _Node, parts: Halving) -> None:
        """Bound all patterns that are as ``seen`` in the bits decided; later decide another, or open the last block."""
        moved = parts.moved[decided]
        bounds = mass * moved[0] * seen.still
        bounds[self._world.label] += mass * float(moved @ seen.kept[: moved.size])
        node = _Node(bounds, np.zeros_like(bounds), parent)
        last = decided == len(parts.order)
        if last:
            node.opened[-1] = bounds[-1] - bounds[self._world.label]
        parent.add(node.best)
        known = node.best
        act = self._open if last else self._halve
        self._push(mass - float(known[-2] + known[self._world.label]), lambda: act(mass, seen, decided, node, parts))

    def _halve(self, mass: float, seen: _Seen, decided: int, node: _Node, parts: Halving) -> None:
        """Decide the next bit both ways."""
        at = parts.order[decided]
        self._decide(mass * parts.still[decided], seen, decided + 1, node, parts)
        if (mass := mass * parts.moves[decided]) < LEAST_MASS:
            return
        turned = seen.pattern.copy()
        turned[at] *= -1
        self._decide(mass, self._seen(turned, parts.moved[decided + 1]), decided + 1, node, parts)

    def _open(self, mass: float, seen: _Seen, decided: int, node: _Node, parts: Halving) -> None:
        """Queue the patterns of the last block over the one pattern that is left below it."""
        patterns = self._world.patterns(seen.pattern.astype(np.int64), self._n_blocks - 1)
        self._next(mass * float(parts.moved[decided][0]), patterns, lambda m, v: self._look(m, v, node))

    def _still(self, laws: NDArray[np.float64], duels: Duels) -> NDArray[np.float64]:
        """What is known of a single pattern, from the laws of the last hidden bits."""
        bounds = self._bounds(*duels.outcomes(laws))
        if self._spread is not None:
            bounds[-1] = self._spread.of(laws[0], laws[1]) + bounds[self._world.label] - 1
        return bounds

    def _bounds(self, kept: NDArray[np.float64], beaten: NDArray[np.float64]) -> NDArray[np.float64]:
        """From each duel's two probabilities: a class wins if it beats the input's and no other one does."""
        off_by = self._world.off_by
        losses = 1 - kept * (1 - off_by)
        lost = losses.sum() + SUBTRACTED + off_by
        bounds = np.zeros(losses.size + 2)
        bounds[:-2] = np.maximum(beaten + losses - lost, 0)
        bounds[self._world.label] = self._kept(kept)
        bounds[-2] = beaten.max()
        return bounds

    def _kept(self, kept: NDArray[np.float64]) -> float:
        """The class stays if it loses no duel (Boole)."""
        off_by = self._world.off_by
        losses = 1 - kept * (1 - off_by)
        return max(1 - float(losses.sum()) - SUBTRACTED - off_by, 0.0)

    def _unknown(self) -> float:
        """About how far apart the bounds are."""
        known = self._root.best
        most = 1 - known[self._world.label]
        if self._spread is not None:
            most = min(most, self._spread.total + self._spread.slack - known[-1])
        return float(most - known[-2])

    def _found(self) -> Found:
        """The bounds, every sum less what its roundings can have added."""
        label, off_by = self._world.label, self._world.off_by + 2.0**-52 * 16 * self._looked_at
        known = self._root.best
        total = np.maximum(known[:-1] * (1 - off_by) - UNDERFLOW, 0)
        most = 1 - total[label]
        if self._spread is not None:
            most = min(most, self._spread.total + self._spread.slack - known[-1] + 4 * off_by)
        others = total[:label].sum() + total[label + 1 : -1].sum()
        change = max(float(total[-1]), float(others) * (1 - off_by))
        return Found(change, min(float(most) + SUBTRACTED, 1.0), tuple(total[:-1].tolist()), self._looked_at)
