"""Compile a network on a region into a reusable decision diagram."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.compiling import compile_residual
from bnnverify.engines.residual import Residual
from bnnverify.network import Network
from bnnverify.queries.asking import Question, ask, instance_of
from bnnverify.queries.diagram import Diagram
from bnnverify.queries.results import Ties
from bnnverify.regions import Region, whole_space
from bnnverify.theories import Theory


def compile(
    network: Network,
    region: Region | None = None,
    *,
    theory: Theory | None = None,
    ties: Ties = Ties.LOWEST,
    road: str = "auto",
    order: str | None = None,
    node_limit: int | None = None,
) -> Diagram:
    """Compile the classes of a network on a region; without a region, on the whole input space.

    Args:
        theory: which inputs are valid; the others are left out.
        ties: the rule for equal scores; with ``VIOLATE`` the centre's class loses every tie.
        road: ``auto``, ``table``, ``layered`` or ``relational`` (see :mod:`bnnverify.engines.compiling`).
        order: how levels are ordered; by default the order that measured best.
        node_limit: most nodes, or states on the way to them.

    Raises:
        UsageError, UnsupportedError: as the region, the theory and the road demand.
        TooManyNodesError: past the node limit (a ``MemoryError``; queries that compile make it a verdict).

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.compile(net).count()
    {0: 4, 1: 4}
    """
    around = whole_space(network) if region is None else region
    question = ask(network, instance_of(network, around), around.on(network), ties, None)
    return compile_question(question, theory=theory, ties=ties, road=road, order=order, node_limit=node_limit)


def compile_question(
    question: Question,
    *,
    theory: Theory | None,
    ties: Ties,
    road: str = "auto",
    order: str | None = None,
    inputs: NDArray[np.int64] | None = None,
    node_limit: int | None = None,
) -> Diagram:
    """The diagram of a question's network on its region; arguments and errors as :func:`compile`.

    Args:
        inputs: the free input bit at each level, in place of an order by name.
    """
    if theory is not None:
        theory.require_inputs(question.network.n_inputs)
    start = perf_counter()
    residual = question.restricted()
    levels = order if inputs is None else _items_at(residual, inputs)
    compiled = compile_residual(residual, theory=theory, road=road, order=levels, node_limit=node_limit)
    return Diagram(
        network=question.network,
        instance=question.instance,
        region=question.bits,
        theory=theory,
        ties=ties,
        order=question.order,
        label=question.label,
        classes=tuple(residual.classes.tolist()),
        flat=compiled.diagram,
        inputs=residual.region.free[residual.items[compiled.levels]],
        reason=compiled.remark,
        seconds=perf_counter() - start,
    )


def _items_at(residual: Residual, inputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The item that each of these input bits is."""
    item_of = np.empty(residual.region.center.size, dtype=np.int64)
    item_of[residual.region.free[residual.items]] = np.arange(residual.items.size)
    items: NDArray[np.int64] = item_of[inputs]
    return items
