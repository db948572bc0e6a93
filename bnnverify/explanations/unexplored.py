"""Which sets of free features are still to be looked at, kept by a SAT solver.

Every set of features, set free, either has a counterexample or has none. A contrastive explanation settles
all its supersets (they have one), an abductive explanation all sets that it does not meet (they have none). The rest
is unexplored: an assignment of one variable a feature that satisfies a clause for each explanation found.

Reference: Liffiton, Previti, Malik and Marques-Silva, "Fast, flexible MUS enumeration", 2016.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


class Unexplored:
    """The sets of free features that no explanation found so far settles.

    Args:
        n_features: number of features.
        large_first: prefer sets with many free features, which mostly have counterexamples; else few.
    """

    def __init__(self, n_features: int, *, large_first: bool) -> None:
        from pysat.solvers import Solver

        self._n = n_features
        self._solver = Solver(name="minisat22")
        variables = range(1, n_features + 1)
        self._solver.set_phases([v if large_first else -v for v in variables])
        self._solver.append_formula([[v, -v] for v in variables])
        self._open = True

    def some(self, including: Sequence[int] = ()) -> NDArray[np.bool_] | None:
        """An unexplored set ``(n_features,)`` with the given features free, or None if there is none."""
        if not self._open or not self._solver.solve(assumptions=[feature + 1 for feature in including]):
            return None
        free = np.zeros(self._n, dtype=np.bool_)
        free[[literal - 1 for literal in self._solver.get_model() if literal > 0]] = True
        return free

    def settle_contrastive(self, features: Iterable[int]) -> None:
        """No superset of these free features is asked for again."""
        self._add([-(feature + 1) for feature in features])

    def settle_abductive(self, features: Iterable[int]) -> None:
        """No set of free features that leaves all of these fixed is asked for again."""
        self._add([feature + 1 for feature in features])

    def _add(self, clause: list[int]) -> None:
        self._open = self._open and bool(clause)
        if clause:
            self._solver.add_clause(clause)

    def __enter__(self) -> Unexplored:
        return self

    def __exit__(self, *_: object) -> None:
        self._solver.delete()
