"""Explanations of networks, over a diagram and over the exact engines, against the definitions."""

from itertools import combinations

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_features, bundled_images, bundled_instances, bundled_network
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.explanations.oracle import UNDECIDED
from tests.agreement import any_region
from tests.oracle import class_of, classes_of, members_of, random_network


def definition(network, region, x):
    """All sets of features whose change can change the class, as a monotone table over sets of free bits."""
    _, _, bits = members_of(region.on(network))
    label = class_of(network, x)
    wrong = bits[classes_of(network, bits) != label]
    changes = {frozenset(np.flatnonzero(row != x).tolist()) for row in wrong}
    minimal = {c for c in changes if not any(other < c for other in changes)}
    features = sorted(region.on(network).free.tolist())
    sufficient = [
        frozenset(s)
        for k in range(len(features) + 1)
        for s in combinations(features, k)
        if all(set(s) & c for c in minimal)
    ]
    return minimal, {s for s in sufficient if not any(other < s for other in sufficient)}


def small_cases(n):
    for seed in range(n):
        rng = np.random.default_rng(seed)
        network = random_network(rng, 7)
        region = any_region(rng, network)
        if region.on(network).size:
            yield network, region, region.on(network).center.astype(int)


@pytest.mark.parametrize("engine", ["bdd", "decisions"])
def test_explanations_are_those_of_the_definition(engine):
    for network, region, x in small_cases(60 if engine == "bdd" else 25):
        contrastive, abductive = definition(network, region, x)
        options = {"engine": engine}
        assert frozenset(bv.explain(network, x, region, kind="axp", **options).features) in abductive
        least = bv.explain(network, x, region, kind="min-axp", **options)
        assert least.minimum
        assert least.size == min(map(len, abductive)) == least.lower
        assert frozenset(least.features) in abductive
        one = bv.explain(network, x, region, kind="cxp", **options)
        assert one.features is None if not contrastive else frozenset(one.features) in contrastive
        nearest = bv.explain(network, x, region, kind="min-cxp", **options)
        if contrastive:
            assert nearest.size == min(map(len, contrastive))
            assert nearest.witness.label != class_of(network, x)
        necessary = bv.explain(network, x, region, kind="necessary", **options)
        assert set(necessary.features) == set.intersection(*map(set, abductive))
        relevant = bv.explain(network, x, region, kind="relevant", **options)
        assert set(relevant.features) == set.union(*map(set, abductive))


def test_all_explanations_are_listed_and_counted():
    for network, region, x in small_cases(60):
        contrastive, abductive = definition(network, region, x)
        for kind, expected in (("all-axp", abductive), ("all-cxp", contrastive)):
            answer = bv.explain(network, x, region, kind=kind)
            assert {frozenset(s) for s in answer.sets} == expected
            assert answer.total == len(expected)
            assert [len(s) for s in answer.sets] == sorted(map(len, expected))
        assert bv.explain(network, x, region, kind="all-axp", most=1).total == len(abductive)


def test_values_and_essential_inputs_are_those_of_the_diagram():
    network = random_network(np.random.default_rng(11), 7)
    x = np.ones(network.n_inputs)
    diagram = bv.compile(network, bv.FreeBits(x, range(network.n_inputs)))
    for kind in ("shapley", "banzhaf"):
        found = bv.explain(network, x, kind=kind)
        assert np.allclose(found.values, diagram.shapley(x, method=kind))
    assert bv.explain(network, x, kind="essential").literals == diagram.essential(diagram.class_of(x))


def test_explanations_of_tabular_networks_speak_of_features():
    network, features = bundled_network("adult"), bundled_features("adult")
    x = bundled_instances("adult").values[0]
    answer = bv.explain(network, x, kind="min-cxp", features=features)
    before, after = features.describe(x), features.describe(answer.witness.input)
    assert {name for name in before if before[name] != after[name]} == set(answer.names)
    assert features.theory.holds(answer.witness.input[None])[0]
    assert answer.to_dict()["names"] == list(answer.names)


def test_every_abductive_explanation_of_a_real_image_survives_random_inputs():
    network = bundled_network()
    x = bundled_images().values[0]
    free = list(range(190, 212))
    answer = bv.explain(network, x, bv.FreeBits(x, free), kind="min-axp")
    rng = np.random.default_rng(0)
    bits = np.tile(network.input.to_bits(x).reshape(-1), (500, 1))
    others = np.setdiff1d(free, answer.features)
    bits[:, others] = rng.choice([-1, 1], (500, others.size))
    assert (classes_of(network, bits) == answer.input_class).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kind": "why"}, UsageError, "kind 'why': expected one of axp, cxp"),
        ({"engine": "sat"}, UsageError, "by auto, bdd or decisions"),
        ({"kind": "shapley", "region": bv.HammingBall([1, 1, 1], 1)}, UnsupportedError, "independent bits"),
    ],
)
def test_questions_that_cannot_be_answered_say_why(options, error, message):
    network = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    with pytest.raises(error, match=message):
        bv.explain(network, [1, 1, 1], **options)


def test_limits_are_verdicts():
    network = bundled_network()
    x = bundled_images().values[0]
    answer = bv.explain(network, x, bv.HammingBall(x, 8), engine="bdd", timeout=0.3)
    assert answer.verdict is bv.Verdict.TIMEOUT
    assert answer.to_dict()["features"] is None


def test_what_is_neither_found_nor_excluded_is_unknown(monkeypatch):
    monkeypatch.setattr("bnnverify.explanations.decision_oracle.DecisionOracle.counterexample", lambda *_: UNDECIDED)
    network = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    answer = bv.explain(network, [1, 1, 1], kind="cxp", engine="decisions")
    assert answer.verdict is bv.Verdict.UNKNOWN
    assert (answer.features, answer.kind) == (None, "bound")
