"""Every encoding says exactly what its constraint says: truth tables of all cardinality constraints, and more."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.cardinality import Cardinality
from encoders.cnf import Cnf
from encoders.encode import ENCODINGS, SharedOutputs, encode
from encoders.linear import Linear
from encoders.pysatcards import UnsupportedBoundError
from tests.formulas import literals_of, meaning, n_models, open_solver, propagates_completely

FUNCTIONAL = sorted(name for name, encoding in ENCODINGS.items() if encoding.functional)
FEW_BOUNDS = {"pairwise", "bitwise", "ladder"}
COMPLETE = {"two-sided", "counter", "seqcounter", "sortnetwrk", "cardnetwrk", "totalizer"}
INCOMPLETE = {"adder", "mtotalizer", "kmtotalizer"}


def signed(rng, n):
    return tuple(int(sign) * (v + 1) for v, sign in enumerate(rng.choice([-1, 1], n)))


def cardinalities(n):
    """All bounds, on n positive and on n literals of random signs, without and with an output first or last."""
    rng = np.random.default_rng(n)
    later = tuple(literal + int(np.sign(literal)) for literal in signed(rng, n))
    for (literals, output), bound in product(((range(1, n + 1), n + 1), (later, 1)), range(-1, n + 3)):
        yield Cardinality(tuple(literals), bound)
        yield Cardinality(tuple(literals), bound, output * int(rng.choice([-1, 1])))


def encoded(constraint, n_variables, name):
    cnf = Cnf(n_variables)
    encode(cnf, constraint, name)
    return cnf


def truth_table(constraint, n_variables):
    return [constraint.evaluate(values) for values in product((False, True), repeat=n_variables)]


def check(constraint, n_variables, name):
    cnf = encoded(constraint, n_variables, name)
    expected = truth_table(constraint, n_variables)
    assert meaning(cnf, n_variables) == expected, constraint
    if ENCODINGS[name].functional:
        assert n_models(cnf) == sum(expected), constraint


@pytest.mark.parametrize("name", sorted(set(ENCODINGS) - FEW_BOUNDS))
def test_an_encoding_has_the_truth_table_of_each_cardinality_constraint(name):
    for n in range(1, 7):
        for constraint in cardinalities(n):
            check(constraint, n + 1, name)


@pytest.mark.parametrize("name", sorted(FEW_BOUNDS))
def test_an_encoding_for_few_bounds_is_right_there_and_refuses_the_others(name):
    for n in range(1, 7):
        for constraint in cardinalities(n):
            k = Linear.of(constraint).normal().bound
            reified_bounds = {1, n} if n != 3 else {1, 2, 3}
            allowed = {0, *(reified_bounds if constraint.output else {1, n - 1, n})}
            if constraint.constant is not None or k in allowed:
                check(constraint, n + 1, name)
            else:
                with pytest.raises(UnsupportedBoundError, match="expected at least 1"):
                    encoded(constraint, n + 1, name)


@pytest.mark.parametrize("name", sorted(set(ENCODINGS) - FEW_BOUNDS))
def test_an_encoding_has_the_truth_table_of_linear_constraints(name):
    rng = np.random.default_rng(4)
    for _ in range(60):
        n = int(rng.integers(1, 6))
        coefficients = rng.integers(-4, 5, n)
        terms = tuple(zip(coefficients.tolist(), signed(rng, n), strict=True))
        bound = int(rng.integers(coefficients.clip(max=0).sum() - 1, coefficients.clip(min=0).sum() + 2))
        check(Linear(terms, bound, rng.choice([n + 1, -n - 1, None])), n + 1, name)


@pytest.mark.parametrize("name", sorted(set(ENCODINGS) - FEW_BOUNDS))
def test_an_encoding_of_many_literals_is_right_near_its_bound(name):
    rng = np.random.default_rng(6)
    for n in (13, 24, 40):
        constraint = Cardinality(signed(rng, n), int(rng.integers(1, n + 1)), n + 1)
        with open_solver(encoded(constraint, n + 1, name)) as solver:
            for excess in rng.integers(-2, 2, 20):
                met = rng.permutation(n) < np.clip(constraint.bound + excess, 0, n)
                chosen = [lit if m else -lit for lit, m in zip(constraint.literals, met, strict=True)]
                output = n + 1 if met.sum() >= constraint.bound else -n - 1
                assert solver.solve(assumptions=[*chosen, output])
                assert not solver.solve(assumptions=[*chosen, -output])


@pytest.mark.parametrize("name", ["two-sided", "adder"])
def test_coefficients_may_be_of_any_size(name):
    constraint = Linear(((3 << 70, 1), ((1 << 71) + 1, -2), (5, 3)), (1 << 71) + 5)
    check(constraint, 3, name)


def test_coefficients_past_the_grid_of_a_counter_are_refused():
    with pytest.raises(ValueError, match="expected less for a counter"):
        encoded(Linear(((1 << 62, 1), (3, 2), (1 << 61, 3)), 1 << 62), 3, "counter")


def test_a_variable_beyond_the_formula_is_refused():
    for constraint in (Cardinality((1, 4), 1), Cardinality((1, 2), 1, -4)):
        with pytest.raises(ValueError, match="variable 3, expected one of the formula's 3"):
            encoded(constraint, 3, "counter")


def small_constraints():
    rng = np.random.default_rng(5)
    for n in range(1, 5):
        for bound, output in product(range(1, n + 1), (None, n + 1)):
            yield Cardinality(signed(rng, n), bound, output)


def weighted_constraints():
    yield Linear(((3, 1), (2, -2), (1, 3), (1, 4)), 4, 5)
    yield Linear(((3, 1), (-5, 2), (2, 3), (2, -4)), 1, -5)
    yield Linear(((3, 1), (2, -2), (1, 3), (1, 4)), 5)


def propagates(constraint, n_variables, name):
    return propagates_completely(encoded(constraint, n_variables, name), constraint.evaluate, n_variables)


@pytest.mark.parametrize("name", sorted(COMPLETE))
def test_unit_propagation_finds_all_that_a_cardinality_constraint_implies(name):
    for constraint in small_constraints():
        assert propagates(constraint, len(constraint.literals) + (constraint.output is not None), name), constraint


@pytest.mark.parametrize("name", ["two-sided", "counter"])
def test_unit_propagation_finds_all_that_a_linear_constraint_implies(name):
    for constraint in weighted_constraints():
        assert propagates(constraint, 5 if constraint.output else 4, name), constraint


@pytest.mark.parametrize("name", sorted(INCOMPLETE))
def test_unit_propagation_misses_something_in_the_smallest_encodings(name):
    assert not all(propagates(Cardinality((1, 2, 3, 4, 5), bound, 6), 6, name) for bound in range(1, 6))


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_the_inputs_fix_the_new_variables_by_unit_propagation_alone(name):
    cnf = encoded(Cardinality((1, -2, 3, 4, -5), 3, 6), 6, name)
    with open_solver(cnf) as solver:
        for values in product((False, True), repeat=5):
            consistent, found = solver.propagate(assumptions=literals_of(values))
            assert consistent
            assert len({*map(abs, found), 1, 2, 3, 4, 5, cnf.true}) == cnf.n_variables


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(-2, 2), min_size=4, max_size=4), st.integers(-4, 4)), min_size=1, max_size=5
    ),
    st.sampled_from(["two-sided", "adder", "counter", "seqcounter", "mtotalizer"]),
)
def test_shared_outputs_are_the_values_of_their_constraints(rows, name):
    cnf = Cnf(4)
    shared = SharedOutputs(cnf, name)
    outputs = [
        (Linear.from_signs(weights, bound), shared.literal(Linear.from_signs(weights, bound)))
        for weights, bound in rows
    ]
    with open_solver(cnf) as solver:
        for values in product((False, True), repeat=4):
            for constraint, output in outputs:
                value = output if constraint.holds(values) else -output
                assert solver.solve(assumptions=[*literals_of(values), value])
                assert not solver.solve(assumptions=[*literals_of(values), -value])


def test_equal_and_opposite_constraints_are_encoded_once():
    cnf = Cnf(4)
    shared = SharedOutputs(cnf, "counter")
    output = shared.literal(Cardinality((1, -2, 3), 2))
    size = len(cnf.clauses), cnf.n_variables
    assert shared.literal(Cardinality((3, 1, -2), 2)) == output
    assert shared.literal(Cardinality((-1, 2, -3), 2)) == -output
    assert shared.literal(Linear(((2, 1), (-2, 2), (2, 3)), 1)) == output
    assert (len(cnf.clauses), cnf.n_variables) == size
    assert shared.literal(Cardinality((-4,), 1)) == -4
    assert shared.literal(Cardinality((1, 2), 0)) == cnf.true == -shared.literal(Cardinality((1, 2), 3))


@pytest.mark.parametrize("name", ["two-sided", "adder", "counter", "totalizer"])
def test_adding_with_sharing_means_the_conjunction(name):
    constraints = [
        Cardinality((1, 2, 3), 2, 4),
        Cardinality((-3, -1, -2), 2, 5),
        Cardinality((1, 2, 3, -4), 2),
        Cardinality((1, 2), 0, 6),
        Cardinality((-2,), 1, -7),
        Cardinality((-1, 3), 2, 8),
        Cardinality((-1, 3), 2, 9),
    ]
    cnf = Cnf(9)
    shared = SharedOutputs(cnf, name)
    for constraint in constraints:
        shared.add(constraint)
    expected = [all(c.evaluate(values) for c in constraints) for values in product((False, True), repeat=9)]
    assert meaning(cnf, 9) == expected
    assert any(expected)
