"""What a conflict teaches: a clause with one literal of the present level, by resolution along the trail.

Reasons come from :mod:`bnnverify.solver.reasons`, so a learnt clause may combine clauses and constraints.
Literals whose own reasons are met already are left out. A learnt clause's *glue* is the number of its levels.
Cost: the reasons between the conflict and the first unique implication point, and those tried to shorten it.

Reference: Zhang et al., "Efficient conflict driven learning", 2001; Een and Sorensson, 2003 (core);
Sorensson and Biere, "Minimizing learned clauses", 2009; Audemard and Simon, 2009 (glue).
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.order import bump
from bnnverify.solver.reasons import explain
from bnnverify.solver.store import GLUE, N_ASSIGNED, N_LEVELS, STAMP, USED


@kernel
def learn(trail, order, clauses, rows, scratch, conflict):  # type: ignore[no-untyped-def]
    """Write a clause to ``learnt``, its literal of the present level first and one of the next level second; length."""
    seen, learnt, met, buffer = scratch.seen, scratch.learnt, scratch.met, scratch.buffer
    levels, literals, present = trail.level, trail.literals, trail.at[N_LEVELS]
    n, n_met, n_open = np.int64(1), np.int64(0), np.int64(0)
    place, literal, reason = trail.at[N_ASSIGNED], np.int64(-1), conflict
    while True:
        if reason & 1 == 0 and clauses.arena[(reason >> 1) + GLUE]:
            clauses.arena[(reason >> 1) + USED] = 1
        for i in range(explain(trail, clauses, rows, scratch, reason, literal)):
            false = buffer[i]
            variable = np.int64(false >> 1)
            if seen[variable] or levels[variable] == 0:
                continue
            seen[variable] = 1
            met[n_met] = variable
            n_met += 1
            bump(order, variable)
            if levels[variable] == present:
                n_open += 1
            else:
                learnt[n] = false
                n += 1
        place -= 1
        while not seen[literals[place] >> 1]:
            place -= 1
        literal = np.int64(literals[place])
        reason = trail.reason[literal >> 1]
        n_open -= 1
        if n_open == 0:
            break
    learnt[0] = literal ^ 1
    return _shortened(trail, clauses, rows, scratch, n, n_met)


@kernel
def _shortened(trail, clauses, rows, scratch, n, n_met):  # type: ignore[no-untyped-def]
    """Leave out literals that follow from others, put one of the highest level second, forget what was met."""
    learnt = scratch.learnt
    scratch.stats[STAMP] += 1
    for i in range(1, n):
        scratch.stamps[trail.level[learnt[i] >> 1]] = scratch.stats[STAMP]
    kept = np.int64(1)
    for i in range(1, n):
        false = np.int64(learnt[i])
        follows = False
        if trail.reason[false >> 1] >= 0:
            follows, n_met = _follows(trail, clauses, rows, scratch, false, n_met)
        if not follows:
            learnt[kept] = false
            kept += 1
    for i in range(n_met):
        scratch.seen[scratch.met[i]] = 0
    for i in range(2, kept):
        if trail.level[learnt[i] >> 1] > trail.level[learnt[1] >> 1]:
            learnt[1], learnt[i] = learnt[i], learnt[1]
    return kept


@kernel
def _follows(trail, clauses, rows, scratch, false, n_met):  # type: ignore[no-untyped-def]
    """Whether a literal is false because of others that were met; whatever is found to be so counts as met."""
    seen, met, todo, buffer, stamps = scratch.seen, scratch.met, scratch.todo, scratch.buffer, scratch.stamps
    levels, reasons, stamp = trail.level, trail.reason, scratch.stats[STAMP]
    n_before, n_todo = n_met, np.int64(1)
    todo[0] = false
    while n_todo:
        n_todo -= 1
        literal = np.int64(todo[n_todo] ^ 1)
        for i in range(explain(trail, clauses, rows, scratch, reasons[literal >> 1], literal)):
            variable = np.int64(buffer[i] >> 1)
            if seen[variable] or levels[variable] == 0:
                continue
            stranger = stamps[levels[variable]] != stamp
            if stranger or reasons[variable] < 0:
                for j in range(n_before, n_met):
                    seen[met[j]] = 0
                return False, n_before
            seen[variable] = 1
            met[n_met] = variable
            n_met += 1
            todo[n_todo] = buffer[i]
            n_todo += 1
    return True, n_met


@kernel
def glue_of(trail, scratch, n):  # type: ignore[no-untyped-def]
    """Number of levels among the first n literals of ``learnt``."""
    scratch.stats[STAMP] += 1
    glue = np.int64(0)
    for i in range(n):
        level = trail.level[scratch.learnt[i] >> 1]
        glue += scratch.stamps[level] != scratch.stats[STAMP]
        scratch.stamps[level] = scratch.stats[STAMP]
    return glue


@kernel
def core_of(trail, clauses, rows, scratch, assumption):  # type: ignore[no-untyped-def]
    """Write to ``learnt`` a false assumption and those decided ones that make it false; how many."""
    seen, n = scratch.seen, np.int64(1)
    scratch.learnt[0] = assumption
    if trail.level[assumption >> 1] == 0:
        return n
    seen[assumption >> 1] = 1
    for place in range(trail.at[N_ASSIGNED] - 1, trail.starts[0] - 1, -1):
        literal = np.int64(trail.literals[place])
        if not seen[literal >> 1]:
            continue
        seen[literal >> 1] = 0
        reason = trail.reason[literal >> 1]
        if reason < 0:
            scratch.learnt[n] = literal
            n += 1
            continue
        for i in range(explain(trail, clauses, rows, scratch, reason, literal)):
            variable = scratch.buffer[i] >> 1
            if trail.level[variable]:
                seen[variable] = 1
    return n
