"""A formula as it is written: new variables, clauses, and rows over signed literals.

Rows come as terms ``weight * literal`` in any order; a negative literal is ``1 - variable``. They leave as the
neutral form of :mod:`encoders.formula`, over literals with positive, coprime weights. Cost: one sort of the terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bnnverify.presolve.rows import Longs, Rows, stacked
from encoders.formula import Formula

Clause: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Terms:
    """``weight[i]`` for row ``row[i]`` where ``literal[i]`` is true."""

    row: Longs
    weight: Longs
    literal: Longs


def joined(*parts: Terms) -> Terms:
    """All of these terms."""
    return Terms(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "weight", "literal")))


class Wiring:
    """Collects what a formula consists of; the first variable is 1."""

    def __init__(self) -> None:
        self.n_variables = 0
        self._parts: list[Rows] = []
        self._outputs: list[Longs] = []
        self._clauses: list[Clause] = []
        self._paid = Terms(*(np.zeros(0, dtype=np.int64) for _ in range(3)))

    def variables(self, n: int) -> Longs:
        """So many new ones, ``(n,)``."""
        self.n_variables += n
        return np.arange(self.n_variables - n + 1, self.n_variables + 1, dtype=np.int64)

    def add_clauses(self, *columns: Longs) -> None:
        """One clause for each place of these arrays of literals."""
        self._clauses += [tuple(clause) for clause in np.stack(columns, axis=1).tolist()]

    def add_clause(self, literals: Longs | list[int]) -> None:
        self._clauses.append(tuple(int(literal) for literal in literals))

    def add_rows(self, terms: Terms, constants: Longs, outputs: Longs) -> None:
        """``outputs[r]`` is true iff ``constants[r]`` and the row's terms add up to at least 0; 0: they must."""
        negative = terms.literal < 0
        constants = constants.copy()
        np.add.at(constants, terms.row[negative], terms.weight[negative])
        weights = np.where(negative, -terms.weight, terms.weight)
        rows = Rows.of_terms(terms.row, np.abs(terms.literal), weights, constants, self.n_variables + 1)
        self._parts.append(rows.coprime())
        self._outputs.append(outputs)

    def counter(self, most: Longs) -> Longs:
        """For each row so many variables that become true in order, each at the cost of 1; padded by 0."""
        used = np.arange(int(most.max(initial=0)))[None, :] < most[:, None]
        counter = np.zeros(used.shape, dtype=np.int64)
        counter[used] = self.variables(int(np.count_nonzero(used)))
        row, place = np.nonzero(used[:, 1:])
        if row.size:
            self.add_clauses(-counter[row, place + 1], counter[row, place])
        self.pay(counter[used], np.ones(np.count_nonzero(used), dtype=np.int64))
        return counter

    def pay(self, variables: Longs, costs: Longs) -> None:
        """Let each of these variables cost so much where it is true."""
        self._paid = joined(self._paid, Terms(np.zeros(costs.size, dtype=np.int64), -costs, variables))

    def limit_costs(self, budget: int) -> None:
        """Require that all that is paid for costs at most so much."""
        self.add_rows(self._paid, np.array([budget]), np.zeros(1, dtype=np.int64))

    def formula(self) -> Formula:
        """What was collected, with the rows that are settled by themselves as clauses."""
        rows, outputs = stacked(self._parts), np.concatenate(self._outputs)
        negative = rows.weights < 0
        bounds = rows.sums(np.where(negative, -rows.weights, 0)) - rows.constants
        weights = np.abs(rows.weights)
        always, never = bounds <= 0, bounds > rows.sums(weights)
        clauses: list[Clause] = [(int(p),) for p in outputs[always & (outputs != 0)]]
        clauses += [(-int(p),) if p else () for p in outputs[never]]
        signed = Rows(rows.starts, np.where(negative, -rows.columns, rows.columns), weights, bounds, 0)
        kept = signed.of_rows(np.flatnonzero(~always & ~never))
        return Formula(
            n_variables=self.n_variables,
            starts=kept.starts,
            literals=kept.columns.astype(np.int32),
            weights=np.minimum(kept.weights, kept.constants[kept.row]),
            bounds=kept.constants,
            outputs=outputs[~always & ~never].astype(np.int32),
            clauses=tuple(self._clauses + clauses),
        )
