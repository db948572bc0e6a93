"""Sparse rows ``constant + sum of weights of the true variables >= 0``: the blocks of a network, patch by patch.

A convolution is a few weights a row out of thousands of inputs, so rows are kept in compressed form and nothing
here is quadratic in an image. All sums are exact int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """``n_rows`` affine functions of 0/1 variables; as a block's neurons, each is true iff it is at least 0.

    Args:
        starts: ``(n_rows + 1,)`` row r has the terms ``starts[r]:starts[r + 1]``.
        columns: ``(terms,)`` variables, increasing within a row.
        weights: ``(terms,)`` nonzero.
        constants: ``(n_rows,)``.
        n_columns: number of variables.
    """

    starts: Longs
    columns: Longs
    weights: Longs
    constants: Longs
    n_columns: int

    @classmethod
    def of_dense(cls, weights: NDArray[np.integer], constants: NDArray[np.integer]) -> Rows:
        """From a matrix ``(n_rows, n_columns)``."""
        row, column = np.nonzero(weights)
        values = weights[row, column].astype(np.int64)
        return cls.of_terms(row, column, values, constants.astype(np.int64), weights.shape[1])

    @classmethod
    def of_terms(cls, row: Longs, column: Longs, weights: Longs, constants: Longs, n_columns: int) -> Rows:
        """From terms in any order; those of the same row and variable are added up, and zeros are left out."""
        keys = row * n_columns + column
        if not np.all(keys[1:] > keys[:-1]):
            order = np.argsort(keys, kind="stable")
            keys, weights = keys[order], weights[order]
            first = np.flatnonzero(np.concatenate([[True], keys[1:] > keys[:-1]]))
            keys, weights = keys[first], np.add.reduceat(weights, first)
            row, column = keys // n_columns, keys % n_columns
        kept = weights != 0
        row, column, weights = row[kept], column[kept], weights[kept]
        starts = np.searchsorted(row, np.arange(constants.size + 1)).astype(np.int64)
        return cls(starts, column.astype(np.int64), weights, constants, n_columns)

    @property
    def n_rows(self) -> int:
        return int(self.constants.size)

    @cached_property
    def row(self) -> Longs:
        """The row of each term, ``(terms,)``."""
        return np.repeat(np.arange(self.n_rows, dtype=np.int64), np.diff(self.starts))

    def sums(self, terms: Longs) -> Longs:
        """Per row, the sum of one value a term."""
        totals = np.concatenate([[0], np.cumsum(terms)])
        sums: Longs = totals[self.starts[1:]] - totals[self.starts[:-1]]
        return sums

    def values(self, variables: Mask) -> Longs:
        """The rows' values under an assignment ``(n_columns,)``."""
        return self.constants + self.sums(self.weights * variables[self.columns])

    def range(self) -> tuple[Longs, Longs]:
        """Least and greatest value of each row over all assignments."""
        low = self.constants + self.sums(np.minimum(self.weights, 0))
        return low, self.constants + self.sums(np.maximum(self.weights, 0))

    def of_rows(self, kept: Longs) -> Rows:
        """Some of the rows, in the order given."""
        lengths = np.diff(self.starts)[kept]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        terms = np.repeat(self.starts[kept] - starts[:-1], lengths) + np.arange(starts[-1])
        return Rows(starts, self.columns[terms], self.weights[terms], self.constants[kept], self.n_columns)

    def substituted(self, new: Longs, negated: Mask, fixed: NDArray[np.int8], n_columns: int) -> Rows:
        """The same functions of other variables.

        Args:
            new: ``(n_columns,)`` the variable that stands for each.
            negated: whether it stands for its negation.
            fixed: 0 or 1 where a variable has that value, -1 where ``new`` stands for it.
        """
        settled, flipped = fixed[self.columns], negated[self.columns]
        gained = np.where(settled >= 0, self.weights * settled, np.where(flipped, self.weights, 0))
        moving = settled < 0
        weights = np.where(flipped, -self.weights, self.weights)[moving]
        constants = self.constants + self.sums(gained)
        return Rows.of_terms(self.row[moving], new[self.columns[moving]], weights, constants, n_columns)

    def coprime(self) -> Rows:
        """Rows that are at least 0 where these are, with each row's weights divided by their common divisor."""
        common = (
            np.gcd.reduceat(np.append(np.abs(self.weights), 0), self.starts[:-1]) if self.n_rows else self.constants
        )
        common = np.where(np.diff(self.starts) > 0, common, 1)
        return replace(self, weights=self.weights // common[self.row], constants=self.constants // common)


def stacked(parts: Sequence[Rows]) -> Rows:
    """Rows of several groups over the same variables, one behind the other."""
    ends = np.cumsum([0, *(part.columns.size for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return Rows(
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.constants for part in parts]),
        parts[0].n_columns,
    )
