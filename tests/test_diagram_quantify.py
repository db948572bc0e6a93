"""Cofactors and quantifiers agree with truth tables, and the results stay reduced."""

import numpy as np
import pytest

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.quantify import cofactor, exists, forall, placed
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.errors import UsageError
from tests.diagrams import assignments, diagram_of_tables, table_of
from tests.worlds import all_functions, parity, random_worlds


def fixed_by_hand(table, n, fixed):
    values = dict(zip(assignments(n), table, strict=True))
    return [values[tuple(fixed.get(i, bit) for i, bit in enumerate(bits))] for bits in assignments(n)]


def quantified_by_hand(table, n, levels, combined):
    for level in levels:
        table = [
            combined(pair) for pair in zip(*(fixed_by_hand(table, n, {level: value}) for value in (0, 1)), strict=True)
        ]
    return table


def assert_is(result, tables):
    """The functions and the number of nodes are those of the diagram made from the tables."""
    assert [table_of(result, root) for root in range(len(tables))] == tables
    assert result.n_nodes == diagram_of_tables(tables, result.n_levels).n_nodes


def check(diagram, tables, fixed):
    n, levels = diagram.n_levels, list(fixed)
    assert_is(cofactor(diagram, fixed), [fixed_by_hand(t, n, fixed) for t in tables])
    assert_is(exists(diagram, levels), [quantified_by_hand(t, n, levels, any) for t in tables])
    assert_is(forall(diagram, levels), [quantified_by_hand(t, n, levels, all) for t in tables])


def test_every_function_of_up_to_three_variables_with_every_set_of_levels():
    for diagram, tables in all_functions():
        for chosen in assignments(diagram.n_levels):
            check(diagram, tables, {level: level % 2 for level, taken in enumerate(chosen) if taken})


def test_random_disjoint_functions_with_random_levels():
    rng = np.random.default_rng(3)
    for diagram, tables in random_worlds(21, 60, 8):
        chosen = rng.permutation(diagram.n_levels)[: rng.integers(0, diagram.n_levels + 1)]
        check(diagram, tables, {int(level): int(rng.integers(2)) for level in chosen})


def test_hundreds_of_levels_are_fixed_at_once():
    n = 300
    assert np.array_equal(cofactor(parity(n), dict.fromkeys(range(1, n), 0)).level, [n, n, 0, 0])
    assert exists(parity(n), [0]).roots.tolist() == [1, 1]
    assert forall(parity(n), [n - 1]).roots.tolist() == [0, 0]


def test_functions_are_placed_among_more_variables():
    diagram = diagram_of_tables([[0, 1, 1, 1], [1, 0, 0, 0]], 2)
    wider = placed(diagram, np.array([1, 3]), 4)
    assert table_of(wider, 0) == [bool(bits[1] or bits[3]) for bits in assignments(4)]
    assert placed(FlatDiagram([0, 0], [0, 1], [0, 1], [1], 0), np.array([], int), 2).level.tolist() == [2, 2]


@pytest.mark.parametrize("level", [-1, 3])
def test_levels_that_do_not_exist_are_refused(level):
    for refused in (lambda: cofactor(parity(3), {level: 0}), lambda: exists(parity(3), [level])):
        with pytest.raises(UsageError, match=r"expected 0\.\.2"):
            refused()


def test_other_values_than_0_and_1_are_refused():
    with pytest.raises(UsageError, match="found the value -1, expected 0 or 1"):
        cofactor(parity(3), {1: -1})


def test_a_node_limit_ends_the_work():
    rng = np.random.default_rng(4)
    diagram = diagram_of_tables([(rng.random(512) < 0.3).tolist()], 9)
    with pytest.raises(TooManyNodesError, match="more than 20 nodes"):
        exists(diagram, [8], node_limit=20)
