"""DRAT proofs: those of solvers are accepted, lemmas with RAT too, and what does not follow is refused."""

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.proofs.drat import SOLVERS, check_drat, solve_with_proof
from bnnverify.proofs.error import ProofError
from encoders.cnf import Cnf

FALSE = [(1, 2), (-1, 2), (1, -2), (-1, -2)]


def random_cnf(rng, n=8):
    formula = Cnf(n)
    for _ in range(int(rng.integers(3, 6) * n)):
        formula.add(*(rng.choice(n, 3, replace=False) + 1).tolist() if rng.random() < 0.05 else random_clause(rng, n))
    return formula


def random_clause(rng, n):
    size = int(rng.integers(2, 4))
    return ((rng.choice(n, size, replace=False) + 1) * rng.choice([-1, 1], size)).tolist()


def satisfiable(clauses, n):
    return any(
        all(any(values[abs(p) - 1] == (p > 0) for p in clause) for clause in clauses)
        for values in product((False, True), repeat=n)
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_proofs_of_every_solver_are_accepted(solver):
    rng, seen = np.random.default_rng(1), Counter()
    for _ in range(60):
        formula = random_cnf(rng)
        proof = solve_with_proof(formula, solver)
        assert (proof is None) == satisfiable(formula.clauses, 8)
        seen[proof is None] += 1
        if proof is not None:
            check_drat(formula.clauses, proof)
    assert seen[False] > 10


def pigeons(n):
    """n + 1 pigeons in n holes."""
    formula = Cnf((n + 1) * n)
    for pigeon in range(n + 1):
        formula.add(*(pigeon * n + hole + 1 for hole in range(n)))
    for hole in range(n):
        for one in range(n + 1):
            for two in range(one):
                formula.add(-(one * n + hole + 1), -(two * n + hole + 1))
    return formula


@pytest.mark.parametrize("solver", SOLVERS)
def test_proofs_of_thousands_of_lemmas_with_deletions_are_accepted(solver):
    formula = pigeons(6)
    proof = solve_with_proof(formula, solver)
    assert check_drat(formula.clauses, proof) > 50
    with pytest.raises(ProofError):
        check_drat(formula.clauses[:-1], proof)


def test_a_solution_is_never_refuted_whatever_the_proof_says():
    rng, refused = np.random.default_rng(2), 0
    for _ in range(300):
        formula = random_cnf(rng, 5)
        other = random_cnf(rng, 5)
        proof = solve_with_proof(other) or ["1 0", "0"]
        proof = [line for line in proof if rng.random() < 0.8]
        try:
            check_drat(formula.clauses, proof)
            assert not satisfiable(formula.clauses, 5)
        except ProofError:
            refused += 1
    assert refused > 50


def extended_lemmas(n):
    """Cook's extension for pigeons: definitions of new variables, which have RAT, and what follows from them."""
    lemmas, variable = [], {(i, j): i * n + j + 1 for i in range(n + 1) for j in range(n)}
    new = (n + 1) * n
    for size in range(n - 1, 0, -1):
        nxt = {}
        for i in range(size + 1):
            for j in range(size):
                new += 1
                nxt[i, j] = new
                here, via, last = variable[i, j], variable[i, size], variable[size + 1, j]
                lemmas += [(new, -here), (new, -via, -last), (-new, here, via), (-new, here, last)]
        lemmas += [tuple(nxt[i, j] for j in range(size)) for i in range(size + 1)]
        for (i, k), j in product(combinations(range(size + 1), 2), range(size)):
            lemmas += [(-nxt[i, j], -nxt[k, j], -variable[i, j]), (-nxt[i, j], -nxt[k, j])]
        variable = nxt
    return [f"{' '.join(map(str, lemma))} 0" for lemma in lemmas] + ["0"]


def test_lemmas_with_resolution_asymmetric_tautologies_are_accepted():
    assert check_drat(pigeons(5).clauses, extended_lemmas(5)) > 100


def test_definitions_that_are_turned_around_are_not():
    lemmas = extended_lemmas(3)
    lemmas[2] = "3 -13 5 0"
    with pytest.raises(ProofError, match="step 3: the clause has neither"):
        check_drat(pigeons(3).clauses, lemmas)


def test_only_the_first_literal_is_the_pivot():
    assert check_drat([*FALSE, (3, 4)], ["5 -3 0", "4 -5 0", "2 0", "0"]) == 3
    with pytest.raises(ProofError, match="step 2"):
        check_drat([*FALSE, (3, 4)], ["5 -3 0", "-5 4 0", "2 0", "0"])


def test_a_deleted_clause_is_used_no_more_but_what_it_made_true_stays():
    with pytest.raises(ProofError):
        check_drat(FALSE, ["d 1 2 0", "2 0", "0"])
    assert check_drat([(1,), (-1, 2), (-2, 3), (-3, -1)], ["d 1 0", "0"]) == 0
    assert check_drat(FALSE, ["d 7 8 0", "2 0", "0"]) == 1


@pytest.mark.parametrize("line", ["x 0", "1 2", "1 0 2 0", "", "d 1", "99999999999 0"])
def test_malformed_lines_are_refused(line):
    with pytest.raises(ProofError):
        check_drat(FALSE[:2], [line])


def test_a_proof_that_is_cut_off_is_refused():
    with pytest.raises(ProofError, match="cut off"):
        check_drat(FALSE[:3], ["2 0"])


def test_what_has_no_proof_is_refused():
    with pytest.raises(UsageError, match="writes no proofs"):
        solve_with_proof(Cnf(1), "minisat22")
    formula = Cnf(2)
    formula.add_at_most((1, 2), 1)
    with pytest.raises(UsageError, match="at-most"):
        solve_with_proof(formula)
    assert solve_with_proof(Cnf(2)) is None
