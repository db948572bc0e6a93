"""A theory as a decision diagram, so that everything invalid can be cut from the functions of a network.

Every constraint is a small automaton that reads its bits in the order of the levels: a count for a
cardinality constraint, the values still possible for a thermometer. States are canonical (equal
futures, equal state) and a hopeless one is dead. A level of the diagram is then the set of tuples of states
that some prefix reaches, made breadth first with numpy, equal tuples merged; one pass from the deepest level
upwards reduces it. For constraints that share no bit nothing is left to reduce, so the work is linear in
the result, up to logarithms: two one-hot groups side by side add, interleaved they multiply.
Constraints that share bits may need more tuples on the way than nodes in the end.

Reference: Abío, Nieuwenhuis, Oliveras, Rodríguez-Carbonell, "BDDs for pseudo-Boolean constraints", 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram, trimmed
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.theories import Cardinality, Constraint, OneHot, Theory, Thermometer

State: TypeAlias = tuple[int, ...]
Step: TypeAlias = Callable[[State, int, bool, Sequence[int]], "State | None"]
IntArray: TypeAlias = NDArray[np.int64]

DEAD = -1  # indexes the last entry, which is false wherever tuples become nodes
_MOST_KEYS = 1 << 62


def theory_diagram(
    theory: Theory,
    level_of_input: Sequence[int] | NDArray[np.integer[Any]],
    n_levels: int,
    fixed_bits: NDArray[np.integer[Any]],
    *,
    node_limit: int | None = None,
) -> FlatDiagram:
    """The valid inputs as the only root of a reduced diagram.

    Args:
        theory: over the input bits.
        level_of_input: ``(n_inputs,)``, the level of each input bit; negative where it is no variable.
        n_levels: number of variables.
        fixed_bits: ``(n_inputs,)`` over -1 and +1, the values of the bits that are no variables.
        node_limit: greatest number of tuples of states to make, or None.

    Raises:
        UsageError: if the theory speaks of a bit that there is not.
        TooManyNodesError: if the limit is passed.

    Complexity: O(t log t) for t tuples of states, and O(k^3) steps for a constraint of k bits.
    """
    levels = np.asarray(level_of_input, dtype=np.int64)
    theory.require_inputs(levels.size)
    automata = [_automaton(constraint, levels, np.asarray(fixed_bits)) for constraint in theory.constraints]
    if any(automaton is None for automaton in automata):
        return _reduced([], FALSE, n_levels)
    layers = _layers([a for a in automata if a is not None and a.levels], n_levels, node_limit)
    return _reduced(layers, TRUE, n_levels)


@dataclass(frozen=True, eq=False)
class _Automaton:
    """A constraint reading its bits by level: ``moves[d][s, v]`` follows state s on value v of its d-th bit."""

    levels: tuple[int, ...]
    moves: tuple[IntArray, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Layer:
    """The tuples of one level: where each goes among those of the next layer, or DEAD."""

    level: int
    low: IntArray
    high: IntArray


def _count_step(constraint: OneHot | Cardinality) -> tuple[State, Step]:
    """How many literals are true so far, clamped to the two counts that settle the constraint."""
    literals = constraint.indices if isinstance(constraint, OneHot) else constraint.literals
    lowest, highest = (1, 1) if isinstance(constraint, OneHot) else (constraint.lowest, constraint.highest)
    assert highest is not None
    settled = (len(literals) + 1,)

    def step(state: State, place: int, value: bool, unread: Sequence[int]) -> State | None:
        if state == settled:
            return settled
        count = state[0] + (value == (literals[place] >= 0))
        most = count + len(unread) - 1
        if count > highest or most < lowest:
            return None
        return settled if count >= lowest and most <= highest else (count,)

    return (0,), step


def _thermometer_step(constraint: Thermometer) -> tuple[State, Step]:
    """How many of the unread bits must be +1, and how many may be; the order of the bits says which."""

    def step(state: State, place: int, value: bool, unread: Sequence[int]) -> State | None:
        must, may = state
        before = unread.index(place)
        must, may = (max(must, before + 1), may) if value else (must, min(may, before))
        return (must - (must > before), may - (may > before)) if must <= may else None

    return (0, len(constraint.indices)), step


def _automaton(constraint: Constraint, levels: IntArray, fixed: NDArray[np.integer[Any]]) -> _Automaton | None:
    """The automaton over the constraint's variables, its fixed bits read first; None if these violate it."""
    start, step = _thermometer_step(constraint) if isinstance(constraint, Thermometer) else _count_step(constraint)
    bits = constraint.indices
    unread, states, layers = list(range(len(bits))), [start], []
    for place in [place for place in unread if levels[bits[place]] < 0]:
        following = step(states[0], place, bool(fixed[bits[place]] > 0), unread)
        if following is None:
            return None
        states = [following]
        unread.remove(place)
    order = sorted(unread, key=lambda place: int(levels[bits[place]]))
    for place in order:
        layers.append(_move_all(step, states, place, unread))
        states = layers[-1][1]
        unread.remove(place)
    sizes = (1, *(len(after) for _, after in layers))
    return _Automaton(tuple(int(levels[bits[p]]) for p in order), tuple(moves for moves, _ in layers), sizes)


