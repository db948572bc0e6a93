"""The raw system of a proof: clauses and rows ``output <-> weighted sum of literals >= bound``, as arrays.

Literals are nonzero integers as in DIMACS files. Sums are exact: where one could pass 60 bits, as scales and biases
of many digits make them, weights and bounds are Python's own integers in arrays of objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError

MOST_SUM = 1 << 60


class Row(NamedTuple):
    """One row; ``output`` is 0 where it must hold."""

    output: int
    bound: int
    weights: NDArray[Any]
    literals: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class System:
    """What a proof starts from.

    Args:
        n_variables: variables are 1 to this.
        starts: ``(rows + 1,)``, row r has the terms ``starts[r]:starts[r + 1]``.
        literals: ``(terms,)``, each variable at most once in a row.
        weights: ``(terms,)`` positive.
        bounds: ``(rows,)`` from 0 to one more than the row's sum of weights.
        outputs: ``(rows,)`` variables, each at most once, or 0 where the row must hold.
        clauses: each an array of literals.
        budgeted: whether row 0 is the budget, ``sum of costs of the steps not taken >= bound``.

    Raises:
        UsageError: if a literal is of no variable, a weight is not positive, or a variable has two rows.
    """

    n_variables: int
    starts: NDArray[np.int64]
    literals: NDArray[np.int64]
    weights: NDArray[Any]
    bounds: NDArray[Any]
    outputs: NDArray[np.int64]
    clauses: tuple[NDArray[np.int64], ...]
    budgeted: bool

    def __post_init__(self) -> None:
        if self.n_variables >= 1 << 30:
            raise UsageError(f"{self.n_variables} variables: expected less than 2^30")
        for literals in (self.literals, *self.clauses):
            if literals.size and ((literals == 0).any() or np.abs(literals).max() > self.n_variables):
                raise UsageError(f"a literal is of no variable 1 to {self.n_variables}")
        defined = self.outputs[self.outputs != 0]
        if defined.size and (defined.min() < 1 or defined.max() > self.n_variables):
            raise UsageError(f"an output is no variable 1 to {self.n_variables}")
        if np.unique(defined).size < defined.size:
            raise UsageError("two rows have one output")
        if self.weights.size and self.weights.min() < 1:
            raise UsageError(f"a weight is {self.weights.min()}, expected at least 1")
        sums = self.sums()
        if (self.bounds < 0).any() or (self.bounds > sums + 1).any():
            raise UsageError("a bound lies outside 0 to one more than its row's sum of weights")
        if self.budgeted and (not self.n_rows or self.outputs[0] != 0 or sums[0] >= MOST_SUM):
            raise UsageError("the first row is no budget")
        _require_distinct(self)

    @property
    def n_rows(self) -> int:
        return int(self.outputs.size)

    def row(self, index: int) -> Row:
        """One row, its bound as Python's integer."""
        part = slice(self.starts[index], self.starts[index + 1])
        return Row(int(self.outputs[index]), int(self.bounds[index]), self.weights[part], self.literals[part])

    def sums(self) -> NDArray[Any]:
        """Sum of the weights of each row, ``(rows,)``."""
        sums = np.zeros(self.n_rows, dtype=self.weights.dtype)
        np.add.at(sums, self.row_of_terms(), self.weights)
        return sums

    def row_of_terms(self) -> NDArray[np.int64]:
        """Which row each term is of, ``(terms,)``."""
        return np.repeat(np.arange(self.n_rows), np.diff(self.starts))


def system_of(n_variables: int, rows: list[Row], clauses: list[NDArray[np.int64]], budgeted: bool) -> System:
    """Rows as one system; arrays of objects only where int64 could overflow."""
    exact = all(row.weights.dtype != object for row in rows) and all(abs(row.bound) <= MOST_SUM for row in rows)
    dtype: type[Any] = np.int64 if exact else object
    starts = np.concatenate([[0], np.cumsum([row.literals.size for row in rows], dtype=np.int64)]).astype(np.int64)
    empty = np.zeros(0, dtype=np.int64)
    return System(
        n_variables,
        starts,
        np.concatenate([empty, *(row.literals for row in rows)]),
        np.concatenate([empty.astype(dtype), *(row.weights.astype(dtype) for row in rows)]),
        np.array([row.bound for row in rows], dtype=dtype),
        np.array([row.output for row in rows], dtype=np.int64),
        tuple(clauses),
        budgeted,
    )


def difference(found: System, expected: System) -> str | None:
    """What one system has that the other has not, or None where they are the same."""
    if (found.n_variables, found.n_rows) != (expected.n_variables, expected.n_rows):
        sizes = f"{found.n_variables} variables and {found.n_rows} rows"
        return f"{sizes}, expected {expected.n_variables} and {expected.n_rows}"
    for index in range(found.n_rows):
        ours, theirs = found.row(index), expected.row(index)
        if ours[:2] != theirs[:2] or not all(map(np.array_equal, ours[2:], theirs[2:])):
            return f"row {index + 1} (output {ours.output}, bound {ours.bound}) is not the network's"
    if len(found.clauses) != len(expected.clauses) or not all(map(np.array_equal, found.clauses, expected.clauses)):
        return "the clauses are not those of the question"
    return None if found.budgeted == expected.budgeted else "the budget is not that of the question"


def _require_distinct(system: System) -> None:
    """No variable twice in a row, nor in the row that defines it."""
    terms = np.concatenate([np.abs(system.literals), system.outputs])
    rows = np.concatenate([system.row_of_terms(), np.arange(system.n_rows)])
    keys = np.sort(rows[terms > 0] * (system.n_variables + 1) + terms[terms > 0])
    if (keys[1:] == keys[:-1]).any():
        raise UsageError(
            f"row {keys[1:][keys[1:] == keys[:-1]][0] // (system.n_variables + 1) + 1} has a variable twice"
        )
