"""Fairness of whole networks agrees with executing every valid input, and with samples of real people's features."""

import json
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_features, bundled_instances, bundled_network
from bnnverify.diagram.fairness import movable
from bnnverify.errors import UsageError
from bnnverify.inference import predict
from bnnverify.network import ThresholdInput
from bnnverify.queries.fairness import fairness
from bnnverify.regions import whole_space
from bnnverify.theories import Encoding, Feature, FeatureGroups, Theory, implies
from bnnverify.verdict import Verdict
from tests.oracle import class_of, classes_of, members_of, random_network, random_pixel_network


def random_features(rng, n):
    """Consecutive bits as features of all encodings, some protected, sometimes with a rule."""
    bits, features = rng.permutation(n).tolist(), []
    while bits:
        k = min(int(rng.integers(1, 4)), len(bits))
        mine, bits = tuple(bits[:k]), bits[k:]
        encoding = rng.choice(list(Encoding))
        n_values = {Encoding.ONE_HOT: k, Encoding.THERMOMETER: k + 1, Encoding.FREE: 0}[encoding]
        features.append(Feature(f"f{len(features)}", mine, encoding, tuple(f"v{i}" for i in range(n_values))))
    rules = Theory((implies([0], ~(n - 1)),)) if n > 1 and rng.random() < 0.5 else Theory()
    protected = [f.name for f in features if rng.random() < 0.5] or [features[0].name]
    return FeatureGroups(n, tuple(features), rules, tuple(protected))


def random_around(rng, network):
    """A region around a random instance, or none."""
    if rng.random() < 0.3:
        return None
    layer, n = network.input, network.n_inputs
    pixels = isinstance(layer, ThresholdInput)
    center = rng.integers(0, layer.max_value + 1, n) if pixels else rng.choice([-1, 1], n)
    if rng.random() < 0.5:
        return bv.HammingBall(center, int(rng.integers(1, n + 1)))
    return bv.FreeBits(center, np.flatnonzero(rng.random(n) < 0.8).tolist())


def value_of(feature, bits):
    """The feature's value, by comparison with the bits of every value; None if it is none of them."""
    mine = [bits[i] for i in feature.indices]
    values = feature.values or list(map("".join, product("+-", repeat=len(mine))))
    return next((v for v in values if list(feature.encode(v)) == mine), None)


def valid(features, bits):
    return all(value_of(f, bits) is not None for f in features.features) and bool(features.rules.holds(np.array(bits)))


def by_hand(network, members, features, protected):
    """{valid bits: class}, and {bits: {class: fewest protected bits to flip to it}} of those that can change."""
    rows = [tuple(bits.tolist()) for bits in members_of(members)[2]]
    rows = [bits for bits in rows if valid(features, bits)]
    label = dict(zip(rows, classes_of(network, np.array(rows)).tolist(), strict=True)) if rows else {}
    hidden = set(features.bits_of(protected))
    alike = {}
    for bits in label:
        alike.setdefault(tuple(b for i, b in enumerate(bits) if i not in hidden), []).append(bits)
    changes = {}
    for group in alike.values():
        for a, b in product(group, repeat=2):
            if label[a] != label[b]:
                flips = sum(p != q for p, q in zip(a, b, strict=True))
                found = changes.setdefault(a, {})
                found[label[b]] = min(flips, found.get(label[b], flips))
    return label, changes


def check(network, region, features, favourable):
    answer = fairness(network, region, features=features, favourable=favourable)
    members = (whole_space(network) if region is None else region).on(network)
    label, changes = by_hand(network, members, features, features.protected)
    assert answer.counts == {c: list(label.values()).count(c) for c in set(label.values())}
    for group in answer.groups:
        inside = [c for bits, c in label.items() if value_of(features.feature(group.feature), bits) == group.value]
        assert (group.inputs, group.favourable) == (len(inside), inside.count(favourable))
    pairs = [(label[bits], other) for bits, others in changes.items() for other in others]
    assert answer.pairs == {pair: pairs.count(pair) for pair in set(pairs)}
    assert sum(answer.changeable.values()) == answer.unfair == len(changes)
    assert answer.verdict is (Verdict.VIOLATED if changes else Verdict.HOLDS)
    json.dumps(answer.to_dict())
    if changes:
        check_witness(network, features, members, answer, changes)
    return bool(changes)


