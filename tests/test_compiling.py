"""Every road from a network to its diagram gives the classes of brute force, bit for bit."""

import numpy as np
import pytest

from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines.compiling import compile_residual
from bnnverify.engines.layered import compile_layered
from bnnverify.engines.ordering import ORDERS
from bnnverify.engines.residual import restrict
from bnnverify.engines.truthtable import compile_table
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import Block, Network, Output
from bnnverify.regions import BitRegion, whole_space
from bnnverify.scores import tie_order
from bnnverify.theories import OneHot, Theory, Thermometer, clause
from tests.diagrams import assignments
from tests.oracle import classes_of, random_network, random_region

ROADS = {"layered": compile_layered, "table": compile_table}


def labels_of(network, region, order):
    """Bits of every setting of the free bits as 0s and 1s, its class, and whether it is in the region."""
    m = region.free.size
    settings = np.array(assignments(m)).reshape(1 << m, m)
    bits = np.tile(region.center.astype(int), (1 << m, 1))
    bits[:, region.free] = 2 * settings - 1
    costs = (bits != region.center)[:, region.free] @ region.costs
    inside = np.ones(1 << m, dtype=bool) if region.budget is None else costs <= region.budget
    return settings, classes_of(network, bits, order), inside


def assert_compiled(network, region, order, levels, residual, diagram):
    settings, labels, inside = labels_of(network, region, order)
    by_level = settings[:, residual.items[levels]]
    for root, label in enumerate(residual.classes):
        assert np.array_equal(diagram.evaluate(by_level, root), (labels == label) & inside)
    assert np.isin(labels[inside], residual.classes).all()


@pytest.mark.parametrize("first", [0, pytest.param(700, marks=pytest.mark.slow)])
@pytest.mark.parametrize("road", ROADS)
def test_random_networks_and_regions_in_random_orders(road, first):
    for seed in range(first, first + 700):
        rng = np.random.default_rng(seed)
        network = random_network(rng)
        region = random_region(rng, network)
        order = tie_order(network.n_classes, last=int(rng.integers(network.n_classes)))
        residual = restrict(network, region, order)
        levels = rng.permutation(residual.items.size)
        diagram, _ = ROADS[road](residual, levels)
        assert_compiled(network, region, order, levels, residual, diagram)


def test_all_roads_reduce_to_the_same_diagram():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        network = random_network(rng, 12)
        residual = restrict(network, random_region(rng, network))
        levels = rng.permutation(residual.items.size)
        sizes = {compile_by(residual, levels)[0].n_nodes for compile_by in ROADS.values()}
        assert len(sizes) == 1


@pytest.mark.parametrize("n_neurons", [60, 130])
def test_patterns_of_several_words(n_neurons):
    rng = np.random.default_rng(n_neurons)
    block = Block(rng.choice([-1, 1], (n_neurons, 9)), rng.integers(-3, 4, n_neurons))
    network = Network((block,), Output(rng.choice([-1, 1], (4, n_neurons))))
    region = whole_space(network).on(network)
    residual = restrict(network, region)
    for compile_by in ROADS.values():
        levels = rng.permutation(9)
        diagram, _ = compile_by(residual, levels)
        assert_compiled(network, region, None, levels, residual, diagram)


def test_slacks_past_eight_bits():
    rng = np.random.default_rng(3)
    n = 300
    network = Network((Block(rng.choice([-1, 1], (2, n)), [3, -5]),), Output([[1, 1], [-1, -1]]))
    residual = restrict(network, BitRegion(rng.choice([-1, 1], n), np.arange(n), np.ones(n, dtype=int), None))
    natural, chained = (compile_residual(residual, order=order).diagram for order in ("natural", "similarity"))
    bits = rng.integers(0, 2, (200, n))
    labels = classes_of(network, 2 * bits - 1)
    for diagram, order in ((natural, "natural"), (chained, "similarity")):
        by_level = bits[:, residual.items[ORDERS[order](residual)]]
        assert np.array_equal(diagram.evaluate(by_level, 0), labels == 0)


def test_limits_and_unknown_names_are_told():
    rng = np.random.default_rng(4)
    network = Network((Block(rng.choice([-1, 1], (40, 40)), rng.integers(-2, 3, 40)),), Output([[1] * 40, [-1] * 40]))
    residual = restrict(network, whole_space(network).on(network))
    with pytest.raises(TooManyNodesError, match="more than 1,000 nodes"):
        compile_residual(residual, node_limit=1000)
    with pytest.raises(UnsupportedError, match="at most 30"):
        compile_residual(residual, road="table")
    with pytest.raises(UsageError, match="expected auto, table"):
        compile_residual(residual, road="scenic")
    with pytest.raises(UsageError, match="expected natural"):
        compile_residual(residual, order="alphabetical")


def random_theory(rng, n_inputs):
    """One-hot groups, thermometers and clauses over some of the inputs."""
    bits = rng.permutation(n_inputs).tolist()
    theory = Theory(())
    while len(bits) >= 2 and rng.random() < 0.8:
        size = int(rng.integers(2, min(4, len(bits)) + 1))
        group, bits = tuple(bits[:size]), bits[size:]
        kind = rng.integers(3)
        part = OneHot(group) if kind == 0 else Thermometer(group) if kind == 1 else clause([-(b + 1) for b in group])
        theory = theory & part
    return theory


def test_a_theory_cuts_what_is_invalid_on_every_road():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        network = random_network(rng)
        region = random_region(rng, network)
        theory = random_theory(rng, network.n_inputs)
        residual = restrict(network, region)
        settings, labels, inside = labels_of(network, region, None)
        bits = np.tile(region.center.astype(int), (len(settings), 1))
        bits[:, region.free] = 2 * settings - 1
        valid = theory.holds(bits)
        for road in ("auto", "table", "layered", "relational"):
            compiled = compile_residual(residual, theory=theory, road=road)
            by_level = settings[:, residual.items[compiled.levels]]
            for root, label in enumerate(residual.classes):
                expected = (labels == label) & inside & valid
                assert np.array_equal(compiled.diagram.evaluate(by_level, root), expected)
