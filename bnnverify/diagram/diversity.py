"""Some inputs of a function that lie pairwise far apart, or a proof that there are not so many.

The first input in lexicographic order is taken, those nearer than d to it are cut away by an intersection,
and so on: each step is an operation on diagrams, not on lists. If the rest runs dry, the last choice is
undone and excluded. Lexicographic choice mostly packs well (lexicodes), but the question is NP-hard, so the
number of choices is bounded, and the answer says whether it is one. Too few inputs, or two farthest members
(:mod:`bnnverify.diagram.diameter`) that are too near, prove impossibility at once.
Cost: each choice an intersection with a diagram of n * d nodes.

Reference: Conway and Sloane, "Lexicographic codes: error-correcting codes from game theory", 1986.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.apply import AND, combine
from bnnverify.diagram.count import counts
from bnnverify.diagram.diameter import PAIR_LIMIT, diameter
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.nearest import k_nearest
from bnnverify.diagram.spheres import after, beyond
from bnnverify.diagram.stream import stream
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.diagram.walks import united
from bnnverify.errors import UsageError

SWEEPS = 3


class Outcome(Enum):
    """What a search for diverse inputs ends with."""

    FOUND = "found"
    IMPOSSIBLE = "impossible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Diverse:
    """Inputs pairwise at least a distance apart.

    Args:
        inputs: ``(found, n_levels)`` uint8; all that were asked for if FOUND, else the largest set that was met.
        outcome: IMPOSSIBLE is proved; UNKNOWN means that a limit was reached first.
        reason: what settled it.
    """

    inputs: NDArray[np.uint8]
    outcome: Outcome
    reason: str


def diverse(
    diagram: FlatDiagram,
    roots: Sequence[int],
    size: int,
    distance: int,
    *,
    choices: int = 10_000,
    pair_limit: int = PAIR_LIMIT,
    node_limit: int | None = None,
) -> Diverse:
    """Inputs of a union of disjoint roots, pairwise at least a Hamming distance apart.

    Args:
        diagram: the functions.
        roots: numbers of disjoint roots.
        size: how many inputs, at least 1.
        distance: at least 1.
        choices: most inputs to try before giving up.
        pair_limit: most pairs of nodes for the two farthest members; past it that proof is left out.
        node_limit: most nodes of an intersection.

    Raises:
        UsageError: if roots, size or distance are not as said.
        TooManyNodesError: past the node limit.

    Complexity: O(nodes * n_levels * distance) a choice at worst; without backtracking ``size`` choices.

    >>> any_two_bits = FlatDiagram([2, 2], [0, 1], [0, 1], [1], 2)
    >>> diverse(any_two_bits, [0], 2, 2).inputs.tolist()
    [[0, 0], [1, 1]]
    >>> diverse(any_two_bits, [0], 3, 2).outcome.value
    'impossible'
    """
    if size < 1 or distance < 1:
        raise UsageError(f"{size} inputs at distance {distance}: expected at least 1 each")
    function = united(diagram, roots, node_limit=node_limit)
    n_inputs, first = counts(function)[0], _rows(list(islice(stream(function, [0]), 1)), function)
    if n_inputs < size:
        return Diverse(first, Outcome.IMPOSSIBLE, f"the roots have {n_inputs} inputs")
    if size == 1:
        return Diverse(first, Outcome.FOUND, "the first input")
    swept = _swept(function, first[0])
    ends = swept if _apart(swept) >= distance else _farthest(function, pair_limit)
    if ends is not None and _apart(ends) < distance:
        return Diverse(first, Outcome.IMPOSSIBLE, f"the two farthest inputs differ in {_apart(ends)} bits")
    if ends is not None and size == 2:
        return Diverse(ends, Outcome.FOUND, "two inputs far apart")
    return _search(function, size, distance, choices, node_limit)


def _apart(ends: NDArray[np.uint8]) -> int:
    return int((ends[0] != ends[1]).sum())


def _swept(function: FlatDiagram, first: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two members, each the farthest from the one before; mostly there are none farther apart."""
    ends, unit = [first], np.ones(function.n_levels, dtype=np.int64)
    for _ in range(SWEEPS):
        ends += [bits for _, bits in islice(k_nearest(function, [0], 1 - ends[-1], unit), 1)]
    return np.array(ends[-2:])


def _farthest(function: FlatDiagram, pair_limit: int) -> NDArray[np.uint8] | None:
    """The two farthest members, unless that takes too many pairs."""
    try:
        found = diameter(function, [0], pair_limit=pair_limit)
    except TooManyNodesError:
        return None
    return found[1] if found else None


def _search(function: FlatDiagram, size: int, distance: int, choices: int, node_limit: int | None) -> Diverse:
    """Depth first over choices: ``rests[i]`` holds what may still be the i-th input, given those chosen before it."""

    def cut(rest: FlatDiagram, part: FlatDiagram) -> FlatDiagram:
        return combine(rest, part, [(0, 0)], AND, node_limit=node_limit)

    rests, chosen, largest = [function], list[NDArray[np.uint8]](), list[NDArray[np.uint8]]()
    while True:
        if counts(rests[-1])[0] < size - len(chosen):
            if not chosen:
                return Diverse(_rows(largest, function), Outcome.IMPOSSIBLE, "all choices were tried")
            rests.pop()
            rests[-1] = cut(rests[-1], after(chosen.pop()))
            continue
        if choices == 0:
            return Diverse(_rows(largest, function), Outcome.UNKNOWN, "the limit on choices was reached")
        choices -= 1
        chosen.append(next(stream(rests[-1], [0])))
        largest = max(largest, chosen.copy(), key=len)
        if len(chosen) == size:
            return Diverse(_rows(chosen, function), Outcome.FOUND, "each the first input far from those before it")
        rests.append(cut(rests[-1], beyond(chosen[-1], distance)))


def _rows(inputs: list[NDArray[np.uint8]], function: FlatDiagram) -> NDArray[np.uint8]:
    return np.array(inputs, dtype=np.uint8).reshape(len(inputs), function.n_levels)
