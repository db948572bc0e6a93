"""Whole formulas from arrays: the same answers as row by row, in milliseconds."""

import time
from dataclasses import replace

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.solver.solver import Solver
from encoders.formula import Formula
from tests.solverworld import World, random_formula, some_literals


@pytest.mark.parametrize("heaviest", [1, 4, 1 << 40])
def test_a_formula_is_answered_as_enumeration_answers_it(heaviest: int) -> None:
    rng = np.random.default_rng(heaviest % 1000)
    for _ in range(150):
        n = int(rng.integers(4, 9))
        world = World(0)
        world.add_formula(random_formula(rng, n, int(rng.integers(0, n)), int(rng.integers(0, n)), heaviest))
        for assumptions in ([], some_literals(rng, n, 2)):
            answer = world.solver.solve(assumptions)
            world.check(answer, assumptions)


def test_a_models_values_hold_in_the_formula() -> None:
    rng, found = np.random.default_rng(1), 0
    for _ in range(100):
        formula, solver = random_formula(rng, 8, 4, 2, 5), Solver()
        solver.add_formula(formula)
        if solver.solve():
            found += 1
            assert formula.holds(np.array([False, *(p > 0 for p in solver.model or [])]))
    assert found > 20


def test_a_second_formula_gets_variables_of_its_own() -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        first, second = (random_formula(rng, 6, 3, 2, 3) for _ in range(2))
        alone = [Solver(), Solver()]
        alone[0].add_formula(first)
        alone[1].add_formula(second)
        both = Solver()
        assert (both.add_formula(first), both.add_formula(second)) == (0, 6)
        literals = some_literals(rng, 6, 2)
        shifted = [p + 6 if p > 0 else p - 6 for p in literals]
        expected = [solver.solve(literals) for solver in alone]
        assert both.solve([*literals, *shifted]) is all(expected)


def large_formula(n_inputs: int, n_rows: int) -> Formula:
    """Neurons that read all inputs; equal weights."""
    rng = np.random.default_rng(3)
    literals = np.tile(np.arange(1, n_inputs + 1), n_rows) * rng.choice([1, -1], size=n_inputs * n_rows)
    return Formula(
        n_inputs + n_rows,
        np.arange(n_rows + 1) * n_inputs,
        literals.astype(np.int32),
        np.ones(literals.size, dtype=np.int64),
        np.full(n_rows, n_inputs // 2 + 1),
        np.arange(n_inputs + 1, n_inputs + n_rows + 1, dtype=np.int32),
    )


def test_six_hundred_thousand_literals_are_loaded_in_a_blink() -> None:
    formula, seconds = large_formula(1000, 600), []
    for _ in range(5):
        solver, start = Solver(), time.process_time()
        solver.add_formula(formula)
        assert solver.solve(conflict_limit=0) is not False
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"literals": np.array([1, -9], dtype=np.int32)}, "literal 9 at position 1: expected 1 to 3"),
        ({"outputs": np.array([4], dtype=np.int32)}, "output 4 at position 0: expected 0 to 3"),
        ({"weights": np.array([1, 0])}, "weight 0 at position 1: expected 1 to"),
        ({"weights": np.array([1, 1 << 62])}, "weight 4611686018427387904 at position 1: expected 1 to"),
        ({"bounds": np.array([3])}, "bound 3 at position 0: expected 1 to 2"),
        ({"starts": np.array([0, 1])}, "expected arrays of as many rows"),
        ({"starts": np.array([0, 0, 2])}, "expected arrays of as many rows"),
        ({"clauses": ((1, 4),)}, "a literal of a clause: expected 1 to 3"),
    ],
)
def test_a_formula_that_is_none_is_refused(change: dict[str, object], message: str) -> None:
    ints = (np.array(values, dtype=np.int64) for values in ([0, 2], [1, 1], [2]))
    starts, weights, bounds = ints
    literals, outputs = np.array([1, -2], dtype=np.int32), np.array([3], dtype=np.int32)
    good = Formula(3, starts, literals, weights, bounds, outputs)
    assert Solver().add_formula(good) == 0
    with pytest.raises(UsageError, match=message):
        Solver().add_formula(replace(good, **change))
