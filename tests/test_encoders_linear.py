"""Linear constraints mean their sums; normal and canonical forms mean the same."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.cardinality import Cardinality
from encoders.linear import Linear

VALUES = list(product((False, True), repeat=4))
COEFFICIENTS = st.lists(st.integers(-6, 6), min_size=3, max_size=3)
OUTPUTS = st.sampled_from([None, 4, -4])


def made(coefficients, signs, bound, output=None):
    return Linear(
        tuple((c, s * (v + 1)) for v, (c, s) in enumerate(zip(coefficients, signs, strict=True))), bound, output
    )


def table(constraint):
    return [constraint.evaluate(values) for values in VALUES]


@given(COEFFICIENTS, st.tuples(*[st.sampled_from([-1, 1])] * 3), st.integers(-20, 20), OUTPUTS)
def test_all_forms_of_a_constraint_mean_its_sum(coefficients, signs, bound, output):
    constraint = made(coefficients, signs, bound, output)
    bits = np.array(VALUES)[:, :3] == (np.array(signs) > 0)
    holds = bits @ np.array(coefficients) >= bound
    expected = holds if output is None else holds == (np.array(VALUES)[:, 3] == (output > 0))
    assert table(constraint) == expected.tolist() == table(constraint.normal())
    assert table(constraint.negation()) == (~expected).tolist()
    canonical, negated = constraint.canonical()
    assert [canonical.holds(values) != negated for values in VALUES] == holds.tolist()
    assert constraint.negation().canonical() == (canonical, not negated)
    assert constraint.constant == (bool(holds[0]) if holds.all() or not holds.any() else None)


@given(COEFFICIENTS, st.integers(-20, 20))
def test_normal_constraints_have_coprime_positive_coefficients_and_a_bound_that_can_be_met(coefficients, bound):
    normal = made(coefficients, (1, 1, 1), bound).normal()
    if not normal.terms:
        assert normal.bound in (0, 1)
        return
    sizes = [coefficient for coefficient, _ in normal.terms]
    assert np.gcd.reduce(sizes) == 1
    assert 0 < min(sizes) <= max(sizes) <= normal.bound <= sum(sizes)


def test_a_neuron_is_the_same_cardinality_constraint_either_way():
    for weights in product((-1, 0, 1), repeat=3):
        for threshold in range(-4, 5):
            counted = Cardinality.from_signs(weights, threshold)
            assert Linear.from_signs(weights, threshold).canonical() == Linear.of(counted).canonical()


@given(COEFFICIENTS, st.integers(-15, 15))
def test_a_sum_over_signs_is_its_constraint_over_bits(weights, threshold):
    constraint = Linear.from_signs(weights, threshold)
    for values in VALUES:
        signs = np.where(values[:3], 1, -1)
        assert constraint.holds(values) == (int(np.dot(weights, signs)) >= threshold)


@pytest.mark.parametrize(
    ("terms", "output", "message"),
    [(((1, 0),), None, "literal 0"), (((1, 2), (3, -2)), None, "stands twice"), (((1, 2),), -2, "stands twice")],
)
def test_literals_that_make_no_constraint_are_refused(terms, output, message):
    with pytest.raises(ValueError, match=message):
        Linear(terms, 1, output)
