"""Unit propagation over clauses and rows, the one inference that a learnt clause of a proof is checked by.

A literal is coded ``2 v + (1 if negative)``; variable 0 is true. A row ``y <-> sum >= bound`` is two halves, "y: the
literals not yet false can still reach ``need_true``" and "not y: the negated literals not yet true can still reach
``need_false``". One counter a half holds what can still be reached; with its *slack* below 0 the half's side is
false, and where it is true, every literal heavier than the slack is forced. Weights and needs past 60 bits are both
rounded up after a division, which only weakens a half. Clauses are watched by two literals.

Cost: one step for every row that an assigned literal stands in. References: Goldberg and Novikov, "Verification of
proofs of unsatisfiability for CNF formulas", 2003; Elffers, Gocht, McCreesh, Nordstrom, "Justifying all differences
using pseudo-Boolean reasoning", 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.proofs.system import MOST_SUM, System

Longs = NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., Any])

N_TRAIL, HEAD, END, CONTRADICTION = 0, 1, 2, 3
LENGTH, NEXT, LITERALS = 0, 1, 3
LEARN, DELETE = 0, 1


def kernel(function: Function) -> Function:
    """Compiled without counts of references to arrays, as no kernel allocates any."""
    compile_: Any = njit
    compiled: Function = compile_(cache=True, nogil=True, _nrt=False)(function)
    return compiled


class State(NamedTuple):
    """Everything that propagation reads and writes.

    A clause at ``arena[a]`` is its length (0 once deleted), for both watched literals the next clause that watches the
    same, and its literals, the watched ones first. A watch is ``2 a`` or ``2 a + 1``.
    """

    value: NDArray[np.int8]  # by literal: 1 true, -1 false, 0 open
    trail: Longs
    at: Longs
    row_at: Longs
    terms: Longs  # literals of the rows, heaviest first
    weights: Longs
    outputs: Longs
    can_true: Longs
    can_false: Longs
    need_true: Longs
    need_false: Longs
    row_of: Longs  # by variable: the row that defines it, or -1
    occurs_at: Longs  # by literal
    occurs_row: Longs
    occurs_weight: Longs
    arena: Longs
    heads: Longs
    places: Longs  # by clause number: where it is in the arena, or -1
    marks: NDArray[np.int8]


@kernel
def assign(s: State, literal: int) -> bool:
    """Make a literal true; says whether it was false."""
    if s.value[literal] == 0:
        s.value[literal] = 1
        s.value[literal ^ 1] = -1
        s.trail[s.at[N_TRAIL]] = literal
        s.at[N_TRAIL] += 1
    return bool(s.value[literal] < 0)


@kernel
def examine(s: State, row: int, can: Longs, need: Longs, flip: int) -> bool:
    """What a half of a row implies, its own for flip 0, its negation's for flip 1; says whether there is a conflict."""
    side = s.outputs[row] ^ flip
    slack = can[row] - need[row]
    if slack < 0:
        return bool(assign(s, side ^ 1))
    if s.value[side] > 0:
        for i in range(s.row_at[row], s.row_at[row + 1]):
            if s.weights[i] <= slack:
                break
            if s.value[s.terms[i] ^ flip] == 0:
                assign(s, s.terms[i] ^ flip)
    return False


@kernel
def count(s: State, literal: int, sign: int) -> None:
    """Take what a true literal can no longer give from the counters, or put it back."""
    for i in range(s.occurs_at[literal], s.occurs_at[literal + 1]):
        s.can_false[s.occurs_row[i]] -= sign * s.occurs_weight[i]
    for i in range(s.occurs_at[literal ^ 1], s.occurs_at[(literal ^ 1) + 1]):
        s.can_true[s.occurs_row[i]] -= sign * s.occurs_weight[i]


