"""Every engine against brute force, on thousands of small networks, and on the corners by name.

A seed makes a network, a region and a question, and names the failure if there is one.
"""

from itertools import pairwise

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.engines import flipsums, pushforward
from bnnverify.network import BitInput, Block, Network, Output
from tests.agreement import ENGINES, MOST_FREE, Case, any_region, check_everything, cost_ball, over_seeds
from tests.oracle import class_of, classes_of, counted, members_of, random_network, random_pixel_network, random_region

BATCH = 250


def batches(first, how_many, at_once):
    """The first seed of every batch; those past the first few are left to the slow run."""
    starts = range(first, first + how_many * BATCH, BATCH)
    return [pytest.param(s, marks=[] if i < at_once else [pytest.mark.slow]) for i, s in enumerate(starts)]


def test_the_whole_array_oracle_equals_the_nested_loops():
    def check(rng):
        network = random_network(rng)
        _, _, bits = members_of(random_region(rng, network))
        order = rng.permutation(network.n_classes).tolist()
        assert classes_of(network, bits, order).tolist() == [class_of(network, row, order) for row in bits]

    over_seeds(check, 0, BATCH)


@pytest.mark.parametrize("first", batches(0, 20, 2))
def test_all_engines_equal_brute_force_on_networks_of_bits(first):
    def check(rng):
        network = random_network(rng)
        check_everything(rng, network, any_region(rng, network))

    over_seeds(check, first, BATCH)


@pytest.mark.parametrize("first", batches(10_000, 4, 1))
def test_all_engines_equal_brute_force_on_networks_that_binarize_pixels(first):
    def check(rng):
        network = random_pixel_network(rng)
        check_everything(rng, network, any_region(rng, network))

    over_seeds(check, first, BATCH)


