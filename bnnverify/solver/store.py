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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

TRUE_LITERAL = 0
NO_REASON = -1
GLUES = 1024

N_ASSIGNED, HEAD, N_LEVELS = 0, 1, 2
SIZE, GLUE, USED, NEXT, FROM, LITERALS = 0, 1, 2, 3, 5, 6
(
    CONFLICTS,
    DECISIONS,
    PROPAGATIONS,
    RESTARTS,
    LEARNT,
    DELETED,
    STAMP,
    NEXT_CLEANING,
    NEXT_RESTART,
    LUBY_INDEX,
    LUBY_TERM,
    TICKS,
) = range(12)
N_STATS = 12
STEP = 0


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
        share: ``(n_vars,)`` of STEP by which a variable's activity grows.
        heap, where: ``(n_vars,)`` a binary heap of variables, and each one's index in it or -1.
        size: ``(1,)`` number of variables in the heap.
        phase: ``(n_vars,)`` 0 to decide for true, 1 for false.
        pace: ``(1,)`` STEP by which activity grows.
    """

    activity: NDArray[np.float64]
    share: NDArray[np.float64]
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


class Rows(NamedTuple):
    """Constraints ``output <-> sum of weights of the true literals >= bound``, heaviest literals first.

    A row has two *sides*: what the true literals weigh decides for its output, what the false ones weigh against it.
    Side 0 has to reach the bound, side 1 the sum of all weights less the bound plus 1; entry ``2 * row + side``.

    Args:
        left, needs: ``(2 * rows,)`` what a side's propagated literals lack of deciding, and what all of them do.
        widest: ``(rows,)`` largest weight.
        outputs: ``(rows,)`` literals.
        starts: ``(rows + 1,)`` where the literals of each row begin.
        literals, weights: those of all rows.
        occurs_at, occurs: rows with literal p are ``occurs[occurs_at[2 * p]:occurs_at[2 * p + 2]]``; those whose
            weights are all 1 come first, the others begin at ``occurs_at[2 * p + 1]``.
        heft: the weight of each occurrence.
        puts_at, puts: rows whose output is literal p are ``puts[puts_at[p]:puts_at[p + 1]]``.
    """

    left: Longs
    needs: Longs
    widest: Longs
    outputs: Ints
    starts: Longs
    literals: Ints
    weights: Longs
    occurs_at: Longs
    occurs: Ints
    heft: Longs
    puts_at: Longs
    puts: Ints


class Scratch(NamedTuple):
    """Space for conflict analysis, and what the search counts.

    Args:
        seen: ``(n_vars,)`` 1 for variables met; all 0 between conflicts.
        learnt, buffer, todo, met: literals or variables, as many as there can be.
        hefts: weights of the literals in ``buffer``.
        stamps: ``(2 * n_vars,)`` by level or literal, when it was last met.
        tally: ``(GLUES,)`` number of clauses by glue.
        stats: ``(N_STATS,)`` CONFLICTS and so on; TICKS count steps through rows and clauses, about a nanosecond each.
    """

    seen: NDArray[np.int8]
    learnt: Ints
    buffer: Ints
    todo: Ints
    met: Ints
    hefts: Longs
    stamps: Longs
    tally: Longs
    stats: Longs


def new_trail(n_vars: int) -> Trail:
    """Nothing is assigned but variable 0."""
    value = np.zeros(2 * n_vars, dtype=np.int8)
    value[TRUE_LITERAL], value[TRUE_LITERAL ^ 1] = 1, -1
    level, place, literals = (np.zeros(n_vars, dtype=np.int32) for _ in range(3))
    reason = np.full(n_vars, NO_REASON, dtype=np.int64)
    return Trail(value, level, place, reason, literals, np.zeros(n_vars + 1, np.int32), np.array([1, 0, 0]))


def new_scratch(n_vars: int, longest: int, stats: Longs) -> Scratch:
    """Space for so many variables and constraints of at most ``longest`` literals."""
    room = n_vars + longest + 2
    learnt, buffer, todo, met = (np.zeros(room, dtype=np.int32) for _ in range(4))
    stamps, tally = np.zeros(2 * n_vars, dtype=np.int64), np.zeros(GLUES, dtype=np.int64)
    return Scratch(np.zeros(n_vars, np.int8), learnt, buffer, todo, met, np.zeros(room, np.int64), stamps, tally, stats)
