"""Several back ends at once, each in a forked child: the first answer wins, and the others are killed.

No solver is best on all formulas, and the slowest take a thousand times what the fastest takes, so on idle cores a race
costs little and saves much. Each child has its own memory limit; time is one limit for all. Whatever ends the
race, an interrupt included, no child outlives it.

Cost: a fork each, and the encoding in each child.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait

from bnnverify.backends.answers import Answer
from bnnverify.backends.contract import backend_named, encoding_for, solve
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.limits import POLL_SECONDS, Child, Report
from encoders.formula import Formula

Work = Callable[[Report], Answer]


@dataclass(frozen=True)
class Contender:
    """A back end in a race.

    Args:
        backend: a key of ``BACKENDS``.
        encoding: that it takes, or None for its default.
    """

    backend: str
    encoding: str | None = None

    def __str__(self) -> str:
        return self.backend if self.encoding is None else f"{self.backend} ({self.encoding})"


@dataclass(frozen=True, eq=False)
class Finish:
    """How a race ended.

    Args:
        answer: the first that came; without one, its remark has all contenders' reasons.
        winner: who gave it, or None.
        seconds: wall-clock time.
    """

    answer: Answer
    winner: Contender | None
    seconds: float


def race(
    formula: Formula,
    contenders: Sequence[Contender],
    *,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
    prefer: Sequence[int] = (),
) -> Finish:
    """Whether a formula can be met, by whichever back end says it first.

    Args:
        timeout: seconds for the whole race.
        memory: MiB by which each child may grow beyond the calling process's present size.
        seed, prefer: as for :func:`bnnverify.backends.contract.solve`.

    Raises:
        UsageError: if there is no contender, one does not exist, or a limit is not positive.
        UnsupportedError: if no contender can run here, or the system cannot fork.
        ReplayError: if a contender's model does not meet the formula.
        RuntimeError: if a contender died without a limit to blame, and no other answered.
    """
    start = time.monotonic()
    _require_sense(contenders, timeout, memory)
    works: list[Work] = [partial(_solve, formula, contender, seed, prefer) for contender in contenders]
    heat = _Heat(list(contenders), [Child(memory) for _ in contenders])
    try:
        heat.start(works)
        answer, winner = heat.first_answer(math.inf if timeout is None else start + timeout)
    finally:
        heat.stop()
    return Finish(answer, winner, time.monotonic() - start)


def _solve(formula: Formula, contender: Contender, seed: int, prefer: Sequence[int], report: Report) -> Answer:
    return solve(formula, contender.backend, encoding=contender.encoding, seed=seed, prefer=prefer)


def _require_sense(contenders: Sequence[Contender], timeout: float | None, memory: int | None) -> None:
    if not contenders:
        raise UsageError("a race of no back ends: expected at least one")
    for contender in contenders:
        encoding_for(backend_named(contender.backend), contender.encoding)
    for name, limit in (("timeout", timeout), ("memory", memory)):
        if limit is not None and not 0 < limit < math.inf:
            raise UsageError(f"{name} {limit}: expected more than 0")
    if not hasattr(os, "fork"):
        raise UnsupportedError("a race needs a system that can fork; use one back end")


class _Heat:
    """The contenders that still run, and why the others stopped."""

    def __init__(self, contenders: list[Contender], children: list[Child]) -> None:
        self.running = dict(enumerate(children))
        self.contenders = contenders
        self.reasons: list[str] = []
        self.refusals: list[UnsupportedError] = []
        self.deaths: list[str] = []

    def start(self, works: list[Work]) -> None:
        for child, work in zip(self.running.values(), works, strict=True):
            child.start(work)

    def stop(self) -> None:
        """Kill whoever still runs, each even if stopping another fails."""
        with ExitStack() as stack:
            for child in self.running.values():
                stack.callback(child.stop)
            self.running = {}

    def first_answer(self, deadline: float) -> tuple[Answer, Contender | None]:
        while self.running:
            left = deadline - time.monotonic()
            wait([child.receiver for child in self.running.values()], max(0.0, min(POLL_SECONDS, left)))
            for number in list(self.running):
                answer = self._look(number)
                if answer is not None:
                    return answer, self.contenders[number]
            if left <= 0:
                return Answer(None, None, "; ".join([*self.reasons, "time limit"])), None
        return self._nobody(), None

    def _look(self, number: int) -> Answer | None:
        """The contender's answer, if it gives one now; one that ended without is taken out."""
        child = self.running[number]
        kind, value = child.watch(0.0)
        if kind == "timeout" and not child.outgrew():
            return None
        if kind == "result" and value.satisfiable is not None:
            return value  # type: ignore[no-any-return]
        del self.running[number]
        child.stop()
        self._note(self.contenders[number], kind, value, child)
        return None

    def _note(self, contender: Contender, kind: str, value: object, child: Child) -> None:
        """Why a contender left the race; a bug of ours is raised."""
        if isinstance(value, UnsupportedError):
            self.refusals.append(value)
        elif isinstance(value, BaseException):
            raise value
        reason = value.remark if isinstance(value, Answer) else str(value or "")
        if kind in ("timeout", "memory") or (kind == "died" and child.limit_that_killed()):
            reason = "memory ran out"
        elif kind == "died":
            reason = f"died without an answer ({child.cause_of_death()})"
            self.deaths.append(f"{contender} {reason}")
        self.reasons.append(f"{contender}: {reason}")

    def _nobody(self) -> Answer:
        if len(self.refusals) == len(self.contenders):
            raise self.refusals[0]
        if self.deaths:
            raise RuntimeError(f"no back end answered; {'; '.join(self.deaths)}")
        return Answer(None, None, "; ".join(self.reasons))