def check_witness(network, features, members, answer, changes):
    bits, other = (network.input.to_bits(w.input).reshape(-1) for w in (answer.witness, answer.twin))
    assert class_of(network, bits) == answer.witness.label != answer.twin.label == class_of(network, other)
    assert set(answer.twin.flips) == set(np.flatnonzero(bits != other)) <= set(features.bits_of(features.protected))
    assert valid(features, other.tolist())
    assert members.contains(other)
    assert answer.twin.distance == min(changes[tuple(bits.tolist())].values())
    assert answer.witness.distance == min(sum(np.array(row) != members.center) for row in changes)


@pytest.mark.parametrize("make", [random_network, random_pixel_network])
def test_random_networks_regions_and_features_exhaustively(make):
    unfair = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        network = make(rng, 8)
        features, region = random_features(rng, network.n_inputs), random_around(rng, network)
        free = (whole_space(network) if region is None else region).on(network).free
        if np.isin(features.bits_of(features.protected), free).any():
            unfair += check(network, region, features, int(rng.integers(network.n_classes)))
    assert unfair > 20


@pytest.mark.parametrize(("name", "freed"), [("adult", ("education", "hours-per-week")), ("german", ("savings",))])
def test_bundled_networks_on_some_features_of_real_instances_exhaustively(name, freed):
    network, features = bundled_network(name), bundled_features(name)
    bits = features.bits_of([*features.protected, *freed])
    free = [features.feature(n) for n in (*features.protected, *freed)]
    for x in bundled_instances(name).values[:4]:
        start = network.input.to_bits(x)
        rows = {}
        for values in product(*(f.values for f in free)):
            row = start.copy()
            for feature, value in zip(free, values, strict=True):
                row[list(feature.indices)] = feature.encode(value)
            rows[values] = row
        labels = dict(zip(rows, predict(network, np.array(list(rows.values()))).tolist(), strict=True))
        answer = fairness(network, bv.FreeBits(x, bits), features=features, favourable=1)
        for place, feature in enumerate(free[: len(features.protected)]):
            for group in (g for g in answer.groups if g.feature == feature.name):
                inside = [c for values, c in labels.items() if values[place] == group.value]
                assert group.rate == Fraction(sum(inside), len(inside))
        by_rest = {}
        for values, label in labels.items():
            by_rest.setdefault(values[len(features.protected) :], []).append(label)
        assert answer.unfair == sum(len(found) for found in by_rest.values() if len(set(found)) > 1)


def test_samples_of_the_whole_adult_space_change_just_where_the_diagram_says():
    network, features = bundled_network("adult"), bundled_features("adult")
    diagram = bv.compile(network, theory=features.theory)
    protected = [features.feature(name) for name in features.protected]
    moved = movable(diagram.flat, diagram.level_groups([features.bits_of(features.protected)])[0])
    people = diagram.sample(200, np.random.default_rng(0), classes=[0, 1])
    variants = np.repeat(people[:, None], 6 * 5 * 2, axis=1)
    for k, values in enumerate(product(*(f.values for f in protected))):
        for feature, value in zip(protected, values, strict=True):
            variants[:, k, list(feature.indices)] = feature.encode(value)
    labels = predict(network, variants.reshape(-1, network.n_inputs)).reshape(200, -1)
    rows = (people[:, diagram.inputs] > 0).astype(np.uint8)
    said = moved.inputs.evaluate(rows, 0) | moved.inputs.evaluate(rows, 1)
    assert np.array_equal(said, labels.min(axis=1) != labels.max(axis=1))
    assert 20 < said.sum() < 180


