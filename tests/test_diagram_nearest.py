"""Nearest inputs cost least, and all inputs come once, in the order of their costs."""

from itertools import islice

import numpy as np
import pytest

from bnnverify.diagram.nearest import k_nearest, nearest
from bnnverify.diagram.spheres import sphere
from bnnverify.errors import UsageError
from tests.diagrams import assignments
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere


def cost_of(bits, x, costs):
    return sum(int(c) for a, b, c in zip(bits, x, costs, strict=True) if a != b)


def check(diagram, tables, roots, x, costs):
    expected = members(tables, roots, diagram.n_levels)
    found = list(k_nearest(diagram, roots, x, costs))
    assert [cost for cost, _ in found] == sorted(cost_of(bits, x, costs) for bits in expected)
    assert sorted(tuple(bits.tolist()) for _, bits in found) == expected
    assert all(cost == cost_of(bits, x, costs) for cost, bits in found)
    first = nearest(diagram, roots, x, costs)
    assert first is None if not expected else first is not None and first[0] == found[0][0]


def test_every_function_of_up_to_three_variables_from_every_input():
    for diagram, tables in all_functions():
        for x in assignments(diagram.n_levels):
            check(diagram, tables, [0], x, np.array([3, 1, 2][: len(x)], dtype=int))


def test_unions_of_random_functions_under_random_costs_some_of_them_zero():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(3, 60, 8):
        n = diagram.n_levels
        roots = rng.permutation(3)[: rng.integers(0, 4)].tolist()
        check(diagram, tables, roots, rng.integers(0, 2, n).tolist(), rng.integers(0, 4, n))


def test_among_many_levels_the_cheapest_flips_come_first():
    n = 300
    costs = np.random.default_rng(1).permutation(n) + 1
    x = np.zeros(n, dtype=int)
    assert [cost for cost, _ in islice(k_nearest(true_everywhere(n), [0], x, costs), 6)] == [0, 1, 2, 3, 3, 4]
    assert [cost for cost, _ in islice(k_nearest(parity(n), [0], x, costs), 5)] == [1, 2, 3, 4, 5]
    cost, bits = nearest(sphere(x, 5), [0], x, costs)
    assert (cost, sorted(costs[bits == 1].tolist())) == (15, [1, 2, 3, 4, 5])


def test_changing_an_input_that_was_given_does_not_disturb_the_next_ones():
    stream = k_nearest(true_everywhere(3), [0], [0, 0, 0], [1, 1, 1])
    seen = []
    for _, bits in stream:
        seen.append(tuple(bits.tolist()))
        bits[:] = 7
    assert sorted(seen) == assignments(3)


@pytest.mark.parametrize("costs", [[1, 2], [1, -1, 1], [1 << 61, 1 << 61, 0], [0.5, 1.0, 1.0]])
def test_costs_that_are_no_small_non_negative_integers_are_refused(costs):
    with pytest.raises(UsageError, match="costs"):
        nearest(true_everywhere(3), [0], [0, 0, 0], costs)


@pytest.mark.parametrize("roots", [[1], [-1], [0, 0]])
def test_roots_that_do_not_exist_or_repeat_are_refused(roots):
    with pytest.raises(UsageError, match="roots"):
        nearest(true_everywhere(3), roots, [0, 0, 0], [1, 1, 1])
