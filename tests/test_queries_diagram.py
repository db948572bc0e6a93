"""A compiled network answers as brute force does, in the network's own terms."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_features, bundled_images, bundled_instances, bundled_network
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.errors import ModelFormatError, UnsupportedError, UsageError
from bnnverify.network import ThresholdInput
from tests.agreement import any_region
from tests.oracle import classes_of, counted, members_of, random_network, random_pixel_network


def cases(n, pixels=False):
    """Random networks with a region each, its members' bits, distances and classes; no empty regions."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        network = (random_pixel_network if pixels else random_network)(rng)
        region = any_region(rng, network)
        _, distances, bits = members_of(region.on(network))
        if len(bits):
            yield rng, network, region, bits, distances, classes_of(network, bits)


@pytest.mark.parametrize("pixels", [False, True], ids=["bits", "pixels"])
def test_counts_profiles_and_classes(pixels):
    for _, network, region, bits, distances, labels in cases(150, pixels):
        diagram = bv.compile(network, region)
        assert diagram.count() == counted(labels)
        radius = region.on(network).radius
        assert diagram.profile() == tuple(counted(labels[distances == k]) for k in range(radius + 1))
        assert diagram.label == labels[np.argmin(distances)]
        if not pixels:
            assert all(diagram.class_of(row) == label for row, label in zip(bits[:5], labels[:5], strict=True))


@pytest.mark.parametrize("pixels", [False, True], ids=["bits", "pixels"])
def test_counterexamples_come_in_order_of_their_cost_and_are_all_there(pixels):
    for _, network, region, _, distances, labels in cases(150, pixels):
        diagram = bv.compile(network, region)
        found = list(islice(diagram.k_nearest(), 300))
        assert [w.distance for w in found] == sorted(distances[labels != diagram.label].tolist())[:300]
        assert all(w.replayed and len(w.flips) == w.distance for w in found)
        assert len({w.flips for w in found}) == len(found)


def test_pixel_norms_price_the_nearest_counterexample():
    for _, network, region, _, _, labels in cases(80, pixels=True):
        if not isinstance(region, bv.FreeBits) or len(set(labels.tolist())) < 2:
            continue
        diagram = bv.compile(network, region)
        start = network.input.read(region.center)
        costs = []
        for row in diagram.stream([c for c in diagram.classes if c != diagram.label]):
            costs.append((np.abs(row - start).sum(), ((row - start) ** 2).sum()))
        assert diagram.nearest(norm="l1").distance == min(c[0] for c in costs)
        assert diagram.nearest(norm="l2").distance == min(c[1] for c in costs)


@pytest.mark.parametrize("pixels", [False, True], ids=["bits", "pixels"])
def test_streamed_and_sampled_inputs_have_the_classes_asked_for(pixels):
    for rng, network, region, bits, _, labels in cases(60, pixels):
        diagram = bv.compile(network, region)
        wanted = int(labels[0])
        streamed = np.array(list(diagram.stream([wanted])))
        as_bits = network.input.to_bits(streamed)
        assert {tuple(r) for r in as_bits.tolist()} == {tuple(r) for r in bits[labels == wanted].tolist()}
        drawn = diagram.sample(5, rng, classes=[wanted])
        assert (classes_of(network, network.input.to_bits(drawn)) == wanted).all()


def test_probabilities_sum_to_that_of_the_region():
    for _, network, region, _, _, labels in cases(60):
        diagram = bv.compile(network, region)
        found = diagram.probability(Fraction(1, 2))
        assert found == {c: Fraction(int((labels == c).sum()), 1 << diagram.inputs.size) for c in diagram.classes}


def test_values_of_features_add_up_and_need_independent_bits():
    rng = np.random.default_rng(3)
    network = random_network(rng, 8)
    x = rng.choice([-1, 1], network.n_inputs)
    diagram = bv.compile(network, bv.FreeBits(x, range(network.n_inputs)))
    label = diagram.class_of(x)
    assert sum(diagram.shapley(x, exact=True)) == 1 - diagram.probability(Fraction(1, 2))[label]
    with pytest.raises(UnsupportedError, match="independent bits"):
        bv.compile(network, bv.HammingBall(x, 1)).shapley(x)


def test_backbones_trends_and_influence_of_a_known_function():
    network = bv.Network([bv.Block([[1, 1, 0]], [2])], bv.Output([[-1], [1]]))
    diagram = bv.compile(network)
    assert diagram.essential(1) == {0: 1, 1: 1}
    assert diagram.trends(1) == ["increasing", "increasing", "constant"]
    assert diagram.influence(1) == [Fraction(1, 2), Fraction(1, 2), 0]
    assert diagram.prime_implicants(1).size == 1


def test_a_set_of_diverse_counterexamples_is_far_apart():
    network = bundled_network()
    x = bundled_images().values[3]
    diagram = bv.compile(network, bv.FreeBits(x, range(196, 212)))
    inputs, outcome = diagram.diverse(3, 2)
    bits = network.input.to_bits(inputs)
    assert outcome == "found"
    assert min((bits[i] != bits[j]).sum() for i in range(3) for j in range(i)) >= 2


