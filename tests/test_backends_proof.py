"""Proofs of solvers of clauses: each step follows by unit propagation, by a checker that is tested to reject."""

import numpy as np
import pytest

from bnnverify.backends.proof import PROVERS, solve_with_proof
from bnnverify.errors import UsageError
from tests.backend_formulas import formula_of, is_met, models, pigeons, random_formula


def conflicts(clauses, literals):
    """Whether unit propagation from the literals empties a clause."""
    true = set(literals)
    while True:
        open_clauses = [[p for p in clause if -p not in true] for clause in clauses if not true.intersection(clause)]
        units = {clause[0] for clause in open_clauses if len(clause) == 1}
        if any(not clause for clause in open_clauses) or any(-p in units for p in units):
            return True
        if not units:
            return False
        true |= units


def refutes(clauses, lines):
    """Whether the lines end in the empty clause and each added one follows by unit propagation; deletions are left."""
    known = [list(clause) for clause in clauses]
    for line in lines:
        if line.startswith("d"):
            continue
        *clause, end = map(int, line.split())
        if end != 0 or not conflicts(known, [-p for p in clause]):
            return False
        known.append(clause)
    return [] in known


@pytest.mark.parametrize("encoding", ["two-sided", "adder", "counter", "seqcounter"])
@pytest.mark.parametrize("solver", PROVERS)
def test_an_answer_comes_with_a_model_or_a_proof(solver, encoding):
    rng = np.random.default_rng(51)
    for formula in [random_formula(rng) for _ in range(30)]:
        proved = solve_with_proof(formula, encoding=encoding, solver=solver)
        assert proved.answer.satisfiable is any(True for _ in models(formula))
        if proved.answer.satisfiable:
            assert not proved.lines
            assert is_met(formula, proved.answer.model.tolist())
        else:
            assert refutes(proved.cnf.clauses, proved.lines)


@pytest.mark.parametrize("solver", ["glucose4", "cadical195"])
def test_a_proof_that_takes_a_search_is_right_and_a_torn_one_is_not(solver):
    proved = solve_with_proof(pigeons(4), solver=solver)
    assert refutes(proved.cnf.clauses, proved.lines)
    assert not refutes(proved.cnf.clauses[1:], proved.lines)
    assert not refutes(proved.cnf.clauses, proved.lines[:-1])
    assert not refutes(proved.cnf.clauses, ["1 0", *proved.lines])
    assert not refutes(proved.cnf.clauses, proved.lines[-1:])


def test_an_empty_clause_is_its_own_proof():
    proved = solve_with_proof(formula_of(2, [], [()]))
    assert (proved.answer.satisfiable, proved.lines) == (False, ("0",))


@pytest.mark.parametrize("asked", [{"solver": "minisat22"}, {"encoding": "native"}])
def test_what_writes_no_proof_is_refused(asked):
    with pytest.raises(UsageError, match="expected one of"):
        solve_with_proof(formula_of(1, []), **asked)
