"""Unit propagation over clauses by two watched literals, over linear constraints by two sums of weights.

A row ``output <-> weights of the true literals >= bound`` speaks only when what one side lacks is no more than the
row's largest weight: a side that lacks nothing decides the output; where the output is known against a side, each
open literal whose weight would complete it is forced to the other one. Literals stand heaviest first, so the scan
for them stops early. Where all weights are 1, sums are counts and take no look-up. Reasons are not built here.
Cost: one step a literal and row it occurs in, and one scan of the heavy literals of a row that forces.

Reference: Liffiton and Maglalang, "A cardinality solver: more expressive constraints for free", 2012;
Jia and Rinard, "Efficient exact verification of binarized neural networks", 2020 (both directions);
Een and Sorensson, "Translating pseudo-Boolean constraints into SAT", 2006 (propagation by slack).
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import FROM, HEAD, LITERALS, N_ASSIGNED, NEXT, NO_REASON, SIZE, TICKS
from bnnverify.solver.trail import assign

TICKS_A_CLAUSE = 20


@kernel
def propagate(trail, clauses, rows, scratch):  # type: ignore[no-untyped-def]
    """Assign whatever follows; the reason that is violated, or NO_REASON at a fixpoint."""
    while trail.at[HEAD] < trail.at[N_ASSIGNED]:
        literal = np.int64(trail.literals[trail.at[HEAD]])
        conflict = _visit_clauses(trail, clauses, scratch, literal ^ 1)
        if conflict == NO_REASON:
            trail.at[HEAD] += 1
            conflict = _visit_rows(trail, rows, scratch, literal)
        if conflict != NO_REASON:
            return conflict
    return np.int64(NO_REASON)


@kernel
def _visit_clauses(trail, clauses, scratch, false):  # type: ignore[no-untyped-def]
    """Let each clause that watches a literal, now false, watch another one, or become unit, or a conflict."""
    arena, heads, value = clauses.arena, clauses.heads, trail.value
    link, kept = np.int64(heads[false]), np.int64(-1)
    while link >= 0:
        scratch.stats[TICKS] += TICKS_A_CLAUSE
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
def _visit_rows(trail, rows, scratch, literal):  # type: ignore[no-untyped-def]
    """Weigh a true literal wherever it or its negation occurs, and let the rows speak; all of them even in conflict."""
    occurs_at, occurs, left = rows.occurs_at, rows.occurs, rows.left
    conflict = np.int64(NO_REASON)
    for side in range(2):
        at = 2 * (literal ^ side)
        scratch.stats[TICKS] += occurs_at[at + 2] - occurs_at[at]
        for i in range(occurs_at[at], occurs_at[at + 1]):
            row = np.int64(occurs[i])
            left[2 * row + side] -= 1
            if left[2 * row + side] <= 1 and conflict == NO_REASON:
                conflict = _speak(trail, rows, scratch, row, side)
        for i in range(occurs_at[at + 1], occurs_at[at + 2]):
            row = np.int64(occurs[i])
            left[2 * row + side] -= rows.heft[i]
            if left[2 * row + side] <= rows.widest[row] and conflict == NO_REASON:
                conflict = _speak(trail, rows, scratch, row, side)
    if conflict == NO_REASON:
        _visit_outputs(trail, rows, scratch, literal)
    return conflict


@kernel
def _speak(trail, rows, scratch, row, side):  # type: ignore[no-untyped-def]
    """Decide the output of a row for a side that reached its need, or keep an output's opposite side from that."""
    output = np.int64(rows.outputs[row]) ^ side
    known = trail.value[output]
    if known < 0:
        if rows.left[2 * row + side] <= 0:
            return 2 * row + 1
        _force(trail, rows, scratch, row, side)
    elif known == 0 and rows.left[2 * row + side] <= 0:
        assign(trail, scratch, output, 2 * row + 1)
    return np.int64(NO_REASON)


@kernel
def _visit_outputs(trail, rows, scratch, literal):  # type: ignore[no-untyped-def]
    """Let each row whose output is now known force the literals without which that could not be."""
    for side in range(2):
        output = literal ^ side ^ 1
        for i in range(rows.puts_at[output], rows.puts_at[output + 1]):
            row = np.int64(rows.puts[i])
            if rows.left[2 * row + side] <= rows.widest[row]:
                _force(trail, rows, scratch, row, side)


@kernel
def _force(trail, rows, scratch, row, side):  # type: ignore[no-untyped-def]
    """Keep every open literal off a side that it would let reach its need."""
    literals, value, left = rows.literals, trail.value, rows.left[2 * row + side]
    for i in range(rows.starts[row], rows.starts[row + 1]):
        if rows.weights[i] < left:
            return
        literal = np.int64(literals[i])
        if value[literal] == 0:
            assign(trail, scratch, literal ^ side ^ 1, 2 * row + 1)
