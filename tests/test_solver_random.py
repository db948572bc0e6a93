"""The solver on thousands of small random instances against enumeration: one call, many calls, limits in the middle."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnverify.solver.solver import Solver
from tests.solverworld import World, add_random_row, random_world, some_literals


@pytest.mark.parametrize("seed", range(4))
def test_every_random_instance_is_answered_as_enumeration_answers_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(400):
        n = int(rng.integers(2, 9))
        world = random_world(rng, n, n_rows=int(rng.integers(1, n + 2)), n_clauses=int(rng.integers(0, n)))
        for assumptions in ([], some_literals(rng, n, 2), some_literals(rng, n, n)):
            answer = world.solver.solve(assumptions)
            world.check(answer, assumptions)
            answers.append(answer)
    assert 200 < sum(answers) < len(answers) - 200


def test_what_is_added_between_calls_counts_and_limits_in_the_middle_change_no_later_answer() -> None:
    rng = np.random.default_rng(7)
    pauses = 0
    for _ in range(60):
        world = random_world(rng, 10, n_rows=3, n_clauses=0)
        for _ in range(12):
            add_random_row(rng, world) if rng.random() < 0.4 else world.add_clause(some_literals(rng, 10, 3))
            assumptions = some_literals(rng, 10, int(rng.integers(0, 4)))
            answer = world.solver.solve(assumptions, conflict_limit=int(rng.integers(0, 3)))
            pauses += answer is None
            world.check(answer, assumptions)
            world.check(world.solver.solve(assumptions), assumptions)
    assert pauses > 50


steps = st.lists(
    st.tuples(st.sampled_from(["row", "clause", "var", "solve", "limited", "prefer"]), st.integers(0, 2**32))
)


@given(steps, st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_sequence_of_calls_gives_the_answers_of_the_table(calls: list[tuple[str, int]], proved: bool) -> None:
    world = World(4, proved=proved)
    for call, seed in calls[:30]:
        rng = np.random.default_rng(seed)
        literals = some_literals(rng, world.n, int(rng.integers(0, 4)))
        if call == "row":
            add_random_row(rng, world)
        elif call == "clause":
            world.add_clause(literals)
        elif call == "prefer":
            world.solver.prefer(literals)
        elif call == "var" and world.n < 8:
            models = world.allowed.sum()
            world.grow()
            assert world.allowed.sum() == 2 * models
        else:
            limit = None if call == "solve" else 1
            world.check(world.solver.solve(literals, conflict_limit=limit), literals)


def pigeons(n_pigeons: int, n_holes: int, *, cardinalities: bool) -> Solver:
    solver = Solver()
    sits = [[solver.new_var() for _ in range(n_holes)] for _ in range(n_pigeons)]
    for row in sits:
        solver.add_at_least(row, 1)
    for column in zip(*sits, strict=True):
        if cardinalities:
            solver.add_at_least([-p for p in column], n_pigeons - 1)
        else:
            for i, p in enumerate(column):
                for q in column[:i]:
                    solver.add_clause([-p, -q])
    return solver


@pytest.mark.parametrize("cardinalities", [False, True])
def test_pigeons_do_not_fit_and_cleaning_the_learnt_clauses_does_not_change_that(cardinalities: bool) -> None:
    solver = pigeons(8, 7, cardinalities=cardinalities)
    assert solver.solve() is False
    assert solver.core == []
    assert pigeons(7, 7, cardinalities=cardinalities).solve() is True


def test_limits_stop_a_search_that_would_take_long_and_it_can_go_on() -> None:
    solver = pigeons(12, 11, cardinalities=True)
    start = time.monotonic()
    assert solver.solve(timeout=0.3) is None
    assert time.monotonic() - start < 2
    before = solver.stats
    assert solver.solve(conflict_limit=100) is None
    assert 100 <= solver.stats.conflicts - before.conflicts < 150
    asked = []
    assert solver.solve(stop=lambda: bool(asked.append(1)) or len(asked) == 3) is None
    assert len(asked) == 3
    assert solver.solve([-v for v in range(1, 12)]) is False


def test_the_clock_is_looked_at_often_even_where_every_literal_stands_in_thousands_of_long_rows() -> None:
    solver, rng = Solver(), np.random.default_rng(0)
    variables = [solver.new_var() for _ in range(300)]
    for _ in range(1000):
        literals = [int(p) for p in rng.permutation(variables) * rng.choice([1, -1], size=300)]
        solver.add_at_least(literals, 151, reified=solver.new_var())
    solver.solve(conflict_limit=1)
    clock = [time.monotonic()]

    def stop() -> bool:
        clock.append(time.monotonic())
        return len(clock) > 6

    solver.add_clause([solver.new_var()])
    solver.add_at_least(range(301, 1301), 650)
    assert solver.solve(stop=stop, timeout=20) is not True
    seconds = np.diff(clock[1:])
    assert seconds.size > 0
    assert np.median(seconds) < 0.2


def test_the_same_seed_gives_the_same_search() -> None:
    first, second = pigeons(7, 6, cardinalities=True), pigeons(7, 6, cardinalities=True)
    assert first.solve() is second.solve() is False
    assert first.stats == second.stats
    assert first.stats.conflicts > 0


def test_a_solver_that_could_not_allocate_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = pigeons(7, 6, cardinalities=True)
    monkeypatch.setattr("bnnverify.solver.solver.MOST_WORDS", 100)
    with pytest.raises(MemoryError, match="100 is the most"):
        solver.solve()
    monkeypatch.undo()
    assert solver.solve() is False
