"""Profiles count the inputs at every distance, and sum to the counts."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.count import counts
from bnnverify.diagram.profile import profile
from bnnverify.diagram.spheres import beyond, sphere
from bnnverify.errors import UsageError
from tests.diagrams import assignments
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere


def by_hand(tables, root, x, most):
    distances = [sum(a != b for a, b in zip(bits, x, strict=True)) for bits in members(tables, [root], len(x))]
    return [distances.count(k) for k in range(most + 1)]


def test_every_function_of_up_to_three_variables_from_every_input():
    for diagram, tables in all_functions():
        for x in assignments(diagram.n_levels):
            assert profile(diagram, x) == [by_hand(tables, 0, x, len(x))]


def test_random_functions_at_all_distances_and_at_few():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(2, 100, 9):
        n = diagram.n_levels
        x, most = rng.integers(0, 2, n).tolist(), int(rng.integers(0, n + 1))
        assert profile(diagram, x) == [by_hand(tables, root, x, n) for root in range(3)]
        assert profile(diagram, x, most) == [by_hand(tables, root, x, most) for root in range(3)]


def test_profiles_past_64_bits_are_exact():
    expected = [comb(784, k) for k in range(785)]
    x = np.random.default_rng(0).integers(0, 2, 784)
    odd = int(x.sum()) % 2
    assert profile(true_everywhere(784), x) == [expected]
    assert profile(parity(784), x)[0] == [0 if (k + odd) % 2 == 0 else expected[k] for k in range(785)]


def test_a_profile_that_just_passes_64_bits_is_exact():
    for n in (62, 66, 67, 68, 70):
        assert profile(true_everywhere(n), [0] * n) == [[comb(n, k) for k in range(n + 1)]]


def test_a_sphere_lies_at_its_distance():
    x = np.random.default_rng(1).integers(0, 2, 200)
    assert profile(sphere(x, 7), x, 9) == [[0] * 7 + [comb(200, 7), 0, 0]]
    assert profile(beyond(x, 3), x, 4) == [[0, 0, 0, comb(200, 3), comb(200, 4)]]


@given(st.integers(0, 10**6))
def test_a_profile_sums_to_its_count(seed):
    for diagram, _ in random_worlds(seed, 1, 8):
        x = np.random.default_rng(seed).integers(0, 2, diagram.n_levels)
        assert [sum(row) for row in profile(diagram, x)] == counts(diagram)


def test_an_instance_of_another_size_is_refused():
    with pytest.raises(UsageError, match="expected 3 values"):
        profile(true_everywhere(3), [0, 1])
    with pytest.raises(UsageError, match="expected at least 0"):
        profile(true_everywhere(3), [0, 1, 1], -1)