@pytest.mark.slow
def test_the_whole_adult_space_by_execution():
    network, features = bundled_network("adult"), bundled_features("adult")
    ordered = sorted(features.features, key=lambda f: f.name in features.protected)
    codes = [np.array([f.encode(v) for v in f.values]) for f in ordered]
    shape = [len(code) for code in codes]
    labels = np.empty(np.prod(shape), dtype=np.int64)
    for first in range(0, labels.size, 1 << 18):
        places = np.unravel_index(np.arange(first, min(first + (1 << 18), labels.size)), shape)
        bits = np.empty((places[0].size, network.n_inputs), dtype=np.int8)
        for feature, code, place in zip(ordered, codes, places, strict=True):
            bits[:, list(feature.indices)] = code[place]
        labels[first : first + (1 << 18)] = predict(network, bits)
    answer = fairness(network, features=features, favourable=1)
    assert answer.counts == {0: int((labels == 0).sum()), 1: int((labels == 1).sum())}
    by_rest = labels.reshape(-1, 6 * 5 * 2)
    assert answer.unfair == int((by_rest.min(axis=1) != by_rest.max(axis=1)).sum()) * 60
    for axis, feature in list(enumerate(ordered))[-3:]:
        rates = labels.reshape(shape).swapaxes(0, axis).reshape(shape[axis], -1).mean(axis=1)
        found = [float(group.rate) for group in answer.groups if group.feature == feature.name]
        assert np.allclose(found, rates)


def majority():
    return bv.Network([bv.Block([[1, 1, 1]], [1])], bv.Output([[-1], [1]]))


def test_a_network_that_ignores_what_is_protected_is_fair():
    network = bv.Network([bv.Block([[0, 1, 1]], [2])], bv.Output([[-1], [1]]))
    answer = fairness(network, features=FeatureGroups(3), protected=["bit 0"], favourable=1)
    assert answer.verdict is Verdict.HOLDS
    assert (answer.unfair, answer.witness, answer.twin) == (0, None, None)
    assert answer.disparity("bit 0") == (0, 1)


def test_a_theory_of_ones_own_replaces_that_of_the_features():
    features = FeatureGroups(3, (Feature("colour", (0, 1), Encoding.ONE_HOT, ("red", "blue")),))
    assert sum(fairness(majority(), features=features, protected=["colour"], favourable=1).counts.values()) == 4
    free = fairness(majority(), features=features, protected=["colour"], favourable=1, theory=Theory())
    assert sum(free.counts.values()) == 8
    assert [group.inputs for group in free.groups] == [2, 2]


def test_an_empty_group_has_no_rate():
    features = FeatureGroups(3, (Feature("colour", (0, 1), Encoding.ONE_HOT, ("red", "blue")),))
    answer = fairness(
        majority(), bv.FreeBits([1, -1, 1], [1, 2]), features=features, protected=["colour"], favourable=1
    )
    assert [(group.inputs, group.rate) for group in answer.groups] == [(2, Fraction(1, 2)), (0, None)]
    assert answer.disparity("colour") == (0, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": FeatureGroups(4)}, "features of 4 inputs: expected 3"),
        ({"favourable": 2}, r"favourable class 2: expected 0\.\.1"),
        ({"protected": ["age"]}, "no feature 'age'"),
        ({"protected": []}, "at least one"),
        ({"protected": None}, "at least one"),
        ({"protected": ["bit 1", "bit 1"]}, "different names"),
        ({"region": bv.FreeBits([1, 1, 1], [1])}, "the region fixes all their bits"),
    ],
)
def test_questions_that_make_no_sense_are_refused(options, message):
    sensible = {"features": FeatureGroups(3), "protected": ["bit 0"], "favourable": 1}
    with pytest.raises(UsageError, match=message):
        fairness(majority(), **(sensible | options))


def test_a_wide_free_feature_is_refused():
    network, features = bundled_network("adult"), FeatureGroups(54, (Feature("wide", tuple(range(7))),))
    with pytest.raises(UsageError, match="7 free bits, expected at most 6"):
        fairness(network, features=features, protected=["wide"], favourable=1)


def test_limits_are_verdicts():
    network, features = bundled_network("german"), bundled_features("german")
    few = fairness(network, features=features, favourable=1, node_limit=1000)
    assert (few.verdict, few.groups, few.witness) == (Verdict.MEMOUT, (), None)
    short = fairness(network, features=features, favourable=1, timeout=0.02)
    assert (short.verdict, short.counts, short.unfair_rate) == (Verdict.TIMEOUT, {}, None)
    json.dumps(short.to_dict())
