"""The state of the search over toggled neurons, and the knapsack that bounds it.

Levels lie one behind the other; giving a neuron a value brings the sums behind it up to date. In the last level
toggles cost flips and gain lead, so the most that a budget can gain on a rival is a knapsack over costs. Gains are
floats: they err by far less than two keys differ, and the comparison errs upwards, so a bound is never too low.
Cost: neurons of the last level, times the budget where cheaper bounds do not settle it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

NONE, FOUND, FULL = 0, 1, 2
SLACK = 1e-9

Longs = NDArray[np.int64]


class Layers(NamedTuple):
    """The searched blocks and the output layer, one behind the other; level 0 is the first block.

    Args:
        first: ``(levels + 2,)`` where each level's neurons begin; the last level is the classes.
        columns: int8 weights by input: those of level l from input i begin at ``column_at[l] + i * neurons of l``.
        thresholds: reachable or just out of reach; reach: number of weights of each neuron; allowed: rows to strike.
        slopes, offsets: ``(classes,)`` of the keys.
    """

    first: Longs
    columns: NDArray[np.int8]
    column_at: Longs
    thresholds: Longs
    reach: Longs
    allowed: NDArray[np.bool_]
    slopes: Longs
    offsets: Longs


class State(NamedTuple):
    """The search at a node.

    Args:
        sums, live, costs, candidates, counts: of the neurons of all levels; a cost of 0 is that of no toggle.
        missing: flips by which each neuron's sum misses being toggled, struck or not.
        n_open: how many candidates each level has.
        nodes: visited, and the most to visit.
        best, items, gains, taken: the knapsack's, for every budget and every neuron of the last level.
    """

    sums: Longs
    live: Longs
    costs: Longs
    missing: Longs
    candidates: Longs
    counts: Longs
    n_open: Longs
    nodes: Longs
    best: NDArray[np.float64]
    items: Longs
    gains: NDArray[np.float64]
    taken: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def give(layers: Any, state: Any, level: Any, neuron: Any, value: Any) -> Any:
    """Give a neuron a value, and the sums of the next level what follows."""
    first, after, end = layers.first[level], layers.first[level + 1], layers.first[level + 2]
    if state.live[first + neuron] == value:
        return
    state.live[first + neuron] = value
    column = layers.column_at[level + 1] + neuron * (end - after)
    for i in range(end - after):
        state.sums[after + i] += 2 * value * layers.columns[column + i]


@njit(cache=True, nogil=True)
def key_of(layers: Any, state: Any, c: Any) -> Any:
    return layers.slopes[c] * state.sums[layers.first[layers.first.size - 2] + c] + layers.offsets[c]


@njit(cache=True, nogil=True)
def unit_of(layers: Any, c: Any) -> Any:
    """What one flip in the row of a class moves its key by."""
    struck = layers.allowed[layers.first[layers.first.size - 2] + c]
    return 2.0 * abs(layers.slopes[c]) if struck else 0.0


@njit(cache=True, nogil=True)
def gain_of(layers: Any, state: Any, j: Any, c: Any, d: Any) -> Any:
    """By how much toggling neuron j of the last level raises the key of c against that of d."""
    levels = layers.first.size - 2
    column = layers.column_at[levels] + j * layers.slopes.size
    moved = np.float64(layers.slopes[c]) * layers.columns[column + c]
    moved -= np.float64(layers.slopes[d]) * layers.columns[column + d]
    return -2.0 * state.live[layers.first[levels - 1] + j] * moved


@njit(cache=True, nogil=True)
def load_items(layers: Any, state: Any, c: Any, d: Any, start: Any) -> Any:
    """List the neurons of the last level whose toggles raise class c against class d, and their gains.

    Args:
        start: of its candidates those from here on; with -1 all neurons.

    Returns:
        How many there are.
    """
    last, n_items = layers.first.size - 3, 0
    if last < 0:
        return 0
    base = layers.first[last]
    n = layers.first[last + 1] - base if start < 0 else state.n_open[last]
    for i in range(max(start, 0), n):
        j = i if start < 0 else state.candidates[base + i]
        gain = gain_of(layers, state, j, c, d)
        if gain > 0:
            state.items[n_items], state.gains[n_items] = j, gain
            n_items += 1
    return n_items


@njit(cache=True, nogil=True)
def reaches(layers: Any, state: Any, c: Any, d: Any, n_items: Any, left: Any, eased: Any) -> Any:
    """Whether class c may beat class d by so many flips and the listed neurons, their sums eased by so many more."""
    missing = np.float64(key_of(layers, state, d) - key_of(layers, state, c))
    unit, best = max(unit_of(layers, c), unit_of(layers, d)), state.best
    base = layers.first[layers.first.size - 3] if n_items > 0 else np.int64(0)
    free, ratio, beyond = 0.0, unit, 0.0
    for i in range(n_items):
        neuron, gain = base + state.items[i], state.gains[i]
        if eased > 0 and state.missing[neuron] <= eased:
            free += gain
        elif eased < state.costs[neuron] <= left + eased:
            cost = state.costs[neuron] - eased
            ratio = max(ratio, gain / cost)
            beyond += max(0.0, gain - cost * unit)
    most = free + min(left * ratio, left * unit + beyond)
    if most <= missing - SLACK * (abs(missing) + most):
        return False
    best[: left + 1] = 0.0
    for i in range(n_items):
        cost, gain = state.costs[base + state.items[i]] - eased, state.gains[i]
        if 0 < cost <= left and gain > cost * unit:
            for spent in range(left, cost - 1, -1):
                best[spent] = max(best[spent], best[spent - cost] + gain)
    most = free
    for spent in range(left + 1):
        most = max(most, free + best[spent] + (left - spent) * unit)
    return most > missing - SLACK * (abs(missing) + most)


@njit(cache=True, nogil=True)
def count_toggles(layers: Any, state: Any, toggled: Any, at: Any) -> Any:
    """Write down the flips of the neurons that are toggled on the way to a node."""
    for depth in range(at + 1):
        if toggled[depth] >= 0:
            neuron = toggled[depth]
            state.counts[neuron] = state.live[neuron] * state.costs[neuron]
