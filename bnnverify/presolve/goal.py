"""A system and the classes asked for as one formula: flips, neurons, the budget, and who beats whom.

Variables are numbered flips first, then the neurons of each block, then one for each comparison of a wanted class
with another one. A class wins if it beats every class that is not wanted. Rows are put over literals with positive
weights, clipped at the bound and coprime, so that a comparison of classes with equal scales is a cardinality
constraint, and one with real scales is exact whatever its coefficients are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.presolve.rows import Longs, Mask, Rows, stacked
from bnnverify.presolve.system import System
from encoders.formula import Formula


@dataclass(frozen=True, eq=False)
class Goal:
    """A formula that is satisfiable iff some input has a wanted class, or the answer, where that is known already.

    Args:
        formula: None where nothing has to be searched.
        trivial: whether all inputs have a wanted class (True), or none has (False); None where it must be searched.
        n_flips: the first variables of the formula are the flips.
    """

    formula: Formula | None
    trivial: bool | None
    n_flips: int

    def flips(self, model: NDArray[np.bool_]) -> Mask:
        """The flips of a model, ``(n_flips,)``."""
        return model[1 : self.n_flips + 1]


def goal(system: System, wanted: Iterable[int]) -> Goal:
    """What has to be satisfied for an input of a wanted class to exist."""
    is_wanted = np.isin(system.classes, list(wanted))
    if not is_wanted.any() or is_wanted.all():
        return Goal(None, bool(is_wanted.any()), system.n_flips)
    duels = [(c, d) for c in np.flatnonzero(is_wanted) for d in np.flatnonzero(~is_wanted)]
    leads = _leads(system, duels)
    offsets = np.cumsum([0, system.n_flips, *(rows.n_rows for rows in system.blocks), len(duels)])
    rows = _Literals()
    for block, first, output in zip((*system.blocks, leads), offsets, offsets[1:], strict=False):
        rows.add(block, int(first), output + 1 + np.arange(block.n_rows))
    if system.budget is not None:
        rows.add(_budget_row(system, system.budget), 0, np.zeros(1, dtype=np.int64))
    first_duel = int(offsets[-2]) + 1
    return Goal(rows.formula(system, int(offsets[-1]), _winning(duels, first_duel)), None, system.n_flips)


def _leads(system: System, duels: list[tuple[np.intp, np.intp]]) -> Rows:
    """One row a duel, at least 0 iff the first class's key is greater; keys are never equal."""
    first, second = np.array(duels).T
    weights = system.keys[first] - system.keys[second]
    return Rows.of_dense(weights, system.bases[first] - system.bases[second] - 1).coprime()


def _budget_row(system: System, budget: int) -> Rows:
    return Rows.of_dense(-system.costs[None, :], np.array([budget])).coprime()


def _winning(duels: list[tuple[np.intp, np.intp]], first: int) -> list[tuple[int, ...]]:
    """Clauses that say that some wanted class wins all its duels."""
    by_class: dict[int, list[int]] = {}
    for i, (c, _) in enumerate(duels):
        by_class.setdefault(int(c), []).append(first + i)
    groups = list(by_class.values())
    if len(groups) == 1:
        return [(duel,) for duel in groups[0]]
    if len(groups[0]) == 1:
        return [tuple(group[0] for group in groups)]
    winner = first + len(duels)
    clauses: list[tuple[int, ...]] = [tuple(winner + k for k in range(len(groups)))]
    return clauses + [(-winner - k, duel) for k, group in enumerate(groups) for duel in group]


class _Literals:
    """Collects rows over variables as rows over literals with positive weights."""

    def __init__(self) -> None:
        self._parts: list[Rows] = []
        self._outputs: list[Longs] = []

    def add(self, rows: Rows, first: int, outputs: Longs) -> None:
        """Rows over the variables ``first + 1 + column``; outputs are literals, or 0 where a row must hold."""
        negative = rows.weights < 0
        literals = np.where(negative, -1, 1) * (rows.columns + first + 1)
        constants = rows.constants - rows.sums(np.where(negative, -rows.weights, 0))
        self._parts.append(Rows(rows.starts, literals, np.abs(rows.weights), constants, 0))
        self._outputs.append(outputs)

    def formula(self, system: System, n_variables: int, winning: list[tuple[int, ...]]) -> Formula:
        rows, outputs = stacked(self._parts), np.concatenate(self._outputs)
        bounds = -rows.constants
        totals = rows.sums(rows.weights)
        always, never = bounds <= 0, bounds > totals
        open_rows = np.flatnonzero(~always & ~never)
        clauses: list[tuple[int, ...]] = [(int(p),) for p in outputs[always & (outputs != 0)]]
        clauses += [(-int(p),) if p else () for p in outputs[never]]
        clauses += [tuple(pair) for pair in system.pairs.tolist()] + winning
        kept = rows.of_rows(open_rows)
        bounds = bounds[open_rows]
        return Formula(
            n_variables=max([n_variables, *(abs(p) for clause in winning for p in clause)]),
            starts=kept.starts,
            literals=kept.columns.astype(np.int32),
            weights=np.minimum(kept.weights, bounds[kept.row]),
            bounds=bounds,
            outputs=outputs[open_rows].astype(np.int32),
            clauses=tuple(clauses),
            inputs=tuple(range(1, system.n_flips + 1)),
        )
