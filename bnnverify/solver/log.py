"""The proof log: every clause learnt or deleted, in order, in one buffer that Python empties between batches.

A record is a count and its literals as in DIMACS files; the count of a deletion is negative, and a count of 0 is the
empty clause. Each clause follows by unit propagation from the constraints and the clauses before it (reverse unit
propagation). Literals that hold for good are logged as clauses before clauses are deleted, so a checker that forgets
deleted clauses loses nothing that they implied. A log without room for a word is off, and costs a comparison.

Reference: Goldberg and Novikov, "Verification of proofs of unsatisfiability for CNF formulas", 2003; Wetzler, Heule
and Hunt, "DRAT-trim", 2014 (deletions).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bnnverify.solver.kernel import kernel
from bnnverify.solver.store import N_ASSIGNED, Ints, Longs

END, N_UNITS = 0, 1
ADDED, REMOVED = 1, -1


class Log(NamedTuple):
    """What was not handed over yet.

    Args:
        words: the records; none where the log is off.
        at: ``(2,)`` END of them, and N_UNITS: how many literals of level 0 are logged.
    """

    words: Ints
    at: Longs


def records(batch: Ints) -> Iterator[tuple[bool, list[int]]]:
    """Each record of what a solver's ``proof`` received: whether it deletes the clause, and the clause's literals.

    >>> list(records(np.array([2, 1, -3, -2, 1, -3, 0], dtype=np.int32)))
    [(False, [1, -3]), (True, [1, -3]), (False, [])]
    """
    words, at = batch.tolist(), 0
    while at < len(words):
        end = at + 1 + abs(words[at])
        yield words[at] < 0, words[at + 1 : end]
        at = end


@kernel
def has_room(log, n_words):  # type: ignore[no-untyped-def]
    """Whether the log is off or takes so many words more."""
    return log.words.size == 0 or log.at[END] + n_words <= log.words.size


@kernel
def write(log, literals, begin, n, kind):  # type: ignore[no-untyped-def]
    """Log n literals from ``begin`` on as a clause that is ADDED or REMOVED."""
    if log.words.size == 0:
        return
    end = log.at[END]
    log.words[end] = n * kind
    for i in range(n):
        literal = np.int64(literals[begin + i])
        log.words[end + 1 + i] = -(literal >> 1) if literal & 1 else literal >> 1
    log.at[END] = end + 1 + n


@kernel
def write_units(trail, log):  # type: ignore[no-untyped-def]
    """Log the literals that hold for good, but for those that are logged already; at level 0."""
    for i in range(max(np.int64(1), log.at[N_UNITS]), trail.at[N_ASSIGNED]):
        write(log, trail.literals, i, np.int64(1), np.int64(ADDED))
    log.at[N_UNITS] = trail.at[N_ASSIGNED]
