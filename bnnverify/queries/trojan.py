"""How often a trigger works: the share of a region's inputs that it moves to the target class, exactly.

A trigger stamps some bits with fixed values. Stamped inputs mostly leave the region (a ball's centre itself, if the
trigger has more bits than the ball's radius), so they form one of their own: the stamped centre, the same free bits
and budget, without the trigger's bits. Both regions are compiled with their levels in one order, and
:mod:`bnnverify.diagram.trojan` counts the inputs outside the target whose stamped copy is inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, FlatDiagram
from bnnverify.diagram.nearest import nearest
from bnnverify.diagram.quantify import placed
from bnnverify.diagram.trojan import Trojan
from bnnverify.diagram.trojan import trojan as trojan_pass
from bnnverify.errors import ReplayError, UsageError
from bnnverify.network import BitInput, Network, ThresholdInput
from bnnverify.queries.asking import Question, ask, executed, instance_of, summarize
from bnnverify.queries.compile import compile_question
from bnnverify.queries.diagram import Diagram
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import Answer, Ties, Verdict, Witness
from bnnverify.regions import BitRegion, Region, whole_space
from bnnverify.theories import Theory


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TrojanResult(Answer):
    """VIOLATED if the trigger moves any input to the target class, with such an input; else HOLDS.

    Args:
        target: the class that the trigger should lead to.
        trigger: the value, +1 or -1, of each stamped input bit.
        counts: exact number of inputs of each class before.
        hits: how many of them have the target class once they are stamped.
        invalid: how many of them are then not valid by the theory, which is no hit.
        witness: an input of another class that the trigger moves, the nearest to the region's centre, executed.
        stamped: the same with the trigger, executed; its flips and distance are counted from the witness.
    """

    target: int
    trigger: dict[int, int]
    counts: dict[int, int] = field(default_factory=dict)
    hits: dict[int, int] = field(default_factory=dict)
    invalid: dict[int, int] = field(default_factory=dict)
    witness: Witness | None = None
    stamped: Witness | None = None

    @property
    def candidates(self) -> int:
        """Inputs that do not have the target class before."""
        return sum(n for c, n in self.counts.items() if c != self.target)

    @property
    def successes(self) -> int:
        """Those of them that the trigger moves to the target class."""
        return sum(n for c, n in self.hits.items() if c != self.target)

    @property
    def rate(self) -> Fraction | None:
        """Successes among the candidates; None without candidates."""
        return Fraction(self.successes, self.candidates) if self.candidates else None

    def to_dict(self) -> dict[str, Any]:
        by_class = {name: getattr(self, name) for name in ("counts", "hits", "invalid")}
        return {
            **super().to_dict(),
            "target": self.target,
            "trigger": {str(i): value for i, value in self.trigger.items()},
            **{name: {str(c): str(n) for c, n in counted.items()} for name, counted in by_class.items()},
            "candidates": str(self.candidates),
            "successes": str(self.successes),
            "rate": None if self.rate is None else float(self.rate),
            "witness": None if self.witness is None else self.witness.to_dict(),
            "stamped": None if self.stamped is None else self.stamped.to_dict(),
        }


@dataclass(frozen=True)
class _Tried:
    """What the two diagrams say."""

    counts: dict[int, int]
    hits: dict[int, int]
    invalid: dict[int, int]
    witness: Witness | None
    stamped: Witness | None
    reason: str
    engine: str = "bdd"
    checked_by: str | None = None


def trojan(
    network: Network,
    region: Region | None = None,
    *,
    trigger: Mapping[int, int],
    target: int,
    theory: Theory | None = None,
    order: str | None = None,
    node_limit: int | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> TrojanResult:
    """Count the inputs of a region that a trigger moves to the target class; without a region, of all inputs.

    Args:
        trigger: the value, +1 or -1, of each input bit that is stamped. Stamped inputs need not be in the region.
        target: the class that the trigger should lead to.
        theory: which inputs are valid, before and after they are stamped; by default all are.
        order: how levels are ordered, as for :func:`bnnverify.compile`.
        node_limit: most nodes of a diagram; past it the verdict is MEMOUT.

    Other arguments and limits are those of :func:`bnnverify.count`; equal scores go to the lowest class.

    Raises:
        UsageError: if the trigger is empty, names no bit of the network or a value that it cannot have, or if the
            target is no class.
        UnsupportedError: as the region demands.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [1])], bv.Output([[-1], [1]]))
    >>> answer = trojan(net, trigger={0: 1}, target=1)
    >>> answer.candidates, answer.successes
    (4, 2)
    """
    if not 0 <= target < network.n_classes:
        raise UsageError(f"target {target}: expected a class 0..{network.n_classes - 1}")
    around = whole_space(network) if region is None else region
    members = around.on(network)
    stamps = _checked(network, trigger)
    before = ask(network, instance_of(network, around), members, Ties.LOWEST, None)
    after = _stamped(before, stamps)

    def work(_: object) -> _Tried:
        first = compile_question(before, theory=theory, ties=Ties.LOWEST, order=order, node_limit=node_limit)
        kept = ~np.isin(first.inputs, list(stamps))
        second = compile_question(
            after, theory=theory, ties=Ties.LOWEST, inputs=first.inputs[kept], node_limit=node_limit
        )
        return _tried(first, second, np.flatnonzero(kept), stamps, target, node_limit)

    outcome, limit = run_watched(work, timeout=timeout, memory=memory)
    done = outcome.result
    found = {} if done is None else {name: getattr(done, name) for name in _FOUND}
    moved = done is not None and done.witness is not None
    return TrojanResult(
        verdict=outcome.limit or (Verdict.VIOLATED if moved else Verdict.HOLDS),
        **solved_fields(outcome, "bdd", limit),
        region=summarize(around, members),
        input_class=None if region is None else before.label,
        seed=seed,
        target=target,
        trigger=stamps,
        **found,
    )


_FOUND = ("counts", "hits", "invalid", "witness", "stamped")


def _checked(network: Network, trigger: Mapping[int, int]) -> dict[int, int]:
    if not trigger:
        raise UsageError("trigger: found no bit, expected at least one")
    for index, value in trigger.items():
        if not 0 <= index < network.n_inputs:
            raise UsageError(f"trigger: found bit {index}, expected 0..{network.n_inputs - 1}")
        if value not in (-1, 1):
            raise UsageError(f"trigger: found the value {value} of bit {index}, expected -1 or 1")
    return {int(index): int(trigger[index]) for index in sorted(trigger)}


def _stamped(question: Question, stamps: dict[int, int]) -> Question:
    """The question about the stamped copies of a question's inputs."""
    region = question.bits
    center = _with_trigger(region.center, stamps)
    kept = ~np.isin(region.free, list(stamps))
    flips = np.flatnonzero(center != region.center)
    members = BitRegion(center, region.free[kept], region.costs[kept], region.budget)
    instance = _realized(question.network, question.instance, flips)
    return ask(question.network, instance, members, Ties.LOWEST, None)


