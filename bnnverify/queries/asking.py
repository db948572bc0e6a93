"""What every query does around its engine: read the region, fix the rule for ties, limit, time.

The work proper runs in a child process when a limit is set (:mod:`bnnverify.limits`). A witness is
executed on the bitwise inference engine before it leaves this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines import execute, portfolio
from bnnverify.engines.portfolio import Choice
from bnnverify.engines.residual import Residual, restrict
from bnnverify.errors import ReplayError, UnsupportedError, UsageError
from bnnverify.inference import engine_of, replay
from bnnverify.levelregions import LevelRegion, level_region
from bnnverify.network import BitInput, Network, QuantizedInput, ThresholdInput
from bnnverify.queries.results import RegionSummary, Ties, Witness
from bnnverify.regions import BitRegion, CostBall, FreeBits, HammingBall, Intersection, PixelBox, Region
from bnnverify.scores import tie_order


@dataclass(frozen=True, eq=False)
class Question:
    """A network on a region, with the rule for ties worked out.

    Args:
        label: class of ``instance``.
        order: classes in the order in which they win ties.
        wanted: classes that count as a violation.
    """

    network: Network
    instance: NDArray[Any]
    region: BitRegion | LevelRegion
    label: int
    order: tuple[int, ...]
    wanted: tuple[int, ...]

    def restricted(self, region: BitRegion | None = None) -> Residual:
        return restrict(self.network, self.bits if region is None else region, self.order)

    @property
    def bits(self) -> BitRegion:
        """The region, of a question that is about bits."""
        assert isinstance(self.region, BitRegion)
        return self.region


def region_on(network: Network, region: Region) -> BitRegion | LevelRegion:
    """What a region means on a network, for the queries that also answer about quantized pixels."""
    return level_region(network, region) if isinstance(network.input, QuantizedInput) else region.on(network)


def ask(
    network: Network, instance: NDArray[Any], region: BitRegion | LevelRegion, ties: Ties, target: int | None
) -> Question:
    """Set up a question about ``instance``, which need not be the region's centre.

    Raises:
        UsageError: if the target is no class, or the input's own class.
    """
    label = _class_of(network, instance)
    n = network.n_classes
    if target is not None and not 0 <= target < n:
        raise UsageError(f"target {target}: expected a class 0..{n - 1}")
    if target == label:
        raise UsageError(f"target {target} is the input's own class; choose another")
    order = tie_order(n) if ties is Ties.LOWEST else tie_order(n, first=target, last=label)
    wanted = tuple(c for c in range(n) if c != label) if target is None else (target,)
    return Question(network, instance, region, label, order, wanted)


def _class_of(network: Network, instance: NDArray[Any]) -> int:
    """The class of one instance, by numpy alone: no kernel is compiled before the limits hold."""
    return int(engine_of(network, backend="numpy").classify(instance)[0])


def instance_of(network: Network, region: Region) -> NDArray[Any]:
    """The instance at the centre of a region, in the network's own input scale, ``(n_inputs,)``.

    Of an intersection it is a pixel box's, if there is one, since witnesses must stay in the box.
    """
    if isinstance(region, Intersection):
        boxes = [part for part in region.parts if isinstance(part, PixelBox)]
        return instance_of(network, (boxes or region.parts)[0])
    values = region.pixels if isinstance(region, PixelBox) else region.center
    read: NDArray[Any] = network.input.read(values).reshape(-1)
    return read


def summarize(region: Region, members: BitRegion | LevelRegion) -> RegionSummary:
    """The region's kind, its parameters and its exact size."""
    parts = region.parts if isinstance(region, Intersection) else (region,)
    parameters: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, HammingBall):
            parameters["eps"] = part.radius
        elif isinstance(part, PixelBox):
            parameters["eps"] = float(part.eps)
        elif isinstance(part, FreeBits):
            parameters["free"] = list(part.indices)
    return RegionSummary("+".join(part.kind for part in parts), members.size, parameters)


def witness_among(question: Question, residual: Residual, candidates: Iterable[tuple[int, ...]]) -> Witness:
    """The first candidate whose executed class is wanted, as a replayed witness.

    Args:
        candidates: sets of items of ``residual``.

    Raises:
        ReplayError: if no candidate has a wanted class: the engine was wrong.
    """
    stream = iter(candidates)
    while chunk := list(islice(stream, execute.CHUNK)):
        sets = [tuple(residual.items[list(items)].tolist()) for items in chunk]
        bits = execute.flipped(residual.region, sets)
        labels = execute.classify_bits(question.network, bits, question.order)
        hits = np.flatnonzero(np.isin(labels, question.wanted))
        if hits.size:
            return replayed(question, bits[hits[0]])
    raise ReplayError("an engine reported a counterexample, but none of its candidates replays; please report this")


