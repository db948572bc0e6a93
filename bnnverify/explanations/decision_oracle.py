"""The oracle over the exact engines, for networks of which no diagram fits: bounds, attack, limited search.

The question becomes a region: the instance's features fixed but the free ones, within the region of the
explanation. Interval bounds prove most small regions at once; a search that is predicted to be short is run;
before a long one, annealing looks for a counterexample. What is left is searched for a limited time, by SAT or by
another engine in a child process; after that the question is undecided.

Cost: a pass over the weights, then what the engines take, at most ``call_seconds`` of search a question.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines import portfolio, sat
from bnnverify.engines.annealing import anneal, load
from bnnverify.engines.execute import CHUNK, classify_bits, flipped
from bnnverify.engines.portfolio import Choice
from bnnverify.engines.residual import Residual, restrict
from bnnverify.errors import ReplayError, UsageError
from bnnverify.explanations.oracle import SUFFICIENT, UNDECIDED, Nearest, Reply, feature_groups, feature_of_variable
from bnnverify.limits import run_limited
from bnnverify.network import Network
from bnnverify.regions import BitRegion

SHORT_SECONDS = 0.2
ATTACK_SECONDS = 0.05


class DecisionOracle:
    """Decides by the exact engines whether any input of a region has one of some classes.

    Args:
        network: the network explained.
        x: ``(n_inputs,)`` bits, the instance; a member of the region.
        region: explanations hold within it.
        wanted: classes that count as a changed class.
        order: classes in the order in which they win ties (see :func:`bnnverify.scores.tie_order`).
        groups: the input bits of each feature; default one feature a bit. Other bits keep their values.
        call_seconds: search time of one question.
        rng: of the attack.

    Raises:
        UsageError: if the instance lies outside the region or has a wanted class itself.
    """

    def __init__(
        self,
        network: Network,
        x: NDArray[np.int8],
        region: BitRegion,
        wanted: Sequence[int],
        order: Sequence[int],
        *,
        groups: Sequence[Sequence[int]] | None = None,
        call_seconds: float = 1.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        if not region.contains(x):
            raise UsageError("instance: it lies outside the region; expected a member")
        if int(classify_bits(network, x[None], order)[0]) in wanted:
            raise UsageError("instance: it has one of the classes that count as changed; expected another")
        self.groups = feature_groups(groups, network.n_inputs)
        self.n_features = len(self.groups)
        self._network, self._x, self._region = network, x, region
        self._wanted, self._order = tuple(wanted), tuple(order)
        self._feature = feature_of_variable(self.groups, network.n_inputs)
        self._call_seconds = call_seconds
        self._rng = np.random.default_rng(0) if rng is None else rng

    def counterexample(self, free: NDArray[np.bool_]) -> Reply:
        """A counterexample within the free features, the proof that there is none, or no answer in time."""
        region = self._agreeing(free)
        residual = restrict(self._network, region, self._order)
        if not set(residual.classes.tolist()) & set(self._wanted):
            return SUFFICIENT
        choice = portfolio.choose(residual, "auto", deciding=True)
        if choice.seconds <= SHORT_SECONDS and choice.engine != portfolio.SAT:
            return self._searched(residual, choice)
        reduced = sat.reduce(self._network, region, self._order)
        load()
        made = anneal(reduced.system, self._wanted, self._rng, deadline_s=time.monotonic() + ATTACK_SECONDS)
        if made is not None:
            return self._reply(reduced.flips.values(made).astype(np.int8))
        if choice.engine == portfolio.SAT:
            return self._satisfied(reduced)
        outcome = run_limited(lambda _: self._searched(residual, choice), timeout=self._call_seconds)
        return UNDECIDED if outcome.result is None else outcome.result

    def nearest(self) -> Nearest | None:
        """None: hitting sets of this oracle's answers are the way."""
        return None

    def sufficient(self) -> frozenset[int] | None:
        """None: questions are the way."""
        return None

    def necessary(self) -> frozenset[int] | None:
        """None: questions are the way."""
        return None

    def _agreeing(self, free: NDArray[np.bool_]) -> BitRegion:
        """The region's members that agree with the instance on everything but the free features."""
        region = self._region
        may_flip = (self._feature >= 0) & free[self._feature] if self.n_features else self._feature >= 0
        open_bits = may_flip[region.free]
        fixed = ~may_flip
        center = np.where(fixed, self._x, region.center)
        spent = int(region.costs[(region.center != self._x)[region.free] & ~open_bits].sum())
        budget = None if region.budget is None else region.budget - spent
        return BitRegion(center, region.free[open_bits], region.costs[open_bits], budget)

    def _searched(self, residual: Residual, choice: Choice) -> Reply:
        """The engines' answer; an executed counterexample if there is one."""
        if residual.settled is not None:
            return self._first_wanted(residual, [()])
        _, search = portfolio.find(residual, choice, self._wanted)
        return SUFFICIENT if search.candidates is None else self._first_wanted(residual, search.candidates)

    def _satisfied(self, reduced: sat.Reduced) -> Reply:
        """The native solver's answer, if it comes in time."""
        try:
            found = sat.search(reduced.asked(self._wanted), sat.Method(sat.NATIVE), timeout=self._call_seconds)
        except TimeoutError:
            return UNDECIDED
        if found.flips is None:
            return SUFFICIENT
        bits = reduced.flips.values(found.flips).astype(np.int8)
        if int(classify_bits(self._network, bits[None], self._order)[0]) not in self._wanted:
            raise ReplayError("a counterexample of the engine sat does not replay; please report this")
        return self._reply(bits)

    def _first_wanted(self, residual: Residual, candidates: Iterable[tuple[int, ...]]) -> Reply:
        stream = iter(candidates)
        while chunk := list(islice(stream, CHUNK)):
            sets = [tuple(residual.items[list(items)].tolist()) for items in chunk]
            bits = flipped(residual.region, sets)
            hits = np.flatnonzero(np.isin(classify_bits(self._network, bits, self._order), self._wanted))
            if hits.size:
                return self._reply(bits[hits[0]])
        raise ReplayError("an engine reported a counterexample, but none of its candidates replays; please report this")

    def _reply(self, bits: NDArray[np.int8]) -> Reply:
        flips = tuple(np.flatnonzero(bits != self._x).tolist())
        return Reply(frozenset(self._feature[list(flips)].tolist()), flips)
