"""Cleaning: forget the worse half of the learnt clauses, and whatever holds for good.

Clauses of glue 2 stay, and those of glue up to 6 that took part in a conflict since the last cleaning; of
the others those of the largest glue go, old ones first. It is done at level 0, where no reason is looked
at, so clauses may move. Cost: O(words of the arena).

Reference: Audemard and Simon, "Predicting learnt clauses quality in modern SAT solvers", 2009.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.clauses import watch
from bnnverify.solver.kernel import kernel
from bnnverify.solver.log import ADDED, REMOVED, write, write_units
from bnnverify.solver.store import DELETED, FROM, GLUE, GLUES, LEARNT, LITERALS, SIZE, USED

KEPT_GLUE = 2
USEFUL_GLUE = 6


@kernel
def clean(trail, clauses, log, scratch):  # type: ignore[no-untyped-def]
    """Keep the better clauses, without literals that are false for good; at a fixpoint of level 0 only."""
    arena, value = clauses.arena, trail.value
    write_units(trail, log)
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
            if learnt:
                write(log, arena, clause + LITERALS, np.int64(arena[clause + SIZE]), np.int64(REMOVED))
        else:
            target = _moved(clauses, log, scratch.learnt, value, clause, target)
        clause = following
    clauses.end[0] = target


@kernel
def _moved(clauses, log, kept, value, clause, target):  # type: ignore[no-untyped-def]
    """Copy a clause down to ``target`` without its false literals and watch it; where the next one goes."""
    arena, n_kept = clauses.arena, np.int64(0)
    first, n, glue = clause + LITERALS, np.int64(arena[clause + SIZE]), arena[clause + GLUE]
    for i in range(first, first + n):
        if value[arena[i]] == 0:
            kept[n_kept] = arena[i]
            n_kept += 1
    if n_kept < n:
        write(log, kept, np.int64(0), n_kept, np.int64(ADDED))
        if glue:
            write(log, arena, first, n, np.int64(REMOVED))
    arena[target + SIZE] = n_kept
    arena[target + GLUE] = glue
    arena[target + USED] = 0
    arena[target + FROM] = 2
    for i in range(n_kept):
        arena[target + LITERALS + i] = kept[i]
    watch(clauses, target)
    return target + LITERALS + n_kept


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


@kernel
def words_to_clean(trail, clauses):  # type: ignore[no-untyped-def]
    """Words of the log that a cleaning may need."""
    return 2 * (clauses.end[0] + trail.literals.size)
