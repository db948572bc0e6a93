"""The search for grid points that violate: what it finds is real, and it finds nearly all there is."""

import time
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from bnnverify.inference.reference import output_sums
from bnnverify.network import Block, ConvBlock, MaxPool, Network, Output, QuantizedInput
from bnnverify.presolve.lower import lower
from bnnverify.scores import score_keys
from bnnverify.vnnlib import attack
from bnnverify.vnnlib.attack import violations
from bnnverify.vnnlib.races import Goal, Race
from tests.formats_support import ternary


def soon(seconds=1.5):
    return time.monotonic() + seconds


def dense_network(rng, n_inputs=6, max_value=9):
    blocks = [
        Block(ternary(rng, 12, n_inputs, zeros=True), rng.integers(-10, 20, 12)),
        Block(ternary(rng, 9, 12, zeros=True), rng.integers(-3, 4, 9)),
    ]
    output = Output(ternary(rng, 4, 9, zeros=True), rng.choice([0, 0.5, 1], 4), rng.choice([0.5, 1.0, -2.0], 4))
    return Network(blocks, output, QuantizedInput((n_inputs,), max_value))


def conv_network(rng):
    conv = ConvBlock(ternary(rng, 4, 2, 2, zeros=False).reshape(4, 1, 2, 2), rng.integers(-6, 7, 4), (1, 1), (1, 1))
    blocks = [conv, MaxPool((2, 2)), Block(ternary(rng, 6, 16, zeros=True), rng.integers(-3, 4, 6))]
    return Network(blocks, Output(ternary(rng, 3, 6, zeros=False)), QuantizedInput((1, 3, 3), 7))


def box_around(rng, network, reach=1):
    centre = rng.integers(0, network.input.max_value + 1, network.n_inputs)
    return np.maximum(centre - reach, 0), np.minimum(centre + reach, network.input.max_value)


def images_of(low, high):
    return np.array(list(product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))))


def mixed_alternatives(rng, n_classes):
    """One to three conjunctions of one to three races, of several losers and either strictness."""
    pairs = [(a, b) for a in range(n_classes) for b in range(n_classes) if a != b]
    return [
        [Race(*pairs[i], bool(rng.integers(2))) for i in rng.integers(len(pairs), size=rng.integers(1, 4))]
        for _ in range(rng.integers(1, 4))
    ]


def are_met(output, sums, alternatives):
    """Whether each row of sums meets one of the conjunctions, in fractions."""
    parts = list(zip(map(Fraction, output.scale.tolist()), map(Fraction, output.bias.tolist()), strict=True))
    found = []
    for row in sums.tolist():
        scores = [a * s + b for (a, b), s in zip(parts, row, strict=True)]
        ways = (
            all(scores[w] > scores[o] or (scores[w] == scores[o] and not strict) for w, o, strict in races)
            for races in alternatives
        )
        found.append(any(ways))
    return np.array(found)


@pytest.fixture
def annealed(monkeypatch):
    """No box is small, and no corner is tried but the one from which annealing starts."""
    monkeypatch.setattr(attack, "SMALL_BOX", 0)
    monkeypatch.setattr(attack, "N_CORNERS", 1)


def test_leads_compare_scores_as_exact_fractions():
    rng = np.random.default_rng(0)
    for _ in range(40):
        output = Output(ternary(rng, 3, 5, zeros=True), rng.choice([0, 0.1, 0.5], 3), rng.choice([0.1, 0.2, 1.0], 3))
        alternatives = mixed_alternatives(rng, 3)
        sums = rng.integers(-5, 6, (60, 3))
        leads = Goal(output, alternatives).leads(sums)
        assert ((leads >= 0) == are_met(output, sums, alternatives)).all()


def test_a_conjunction_of_nothing_always_holds():
    goal = Goal(Output([[1], [-1]]), [[Race(0, 1, True)], []])
    assert (goal.leads(np.array([[-1, 1], [1, -1]])) >= 0).all()


@pytest.mark.parametrize("make", [dense_network, conv_network])
@pytest.mark.parametrize("lowered", [attack._lowered, lambda net, flips: lower(net, flips, score_keys(net.output))])
def test_rows_say_what_leads_say_and_presolve_keeps_every_class(make, lowered):
    rng = np.random.default_rng(1)
    for _ in range(15):
        network = make(rng)
        low, high = box_around(rng, network, reach=2)
        flips = attack._to_the_ends(rng.integers(low, high + 1), low, high)
        system = lowered(network, flips)
        assert system.classes.tolist() == list(range(network.n_classes))
        goal = Goal(network.output, mixed_alternatives(rng, network.n_classes))
        alternatives = goal.rows(system)
        for made in rng.random((30, system.n_flips)) < 0.5:
            neurons = system.values(made)[-1]
            holds = any((rows.values(neurons) >= 0).all() for rows in alternatives)
            pixels = flips.values(made)
            assert ((pixels >= low) & (pixels <= high)).all()
            assert holds == (goal.leads(output_sums(network, pixels[None]))[0] >= 0)