def _move_all(step: Step, states: Sequence[State], place: int, unread: Sequence[int]) -> tuple[IntArray, list[State]]:
    """Where each state goes on 0 and on 1, and the states of the next layer."""
    number: dict[State, int] = {}
    moves = np.full((len(states), 2), DEAD, dtype=np.int64)
    for row, state in enumerate(states):
        for value in (False, True):
            following = step(state, place, value, unread)
            if following is not None:
                moves[row, int(value)] = number.setdefault(following, len(number))
    return moves, list(number)


def _layers(automata: Sequence[_Automaton], n_levels: int, node_limit: int | None) -> list[_Layer]:
    """Breadth first through the product of the automata, by level."""
    depth = [0] * len(automata)
    states = np.zeros((1, len(automata)), dtype=np.int64)
    layers, n_tuples = [], 0
    for level in range(n_levels):
        touched = [c for c, a in enumerate(automata) if depth[c] < len(a.levels) and a.levels[depth[c]] == level]
        if not touched:
            continue
        both = np.concatenate([states, states])
        for c in touched:
            both[:, c] = automata[c].moves[depth[c]][states[:, c]].T.ravel()
            depth[c] += 1
        sizes = [a.sizes[depth[c]] for c, a in enumerate(automata)]
        alive = np.flatnonzero((both >= 0).all(axis=1))
        following = np.full(len(both), DEAD, dtype=np.int64)
        kept, following[alive] = _merged(both[alive], sizes)
        layers.append(_Layer(level, following[: len(states)], following[len(states) :]))
        states = kept
        n_tuples += len(states)
        if node_limit is not None and n_tuples > node_limit:
            raise TooManyNodesError(node_limit)
    return layers


def _merged(states: IntArray, sizes: Sequence[int]) -> tuple[IntArray, IntArray]:
    """The distinct rows, and which of them each row is."""
    keys, span = np.zeros(len(states), dtype=np.int64), 1
    for column, size in enumerate(sizes):
        if span * max(size, 1) >= _MOST_KEYS:
            keys = np.unique(keys, return_inverse=True)[1]
            span = len(states)
        keys = keys * max(size, 1) + states[:, column]
        span *= max(size, 1)
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return states[first], place


def _reduced(layers: Sequence[_Layer], accepted: int, n_levels: int) -> FlatDiagram:
    """The diagram of layered tuples, deepest first; the tuple behind the last layer is ``accepted``."""
    levels = [np.full(2, n_levels, dtype=np.int64)]
    lows, highs = [np.arange(2)], [np.arange(2)]
    n_nodes, node_of = 2, np.array([accepted], dtype=np.int64)
    for layer in reversed(layers):
        low, high = (np.append(node_of, FALSE)[child] for child in (layer.low, layer.high))
        node_of = low.copy()
        proper = np.flatnonzero(low != high)
        keys, place = np.unique(low[proper] * n_nodes + high[proper], return_inverse=True)
        node_of[proper] = n_nodes + place
        levels.append(np.full(keys.size, layer.level, dtype=np.int64))
        lows.append(keys // n_nodes)
        highs.append(keys % n_nodes)
        n_nodes += keys.size
    level, low, high = (np.concatenate(parts).astype(np.int32) for parts in (levels, lows, highs))
    return trimmed(level, low, high, node_of.astype(np.int32), n_levels)
