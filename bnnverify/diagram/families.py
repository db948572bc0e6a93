"""Families of sets as zero-suppressed decision diagrams (ZDDs): explanations and implicants by the million.

A node ``(element, low, high)`` holds the sets of ``low``, and those of ``high`` with the element added. Node
0 is the empty family, node 1 the family of the empty set. Elements increase downwards, equal nodes are one
node, and a node whose ``high`` is empty is its ``low``. Every operation is a memoized recursion over nodes,
as deep as there are elements.

Cost: union and the removal of supersets take about the product of the nodes in the worst case and mostly
far less; a set streams in time linear in its depth.

References: Minato, "Zero-suppressed BDDs for set manipulation in combinatorial problems", 1993; Knuth, The Art
of Computer Programming 4A, section 7.1.4, exercises 203, 236 and 237.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from bnnverify.diagram.unique import TooManyNodesError

EMPTY, UNIT = 0, 1
FRAMES_AN_ELEMENT = 4
SPARE_FRAMES = 1000
Result = TypeVar("Result")


class Families:
    """The nodes that several families share, and the operations on them.

    Args:
        n_elements: elements are 0..n_elements - 1.
        node_limit: greatest number of nodes.

    Operations take and return nodes; they must run within :meth:`deep`. They raise ``TooManyNodesError`` past
    the limit.
    """

    def __init__(self, n_elements: int, *, node_limit: int | None = None) -> None:
        self.n_elements = n_elements
        self.element = [n_elements, n_elements]
        self.low, self.high = [EMPTY, UNIT], [EMPTY, UNIT]
        self._limit = sys.maxsize if node_limit is None else node_limit
        self._unique: dict[tuple[int, int, int], int] = {}
        self._unions: dict[tuple[int, int], int] = {}
        self._survivors: dict[tuple[int, int], int] = {}
        self._transversals: dict[int, int] = {}
        self._attached: dict[tuple[int, int], int] = {}

    @contextmanager
    def deep(self) -> Iterator[None]:
        """Allow recursion as deep as the elements, a few operations within one another."""
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(before, FRAMES_AN_ELEMENT * self.n_elements + SPARE_FRAMES))
        try:
            yield
        finally:
            sys.setrecursionlimit(before)

    def node(self, element: int, low: int, high: int) -> int:
        """The sets of ``low``, and those of ``high`` with the element, which is above both."""
        if high == EMPTY:
            return low
        key = (element, low, high)
        found = self._unique.get(key)
        if found is not None:
            return found
        if len(self.element) >= self._limit:
            raise TooManyNodesError(self._limit)
        self.element.append(element)
        self.low.append(low)
        self.high.append(high)
        self._unique[key] = len(self.element) - 1
        return len(self.element) - 1

    def union(self, a: int, b: int) -> int:
        """The sets of either family."""
        if a == b or b == EMPTY:
            return a
        if a == EMPTY:
            return b
        key = (a, b) if a < b else (b, a)
        found = self._unions.get(key)
        if found is None:
            found = self._unions[key] = self._union(a, b)
        return found

    def _union(self, a: int, b: int) -> int:
        if self.element[a] > self.element[b]:
            a, b = b, a
        top = self.element[a]
        if top < self.element[b]:
            return self.node(top, self.union(self.low[a], b), self.high[a])
        return self.node(top, self.union(self.low[a], self.low[b]), self.union(self.high[a], self.high[b]))

    def without_supersets(self, a: int, b: int) -> int:
        """The sets of ``a`` that contain no set of ``b``."""
        if b == EMPTY or a == EMPTY:
            return a
        if b == UNIT or a == b:
            return EMPTY
        key = (a, b)
        found = self._survivors.get(key)
        if found is None:
            found = self._survivors[key] = self._without_supersets(a, b)
        return found

    def _without_supersets(self, a: int, b: int) -> int:
        top = self.element[a]
        if top > self.element[b]:
            return self.without_supersets(a, self.low[b])
        low, high = self.low[a], self.high[a]
        if top < self.element[b]:
            return self.node(top, self.without_supersets(low, b), self.without_supersets(high, b))
        kept = self.without_supersets(self.without_supersets(high, self.low[b]), self.high[b])
        return self.node(top, self.without_supersets(low, self.low[b]), kept)

    def minimal_union(self, a: int, b: int) -> int:
        """The sets of both families that contain no other, where each family alone has no set within another."""
        kept = self.without_supersets(a, b)
        return self.union(kept, self.without_supersets(b, kept))

    def attach(self, family: int, element: int) -> int:
        """The minimal sets of a minimal family after the element joined each set."""
        top = self.element[family]
        if family == EMPTY:
            return EMPTY
        if top > element:
            return self.node(element, EMPTY, family)
        key = (family, element)
        found = self._attached.get(key)
        if found is None:
            found = self._attached[key] = self._attach(family, element, top)
        return found

    def _attach(self, family: int, element: int, top: int) -> int:
        low, high = self.low[family], self.high[family]
        if top == element:
            return self.node(element, EMPTY, self.minimal_union(low, high))
        low = self.attach(low, element)
        return self.node(top, low, self.without_supersets(self.attach(high, element), low))

    def transversals(self, family: int) -> int:
        """The minimal sets that meet every set of the family."""
        if family <= UNIT:
            return UNIT - family
        found = self._transversals.get(family)
        if found is None:
            found = self._transversals[family] = self._meet(family)
        return found

    def _meet(self, family: int) -> int:
        """With the element only the sets without it remain to be met; without it, all of them."""
        low, high = self.low[family], self.high[family]
        without = self.transversals(self.union(low, high))
        within = self.without_supersets(self.transversals(low), without)
        return self.node(self.element[family], without, within)

    def family(self, root: int) -> SetFamily:
        """A family of its own, with only its nodes, children first."""
        order = sorted(self._below(root))
        place = {EMPTY: EMPTY, UNIT: UNIT} | {node: index + 2 for index, node in enumerate(order)}
        return SetFamily(
            tuple(self.element[node] for node in order),
            tuple(place[self.low[node]] for node in order),
            tuple(place[self.high[node]] for node in order),
            place[root],
        )

    def _below(self, root: int) -> set[int]:
        seen, waiting = set(), [root]
        while waiting:
            node = waiting.pop()
            if node > UNIT and node not in seen:
                seen.add(node)
                waiting += [self.low[node], self.high[node]]
        return seen


class SetFamily:
    """A family of sets of integers, counted and streamed without being written out.

    Args:
        element, low, high: one entry a node; node k of the family is entry k - 2, children have smaller numbers.
        root: the node of the family.
    """

    def __init__(self, element: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...], root: int) -> None:
        self.element, self.low, self.high, self.root = element, low, high, root

    @property
    def n_nodes(self) -> int:
        """Number of nodes besides the two terminals."""
        return len(self.element)

    @cached_property
    def counts_by_size(self) -> tuple[int, ...]:
        """How many sets have 0, 1, 2 ... elements; exact, O(nodes times the greatest size)."""
        empty: list[int] = []
        return tuple(self._bottom_up(empty, [1], lambda low, high: _added(low, [0, *high]))[self.root])

    @property
    def size(self) -> int:
        """Exact number of sets."""
        return sum(self.counts_by_size)

    def __iter__(self) -> Iterator[frozenset[int]]:
        """The sets, smallest first; among equals those with small elements first."""
        sizes = self._bottom_up(0, 1, lambda low, high: low | high << 1)
        for size in range(sizes[self.root].bit_length()):
            if sizes[self.root] >> size & 1:
                yield from self._of_size(size, sizes)

    def _of_size(self, size: int, sizes: list[int]) -> Iterator[frozenset[int]]:
        """Depth first along edges below which a set of the size left exists; no recursion."""
        stack: list[tuple[int, int, tuple[int, ...]]] = [(self.root, size, ())]
        while stack:
            node, left, chosen = stack.pop()
            if node == UNIT:
                yield frozenset(chosen)
                continue
            low, high = self.low[node - 2], self.high[node - 2]
            if sizes[low] >> left & 1:
                stack.append((low, left, chosen))
            if left and sizes[high] >> (left - 1) & 1:
                stack.append((high, left - 1, (*chosen, self.element[node - 2])))

    def support(self) -> frozenset[int]:
        """The elements that occur in some set."""
        return frozenset(self.element)

    def _bottom_up(self, empty: Result, unit: Result, join: Callable[[Result, Result], Result]) -> list[Result]:
        values = [empty, unit]
        for low, high in zip(self.low, self.high, strict=True):
            values.append(join(values[low], values[high]))
        return values

    def __repr__(self) -> str:
        return f"SetFamily({self.size:,} sets, {self.n_nodes:,} nodes)"


def _added(a: list[int], b: list[int]) -> list[int]:
    """Sums of two lists, the shorter one filled up with zeros."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    return [n + (shorter[i] if i < len(shorter) else 0) for i, n in enumerate(longer)]
