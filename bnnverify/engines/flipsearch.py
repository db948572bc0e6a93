"""Depth-first search over flipped bits, in numba: the kernels of the ``enumerate`` engine.

A node has decided the items before ``pos`` and may still spend ``left``; it stands for all
affordable subsets of the items from ``pos`` on. Interval bounds through all blocks close a node
whose class is settled: its inputs are counted by formula, not visited. A small node is a *leaf*: all
its patterns are written out by vector adds (see :mod:`bnnverify.engines.slackwords`) and
classified in batches. Two leaves exist, because what costs is the number of runs, not of inputs:
the *tree* leaf walks subsets and runs over the last flip or two (long runs in balls of many bits); the
*table* leaf adds all affordable subsets of the last few items, precomputed and sorted by cost, so
that a budget is a prefix of the table (long runs in cubes and wide balls).

Cost: about 4 ns an input and 64 moving neurons, plus .3 ns a row behind that is not coalesced, plus 1
to 5 us a bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.engines.packed import ONE, ZERO, known_first_bits, possible_classes
from bnnverify.engines.sink import BATCH, absorb, finish
from bnnverify.engines.slackwords import GROUP, sign_word

INT8_REACH = 100


class FlipProblem(NamedTuple):
    """Items in search order, as arrays that kernels take.

    ``columns`` ``(m, k)`` int16; ``grouped`` the same as int8, flat, ``GROUP * words`` an item;
    ``rising``/``falling`` ``(m + 1, k)``: how many items from a position on raise or lower a slack;
    ``payable[left]``: number of items whose cost is at most ``left``; ``sizes[pos, left // grain]`` an upper
    estimate of the subsets below a node, exact where the grain is 1; ``pairs`` the sums of two columns, flat,
    by first item from the last down, or empty; ``table`` the rows of the table leaf,
    flat, ``table_prefix[left]`` how many of them are affordable, ``table_from`` the item at which it takes
    over (-1: tree leaves only). Bounds are tried on nodes above ``unbounded_size``, tree leaves taken up to
    ``tree_size``; ``nothing`` is one row of zeros. ``bucket`` maps a spent cost to the row of the tally.
    """

    columns: NDArray[np.int16]
    grouped: NDArray[np.int8]
    rising: NDArray[np.int16]
    falling: NDArray[np.int16]
    costs: NDArray[np.int64]
    payable: NDArray[np.int64]
    sizes: NDArray[np.float64]
    grain: int
    pairs: NDArray[np.int8]
    table: NDArray[np.int8]
    table_prefix: NDArray[np.int64]
    table_from: int
    unbounded_size: int
    tree_size: int
    nothing: NDArray[np.int8]
    bucket: NDArray[np.int64]


class Workspace(NamedTuple):
    """Scratch of one search, and its tallies of closed nodes.

    ``rows`` flat slacks of the leaf's path; ``context`` and ``possible`` for bounds; ``closed``
    ``(m + 1, budget + 1, classes)`` counts closed nodes; ``taken`` ``(m,)`` the decided flips; ``stats``
    counts bounds, and nodes that they closed.
    """

    rows: NDArray[np.int8]
    cursors: NDArray[np.int64]
    context: NDArray[np.uint64]
    possible: NDArray[np.bool_]
    closed: NDArray[np.int64]
    taken: NDArray[np.bool_]
    stats: NDArray[np.int64]


CHECKS, CLOSED = 0, 1
CHECKS_TO_JUDGE, RELUCTANCE = 32, 32


@njit(cache=True, nogil=True)
def subset_sizes(costs, budget, sizes):  # type: ignore[no-untyped-def]
    """``sizes[pos, left]``: subsets of the items from ``pos`` on that cost at most ``left``."""
    m = costs.size
    sizes[m, :] = 1.0
    for pos in range(m - 1, -1, -1):
        for left in range(budget + 1):
            sizes[pos, left] = sizes[pos + 1, left]
            if costs[pos] <= left:
                sizes[pos, left] += sizes[pos + 1, left - costs[pos]]


@njit(cache=True, nogil=True)
def _write(bases, base, rows, first, n, words, patterns, bucket, start):  # type: ignore[no-untyped-def]
    """Patterns of one base row plus each of ``n`` rows, into the buffer from ``start`` on."""
    for w in range(words):
        origin, offset = base * words * GROUP + w * GROUP, first * words * GROUP + w * GROUP
        for i in range(n):
            patterns[bucket, w, start + i] = sign_word(bases, origin, rows, offset + i * words * GROUP)


@njit(cache=True, nogil=True)
def _write_long(bases, base, rows, first, last, bucket, tail, sink):  # type: ignore[no-untyped-def]
    """A run that does not fit into what is left of the buffer: in pieces, absorbed between."""
    while first < last:
        if sink.fill[bucket] == BATCH:
            absorb(bucket, tail, sink)
        n = min(last - first, BATCH - sink.fill[bucket])
        _write(bases, base, rows, first, n, sink.words, sink.patterns, bucket, sink.fill[bucket])
        sink.fill[bucket] += n
        first += n


@njit(cache=True, nogil=True)
def _tree_leaf(pos, left, spent, tail, problem, ws, sink):  # type: ignore[no-untyped-def]
    """All affordable subsets of the items from ``pos`` on, in runs over the last item or the last two.

    All pairs of items behind a given one are the head of the table of pairs, so they are one long run.
    Row l of ``rows`` holds the slacks after the l items chosen so far; cursors hold the next item,
    what is left and what is spent. The arrays are named once: passing whole tuples to a function
    costs more than a short run.
    """
    rows, cursors, patterns, fill = ws.rows, ws.cursors, sink.patterns, sink.fill
    grouped, costs, payable, buckets = problem.grouped, problem.costs, problem.payable, problem.bucket
    pairs = problem.pairs
    words, width = sink.words, sink.words * GROUP
    _write_long(rows, ZERO, problem.nothing, ZERO, ONE, buckets[spent], tail, sink)
    level, entering = ZERO, True
    cursors[0, 0], cursors[0, 1], cursors[0, 2] = pos, left, spent
    while level >= 0:
        item, left, spent = cursors[level, 0], cursors[level, 1], cursors[level, 2]
        end = payable[left]
        if item >= end:
            level, entering = level - 1, False
            continue
        if entering:
            bucket, n = buckets[spent + costs[item]], end - item
            if fill[bucket] + n <= BATCH:
                _write(rows, level, grouped, item, n, words, patterns, bucket, fill[bucket])
                fill[bucket] += n
            else:
                _write_long(rows, level, grouped, item, end, bucket, tail, sink)
            if left == 2 and pairs.size > 0:
                n_pairs = (end - item) * (end - item - 1) // 2
                _write_long(rows, level, pairs, ZERO, n_pairs, buckets[spent + 2], tail, sink)
                level, entering = level - 1, False
                continue
        after = left - costs[item]
        entering = item + 1 < payable[after]
        if not entering:
            level = level - 1
            continue
        cursors[level, 0] = item + 1
        for b in range(width):
            rows[(level + 1) * width + b] = rows[level * width + b] + grouped[item * width + b]
        level += 1
        cursors[level, 0], cursors[level, 1], cursors[level, 2] = item + 1, after, spent + costs[item]


@njit(cache=True, nogil=True)
def _table_leaf(left, spent, tail, problem, ws, sink):  # type: ignore[no-untyped-def]
    """All affordable rows of the table; one run a cost where the tally is kept by distance."""
    if sink.fill.size == 1:
        _write_long(ws.rows, ZERO, problem.table, ZERO, problem.table_prefix[left], ZERO, tail, sink)
        return
    first = ZERO
    for cost in range(left + 1):
        last = problem.table_prefix[cost]
        _write_long(ws.rows, ZERO, problem.table, first, last, problem.bucket[spent + cost], tail, sink)
        first = last


@njit(cache=True, nogil=True)
def _leaf(pos, left, spent, tail, problem, ws, sink):  # type: ignore[no-untyped-def]
    """Buffer every input of a small node, whose slacks are row 0; true if a wanted class is among them."""
    if pos == problem.table_from:
        _table_leaf(left, spent, tail, problem, ws, sink)
    else:
        _tree_leaf(pos, left, spent, tail, problem, ws, sink)
    return sink.search and finish(tail, sink)


@njit(cache=True, nogil=True)
def _is_closed(slacks, pos, left, spent, tail, problem, ws, sink):  # type: ignore[no-untyped-def]
    """0: still open. 1: closed (tallied, or without a wanted class). 2: every input is wanted."""
    n_left = problem.costs.size - pos
    flips = min(n_left, left // problem.costs[pos]) if n_left else 0
    known_first_bits(slacks, flips, problem.falling[pos], problem.rising[pos], ws.context)
    winner = possible_classes(tail, ws.context, ws.possible)
    ws.stats[CHECKS] += 1
    n_possible, n_wanted = 0, 0
    for c in range(ws.possible.size):
        n_possible += ws.possible[c]
        n_wanted += ws.possible[c] and sink.wanted[c]
    ws.stats[CLOSED] += n_possible == 1 or (sink.search and n_wanted == 0)
    if sink.search:
        return 1 if n_wanted == 0 else (2 if n_possible == 1 else 0)
    if n_possible > 1:
        return 0
    ws.closed[pos, spent, winner] += 1
    return 1


@njit(cache=True, nogil=True)
def _least_bounded(problem, stats):  # type: ignore[no-untyped-def]
    """Nodes up to this size are not bounded; where bounds rarely close a node, only much larger ones are."""
    rarely = stats[CHECKS] >= CHECKS_TO_JUDGE and 8 * stats[CLOSED] < stats[CHECKS]
    return problem.unbounded_size * (RELUCTANCE if rarely else 1)


@njit(cache=True, nogil=True)
def search_flips(slacks, budget, tail, problem, ws, sink):  # type: ignore[no-untyped-def]
    """Visit the whole region; returns ``(pos, left)`` of the node with a wanted class, or ``(-1, 0)``.

    In search mode it stops there, ``ws.taken[:pos]`` telling the decided flips: some input below the
    node is wanted. Otherwise everything is tallied in ``sink.tally`` and ``ws.closed``.
    """
    m, k = problem.columns.shape
    columns, costs, sizes, rows = problem.columns, problem.costs, problem.sizes, ws.rows
    patterns, fill, table, prefix = sink.patterns, sink.fill, problem.table, problem.table_prefix
    stack = np.empty((m + 2, k), dtype=np.int16)
    frame = np.empty((m + 2, 3), dtype=np.int64)
    checked = np.empty(m + 2, dtype=np.float64)
    stack[0] = slacks
    frame[0, 0], frame[0, 1], frame[0, 2] = 0, budget, 0
    checked[0] = np.inf
    depth = 1
    while depth > 0:
        depth -= 1
        pos, left = frame[depth, 0], frame[depth, 1]
        if pos > 0:
            ws.taken[pos - 1] = frame[depth, 2] == 1
        size = sizes[pos, left // problem.grain]
        is_leaf = size <= problem.tree_size or pos == problem.table_from
        if size > _least_bounded(problem, ws.stats) and (is_leaf or size <= 0.75 * checked[depth]):
            state = _is_closed(stack[depth], pos, left, budget - left, tail, problem, ws, sink)
            if state == 2:
                return pos, left
            if state == 1:
                continue
            checked[depth] = size
        if is_leaf:
            for j in range(k):
                rows[j] = min(max(stack[depth, j], -INT8_REACH), INT8_REACH)
            n = prefix[left]
            if pos == problem.table_from and fill.size == 1 and fill[0] + n <= BATCH and not sink.search:
                _write(rows, ZERO, table, ZERO, n, sink.words, patterns, ZERO, fill[0])
                fill[0] += n
            elif _leaf(pos, left, budget - left, tail, problem, ws, sink):
                return pos, left
            continue
        frame[depth, 0], frame[depth, 2] = pos + 1, 0
        depth += 1
        if costs[pos] <= left:
            for j in range(k):
                stack[depth, j] = stack[depth - 1, j] + columns[pos, j]
            frame[depth, 0], frame[depth, 1], frame[depth, 2] = pos + 1, left - costs[pos], 1
            checked[depth] = checked[depth - 1]
            depth += 1
    finish(tail, sink)
    return -1, 0
