"""Probabilities under independent bits and their derivatives, exact and in floats."""

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.count import counts
from bnnverify.diagram.probability import derivatives, probability
from bnnverify.errors import UsageError
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere

HALF = Fraction(1, 2)


def by_hand(tables, roots, p):
    inputs = members(tables, roots, len(p))
    return sum((prod(q if bit else 1 - q for bit, q in zip(bits, p, strict=True)) for bits in inputs), Fraction(0))


def random_chances(rng, n):
    denominators = rng.integers(1, 8, n).tolist()
    return [Fraction(int(rng.integers(0, d + 1)), d) for d in denominators]


def test_every_function_of_up_to_three_variables():
    p = [Fraction(1, 3), Fraction(2, 5), Fraction(6, 7)]
    for diagram, tables in all_functions():
        chances = p[: diagram.n_levels]
        assert probability(diagram, chances, exact=True) == [by_hand(tables, [0], chances)]


def test_random_functions_exactly_and_in_floats():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(8, 60, 8):
        p = random_chances(rng, diagram.n_levels)
        expected = [by_hand(tables, [root], p) for root in range(3)]
        assert probability(diagram, p) == expected
        assert probability(diagram, np.array(p, dtype=float)) == pytest.approx(expected, abs=1e-14)


def test_a_derivative_is_the_probability_if_the_bit_is_one_less_that_if_it_is_zero():
    rng = np.random.default_rng(1)
    for diagram, tables in random_worlds(9, 50, 7):
        p, roots = random_chances(rng, diagram.n_levels), [2, 0]
        sure = [[by_hand(tables, roots, [*p[:i], bit, *p[i + 1 :]]) for bit in (0, 1)] for i in range(len(p))]
        expected = [one - zero for zero, one in sure]
        assert derivatives(diagram, roots, p) == expected
        assert derivatives(diagram, roots, p, exact=False) == pytest.approx(expected, abs=1e-14)


def test_integers_and_fractions_give_fractions_and_floats_give_floats():
    diagram = true_everywhere(2)
    for p, exact, kind in (
        ([0, 1], None, Fraction),
        (np.array([0, 1]), None, Fraction),
        ([HALF, 0.5], None, float),
        ([0.5, 0.25], True, Fraction),
        ([HALF, HALF], False, float),
    ):
        assert type(probability(diagram, p, exact=exact)[0]) is kind
        assert {type(value) for value in derivatives(diagram, [0], p, exact=exact)} == {kind}


def test_floats_taken_exactly_are_the_fractions_they_are():
    assert probability(parity(1), [0.1], exact=True) == [Fraction(0.1), 1 - Fraction(0.1)]


def test_many_levels_are_exact():
    assert probability(parity(784), [HALF] * 784) == [HALF, HALF]
    assert probability(parity(300), [Fraction(1, 3)] * 300)[1] == (1 + Fraction(1, 3) ** 300) / 2
    assert derivatives(parity(300), [0], [Fraction(1, 3)] * 300) == [Fraction(1, 3) ** 299] * 300


@given(st.integers(0, 10**6))
def test_one_half_everywhere_gives_the_count(seed):
    for diagram, _ in random_worlds(seed, 1, 8):
        n = diagram.n_levels
        assert [chance * 2**n for chance in probability(diagram, [HALF] * n)] == counts(diagram)


@pytest.mark.parametrize("p", [[0.5], [0.5, 1.5], [0.5, float("nan")], [-1, 0]])
def test_numbers_that_are_no_probabilities_are_refused(p):
    with pytest.raises(UsageError, match="probabilities"):
        probability(true_everywhere(2), p)
