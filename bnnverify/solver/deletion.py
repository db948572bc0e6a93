"""Adding clauses, and cleaning: forget the worse half of the learnt clauses, and whatever holds for good.

Clauses of glue 2 stay, and those of glue up to 6 that took part in a conflict since the last cleaning; of
the others those of the largest glue go, old ones first. It is done at level 0, where no reason is looked
at, so clauses may move. Cost: O(words of the arena).

Reference: Audemard and Simon, "Predicting learnt clauses quality in modern SAT solvers", 2009.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import DELETED, FROM, GLUE, GLUES, LEARNT, LITERALS, NEXT, SIZE, USED

KEPT_GLUE = 2
USEFUL_GLUE = 6


@kernel
def add_clause(clauses, literals, n, glue):  # type: ignore[no-untyped-def]
    """Append the first n >= 2 literals as a clause that watches the first two; its place in the arena."""
    arena, clause = clauses.arena, clauses.end[0]
    arena[clause + SIZE] = n
    arena[clause + GLUE] = min(glue, GLUES - 1)
    arena[clause + USED] = 1
    arena[clause + FROM] = 2
    for i in range(n):
        arena[clause + LITERALS + i] = literals[i]
    _watch(clauses, clause)
    clauses.end[0] = clause + LITERALS + n
    return clause


@kernel
def _watch(clauses, clause):  # type: ignore[no-untyped-def]
    """Link the first two literals of a clause to their watchers."""
    for side in range(2):
        literal = clauses.arena[clause + LITERALS + side]
        clauses.arena[clause + NEXT + side] = clauses.heads[literal]
        clauses.heads[literal] = 2 * clause + side


@kernel
def clean(trail, clauses, scratch):  # type: ignore[no-untyped-def]
    """Keep the better clauses, without literals that are false for good; at a fixpoint of level 0 only."""
    arena, value = clauses.arena, trail.value
    limit, surplus = _limit(clauses, scratch.tally)
    clauses.heads[:] = -1
    clause, end, target = np.int64(0), clauses.end[0], np.int64(0)
    while clause < end:
        following = clause + LITERALS + arena[clause + SIZE]
        learnt, drop = arena[clause + GLUE] > 0, False
        if _may_go(arena, clause) and arena[clause + GLUE] >= limit:
            drop = arena[clause + GLUE] > limit or surplus > 0
            surplus -= arena[clause + GLUE] == limit
        for i in range(clause + LITERALS, following):
            drop = drop or value[arena[i]] > 0
        if drop:
            scratch.stats[DELETED] += learnt
            scratch.stats[LEARNT] -= learnt
        else:
            target = _moved(clauses, value, clause, target)
        clause = following
    clauses.end[0] = target


@kernel
def _moved(clauses, value, clause, target):  # type: ignore[no-untyped-def]
    """Copy a clause down to ``target`` without its false literals and watch it; where the next one goes."""
    arena = clauses.arena
    first, after, n = clause + LITERALS, clause + LITERALS + arena[clause + SIZE], np.int64(0)
    glue = arena[clause + GLUE]
    for i in range(first, after):
        literal = arena[i]
        if value[literal] == 0:
            arena[target + LITERALS + n] = literal
            n += 1
    arena[target + SIZE] = n
    arena[target + GLUE] = glue
    arena[target + USED] = 0
    arena[target + FROM] = 2
    _watch(clauses, target)
    return target + LITERALS + n


@kernel
def _may_go(arena, clause):  # type: ignore[no-untyped-def]
    """Whether a clause is learnt and neither good nor lately useful."""
    glue = arena[clause + GLUE]
    return glue > KEPT_GLUE and not (glue <= USEFUL_GLUE and arena[clause + USED])


@kernel
def _limit(clauses, glues):  # type: ignore[no-untyped-def]
    """The glue above which all go that may, and how many of this glue, so that half of them go."""
    arena, clause = clauses.arena, np.int64(0)
    glues[:] = 0
    while clause < clauses.end[0]:
        glues[arena[clause + GLUE]] += _may_go(arena, clause)
        clause += LITERALS + arena[clause + SIZE]
    limit, surplus = np.int64(GLUES - 1), glues.sum() // 2
    while limit > 0 and glues[limit] < surplus:
        surplus -= glues[limit]
        limit -= 1
    return limit, surplus
