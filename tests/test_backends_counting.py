"""Counts projected on the inputs: Ganak's equal brute force, ApproxMC's keep their epsilon and delta."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from bnnverify.backends.counting import approximate_count, exact_count
from bnnverify.errors import UnsupportedError, UsageError
from tests.backend_formulas import formula_of, models, random_formula

EDGES = [
    (formula_of(3, [], inputs=[1, 2]), 4),
    (formula_of(3, [], [(3,)], [1, 2, 2]), 4),
    (formula_of(2, [], [()], [1, 2]), 0),
    (formula_of(2, [], [(1,), (-1,)], [1, 2]), 0),
    (formula_of(3, [(((1, 1), (1, 2)), 1, 3)], [(3,)], [1, 2]), 3),
    (formula_of(4, [(((2, 1), (1, -2)), 2, 3)], [(3,)], [1, 2, 4]), 4),
    (formula_of(70, [(((1, 1), (1, 2)), 1, 0)], inputs=range(1, 71)), 3 << 68),
]


def n_input_models(formula):
    return len({tuple(values[v] for v in formula.inputs) for values in models(formula)})


def majority(n_inputs, bound):
    """At least so many of the inputs are true, said through an output."""
    output = n_inputs + 1
    row = tuple((1, v) for v in range(1, n_inputs + 1)), bound, output
    return formula_of(output, [row], [(output,)], range(1, n_inputs + 1))


def test_ganak_counts_what_brute_force_counts(capfd):
    pytest.importorskip("pyganak")
    rng = np.random.default_rng(31)
    for formula in [random_formula(rng) for _ in range(200)]:
        assert exact_count(formula) == n_input_models(formula)
    assert capfd.readouterr().out == ""


def test_a_count_below_the_first_cell_is_exact():
    pytest.importorskip("pyapproxmc")
    rng = np.random.default_rng(32)
    for formula in [random_formula(rng) for _ in range(150)]:
        assert approximate_count(formula) == n_input_models(formula)


@pytest.mark.parametrize(("formula", "expected"), EDGES)
@pytest.mark.parametrize("package", ["pyganak", "pyapproxmc"])
def test_a_count_at_the_edge_is_right(package, formula, expected):
    pytest.importorskip(package)
    count = exact_count if package == "pyganak" else approximate_count
    assert count(formula) == expected


@pytest.mark.parametrize(("epsilon", "delta"), [(0.8, 0.2), (0.5, 0.1)])
def test_an_approximate_count_is_too_far_off_less_often_than_delta(epsilon, delta):
    pytest.importorskip("pyapproxmc")
    formula, seeds = majority(14, 8), 25
    truth = sum(1 for word in range(1 << 14) if word.bit_count() >= 8)
    counts = [approximate_count(formula, epsilon=epsilon, delta=delta, seed=seed) for seed in range(seeds)]
    far = [count for count in counts if not truth / (1 + epsilon) <= count <= truth * (1 + epsilon)]
    assert len(far) < delta * seeds
    assert len(set(counts)) > 3


def test_the_same_seed_counts_the_same():
    pytest.importorskip("pyapproxmc")
    formula = majority(12, 6)
    assert approximate_count(formula, seed=5) == approximate_count(formula, seed=5)


@pytest.mark.parametrize(
    "arguments", [{"epsilon": 0}, {"epsilon": float("nan")}, {"delta": 0}, {"delta": 1}, {"delta": -0.1}, {"seed": -1}]
)
def test_a_guarantee_out_of_range_is_refused(arguments):
    with pytest.raises(UsageError, match="expected above 0, between 0 and 1, from 0"):
        approximate_count(majority(4, 2), **arguments)


def test_a_version_of_approxmc_that_loses_inputs_is_refused(monkeypatch):
    class Forgetful:
        def __init__(self, **options):
            pass

        def add_clauses(self, clauses):
            pass

        def count(self, inputs):
            return 1, 0

    monkeypatch.setitem(sys.modules, "pyapproxmc", SimpleNamespace(Counter=Forgetful))
    with pytest.raises(UnsupportedError, match="loses inputs and counts too few"):
        approximate_count(majority(4, 2))


@pytest.mark.parametrize(("package", "count"), [("pyganak", exact_count), ("pyapproxmc", approximate_count)])
def test_a_formula_without_inputs_is_refused(package, count):
    pytest.importorskip(package)
    with pytest.raises(UsageError, match="names no inputs"):
        count(formula_of(3, []))


@pytest.mark.parametrize(("package", "count"), [("pyganak", exact_count), ("pyapproxmc", approximate_count)])
def test_a_missing_package_is_one_sentence(package, count, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnsupportedError, match=rf"package {package} .*pip install 'bnnverify\[count\]'$"):
        count(majority(4, 2))
