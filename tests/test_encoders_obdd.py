"""Diagrams of linear constraints equal their sums, inside a region and out of it, within their size bound."""

from itertools import product

import numpy as np
import pytest

from encoders.cardinality import Cardinality
from encoders.manager import open_manager
from encoders.obdd import ball_grid, build, cardinality_diagram, linear_grid
from tests.test_encoders_managers import value_at


def inputs(n):
    return np.array(list(product((0, 1), repeat=n)), dtype=np.int64).reshape(1 << n, n)


def values_of(grid, n):
    manager = open_manager("cudd", n)
    arrays = manager.flatten([build(manager, grid, [manager.variable(v) for v in range(n)])])
    return np.array([value_at(arrays, 0, x) for x in inputs(n)])


@pytest.mark.parametrize("n", range(4))
def test_every_small_cardinality_constraint_is_its_grid(n):
    for signs in product((-1, 1), repeat=n):
        for bound in range(-n - 1, n + 2):
            assert (values_of(linear_grid(signs, bound), n) == (inputs(n) @ np.array(signs, int) >= bound)).all()


@pytest.mark.parametrize("largest", [1, 2, 5, 1 << 20])
def test_linear_constraints_are_their_grids(largest):
    rng = np.random.default_rng(largest)
    for _ in range(60):
        n = int(rng.integers(0, 7))
        coefficients = rng.integers(-largest, largest + 1, n)
        bound = int(rng.integers(-largest * n - 1, largest * n + 2))
        assert (values_of(linear_grid(coefficients, bound), n) == (inputs(n) @ coefficients >= bound)).all()


def test_coefficients_near_the_limit_of_64_bits_do_not_overflow():
    coefficients = np.array([1 << 62, -(1 << 61), 1 << 61, -(1 << 60)])
    for bound in (1 << 62, -(1 << 62), (1 << 62) + (1 << 61), -(1 << 61) - (1 << 60) + 1):
        exact = [sum(int(c) * int(v) for c, v in zip(coefficients, x, strict=True)) >= bound for x in inputs(4)]
        assert values_of(linear_grid(coefficients, bound), 4).tolist() == exact


@pytest.mark.parametrize("unit_costs", [True, False])
def test_inside_a_ball_a_grid_is_its_constraint(unit_costs):
    rng = np.random.default_rng(unit_costs)
    for _ in range(150):
        n = int(rng.integers(0, 8))
        coefficients, bound, budget = rng.integers(-1, 2, n), int(rng.integers(-n, n + 2)), int(rng.integers(0, 6))
        costs = np.ones(n, dtype=np.int64) if unit_costs else rng.integers(1, 5, n)
        inside = inputs(n) @ costs <= budget
        expected = inputs(n) @ coefficients >= bound
        assert (values_of(ball_grid(coefficients, bound, costs, budget), n) == expected)[inside].all()


def test_a_cardinality_constraint_has_exactly_the_known_number_of_nodes():
    for n in range(1, 12):
        for k in range(1, n + 1):
            assert linear_grid([1] * n, k).n_states == k * (n - k + 1)


def test_a_ball_grid_does_not_grow_with_the_square_of_its_inputs():
    n, r = 784, 3
    grid = ball_grid(np.resize([1, -1], n), 1, np.ones(n, dtype=np.int64), r)
    assert 0 < grid.n_states <= n * r * (2 * r + 1)


def test_a_constraint_over_functions_counts_the_true_ones():
    rng = np.random.default_rng(3)
    for _ in range(60):
        manager = open_manager("cudd", 4)
        tables = rng.integers(0, 2, (4, 16))
        functions = [table_function(manager, row) for row in tables]
        literals = tuple(int(s) * (v + 1) for v, s in enumerate(rng.choice([-1, 1], 3)))
        output = None if rng.random() < 0.5 else int(rng.choice([-4, 4]))
        constraint = Cardinality(literals, int(rng.integers(-1, 6)), output)
        arrays = manager.flatten([cardinality_diagram(manager, constraint, functions)])
        for row, x in enumerate(inputs(4)):
            assert value_at(arrays, 0, x) == constraint.evaluate(tables[:, row].astype(bool).tolist())


def table_function(manager, table):
    """The function with this table over all variables, first the slowest, by Shannon expansion."""
    parts = [manager.true if value else manager.false for value in table]
    variable = len(table).bit_length() - 1
    while len(parts) > 1:
        variable -= 1
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [manager.ite(manager.variable(variable), high, low) for low, high in pairs]
    return parts[0]