def test_an_instance_outside_the_region_is_refused():
    network = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    diagram = bv.compile(network, bv.FreeBits([1, 1, 1], [0]))
    with pytest.raises(UsageError, match="bit 2 differs"):
        diagram.class_of([1, 1, -1])


def test_a_node_limit_is_an_error_of_memory_for_compile_and_a_verdict_for_queries(monkeypatch):
    rng = np.random.default_rng(4)
    network = bv.Network(
        [bv.Block(rng.choice([-1, 1], (40, 40)), rng.integers(-2, 3, 40))], bv.Output([[1] * 40, [-1] * 40])
    )
    with pytest.raises(TooManyNodesError):
        bv.compile(network, node_limit=1000)
    answer = bv.compare(network, network, node_limit=1000)
    assert answer.verdict is bv.Verdict.MEMOUT
    assert answer.reason == "more than 1,000 nodes"
    monkeypatch.setattr("bnnverify.engines.compiling.NODE_LIMIT", 1000)
    assert bv.count(network, engine="bdd").verdict is bv.Verdict.MEMOUT


@pytest.mark.parametrize(
    ("name", "counts"), [("adult", {0: 10123865, 1: 2123335}), ("german", {0: 76569726, 1: 22430274})]
)
def test_all_valid_inputs_of_the_tabular_networks_are_counted(name, counts):
    network, features = bundled_network(name), bundled_features(name)
    diagram = bv.compile(network, theory=features.theory)
    assert diagram.count() == counts
    rows = network.input.to_bits(bundled_instances(name).values)
    assert [diagram.class_of(row) for row in rows] == bv.predict(network, rows).tolist()
    assert isinstance(network.input, bv.BitInput)
    assert not isinstance(network.input, ThresholdInput)


def test_a_saved_diagram_answers_as_the_one_it_was(tmp_path):
    for number, (_, network, region, _, _, _) in enumerate(cases(30)):
        diagram = bv.compile(network, region)
        bv.save_diagram(diagram, tmp_path / f"{number}.npz")
        again = bv.load_diagram(tmp_path / f"{number}.npz", network)
        assert again.count() == diagram.count()
        assert again.profile() == diagram.profile()
        assert [w.flips for w in again.k_nearest()] == [w.flips for w in diagram.k_nearest()]


def test_a_saved_theory_comes_back(tmp_path):
    network, features = bundled_network("adult"), bundled_features("adult")
    diagram = bv.compile(network, theory=features.theory)
    bv.save_diagram(diagram, tmp_path / "adult.npz")
    again = bv.load_diagram(tmp_path / "adult.npz", network)
    assert again.theory == diagram.theory
    assert not again.is_cube


def test_a_diagram_of_another_network_or_a_damaged_one_is_refused(tmp_path):
    network, other = (bv.Network([bv.Block([[1, 1, 1]], [t])], bv.Output([[1], [-1]])) for t in (0, 2))
    path = tmp_path / "d.npz"
    bv.save_diagram(bv.compile(network), path)
    with pytest.raises(UsageError, match="fingerprints differ"):
        bv.load_diagram(path, other)
    with np.load(path) as arrays:
        stored = dict(arrays)
    for changed in (
        {"compiled": np.array(b"{}")},
        {"compiled": np.array(b"\xff")},
        {"inputs": np.array([0, 1, 9])},
        {"center": np.array([1.0, 1.0, 1.0])},
        {"level": stored["level"][::-1]},
    ):
        np.savez(path, **(stored | changed))
        with pytest.raises(ModelFormatError, match=r"d\.npz: "):
            bv.load_diagram(path, network)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelFormatError, match=r"d\.npz: "):
        bv.load_diagram(path, network)


def test_a_diagram_as_a_graph_names_inputs_and_classes():
    diagram = bv.compile(bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]])))
    assert diagram.to_networkx().number_of_nodes() == diagram.n_nodes
    assert 'label="class 1"' in diagram.to_dot()


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda d: d.nearest(norm="linf"), UsageError, "it does not add up"),
        (lambda d: d.nearest(norm="hamming", costs=[1, 1, 1]), UsageError, "one of them at most"),
        (lambda d: d.nearest(costs=[1, 1]), UsageError, "expected 3, one an input"),
        (lambda d: d.nearest(costs=[1, -1, 1]), UsageError, "non-negative"),
        (lambda d: d.probability([0.5]), UsageError, "expected one, or 3"),
        (lambda d: d.sample(1, np.random.default_rng(0), classes=[7]), UsageError, "no input"),
    ],
)
def test_questions_that_make_no_sense_are_refused(ask, error, message):
    diagram = bv.compile(bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]])))
    with pytest.raises(error, match=message):
        ask(diagram)


def test_chances_of_bits_need_independent_bits():
    network = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    diagram = bv.compile(network, bv.HammingBall([1, 1, 1], 1))
    with pytest.raises(UnsupportedError, match="independent bits"):
        diagram.shapley(p=0.3)
