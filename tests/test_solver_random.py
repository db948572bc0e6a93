"""The solver on thousands of small random instances against enumeration: one call, many calls, limits in the middle."""

import time
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnnverify.solver.solver import Solver


@dataclass
class World:
    """A solver and the same constraints as a truth table over all assignments of its variables."""

    n: int
    solver: Solver = field(default_factory=Solver)

    def __post_init__(self) -> None:
        for _ in range(self.n):
            self.solver.new_var()
        self.rows = np.array(list(product((False, True), repeat=self.n)))
        self.allowed = np.ones(len(self.rows), dtype=np.bool_)

    def column(self, literal: int) -> NDArray[np.bool_]:
        return np.asarray(self.rows[:, abs(literal) - 1] == (literal > 0))

    def count(self, literals: list[int]) -> NDArray[np.int64]:
        return np.asarray(sum((self.column(p).astype(np.int64) for p in literals), np.zeros(len(self.rows), np.int64)))

    def add_clause(self, literals: list[int]) -> None:
        self.solver.add_clause(literals)
        self.allowed &= self.count(literals) >= 1

    def add_at_least(self, literals: list[int], bound: int, reified: int | None = None) -> None:
        self.solver.add_at_least(literals, bound, reified=reified)
        output = True if reified is None else self.column(reified)
        self.allowed &= (self.count(literals) >= bound) == output

    def check(self, answer: bool | None, assumptions: list[int]) -> None:
        """The answer of a call with these assumptions, its model or its core, against the table."""
        expected = bool(np.any(self.allowed & (self.count(assumptions) == len(assumptions))))
        if answer is None:
            assert self.solver.model is None
            assert self.solver.core is None
            return
        assert answer is expected
        if answer:
            model = self.solver.model
            assert model is not None
            assert np.any(self.allowed & (self.count(model) == self.n))
            assert set(assumptions) <= set(model)
        else:
            core = self.solver.core
            assert core is not None
            assert set(core) <= set(assumptions)
            assert not np.any(self.allowed & (self.count(core) == len(core)))


def some_literals(rng: np.random.Generator, n: int, size: int) -> list[int]:
    variables = rng.choice(n, size=min(size, n), replace=False) + 1
    return [int(v) for v in variables * rng.choice([1, -1], size=variables.size)]


def random_world(rng: np.random.Generator, n: int, *, n_cards: int, n_clauses: int) -> World:
    world = World(n, Solver(seed=int(rng.integers(1000))))
    for _ in range(n_cards):
        add_random_card(rng, world)
    for _ in range(n_clauses):
        world.add_clause(some_literals(rng, n, int(rng.integers(1, 4))))
    return world


def add_random_card(rng: np.random.Generator, world: World) -> None:
    literals = some_literals(rng, world.n, int(rng.integers(1, world.n + 1)))
    if rng.random() < 0.2:
        literals += some_literals(rng, world.n, 2)
    bound = int(rng.integers(0, len(literals) + 2))
    kind = rng.random()
    reified = None if kind < 0.25 else some_literals(rng, world.n, 1)[0]
    world.add_at_least(literals, bound, reified)


@pytest.mark.parametrize("seed", range(4))
def test_every_random_instance_is_answered_as_enumeration_answers_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(400):
        n = int(rng.integers(2, 9))
        world = random_world(rng, n, n_cards=int(rng.integers(1, n + 2)), n_clauses=int(rng.integers(0, n)))
        for assumptions in ([], some_literals(rng, n, 2), some_literals(rng, n, n)):
            answer = world.solver.solve(assumptions)
            world.check(answer, assumptions)
            answers.append(answer)
    assert 200 < sum(answers) < len(answers) - 200


def test_what_is_added_between_calls_counts_and_limits_in_the_middle_change_no_later_answer() -> None:
    rng = np.random.default_rng(7)
    pauses = 0
    for _ in range(60):
        world = random_world(rng, 10, n_cards=3, n_clauses=0)
        for _ in range(12):
            add_random_card(rng, world) if rng.random() < 0.4 else world.add_clause(some_literals(rng, 10, 3))
            assumptions = some_literals(rng, 10, int(rng.integers(0, 4)))
            answer = world.solver.solve(assumptions, conflict_limit=int(rng.integers(0, 3)))
            pauses += answer is None
            world.check(answer, assumptions)
            world.check(world.solver.solve(assumptions), assumptions)
    assert pauses > 50


steps = st.lists(
    st.tuples(st.sampled_from(["card", "clause", "var", "solve", "limited", "prefer"]), st.integers(0, 2**32))
)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_calls_gives_the_answers_of_the_table(calls: list[tuple[str, int]]) -> None:
    world = World(4)
    for call, seed in calls[:30]:
        rng = np.random.default_rng(seed)
        literals = some_literals(rng, world.n, int(rng.integers(0, 4)))
        if call == "card":
            add_random_card(rng, world)
        elif call == "clause":
            world.add_clause(literals)
        elif call == "prefer":
            world.solver.prefer(literals)
        elif call == "var" and world.n < 8:
            allowed = world.allowed
            world = grown(world)
            assert world.allowed.sum() == 2 * allowed.sum()
        else:
            limit = None if call == "solve" else 1
            world.check(world.solver.solve(literals, conflict_limit=limit), literals)


def grown(world: World) -> World:
    """The same world with one variable more, which nothing constrains yet."""
    world.n = world.solver.new_var()
    world.rows = np.array(list(product((False, True), repeat=world.n)))
    world.allowed = np.repeat(world.allowed, 2)
    return world


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


def test_the_same_seed_gives_the_same_search() -> None:
    first, second = pigeons(7, 6, cardinalities=True), pigeons(7, 6, cardinalities=True)
    assert first.solve() is second.solve() is False
    assert first.stats == second.stats
    assert first.stats.conflicts > 0
