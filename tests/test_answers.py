"""What the queries say beyond the number: the verdict, the probability, the proof behind a least change."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.queries import limited
from bnnverify.queries.limited import CAME_FIRST, COMPILING, run_watched
from bnnverify.queries.results import Verdict

MAJORITY = bv.Network((bv.Block(np.array([[1, 1, 1]]), np.array([0])),), bv.Output(np.array([[1], [-1]])))
CENTER = np.array([1, 1, 1])


def test_a_count_around_an_input_is_violated_where_another_class_occurs() -> None:
    assert bv.count(MAJORITY, bv.HammingBall(CENTER, 1)).verdict is Verdict.HOLDS
    assert bv.count(MAJORITY, bv.HammingBall(CENTER, 2)).verdict is Verdict.VIOLATED


def test_a_count_of_the_whole_space_is_about_no_input() -> None:
    answer = bv.count(MAJORITY)
    assert (answer.verdict, answer.input_class, answer.counts) == (Verdict.ANSWERED, None, {0: 4, 1: 4})


@pytest.mark.parametrize("seed", range(5))
def test_count_and_robustness_give_the_same_verdict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hidden = bv.Block(rng.choice([-1, 0, 1], (6, 9)), rng.integers(-2, 3, 6))
    network = bv.Network((hidden,), bv.Output(rng.choice([-1, 1], (3, 6))))
    for radius, ties in product(range(4), bv.Ties):
        ball = bv.HammingBall(rng.choice([-1, 1], 9), radius)
        assert bv.count(network, ball, ties=ties).verdict is bv.robustness(network, ball, ties=ties).verdict


@pytest.mark.parametrize("rate", [0, 0.25, 0.3, 1])
def test_the_probability_of_a_change_is_the_sum_over_all_inputs(rate: float) -> None:
    p, expected = Fraction(rate), Fraction(0)
    for flips in product([False, True], repeat=3):
        changed = sum(flips) >= 2
        expected += changed * p ** sum(flips) * (1 - p) ** (3 - sum(flips))
    answer = bv.profile(MAJORITY, bv.HammingBall(CENTER, 3), ber=rate)
    assert (answer.kind, answer.probability) == ("exact", (expected, expected))


def test_a_cut_profile_bounds_the_probability_by_what_it_does_not_see() -> None:
    p = Fraction(1, 4)
    seen, beyond = 3 * p**2 * (1 - p), p**3
    answer = bv.profile(MAJORITY, bv.HammingBall(CENTER, 2), ber=0.25)
    assert (answer.kind, answer.probability) == ("bound", (seen, seen + beyond))


def test_a_least_change_names_the_search_that_found_nothing_smaller() -> None:
    answer = bv.radius(MAJORITY, CENTER)
    assert answer.value == 2
    assert answer.reason.startswith("nothing costs 1 or less, by bounds (")
    assert "; cost 2 found (" in answer.reason


def test_where_nothing_changes_the_class_the_reason_is_the_proof_alone() -> None:
    constant = bv.Network((bv.Block(np.array([[1, 1]]), np.array([-5])),), bv.Output(np.array([[1], [-1]])))
    answer = bv.radius(constant, [1, 1])
    assert (answer.value, answer.exhausted) == (None, True)
    assert answer.reason.startswith("nothing costs 2 or less, by bounds (")


@pytest.mark.parametrize(("compiling", "reason"), [(True, COMPILING), (False, CAME_FIRST)])
def test_a_limit_that_met_the_compiler_says_so(compiling: bool, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba import njit

    kernel = njit(lambda n: n + 1)
    if not compiling:
        kernel(1)

    def work(report: object) -> None:
        if compiling:
            monkeypatch.setattr("numba.core.compiler.compile_extra", lambda *_, **__: endless())
        kernel(1)
        endless()

    def endless() -> None:
        while True:
            pass

    outcome, found = run_watched(work, timeout=1.0, memory=None)
    assert (outcome.limit, found) == (Verdict.TIMEOUT, reason)
    assert limited.run_watched(lambda report: 5, timeout=None, memory=None)[0].result == 5