@pytest.mark.parametrize("primes", [False, True], ids=["plainly", "modulo primes"])
@pytest.mark.parametrize("road", [True, False], ids=["polynomials", "halves"])
@pytest.mark.parametrize("first", [20_000, pytest.param(20_125, marks=pytest.mark.slow)])
def test_every_road_of_pushforward_equals_brute_force(first, road, primes, monkeypatch):
    monkeypatch.setattr(pushforward._Problem, "by_polynomials", road)
    if primes:
        monkeypatch.setattr(pushforward, "PLAIN_BITS", 0)
        monkeypatch.setattr(flipsums, "fits_plain", lambda n_items, radius: False)

    def check(rng):
        network = random_network(rng)
        case = Case(network, cost_ball(random_region(rng, network, unit_costs=True)))
        case.check_counts(bv.Ties.LOWEST)
        case.check_verdict(bv.Ties.VIOLATE, None)

    over_seeds(check, first, BATCH // 2)


def wide_network(rng, n_first):
    """Many first-block neurons on few inputs, then up to two blocks that may be wide as well."""
    sizes = [MOST_FREE, n_first, *rng.choice([3, 70, 140], rng.integers(0, 3)).tolist()]
    blocks = [
        Block(rng.choice([-1, 1], (b, a)), rng.integers(-3, 4, b) - (a - MOST_FREE) // 16) for a, b in pairwise(sizes)
    ]
    return Network(blocks, Output(rng.choice([-1, 1], (4, sizes[-1])), bias=rng.choice([0, 0.5], 4)))


@pytest.mark.parametrize("n_first", [63, 64, 65, 100, 128, 129, 200, 300])
def test_all_engines_equal_brute_force_where_patterns_take_several_words(n_first):
    def check(rng):
        network = wide_network(rng, n_first)
        check_everything(rng, network, any_region(rng, network))

    over_seeds(check, 40_000 + n_first, n=20)


@pytest.mark.parametrize("greatest", [4, 255, 65_025])
def test_cost_limits_equal_brute_force_however_large_the_costs(greatest):
    def check(rng):
        network = random_network(rng)
        costs = rng.integers(0, greatest + 1, network.n_inputs)
        region = bv.CostBall(rng.choice([-1, 1], network.n_inputs), costs, int(rng.integers(0, costs.sum() + 2)))
        check_everything(rng, network, region)

    over_seeds(check, 44_000, 15)


def pulled_network(rng, center, widths):
    """A network whose sums at the centre are close to the thresholds, so that many neurons move near it."""
    bits, blocks = center, []
    for width in widths:
        weights = rng.choice([-1, 0, 1], (width, bits.size), p=[0.4, 0.2, 0.4])
        thresholds = weights @ bits + rng.integers(-3, 5, width)
        blocks.append(Block(weights, thresholds))
        bits = np.where(weights @ bits >= thresholds, 1, -1)
    return Network(blocks, Output(rng.choice([-1, 1], (4, bits.size)), bias=rng.choice([0, 0.5], 4)))


@pytest.mark.parametrize("widths", [(5,), (20,), (70,), (140,), (8, 8), (66, 9), (12, 130, 8), (6, 6, 6, 6)])
def test_balls_among_many_bits_equal_brute_force(widths):
    def check(rng):
        center = rng.choice([-1, 1], int(rng.integers(24, 60)))
        network = pulled_network(rng, center, widths)
        check_everything(rng, network, bv.HammingBall(center, int(rng.integers(1, 4))))

    over_seeds(check, 45_000 + sum(widths), n=5)


def simple_network(*, n=4, thresholds=(0, 1, -1), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.choice([-1, 1], (len(thresholds), n))
    return Network([Block(weights, thresholds)], Output(rng.choice([-1, 1], (classes, len(thresholds)))))


EDGES = {
    "no blocks": (Network([], Output([[1, -1, 1], [-1, 1, 1], [0, 0, 1]])), bv.HammingBall([1, 1, -1], 2)),
    "no blocks, one input": (Network([], Output([[1], [-1]])), bv.HammingBall([1], 1)),
    "one class": (simple_network(classes=1), bv.HammingBall([1, 1, 1, 1], 2)),
    "zero radius": (simple_network(), bv.HammingBall([1, 1, 1, 1], 0)),
    "no free bits": (simple_network(), bv.FreeBits([1, -1, 1, 1], [])),
    "radius beyond the inputs": (simple_network(), bv.HammingBall([1, 1, 1, 1], 1000)),
    "all neurons constant": (simple_network(thresholds=(5, -4, 99)), bv.HammingBall([1, 1, 1, 1], 4)),
    "thresholds out of reach": (simple_network(thresholds=(1 << 62, -(1 << 62), 0)), bv.HammingBall([1, 1, 1, 1], 3)),
    "thresholds at the ends of int64": (
        simple_network(thresholds=(np.iinfo(np.int64).max, np.iinfo(np.int64).min, 0)),
        bv.HammingBall([1, 1, 1, 1], 3),
    ),
    "zero weights": (
        Network([Block([[0, 0, 0], [0, 1, 0]], [0, 0])], Output([[1, 1], [-1, 0], [0, 0]])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "all scores tie": (Network([Block([[1, 1]], [0])], Output([[0], [0], [0]])), bv.FreeBits([1, 1], [0, 1])),
    "scale zero": (
        Network([Block([[1, 1, 1]], [0])], Output([[1], [-1], [1]], bias=[0, 0.5, 0.5], scale=[1, 0, 0])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "negative scale": (
        Network([Block([[1, 1, 1]], [0])], Output([[1], [1]], scale=[-0.3, -0.3])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "keys past 62 bits": (
        Network([Block(np.eye(3, dtype=int), [0, 0, 0])], Output([[1, 1, 0], [-1, 0, 1]], [1e29, 0], [1e30, 3e29])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "a bias that no sum can reach": (
        Network([Block(np.eye(3, dtype=int), [0, 0, 0])], Output([[1, 1, 0], [-1, 0, 1]], bias=[1e15, 1e9])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "biases a hair apart": (
        Network([Block(np.eye(3, dtype=int), [0, 0, 0])], Output([[1, 1, 0], [1, 1, 0]], bias=[0, 5e-324])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "contradicting centres": (simple_network(), bv.FreeBits([1, 1, 1, 1], [0]) & bv.FreeBits([1, 1, 1, -1], [0])),
    "budget below zero": (simple_network(), bv.CostBall(np.ones(4, dtype=int), np.ones(4, dtype=int), -1)),
    "costs beyond the budget": (simple_network(), bv.CostBall(np.ones(4, dtype=int), np.full(4, 9), 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_equal_brute_force(name):
    network, region = EDGES[name]
    check_everything(np.random.default_rng(0), network, region)


def test_the_empty_region_holds_and_counts_nothing():
    network, region = EDGES["contradicting centres"]
    assert bv.count(network, region).counts == {}
    assert bv.robustness(network, region).verdict is bv.Verdict.HOLDS


def test_convolutions_give_what_their_definition_says_on_a_whole_space():
    rng = np.random.default_rng(5)
    network = random_network(rng)
    while network.input.shape != (1, 3, 4):
        network = random_network(rng)
    labels = classes_of(network, members_of(bv.HammingBall(np.ones(12, dtype=int), 12).on(network))[2])
    for engine in ENGINES:
        assert bv.count(network, engine=engine).counts == counted(labels)


def test_an_image_is_asked_about_in_its_own_shape():
    rng = np.random.default_rng(6)
    network = random_network(rng)
    while len(network.input.shape) != 3:
        network = random_network(rng)
    image = rng.choice([-1, 1], network.input.shape)
    flat = bv.count(network, bv.HammingBall(image.reshape(-1), 2)).counts
    assert bv.count(network, bv.HammingBall(image, 2)).counts == flat
    assert isinstance(network.input, BitInput)
