"""Why a literal had to be true, or a row is violated: a clause, built only when it is asked for.

A clause is its own reason. A row has many; taken are the literals that were assigned first, since those lie on
the lowest levels, as few of them as are enough, and of those none that the others make superfluous. An output
needs literals of one side that weigh what the side needs; a forced literal needs the output, and literals that
weigh so much less as it weighs itself. Cost: O(length), by selection; where weights differ, O(log length) more for
each literal taken.

Reference: Liffiton and Maglalang, "A cardinality solver", 2012, where reasons are built at once; Hoare,
"Find", 1961 (selection).
"""

from __future__ import annotations

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import LITERALS, N_ASSIGNED, SIZE, TICKS


@kernel
def explain(trail, clauses, rows, scratch, reason, literal):  # type: ignore[no-untyped-def]
    """Write to ``buffer`` the false literals that force ``literal`` (-1: that violate the reason); how many."""
    if reason & 1:
        return _explain_row(trail, rows, scratch, reason >> 1, literal)
    arena, buffer = clauses.arena, scratch.buffer
    n, first = np.int64(0), (reason >> 1) + LITERALS
    for i in range(first, first + arena[first - LITERALS + SIZE]):
        if arena[i] != literal:
            buffer[n] = arena[i]
            n += 1
    scratch.stats[TICKS] += n
    return n


@kernel
def _explain_row(trail, rows, scratch, row, literal):  # type: ignore[no-untyped-def]
    """The same for a row."""
    value, place, buffer, hefts = trail.value, trail.place, scratch.buffer, scratch.hefts
    output, n = np.int64(rows.outputs[row]), np.int64(0)
    is_output = literal >> 1 == output >> 1
    side = np.int64((value[output] > 0) != is_output)
    before = trail.at[N_ASSIGNED] if literal < 0 else np.int64(place[literal >> 1])
    need, sign = rows.needs[2 * row + side], side ^ 1
    if not is_output:
        buffer[0] = output ^ side
        n = np.int64(1)
    start = n
    for i in range(rows.starts[row], rows.starts[row + 1]):
        false = rows.literals[i] ^ sign
        if value[false] < 0 and place[false >> 1] < before:
            buffer[n] = false
            hefts[n] = rows.weights[i]
            n += 1
        elif false >> 1 == literal >> 1 and not is_output:
            need -= rows.weights[i]
    scratch.stats[TICKS] += rows.starts[row + 1] - rows.starts[row]
    if rows.widest[row] == 1:
        if n > start + need:
            _earliest_first(place, buffer, start, n - 1, start + need)
        return start + need
    return _few(place, buffer, hefts, start, n, need)


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


@kernel
def _few(place, literals, hefts, start, n, need):  # type: ignore[no-untyped-def]
    """Keep, from ``start`` on, the earliest literals that weigh enough without the superfluous; how many there are."""
    for i in range((start + n) // 2, start - 1, -1):
        _sink(place, literals, hefts, start, n, i)
    weighed, end = np.int64(0), n
    while weighed < need:
        weighed += hefts[start]
        end -= 1
        literals[start], literals[end] = literals[end], literals[start]
        hefts[start], hefts[end] = hefts[end], hefts[start]
        _sink(place, literals, hefts, start, end, start)
    kept = start
    for i in range(end, n):
        if weighed - hefts[i] >= need:
            weighed -= hefts[i]
        else:
            literals[kept] = literals[i]
            kept += 1
    return kept


@kernel
def _sink(place, literals, hefts, start, end, i):  # type: ignore[no-untyped-def]
    """Restore the heap ``literals[start:end]``, the earliest on top, below entry i."""
    while True:
        child = 2 * i - start + 1
        if child >= end:
            return
        if child + 1 < end and place[literals[child + 1] >> 1] < place[literals[child] >> 1]:
            child += 1
        if place[literals[i] >> 1] <= place[literals[child] >> 1]:
            return
        literals[i], literals[child] = literals[child], literals[i]
        hefts[i], hefts[child] = hefts[child], hefts[i]
        i = child
