"""The search itself: propagate, learn from conflicts, restart, decide; in batches, so that limits hold.

:func:`search` returns to Python after a number of conflicts or assignments and goes on where it was at the
next call, so a clock, an interrupt or a stop flag is looked at between batches. Assumptions are the first
decisions. Restarts follow the glue of the latest clauses against that of all. Cost: propagation, nearly all of it.

Reference: Een and Sorensson, 2003; Biere and Froehlich, "Evaluating CDCL restart schemes", 2015.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.analysis import core_of, glue_of, learn
from bnnverify.solver.deletion import add_clause, clean
from bnnverify.solver.kernel import kernel
from bnnverify.solver.order import DECAY, pop
from bnnverify.solver.propagation import propagate
from bnnverify.solver.store import (
    CONFLICTS,
    DECISIONS,
    FAST_GLUE,
    LAST_RESTART,
    LEARNT,
    LITERALS,
    N_LEVELS,
    NEXT_CLEANING,
    NO_REASON,
    PROPAGATIONS,
    RESTARTS,
    SLOW_GLUE,
    STEP,
)
from bnnverify.solver.trail import assign, backtrack, open_level

SATISFIABLE, UNSATISFIABLE, FAILED, PAUSED, FULL = 1, 2, 3, 4, 5
RESTART_MARGIN = 1.1
RESTART_GAP = 10
FAST_SHARE, SLOW_SHARE = 1 / 32, 1 / 8192
CLEANING_GAP, CLEANING_GROWTH = 2000, 300


@kernel
def search(trail, order, clauses, cards, scratch, assumptions, conflicts, propagations):  # type: ignore[no-untyped-def]
    """Search until an answer or until ``stats`` reach so many conflicts or propagations.

    Returns:
        SATISFIABLE, UNSATISFIABLE (with no assumption), FAILED (assumptions, the first ``n`` of ``learnt``), PAUSED,
        or FULL where the arena has no room for a further clause; and n.
    """
    stats, nothing = scratch.stats, np.int64(0)
    while True:
        if clauses.end[0] + scratch.learnt.size + LITERALS > clauses.arena.size:
            return FULL, nothing
        if stats[CONFLICTS] >= conflicts or stats[PROPAGATIONS] >= propagations:
            return PAUSED, nothing
        conflict = propagate(trail, clauses, cards, scratch)
        if conflict != NO_REASON:
            stats[CONFLICTS] += 1
            if trail.at[N_LEVELS] == 0:
                return UNSATISFIABLE, nothing
            _learn_from(trail, order, clauses, cards, scratch, conflict)
            continue
        if _restart_is_due(order, stats):
            stats[RESTARTS] += 1
            stats[LAST_RESTART] = stats[CONFLICTS]
            order.pace[FAST_GLUE] = order.pace[SLOW_GLUE]
            backtrack(trail, order, cards, np.int64(0))
            _clean_if_due(trail, clauses, scratch)
            continue
        literal, failed = _next_decision(trail, order, assumptions)
        if failed:
            return FAILED, core_of(trail, clauses, cards, scratch, literal)
        if literal < 0:
            return SATISFIABLE, nothing
        stats[DECISIONS] += 1
        open_level(trail)
        assign(trail, scratch, literal, np.int64(NO_REASON))


@kernel
def _learn_from(trail, order, clauses, cards, scratch, conflict):  # type: ignore[no-untyped-def]
    """Learn a clause, go back to where it is unit, and assign its first literal."""
    n = learn(trail, order, clauses, cards, scratch, conflict)
    learnt = scratch.learnt
    glue = glue_of(trail, scratch, n)
    order.pace[STEP] /= DECAY
    count = scratch.stats[CONFLICTS]
    order.pace[FAST_GLUE] += (glue - order.pace[FAST_GLUE]) * max(FAST_SHARE, 1 / count)
    order.pace[SLOW_GLUE] += (glue - order.pace[SLOW_GLUE]) * max(SLOW_SHARE, 1 / count)
    reason = np.int64(NO_REASON)
    level = np.int64(trail.level[learnt[1] >> 1]) if n > 1 else np.int64(0)
    backtrack(trail, order, cards, level)
    if n > 1:
        reason = 2 * add_clause(clauses, learnt, n, glue)
        scratch.stats[LEARNT] += 1
    assign(trail, scratch, np.int64(learnt[0]), reason)


@kernel
def _restart_is_due(order, stats):  # type: ignore[no-untyped-def]
    """Whether the latest clauses span clearly more levels than usual."""
    lately = stats[CONFLICTS] - stats[LAST_RESTART] < RESTART_GAP
    return not lately and order.pace[FAST_GLUE] > RESTART_MARGIN * order.pace[SLOW_GLUE]


@kernel
def _clean_if_due(trail, clauses, scratch):  # type: ignore[no-untyped-def]
    """Delete clauses where enough conflicts have passed; only at level 0."""
    stats = scratch.stats
    if stats[CONFLICTS] >= stats[NEXT_CLEANING]:
        clean(trail, clauses, scratch)
        stats[NEXT_CLEANING] = stats[CONFLICTS] + CLEANING_GAP + CLEANING_GROWTH * (stats[LEARNT] // CLEANING_GAP)


@kernel
def _next_decision(trail, order, assumptions):  # type: ignore[no-untyped-def]
    """The literal to decide, -1 where none is open; and whether it is an assumption that is false."""
    while trail.at[N_LEVELS] < assumptions.size:
        literal = np.int64(assumptions[trail.at[N_LEVELS]])
        if trail.value[literal] < 0:
            return literal, True
        if trail.value[literal] == 0:
            return literal, False
        open_level(trail)
    while order.size[0] > 0:
        variable = np.int64(pop(order))
        if trail.value[2 * variable] == 0:
            return 2 * variable + order.phase[variable], False
    return np.int64(-1), False
