"""The ``enumerate`` engine: visit every input of a region, or close it by bounds; all bits are exact.

It prepares arrays for :mod:`bnnverify.engines.flipsearch` and turns its tallies into exact
integers: nodes closed by bounds are tallied by position and spent cost, and multiplied with the
number of subsets below them in Python's integers, so counts never overflow however large the
region. Reach: about 10^10 inputs, or far more where bounds close the search early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import n_words
from bnnverify.engines.contract import Search, Tally
from bnnverify.engines.flipsearch import CHECKS, FlipProblem, Workspace, search_flips, subset_sizes
from bnnverify.engines.packed import PackedTail, bound_nanoseconds, pack_tail, pattern_nanoseconds
from bnnverify.engines.residual import Residual, suffix_sums
from bnnverify.engines.sink import VISITED, Sink, make_sink
from bnnverify.engines.slackwords import GROUP, grouped
from bnnverify.errors import UnsupportedError

TREE_LEAF, SEARCHED_LEAF = 131_072, 32_768
TABLE_ROWS = 8192
SHORT_RUN, PAIRED_ITEMS = 20, 200
LEAST_BOUNDED = 256
SMALL_TREE = 32
COALESCED_NANOSECONDS, SHORT_RUN_NANOSECONDS = 8.0, 30.0
FINEST_BUDGET = 4096
MOST_CELLS = 1 << 26


@dataclass(frozen=True, eq=False)
class FoundLeaf:
    """A node of the search known to contain a wanted input.

    ``flips`` are the items already flipped, ``open_items`` those that may still flip within ``left``.
    """

    flips: tuple[int, ...]
    open_items: range
    left: int


def count_by_distance(residual: Residual, *, by_distance: bool) -> Tally:
    """Exact counts per class; one row a distance (flipped bits), or one row for all."""
    budget = _budget(residual)
    _require_small_table(residual, budget)
    problem, tail, workspace = _prepare(residual, budget, by_distance=by_distance, counting=True)
    sink = make_sink(tail, n_words(residual.slacks.size), budget + 1 if by_distance else 1)
    search_flips(residual.slacks.astype(np.int16), budget, tail, problem, workspace, sink)
    rows = [_row(residual, tallied) for tallied in sink.tally]
    for spent, label, counts in _closed_counts(residual, workspace.closed, budget):
        for extra, n in enumerate(counts):
            row = rows[spent + extra if by_distance else 0]
            row[label] = row.get(label, 0) + n
    return Tally(rows, _remark(workspace, sink))


def find(residual: Residual, wanted: Iterable[int]) -> Search:
    """Candidates among which is an input of a wanted class, or None with the proof that there is none."""
    budget = _budget(residual)
    problem, tail, workspace = _prepare(residual, budget, by_distance=False, counting=False)
    sink = make_sink(tail, n_words(residual.slacks.size), 1, np.isin(residual.classes, list(wanted)))
    pos, left = search_flips(residual.slacks.astype(np.int16), budget, tail, problem, workspace, sink)
    remark = _remark(workspace, sink)
    if pos < 0:
        return Search(None, remark)
    flips = tuple(np.flatnonzero(workspace.taken[:pos]).tolist())
    return Search(_members(residual, FoundLeaf(flips, range(pos, residual.items.size), left)), remark)


def predicted_seconds(residual: Residual) -> float:
    """Upper estimate of the work: every input visited, none closed by bounds."""
    return float(residual.region.size) * _visit_nanoseconds(residual) * 1e-9


def _visit_nanoseconds(residual: Residual) -> float:
    """An input's cost: free bits rarely share a pattern, balls mostly do, short runs are slow."""
    tail = pack_tail(residual)
    if residual.region.budget is None:
        return pattern_nanoseconds(tail)
    if _runs_are_short(residual, _budget(residual)):
        return SHORT_RUN_NANOSECONDS
    return float(min(pattern_nanoseconds(tail), COALESCED_NANOSECONDS * tail.signs.shape[1]))


