"""Composition block by block gives, per class, exactly the region's inputs of that class: forwards and backwards."""

from itertools import product

import numpy as np
import pytest

from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines.ordering import by_similarity, natural
from bnnverify.engines.relational import compile_relational, sifted_order
from bnnverify.engines.residual import restrict
from bnnverify.network import Block, Network, Output
from bnnverify.regions import BitRegion
from encoders.manager import available_backends
from tests.oracle import classes_of, members_of, random_network, random_region


def assert_compiled(network, region, order=None, *, levels=None, **options):
    """Each root holds exactly the members of the region that have its class."""
    residual = restrict(network, region, order)
    levels = natural(residual) if levels is None else levels
    diagram, work = compile_relational(residual, levels, **options)
    bits = every_input(region)
    x = (bits[:, region.free[residual.items[levels]]] > 0).astype(np.uint8)
    inside, classes = membership(region, bits), classes_of(network, bits, order)
    assert np.isin(classes[inside], residual.classes).all()
    for root, c in enumerate(residual.classes):
        assert np.array_equal(diagram.evaluate(x, root), inside & (classes == c))
    assert work >= 0
    return residual, diagram


def every_input(region):
    """All settings of the free bits, members or not, as +1/-1 bits."""
    return members_of(BitRegion(region.center, region.free, np.ones_like(region.costs), None))[2]


def membership(region, bits):
    flips = bits[:, region.free] != region.center[region.free]
    return np.ones(len(bits), dtype=bool) if region.budget is None else flips @ region.costs <= region.budget


@pytest.mark.parametrize(("backend", "n_networks"), [("cudd", 250), ("oxidd", 120), ("autoref", 25)])
@pytest.mark.parametrize("relations", [False, True])
def test_random_networks_on_random_regions(backend, n_networks, relations):
    if backend not in available_backends():
        pytest.skip(f"{backend} is not installed")
    rng = np.random.default_rng(relations)
    several = 0
    for _ in range(n_networks):
        network = random_network(rng, 6)
        region = random_region(rng, network)
        order = rng.permutation(network.n_classes) if rng.random() < 0.5 else None
        levels = rng.permutation(region.free.size)
        residual, _ = assert_compiled(
            network,
            region,
            order,
            levels=levels,
            backend=backend,
            relations=relations,
            cluster=int(rng.integers(0, 60)),
        )
        several += residual.classes.size > 1
    assert several > n_networks / 10


@pytest.mark.slow
@pytest.mark.parametrize("relations", [False, True])
def test_thousands_of_random_networks(relations):
    rng = np.random.default_rng(10 + relations)
    for _ in range(2000):
        network = random_network(rng, 9)
        region = random_region(rng, network)
        residual = restrict(network, region)
        assert_compiled(network, region, levels=rng.permutation(residual.items.size), relations=relations)


def test_every_network_of_two_inputs_and_two_neurons():
    region = BitRegion(np.array([1, -1], dtype=np.int8), np.arange(2), np.ones(2, dtype=np.int64), None)
    outputs = [Output(np.array(w), bias=np.array([0.5, 0])) for w in ([[1, -1], [-1, 1]], [[1, 1], [-1, -1]])]
    for weights in product((-1, 1), repeat=4):
        for thresholds in product((-1, 1, 2), repeat=2):
            block = Block(np.array(weights).reshape(2, 2), np.array(thresholds))
            for output, relations in product(outputs, (False, True)):
                assert_compiled(Network([block], output), region, relations=relations)


def test_equal_and_opposite_neurons_share_a_variable_and_change_no_answer():
    rng = np.random.default_rng(5)
    for budget in (None, 2):
        weights, thresholds = rng.choice([-1, 1], (3, 7)), np.array([0, 2, -1])
        opposite = Block(
            np.vstack([weights, weights, -weights]), np.concatenate([thresholds, thresholds, 1 - thresholds])
        )
        behind = Block(rng.choice([-1, 0, 1], (5, 9)), rng.integers(-2, 3, 5))
        network = Network([opposite, behind], Output(rng.choice([-1, 1], (3, 5)), bias=np.array([0, 0.5, 0.25])))
        region = BitRegion(rng.choice([-1, 1], 7).astype(np.int8), np.arange(7), np.ones(7, dtype=np.int64), budget)
        for relations in (False, True):
            assert_compiled(network, region, relations=relations)


def test_an_empty_region_is_in_no_class_and_a_point_in_one():
    rng = np.random.default_rng(6)
    for budget, relations in product((-1, 0), (False, True)):
        network = random_network(rng)
        n = network.n_inputs
        region = BitRegion(np.ones(n, dtype=np.int8), np.arange(n), np.ones(n, dtype=np.int64), budget)
        assert_compiled(network, region, relations=relations)


def test_all_backends_and_both_ways_give_the_same_diagram():
    rng = np.random.default_rng(7)
    network = Network(
        [
            Block(rng.choice([-1, 1], (8, 9)), rng.integers(-2, 3, 8)),
            Block(rng.choice([-1, 1], (6, 8)), np.zeros(6, int)),
        ],
        Output(rng.choice([-1, 1], (3, 6)), bias=np.array([0, 0.5, 0.25])),
    )
    region = BitRegion(np.ones(9, dtype=np.int8), np.arange(9), np.ones(9, dtype=np.int64), 5)
    residual = restrict(network, region)
    found = [
        compile_relational(residual, by_similarity(residual), backend=backend, relations=relations)[0]
        for backend, relations in product(available_backends(), (False, True))
    ]
    assert residual.classes.size > 1
    assert len({d.n_nodes for d in found}) == 1
    assert len({d.level.tobytes() for d in found}) == 1


def test_a_compilation_that_outgrows_its_limit_says_so():
    rng = np.random.default_rng(8)
    network = Network([Block(rng.choice([-1, 1], (40, 30)), np.zeros(40, int))], Output(rng.choice([-1, 1], (4, 40))))
    region = BitRegion(np.ones(30, dtype=np.int8), np.arange(30), np.ones(30, dtype=np.int64), None)
    residual = restrict(network, region)
    for backend in ("cudd", "autoref"):
        with pytest.raises(TooManyNodesError, match="more than 2,000 nodes"):
            compile_relational(residual, natural(residual), backend=backend, node_limit=2_000)


def test_sifting_finds_an_order_that_is_no_worse():
    rng = np.random.default_rng(9)
    network = Network([Block(rng.choice([-1, 0, 1], (7, 9)), np.zeros(7, int))], Output(rng.choice([-1, 1], (3, 7))))
    region = BitRegion(np.ones(9, dtype=np.int8), np.arange(9), np.ones(9, dtype=np.int64), None)
    residual = restrict(network, region)
    before = compile_relational(residual, natural(residual))[0].n_nodes
    order, n_nodes = sifted_order(residual, natural(residual))
    assert sorted(order.tolist()) == list(range(9))
    _, diagram = assert_compiled(network, region, levels=order)
    assert diagram.n_nodes == n_nodes < before
