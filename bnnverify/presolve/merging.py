"""Equal and opposite neurons of a block become one; inputs that no row tells apart are put in order.

Two rows are equal neurons if they are the same function after division by their common divisor, and opposite ones
if one is the other's negation, ``-f - 1 >= 0``. Flips with equal columns and costs may be exchanged in any input, so
one is only made if the one before is. Cost: one sort of the rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnverify.presolve.rows import Longs, Mask, Rows
from bnnverify.presolve.system import no_pairs


def representatives(rows: Rows) -> tuple[Longs, Mask]:
    """For each row, the first row that is equal or opposite, and whether it is opposite; rows are coprime."""
    leading = np.zeros(rows.n_rows, dtype=np.int64)
    filled = np.diff(rows.starts) > 0
    leading[filled] = rows.weights[rows.starts[:-1][filled]]
    negated = leading < 0
    weights = np.where(negated[rows.row], -rows.weights, rows.weights)
    constants = np.where(negated, -rows.constants - 1, rows.constants)
    first = _first_equal([rows.columns, weights], rows.starts, constants)
    return first, negated != negated[first]


def exchangeable(rows: Rows, costs: Longs, pairs: Longs) -> NDArray[np.int64]:
    """Pairs of literals that put flips of equal columns and costs in order; flips in ``pairs`` are left alone."""
    by_column = np.argsort(rows.columns, kind="stable")
    starts = np.searchsorted(rows.columns[by_column], np.arange(rows.n_columns + 1))
    first = _first_equal([rows.row[by_column], rows.weights[by_column]], starts, costs)
    alone = np.zeros(rows.n_columns, dtype=np.bool_)
    alone[np.abs(pairs).reshape(-1) - 1] = True
    flips = np.flatnonzero(~alone)
    groups = flips[np.argsort(first[flips], kind="stable")]
    same = first[groups[1:]] == first[groups[:-1]] if groups.size else np.empty(0, np.bool_)
    later, before = groups[1:][same], groups[:-1][same]
    return np.stack([-later - 1, before + 1], axis=1) if later.size else no_pairs()


def _first_equal(parts: list[Longs], starts: Longs, heads: Longs) -> Longs:
    """For each list ``parts[:][starts[i]:starts[i + 1]]`` with its head, the index of the first equal one."""
    known: dict[bytes, int] = {}
    first = np.empty(heads.size, dtype=np.int64)
    for i in range(heads.size):
        span = slice(int(starts[i]), int(starts[i + 1]))
        key = heads[i].tobytes() + b"".join(part[span].tobytes() for part in parts)
        first[i] = known.setdefault(key, i)
    return first