def _members(residual: Residual, leaf: FoundLeaf) -> Iterator[tuple[int, ...]]:
    """The sets of flipped items below a node, one by one, fewest further flips first."""
    level: list[tuple[tuple[int, ...], int]] = [(leaf.flips, leaf.left)]
    while level:
        deeper = []
        for flips, left in level:
            yield flips
            first = max(flips[-1] + 1, leaf.open_items.start) if flips else leaf.open_items.start
            for item in range(first, leaf.open_items.stop):
                if residual.costs[item] > left:
                    break
                deeper.append(((*flips, item), left - int(residual.costs[item])))
        level = deeper


def _budget(residual: Residual) -> int:
    """The budget in cost units; without a limit, what all flips cost together."""
    everything = int(residual.costs.sum())
    limit = residual.region.budget
    return everything if limit is None else min(limit, everything)


def _require_small_table(residual: Residual, budget: int) -> None:
    cells = (residual.items.size + 1) * (budget + 1) * residual.classes.size
    if cells > MOST_CELLS:
        raise UnsupportedError(
            f"engine enumerate: counting within a cost of {budget:,} needs {cells:,} tallies; lower it"
        )


def _row(residual: Residual, tallied: NDArray[np.int64]) -> dict[int, int]:
    return {int(c): int(n) for c, n in zip(residual.classes, tallied, strict=True) if n}


def _remark(workspace: Workspace, sink: Sink) -> str:
    visited, bounds = int(sink.stats[VISITED]), int(workspace.stats[CHECKS])
    return f"{visited:,} inputs executed one by one, {bounds:,} interval bounds"


def _closed_counts(residual: Residual, closed: NDArray[np.int64], budget: int) -> Iterator[tuple[int, int, list[int]]]:
    """For each kind of closed node: its spent cost, its class, and its inputs by further cost."""
    suffixes = _suffix_counts(residual, budget)
    for pos, spent, c in zip(*np.nonzero(closed), strict=True):
        times = int(closed[pos, spent, c])
        yield int(spent), int(residual.classes[c]), [times * n for n in suffixes(int(pos), budget - int(spent))]


def _suffix_counts(residual: Residual, budget: int) -> Callable[[int, int], list[int]]:
    """Exact subsets of the items from a position on, by cost 0..left."""
    m = residual.items.size
    if bool(np.all(residual.costs == 1)):
        return lambda pos, left: [comb(m - pos, k) for k in range(min(left, m - pos) + 1)]
    tables = [[1] + [0] * budget]
    for cost in reversed(residual.costs.tolist()):
        tables.append([n + (tables[-1][k - cost] if k >= cost else 0) for k, n in enumerate(tables[-1])])
    return lambda pos, left: tables[m - pos][: left + 1]


