"""From a residual network to its flat diagram: which road, in which order of the bits.

Three roads lead to the same reduced diagram. *table* visits all settings of the free bits; its cost is known
beforehand. *layered* merges states on the way; its cost is the number of distinct states, which nothing
cheap foretells. *relational* composes the diagrams of neurons, block by block, in a library's manager: on all
networks measured it took some thirty times as long (``benchmarks/diagrams.py``), so it is there to be asked for, and to
check the others, with which it shares no code. ``auto`` lets the layered road try for a third of what the
table would cost, and then falls back on the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.apply import AND, combine
from bnnverify.diagram.constraints import theory_diagram
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines import layered, truthtable
from bnnverify.engines.ordering import ORDERS, best_order
from bnnverify.engines.relational import compile_relational
from bnnverify.engines.residual import Residual
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.theories import Theory
from encoders.manager import available_backends

NODE_LIMIT = 100_000_000
STATE_SECONDS = 2.5e-6
TRIED_SHARE = 1 / 3
AT_ONCE_SECONDS = 0.005

Compile = Callable[["_Problem", int], tuple[FlatDiagram, int]]


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
    residual: Residual,
    *,
    theory: Theory | None = None,
    road: str = "auto",
    order: str | NDArray[np.int64] | None = None,
    node_limit: int | None = None,
) -> Compilation:
    """Compile a residual network.

    Args:
        theory: which inputs are valid; the others are false in every root. By default all are valid.
        road: ``auto``, ``table``, ``layered`` or ``relational``.
        order: a name in :data:`bnnverify.engines.ordering.ORDERS`, or ``(m,)`` the item at each level; by default
            the order that measured best, and ``natural`` under a theory, whose bits mostly stand side by side.
        node_limit: most nodes, or states on the way to them.

    Raises:
        UsageError: if there is no such road or order.
        UnsupportedError: if the road cannot take so many free bits.
        TooManyNodesError: past the limit.
    """
    if road not in ("auto", *_ROADS):
        raise UsageError(f"road {road!r}: expected auto, {', '.join(_ROADS)}")
    levels = _levels(residual, order, theory)
    limit = NODE_LIMIT if node_limit is None else node_limit
    problem = _Problem(residual, levels, None if theory is None else _valid(residual, levels, theory, limit))
    return _by_cost(problem, limit) if road == "auto" else _by(road, problem, limit)


def _levels(residual: Residual, order: str | NDArray[np.int64] | None, theory: Theory | None) -> NDArray[np.int64]:
    if isinstance(order, np.ndarray):
        return order
    if order is None:
        return best_order(residual) if theory is None else ORDERS["natural"](residual)
    if order not in ORDERS:
        raise UsageError(f"order {order!r}: expected {', '.join(ORDERS)}")
    return ORDERS[order](residual)


def predicted_states(residual: Residual) -> float:
    """At most how many entries or states the cheaper direct road meets."""
    table = truthtable.predicted_seconds(residual)
    states = layered.most_states(residual, best_order(residual))
    return states if table is None else min(states, table / STATE_SECONDS)


@dataclass(frozen=True, eq=False)
class _Problem:
    """What every road takes: the network, its order, and the diagram of what is valid, if not all is."""

    residual: Residual
    levels: NDArray[np.int64]
    valid: FlatDiagram | None


def _valid(residual: Residual, levels: NDArray[np.int64], theory: Theory, limit: int) -> FlatDiagram:
    region = residual.region
    level_of_input = np.full(region.center.size, -1, dtype=np.int64)
    level_of_input[region.free[residual.items[levels]]] = np.arange(levels.size)
    return theory_diagram(theory, level_of_input, levels.size, region.center, node_limit=limit)


def _by_cost(problem: _Problem, limit: int) -> Compilation:
    """The layered road, unless the table is done at once or sooner."""
    table = truthtable.predicted_seconds(problem.residual)
    if table is None:
        return _by("layered", problem, limit)
    if table > AT_ONCE_SECONDS:
        try:
            return _by("layered", problem, min(limit, int(TRIED_SHARE * table / STATE_SECONDS)))
        except TooManyNodesError:
            pass
    return _by("table", problem, limit)


def _by(road: str, problem: _Problem, limit: int) -> Compilation:
    compile_by, unit = _ROADS[road]
    diagram, work = compile_by(problem, limit)
    return Compilation(diagram, problem.levels, f"{road} road, {work:,} {unit}, {diagram.n_nodes:,} nodes")


def _table(problem: _Problem, limit: int) -> tuple[FlatDiagram, int]:
    residual = problem.residual
    if truthtable.predicted_seconds(residual) is None:
        raise UnsupportedError(f"a table of {residual.items.size} free bits: expected at most {truthtable.MOST_LEVELS}")
    diagram, work = truthtable.compile_table(residual, problem.levels, node_limit=limit)
    return _restricted(diagram, problem.valid, limit), work


def _layered(problem: _Problem, limit: int) -> tuple[FlatDiagram, int]:
    return layered.compile_layered(problem.residual, problem.levels, theory=problem.valid, node_limit=limit)


def _relational(problem: _Problem, limit: int) -> tuple[FlatDiagram, int]:
    backend = available_backends()[0]
    diagram, peak = compile_relational(problem.residual, problem.levels, backend=backend, node_limit=limit)
    return _restricted(diagram, problem.valid, limit), peak


def _restricted(diagram: FlatDiagram, valid: FlatDiagram | None, limit: int) -> FlatDiagram:
    """Every root where it is valid."""
    if valid is None:
        return diagram
    return combine(diagram, valid, [(root, 0) for root in range(diagram.roots.size)], AND, node_limit=limit)


_ROADS: dict[str, tuple[Compile, str]] = {
    "table": (_table, "entries"),
    "layered": (_layered, "states"),
    "relational": (_relational, "nodes at the peak"),
}