@pytest.mark.parametrize(("make", "n_worlds"), [(dense_network, 30), (conv_network, 10)])
def test_nine_in_ten_of_the_violations_that_exist_are_found(make, n_worlds, annealed):
    rng = np.random.default_rng(2)
    existing = found = 0
    for _ in range(n_worlds):
        network = make(rng)
        low, high = box_around(rng, network)
        alternatives = mixed_alternatives(rng, network.n_classes)
        goal = Goal(network.output, alternatives)
        exists = are_met(network.output, output_sums(network, images_of(low, high)), alternatives).any()
        pixels = next(violations(network, low, high, goal, rng, deadline_s=soon(0.1)), None)
        existing += int(exists)
        found += pixels is not None
        if pixels is not None:
            assert ((pixels >= low) & (pixels <= high)).all()
            assert are_met(network.output, output_sums(network, pixels[None]), alternatives).all()
    assert n_worlds / 3 < existing < n_worlds
    assert found >= 0.9 * existing, (found, existing)


def test_a_refused_violation_is_followed_by_others(annealed):
    rng = np.random.default_rng(3)
    network = dense_network(rng, n_inputs=12)
    goal = Goal(network.output, [[Race(0, 1, False)], [Race(1, 0, True)]])
    found = violations(network, np.zeros(12, np.int64), np.full(12, 9), goal, rng, deadline_s=soon(0.3))
    assert len({pixels.tobytes() for pixels in found}) > 3


def test_a_small_box_is_searched_whole_whatever_the_deadline():
    rng = np.random.default_rng(4)
    for _ in range(30):
        network = dense_network(rng, n_inputs=4, max_value=5)
        low, high = np.sort(rng.integers(0, 6, (2, 4)), axis=0)
        goal = Goal(network.output, [[Race(1, 0, True), Race(2, 3, False)]])
        images = images_of(low, high)
        expected = images[goal.leads(output_sums(network, images)) >= 0]
        listed = list(violations(network, low, high, goal, rng, deadline_s=0.0))
        assert sorted(map(tuple, listed)) == sorted(map(tuple, expected))


def test_an_empty_box_holds_nothing():
    rng = np.random.default_rng(5)
    network = dense_network(rng)
    goal = Goal(network.output, [[]])
    assert not list(violations(network, np.full(6, 3), np.full(6, 2), goal, rng, deadline_s=soon()))


def test_a_condition_without_races_is_met_by_any_corner():
    rng = np.random.default_rng(6)
    network = dense_network(rng)
    pixels = next(
        violations(network, np.zeros(6, np.int64), np.full(6, 7), Goal(network.output, [[]]), rng, deadline_s=soon())
    )
    assert set(pixels.tolist()) <= {0, 7}


def test_a_great_box_is_left_alone_once_time_is_up():
    rng = np.random.default_rng(7)
    network = dense_network(rng)
    goal = Goal(network.output, [[]])
    assert not list(violations(network, np.zeros(6, np.int64), np.full(6, 9), goal, rng, deadline_s=0.0))


def test_what_no_corner_shows_is_found_from_points_within(annealed):
    """Class 0 wins iff every pixel lies in the middle half of its range, where no end is."""
    n = 4
    signs = np.concatenate([np.eye(n), -np.eye(n)]).astype(np.int8)
    bounds = np.array([1000] * n + [-3000] * n)
    every = Block(np.ones((1, 2 * n), dtype=np.int8), [2 * n])
    network = Network([Block(signs, bounds), every], Output([[1], [-1]]), QuantizedInput((n,), 4000))
    goal, rng = Goal(network.output, [[Race(0, 1, True)]]), np.random.default_rng(8)
    ends = np.zeros(n, np.int64), np.full(n, 4000)
    found = (next(violations(network, *ends, goal, rng, deadline_s=soon(0.01)), None) for _ in range(200))
    pixels = next(pixels for pixels in found if pixels is not None)
    assert ((pixels >= 1000) & (pixels <= 3000)).all()


def test_wide_ranges_cost_no_more_flips_than_narrow_ones():
    low, high = np.zeros(5, np.int64), np.array([0, 1, 9, 255, 65535])
    assert attack._to_the_ends(low, low, high).inputs.tolist() == [1, 2, 3, 4]
    assert attack._to_the_ends((low + high) // 2, low, high).inputs.tolist() == [1, 2, 2, 3, 3, 4, 4]


def test_the_same_seed_finds_the_same_image(annealed):
    network = dense_network(np.random.default_rng(9), n_inputs=12)
    goal = Goal(network.output, [[Race(2, 0, True), Race(2, 1, False)], [Race(3, 0, False), Race(3, 2, True)]])
    ends = np.zeros(12, np.int64), np.full(12, 9)
    found = [next(violations(network, *ends, goal, np.random.default_rng(7), deadline_s=soon())) for _ in range(2)]
    assert (found[0] == found[1]).all()
