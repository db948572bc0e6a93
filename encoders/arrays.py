"""A diagram as plain arrays: from nodes with complement edges, or from a DDDMP file, without a Python loop over nodes.

Packages store f and not f as one node and mark edges that negate. Here each node becomes up to two, one
a sign, so that a node means one function: number 2 i is node i and 2 i + 1 its negation, and the children of a negated
node are its children negated. Unreachable ones are then dropped and the rest sorted by level. At most
twice the nodes; O(nodes) memory and time, by level in numpy.

DDDMP is CUDD's text format of diagrams, which OxiDD writes too: a line a node, children first. Both write it
in C or Rust at a quarter of a microsecond a node, a tenth of what one visit through Python costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMED = "3"


@dataclass(frozen=True, eq=False)
class PlainArrays:
    """Functions as a reduced diagram without complement edges; nodes 0 and 1 are false and true.

    Args:
        level: ``(nodes,)`` int32, non-increasing; ``n_levels`` for the two terminals.
        low, high: ``(nodes,)`` int32, children, which come first; a terminal's are itself.
        roots: ``(functions,)`` int32.
    """

    level: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    roots: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class SignedNodes:
    """A diagram with complement edges; node 0 is true, and ``2 i + s`` means node i, negated if s is 1.

    Args:
        level: ``(nodes,)`` of each node's variable; the terminal's is greater than all.
        low, high: ``(nodes,)`` signed children; the terminal's are not read.
        roots: ``(functions,)`` signed.
    """

    level: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    roots: NDArray[np.int64]

    def without_first_root(self) -> SignedNodes:
        return SignedNodes(self.level, self.low, self.high, self.roots[1:])


def plain(nodes: SignedNodes) -> PlainArrays:
    """One node a function instead of one a pair of complements."""
    level = np.repeat(nodes.level, 2)
    sign = np.tile(np.array([0, 1]), nodes.level.size)
    low, high = (np.repeat(child, 2) ^ sign for child in (nodes.low, nodes.high))
    low[:2], high[:2] = (0, 1), (0, 1)
    by_level = np.argsort(-level, kind="stable")
    kept = by_level[_reachable(level[by_level], low, high, nodes.roots, by_level)]
    place = np.zeros(level.size, dtype=np.int32)
    place[kept] = np.arange(kept.size)
    place[:2] = 1, 0
    kept[:2] = 1, 0
    arrays = (level[kept], place[low[kept]], place[high[kept]], place[nodes.roots])
    return PlainArrays(*(np.asarray(a, dtype=np.int32) for a in arrays))


def _reachable(
    sorted_level: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    roots: NDArray[np.int64],
    by_level: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which nodes, in the order ``by_level``, are terminals or below a root: marked from the top level down."""
    used = np.zeros(low.size, dtype=np.bool_)
    used[[0, 1]] = True
    used[roots] = True
    cuts = np.flatnonzero(np.diff(sorted_level)) + 1
    for nodes in reversed(np.split(by_level, cuts)[1:]):
        above = nodes[used[nodes]]
        used[low[above]] = True
        used[high[above]] = True
    return used[by_level]


def read_dddmp(path: Path, level_of: NDArray[np.int64], n_levels: int) -> SignedNodes:
    """The nodes of a DDDMP file in text form that has one terminal, which is true.

    Args:
        level_of: level of each variable; a variable's name is its number (CUDD), or it has none (OxiDD).
    """
    head, _, body = path.read_text().partition(".nodes\n")
    header = dict(line.partition(" ")[::2] for line in head.splitlines())
    table = np.fromstring(body.partition(".end")[0].replace(" T ", " 0 "), dtype=np.int64, sep=" ")
    rows = table.reshape(int(header[".nnodes"]), -1)
    variable = rows[1:, 1] if header[".varinfo"] == NAMED else _numbers(header[".ids"])[rows[1:, 1]]
    return SignedNodes(
        level=np.concatenate([[n_levels], level_of[variable]]),
        low=_signed(rows[:, -1]),
        high=_signed(rows[:, -2]),
        roots=_signed(_numbers(header[".rootids"])),
    )


def _numbers(line: str) -> NDArray[np.int64]:
    return np.array(line.split(), dtype=np.int64)


def _signed(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """From +-(i + 1), the file's number of node i, to 2 i + s."""
    return 2 * (np.abs(ids) - 1) + (ids < 0)
