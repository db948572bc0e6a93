"""Assigning literals and taking them back, with the sums and the heap kept right.

The sums of a row are over its *propagated* literals, those before HEAD on the trail, so going back undoes exactly
what propagation did. Cost: one step a literal and row it occurs in.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.order import insert
from bnnverify.solver.store import HEAD, N_ASSIGNED, N_LEVELS, PROPAGATIONS


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
def backtrack(trail, order, rows, level):  # type: ignore[no-untyped-def]
    """Take back every level above ``level``; variables keep their last value as phase."""
    if trail.at[N_LEVELS] <= level:
        return
    start, head = trail.starts[level], trail.at[HEAD]
    value, literals, phase, where = trail.value, trail.literals, order.phase, order.where
    for place in range(trail.at[N_ASSIGNED] - 1, start - 1, -1):
        literal = np.int64(literals[place])
        variable = literal >> 1
        value[literal] = 0
        value[literal ^ 1] = 0
        phase[variable] = literal & 1
        if where[variable] < 0:
            insert(order, variable)
        if place < head:
            _unweigh(rows, literal)
    trail.at[N_ASSIGNED] = start
    trail.at[HEAD] = min(head, start)
    trail.at[N_LEVELS] = level


@kernel
def _unweigh(rows, literal):  # type: ignore[no-untyped-def]
    """Give back to every row what a propagated literal took."""
    occurs_at, occurs, left = rows.occurs_at, rows.occurs, rows.left
    for side in range(2):
        at = 2 * (literal ^ side)
        for i in range(occurs_at[at], occurs_at[at + 1]):
            left[2 * np.int64(occurs[i]) + side] += 1
        for i in range(occurs_at[at + 1], occurs_at[at + 2]):
            left[2 * np.int64(occurs[i]) + side] += rows.heft[i]
