"""Intervals hold what they promise, over thousands of synthetic campaigns, and Student's law is the textbook's."""

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.faults.campaign import Effort, _stages
from bnnverify.faults.intervals import bootstrap, checked_level, method_named, student, student_quantile, wilson

CAMPAIGNS, INSTANCES = 2_000, 500


def shares(rng, trials, mean, spread):
    """Shares of right answers of trials whose faults differ: beta-binomial, or binomial without spread."""
    if spread == 0:
        return rng.binomial(INSTANCES, mean, trials) / INSTANCES
    strength = mean * (1 - mean) / spread**2 - 1
    return rng.binomial(INSTANCES, rng.beta(mean * strength, (1 - mean) * strength, trials)) / INSTANCES


@pytest.mark.parametrize("make", [wilson, student, bootstrap])
@pytest.mark.parametrize(
    ("trials", "mean", "spread"), [(100, 0.97, 0.004), (100, 0.97, 0.0), (30, 0.9, 0.02), (100, 0.5, 0.05)]
)
def test_ninety_five_percent_intervals_hold_the_truth_in_93_to_97_of_100_campaigns(make, trials, mean, spread):
    rng = np.random.default_rng([trials, int(1000 * spread)])
    n = CAMPAIGNS if make is not bootstrap or trials == 30 else 600
    held = 0
    for _ in range(n):
        found = make(shares(rng, trials, mean, spread), 0.95, INSTANCES)
        assert found.low <= found.mean <= found.high
        held += found.low <= mean <= found.high
    slack = 0.0 if n == CAMPAIGNS else 0.01
    assert 0.93 - slack <= held / n <= 0.97 + slack


def test_pooling_the_answers_of_all_trials_would_be_wrong():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        values = shares(rng, 100, 0.9, 0.03)
        half = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / (100 * INSTANCES))
        held += abs(values.mean() - 0.9) <= half
    assert held / 400 < 0.8


def test_intervals_stay_within_0_and_1_and_are_never_empty():
    for value in (0.0, 1.0, 0.5):
        found = wilson(np.full(20, value), 0.95, 100)
        assert 0 <= found.low <= value <= found.high <= 1
        assert found.low < found.high
    assert wilson(np.array([1.0, 1.0, 0.99]), 0.95, 100).high < 1.0


def test_higher_levels_and_fewer_trials_are_wider():
    values = shares(np.random.default_rng(0), 40, 0.9, 0.02)
    for make in (wilson, student, bootstrap):
        assert make(values, 0.99, INSTANCES).margin > make(values, 0.9, INSTANCES).margin
        assert make(values[:10], 0.95, INSTANCES).margin > make(values, 0.95, INSTANCES).margin


def test_students_quantiles_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 7, 10, 99, 1000):
        for p in (0.6, 0.9, 0.975, 0.9995):
            assert student_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9)


def test_unknown_intervals_and_levels_are_refused():
    with pytest.raises(UsageError, match="interval 'wald': expected one of wilson"):
        method_named("wald")
    with pytest.raises(UsageError, match="confidence 95"):
        checked_level(95)


def test_stopping_at_a_margin_costs_little_coverage():
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(CAMPAIGNS):
        values = shares(rng, 400, 0.95, 0.02)
        for stage in _stages(Effort(400, 0.005, 1, None)):
            found = wilson(values[:stage], 0.95, INSTANCES)
            if found.margin <= 0.005:
                break
        held += found.low <= 0.95 <= found.high
    assert 0.93 <= held / CAMPAIGNS <= 0.97