@kernel
def through_rows(s: State, literal: int) -> bool:
    """Consequences of a true literal in the rows; says whether there is a conflict."""
    count(s, literal, 1)
    row = s.row_of[literal >> 1]
    if row >= 0:
        if s.outputs[row] == literal:
            if examine(s, row, s.can_true, s.need_true, 0):
                return True
        elif examine(s, row, s.can_false, s.need_false, 1):
            return True
    for i in range(s.occurs_at[literal], s.occurs_at[literal + 1]):
        if examine(s, s.occurs_row[i], s.can_false, s.need_false, 1):
            return True
    for i in range(s.occurs_at[literal ^ 1], s.occurs_at[(literal ^ 1) + 1]):
        if examine(s, s.occurs_row[i], s.can_true, s.need_true, 0):
            return True
    return False


@kernel
def watch(s: State, at: int, slot: int) -> None:
    """Enter a clause with those that watch the literal in the given slot."""
    literal = s.arena[at + LITERALS + slot]
    s.arena[at + NEXT + slot] = s.heads[literal]
    s.heads[literal] = 2 * at + slot


@kernel
def move_watch(s: State, at: int, slot: int) -> None:
    """Put a literal that is not false, if there is one, where a false one is watched; both literals may stay false."""
    first = at + LITERALS
    if s.value[s.arena[first + 1 - slot]] > 0:
        return
    for i in range(first + 2, first + s.arena[at + LENGTH]):
        if s.value[s.arena[i]] >= 0:
            s.arena[first + slot], s.arena[i] = s.arena[i], s.arena[first + slot]
            return


@kernel
def through_clauses(s: State, false: int) -> bool:
    """Consequences of a false literal in the clauses that watch it; says whether there is a conflict."""
    conflict = False
    waiting = s.heads[false]
    s.heads[false] = -1
    while waiting >= 0:
        at, slot = waiting >> 1, waiting & 1
        waiting = s.arena[at + NEXT + slot]
        if s.arena[at + LENGTH] == 0:
            continue
        if not conflict:
            move_watch(s, at, slot)
            if s.arena[at + LITERALS + slot] == false:
                conflict = assign(s, s.arena[at + LITERALS + 1 - slot])
        watch(s, at, slot)
    return conflict


@kernel
def propagate(s: State) -> bool:
    """All consequences of what was assigned; says whether there is a conflict."""
    while s.at[HEAD] < s.at[N_TRAIL]:
        literal = s.trail[s.at[HEAD]]
        s.at[HEAD] += 1
        if through_rows(s, literal) or through_clauses(s, literal ^ 1):
            return True
    return False


@kernel
def backtrack(s: State, n_trail: int) -> None:
    """Take back what was assigned after the first literals of the trail."""
    for i in range(s.at[N_TRAIL] - 1, n_trail - 1, -1):
        literal = s.trail[i]
        if i < s.at[HEAD]:
            count(s, literal, -1)
        s.value[literal] = 0
        s.value[literal ^ 1] = 0
    s.at[N_TRAIL] = n_trail
    s.at[HEAD] = min(s.at[HEAD], n_trail)


@kernel
def is_implied(s: State, clause: Longs) -> bool:
    """Whether making all literals of a clause false ends in a conflict; leaves the state as it was."""
    if s.at[CONTRADICTION]:
        return True
    n_trail = s.at[N_TRAIL]
    conflict = False
    for literal in clause:
        conflict = conflict or assign(s, literal ^ 1)
    conflict = conflict or propagate(s)
    backtrack(s, n_trail)
    return bool(conflict)


@kernel
def copy_open(s: State, clause: Longs) -> int:
    """Write a clause's distinct open literals to the arena's end; how many, or -1 if one of all literals is true."""
    n = 0
    for literal in clause:
        if s.value[literal] > 0 or s.marks[literal ^ 1]:
            n = -1
            break
        if s.value[literal] == 0 and not s.marks[literal]:
            s.marks[literal] = 1
            s.arena[s.at[END] + LITERALS + n] = literal
            n += 1
    for literal in clause:
        s.marks[literal] = 0
    return n


@kernel
def add(s: State, clause: Longs, number: int) -> None:
    """Keep a clause that holds, and propagate it if it has one open literal; with none there is a contradiction."""
    if s.at[CONTRADICTION]:
        return
    at = s.at[END]
    n = copy_open(s, clause)
    if n == 0:
        s.at[CONTRADICTION] = 1
    elif n == 1:
        assign(s, s.arena[at + LITERALS])
        s.at[CONTRADICTION] |= propagate(s)
    elif n > 1:
        s.arena[at + LENGTH] = n
        watch(s, at, 0)
        watch(s, at, 1)
        s.places[number] = at
        s.at[END] += LITERALS + n


