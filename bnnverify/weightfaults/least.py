"""The least number of flipped weight bits that changes a class, with the flips as witness, and the proof.

Budgets grow by one flip at a time; every budget without an answer is part of the proof that fewer cannot do it.
Each is decided by a search over toggled neurons (:mod:`bnnverify.weightfaults.search`) where the input is fixed and
what is struck is dense; else a single flip by execution, and more by a formula for our own solver
(:mod:`bnnverify.weightfaults.encoding`). First a formula without a budget says whether any flips suffice at all, and
the last layers alone give an upper bound: where the proof has come within one of it, it is the answer. The witness is
executed on the bit engine, struck as it says. Cost: grows with the number of sets of flips that are cheap, so with
the answer; milliseconds up to about 20 flips in dense networks of some hundred neurons, far fewer flips in
convolutions and regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ReplayError, UsageError
from bnnverify.limits import Outcome
from bnnverify.network import Block, Network, Output
from bnnverify.presolve.flips import Flips, flips_of
from bnnverify.queries.asking import Question, ask, instance_of, region_on, summarize, witness_with
from bnnverify.queries.limited import run_watched
from bnnverify.queries.results import Ties, Verdict
from bnnverify.regions import FreeBits, HammingBall, Region
from bnnverify.solver.solver import Solver
from bnnverify.weightfaults.critical import counts_by_bit, ranked
from bnnverify.weightfaults.encoding import Encoding
from bnnverify.weightfaults.places import Places, Strikes, places_in, struck_bits
from bnnverify.weightfaults.results import SetTolerance, Struck, ToleranceResult
from bnnverify.weightfaults.search import FOUND, FULL, Toggles
from bnnverify.weightfaults.winning import Target
from bnnverify.weightflips import WeightBit, flip_weights

FEW_NODES = 200_000
SEARCH, SAT, SINGLE = "search", "sat", "execute"
HOW = {
    SEARCH: "sets of toggled neurons",
    SAT: "one formula a number of flips",
    SINGLE: "executing every flip that matters",
}

Report = Callable[[Any], None]


@dataclass(frozen=True, eq=False)
class Known:
    """What is proved so far: nothing with at most ``proved`` flips, and ``best`` suffices; or nothing ever does."""

    proved: int = -1
    best: tuple[tuple[WeightBit, ...], NDArray[np.int64]] | None = None
    impossible: bool = False
    engine: str = SEARCH
    layers: Mapping[int, int | None] = field(default_factory=dict)

    @property
    def upper(self) -> int | None:
        return None if self.best is None else len(self.best[0])

    @property
    def is_exact(self) -> bool:
        return self.impossible or self.upper == self.proved + 1


def tolerance(
    network: Network,
    instance: Any,
    region: Region | None = None,
    *,
    layers: Iterable[int] | None = None,
    rows: Iterable[int] | None = None,
    target: int | None = None,
    ties: Ties = Ties.LOWEST,
    greatest: int | None = None,
    per_layer: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> ToleranceResult:
    """The least number of stored weight bits whose flips change the class of an input, or of some input of a region.

    A bit is the sign of a weight that is not 0. With a region, the input may be any of it, and its class is compared
    with that of the region's centre, which ``instance`` must be.

    Args:
        instance: ``(n_inputs,)`` in the network's own input scale.
        layers: where flips may be; ``len(network.blocks)`` is the output layer. Default: everywhere.
        rows: the rows of these layers where flips may be: neurons, channels or classes.
        target: the class that the input must be given, instead of any other.
        ties: the rule for equal scores; with ``VIOLATE`` an equal score counts as a changed class, so 0 flips can do.
        greatest: look no further than so many flips.
        per_layer: ask the same of each layer alone.
        timeout: seconds; memory: MiB. What was proved by then is the answer's ``lower``.
        seed: of the solver.

    Raises:
        UsageError: if there is no such layer, row or class, or the instance is not the region's centre.
        UnsupportedError: if a stored weight has no opposite.
        ReplayError: if a witness has not the class that was found, which would be a bug.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> tolerance(net, [1, 1, 1])
    ToleranceResult(verdict=ANSWERED, value=2, lower=2, upper=2, engine='search')
    >>> tolerance(net, [1, 1, 1], layers=[0]).witness.bits
    (WeightBit(block=0, row=0, column=0), WeightBit(block=0, row=0, column=1))
    """
    if greatest is not None and greatest < 0:
        raise UsageError(f"greatest {greatest}: expected a number of flips of at least 0")
    places = places_in(network, layers, rows)
    centre = _centre(network, instance, region)
    around = FreeBits(centre, ()) if region is None else region
    members = region_on(network, around)
    question = ask(network, centre, members, ties, target)
    task = _Task(question, flips_of(members), seed)

    def work(report: Report) -> Known:
        found = task.least(places, greatest, Known(), report)
        return task.by_layer(places, greatest, found, report) if per_layer else found

    outcome, came_first = run_watched(work, timeout=timeout, memory=memory)
    asked = None if region is None else summarize(region, members)
    return _result(question, outcome, came_first, region=asked, ties=ties, target=target, seed=seed)


def tolerance_of_set(network: Network, X: Any, **options: Any) -> SetTolerance:
    """The same for each of many inputs, ``(batch, n_inputs)``; options are those of :func:`tolerance`.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> tolerance_of_set(net, [[1, 1, 1], [-1, -1, -1]], layers=[0])
    SetTolerance(inputs=2, value=2, histogram={2: 2})
    """
    read = network.input.read(X).reshape(-1, network.n_inputs)
    return SetTolerance(tuple(tolerance(network, values, **options) for values in read))


@cache
def load() -> None:
    """Load the compiled kernels before a clock runs, or compile them, once per installation."""
    sizes, ones = (3, 1, 2, 1), np.ones(3, dtype=np.int8)
    shapes = zip(sizes[1:], sizes, strict=False)
    blocks = tuple(Block(np.ones(shape, dtype=np.int8), np.zeros(shape[0], dtype=np.int64)) for shape in shapes)
    network = Network(blocks, Output(np.array([[1], [-1]], dtype=np.int8)))
    tolerance(network, ones)
    tolerance(network, ones, HammingBall(ones, 1), layers=[0])


def _centre(network: Network, instance: Any, region: Region | None) -> NDArray[Any]:
    centre: NDArray[Any] = network.input.read(instance).reshape(-1)
    if centre.size != network.n_inputs:
        raise UsageError(f"instance: found {centre.size} values, expected {network.n_inputs}")
    if region is not None and not np.array_equal(centre, instance_of(network, region)):
        raise UsageError("instance: it differs from the centre of the region, expected the same input")
    return centre


@dataclass(frozen=True, eq=False)
class _Task:
    """A question about flips, wherever they may be."""

    question: Question
    flips: Flips
    seed: int

    @property
    def network(self) -> Network:
        return self.question.network

    @property
    def target(self) -> Target:
        wanted = self.question.wanted
        rivals = (c for c in range(self.network.n_classes) if c not in wanted)
        return Target(wanted, tuple(rivals), self.question.order)

    def least(self, places: Places, greatest: int | None, known: Known, report: Report) -> Known:
        """Grow the budget until flips are found, or the proof meets the upper bound."""
        if not self._possible(places):
            return replace(known, impossible=True, engine=SAT)
        known = self._bounded(places, known, report)
        fixed = self.flips.inputs.size == 0
        toggles = Toggles.of(self.network, places, self.flips.center, self.target) if fixed else None
        while not known.is_exact and (greatest is None or known.proved < greatest):
            known = self._decided(places, toggles, known.proved + 1, known)
            report(known)
        return known

    def by_layer(self, places: Places, greatest: int | None, found: Known, report: Report) -> Known:
        """The least number for each layer alone, beside what was found."""
        report(found)
        for layer in places.layers:
            alone = self.least(Places((layer,), places.rows), greatest, Known(), lambda _: None)
            if alone.impossible or alone.is_exact:
                found = replace(found, layers={**found.layers, layer: None if alone.impossible else alone.upper})
            report(found)
        return found

    def _possible(self, places: Places) -> bool:
        """Whether any number of flips suffices."""
        if not self.question.wanted:
            return False
        encoding = Encoding(self.network, places, self.flips, self.target, None)
        return self._model(encoding) is not None

    def _decided(self, places: Places, toggles: Toggles | None, budget: int, known: Known) -> Known:
        """Whether so many flips suffice, where fewer do not."""
        if toggles is not None:
            status, strikes = toggles.within(budget)
            if status != FULL:
                return self._taken(known, budget, strikes, SEARCH)
        elif budget == 1 and self.flips.inputs.size == 0:
            return self._taken(known, budget, self._single(places), SINGLE)
        encoding = Encoding(self.network, places, self.flips, self.target, budget)
        model = self._model(encoding)
        return self._taken(known, budget, None if model is None else encoding.strikes(model), SAT)

    def _single(self, places: Places) -> Strikes | None:
        """A weight bit that suffices by itself, by executing all that toggle anything."""
        question, network = self.question, self.network
        wanted = np.isin(np.arange(network.n_classes), question.wanted)[None]
        counts = counts_by_bit(network, question.instance[None], places.layers, wanted, question.order)
        for number, table in counts.items():
            counts[number] = np.where(places.of_layer(number, len(table))[:, None], table, 0)
        bits, _ = ranked(counts, 1)
        return Strikes(self.flips.center, bits=bits) if bits else None

    def _taken(self, known: Known, budget: int, strikes: Strikes | None, engine: str) -> Known:
        if strikes is None:
            return replace(known, proved=budget, engine=engine)
        return replace(known, best=(struck_bits(self.network, strikes), strikes.values), engine=engine)

    def _model(self, encoding: Encoding) -> NDArray[np.bool_] | None:
        """A model of the formula by variable, or None."""
        formula = encoding.formula()
        solver = Solver(seed=self.seed)
        solver.add_formula(formula)
        if not solver.solve() or solver.model is None:
            return None
        return np.array([False, *(literal > 0 for literal in solver.model)])

    def _bounded(self, places: Places, known: Known, report: Report) -> Known:
        """An upper bound by flips in the last layers alone, on the centre."""
        last = len(self.network.blocks)
        tail = Places(tuple(layer for layer in places.layers if layer >= last - 1), places.rows)
        toggles = Toggles.of(self.network, tail, self.flips.center, self.target)
        if toggles is None or not tail.layers:
            return known
        for budget in range(self.network.output.weights.size):
            status, strikes = toggles.within(budget, FEW_NODES)
            if status == FOUND and strikes is not None:
                known = self._taken(known, budget, strikes, SEARCH)
                report(known)
            if status in (FOUND, FULL):
                break
        return known


def _result(question: Question, outcome: Outcome[Known], came_first: str, **options: Any) -> ToleranceResult:
    known = outcome.result or outcome.progress or Known()
    struck = None if known.best is None else _replayed(question, *known.best)
    return ToleranceResult(
        verdict=outcome.limit or Verdict.ANSWERED,
        kind="exact" if known.is_exact else "bound",
        engine=known.engine,
        reason=_reason(known, outcome, came_first),
        **options,
        input_class=question.label,
        seconds=outcome.seconds,
        value=known.upper if known.is_exact else None,
        lower=known.proved + 1,
        upper=known.upper,
        impossible=known.impossible,
        witness=struck,
        per_layer=known.layers,
    )


def _reason(known: Known, outcome: Outcome[Known], came_first: str) -> str:
    by = HOW[known.engine]
    if known.impossible:
        return "no flips change it, by one formula without a limit"
    proved = f"no {known.proved} flips do it" if known.proved > 0 else "fewer than none is nothing"
    proved = f"{proved}, by {by}" if known.proved >= 0 else by
    return proved if outcome.limit is None else f"{outcome.cause or came_first}; {proved}"


def _replayed(question: Question, bits: tuple[WeightBit, ...], values: NDArray[np.int64]) -> Struck:
    """Execute the struck network on the bit engine.

    Raises:
        ReplayError: if it gives no wanted class.
    """
    twin = flip_weights(question.network, bits)
    found = witness_with(replace(question, network=twin), values)
    if found.label not in question.wanted:
        raise ReplayError(f"{len(bits)} flips were said to change the class, but do not; please report this")
    return Struck(bits, found.input, found.flips, found.label)
