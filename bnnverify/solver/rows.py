"""Rows as they are added, and the arrays that propagation wants: heaviest literals first, and who occurs where.

A batch is what one call added, already in arrays, so a formula of a million literals is taken as it is. Cost: one
sort of the literals of rows whose weights differ; all else is counting, O(literals + variables).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import Ints, Longs, Rows

if TYPE_CHECKING:
    from encoders.formula import Formula

LARGEST_SUM = 1 << 62


class Batch(NamedTuple):
    """Rows ``outputs[r] <-> weights of the true literals >= bounds[r]``, bounds from 1 to the sum of weights.

    Args:
        lengths: ``(rows,)`` number of literals of each row.
        literals, weights: those of all rows, weights positive.
        bounds, outputs: ``(rows,)``.
    """

    lengths: Longs
    literals: Ints
    weights: Longs
    bounds: Longs
    outputs: Ints


_LONGS, _INTS = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
EMPTY = Batch(_LONGS, _INTS, _LONGS, _LONGS, _INTS)


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of all their rows, in order."""
    if len(batches) == 1:
        return batches[0]
    return Batch(*(np.concatenate(parts) for parts in zip(EMPTY, *batches, strict=True)))


def new_rows(batch: Batch, n_vars: int) -> Rows:
    """The rows over literals below ``2 * n_vars``, none of them propagated; O(literals + variables)."""
    starts = np.zeros(batch.lengths.size + 1, dtype=np.int64)
    np.cumsum(batch.lengths, out=starts[1:])
    literals, weights = batch.literals, batch.weights
    if weights.size and weights.max() > 1:
        where = np.repeat(np.arange(batch.lengths.size), batch.lengths)
        heaviest_first = np.lexsort((-weights, where))
        literals, weights = literals[heaviest_first], weights[heaviest_first]
    widest = np.maximum.reduceat(weights, starts[:-1]) if starts.size > 1 else np.zeros(0, dtype=np.int64)
    totals = np.add.reduceat(weights, starts[:-1]) if starts.size > 1 else widest
    needs = np.stack([batch.bounds, totals - batch.bounds + 1], axis=1).reshape(-1)
    occurs_at, puts_at = np.zeros(4 * n_vars + 1, dtype=np.int64), np.zeros(2 * n_vars + 1, dtype=np.int64)
    occurs, heft = np.zeros(literals.size, dtype=np.int32), np.zeros(literals.size, dtype=np.int64)
    puts = np.zeros(starts.size - 1, dtype=np.int32)
    index(starts, literals, weights, widest, batch.outputs, occurs_at, occurs, heft, puts_at, puts)
    return Rows(
        needs.copy(), needs, widest, batch.outputs, starts, literals, weights, occurs_at, occurs, heft, puts_at, puts
    )


@kernel
def index(  # type: ignore[no-untyped-def]
    starts, literals, weights, widest, outputs, occurs_at, occurs, heft, puts_at, puts
):
    """Fill in where each literal occurs, and which rows it is the output of, by counting."""
    for row in range(outputs.size):
        puts_at[outputs[row]] += 1
        for i in range(starts[row], starts[row + 1]):
            occurs_at[2 * np.int64(literals[i]) + (widest[row] > 1)] += 1
    _summed(occurs_at)
    _summed(puts_at)
    for row in range(outputs.size - 1, -1, -1):
        puts_at[outputs[row]] -= 1
        puts[puts_at[outputs[row]]] = row
        for i in range(starts[row], starts[row + 1]):
            at = 2 * np.int64(literals[i]) + (widest[row] > 1)
            occurs_at[at] -= 1
            occurs[occurs_at[at]] = row
            heft[occurs_at[at]] = weights[i]


@kernel
def _summed(sums):  # type: ignore[no-untyped-def]
    """Turn counts into the sums up to and with each."""
    for i in range(1, sums.size):
        sums[i] += sums[i - 1]


def merged(weights: Iterable[int], literals: Iterable[int], bound: int) -> tuple[list[int], list[int], int]:
    """The same sum with positive coprime weights, each variable once: weights, literals, bound."""
    of_true: Counter[int] = Counter()
    for weight, literal in zip(weights, literals, strict=True):
        of_true[literal & ~1] += weight * (1 - 2 * (literal & 1))
        bound -= weight * (literal & 1)
    terms = [(abs(weight), literal | (weight < 0)) for literal, weight in of_true.items() if weight]
    bound += sum(weight for weight, literal in terms if literal & 1)
    divisor = math.gcd(*(weight for weight, _ in terms)) or 1
    return [weight // divisor for weight, _ in terms], [literal for _, literal in terms], -(-bound // divisor)


def checked(formula: Formula) -> Batch:
    """A formula's rows as a batch, its variable 1 being ours too.

    Raises:
        UsageError: if arrays do not fit together, or a literal, a weight or a bound is out of its range.
    """
    starts, weights = formula.starts, formula.weights
    lengths = np.diff(starts)
    fits = starts.size == formula.bounds.size + 1 == formula.outputs.size + 1 and starts[0] == 0
    if not fits or formula.literals.size != weights.size or starts[-1] != weights.size or (lengths < 1).any():
        raise UsageError(f"formula of {formula.bounds.size} rows: expected arrays of as many rows, none of them empty")
    _in_range("literal", np.abs(formula.literals), 1, formula.n_variables)
    _in_range("output", np.abs(formula.outputs), 0, formula.n_variables)
    if lengths.size == 0:
        return EMPTY
    _in_range("weight", weights, 1, LARGEST_SUM // int(lengths.max()))
    _in_range("bound", formula.bounds, 1, np.add.reduceat(weights, starts[:-1]))
    outputs = _numbered(formula.outputs)
    if weights.max() == 1:
        return Batch(lengths, _numbered(formula.literals), weights, formula.bounds, outputs)
    divisors = np.gcd.reduceat(weights, starts[:-1])
    bounds = -(-formula.bounds // divisors)
    return Batch(lengths, _numbered(formula.literals), weights // np.repeat(divisors, lengths), bounds, outputs)


def _numbered(literals: Ints) -> Ints:
    """DIMACS literals as the kernels number them; 0 is TRUE_LITERAL."""
    return np.asarray(2 * np.abs(literals) + (literals < 0), dtype=np.int32)


def _in_range(what: str, values: Ints | Longs, least: int, most: int | Longs) -> None:
    outside = np.flatnonzero((values < least) | (values > most))
    if outside.size:
        at = int(outside[0])
        limit = int(np.broadcast_to(most, values.shape)[at])
        raise UsageError(f"{what} {int(values[at])} at position {at}: expected {least} to {limit}")
