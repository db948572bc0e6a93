"""A problem for any solver: clauses and many reified linear constraints, as arrays.

A network's block is one array of literals, not thousands of objects, so a problem with a million literals is made in
milliseconds. A solver of our own takes the arrays as they are; others take :meth:`Formula.linears`, one
:class:`~encoders.linear.Linear` a row, or go through :func:`encoders.encode.encode` or :mod:`encoders.opb`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from encoders.linear import Linear


@dataclass(frozen=True, eq=False)
class Formula:
    """Clauses, and rows ``outputs[r] <-> sum of weights of the true literals >= bounds[r]``.

    Literals are DIMACS integers: v for variable v of 1 .. n_variables, -v for its negation.

    Args:
        n_variables: number of variables.
        starts: ``(rows + 1,)`` int64, row r has the terms ``starts[r]:starts[r + 1]``.
        literals: ``(terms,)`` int32, each variable at most once in a row.
        weights: ``(terms,)`` int64, positive.
        bounds: ``(rows,)`` int64, from 1 to the row's sum of weights.
        outputs: ``(rows,)`` int32, a literal of another variable, or 0 where the row must hold.
        clauses: each a tuple of literals.
        inputs: variables that, by their values, determine all others; what a projected count counts.
    """

    n_variables: int
    starts: NDArray[np.int64]
    literals: NDArray[np.int32]
    weights: NDArray[np.int64]
    bounds: NDArray[np.int64]
    outputs: NDArray[np.int32]
    clauses: tuple[tuple[int, ...], ...] = ()
    inputs: tuple[int, ...] = ()

    @property
    def n_rows(self) -> int:
        return int(self.bounds.size)

    def linears(self) -> Iterator[Linear]:
        """The rows, one by one, as constraints that encoders take."""
        literals, weights = self.literals.tolist(), self.weights.tolist()
        starts, bounds, outputs = self.starts.tolist(), self.bounds.tolist(), self.outputs.tolist()
        for row, (first, end) in enumerate(pairwise(starts)):
            terms = tuple(zip(weights[first:end], literals[first:end], strict=True))
            yield Linear(terms, bounds[row], outputs[row] or None)

    def holds(self, values: NDArray[np.bool_]) -> bool:
        """Whether an assignment meets everything; ``values[v]`` is variable v's, so there are n_variables + 1."""
        true = np.asarray(values[np.abs(self.literals)] == (self.literals > 0))
        sums = np.add.reduceat(np.append(self.weights * true, 0), self.starts[:-1]) if self.n_rows else self.bounds
        sums = np.where(np.diff(self.starts) > 0, sums, 0)
        expected = (self.outputs == 0) | (values[np.abs(self.outputs)] == (self.outputs > 0))
        rows = bool(np.all((sums >= self.bounds) == expected))
        return rows and all(any(bool(values[abs(p)]) == (p > 0) for p in clause) for clause in self.clauses)
