"""The moves of the annealing attack, on flips and neurons as one list of units, with sums kept up to date.

A move makes or takes back some flips that one row of the first block reads, and with each what the pairs of the
system demand; mostly only those that push the row across zero, which hits five times sooner than any of them. Where
that overspends, flips made before are taken back at random until the budget holds. The change then runs through the
blocks: a unit that changed visits the rows that read it, and a row whose sum crosses zero is the next to change. What
is refused is undone by the list of changed units. Sums and leads are exact int64; a lead of at least 0 is a hit, and
floats only decide which worse moves are taken. Cost: the readers of the units that change, 1 to 2 ns each.

Reference: Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", 1983.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnnverify.solver.kernel import kernel

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Mask = NDArray[np.bool_]

N_MADE, SPENT = 0, 1
COOLING = 8.0
LEAST_HEAT = 1e-9
MOST_TOGGLES_LOG2 = 5
SINGLE_SHARE = 0.25
COHERENT_SHARE = 0.7
BUDGET_TRIES = 8
NO_BUDGET = -1


class Wires(NamedTuple):
    """Who reads whom. Units are the flips, then the neurons of each block.

    Args:
        starts: ``(blocks + 2,)`` first unit of the flips and of each block, and the number of units.
        offsets: ``(units + 1,)`` the readers of unit u are ``offsets[u]:offsets[u + 1]``, none for the last block.
        readers, weights: ``(terms,)`` units, and what each gains when the unit becomes true.
        gains: ``(neurons of the last block, races)`` what each race gains when the neuron becomes true.
        ends: ``(alternatives + 1,)`` the races of each alternative.
    """

    starts: Longs
    offsets: Longs
    readers: Ints
    weights: Longs
    gains: Longs
    ends: Longs


class Limits(NamedTuple):
    """What the region allows, and which flips a row reads.

    Args:
        costs: ``(flips,)``; budget: ``(1,)`` greatest total cost, or NO_BUDGET.
        starts, implied: literal ``2 * flip + value`` demands the literals ``implied[starts[l]:starts[l + 1]]``.
        window_starts, window, slopes: the flips that each row of the first block reads, and their weights.
    """

    costs: Longs
    budget: Longs
    starts: Longs
    implied: Ints
    window_starts: Longs
    window: Ints
    slopes: Longs


class State(NamedTuple):
    """Where the walk is.

    Args:
        sums: ``(units,)`` of the neurons; on: ``(units,)`` which flips and neurons are true.
        leads: ``(races,)``.
        made, place: ``(flips,)`` the true flips in some order, and where each of them stands there.
        counts: ``(2,)`` N_MADE and SPENT.
        random: ``(1,)`` state of the generator.
    """

    sums: Longs
    on: Mask
    leads: Longs
    made: Ints
    place: Ints
    counts: Longs
    random: NDArray[np.uint64]


class Work(NamedTuple):
    """Scratch space: units changed by a move, rows that crossed zero, and marks; marks are False between moves."""

    changed: Ints
    queue: Ints
    queued: Mask
    marked: Mask
    leads: Longs


@kernel
def walk(wires, limits, state, work, first, last, n_moves, heat):  # type: ignore[no-untyped-def]
    """Moves ``first`` to ``last`` of ``n_moves``; True as soon as all leads of an alternative are at least 0.

    The temperature falls from ``heat`` to a COOLING-th of it; at 0 nothing worse is accepted.
    """
    value = lead(wires, state.leads)
    for move in range(first, last):
        spent = state.counts[SPENT]
        n = _propose(limits, state, work)
        if n == 0:
            continue
        for r in range(state.leads.size):
            work.leads[r] = state.leads[r]
        n_all = _spread(wires, state, work, n)
        new = lead(wires, state.leads)
        temperature = max(heat * COOLING ** (-move / n_moves), LEAST_HEAT)
        if new >= value or _uniform(state) < np.exp((new - value) / temperature):
            _commit(state, work, n)
            value = new
        else:
            _undo(wires, state, work, n_all)
            state.counts[SPENT] = spent
        for i in range(n):
            work.marked[work.changed[i]] = False
        if value >= 0:
            return True
    return False


@kernel
def lead(wires, leads):  # type: ignore[no-untyped-def]
    """Of the best alternative, the least lead."""
    best = leads[wires.ends[0]]
    for a in range(wires.ends.size - 1):
        least = leads[wires.ends[a]]
        for r in range(wires.ends[a] + 1, wires.ends[a + 1]):
            least = min(least, leads[r])
        best = least if a == 0 else max(best, least)
    return best


@kernel
def _uniform(state):  # type: ignore[no-untyped-def]
    """A number of [0, 1)."""
    return np.float64(_bits(state) >> np.uint64(11)) / 9007199254740992.0


@kernel
def _below(state, n):  # type: ignore[no-untyped-def]
    """A number of 0 to n - 1; n is below 2^31."""
    return np.int64(((_bits(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@kernel
def _bits(state):  # type: ignore[no-untyped-def]
    """64 random bits (xorshift64*)."""
    x = state.random[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state.random[0] = x
    return x * np.uint64(2685821657736338717)


@kernel
def _propose(limits, state, work):  # type: ignore[no-untyped-def]
    """Change some flips so that the region still allows them all; returns how many changed, 0 if it cannot be."""
    row = _below(state, limits.window_starts.size - 1)
    first, last, budget = limits.window_starts[row], limits.window_starts[row + 1], limits.budget[0]
    if first == last:
        return 0
    n_toggles = 1 if _uniform(state) < SINGLE_SHARE else 2 << _below(state, MOST_TOGGLES_LOG2)
    is_coherent = _uniform(state) < COHERENT_SHARE
    is_true = state.on[limits.costs.size + row]
    n = 0
    for _ in range(n_toggles):
        at = first + _below(state, last - first)
        flip = np.int64(limits.window[at])
        if work.marked[flip]:
            continue
        if is_coherent and ((limits.slopes[at] > 0) != state.on[flip]) == is_true:
            continue
        after = _set(limits, state, work, n, 2 * flip + (0 if state.on[flip] else 1))
        if after < 0:
            return _abandon(limits, state, work, -after)
        n = after
        if budget != NO_BUDGET and state.counts[SPENT] >= budget:
            break
    return _within_budget(limits, state, work, n)


@kernel
def _set(limits, state, work, n, literal):  # type: ignore[no-untyped-def]
    """Make a literal true and all that it demands; returns the number of changed flips, negative on a conflict."""
    n = _change(limits, state, work, n, literal >> 1)
    at = n - 1
    while at < n:
        flip = np.int64(work.changed[at])
        true = 2 * flip + (1 if state.on[flip] else 0)
        for e in range(limits.starts[true], limits.starts[true + 1]):
            demanded = np.int64(limits.implied[e])
            other = demanded >> 1
            if state.on[other] != (demanded & 1 == 1):
                if work.marked[other]:
                    return -n
                n = _change(limits, state, work, n, other)
        at += 1
    return n


@kernel
def _toggle(limits, state, flip):  # type: ignore[no-untyped-def]
    """Make a flip or take it back, and account for its cost."""
    state.on[flip] = not state.on[flip]
    state.counts[SPENT] += limits.costs[flip] if state.on[flip] else -limits.costs[flip]


@kernel
def _change(limits, state, work, n, flip):  # type: ignore[no-untyped-def]
    """Toggle a flip as the n-th of a move; returns n + 1."""
    _toggle(limits, state, flip)
    work.marked[flip] = True
    work.changed[n] = flip
    return n + 1


@kernel
def _abandon(limits, state, work, n):  # type: ignore[no-untyped-def]
    """Change the first n flips back; returns 0."""
    for i in range(n):
        flip = np.int64(work.changed[i])
        _toggle(limits, state, flip)
        work.marked[flip] = False
    return 0


@kernel
def _within_budget(limits, state, work, n):  # type: ignore[no-untyped-def]
    """Take back other flips at random until the budget holds; returns the number of changed flips, 0 in vain."""
    budget = limits.budget[0]
    if budget == NO_BUDGET:
        return n
    tries = 0
    while state.counts[SPENT] > budget:
        tries += 1
        if tries > BUDGET_TRIES * n or state.counts[N_MADE] == 0:
            return _abandon(limits, state, work, n)
        flip = np.int64(state.made[_below(state, state.counts[N_MADE])])
        if work.marked[flip]:
            continue
        after = _set(limits, state, work, n, 2 * flip)
        if after < 0:
            return _abandon(limits, state, work, -after)
        n = after
    return n


@kernel
def _spread(wires, state, work, n):  # type: ignore[no-untyped-def]
    """Run the changes of n flips through the blocks; returns the number of changed units."""
    first = 0
    for _ in range(wires.starts.size - 2):
        n_queued = 0
        for i in range(first, n):
            n_queued = _visit(wires, state, work, np.int64(work.changed[i]), n_queued)
        first = n
        for i in range(n_queued):
            unit = np.int64(work.queue[i])
            work.queued[unit] = False
            if (state.sums[unit] >= 0) != state.on[unit]:
                state.on[unit] = not state.on[unit]
                work.changed[n] = unit
                n += 1
    last = wires.starts[wires.starts.size - 2]
    for i in range(first, n):
        unit = np.int64(work.changed[i])
        sign = 1 if state.on[unit] else -1
        for r in range(state.leads.size):
            state.leads[r] += sign * wires.gains[unit - last, r]
    return n


@kernel
def _visit(wires, state, work, unit, n_queued):  # type: ignore[no-untyped-def]
    """Add a changed unit to the rows that read it, and queue those that cross zero."""
    sums, readers, weights = state.sums, wires.readers, wires.weights
    sign = 1 if state.on[unit] else -1
    for e in range(wires.offsets[unit], wires.offsets[unit + 1]):
        reader = np.int64(readers[e])
        before = sums[reader]
        after = before + sign * weights[e]
        sums[reader] = after
        if (before ^ after) < 0 and not work.queued[reader]:
            work.queued[reader] = True
            work.queue[n_queued] = reader
            n_queued += 1
    return n_queued


@kernel
def _commit(state, work, n):  # type: ignore[no-untyped-def]
    """Bring the list of made flips up to date."""
    for i in range(n):
        flip = np.int64(work.changed[i])
        if state.on[flip]:
            state.place[flip] = state.counts[N_MADE]
            state.made[state.counts[N_MADE]] = flip
            state.counts[N_MADE] += 1
        else:
            state.counts[N_MADE] -= 1
            moved = np.int64(state.made[state.counts[N_MADE]])
            state.made[state.place[flip]] = moved
            state.place[moved] = state.place[flip]


@kernel
def _undo(wires, state, work, n_all):  # type: ignore[no-untyped-def]
    """Take back all changed units."""
    sums, readers, weights = state.sums, wires.readers, wires.weights
    for i in range(n_all):
        unit = np.int64(work.changed[i])
        state.on[unit] = not state.on[unit]
        sign = 1 if state.on[unit] else -1
        for e in range(wires.offsets[unit], wires.offsets[unit + 1]):
            sums[np.int64(readers[e])] += sign * weights[e]
    for r in range(state.leads.size):
        state.leads[r] = work.leads[r]
