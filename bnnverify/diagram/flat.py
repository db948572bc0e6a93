"""The flat decision diagram: what every pass of this room walks over.

A shared, reduced, ordered binary decision diagram of several functions (*roots*) over the same 0/1
variables, kept as three arrays. Node 0 is false and node 1 is true; any other node asks for the
variable of its ``level`` and continues at ``low`` (0) or ``high`` (1). Children come before parents and
deep levels before shallow ones, so one loop over the arrays is a bottom-up pass, one backwards a
top-down pass, and a slice of the arrays is a level. There are no complement edges: a value computed
for a node means that node. An edge may skip levels, whose variables are then free.

The functions that a network compiles to are *disjoint*: root c holds the inputs of the region that
have class c, so a union of roots needs no further node.

References: Bryant, "Graph-based algorithms for Boolean function manipulation", 1986.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError

FALSE, TRUE = 0, 1


@dataclass(frozen=True, eq=False)
class FlatDiagram:
    """Functions of ``n_levels`` variables as one reduced, ordered decision diagram without complement edges.

    Args:
        level: ``(nodes,)`` int32, non-increasing; ``n_levels`` for the two terminals, which come first.
        low, high: ``(nodes,)`` int32 children, each of a deeper level; a terminal's are itself.
        roots: ``(n_roots,)`` int32, the node of each function.
        n_levels: number of variables.

    Raises:
        ModelFormatError: if the arrays are no such diagram.
    """

    level: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    roots: NDArray[np.int32]
    n_levels: int

    def __post_init__(self) -> None:
        for name in ("level", "low", "high", "roots"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int32))
        fault = _fault(self)
        if fault:
            raise ModelFormatError(f"diagram: {fault}")

    @property
    def n_nodes(self) -> int:
        """Number of nodes, the two terminals included."""
        return self.level.size

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """``(n_levels + 2,)``: nodes of level l are ``starts[l + 1]:starts[l]``; so are the terminals, 0 and 1."""
        at_least = np.arange(self.n_levels + 2)
        return np.asarray(np.searchsorted(-self.level, -at_least, side="right"), dtype=np.int64)

    def nodes_at(self, level: int) -> slice:
        """The nodes of one level."""
        return slice(int(self.starts[level + 1]), int(self.starts[level]))

    def evaluate(self, bits: NDArray[np.integer[Any]], root: int) -> NDArray[np.bool_]:
        """Values of one function at 0/1 rows ``(batch, n_levels)``; O(n_levels) a row."""
        rows = np.asarray(bits)
        here = np.full(len(rows), self.roots[root])
        for level in range(self.n_levels):
            child = np.where(rows[:, level] != 0, self.high[here], self.low[here])
            here = np.where(self.level[here] == level, child, here)
        return np.asarray(here == TRUE)

    def with_roots(self, roots: Sequence[int]) -> FlatDiagram:
        """Some of the functions, without the nodes that only others use; O(nodes)."""
        return trimmed(self.level, self.low, self.high, self.roots[list(roots)], self.n_levels)

    def viewed(self, roots: Sequence[int]) -> FlatDiagram:
        """Some of the functions over the same nodes, others' included; O(1)."""
        view = object.__new__(FlatDiagram)
        view.__dict__.update(self.__dict__, roots=self.roots[list(roots)])
        return view

    def __repr__(self) -> str:
        return f"FlatDiagram({self.n_nodes:,} nodes, {self.n_levels} levels, {self.roots.size} roots)"


def _fault(diagram: FlatDiagram) -> str:
    """What is wrong with the arrays, or nothing."""
    level, low, high, n = diagram.level, diagram.low, diagram.high, diagram.n_levels
    if not (level.ndim == 1 and level.size >= 2 and low.shape == high.shape == level.shape):
        return "expected three arrays of one length, at least 2"
    if level[0] != n or level[1] != n or (level[2:] >= n).any() or (level < 0).any():
        return f"expected nodes 0 and 1 as the terminals at level {n}, and the others above them"
    if (np.diff(level) > 0).any():
        return "levels increase; expected deep nodes first"
    children = np.stack([low, high])
    if (children < 0).any() or (children >= level.size).any() or (children[:, :2] != [0, 1]).any():
        return "a child is no node"
    if (level[children[:, 2:]] <= level[2:]).any():
        return "a child is not deeper than its parent"
    if (low[2:] == high[2:]).any():
        return "a node has equal children; expected a reduced diagram"
    if diagram.roots.ndim != 1 or (diagram.roots < 0).any() or (diagram.roots >= level.size).any():
        return "a root is no node"
    return ""


def trimmed(
    level: NDArray[np.int32], low: NDArray[np.int32], high: NDArray[np.int32], roots: NDArray[np.int32], n_levels: int
) -> FlatDiagram:
    """The diagram of these roots, sorted by level, without unreachable nodes; children must come first."""
    used = np.zeros(level.size, dtype=np.bool_)
    used[roots] = True
    used[:2] = True
    _mark(low, high, used)
    kept = np.flatnonzero(used)
    order = kept[np.argsort(-level[kept].astype(np.int64), kind="stable")]
    place = np.zeros(level.size, dtype=np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    return FlatDiagram(level[order], place[low[order]], place[high[order]], place[roots], n_levels)


@njit(cache=True, nogil=True)
def _mark(low, high, used):  # type: ignore[no-untyped-def]
    """Mark everything below the marked nodes."""
    for node in range(used.size - 1, 1, -1):
        if used[node]:
            used[low[node]] = True
            used[high[node]] = True