@kernel
def remove(s: State, number: int) -> None:
    """Forget a clause; what it made true at the start stays so, as it follows."""
    if s.places[number] >= 0:
        s.arena[s.places[number] + LENGTH] = 0


@kernel
def start(s: State) -> None:
    """Everything that the rows imply on their own."""
    for row in range(s.outputs.size):
        s.at[CONTRADICTION] |= examine(s, row, s.can_true, s.need_true, 0)
        s.at[CONTRADICTION] |= examine(s, row, s.can_false, s.need_false, 1)
    s.at[CONTRADICTION] |= propagate(s)


@kernel
def replay(s: State, kinds: NDArray[np.uint8], starts: Longs, literals: Longs, numbers: Longs, first: int) -> int:
    """Check and keep clauses, or remove them, one step after another; the first step that fails, or the end.

    Args:
        kinds: ``LEARN`` or ``DELETE``.
        starts, literals: step i is ``literals[starts[i]:starts[i + 1]]``.
        numbers: of the clause that a step adds or removes.
    """
    for step in range(first, kinds.size):
        clause = literals[starts[step] : starts[step + 1]]
        if kinds[step] == DELETE:
            remove(s, numbers[step])
        elif is_implied(s, clause):
            add(s, clause, numbers[step])
        else:
            return step
    return int(kinds.size)


def coded(literals: NDArray[Any]) -> Longs:
    """DIMACS literals as the kernels code them."""
    return np.asarray(2 * np.abs(literals) + (literals < 0), dtype=np.int64)


def new_state(system: System, n_clauses: int, n_literals: int) -> State:
    """The rows of a system before anything is propagated, with room for clauses of so many literals in all."""
    n, owner, terms = system.n_variables + 1, system.row_of_terms(), coded(system.literals)
    weights, can, need_true, need_false = _halves(system)
    by_literal = np.argsort(terms, kind="stable")
    heaviest = np.lexsort((-weights, owner))
    row_of = np.full(n, -1, dtype=np.int64)
    row_of[system.outputs] = np.arange(system.n_rows)
    row_of[0] = -1
    state = State(
        value=np.zeros(2 * n, dtype=np.int8),
        trail=np.zeros(n, dtype=np.int64),
        at=np.zeros(4, dtype=np.int64),
        row_at=system.starts,
        terms=terms[heaviest],
        weights=weights[heaviest],
        outputs=2 * system.outputs,
        can_true=can.copy(),
        can_false=can,
        need_true=need_true,
        need_false=need_false,
        row_of=row_of,
        occurs_at=np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=2 * n))]).astype(np.int64),
        occurs_row=owner[by_literal],
        occurs_weight=weights[by_literal],
        arena=np.zeros(n_literals + LITERALS * (n_clauses + 1), dtype=np.int64),
        heads=np.full(2 * n, -1, dtype=np.int64),
        places=np.full(n_clauses, -1, dtype=np.int64),
        marks=np.zeros(2 * n, dtype=np.int8),
    )
    state.value[:2] = 1, -1
    return state


def _halves(system: System) -> tuple[Longs, Longs, Longs, Longs]:
    """Weights, sums and both needs of the rows, rounded up after a division where sums are too large."""
    weights, totals = system.weights.copy(), system.sums()
    need_true, need_false = system.bounds.copy(), totals - system.bounds + 1
    for row in np.flatnonzero(totals >= MOST_SUM):
        shift = int(totals[row]).bit_length() - MOST_SUM.bit_length() + 2
        part = slice(system.starts[row], system.starts[row + 1])
        weights[part] = -(-weights[part] >> shift)
        need_true[row], need_false[row] = -(-need_true[row] >> shift), -(-need_false[row] >> shift)
        totals[row] = weights[part].sum()
    return weights.astype(np.int64), totals.astype(np.int64), need_true.astype(np.int64), need_false.astype(np.int64)
