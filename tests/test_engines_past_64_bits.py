"""Exact counts where there are more inputs than 64 bits can number, against formulas and dynamic programming."""

from collections import Counter
from math import comb

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.network import Block, Network, Output
from tests.agreement import ENGINES
from tests.oracle import class_of


def distribution_of_sums(weights):
    """{sums of all rows: number of +1/-1 inputs that give them}, adding one input after the other."""
    found = {(0,) * len(weights): 1}
    for column in np.asarray(weights).T.tolist():
        grown = Counter()
        for sums, n in found.items():
            for sign in (1, -1):
                grown[tuple(s + sign * w for s, w in zip(sums, column, strict=True))] += n
        found = grown
    return found


def counts_over_the_whole_space(network):
    """Counts per class of a one-block network, exactly, however many inputs it has."""
    block = network.blocks[0]
    hidden = Counter()
    for sums, n in distribution_of_sums(block.weights).items():
        hidden[tuple(1 if s >= t else -1 for s, t in zip(sums, block.thresholds.tolist(), strict=True))] += n
    counts = Counter()
    last = Network([], network.output)
    for pattern, n in hidden.items():
        counts[class_of(last, pattern)] += n
    return dict(counts)


def sparse_network(n, fan_in, n_neurons, rng):
    """One block in which each neuron reads ``fan_in`` of n inputs; three classes."""
    weights = np.zeros((n_neurons, n), dtype=np.int64)
    for row in weights:
        row[rng.choice(n, fan_in, replace=False)] = rng.choice([-1, 1], fan_in)
    return Network([Block(weights, rng.integers(-2, 3, n_neurons))], Output(rng.choice([-1, 1], (3, n_neurons))))


@pytest.mark.parametrize(
    ("n", "fan_in", "n_neurons"), [(80, 80, 1), (80, 80, 2), (80, 24, 3), (100, 14, 3), (200, 200, 1)]
)
def test_whole_spaces_past_64_bits_are_counted_exactly(n, fan_in, n_neurons):
    network = sparse_network(n, fan_in, n_neurons, np.random.default_rng(n + n_neurons))
    expected = counts_over_the_whole_space(network)
    answer = bv.count(network, engine="pushforward")
    assert answer.counts == expected
    assert sum(answer.counts.values()) == 2**n
    assert max(answer.counts.values()) > 2**64


@pytest.mark.parametrize("n", [90, 127, 128, 200, 300])
def test_a_profile_past_64_bits_is_exact_at_every_distance(n):
    network = Network([Block(np.ones((1, n), dtype=int), [0])], Output([[1], [-1]]))
    rows = bv.profile(network, bv.HammingBall(np.ones(n, dtype=int), n), engine="pushforward").profile
    assert rows == tuple({0 if n - 2 * k >= 0 else 1: comb(n, k)} for k in range(n + 1))


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_a_ball_that_bounds_close_is_counted_by_a_formula(engine):
    rng = np.random.default_rng(0)
    n, radius = 784, 12
    center = rng.choice([-1, 1], n)
    far = np.where(rng.random((50, n)) < 0.9, center, -center)
    network = Network([Block(far, np.zeros(50, dtype=int))], Output(rng.choice([-1, 1], (10, 50))))
    counts = bv.count(network, bv.HammingBall(center, radius), engine=engine).counts
    assert counts == {class_of(network, center): sum(comb(n, k) for k in range(radius + 1))}
    assert sum(counts.values()) > 2**64


@pytest.mark.parametrize("engine", ["auto", "pushforward"])
def test_a_ball_past_64_bits_with_few_moving_neurons_is_counted_exactly(engine):
    n, radius = 784, 12
    center = np.ones(n, dtype=int)
    weights = np.ones((1, n), dtype=int)
    network = Network([Block(weights, [n - 2 * 7])], Output([[1], [-1]]))
    sizes = [comb(n, k) for k in range(radius + 1)]
    counts = bv.count(network, bv.HammingBall(center, radius), engine=engine).counts
    assert counts == {0: sum(sizes[:8]), 1: sum(sizes[8:])}
    assert sum(counts.values()) > 2**64
