"""The search itself: propagate, learn from conflicts, restart, decide; in batches, so that limits hold.

:func:`search` returns to Python after a number of conflicts or assignments and goes on where it was at the
next call, so a clock, an interrupt or a stop flag is looked at between batches. Assumptions are the first
decisions. Clauses are cleaned when it is time, whether a restart is due or not. Cost: propagation, nearly all of it.

Reference: Een and Sorensson, "An extensible SAT-solver", 2003.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.analysis import core_of, glue_of, learn
from bnnverify.solver.clauses import add_clause
from bnnverify.solver.deletion import clean, words_to_clean
from bnnverify.solver.kernel import kernel
from bnnverify.solver.log import ADDED, has_room, write
from bnnverify.solver.order import DECAY, pop
from bnnverify.solver.propagation import propagate
from bnnverify.solver.restart import restarted
from bnnverify.solver.store import (
    CONFLICTS,
    DECISIONS,
    LEARNT,
    LITERALS,
    N_LEVELS,
    NEXT_CLEANING,
    NEXT_RESTART,
    NO_REASON,
    STEP,
    TICKS,
)
from bnnverify.solver.trail import assign, backtrack, open_level

SATISFIABLE, UNSATISFIABLE, FAILED, PAUSED, FULL = 1, 2, 3, 4, 5
CLEANING_GAP, CLEANING_GROWTH = 2000, 300


@kernel
def search(trail, order, clauses, rows, scratch, log, assumptions, conflicts, ticks):  # type: ignore[no-untyped-def]
    """Search until an answer or until ``stats`` reach so many conflicts or ticks.

    Returns:
        SATISFIABLE, UNSATISFIABLE (with no assumption), FAILED (assumptions, the first ``n`` of ``learnt``), PAUSED,
        or FULL where the arena or the log has no room for what may come next; and n.
    """
    stats, nothing = scratch.stats, np.int64(0)
    while True:
        if clauses.end[0] + scratch.learnt.size + LITERALS > clauses.arena.size:
            return FULL, nothing
        if not has_room(log, scratch.learnt.size + 1):
            return FULL, nothing
        if stats[CONFLICTS] >= conflicts or stats[TICKS] >= ticks:
            return PAUSED, nothing
        conflict = propagate(trail, clauses, rows, scratch)
        if conflict != NO_REASON:
            stats[CONFLICTS] += 1
            if trail.at[N_LEVELS] == 0:
                return UNSATISFIABLE, nothing
            _learn_from(trail, order, clauses, rows, scratch, log, conflict)
            continue
        if stats[CONFLICTS] >= stats[NEXT_RESTART] or stats[CONFLICTS] >= stats[NEXT_CLEANING]:
            backtrack(trail, order, rows, np.int64(0))
            restarted(stats)
        if stats[CONFLICTS] >= stats[NEXT_CLEANING]:
            if not has_room(log, words_to_clean(trail, clauses)):
                return FULL, nothing
            clean(trail, clauses, log, scratch)
            stats[NEXT_CLEANING] = stats[CONFLICTS] + CLEANING_GAP + CLEANING_GROWTH * (stats[LEARNT] // CLEANING_GAP)
        literal, failed = _next_decision(trail, order, assumptions)
        if failed:
            return FAILED, core_of(trail, clauses, rows, scratch, literal)
        if literal < 0:
            return SATISFIABLE, nothing
        stats[DECISIONS] += 1
        open_level(trail)
        assign(trail, scratch, literal, np.int64(NO_REASON))


@kernel
def _learn_from(trail, order, clauses, rows, scratch, log, conflict):  # type: ignore[no-untyped-def]
    """Learn a clause, go back to where it is unit, and assign its first literal."""
    n = learn(trail, order, clauses, rows, scratch, conflict)
    learnt = scratch.learnt
    glue = glue_of(trail, scratch, n)
    write(log, learnt, np.int64(0), n, np.int64(ADDED))
    order.pace[STEP] /= DECAY
    reason = np.int64(NO_REASON)
    level = np.int64(trail.level[learnt[1] >> 1]) if n > 1 else np.int64(0)
    backtrack(trail, order, rows, level)
    if n > 1:
        reason = 2 * add_clause(clauses, learnt, n, glue)
        scratch.stats[LEARNT] += 1
    assign(trail, scratch, np.int64(learnt[0]), reason)


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
