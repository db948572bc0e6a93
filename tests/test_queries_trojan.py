"""Trigger success rates agree with stamping and executing every input of a region."""

import json
from fractions import Fraction

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_features, bundled_images, bundled_instances, bundled_network
from bnnverify.errors import UsageError
from bnnverify.inference import predict
from bnnverify.network import ThresholdInput
from bnnverify.queries.trojan import trojan
from bnnverify.regions import whole_space
from bnnverify.theories import OneHot, Theory, clause
from bnnverify.verdict import Verdict
from tests.oracle import class_of, classes_of, members_of, random_network, random_pixel_network


def random_around(rng, network):
    """A region around a random instance, or none."""
    if rng.random() < 0.3:
        return None
    layer, n = network.input, network.n_inputs
    pixels = isinstance(layer, ThresholdInput)
    center = rng.integers(0, layer.max_value + 1, n) if pixels else rng.choice([-1, 1], n)
    if rng.random() < 0.6:
        return bv.HammingBall(center, int(rng.integers(0, n + 1)))
    return bv.FreeBits(center, np.flatnonzero(rng.random(n) < 0.7).tolist())


def random_trigger(rng, network, members):
    """Values for some bits, each one that the bit can have."""
    chosen = rng.permutation(network.n_inputs)[: rng.integers(1, network.n_inputs + 1)].tolist()
    stamps = {i: int(rng.choice([-1, 1])) for i in chosen}
    if isinstance(network.input, ThresholdInput):
        flippable = whole_space(network).on(network).free
        stamps = {i: v if i in flippable else int(members.center[i]) for i, v in stamps.items()}
    return stamps


def random_theory(rng, n):
    if rng.random() < 0.5:
        return None
    bits = rng.permutation(n).tolist()
    return Theory((OneHot(bits[:2]), clause([~bits[-1], bits[0]]))) if n > 2 else Theory((clause([0]),))


def stamped_by_hand(bits, trigger):
    copies = bits.copy()
    for index, value in trigger.items():
        copies[:, index] = value
    return copies


def tallied(labels, chosen):
    return {c: int((labels[chosen] == c).sum()) for c in np.unique(labels[chosen]).tolist()}


def check(network, region, trigger, target, theory):
    answer = trojan(network, region, trigger=trigger, target=target, theory=theory)
    members = (whole_space(network) if region is None else region).on(network)
    bits = members_of(members)[2]
    copies = stamped_by_hand(bits, trigger)
    before, after = classes_of(network, bits), classes_of(network, copies)
    valid, allowed = ((theory or Theory()).holds(rows) for rows in (bits, copies))
    bits, before, after, allowed = bits[valid], before[valid], after[valid], allowed[valid]
    hits = allowed & (after == target)
    assert answer.counts == tallied(before, before >= 0)
    assert answer.hits == tallied(before, hits)
    assert answer.invalid == tallied(before, ~allowed)
    n_moved, n_others = int((hits & (before != target)).sum()), int((before != target).sum())
    assert (answer.successes, answer.candidates) == (n_moved, n_others)
    assert answer.rate == (Fraction(n_moved, n_others) if n_others else None)
    assert answer.verdict is (Verdict.VIOLATED if n_moved else Verdict.HOLDS)
    json.dumps(answer.to_dict())
    if n_moved:
        check_witness(network, members, answer, trigger, bits[hits & (before != target)])
    return bool(n_moved)


def check_witness(network, members, answer, trigger, moved):
    bits, copy = (network.input.to_bits(w.input).reshape(-1) for w in (answer.witness, answer.stamped))
    assert members.contains(bits)
    assert np.array_equal(copy, stamped_by_hand(bits[None], trigger)[0])
    assert class_of(network, bits) == answer.witness.label != answer.target
    assert class_of(network, copy) == answer.stamped.label == answer.target
    assert answer.witness.distance == (moved != members.center).sum(axis=1).min()
    assert set(answer.stamped.flips) == set(np.flatnonzero(bits != copy))


@pytest.mark.parametrize("make", [random_network, random_pixel_network])
def test_random_networks_regions_and_triggers_exhaustively(make):
    moved = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        network = make(rng, 9)
        region = random_around(rng, network)
        members = (whole_space(network) if region is None else region).on(network)
        trigger, target = random_trigger(rng, network, members), int(rng.integers(network.n_classes))
        moved += check(network, region, trigger, target, random_theory(rng, network.n_inputs))
    assert moved > 20


def test_a_trigger_larger_than_the_ball_of_a_real_image_agrees_with_execution():
    network, x = bundled_network(), bundled_images().values[14].reshape(-1)
    trigger = {28 * row + column: 1 for row in (22, 23, 24) for column in (22, 23, 24)}
    region = bv.HammingBall(x, 1)
    bits = members_of(region.on(network))[2].astype(np.int8)
    copies = stamped_by_hand(bits, trigger)
    layer = network.input
    pixels = [np.array([layer.realize(x, np.flatnonzero(r != bits[0])) for r in rows]) for rows in (bits, copies)]
    before, after = (predict(network, rows) for rows in pixels)
    assert len(set(after.tolist())) > 3
    for target in set(after.tolist()):
        answer = trojan(network, region, trigger=trigger, target=target)
        assert answer.successes == int(((before != target) & (after == target)).sum())
        assert answer.hits == tallied(before, after == target)


def test_on_people_a_stamp_may_be_no_valid_value():
    network, features = bundled_network("adult"), bundled_features("adult")
    region = bv.FreeBits(bundled_instances("adult").values[0], features.bits_of(["education", "workclass"]))
    first, second = features.feature("workclass").indices[:2]
    answer = trojan(network, region, trigger={first: 1, second: 1}, target=1, theory=features.theory)
    assert answer.invalid == answer.counts
    assert (answer.hits, answer.verdict) == ({}, Verdict.HOLDS)


def majority():
    return bv.Network([bv.Block([[1, 1, 1]], [1])], bv.Output([[-1], [1]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trigger": {}}, "trigger: found no bit"),
        ({"trigger": {3: 1}}, r"found bit 3, expected 0\.\.2"),
        ({"trigger": {-1: 1}}, r"found bit -1, expected 0\.\.2"),
        ({"trigger": {0: 0}}, "found the value 0 of bit 0, expected -1 or 1"),
        ({"target": 2}, r"target 2: expected a class 0\.\.1"),
    ],
)
def test_questions_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        trojan(majority(), **({"trigger": {0: 1}, "target": 1} | options))


def test_a_pixel_whose_bit_is_constant_cannot_be_stamped_otherwise():
    layer = ThresholdInput([0, 2, 2], [True, True, True], 3, (3,))
    network = bv.Network(majority().blocks, majority().output, input=layer)
    with pytest.raises(UsageError, match="bit 0 has the other value at every grey level"):
        trojan(network, trigger={0: -1}, target=1)
    assert trojan(network, trigger={0: 1}, target=1).successes == 0


def test_limits_are_verdicts():
    network, features = bundled_network("german"), bundled_features("german")
    asked = {"trigger": {0: 1}, "target": 1, "theory": features.theory}
    few = trojan(network, **asked, node_limit=1000)
    assert (few.verdict, few.counts, few.witness) == (Verdict.MEMOUT, {}, None)
    short = trojan(network, **asked, timeout=0.02)
    assert (short.verdict, short.rate) == (Verdict.TIMEOUT, None)
    json.dumps(short.to_dict())
