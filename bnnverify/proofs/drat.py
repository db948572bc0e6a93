"""DRAT proofs of formulas in conjunctive normal form, as SAT solvers write them, and a checker of our own.

A lemma is accepted if it follows by reverse unit propagation, or if it has the property RAT on its first literal: its
resolvent with every clause that holds the negation does. Lemmas of the second kind do not follow, but keep the formula
as satisfiable as it was. Deletions are believed, but not of what unit propagation took from a clause, which is sound.

Reference: Wetzler, Heule, Hunt, "DRAT-trim: efficient checking and trimming using expressive clausal proofs", 2014.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.proofs import propagation
from bnnverify.proofs.error import ProofError
from bnnverify.proofs.propagation import CONTRADICTION, coded
from bnnverify.proofs.system import system_of
from encoders.cnf import Cnf

Clause = tuple[int, ...]


SOLVERS = ("cadical153", "cadical195", "glucose3", "glucose4", "lingeling", "maplechrono")


def solve_with_proof(formula: Cnf, solver: str = "cadical195") -> list[str] | None:
    """The DRAT proof that a formula has no solution, by one of PySAT's solvers; None if it has one.

    Args:
        solver: one of ``SOLVERS``, which write proofs.

    Raises:
        UsageError: if the solver writes no proofs, or the formula is more than clauses.
    """
    from pysat.solvers import Solver

    if solver not in SOLVERS:
        raise UsageError(f"solver {solver!r} writes no proofs that are checked here; expected {', '.join(SOLVERS)}")
    if formula.at_mosts:
        raise UsageError("a formula with at-most constraints has no DRAT proof; encode it in clauses")
    with Solver(name=solver, bootstrap_with=formula.clauses, with_proof=True) as running:
        return None if running.solve() else list(running.get_proof() or ["0"])


def check_drat(clauses: Iterable[Sequence[int]], proof: Iterable[str]) -> int:
    """Accept a DRAT proof that clauses have no solution.

    Args:
        proof: lines ``1 -2 0`` for a lemma and ``d 1 -2 0`` for a deletion.

    Returns:
        How many lemmas were checked until the contradiction.

    Raises:
        ProofError: if a lemma does not follow or there is no contradiction at the end.
    """
    formula = [tuple(map(int, clause)) for clause in clauses]
    steps = [_parsed(line, number) for number, line in enumerate(proof, 1) if line.strip()]
    checker = _Checker(formula, [clause for _, clause in steps])
    lemmas = 0
    for number, (deleted, clause) in enumerate(steps, 1):
        if checker.done:
            return lemmas
        if deleted:
            checker.delete(clause)
        elif checker.accepts(clause):
            checker.add(clause)
            lemmas += 1
        else:
            raise ProofError(f"step {number}: the clause has neither of the properties RUP and RAT")
    if not checker.done:
        raise ProofError("the proof does not reach a contradiction; it was cut off")
    return lemmas


def _parsed(line: str, number: int) -> tuple[bool, Clause]:
    words = line.split()
    deleted = words[0] == "d"
    try:
        *literals, zero = map(int, words[deleted:])
    except ValueError:
        raise ProofError(f"line {number}: found {line[:40]!r}, expected literals and 0") from None
    if zero or 0 in literals or any(abs(literal) >= 1 << 30 for literal in literals):
        raise ProofError(f"line {number}: found {line[:40]!r}, expected literals and one 0 at the end")
    return deleted, tuple(literals)


class _Checker:
    """The clauses that are kept, and what follows from them by unit propagation."""

    def __init__(self, formula: list[Clause], lemmas: list[Clause]) -> None:
        everything = [*formula, *lemmas]
        n = max((abs(literal) for clause in everything for literal in clause), default=0)
        system = system_of(n, [], [], budgeted=False)
        self._state: Any = propagation.new_state(system, len(everything), sum(map(len, everything)))
        self._kept: dict[int, Clause] = {}
        self._numbers: defaultdict[Clause, list[int]] = defaultdict(list)
        self._holding: defaultdict[int, set[int]] = defaultdict(set)
        self._next = 0
        for clause in formula:
            self.add(clause)

    @property
    def done(self) -> bool:
        return bool(self._state.at[CONTRADICTION])

    def add(self, clause: Clause) -> None:
        propagation.add(self._state, coded(np.array(clause, dtype=np.int64)), self._next)
        self._kept[self._next] = clause
        self._numbers[_key(clause)].append(self._next)
        for literal in clause:
            self._holding[literal].add(self._next)
        self._next += 1

    def delete(self, clause: Clause) -> None:
        """Forget a clause; one that is not there is passed over, as solvers write such lines."""
        if not self._numbers[_key(clause)]:
            return
        number = self._numbers[_key(clause)].pop()
        propagation.remove(self._state, number)
        for literal in self._kept.pop(number):
            self._holding[literal].discard(number)

    def accepts(self, clause: Clause) -> bool:
        """Whether a lemma follows, or may be added because of its first literal."""
        if self._implied(clause):
            return True
        if not clause or self._state.value[coded(np.array(clause[0]))] != 0:
            return False
        pivot = clause[0]
        others = (self._kept[number] for number in self._holding[-pivot])
        return all(self._implied((*clause, *(p for p in other if p != -pivot))) for other in others)

    def _implied(self, clause: Clause) -> bool:
        return bool(propagation.is_implied(self._state, coded(np.array(clause, dtype=np.int64))))


def _key(clause: Clause) -> Clause:
    return tuple(sorted(set(clause)))
