"""The diagram of a theory accepts exactly the valid inputs, in any order of levels and with any bits fixed."""

from math import prod

import numpy as np
import pytest

from bnnverify.diagram.constraints import theory_diagram
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.errors import UsageError
from bnnverify.theories import Cardinality, OneHot, Theory, Thermometer, at_least, clause, exactly
from tests.diagrams import assignments, diagram_of_tables, table_of


def models(diagram):
    """Number of accepted inputs of root 0, in Python's integers."""
    below = [0, 1]
    level = diagram.level.tolist()
    for node in range(2, diagram.n_nodes):
        children = (int(diagram.low[node]), int(diagram.high[node]))
        below.append(sum(below[child] << (level[child] - level[node] - 1) for child in children))
    root = int(diagram.roots[0])
    return below[root] << level[root]


def expected_table(theory, level_of_input, n_levels, fixed_bits):
    """The truth table over the levels, by asking the theory itself."""
    rows = np.tile(np.asarray(fixed_bits), (1 << n_levels, 1))
    values = np.array(assignments(n_levels)).reshape(1 << n_levels, n_levels)
    for i, level in enumerate(level_of_input):
        if level >= 0:
            rows[:, i] = 2 * values[:, level] - 1
    return theory.holds(rows).tolist()


def assert_is_the_theory(theory, level_of_input, n_levels, fixed_bits):
    diagram = theory_diagram(theory, level_of_input, n_levels, fixed_bits)
    table = expected_table(theory, level_of_input, n_levels, fixed_bits)
    assert table_of(diagram, 0) == table
    assert diagram.n_nodes == diagram_of_tables([table], n_levels).n_nodes


def random_constraint(rng, n):
    """One of the three kinds over some of the bits, in any order."""
    bits = rng.permutation(n)[: rng.integers(1, n + 1)].tolist()
    kind = rng.integers(3)
    if kind < 2:
        return (OneHot, Thermometer)[kind](tuple(bits))
    lowest = int(rng.integers(0, len(bits) + 1))
    literals = tuple(i if rng.random() < 0.5 else ~i for i in bits)
    return Cardinality(literals, lowest, int(rng.integers(lowest, len(bits) + 1)))


@pytest.mark.parametrize("n", range(1, 9))
def test_every_bound_on_every_number_of_literals_is_its_truth_table(n):
    literals = tuple(i if i % 3 else ~i for i in range(n))
    for lowest in range(n + 1):
        for highest in range(lowest, n + 1):
            theory = Theory((Cardinality(literals, lowest, highest),))
            assert_is_the_theory(theory, range(n), n, np.ones(n))


@pytest.mark.parametrize("seed", range(400))
def test_a_random_theory_is_its_truth_table_in_any_order_with_any_bits_fixed(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    theory = Theory(tuple(random_constraint(rng, n) for _ in range(rng.integers(0, 4))))
    variable = rng.random(n) < rng.choice([1.0, 0.6])
    n_levels = int(variable.sum()) + int(rng.integers(0, 2))
    level_of_input = np.full(n, -1)
    level_of_input[variable] = rng.permutation(n_levels)[: variable.sum()]
    assert_is_the_theory(theory, level_of_input, n_levels, rng.choice([-1, 1], n))


def test_no_constraint_accepts_everything_and_a_contradiction_nothing():
    assert table_of(theory_diagram(Theory(), range(3), 3, np.ones(3)), 0) == [True] * 8
    contradiction = clause([0]) & clause([~0]) & OneHot((1, 2))
    for order in ([0, 1, 2], [2, 1, 0]):
        diagram = theory_diagram(contradiction, order, 3, np.ones(3))
        assert diagram.roots.tolist() == [0]
        assert diagram.n_nodes == 2


def test_tuples_of_more_states_than_63_bits_can_number_are_told_apart():
    theory = Theory((exactly(1, (0, 1)), *[exactly(1, (2, 3))] * 70))
    assert_is_the_theory(theory, [0, 2, 1, 3], 4, np.ones(4))


def test_fixed_bits_that_violate_a_constraint_leave_nothing():
    diagram = theory_diagram(OneHot((0, 1)) & OneHot((2, 3)), [-1, -1, 0, 1], 2, [1, 1, -1, -1])
    assert diagram.roots.tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_ten_groups_of_ten_over_a_hundred_levels_in_any_order_count_as_the_product_of_their_sizes(seed):
    rng = np.random.default_rng(seed)
    groups = np.arange(100).reshape(10, 10)
    theory = Theory(tuple(OneHot(tuple(group)) for group in groups))
    order = rng.permutation(100) if seed else np.arange(100)
    assert models(theory_diagram(theory, order, 100, np.ones(100))) == 10**10


@pytest.mark.parametrize("seed", range(5))
def test_one_hot_groups_and_thermometers_count_as_the_product_of_their_values(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, 8)
    bits = np.split(rng.permutation(sizes.sum()), np.cumsum(sizes)[:-1])
    kinds = [(OneHot, Thermometer)[k] for k in rng.integers(0, 2, 8)]
    theory = Theory(tuple(kind(tuple(group)) for kind, group in zip(kinds, bits, strict=True)))
    n = int(sizes.sum())
    diagram = theory_diagram(theory, rng.permutation(n + 2)[:n], n + 2, np.ones(n))
    values = [int(size) + (kind is Thermometer) for kind, size in zip(kinds, sizes, strict=True)]
    assert models(diagram) == 4 * prod(values)


def test_groups_side_by_side_add_their_nodes():
    theory = Theory(tuple(OneHot(tuple(range(10 * k, 10 * k + 10))) for k in range(10)))
    assert theory_diagram(theory, range(100), 100, np.ones(100)).n_nodes == 2 + 10 * 19


def test_a_thermometer_of_a_hundred_bits_in_any_order_has_101_values():
    order = np.random.default_rng(0).permutation(100)
    assert models(theory_diagram(Theory((Thermometer(tuple(range(100))),)), order, 100, np.ones(100))) == 101


def test_more_states_than_the_limit_are_refused():
    theory = Theory((exactly(10, range(20)),))
    assert theory_diagram(theory, range(20), 20, np.ones(20), node_limit=200).n_nodes > 100
    with pytest.raises(TooManyNodesError, match="more than 50 nodes"):
        theory_diagram(theory, range(20), 20, np.ones(20), node_limit=50)


def test_a_theory_of_more_bits_than_there_are_is_refused():
    with pytest.raises(UsageError, match="speaks of bit 3, expected less than 3"):
        theory_diagram(Theory((at_least(1, [0, 3]),)), range(3), 3, np.ones(3))