def _realized(network: Network, instance: NDArray[Any], flips: NDArray[np.intp]) -> NDArray[Any]:
    """The instance with these bits flipped, in the network's own scale.

    Raises:
        UsageError: if a pixel's bit is constant, so that it cannot flip.
    """
    layer = network.input
    assert isinstance(layer, BitInput | ThresholdInput)
    if isinstance(layer, BitInput):
        flipped = instance.copy()
        flipped[flips] *= -1
        return flipped
    stuck = flips[layer.flip_costs(instance)[flips] == 0]
    if stuck.size:
        raise UsageError(
            f"trigger: bit {stuck[0]} has the other value at every grey level, expected a bit that can flip"
        )
    return layer.realize(instance, flips)


def _with_trigger(bits: NDArray[np.int8], stamps: dict[int, int]) -> NDArray[np.int8]:
    stamped = bits.copy()
    stamped[list(stamps)] = list(stamps.values())
    return stamped


def _tried(
    first: Diagram, second: Diagram, levels: NDArray[np.intp], stamps: dict[int, int], target: int, limit: int | None
) -> _Tried:
    """Cross the classes before with the target after; ``levels`` are those of ``second`` among those of ``first``."""
    before, after = _by_class(first), placed(_by_class(second), levels, first.inputs.size)
    found = trojan_pass(before, after, target, node_limit=limit)
    witness, stamped = _pair(first, found, stamps)
    return _Tried(
        counts=_nonzero(found.before),
        hits=_nonzero(found.hits),
        invalid=_nonzero(found.lost),
        witness=witness,
        stamped=stamped,
        reason=f"{first.reason}; stamped: {second.reason}",
    )


def _by_class(diagram: Diagram) -> FlatDiagram:
    """One root a class of the network, false everywhere for a class that bounds rule out."""
    roots = np.full(diagram.network.n_classes, FALSE, dtype=np.int32)
    roots[list(diagram.classes)] = diagram.flat.roots
    return replace(diagram.flat, roots=roots)


def _nonzero(counted: tuple[int, ...]) -> dict[int, int]:
    return {label: n for label, n in enumerate(counted) if n}


def _pair(diagram: Diagram, found: Trojan, stamps: dict[int, int]) -> tuple[Witness | None, Witness | None]:
    """The moved input nearest to the centre, and its stamped copy, both executed.

    Raises:
        ReplayError: if they do not have the classes that the diagrams say.
    """
    ones = np.ones(diagram.inputs.size, dtype=np.int64)
    nearest_moved = nearest(found.inputs, found.others, diagram.levels_of(), ones)
    if nearest_moved is None:
        return None, None
    bits = diagram.bits_at(nearest_moved[1][None])[0]
    witness = executed(diagram.network, diagram.instance, bits, diagram.order)
    stamped = executed(diagram.network, witness.input, _with_trigger(bits, stamps), diagram.order)
    if witness.label == found.target or stamped.label != found.target:
        raise ReplayError("a trigger was said to move an input to its target, but does not; please report this")
    return witness, stamped
