"""The compiled walk over sets of toggled neurons, block by block.

A node is a block, the first neuron that may still be toggled there, and the flips that are left. Its first child
goes on to the next block; the others toggle one more neuron each, cheapest first. The last block and the output are
:mod:`bnnverify.weightfaults.searchleaf`. One block earlier the knapsack, with every sum eased by the toggles still to
come, closes whole subtrees, winner by winner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bnnverify.weightfaults.searchleaf import strike_last
from bnnverify.weightfaults.searchstate import FOUND, FULL, NONE, count_toggles, give, load_items, reaches


@njit(cache=True, nogil=True)
def search(layers: Any, state: Any, winners: Any, rivals: Any, toggles: Any, budget: Any) -> Any:
    """Whether a winner beats all rivals with at most ``budget`` flips; counts are filled in where it does.

    Args:
        toggles: ``(neurons of level 0,)`` flips that toggle each, 0 where none do; the other levels' are found here.

    Returns:
        FOUND, NONE, or FULL where there are too many nodes.
    """
    levels = layers.first.size - 2
    depth = levels + budget + 2
    alive = np.ones((depth, winners.size), np.bool_)
    if levels == 0:
        return strike_last(layers, state, winners, rivals, alive[0], budget)
    level, place, left = np.zeros(depth, np.int64), np.zeros(depth, np.int64), np.zeros(depth, np.int64)
    toggled = np.full(depth, -1, np.int64)
    left[0], place[0], at = budget, -1, 0
    _enter(layers, state, 0, budget, toggles)
    while at >= 0:
        here = level[at]
        base = layers.first[here]
        if place[at] < 0:
            place[at] = -place[at] - 1
            state.nodes[0] += 1
            if state.nodes[0] > state.nodes[1]:
                return FULL
            if here >= levels - 2:
                if here == levels - 2:
                    _enter(layers, state, here + 1, left[at], toggles)
                status = strike_last(layers, state, winners, rivals, alive[at], left[at])
                if status == FOUND:
                    count_toggles(layers, state, toggled, at)
                if status != NONE:
                    return status
                if here == levels - 1 or not _narrow(layers, state, winners, rivals, alive[at], left[at], place[at]):
                    place[at] = state.n_open[here]
            else:
                at += 1
                level[at], place[at], left[at], toggled[at] = here + 1, -1, left[at - 1], -1
                alive[at] = alive[at - 1]
                _enter(layers, state, here + 1, left[at], toggles)
                continue
        neuron = base + state.candidates[base + place[at]] if place[at] < state.n_open[here] else np.int64(-1)
        if neuron >= 0 and state.costs[neuron] <= left[at]:
            place[at] += 1
            give(layers, state, here, neuron - base, -state.live[neuron])
            at += 1
            level[at], place[at], toggled[at] = here, -place[at - 1] - 1, neuron
            left[at] = left[at - 1] - state.costs[neuron]
            alive[at] = alive[at - 1]
        else:
            if toggled[at] >= 0:
                give(layers, state, here, toggled[at] - base, -state.live[toggled[at]])
            at -= 1
    return NONE


@njit(cache=True, nogil=True)
def _narrow(layers: Any, state: Any, winners: Any, rivals: Any, alive: Any, left: Any, place: Any) -> Any:
    """Drop the winners that no further toggles of the last level but one help to win; whether any is left.

    So many toggles cost at least as much as the cheapest ones, and each moves every sum behind by one flip at most.
    """
    some = False
    for w in range(winners.size):
        if alive[w]:
            for d in rivals:
                alive[w] = alive[w] and _helps(layers, state, winners[w], d, left, place)
            some = some or alive[w]
    return some


@njit(cache=True, nogil=True)
def _helps(layers: Any, state: Any, c: Any, d: Any, left: Any, place: Any) -> Any:
    """Whether some number of further toggles of the last level but one may let class c beat class d."""
    level = layers.first.size - 4
    base, spent, eased = layers.first[level], 0, 0
    n_items = load_items(layers, state, c, d, np.int64(-1))
    while place + eased < state.n_open[level]:
        spent += state.costs[base + state.candidates[base + place + eased]]
        eased += 1
        if spent > left:
            return False
        if reaches(layers, state, c, d, n_items, left - spent, eased):
            return True
    return False


@njit(cache=True, nogil=True)
def _enter(layers: Any, state: Any, level: Any, left: Any, toggles: Any) -> Any:
    """Every neuron of a level as its sum says, and those that the flips left can toggle, cheapest first."""
    first, end = layers.first[level], layers.first[level + 1]
    n = 0
    for j in range(first, end):
        lead = state.sums[j] - layers.thresholds[j]
        give(layers, state, level, j - first, 1 if lead >= 0 else -1)
        if level == 0:
            state.costs[j] = toggles[j]
        else:
            state.missing[j] = lead // 2 + 1 if lead >= 0 else (1 - lead) // 2
            possible = layers.thresholds[j] > -layers.reach[j] and layers.thresholds[j] <= layers.reach[j]
            state.costs[j] = state.missing[j] if layers.allowed[j] and possible else 0
        if 0 < state.costs[j] <= left:
            at = first + n
            while at > first and state.costs[first + state.candidates[at - 1]] > state.costs[j]:
                state.candidates[at] = state.candidates[at - 1]
                at -= 1
            state.candidates[at] = j - first
            n += 1
    state.n_open[level] = n
