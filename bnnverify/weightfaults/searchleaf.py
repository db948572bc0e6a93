"""The last level and the output of the search over toggled neurons.

Where the knapsack says that the flips left may suffice, its toggles are tried, and the flips of the output counted
in integers. Only if they fail, as they may where a row runs out of weights to flip or a target has several rivals,
are the sets of toggles of this level enumerated as well, and closed by the same bound. Cost: one knapsack for each
winner and rival; nodes are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bnnverify.weightfaults.searchstate import (
    FOUND,
    FULL,
    NONE,
    SLACK,
    count_toggles,
    gain_of,
    give,
    key_of,
    load_items,
    reaches,
    unit_of,
)


@njit(cache=True, nogil=True)
def strike_last(layers: Any, state: Any, winners: Any, rivals: Any, alive: Any, left: Any) -> Any:
    """Whether toggles of the last level and flips of the output suffice, all else being as it is."""
    for w in range(winners.size):
        if not alive[w] or not _reaches_all(layers, state, winners[w], rivals, left, 0):
            continue
        for d in rivals:
            if _beats(layers, state, winners[w], d, rivals, left):
                return FOUND
        status = _exhaust(layers, state, winners[w], rivals, left)
        if status != NONE:
            return status
    return NONE


@njit(cache=True, nogil=True)
def _exhaust(layers: Any, state: Any, c: Any, rivals: Any, left: Any) -> Any:
    """The same for one winner, by enumerating sets of toggles of the last level."""
    if _strike_output(layers, state, c, rivals, left):
        return FOUND
    last = layers.first.size - 3
    if last < 0:
        return NONE
    base, at = layers.first[last], 0
    place, remains, toggled = (
        np.zeros(left + 2, np.int64),
        np.zeros(left + 2, np.int64),
        np.full(left + 2, -1, np.int64),
    )
    remains[0] = left
    while at >= 0:
        if place[at] < state.n_open[last]:
            neuron = base + state.candidates[base + place[at]]
            place[at] += 1
            if state.costs[neuron] > remains[at]:
                place[at] = state.n_open[last]
                continue
            state.nodes[0] += 1
            if state.nodes[0] > state.nodes[1]:
                return FULL
            give(layers, state, last, neuron - base, -state.live[neuron])
            at += 1
            place[at], toggled[at] = place[at - 1], neuron
            remains[at] = remains[at - 1] - state.costs[neuron]
            if _strike_output(layers, state, c, rivals, remains[at]):
                count_toggles(layers, state, toggled, at)
                return FOUND
            if not _reaches_all(layers, state, c, rivals, remains[at], place[at]):
                place[at] = state.n_open[last]
        else:
            if toggled[at] >= 0:
                give(layers, state, last, toggled[at] - base, -state.live[toggled[at]])
            at -= 1
    return NONE


@njit(cache=True, nogil=True)
def _reaches_all(layers: Any, state: Any, c: Any, rivals: Any, left: Any, start: Any) -> Any:
    possible = True
    for d in rivals:
        possible = possible and reaches(layers, state, c, d, load_items(layers, state, c, d, start), left, np.int64(0))
    return possible


@njit(cache=True, nogil=True)
def _beats(layers: Any, state: Any, c: Any, d: Any, rivals: Any, left: Any) -> Any:
    """Whether flips that are best against class d let class c win, with counts filled in."""
    missing = np.float64(key_of(layers, state, d) - key_of(layers, state, c))
    unit, levels = max(unit_of(layers, c), unit_of(layers, d)), layers.first.size - 2
    first = layers.first[levels - 1] if levels > 0 else np.int64(0)
    n = layers.first[levels] - first if levels > 0 else np.int64(0)
    best, items, taken, n_items = state.best, state.items, state.taken, 0
    best[: left + 1] = 0.0
    for j in range(n):
        cost, gain = state.costs[first + j], gain_of(layers, state, j, c, d)
        if not 0 < cost <= left or gain <= 0:
            continue
        items[n_items] = j
        taken[n_items, :] = False
        for spent in range(left, cost - 1, -1):
            if best[spent - cost] + gain > best[spent]:
                best[spent] = best[spent - cost] + gain
                taken[n_items, spent] = True
        n_items += 1
    for spent in range(left + 1):
        total = best[spent] + (left - spent) * unit
        near = total > missing - SLACK * (abs(missing) + total)
        if near and _holds(layers, state, c, rivals, items, taken[:n_items], spent, left):
            return True
    return False


@njit(cache=True, nogil=True)
def _holds(layers: Any, state: Any, c: Any, rivals: Any, items: Any, taken: Any, spent: Any, left: Any) -> Any:
    """Make these toggles, see in integers whether the flips that are left suffice in the output, and take them back."""
    levels = layers.first.size - 2
    first = layers.first[levels - 1] if levels > 0 else np.int64(0)
    made, still = np.zeros(len(taken), np.bool_), spent
    for i in range(len(taken) - 1, -1, -1):
        if taken[i, still]:
            made[i] = True
            still -= state.costs[first + items[i]]
            give(layers, state, levels - 1, items[i], -state.live[first + items[i]])
    done = _strike_output(layers, state, c, rivals, left - spent)
    for i in range(len(taken)):
        if made[i]:
            neuron = first + items[i]
            give(layers, state, levels - 1, items[i], -state.live[neuron])
            if done:
                state.counts[neuron] = -state.live[neuron] * state.costs[neuron]
    return done


@njit(cache=True, nogil=True)
def _strike_output(layers: Any, state: Any, c: Any, rivals: Any, left: Any) -> Any:
    """Whether so many flips in the output let class c beat all rivals; the fewest are written down."""
    first = layers.first[layers.first.size - 2]
    unit = np.int64(unit_of(layers, c) > 0) * 2 * abs(layers.slopes[c])
    side = np.int64(np.sign(layers.slopes[c]))
    key = key_of(layers, state, c)
    most = (layers.reach[first + c] - side * state.sums[first + c]) // 2 if unit > 0 else np.int64(0)
    fewest, raised = left + 1, left - left
    for a in range(min(left, most) + 1):
        total = a
        for d in rivals:
            total += _lowering(layers, state, d, key + a * unit, left)
        if total < fewest:
            fewest, raised = total, a
    if fewest > left:
        return False
    state.counts[first + c] = side * raised
    for d in rivals:
        lowered = _lowering(layers, state, d, key + raised * unit, left)
        state.counts[first + d] = -np.int64(np.sign(layers.slopes[d])) * lowered
    return True


@njit(cache=True, nogil=True)
def _lowering(layers: Any, state: Any, d: Any, key: Any, left: Any) -> Any:
    """The fewest flips in the row of class d that put it below a key, or more than are left."""
    first = layers.first[layers.first.size - 2]
    missing = key_of(layers, state, d) - key
    if missing < 0:
        return 0
    if unit_of(layers, d) == 0:
        return left + 1
    side = np.int64(np.sign(layers.slopes[d]))
    flips = missing // (2 * abs(layers.slopes[d])) + 1
    most = (layers.reach[first + d] + side * state.sums[first + d]) // 2
    return flips if flips <= most else left + 1
