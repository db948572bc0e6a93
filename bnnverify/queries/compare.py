"""Where two networks differ on a region: equivalent, or by exactly how many inputs, class by class.

Both are compiled with their levels in one order; the conjunction of the root of one class in one network with the root
of another class in the other holds just the inputs on which they differ in that way. So a count is
exact however few of astronomically many inputs differ, which is what faults in weights and compressed models
need. :func:`bnnverify.weightflips.flip_weights` makes the faulty twin of a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.apply import AND, combine
from bnnverify.diagram.count import counts
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.nearest import nearest
from bnnverify.errors import ReplayError, UsageError
from bnnverify.network import Network
from bnnverify.queries.asking import ask, executed, instance_of, summarize
from bnnverify.queries.compile import compile_question
from bnnverify.queries.diagram import Diagram
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import CompareResult, Ties, Verdict, Witness
from bnnverify.regions import BitRegion, Region, whole_space
from bnnverify.theories import Theory
from bnnverify.weightflips import WeightBit, flip_weights


@dataclass(frozen=True)
class Compared:
    """Counts per pair of classes, and a differing input with its two classes."""

    pairs: dict[tuple[int, int], int]
    witness: Witness | None
    other_label: int | None
    reason: str
    engine: str = "bdd"
    checked_by: str | None = None


def compare(
    network: Network,
    other: Network,
    region: Region | None = None,
    *,
    theory: Theory | None = None,
    ties: Ties = Ties.LOWEST,
    order: str | None = None,
    node_limit: int | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> CompareResult:
    """Count the inputs of ``region`` on which two networks differ; without a region, of the whole input space.

    Args:
        other: a network over the same inputs; it may have other blocks and other classes.
        theory: which inputs are valid; the others are left out.
        ties: the rule for equal scores; with ``VIOLATE`` each network's class of the centre loses every tie.
        order: how levels are ordered; by default the order that measured best on ``network``.
        node_limit: most nodes of a diagram; past it the verdict is MEMOUT.

    Other arguments, limits and errors are those of :func:`bnnverify.count`.

    Returns:
        HOLDS if the networks are equivalent there, else VIOLATED with the nearest differing input, executed on both.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> stricter = bv.Network([bv.Block([[1, 1, 1]], [2])], bv.Output([[1], [-1]]))
    >>> bv.compare(net, stricter).pairs
    {(0, 0): 1, (0, 1): 3, (1, 1): 4}
    """
    around = whole_space(network) if region is None else region
    _require_same_inputs(network, other)
    members = around.on(network)
    questions = [ask(n, instance_of(n, around), members, ties, None) for n in (network, other)]

    def work(_: object) -> Compared:
        first = compile_question(questions[0], theory=theory, ties=ties, order=order, node_limit=node_limit)
        second = compile_question(questions[1], theory=theory, ties=ties, inputs=first.inputs, node_limit=node_limit)
        return _compared(first, second, node_limit)

    outcome, limit = run_watched(work, timeout=timeout, memory=memory)
    done = outcome.result
    differs = done is not None and done.witness is not None
    return CompareResult(
        verdict=outcome.limit or (Verdict.VIOLATED if differs else Verdict.HOLDS),
        **solved_fields(outcome, "bdd", limit),
        ties=ties,
        region=summarize(around, members),
        input_class=None if region is None else questions[0].label,
        seed=seed,
        other=other.name,
        pairs={} if done is None else done.pairs,
        witness=None if done is None else done.witness,
        other_label=None if done is None else done.other_label,
    )


def criticality(
    network: Network,
    bits: Iterable[WeightBit],
    region: Region | None = None,
    *,
    theory: Theory | None = None,
    ties: Ties = Ties.LOWEST,
    node_limit: int | None = None,
) -> Iterator[tuple[WeightBit, int]]:
    """For each weight the exact number of inputs whose class changes when that weight alone is flipped.

    The network is compiled once; each weight costs one more compilation and one conjunction.

    Args:
        bits: for example ``weight_bits(network, len(network.blocks))``, all weights of the output layer.

    Other arguments and errors are those of :func:`compare`, but limits on time.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> [(str(bit), n) for bit, n in bv.criticality(net, [bv.WeightBit(0, 0, 0), bv.WeightBit(1, 0, 0)])]
    [('0:0:0', 4), ('1:0:0', 4)]
    """
    around = whole_space(network) if region is None else region
    members = around.on(network)
    first = _compiled(network, around, members, theory, ties, None, node_limit)
    for bit in bits:
        twin = flip_weights(network, [bit])
        second = _compiled(twin, around, members, theory, ties, first.inputs, node_limit)
        pairs = _differing(first, second)
        crossed = combine(first.flat, second.flat, pairs, AND, node_limit=node_limit)
        yield bit, sum(counts(crossed))


def _compiled(
    network: Network,
    around: Region,
    members: BitRegion,
    theory: Theory | None,
    ties: Ties,
    inputs: NDArray[np.int64] | None,
    node_limit: int | None,
) -> Diagram:
    question = ask(network, instance_of(network, around), members, ties, None)
    return compile_question(question, theory=theory, ties=ties, inputs=inputs, node_limit=node_limit)


def _differing(first: Diagram, second: Diagram) -> list[tuple[int, int]]:
    """The pairs of roots of unlike classes."""
    both = product(enumerate(first.classes), enumerate(second.classes))
    return [(i, j) for (i, a), (j, b) in both if a != b]


def _require_same_inputs(network: Network, other: Network) -> None:
    """Both must read an input as the same bits."""
    ours, theirs = vars(network.input), vars(other.input)
    same = type(network.input) is type(other.input) and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    if not same:
        raise UsageError(f"{other.name} reads other inputs than {network.name}: expected the same layer of inputs")


def _compared(first: Diagram, second: Diagram, node_limit: int | None) -> Compared:
    """Cross the classes of both diagrams, whose levels agree."""
    pairs = [(i, j) for i, j in product(range(len(first.classes)), range(len(second.classes)))]
    crossed = combine(first.flat, second.flat, pairs, AND, node_limit=node_limit)
    labels = [(first.classes[i], second.classes[j]) for i, j in pairs]
    found = {pair: n for pair, n in zip(labels, counts(crossed), strict=True) if n}
    differing = [root for root, (a, b) in enumerate(labels) if a != b]
    witness, other_label = _nearest(first, second, crossed, differing)
    reason = f"{first.reason}; {second.reason}; {crossed.n_nodes:,} nodes crossed"
    return Compared(dict(sorted(found.items())), witness, other_label, reason)


def _nearest(
    first: Diagram, second: Diagram, crossed: FlatDiagram, differing: list[int]
) -> tuple[Witness | None, int | None]:
    """The differing input nearest to the centre, executed on both networks.

    Raises:
        ReplayError: if they agree on it after all.
    """
    found = nearest(crossed, differing, first.levels_of(), np.ones(first.inputs.size, dtype=np.int64))
    if found is None:
        return None, None
    bits = first.bits_at(found[1][None])[0]
    ours, theirs = (executed(d.network, d.instance, bits, d.order) for d in (first, second))
    if ours.label == theirs.label:
        raise ReplayError("two networks were said to differ on an input, but do not; please report this")
    return ours, theirs.label
