"""Influence is the share of inputs at which a flip changes the function."""

from fractions import Fraction

import numpy as np
import pytest

from bnnverify.diagram.influence import depends, influence
from bnnverify.diagram.monotone import monotonicity
from bnnverify.diagram.unique import TooManyNodesError
from tests.diagrams import diagram_of_tables
from tests.worlds import all_functions, parity, random_worlds, true_everywhere, union_of


def by_hand(table, n):
    values = np.array(table).reshape((2,) * n)
    return [Fraction(2 * int((values.take(0, i) != values.take(1, i)).sum()), 2**n) for i in range(n)]


def check(diagram, tables, roots):
    expected = by_hand(union_of(tables, roots), diagram.n_levels)
    assert influence(diagram, roots) == expected
    assert depends(diagram, roots) == [share != 0 for share in expected]


def test_every_function_of_up_to_three_variables():
    for diagram, tables in all_functions():
        check(diagram, tables, [0])


def test_unions_of_random_functions():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(14, 80, 8):
        check(diagram, tables, rng.permutation(3)[: rng.integers(0, 4)].tolist())


def test_every_flip_changes_a_parity_of_hundreds():
    assert influence(parity(300), [0]) == [Fraction(1)] * 300


def test_a_union_that_is_everything_depends_on_nothing():
    assert depends(parity(6), [0, 1]) == [False] * 6
    assert influence(true_everywhere(0), [0]) == []


def test_a_node_limit_is_kept():
    rng = np.random.default_rng(1)
    diagram = diagram_of_tables([(rng.random(256) < 0.5).tolist()], 8)
    with pytest.raises(TooManyNodesError):
        influence(diagram, [0], node_limit=100)
    with pytest.raises(TooManyNodesError):
        monotonicity(diagram, [0], node_limit=100)
