"""What the solver works on: every array of the search, named once.

Variables are 0, 1, ...; literal ``2 * v`` is variable v and ``2 * v + 1`` its negation. Variable 0 is
constantly true, so that a constraint which must hold is one whose output is literal 0. A kernel takes
the few tuples below; none of them grows inside a kernel, as the lists of watchers are linked through the
clauses. Single numbers that kernels change are entries of small arrays.

A *reason* is ``2 * clause`` or ``2 * constraint + 1``, and -1 for a decision.

Reference: Een and Sorensson, "An extensible SAT-solver", 2003; for linked watchers, Biere, "PicoSAT
essentials", 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

TRUE_LITERAL = 0
NO_REASON = -1
GLUES = 64

N_ASSIGNED, HEAD, N_LEVELS = 0, 1, 2
SIZE, GLUE, USED, NEXT, FROM, LITERALS = 0, 1, 2, 3, 5, 6
BEGIN, LENGTH, BOUND, OUTPUT, N_TRUE, N_FALSE = 0, 1, 2, 3, 4, 5
CONFLICTS, DECISIONS, PROPAGATIONS, RESTARTS, LEARNT, DELETED, STAMP, NEXT_CLEANING, LAST_RESTART = range(9)
N_STATS = 9
STEP, FAST_GLUE, SLOW_GLUE = 0, 1, 2


class Trail(NamedTuple):
    """The assignment in the order in which it was made.

    Args:
        value: ``(2 * n_vars,)`` 1 for a true literal, -1 for a false one, 0 for an open one.
        level, place: ``(n_vars,)`` decision level and position on the trail, of assigned variables.
        reason: ``(n_vars,)`` why a variable has its value.
        literals: ``(n_vars,)`` the true literals in order.
        starts: ``(n_vars + 1,)`` position of the decision of level 1, 2, ... at 0, 1, ...
        at: ``(3,)`` N_ASSIGNED, HEAD (literals before it are propagated) and N_LEVELS.
    """

    value: NDArray[np.int8]
    level: Ints
    place: Ints
    reason: Longs
    literals: Ints
    starts: Ints
    at: Longs


class Order(NamedTuple):
    """Which variable to decide next, and how.

    Args:
        activity: ``(n_vars,)`` the larger, the sooner.
        heap, where: ``(n_vars,)`` a binary heap of variables, and each one's index in it or -1.
        size: ``(1,)`` number of variables in the heap.
        phase: ``(n_vars,)`` 0 to decide for true, 1 for false.
        pace: ``(3,)`` STEP by which activity grows, FAST_GLUE and SLOW_GLUE: moving averages.
    """

    activity: NDArray[np.float64]
    heap: Ints
    where: Ints
    size: Longs
    phase: NDArray[np.int8]
    pace: NDArray[np.float64]


class Clauses(NamedTuple):
    """Clauses one behind the other, each watched by its first two literals.

    Args:
        arena: of each clause SIZE, GLUE (0 unless learnt), USED, two NEXT links, FROM which literal to look for another
            one to watch, then its literals from LITERALS on. A link is ``2 * clause + i``, watcher i of the clause
            at that offset, or -1.
        heads: ``(2 * n_vars,)`` first link of the watchers of each literal.
        end: ``(1,)`` words of the arena that are in use.
    """

    arena: Ints
    heads: Ints
    end: Longs


class Cards(NamedTuple):
    """Constraints ``output <-> at least bound of the literals``.

    Args:
        rows: ``(constraints, 6)`` BEGIN, LENGTH, BOUND, OUTPUT, and of the propagated literals N_TRUE and N_FALSE.
        literals: the literals of all constraints.
        occurs_at, occurs: constraints with literal p are ``occurs[occurs_at[p]:occurs_at[p + 1]]``.
        puts_at, puts: constraints whose output is literal p, likewise.
    """

    rows: Ints
    literals: Ints
    occurs_at: Ints
    occurs: Ints
    puts_at: Ints
    puts: Ints


class Scratch(NamedTuple):
    """Space for conflict analysis, and what the search counts.

    Args:
        seen: ``(n_vars,)`` 1 for variables met; all 0 between conflicts.
        learnt, buffer, todo, met: literals or variables, as many as there can be.
        stamps: ``(n_vars + 1,)`` by level, when it was last met.
        tally: ``(GLUES,)`` number of clauses by glue.
        stats: ``(N_STATS,)`` CONFLICTS and so on.
    """

    seen: NDArray[np.int8]
    learnt: Ints
    buffer: Ints
    todo: Ints
    met: Ints
    stamps: Longs
    tally: Longs
    stats: Longs


def new_trail(n_vars: int) -> Trail:
    """Nothing is assigned."""
    value = np.zeros(2 * n_vars, dtype=np.int8)
    level, place, literals = (np.zeros(n_vars, dtype=np.int32) for _ in range(3))
    reason = np.full(n_vars, NO_REASON, dtype=np.int64)
    return Trail(value, level, place, reason, literals, np.zeros(n_vars + 1, dtype=np.int32), np.zeros(3, np.int64))


def new_scratch(n_vars: int, longest: int, stats: Longs) -> Scratch:
    """Space for so many variables and constraints of at most ``longest`` literals."""
    room = n_vars + longest + 2
    learnt, buffer, todo, met = (np.zeros(room, dtype=np.int32) for _ in range(4))
    stamps, tally = np.zeros(n_vars + 1, dtype=np.int64), np.zeros(GLUES, dtype=np.int64)
    return Scratch(np.zeros(n_vars, np.int8), learnt, buffer, todo, met, stamps, tally, stats)


def new_cards(constraints: Sequence[tuple[int, int, Ints]], n_vars: int) -> Cards:
    """Constraints ``(output, bound, literals)`` with their occurrences; O(literals)."""
    lengths = np.array([literals.size for _, _, literals in constraints], dtype=np.int64)
    rows = np.zeros((lengths.size, 6), dtype=np.int32)
    rows[:, LENGTH] = lengths
    rows[:, BEGIN] = np.cumsum(lengths) - lengths
    rows[:, BOUND] = [bound for _, bound, _ in constraints]
    rows[:, OUTPUT] = [output for output, _, _ in constraints]
    literals = np.concatenate([literals for _, _, literals in constraints] + [np.empty(0, np.int32)])
    where = np.repeat(np.arange(lengths.size, dtype=np.int32), lengths)
    occurrences = _grouped(literals, where, n_vars) + _grouped(rows[:, OUTPUT], np.arange(lengths.size), n_vars)
    return Cards(rows, literals.astype(np.int32), *occurrences)


def _grouped(literals: Ints, values: NDArray[np.int32 | np.int64], n_vars: int) -> tuple[Ints, Ints]:
    """Values by literal: where those of each literal begin, and the values."""
    starts = np.searchsorted(np.sort(literals), np.arange(2 * n_vars + 1))
    return starts.astype(np.int32), values[np.argsort(literals, kind="stable")].astype(np.int32)
