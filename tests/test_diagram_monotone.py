"""Trends compare the function with each bit at 0 and at 1."""

import numpy as np

from bnnverify.diagram.monotone import Trend, monotonicity
from tests.worlds import all_functions, parity, random_worlds, union_of


def by_hand(table, n):
    values = np.array(table).reshape((2,) * n).astype(int)
    steps = [values.take(1, i) - values.take(0, i) for i in range(n)]
    names = {(False, False): "constant", (True, False): "increasing", (False, True): "decreasing"}
    return [names.get((bool((s > 0).any()), bool((s < 0).any())), "neither") for s in steps]


def check(diagram, tables, roots):
    assert [t.value for t in monotonicity(diagram, roots)] == by_hand(union_of(tables, roots), diagram.n_levels)


def test_every_function_of_up_to_three_variables():
    for diagram, tables in all_functions():
        check(diagram, tables, [0])


def test_unions_of_random_functions():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(15, 80, 8):
        check(diagram, tables, rng.permutation(3)[: rng.integers(0, 4)].tolist())


def test_a_parity_of_hundreds_is_monotone_in_nothing():
    assert monotonicity(parity(300), [1]) == [Trend.NEITHER] * 300
