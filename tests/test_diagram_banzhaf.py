"""Banzhaf values are mean gains over all sets of other levels (features: test_diagram_shapley)."""

from fractions import Fraction

import numpy as np
import pytest

from bnnverify.diagram.banzhaf import banzhaf
from bnnverify.diagram.influence import influence
from tests.diagrams import assignments
from tests.test_diagram_shapley import banzhaf_weight, by_definition
from tests.worlds import all_functions, members, parity, random_worlds

HALF = Fraction(1, 2)


def test_every_function_of_up_to_three_variables():
    for diagram, tables in all_functions():
        n = diagram.n_levels
        for x in assignments(n)[-2:]:
            expected = by_definition(members(tables, [0], n), x, [HALF] * n, [[i] for i in range(n)], banzhaf_weight)
            assert banzhaf(diagram, [0], x, exact=True) == expected
            assert banzhaf(diagram, [0], x) == pytest.approx(expected, abs=1e-14)


def test_an_instance_that_is_certain_anyway_gains_nothing():
    for diagram, _ in random_worlds(12, 30, 7):
        n = diagram.n_levels
        for bit in (0, 1):
            assert banzhaf(diagram, [0], [bit] * n, p=[bit] * n, exact=True) == [0] * n


def test_mean_size_over_all_instances_is_at_most_half_the_influence():
    for diagram, _ in random_worlds(13, 30, 5):
        n = diagram.n_levels
        values = np.array([banzhaf(diagram, [1], x, exact=True) for x in assignments(n)])
        for i, share in enumerate(influence(diagram, [1])):
            assert abs(values[:, i]).sum() <= share / 2 * 2**n


def test_parity_is_decided_by_all_or_nothing():
    assert banzhaf(parity(12), [0], [1] + [0] * 11, exact=True) == [Fraction(1, 2**12)] * 12
