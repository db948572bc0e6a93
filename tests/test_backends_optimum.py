"""Least costs equal brute force, and a wrong model or cost of the library does not leave."""

import numpy as np
import pytest

from bnnverify.backends.optimum import least_cost
from bnnverify.errors import ReplayError, UsageError
from tests.backend_formulas import formula_of, is_met, models, random_formula, true_literal


def cost_of(soft, values):
    return sum(weight for weight, literal in soft if not true_literal(literal, values))


def random_soft(rng, formula):
    """Weighted literals, some twice and some against each other."""
    variables = rng.integers(1, formula.n_variables + 1, rng.integers(0, 8))
    return [(int(rng.integers(1, 6)), int(v * rng.choice([-1, 1]))) for v in variables]


@pytest.mark.parametrize("encoding", ["two-sided", "adder", "cardnetwrk"])
def test_the_least_cost_is_that_of_brute_force(encoding):
    rng = np.random.default_rng(41)
    for formula in [random_formula(rng) for _ in range(120)]:
        soft = random_soft(rng, formula)
        costs = [cost_of(soft, values) for values in models(formula)]
        found = least_cost(formula, soft, encoding=encoding)
        assert (found is None) == (not costs)
        if found is not None:
            values = (None, *found.model[1:].tolist())
            assert found.cost == min(costs) == cost_of(soft, values)
            assert is_met(formula, values)


def test_a_formula_with_an_empty_clause_has_no_cost():
    assert least_cost(formula_of(2, [], [()]), [(1, 1)]) is None
    assert least_cost(formula_of(2, [], [(1,), (-1,)]), [(1, 2)]) is None


def test_a_formula_without_constraints_or_costs_costs_nothing():
    assert least_cost(formula_of(3, []), []).cost == 0
    assert least_cost(formula_of(3, []), [(2, 3), (5, -3), (1, 1)]).cost == 2


@pytest.mark.parametrize("soft", [(0, 1), (-2, 1), (1, 0), (1, 4), (1, -4)])
def test_a_soft_literal_that_makes_no_sense_is_refused(soft):
    with pytest.raises(UsageError, match=f"soft literal {soft[1]} of weight {soft[0]}"):
        least_cost(formula_of(3, []), [soft])


@pytest.mark.parametrize(("model", "cost"), [([1, 2], 0), ([-1, 2], 7)])
def test_a_library_that_lies_is_found_out(model, cost, monkeypatch):
    class Liar:
        def __init__(self, *arguments, **options):
            self.cost = cost

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def compute(self):
            return model

    monkeypatch.setattr("pysat.examples.rc2.RC2Stratified", Liar)
    with pytest.raises(ReplayError):
        least_cost(formula_of(2, [], [(-1,)]), [(1, 1)])
