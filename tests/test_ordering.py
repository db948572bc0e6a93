"""Orders are permutations of the items, and each has the property that names it."""

import numpy as np
import pytest

from bnnverify.engines.ordering import ORDERS, best_order, by_similarity, by_slack, natural
from bnnverify.engines.residual import restrict
from bnnverify.network import Block, Network, Output
from bnnverify.regions import BitRegion
from tests.oracle import random_network, random_region


def one_block(weights, thresholds, region):
    """A network of one block whose neurons all reach the classes, restricted."""
    n_neurons = len(weights)
    network = Network([Block(np.array(weights), np.array(thresholds))], Output(np.eye(n_neurons, dtype=int)))
    return restrict(network, region)


def all_free(n):
    return BitRegion(np.ones(n, dtype=np.int8), np.arange(n), np.ones(n, dtype=np.int64), None)


@pytest.mark.parametrize("order", [*ORDERS.values(), best_order])
def test_an_order_is_a_permutation_of_the_items(order):
    rng = np.random.default_rng(0)
    for _ in range(150):
        network = random_network(rng)
        residual = restrict(network, random_region(rng, network))
        levels = order(residual)
        assert levels.dtype == np.int64
        assert sorted(levels.tolist()) == list(range(residual.items.size))


def test_the_natural_order_is_that_of_the_input_bits():
    rng = np.random.default_rng(1)
    for _ in range(50):
        network = random_network(rng)
        residual = restrict(network, random_region(rng, network))
        assert residual.items[natural(residual)].tolist() == list(range(residual.items.size))


def test_by_similarity_brings_equal_and_opposite_columns_together():
    rng = np.random.default_rng(2)
    for _ in range(30):
        kinds = rng.permutation(np.repeat(np.arange(3), 4))
        columns = np.array([[1, 1, 1, 1, 1, 1], [1, -1, 1, -1, 1, -1], [1, 1, 1, -1, -1, -1]])[kinds]
        columns = columns * rng.choice([-1, 1], 12)[:, None]
        residual = one_block(columns.T, [0] * 6, all_free(12))
        found = kinds[residual.items[by_similarity(residual)]]
        assert np.count_nonzero(np.diff(found)) == 2


def test_by_slack_asks_last_for_what_pushes_a_neuron_over():
    weights = [[1, 1, 1, -1, -1, -1, -1, -1], [1, -1, 1, 1, 1, 1, 1, -1]]
    residual = one_block(weights, [-2, 0], all_free(8))
    needed = np.where(residual.slacks >= 0, residual.slacks + 1, -residual.slacks)
    sign = np.where(residual.slacks >= 0, -1, 1)
    worth = [sum(1 / n for c, s, n in zip(column, sign, needed, strict=True) if c == s) for column in residual.columns]
    assert np.ptp(worth) > 0
    assert np.diff([worth[item] for item in by_slack(residual)]).min() >= 0


def test_the_default_is_by_slack_in_a_ball_and_by_similarity_where_all_bits_are_free():
    rng = np.random.default_rng(4)
    weights, center = rng.choice([-1, 1], (9, 20)), rng.choice([-1, 1], 20).astype(np.int8)
    for budget, expected in ((2, by_slack), (None, by_similarity), (20, by_similarity)):
        region = BitRegion(center, np.arange(20), np.ones(20, dtype=np.int64), budget)
        residual = one_block(weights, [0] * 9, region)
        assert by_slack(residual).tolist() != by_similarity(residual).tolist()
        assert best_order(residual).tolist() == expected(residual).tolist()
