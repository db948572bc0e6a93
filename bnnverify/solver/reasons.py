"""Why a literal had to be true, or a constraint is violated: a clause, built only when it is asked for.

A clause is its own reason. A constraint has many; taken is one of least size, made of the literals that
were assigned first, since those lie on the lowest levels. An output needs ``bound`` true or
``n - bound + 1`` false literals; a forced literal needs the output and one fewer. Cost: O(length).

Reference: Liffiton and Maglalang, "A cardinality solver", 2012, where reasons are built at once.
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import BEGIN, BOUND, LENGTH, LITERALS, N_ASSIGNED, OUTPUT, SIZE


@kernel
def explain(trail, clauses, cards, scratch, reason, literal):  # type: ignore[no-untyped-def]
    """Write to ``buffer`` the false literals that force ``literal`` (-1: that violate the reason); how many."""
    if reason & 1:
        return _explain_constraint(trail, cards, scratch, reason >> 1, literal)
    arena, buffer = clauses.arena, scratch.buffer
    n, first = np.int64(0), (reason >> 1) + LITERALS
    for i in range(first, first + arena[first - LITERALS + SIZE]):
        if arena[i] != literal:
            buffer[n] = arena[i]
            n += 1
    return n


@kernel
def _explain_constraint(trail, cards, scratch, c, literal):  # type: ignore[no-untyped-def]
    """The same for a constraint."""
    value, place, literals, buffer = trail.value, trail.place, cards.literals, scratch.buffer
    rows = cards.rows
    begin, length = np.int64(rows[c, BEGIN]), np.int64(rows[c, LENGTH])
    bound, output = np.int64(rows[c, BOUND]), np.int64(rows[c, OUTPUT])
    n, holds = np.int64(0), value[output] > 0
    needed = length - bound if holds else bound - 1
    of_true = np.int64(0 if holds else 1)
    before = trail.at[N_ASSIGNED] if literal < 0 else np.int64(place[literal >> 1])
    if literal >> 1 == output >> 1:
        of_true ^= 1
        needed = bound if holds else length - bound + 1
    else:
        needed += literal < 0
        buffer[0] = output ^ holds
        n += 1
    start = n
    for i in range(begin, begin + length):
        false = literals[i] ^ of_true
        if value[false] < 0 and place[false >> 1] < before:
            buffer[n] = false
            n += 1
    if n > start + needed:
        _earliest_first(place, buffer, start, n - 1, start + needed)
    return start + needed


@kernel
def _earliest_first(place, literals, left, right, n):  # type: ignore[no-untyped-def]
    """Reorder ``literals[left:right + 1]`` so that those before index n are the earliest, by quickselect."""
    while left < right:
        pivot = place[literals[(left + right) >> 1] >> 1]
        i, j = left, right
        while i <= j:
            while place[literals[i] >> 1] < pivot:
                i += 1
            while place[literals[j] >> 1] > pivot:
                j -= 1
            if i <= j:
                literals[i], literals[j] = literals[j], literals[i]
                i += 1
                j -= 1
        if n <= j:
            right = j
        elif n >= i:
            left = i
        else:
            return
