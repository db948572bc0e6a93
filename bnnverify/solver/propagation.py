"""Unit propagation over clauses by two watched literals, over cardinality constraints by two counters.

A constraint ``output <-> at least bound of n literals`` speaks only when a counter reaches one of four
values: ``bound`` true or ``n - bound + 1`` false literals decide the output; one less of either, and an
output that is already known against it, decide every open literal. Reasons are not built here.
Cost: one step a literal and constraint it occurs in, and one scan of a constraint that forces its literals.

Reference: Liffiton and Maglalang, "A cardinality solver: more expressive constraints for free", 2012;
Jia and Rinard, "Efficient exact verification of binarized neural networks", 2020 (both directions).
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import (
    BEGIN,
    BOUND,
    FROM,
    HEAD,
    LENGTH,
    LITERALS,
    N_ASSIGNED,
    N_FALSE,
    N_TRUE,
    NEXT,
    NO_REASON,
    OUTPUT,
    SIZE,
)
from bnnverify.solver.trail import assign


@kernel
def propagate(trail, clauses, cards, scratch):  # type: ignore[no-untyped-def]
    """Assign whatever follows; the reason that is violated, or NO_REASON at a fixpoint."""
    while trail.at[HEAD] < trail.at[N_ASSIGNED]:
        literal = np.int64(trail.literals[trail.at[HEAD]])
        conflict = _visit_clauses(trail, clauses, scratch, literal ^ 1)
        if conflict == NO_REASON:
            trail.at[HEAD] += 1
            conflict = _visit_constraints(trail, cards, scratch, literal)
        if conflict != NO_REASON:
            return conflict
    return np.int64(NO_REASON)


@kernel
def _visit_clauses(trail, clauses, scratch, false):  # type: ignore[no-untyped-def]
    """Let each clause that watches a literal, now false, watch another one, or become unit, or a conflict."""
    arena, heads, value = clauses.arena, clauses.heads, trail.value
    link, kept = np.int64(heads[false]), np.int64(-1)
    while link >= 0:
        clause, side = link >> 1, link & 1
        first = clause + LITERALS
        following = np.int64(arena[clause + NEXT + side])
        other = np.int64(arena[first + 1 - side])
        at = np.int64(0)
        if value[other] <= 0:
            at = _another(arena, value, clause)
        if at:
            watched = arena[at]
            arena[at] = false
            arena[first + side] = watched
            arena[clause + NEXT + side] = heads[watched]
            heads[watched] = link
            if kept < 0:
                heads[false] = following
            else:
                arena[(kept >> 1) + NEXT + (kept & 1)] = following
        else:
            kept = link
            if value[other] < 0:
                return 2 * clause
            if value[other] == 0:
                assign(trail, scratch, other, 2 * clause)
        link = following
    return np.int64(NO_REASON)


@kernel
def _another(arena, value, clause):  # type: ignore[no-untyped-def]
    """Where an unwatched literal stands that is not false, or 0; the next look goes on there, not at the start."""
    first, n = clause + LITERALS, np.int64(arena[clause + SIZE])
    middle = np.int64(arena[clause + FROM])
    for start, end in ((middle, n), (np.int64(2), middle)):
        for i in range(start, end):
            if value[arena[first + i]] >= 0:
                arena[clause + FROM] = i
                return first + i
    return np.int64(0)


@kernel
def _visit_constraints(trail, cards, scratch, literal):  # type: ignore[no-untyped-def]
    """Count a true literal wherever it or its negation occurs, and let the constraints speak."""
    rows, occurs_at, occurs, value = cards.rows, cards.occurs_at, cards.occurs, trail.value
    conflict = np.int64(NO_REASON)
    for negated in range(2):
        counter = N_TRUE + negated
        occurrence = literal ^ negated
        for i in range(occurs_at[occurrence], occurs_at[occurrence + 1]):
            c = np.int64(occurs[i])
            rows[c, counter] += 1
            bound = rows[c, LENGTH] + 1 - rows[c, BOUND] if negated else rows[c, BOUND]
            if rows[c, counter] < bound - 1 or conflict != NO_REASON:
                continue
            output = np.int64(rows[c, OUTPUT]) ^ negated
            if rows[c, counter] == bound - 1:
                if value[output] < 0:
                    _force(trail, cards, scratch, c, negated ^ 1)
            elif rows[c, counter] == bound:
                if value[output] < 0:
                    conflict = 2 * c + 1
                elif value[output] == 0:
                    assign(trail, scratch, output, 2 * c + 1)
    if conflict == NO_REASON:
        _visit_outputs(trail, cards, scratch, literal)
    return conflict


@kernel
def _visit_outputs(trail, cards, scratch, literal):  # type: ignore[no-untyped-def]
    """Let each constraint whose output is now known force its open literals, if no other choice is left."""
    rows, puts_at, puts = cards.rows, cards.puts_at, cards.puts
    for negated in range(2):
        output = literal ^ negated
        for i in range(puts_at[output], puts_at[output + 1]):
            c = np.int64(puts[i])
            if negated and rows[c, N_TRUE] == rows[c, BOUND] - 1:
                _force(trail, cards, scratch, c, np.int64(1))
            elif not negated and rows[c, N_FALSE] == rows[c, LENGTH] - rows[c, BOUND]:
                _force(trail, cards, scratch, c, np.int64(0))


@kernel
def _force(trail, cards, scratch, c, negated):  # type: ignore[no-untyped-def]
    """Make every open literal of a constraint true, or false if ``negated``."""
    begin, literals, value = cards.rows[c, BEGIN], cards.literals, trail.value
    for i in range(begin, begin + cards.rows[c, LENGTH]):
        literal = np.int64(literals[i])
        if value[literal] == 0:
            assign(trail, scratch, literal ^ negated, 2 * c + 1)