def witness_with(question: Question, values: NDArray[Any]) -> Witness:
    """The input with these bits or levels that is nearest to the instance, as a replayed witness."""
    if isinstance(question.region, BitRegion):
        return replayed(question, values.astype(np.int8))
    layer = question.region.layer
    pixels = layer.realize(question.region.pixels, values)
    if not question.region.contains(pixels):
        raise ReplayError("a counterexample lies outside its region; please report this")
    changed = np.flatnonzero(pixels != question.instance)
    label = replay(question.network, pixels, question.order)
    return _wanted(question, Witness(pixels, tuple(changed.tolist()), label, changed.size))


def replayed(question: Question, bits: NDArray[np.int8]) -> Witness:
    """The input with these bits that is nearest to the instance, executed.

    Raises:
        ReplayError: if its class is not wanted: whoever found it was wrong.
    """
    return _wanted(question, executed(question.network, question.instance, bits, question.order))


def _wanted(question: Question, witness: Witness) -> Witness:
    if witness.label not in question.wanted:
        raise ReplayError(f"a counterexample of class {witness.label} does not replay; please report this")
    return witness


def executed(network: Network, instance: NDArray[Any], bits: NDArray[np.int8], order: Sequence[int]) -> Witness:
    """The input with these bits that is nearest to the instance, with the class that the bit engine gives it."""
    layer = network.input
    assert isinstance(layer, BitInput | ThresholdInput)
    flips = np.flatnonzero(layer.to_bits(instance) != bits)
    found = bits if isinstance(layer, BitInput) else layer.realize(instance, flips)
    return Witness(found, tuple(flips.tolist()), replay(network, found, order), flips.size)


def in_region_units(question: Question, region: Region, witness: Witness) -> Witness:
    """The witness with its distance in the region's unit: greatest grey-level change, cost, or flipped bits."""
    parts = region.parts if isinstance(region, Intersection) else (region,)
    if any(isinstance(part, PixelBox) for part in parts):
        return replace(witness, distance=int(np.abs(witness.input - question.instance).max(initial=0)))
    for part in parts:
        if isinstance(part, CostBall):
            return replace(witness, distance=int(part.costs[list(witness.flips)].sum()))
    return witness


def choose_second(question: Question, residual: Residual, first: str) -> str:
    """The engine that checks: plain execution where the region is small, else another exact engine."""
    if question.region.size <= execute.MAX_INPUTS:
        return "execute"
    other = portfolio.other_engine(residual, first) if residual.settled is None else None
    if other is None:
        raise UnsupportedError(f"--check: no second engine can answer for {question.region.size:,} inputs")
    return other


def tally_by(question: Question, residual: Residual, engine: str, *, by_distance: bool) -> list[dict[int, int]]:
    """Counts per class by an engine named by :func:`choose_second` or by the portfolio."""
    if engine == "execute":
        rows = execute.count_by_distance(question.network, question.bits, question.order)
        return rows if by_distance else [_added(rows)]
    return portfolio.count_by_distance(residual, Choice(engine, "checks"), by_distance=by_distance)[1].rows


def confirmed_by(question: Question, engine: str, exists: bool, where: str = "") -> str:
    """The second engine, if by its count a wanted input exists in the region just where ``engine`` says so.

    Raises:
        ReplayError: if the two disagree.
    """
    residual = question.restricted()
    second = choose_second(question, residual, engine)
    counts = tally_by(question, residual, second, by_distance=False)[0]
    if any(counts.get(c, 0) for c in question.wanted) != exists:
        raise ReplayError(f"engines {engine} and {second} disagree{where}; please report this")
    return second


def _added(rows: list[dict[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for row in rows:
        for label, n in row.items():
            total[label] = total.get(label, 0) + n
    return total


def agree(first: list[dict[int, int]], second: list[dict[int, int]], engines: tuple[str, str]) -> str:
    """The second engine's name, if both counted alike.

    Raises:
        ReplayError: if they did not: one of them is wrong.
    """
    if [_nonzero(row) for row in first] != [_nonzero(row) for row in second]:
        raise ReplayError(f"engines {engines[0]} and {engines[1]} disagree; please report this")
    return engines[1]


def _nonzero(row: dict[int, int]) -> dict[int, int]:
    return {label: n for label, n in row.items() if n}


def why(choice: Choice, remark: str) -> str:
    """The reason line of an answer."""
    return f"{choice.reason}; {remark}" if remark else choice.reason
