"""Direct compilation from a truth table: classify all settings of the free bits, then reduce.

Where few bits are free nothing beats visiting them all, 64 neurons to a vector add, as ``enumerate`` does;
only here every input's class is kept, one byte each, in the order of the levels. The last bits are tabulated
as sums of columns; every setting of the first ones starts a run over that table, or is filled at once where
interval bounds settle it. The table is handed on in blocks, so memory stays small.

Cost: 4 to 8 ns an input and 64 moving neurons, and 5 to 40 ns an entry for the reduction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.reduce import diagram_of_labels
from bnnverify.diagram.unique import MOST_NODES
from bnnverify.engines.packed import (
    PackedTail,
    known_first_bits,
    pack_tail,
    pattern_nanoseconds,
    possible_classes,
    score,
)
from bnnverify.engines.residual import Residual
from bnnverify.engines.sink import BATCH
from bnnverify.engines.slackwords import GROUP, grouped, sign_word

MOST_LEVELS = 30
RUN_LEVELS = BATCH.bit_length() - 1
BLOCK_LEVELS = 20
REDUCE_NANOSECONDS = 30.0
INT8_REACH = 100


def compile_table(
    residual: Residual, levels: NDArray[np.int64], *, node_limit: int = MOST_NODES
) -> tuple[FlatDiagram, int]:
    """The diagram of a residual network of at most ``MOST_LEVELS`` items, and the entries of its table.

    Args:
        levels: ``(m,)`` the item at each level.
        node_limit: most nodes.

    Returns:
        One root an entry of ``residual.classes``.

    Raises:
        TooManyNodesError: past the limit.
    """
    n_classes, blocks = residual.classes.size, _blocks(residual, levels)
    diagram = diagram_of_labels(blocks, levels.size, n_classes + 1, range(n_classes), node_limit=node_limit)
    return diagram, 1 << levels.size


def predicted_seconds(residual: Residual) -> float | None:
    """What the table and its reduction cost; None where there are too many free bits."""
    if residual.items.size > MOST_LEVELS:
        return None
    return (pattern_nanoseconds(pack_tail(residual)) + REDUCE_NANOSECONDS) * 1e-9 * 2.0**residual.items.size


def _blocks(residual: Residual, levels: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Labels of all settings: the number of the class row, or the number of classes outside the region."""
    m = levels.size
    outside = residual.classes.size
    if residual.settled is not None and residual.region.budget is None:
        yield np.zeros(1 << m, dtype=np.uint8)
        return
    run, block = min(m, RUN_LEVELS), min(m, BLOCK_LEVELS)
    rows, costs = _settings(residual, levels[m - run :])
    starts, spent = _settings(residual, levels[: m - run])
    starts = starts + grouped(residual.slacks.clip(-INT8_REACH, INT8_REACH))
    budget = int(residual.costs.sum()) if residual.region.budget is None else residual.region.budget
    tail = pack_tail(residual)
    patterns, scratch, context = _buffers(residual, tail)
    for first in range(0, len(starts), 1 << (block - run)):
        part = slice(first, first + (1 << (block - run)))
        labels = np.empty((len(starts[part]), len(rows)), dtype=np.uint8)
        _fill(
            starts[part],
            spent[part],
            rows,
            costs,
            np.int64(budget),
            np.int64(outside),
            tail,
            patterns,
            scratch,
            context,
            labels,
        )
        yield labels.reshape(-1)


def _settings(residual: Residual, levels: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Slack changes ``(2 ** n, width)`` and costs ``(2 ** n,)`` of all settings of some levels' bits."""
    columns = grouped(residual.columns[levels])
    centre = residual.region.center[residual.region.free[residual.items[levels]]]
    rows, costs = np.zeros((1, columns.shape[1]), dtype=np.int8), np.zeros(1, dtype=np.int64)
    for column, cost, bit in zip(columns[::-1], residual.costs[levels][::-1], centre[::-1], strict=True):
        halves = [(rows, costs), (rows + column, costs + cost)]
        zero, one = halves if bit < 0 else halves[::-1]
        rows, costs = np.concatenate([zero[0], one[0]]), np.concatenate([zero[1], one[1]])
    return rows, costs


def _buffers(residual: Residual, tail: PackedTail) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Patterns, scratch, and context for bounds."""
    words = tail.signs.shape[1]
    shape = (max(n_words(residual.slacks.size), words), BATCH)
    context = np.zeros((len(residual.blocks) + 1, 2, words), dtype=np.uint64)
    return np.zeros(shape, dtype=np.uint64), np.zeros(shape, dtype=np.uint64), context


@njit(cache=True, nogil=True)
def _fill(starts, spent, rows, costs, budget, outside, tail, patterns, scratch, context, labels):  # type: ignore[no-untyped-def]
    """``labels[p, i]``: the class row of start p plus row i, or ``outside`` the budget."""
    n_rows, width = rows.shape
    k = min(width, context.shape[2] * 64)
    flat_starts, flat_rows = starts.reshape(-1), rows.reshape(-1)
    counts, keys = np.zeros(n_rows, np.int64), np.zeros(n_rows, np.int64)
    slacks, falling, rising = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64)
    possible, mask = np.zeros(tail.slopes.size, np.bool_), np.uint64(tail.row_of_code.size - 1)
    dearest = costs.max()
    for j in range(k):
        for i in range(n_rows):
            falling[j] = max(falling[j], -np.int64(rows[i, j]))
            rising[j] = max(rising[j], np.int64(rows[i, j]))
    for p in range(starts.shape[0]):
        left = budget - spent[p]
        if left < 0:
            labels[p] = outside
            continue
        for j in range(k):
            slacks[j] = starts[p, j]
        known_first_bits(slacks, np.int64(1 << 40), falling, rising, context)
        winner = possible_classes(tail, context, possible)
        if possible.sum() == 1:
            labels[p] = winner
        else:
            for w in range(width // GROUP):
                for i in range(n_rows):
                    patterns[w, i] = sign_word(flat_starts, p * width + w * GROUP, flat_rows, i * width + w * GROUP)
            score(patterns, n_rows, tail, scratch, counts, keys)
            for i in range(n_rows):
                labels[p, i] = tail.row_of_code[np.uint64(keys[i]) & mask]
        if left < dearest:
            for i in range(n_rows):
                if costs[i] > left:
                    labels[p, i] = outside
