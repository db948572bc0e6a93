"""Over the exact engines, explanations equal those of brute force: the same results type, another oracle."""

from itertools import product

import numpy as np
import pytest

from bnnverify.engines import portfolio
from bnnverify.engines.annealing import anneal
from bnnverify.errors import UsageError
from bnnverify.explanations import decision_oracle
from bnnverify.explanations.decision_oracle import DecisionOracle
from bnnverify.explanations.explain import explanation
from bnnverify.explanations.oracle import UNDECIDED
from bnnverify.explanations.relevance import necessary_features, relevant_features
from bnnverify.explanations.results import Kind
from bnnverify.limits import Outcome
from bnnverify.regions import BitRegion
from bnnverify.verdict import Verdict
from tests.checkers import all_contrastive, all_sufficient
from tests.oracle import class_of, classes_of, members_of, random_network, random_region


def random_question(rng):
    """A small network, a region, a member of it, the classes to reach and the rule for ties; often grouped bits."""
    network = random_network(rng, max_inputs=6)
    region = random_region(rng, network)
    members = members_of(region)[2]
    x = members[rng.integers(len(members))].astype(np.int8)
    order = rng.permutation(network.n_classes).tolist()
    label = class_of(network, x, order)
    wanted = [c for c in range(network.n_classes) if c != label]
    names = rng.integers(-1, 4, network.n_inputs)
    groups = [np.flatnonzero(names == f).tolist() for f in range(4) if (names == f).any()]
    if rng.random() < 0.5:
        groups = [[i] for i in range(network.n_inputs)]
    return network, x, region, wanted, order, groups


def world_of(network, x, region, wanted, order, groups):
    """The same question as one table of bad inputs."""
    inputs = np.array(list(product((-1, 1), repeat=network.n_inputs)), dtype=np.int8)
    labels = classes_of(network, inputs, order)
    bad = [bool(label in wanted and region.contains(bits)) for bits, label in zip(inputs, labels, strict=True)]
    return [bad], [0], tuple((x > 0).astype(int).tolist()), groups


def check_question(network, x, region, wanted, order, groups):
    world = world_of(network, x, region, wanted, order, groups)
    sufficient, contrastive = all_sufficient(*world), all_contrastive(*world)
    oracle = DecisionOracle(network, x, region, wanted, order, groups=groups)
    features = range(len(groups))
    for kind, sets in ((k, sufficient if k.is_abductive else contrastive) for k in Kind):
        found = explanation(oracle, kind)
        assert found.minimal
        if not sets:
            assert found.exists is False
            continue
        assert frozenset(found.features) in sets
        if kind in (Kind.MIN_AXP, Kind.MIN_CXP):
            assert found.minimum
            assert found.size == min(map(len, sets))
        if not kind.is_abductive:
            assert class_of(network, [-b if i in found.flips else b for i, b in enumerate(x)], order) in wanted
    assert set(necessary_features(oracle).features) == set.intersection(*map(set, sufficient))
    assert set(relevant_features(oracle, features).features) == set().union(*sufficient)


def test_explanations_of_random_networks_equal_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(120):
        check_question(*random_question(rng))


def test_before_a_long_search_an_attack_answers_as_well(monkeypatch):
    monkeypatch.setattr(decision_oracle, "SHORT_SECONDS", -1.0)
    monkeypatch.setattr(decision_oracle, "run_limited", lambda work, timeout: Outcome(work(print), None, None, 0.0))
    rng = np.random.default_rng(1)
    for _ in range(60):
        check_question(*random_question(rng))


def test_a_search_that_meets_its_limit_is_undecided(monkeypatch):
    monkeypatch.setattr(decision_oracle, "SHORT_SECONDS", -1.0)
    monkeypatch.setattr(decision_oracle, "anneal", lambda *_, **__: None)
    monkeypatch.setattr(
        decision_oracle, "run_limited", lambda work, timeout: Outcome(None, Verdict.TIMEOUT, None, timeout)
    )
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(60):
        network, x, region, wanted, order, groups = random_question(rng)
        oracle = DecisionOracle(network, x, region, wanted, order, groups=groups)
        seen.add(oracle.counterexample(np.ones(len(groups), dtype=bool)) == UNDECIDED)
        found = explanation(oracle, Kind.AXP)
        assert any(
            s <= set(found.features) for s in all_sufficient(*world_of(network, x, region, wanted, order, groups))
        )
    assert seen == {True, False}


def test_what_no_other_engine_reaches_is_answered_by_sat(monkeypatch):
    monkeypatch.setattr(portfolio, "LEAST_SAT_SECONDS", -1.0)
    rng = np.random.default_rng(4)
    for attack in (anneal, lambda *_, **__: None):
        monkeypatch.setattr(decision_oracle, "anneal", attack)
        for _ in range(40):
            check_question(*random_question(rng))


@pytest.mark.parametrize(("share", "budget", "message"), [(1, 2, "count as changed"), (0, -1, "outside")])
def test_an_instance_that_makes_no_sense_is_refused(share, budget, message):
    network = random_network(np.random.default_rng(3), max_inputs=5)
    classes = list(range(network.n_classes))
    x = np.ones(network.n_inputs, dtype=np.int8)
    free = np.arange(network.n_inputs)
    region = BitRegion(x, free, np.ones_like(free), budget)
    with pytest.raises(UsageError, match=message):
        DecisionOracle(network, x, region, classes[: share * len(classes)], classes)
