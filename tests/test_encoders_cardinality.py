"""Cardinality constraints mean what they say, and equal or opposite ones are found to be so."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.cardinality import Cardinality

WORLD = 4
VALUES = list(product((False, True), repeat=WORLD))


def all_constraints(n_variables=3):
    for signs in product((-1, 0, 1), repeat=n_variables):
        literals = tuple(s * (v + 1) for v, s in enumerate(signs) if s)
        for bound in range(-1, len(literals) + 3):
            yield Cardinality(literals, bound)


def table(constraint):
    return tuple(constraint.evaluate(values) for values in VALUES)


def counted(constraint, values):
    met = sum(
        values[abs(literal) - 1] if literal > 0 else not values[abs(literal) - 1] for literal in constraint.literals
    )
    return met >= constraint.bound


def test_a_constraint_counts_its_true_literals():
    for constraint in all_constraints():
        assert table(constraint) == tuple(counted(constraint, values) for values in VALUES)
        assert constraint.constant == (table(constraint)[0] if len(set(table(constraint))) == 1 else None)


def test_with_an_output_it_is_an_equivalence():
    for constraint, output in product(all_constraints(), (4, -4)):
        reified = Cardinality(constraint.literals, constraint.bound, output)
        expected = tuple(counted(constraint, v) == (v[3] == (output > 0)) for v in VALUES)
        assert table(reified) == expected
        assert table(reified.negation()) == tuple(not value for value in expected)


def test_the_canonical_form_is_shared_by_exactly_the_equal_and_the_opposite_constraints():
    forms = {}
    for constraint in all_constraints():
        form, negated = constraint.canonical()
        assert table(form) == tuple(value != negated for value in table(constraint))
        forms.setdefault(table(form), set()).add(form)
    assert all(len(same) == 1 for same in forms.values())
    assert not any(tuple(not v for v in t) in forms for t in forms)


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=WORLD, max_size=WORLD), st.integers(-6, 6))
def test_a_neuron_over_signs_is_its_constraint_over_bits(weights, threshold):
    constraint = Cardinality.from_signs(weights, threshold)
    for values in VALUES:
        signs = np.where(values, 1, -1)
        assert constraint.holds(values) == (int(np.dot(weights, signs)) >= threshold)


@given(st.dictionaries(st.integers(0, 2), st.booleans()))
def test_known_bits_leave_the_constraint_of_the_others(known):
    for constraint in all_constraints():
        left = constraint.restricted(known)
        assert not {abs(literal) - 1 for literal in left.literals} & set(known)
        for values in VALUES:
            if all(values[v] == value for v, value in known.items()):
                assert left.holds(values) == constraint.holds(values)


@pytest.mark.parametrize("flips", range(4))
def test_a_constraint_is_decided_in_a_ball_iff_it_has_one_value_there(flips):
    for constraint, center in product(all_constraints(), VALUES):
        ball = [v for v in VALUES if sum(a != b for a, b in zip(v, center, strict=True)) <= flips]
        found = {constraint.holds(v) for v in ball}
        assert constraint.within(center, flips) == (found.pop() if len(found) == 1 else None)


@pytest.mark.parametrize(
    ("literals", "output", "message"),
    [((1, 0), None, "literal 0"), ((1, -1), None, "variable 0 stands twice"), ((1, 2), -2, "variable 1 stands twice")],
)
def test_literals_that_make_no_constraint_are_refused(literals, output, message):
    with pytest.raises(ValueError, match=message):
        Cardinality(literals, 1, output)
