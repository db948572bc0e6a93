"""From a residual network to its flat diagram: which road, in which order of the bits.

Three roads lead to the same reduced diagram. *table* visits all settings of the free bits; its cost is known
beforehand. *layered* merges states on the way; its cost is the number of distinct states, which nothing
cheap foretells. *relational* composes the diagrams of neurons, block by block, in a library's manager. ``auto``
lets the layered road try for as many states as the table would cost, and then falls back on the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines import layered, truthtable
from bnnverify.engines.ordering import ORDERS, best_order
from bnnverify.engines.residual import Residual
from bnnverify.errors import UnsupportedError, UsageError

NODE_LIMIT = 100_000_000
STATE_SECONDS = 1.5e-6
AT_ONCE_SECONDS = 0.005

Compile = Callable[..., tuple[FlatDiagram, int]]


@dataclass(frozen=True, eq=False)
class Compilation:
    """A residual network's diagram.

    Args:
        diagram: one root an entry of ``residual.classes``; level l asks for the bit of item ``levels[l]``.
        levels: ``(m,)`` the item at each level.
        remark: the road taken and its work, in a few words.
    """

    diagram: FlatDiagram
    levels: NDArray[np.int64]
    remark: str


def compile_residual(
    residual: Residual, *, road: str = "auto", order: str | None = None, node_limit: int | None = None
) -> Compilation:
    """Compile a residual network.

    Args:
        road: ``auto``, ``table``, ``layered`` or ``relational``.
        order: a name in :data:`bnnverify.engines.ordering.ORDERS`; by default the one that measured best.
        node_limit: most nodes, or states on the way to them.

    Raises:
        UsageError: if there is no such road or order.
        UnsupportedError: if the road cannot take so many free bits.
        TooManyNodesError: past the limit.
    """
    if order is not None and order not in ORDERS:
        raise UsageError(f"order {order!r}: expected {', '.join(ORDERS)}")
    if road not in ("auto", *_ROADS):
        raise UsageError(f"road {road!r}: expected auto, {', '.join(_ROADS)}")
    levels = best_order(residual) if order is None else ORDERS[order](residual)
    limit = NODE_LIMIT if node_limit is None else node_limit
    return _by_cost(residual, levels, limit) if road == "auto" else _by(road, residual, levels, limit)


def predicted_states(residual: Residual) -> float:
    """At most how many entries or states the cheaper direct road meets."""
    table = truthtable.predicted_seconds(residual)
    states = layered.most_states(residual, best_order(residual))
    return states if table is None else min(states, table / STATE_SECONDS)


def _by_cost(residual: Residual, levels: NDArray[np.int64], limit: int) -> Compilation:
    """The layered road, unless the table is done at once or sooner."""
    table = truthtable.predicted_seconds(residual)
    if table is None:
        return _by("layered", residual, levels, limit)
    if table > AT_ONCE_SECONDS:
        try:
            return _by("layered", residual, levels, min(limit, int(table / STATE_SECONDS)))
        except TooManyNodesError:
            pass
    return _by("table", residual, levels, limit)


def _by(road: str, residual: Residual, levels: NDArray[np.int64], limit: int) -> Compilation:
    compile_by, unit = _ROADS[road]
    diagram, work = compile_by(residual, levels, node_limit=limit)
    return Compilation(diagram, levels, f"{road} road, {work:,} {unit}, {diagram.n_nodes:,} nodes")


def _table(residual: Residual, levels: NDArray[np.int64], *, node_limit: int) -> tuple[FlatDiagram, int]:
    if truthtable.predicted_seconds(residual) is None:
        raise UnsupportedError(f"a table of {residual.items.size} free bits: expected at most {truthtable.MOST_LEVELS}")
    return truthtable.compile_table(residual, levels, node_limit=node_limit)


_ROADS: dict[str, tuple[Compile, str]] = {
    "table": (_table, "entries"),
    "layered": (layered.compile_layered, "states"),
}
