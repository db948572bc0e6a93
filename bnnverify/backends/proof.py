"""A refutation in clauses, step by step, for a checker: DRAT lines as PySAT's solvers write them.

The lines prove that the clauses cannot be met; that the clauses say what the formula says is the encoding's matter.
Glucose's steps are all clauses that follow by unit propagation, which is the simplest kind to check.

Reference: Wetzler, Heule, Hunt, "DRAT-trim: efficient checking and trimming using expressive clausal proofs", SAT 2014.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnnverify.backends.answers import Answer, met, unmet
from bnnverify.backends.clausal import DEFAULT, to_cnf
from bnnverify.errors import ReplayError, UsageError
from encoders.cnf import Cnf
from encoders.formula import Formula

PROVERS = ("glucose4", "lingeling", "cadical195", "cadical153")


@dataclass(frozen=True, eq=False)
class ProvedAnswer:
    """An answer about clauses.

    Args:
        answer: with a model of the formula, or with lines.
        cnf: the formula's clauses, to which the proof refers.
        lines: of a DRAT file, ending in the empty clause; none where there is a model.
    """

    answer: Answer
    cnf: Cnf
    lines: tuple[str, ...]


def solve_with_proof(formula: Formula, *, encoding: str = DEFAULT, solver: str = "glucose4") -> ProvedAnswer:
    """Whether a formula can be met, with a proof if it cannot.

    Args:
        encoding: a key of ``encoders.encode.ENCODINGS``, but not ``native``.
        solver: one of ``PROVERS``.

    Raises:
        UsageError: if the solver writes no proofs, or the encoding is not of clauses.
        UnsupportedError: if the encoding cannot say the formula.
        ReplayError: if the solver's model does not meet the formula.
    """
    from pysat.solvers import Solver

    if solver not in PROVERS:
        raise UsageError(f"solver {solver!r} for a proof: expected one of {', '.join(PROVERS)}")
    cnf = to_cnf(formula, encoding)
    if () in cnf.clauses:
        return ProvedAnswer(unmet(), cnf, ("0",))
    with Solver(solver, bootstrap_with=cnf.clauses, with_proof=True) as prover:
        if not prover.solve():
            return ProvedAnswer(unmet(), cnf, _ended(prover.get_proof()))
        answer = met(prover.get_model(), formula.n_variables)
    if answer.model is None or not formula.holds(answer.model):
        raise ReplayError(f"the model of {solver} does not meet the formula: a bug, please report it")
    return ProvedAnswer(answer, cnf, ())


def _ended(lines: Iterable[str]) -> tuple[str, ...]:
    """The steps with the empty clause last, which solvers leave out where unit propagation alone finds it."""
    steps = tuple(lines)
    return steps if steps[-1:] == ("0",) else (*steps, "0")
