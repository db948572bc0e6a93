"""The ``sat`` engine: presolve, then one formula of reified constraints, given to a solver of the user's choice.

It enumerates nothing, so hundreds of free bits, quantized pixels and convolutions are within its reach. What it
finds are flips of the region's centre. The default solver is ours (:mod:`bnnverify.solver`), which keeps a neuron
as one row; libraries over clauses or pseudo-Boolean constraints stand beside it (:mod:`bnnverify.backends`).

Reference: Jia and Rinard, "Efficient exact verification of binarized neural networks", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnnverify.backends.answers import Answer
from bnnverify.backends.contract import BACKENDS, backend_named, checked, encoding_for, solve
from bnnverify.backends.native import NativeSearch
from bnnverify.backends.race import Contender, race
from bnnverify.errors import UsageError
from bnnverify.levelregions import LevelRegion
from bnnverify.network import Network
from bnnverify.presolve.flips import Flips, flips_of
from bnnverify.presolve.goal import Goal, goal
from bnnverify.presolve.lower import lower
from bnnverify.presolve.presolve import Removed, presolve
from bnnverify.presolve.rows import Longs, Mask
from bnnverify.presolve.system import System
from bnnverify.regions import BitRegion
from bnnverify.scores import score_keys
from encoders.formula import Formula

NATIVE, RACE, AUTO = "native", "race", "auto"
RACERS = ("native", "exact", "gluecard4", "cadical195")


@dataclass(frozen=True)
class Method:
    """How SAT is asked.

    Args:
        solver: a key of ``bnnverify.backends.contract.BACKENDS``; ``race``: several at once, the first answer wins; or
            ``auto``: the native one, and a race where that takes long.
        encoding: one that the solver takes, or None for its default.
        seed: of the solver, and of the attack before it.
        proof: where to put the proof that no input has a wanted class, or None.
    """

    solver: str = AUTO
    encoding: str | None = None
    seed: int = 0
    proof: Path | None = None

    def __post_init__(self) -> None:
        if self.solver not in (RACE, AUTO):
            encoding_for(backend_named(self.solver), self.encoding)
        elif self.encoding is not None:
            raise UsageError(f"encoding {self.encoding!r}: expected none with the solver {self.solver}")
        if self.proof is not None and self.solver not in (NATIVE, AUTO):
            raise UsageError(f"a proof is written by the solver native, not by {self.solver}")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A question after presolve.

    Args:
        flips: the region as flips.
        goal: what has to be satisfied.
        removed: what presolve removed.
    """

    flips: Flips
    goal: Goal
    removed: Removed

    def values(self, made: Mask) -> Longs:
        """Signs or levels of the input that makes these flips, ``(n_inputs,)``."""
        return self.flips.values(made)


@dataclass(frozen=True, eq=False)
class Reduced:
    """A network on a region after presolve, before a question is asked of it.

    Args:
        flips: the region as flips.
        system: what presolve left.
        removed: what it removed.
    """

    flips: Flips
    system: System
    removed: Removed

    def asked(self, wanted: Sequence[int]) -> Prepared:
        """The question whether an input of a wanted class exists."""
        return Prepared(self.flips, goal(self.system, wanted), self.removed)


@dataclass(frozen=True, eq=False)
class Found:
    """``flips`` of an input of a wanted class, ``(flips,)``, or None where it is proved that there is none."""

    flips: Mask | None
    remark: str


def reduce(network: Network, region: BitRegion | LevelRegion, order: Sequence[int]) -> Reduced:
    """Lower a network on a region that is not empty, and presolve it.

    Args:
        order: classes in the order in which they win ties.
    """
    flips = flips_of(region)
    system, removed = presolve(lower(network, flips, score_keys(network.output, order)))
    return Reduced(flips, system, removed)


def prepare(network: Network, region: BitRegion | LevelRegion, wanted: Sequence[int], order: Sequence[int]) -> Prepared:
    """Reduce a network on a region that is not empty, and ask for the classes ``wanted``."""
    return reduce(network, region, order).asked(wanted)


class Search:
    """A search for an answer to a prepared question, which may take several turns.

    The native solver goes on where its last turn ended; a library begins anew.
    """

    def __init__(self, prepared: Prepared, method: Method) -> None:
        self._prepared, self._method = prepared, method
        self._native: NativeSearch | None = None

    def run(self, timeout: float | None = None, *, last: bool = True) -> Found:
        """Decide.

        Args:
            last: whether no further turn follows; then ``auto`` lets several solvers race.

        Raises:
            TimeoutError: if ``timeout`` seconds were not enough.
        """
        asked, removed = self._prepared.goal, self._prepared.removed
        if asked.formula is None:
            return Found(np.zeros(asked.n_flips, dtype=np.bool_) if asked.trivial else None, str(removed))
        solver = self._method.solver
        if solver == AUTO:
            solver = RACE if last else NATIVE
        answer, solver = self._ask(asked.formula, solver, timeout)
        if answer.satisfiable is None:
            raise TimeoutError(answer.remark or "the solver gave up")
        found = asked.flips(answer.model) if answer.model is not None else None
        remark = f"{removed}; solver {solver}"
        return Found(found, f"{remark}, {answer.remark}" if answer.remark else remark)

    def _ask(self, formula: Formula, solver: str, timeout: float | None) -> tuple[Answer, str]:
        """The solver's answer, and who gave it."""
        method, centre = self._method, [-v for v in formula.inputs]
        if solver == RACE:
            finish = race(formula, contenders(), timeout=timeout, seed=method.seed, prefer=centre)
            return finish.answer, f"race, won by {finish.winner}"
        if solver != NATIVE:
            found = solve(formula, solver, encoding=method.encoding, timeout=timeout, seed=method.seed)
            return found, solver
        if self._native is None:
            self._native = NativeSearch(formula, method.seed, centre)
        return checked(formula, NATIVE, self._native.run(timeout)), NATIVE


def search(prepared: Prepared, method: Method, timeout: float | None = None) -> Found:
    """Decide a prepared question in one turn; raises as :meth:`Search.run`."""
    return Search(prepared, method).run(timeout)


def contenders() -> list[Contender]:
    """Who races: solvers of different kinds, those whose package is installed."""
    return [Contender(name) for name in RACERS if BACKENDS[name].is_installed]
