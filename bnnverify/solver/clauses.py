"""Putting clauses into the arena, where each is watched by its first two literals.

Clauses of a problem come in bulk: as one array of literals and where each clause ends. Literals that stand twice are
left out, and so are clauses with a literal and its negation. Cost: one step a literal.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import FROM, GLUE, GLUES, LITERALS, NEXT, NO_REASON, SIZE, STAMP, USED
from bnnverify.solver.trail import assign


@kernel
def add_clauses(trail, clauses, scratch, literals, ends):  # type: ignore[no-untyped-def]
    """Add the clauses ``literals[ends[i - 1]:ends[i]]`` at level 0, into room enough; False if one is violated."""
    learnt, stamps, begin = scratch.learnt, scratch.stamps, np.int64(0)
    for end in ends:
        scratch.stats[STAMP] += 1
        stamp, n, always = scratch.stats[STAMP], np.int64(0), False
        for i in range(begin, end):
            literal = np.int64(literals[i])
            always = always or stamps[literal ^ 1] == stamp
            if not always and stamps[literal] != stamp:
                learnt[n] = literal
                n += 1
            stamps[literal] = stamp
        begin = end
        if always:
            continue
        if n > 1:
            add_clause(clauses, learnt, n, np.int64(0))
        elif n == 0 or trail.value[learnt[0]] < 0:
            return False
        elif trail.value[learnt[0]] == 0:
            assign(trail, scratch, np.int64(learnt[0]), np.int64(NO_REASON))
    return True


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
    watch(clauses, clause)
    clauses.end[0] = clause + LITERALS + n
    return clause


@kernel
def watch(clauses, clause):  # type: ignore[no-untyped-def]
    """Link the first two literals of a clause to their watchers."""
    for side in range(2):
        literal = clauses.arena[clause + LITERALS + side]
        clauses.arena[clause + NEXT + side] = clauses.heads[literal]
        clauses.heads[literal] = 2 * clause + side
