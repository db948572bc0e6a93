"""Assigning literals and taking them back, with the counters and the heap kept right.

Counters of a constraint count its *propagated* literals, those before HEAD on the trail, so going back
undoes exactly what propagation did. Cost: one step a literal and constraint it occurs in.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.order import insert
from bnnverify.solver.store import HEAD, N_ASSIGNED, N_FALSE, N_LEVELS, N_TRUE, PROPAGATIONS


@kernel
def assign(trail, scratch, literal, reason):  # type: ignore[no-untyped-def]
    """Make an open literal true at the present level."""
    variable, n = literal >> 1, trail.at[N_ASSIGNED]
    trail.value[literal] = 1
    trail.value[literal ^ 1] = -1
    trail.level[variable] = trail.at[N_LEVELS]
    trail.place[variable] = n
    trail.reason[variable] = reason
    trail.literals[n] = literal
    trail.at[N_ASSIGNED] = n + 1
    scratch.stats[PROPAGATIONS] += 1


@kernel
def open_level(trail):  # type: ignore[no-untyped-def]
    """Begin the next decision level."""
    trail.starts[trail.at[N_LEVELS]] = trail.at[N_ASSIGNED]
    trail.at[N_LEVELS] += 1


@kernel
def backtrack(trail, order, cards, level):  # type: ignore[no-untyped-def]
    """Take back every level above ``level``; variables keep their last value as phase."""
    if trail.at[N_LEVELS] <= level:
        return
    start, head = trail.starts[level], trail.at[HEAD]
    value, literals, phase, where = trail.value, trail.literals, order.phase, order.where
    rows, occurs_at, occurs = cards.rows, cards.occurs_at, cards.occurs
    for place in range(trail.at[N_ASSIGNED] - 1, start - 1, -1):
        literal = np.int64(literals[place])
        variable = literal >> 1
        value[literal] = 0
        value[literal ^ 1] = 0
        phase[variable] = literal & 1
        if where[variable] < 0:
            insert(order, variable)
        if place < head:
            for i in range(occurs_at[literal], occurs_at[literal + 1]):
                rows[occurs[i], N_TRUE] -= 1
            for i in range(occurs_at[literal ^ 1], occurs_at[(literal ^ 1) + 1]):
                rows[occurs[i], N_FALSE] -= 1
    trail.at[N_ASSIGNED] = start
    trail.at[HEAD] = min(head, start)
    trail.at[N_LEVELS] = level
