"""The checker: a proof is accepted only if its system is the network's own and every step follows.

The system is built anew from the network and the header's question, and compared with the file's row by row; then
each step is checked by the rule of its kind against the system and the steps before it. It shares no code with the
solver, the presolve, the engines or the scores: it reads the network's weights, and believes nothing else.

Reference: Goldberg and Novikov, "Verification of proofs of unsatisfiability for CNF formulas", 2003.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.network import Network
from bnnverify.proofs import propagation
from bnnverify.proofs.bounds import Budget
from bnnverify.proofs.equality import Equalities
from bnnverify.proofs.error import ProofError
from bnnverify.proofs.file import BOUND, DELETED, EQUAL, LEARNT, Proof, read_proof
from bnnverify.proofs.propagation import CONTRADICTION, DELETE, LEARN, coded
from bnnverify.proofs.question import Question
from bnnverify.proofs.statement import statement
from bnnverify.proofs.system import difference

BATCH_STEPS = 500


@dataclass(frozen=True, eq=False)
class ProofReport:
    """An accepted proof: what it proves, and how many steps of each kind were checked.

    Args:
        question: no input of its region has a wanted class.
        name: the network's, as the proof gives it.
        seconds: for reading, building the system and checking.
    """

    question: Question = field(repr=False)
    name: str
    rows: int
    variables: int
    bounds: int
    equalities: int
    learnt: int
    deleted: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        question = self.question
        return {k: v for k, v in asdict(self).items() if k != "question"} | {
            "label": question.label,
            "wanted": list(question.wanted),
            "order": list(question.order),
            "budget": question.budget,
            "free": int(np.count_nonzero(question.low < question.high)),
        }


def check_proof(path: str | Path, network: Network) -> ProofReport:
    """Accept a proof file about a network.

    Raises:
        ProofError: if it is no proof: what is wrong, and in which line.

    Complexity: a visit of every weight, and one propagation a learnt clause.
    """
    began = time.perf_counter()
    proof = read_proof(path)
    if proof.fingerprint != network.fingerprint:
        raise ProofError(f"{path}, line 2: the proof is of another network, {proof.name[:60]!r}, not of {network.name}")
    try:
        expected = statement(network, proof.question).system
    except UsageError as error:
        raise ProofError(f"{path}: the question does not fit the network: {error}") from None
    found = difference(proof.system, expected)
    if found is not None:
        raise ProofError(f"{path}: the system is not that of the network and region: {found}")
    return check_steps(proof, began)


def check_steps(proof: Proof, began: float | None = None) -> ProofReport:
    """Accept the steps of a proof from its own system, which is not compared with any network.

    Raises:
        ProofError: if a step does not follow, or the proof does not end with the empty clause.
    """
    began = time.perf_counter() if began is None else began
    kinds = proof.steps.kinds
    _require_ending(proof)
    _Checker(proof).run()
    bounds, equalities, learnt, deleted = (int((kinds == kind).sum()) for kind in (BOUND, EQUAL, LEARNT, DELETED))
    return ProofReport(
        question=proof.question,
        name=proof.name,
        rows=proof.system.n_rows,
        variables=proof.system.n_variables,
        bounds=bounds,
        equalities=equalities,
        learnt=learnt,
        deleted=deleted,
        seconds=time.perf_counter() - began,
    )


class _Checker:
    """The state between two steps."""

    def __init__(self, proof: Proof) -> None:
        self._steps, self._first_line = proof.steps, proof.first_line
        self._codes = coded(proof.steps.literals)
        self._kinds = np.where(proof.steps.kinds == DELETED, DELETE, LEARN).astype(np.uint8)
        clauses, equalities = proof.system.clauses, int(np.count_nonzero(proof.steps.kinds == EQUAL))
        n_literals = sum(clause.size for clause in clauses) + proof.steps.literals.size + 4 * equalities
        n_clauses = len(clauses) + proof.steps.kinds.size + 2 * equalities
        self._state = propagation.new_state(proof.system, n_clauses, n_literals)
        self._next = n_clauses - 2 * equalities
        self._numbers = len(clauses) + _targets(proof)
        self._budget = Budget(proof.system, self._state)
        self._equalities = Equalities(proof.system, self._state)
        propagation.start(self._state)
        for number, clause in enumerate(clauses):
            propagation.add(self._state, coded(clause), number)

    def run(self) -> None:
        """Every step in its order."""
        single = np.flatnonzero((self._steps.kinds == BOUND) | (self._steps.kinds == EQUAL))
        at = 0
        for step in [*single.tolist(), self._steps.kinds.size]:
            self._replay(at, step)
            if step < self._steps.kinds.size:
                literals = self._steps.clause(step).tolist()
                (self._bound if len(literals) == 1 else self._equal)(step, *literals)
            at = step + 1

    def _replay(self, first: int, end: int) -> None:
        """Learnt clauses and deletions, in batches between which an interrupt gets through."""
        for at in range(first, end, BATCH_STEPS):
            batch = self._kinds[: min(at + BATCH_STEPS, end)]
            failed = propagation.replay(self._state, batch, self._steps.starts, self._codes, self._numbers, at)
            if failed < batch.size:
                raise self._wrong(int(failed), "the clause does not follow by unit propagation")

    def _bound(self, step: int, literal: int) -> None:
        known = self._state.at[CONTRADICTION] or self._state.value[coded(np.array(literal))] > 0
        if not known and not self._budget.implies(literal):
            raise self._wrong(step, f"literal {literal} does not follow from its row and the budget")
        self._add([literal])

    def _equal(self, step: int, a: int, b: int) -> None:
        if not self._state.at[CONTRADICTION] and not self._equalities.implied(a, b):
            raise self._wrong(step, f"the rows of {a} and {b} are not the same")
        self._equalities.join(a, b)
        self._add([-a, b])
        self._add([a, -b])

    def _add(self, clause: list[int]) -> None:
        propagation.add(self._state, coded(np.array(clause)), self._next)
        self._next += len(clause) > 1

    def _wrong(self, step: int, what: str) -> ProofError:
        return ProofError(f"line {self._first_line + step}: {what}; the proof is rejected")


def _require_ending(proof: Proof) -> None:
    """The empty clause is learnt in the last step and nowhere else."""
    steps = proof.steps
    empty = np.flatnonzero((np.diff(steps.starts) == 0) & (steps.kinds == LEARNT))
    if empty.tolist() != [steps.kinds.size - 1]:
        last = proof.first_line + int(steps.kinds.size) - 1
        raise ProofError(f"line {last}: the proof does not end with its one empty clause; it was cut off or goes on")


def _targets(proof: Proof) -> NDArray[np.int64]:
    """Which clause each step adds or deletes: the number of the step that learnt it."""
    steps, known = proof.steps, dict[tuple[int, ...], list[int]]()
    numbers = np.arange(steps.kinds.size, dtype=np.int64)
    if not (steps.kinds == DELETED).any():
        return numbers
    for step in np.flatnonzero((steps.kinds == LEARNT) | (steps.kinds == DELETED)).tolist():
        same = known.setdefault(tuple(sorted(set(steps.clause(step).tolist()))), [])
        if steps.kinds[step] == LEARNT:
            same.append(step)
        elif same:
            numbers[step] = same.pop()
        else:
            raise ProofError(f"line {proof.first_line + step}: a clause is deleted that was not learnt before")
    return numbers
