"""This package's own solver as a back end: it takes a formula's arrays as they are."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from bnnverify.backends.answers import Answer, Request, met
from bnnverify.solver.solver import Solver
from encoders.formula import Formula


class NativeSearch:
    """A search that may be paused and goes on with what it has learnt.

    Args:
        prefer: literals to decide for first.
    """

    def __init__(self, formula: Formula, seed: int, prefer: Iterable[int]) -> None:
        self._n_variables = formula.n_variables
        self._solver = Solver(seed=seed)
        self._solver.add_formula(formula)
        self._solver.prefer(prefer)

    def run(self, timeout: float | None) -> Answer:
        """Search for so many seconds, looked at a few times a second, or to the end."""
        found = self._solver.solve(timeout=timeout)
        remark = f"{self._solver.stats.conflicts:,} conflicts"
        if found and self._solver.model is not None:
            return replace(met(self._solver.model, self._n_variables), remark=remark)
        return Answer(None, None, "time limit") if found is None else Answer(False, None, remark)


def run_native(formula: Formula, request: Request) -> Answer:
    """By :class:`bnnverify.solver.solver.Solver`."""
    start = time.monotonic()
    search = NativeSearch(formula, request.seed, request.prefer)
    return search.run(None if request.timeout is None else max(0.0, request.timeout - (time.monotonic() - start)))
