"""What a solver logs: each clause follows by unit propagation from what came before; the checker rejects the rest."""

import numpy as np
import pytest

from bnnverify.solver.log import records
from bnnverify.solver.solver import Solver
from tests.solverworld import Checker, World, add_random_row, random_formula, random_world, some_literals


@pytest.mark.parametrize("seed", range(3))
def test_every_clause_of_a_random_search_follows_and_the_core_is_refuted_last(seed: int) -> None:
    rng = np.random.default_rng(seed)
    refuted = 0
    for _ in range(100):
        n = int(rng.integers(4, 11))
        world = random_world(rng, n, n_rows=n, n_clauses=int(rng.integers(0, n)), proved=True)
        for assumptions in (some_literals(rng, n, 2), [], some_literals(rng, n, 4)):
            answer = world.solver.solve(assumptions)
            world.check(answer, assumptions)
            refuted += answer is False
    assert refuted > 60


def test_proofs_go_on_over_calls_between_which_constraints_are_added() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        world = random_world(rng, 9, n_rows=2, n_clauses=0, proved=True)
        for _ in range(8):
            add_random_row(rng, world) if rng.random() < 0.5 else world.add_clause(some_literals(rng, 9, 3))
            world.check(world.solver.solve([], conflict_limit=int(rng.integers(1, 9))), [])
            assumptions = some_literals(rng, 9, 2)
            world.check(world.solver.solve(assumptions), assumptions)


def test_a_formulas_refutation_ends_in_the_empty_clause() -> None:
    rng, refuted = np.random.default_rng(6), 0
    for _ in range(60):
        world = World(0, proved=True)
        world.add_formula(random_formula(rng, 9, 8, 4, 3))
        refuted += world.solver.solve() is False
        assert ([] in world.checker.learnt) == (world.solver.core == [])
    assert refuted > 10


def proved_pigeons(n_pigeons: int) -> tuple[Solver, Checker]:
    checker = Checker()
    solver = Solver(proof=checker.receive)
    sits = [[solver.new_var() for _ in range(n_pigeons - 1)] for _ in range(n_pigeons)]
    for row in sits:
        solver.add_at_least(row, 1)
        checker.rows.append(([1] * len(row), row, 1, None))
    for column in zip(*sits, strict=True):
        for i, p in enumerate(column):
            for q in column[:i]:
                solver.add_clause([-p, -q])
                checker.clauses.append([-p, -q])
    return solver, checker


def test_deletions_are_logged_and_a_checker_that_forgets_them_still_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnnverify.solver.solver.CLEANING_GAP", 50)
    solver, checker = proved_pigeons(5)
    solver.solve(conflict_limit=40)
    assert solver.solve() is False
    assert checker.learnt[-1] == []
    assert checker.deletions == solver.stats.deleted


def test_learnt_clauses_and_deletions_are_those_that_are_counted() -> None:
    batches: list[np.ndarray] = []
    solver = Solver(proof=batches.append)
    variables = [[solver.new_var() for _ in range(7)] for _ in range(8)]
    for row in variables:
        solver.add_clause(row)
    for column in zip(*variables, strict=True):
        for i, p in enumerate(column):
            for q in column[:i]:
                solver.add_clause([-p, -q])
    assert solver.solve() is False
    found = [record for batch in batches for record in records(batch)]
    assert found[-1] == (False, [])
    assert solver.stats.deleted > 100
    assert sum(deleted for deleted, _ in found) >= solver.stats.deleted
    held: list[tuple[int, ...]] = []
    for deleted, literals in found:
        held.remove(tuple(sorted(literals))) if deleted else held.append(tuple(sorted(literals)))


def test_the_checker_rejects_what_does_not_follow() -> None:
    checker = Checker(rows=[([2, 1, 1], [1, 2, 3], 3, 4)], clauses=[[4]])
    assert checker.follows([1])
    assert checker.follows([2, 3])
    assert not checker.follows([2])
    assert not checker.follows([])
    with pytest.raises(AssertionError, match="does not follow"):
        checker.receive(np.array([1, 2], dtype=np.int32))
    with pytest.raises(ValueError, match="not in list"):
        checker.receive(np.array([-1, 2], dtype=np.int32))