def _prepare(
    residual: Residual, budget: int, *, by_distance: bool, counting: bool
) -> tuple[FlipProblem, PackedTail, Workspace]:
    m, k = residual.columns.shape
    words, tail = n_words(k), pack_tail(residual)
    grain = max(1, budget // FINEST_BUDGET)
    sizes = np.empty((m + 1, budget // grain + 1))
    subset_sizes(residual.costs // grain, budget // grain, sizes)
    table_from, table, prefix = _suffix_table(residual, budget)
    rows = grouped(residual.columns)
    problem = FlipProblem(
        columns=residual.columns.astype(np.int16),
        grouped=rows.reshape(-1),
        rising=suffix_sums(residual.columns > 0).astype(np.int16),
        falling=suffix_sums(residual.columns < 0).astype(np.int16),
        costs=residual.costs,
        payable=np.searchsorted(residual.costs, np.arange(budget + 1), side="right").astype(np.int64),
        sizes=sizes,
        grain=grain,
        pairs=_pair_rows(residual, budget),
        table=table.reshape(-1),
        table_prefix=prefix,
        table_from=table_from,
        unbounded_size=_unbounded_size(tail),
        tree_size=SMALL_TREE if table_from >= 0 else TREE_LEAF if counting else min(TREE_LEAF, SEARCHED_LEAF),
        nothing=np.zeros(words * GROUP, dtype=np.int8),
        bucket=np.arange(budget + 1) if by_distance else np.zeros(budget + 1, dtype=np.int64),
    )
    return problem, tail, _workspace(residual, tail, words, budget, counting)


def _workspace(residual: Residual, tail: PackedTail, words: int, budget: int, counting: bool) -> Workspace:
    n_classes, m = residual.classes.size, residual.items.size
    levels = min(m, budget) + 2
    return Workspace(
        rows=np.zeros(levels * words * GROUP, dtype=np.int8),
        cursors=np.zeros((levels, 3), dtype=np.int64),
        context=np.zeros((len(residual.blocks) + 1, 2, tail.signs.shape[1]), dtype=np.uint64),
        possible=np.zeros(n_classes, dtype=np.bool_),
        closed=np.zeros((m + 1, budget + 1, n_classes) if counting else (1, 1, n_classes), dtype=np.int64),
        taken=np.zeros(m, dtype=np.bool_),
        stats=np.zeros(2, dtype=np.int64),
    )


def _unbounded_size(tail: PackedTail) -> int:
    """Nodes up to this size are visited without a bound, which would cost a fair share of the visit."""
    return int(max(LEAST_BOUNDED, 4 * bound_nanoseconds(tail) / pattern_nanoseconds(tail)))


def _suffix_table(residual: Residual, budget: int) -> tuple[int, NDArray[np.int8], NDArray[np.int64]]:
    """Slack changes of all affordable subsets of the last items, by cost; none where runs are long anyway."""
    columns = grouped(residual.columns)
    m, width = columns.shape
    if not _runs_are_short(residual, budget):
        return -1, np.zeros((1, width), dtype=np.int8), np.ones(budget + 1, dtype=np.int64)
    sums, costs, first = np.zeros((1, width), dtype=np.int8), np.zeros(1, dtype=np.int64), m
    while first > 0:
        payable = costs + residual.costs[first - 1] <= budget
        if costs.size + np.count_nonzero(payable) > TABLE_ROWS:
            break
        first -= 1
        sums = np.concatenate([sums, (sums if payable.all() else sums[payable]) + columns[first]])
        costs = np.concatenate([costs, costs[payable] + residual.costs[first]])
    by_cost = np.argsort(costs, kind="stable")
    prefix = np.searchsorted(costs[by_cost], np.arange(budget + 1), side="right").astype(np.int64)
    return first, sums[by_cost], prefix


def _has_pairs(residual: Residual, budget: int) -> bool:
    """Whether a table of all pairs of flips applies and fits the second-level cache."""
    unit_costs = bool(np.all(residual.costs == 1))
    return unit_costs and budget >= 2 and 2 <= residual.items.size <= PAIRED_ITEMS // n_words(residual.slacks.size)


def _pair_rows(residual: Residual, budget: int) -> NDArray[np.int8]:
    """Slack changes of every two items, flat: those whose first item is the last but one come first."""
    if not _has_pairs(residual, budget):
        return np.empty(0, dtype=np.int8)
    first, second = np.triu_indices(residual.items.size, 1)
    order = np.argsort(-first, kind="stable")
    sums = residual.columns[first[order]] + residual.columns[second[order]]
    return grouped(sums).reshape(-1)


def _runs_are_short(residual: Residual, budget: int) -> bool:
    """Whether runs over the last flips of a subset would on average be too short to be worth a loop."""
    m = residual.items.size
    if not bool(np.all(residual.costs == 1)):
        return False
    last = 2 if _has_pairs(residual, budget) else 1
    runs = sum(comb(m, k) for k in range(max(budget - last, 0) + 1))
    return sum(comb(m, k) for k in range(budget + 1)) < SHORT_RUN * runs
