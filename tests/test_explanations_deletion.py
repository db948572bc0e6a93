"""Explanations over a diagram equal brute force over all subsets of features, and duality holds."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import UsageError
from bnnverify.explanations.deletion import kept_features
from bnnverify.explanations.diagram_oracle import DiagramOracle
from bnnverify.explanations.enumeration import explanations
from bnnverify.explanations.explain import explanation
from bnnverify.explanations.minimum import minimum_sufficient
from bnnverify.explanations.oracle import UNDECIDED, Reply
from bnnverify.explanations.relevance import necessary_features, relevant_features
from bnnverify.explanations.results import Kind
from tests.checkers import all_contrastive, all_sufficient, minimal
from tests.diagrams import assignments, diagram_of_tables, random_partition


def random_groups(rng, n_levels):
    """A random partition of a random subset of the levels, often one feature a level."""
    if rng.random() < 0.4:
        return tuple((level,) for level in range(n_levels))
    names = rng.integers(-1 if rng.random() < 0.3 else 0, max(1, n_levels - 2), n_levels)
    return tuple(tuple(np.flatnonzero(names == f).tolist()) for f in range(n_levels) if (names == f).any())


def random_world(rng, n_levels=None):
    """``(tables, bad, x, groups)`` with an instance that is in no bad root."""
    n = int(rng.integers(1, 7)) if n_levels is None else n_levels
    tables = random_partition(rng, n, 3, missing=rng.choice([0.0, 0.3]))
    inputs = assignments(n)
    number = int(rng.integers(len(inputs)))
    label = next((root for root in range(3) if tables[root][number]), 0)
    others = [root for root in range(3) if root != label]
    bad = others if rng.random() < 0.8 else others[:1]
    return tables, bad, inputs[number], random_groups(rng, n)


def oracle_of(world):
    tables, bad, x, groups = world
    return DiagramOracle(diagram_of_tables(tables, len(x)), bad, np.array(x), groups=groups)


def check_all_kinds(world, order):
    """Every kind of explanation against the lists of all minimal sets."""
    oracle = oracle_of(world)
    sufficient, contrastive = all_sufficient(*world), all_contrastive(*world)
    found = {kind: explanation(oracle, kind, order=order) for kind in Kind}
    assert all(each.minimal and not each.undecided for each in found.values())
    assert frozenset(found[Kind.AXP].features) in sufficient
    assert frozenset(found[Kind.MIN_AXP].features) in sufficient
    assert found[Kind.MIN_AXP].lower == found[Kind.MIN_AXP].size == min(map(len, sufficient))
    assert found[Kind.MIN_AXP].minimum
    for kind in (Kind.CXP, Kind.MIN_CXP):
        assert found[kind].exists == bool(contrastive)
        assert not contrastive or frozenset(found[kind].features) in contrastive
    if contrastive:
        assert found[Kind.MIN_CXP].size == found[Kind.MIN_CXP].lower == min(map(len, contrastive))
        check_flips(world, found[Kind.CXP])
        check_flips(world, found[Kind.MIN_CXP])
    check_lists(oracle, order, sufficient, contrastive)


def check_flips(world, found):
    """The counterexample is bad and changes the explanation's features only."""
    tables, bad, x, groups = world
    changed = [1 - bit if i in found.flips else bit for i, bit in enumerate(x)]
    number = int("".join(map(str, changed)), 2)
    assert any(tables[root][number] for root in bad)
    assert {f for f, group in enumerate(groups) if set(group) & set(found.flips)} == set(found.features)


def check_lists(oracle, order, sufficient, contrastive):
    for first in (Kind.AXP, Kind.CXP):
        listed = list(explanations(oracle, order, first=first))
        assert len(set(listed)) == len(listed)
        assert {features for kind, features in listed if kind is Kind.AXP} == sufficient
        assert {features for kind, features in listed if kind is Kind.CXP} == contrastive
    necessary = set.intersection(*map(set, sufficient))
    assert set(necessary_features(oracle).features) == necessary
    assert set(relevant_features(oracle, order).features) == set().union(*sufficient)


@pytest.mark.parametrize("number", range(256))
def test_every_function_of_three_variables_is_explained_at_every_input(number):
    table = [number >> i & 1 for i in range(8)]
    tables = [table, [1 - value for value in table]]
    for x, value in zip(product((0, 1), repeat=3), table, strict=True):
        check_all_kinds((tables, [value], x, ((0,), (1,), (2,))), [2, 0, 1])


def test_random_partitions_with_feature_groups_are_explained():
    rng = np.random.default_rng(3)
    for _ in range(1000):
        world = random_world(rng)
        check_all_kinds(world, rng.permutation(len(world[3])).tolist())


def test_larger_random_partitions_are_explained():
    rng = np.random.default_rng(4)
    for _ in range(20):
        world = random_world(rng, 8)
        check_all_kinds(world, rng.permutation(len(world[3])).tolist())


@given(st.integers(0, 1 << 30))
def test_abductive_and_contrastive_explanations_are_each_others_minimal_hitting_sets(seed):
    rng = np.random.default_rng(seed)
    world = random_world(rng)
    listed = list(explanations(oracle_of(world), range(len(world[3]))))
    by_kind = {kind: [features for k, features in listed if k is kind] for kind in (Kind.AXP, Kind.CXP)}
    for kind, dual in ((Kind.AXP, Kind.CXP), (Kind.CXP, Kind.AXP)):
        for features in by_kind[kind]:
            assert all(features & other for other in by_kind[dual])
            assert all(any(not (features - {f}) & other for other in by_kind[dual]) for f in features)


def test_an_enumeration_goes_on_where_an_earlier_one_stopped():
    rng = np.random.default_rng(5)
    for _ in range(50):
        world = random_world(rng, 5)
        oracle, order = oracle_of(world), range(len(world[3]))
        everything = set(explanations(oracle, order))
        stream = explanations(oracle, order)
        head = [found for found, _ in zip(stream, range(3), strict=False)]
        tail = list(explanations(oracle, order, known=head))
        assert set(head) | set(tail) == everything
        assert not set(head) & set(tail)


def test_features_that_come_last_in_the_order_are_kept_first():
    table = [int(sum(bits) >= 1) for bits in assignments(3)]
    oracle = oracle_of(([table, [1 - v for v in table]], [1], (1, 1, 1), ((0,), (1,), (2,))))
    assert explanation(oracle, Kind.AXP, order=[0, 1, 2]).features == (2,)
    assert explanation(oracle, Kind.AXP, order=[2, 1, 0]).features == (0,)


def test_many_irrelevant_features_cost_few_questions():
    n = 200
    level = np.array([n, n, n - 1, 100, 3])
    low, high = np.array([0, 1, 0, 0, 0]), np.array([0, 1, 1, 2, 3])
    diagram = FlatDiagram(level, low, high, np.array([4]), n)
    x = np.ones(n, dtype=np.uint8)
    x[100] = 0
    found = explanation(DiagramOracle(diagram, [0], x), Kind.AXP)
    assert found.features == (100,)
    assert found.oracle_calls < 25


class Hesitant:
    """An oracle that is undecided about some sets of free features, and otherwise asks another."""

    def __init__(self, oracle, rng, share):
        self._oracle, self._rng, self._share = oracle, rng, share
        self.n_features = oracle.n_features

    def counterexample(self, free) -> Reply:
        return UNDECIDED if self._rng.random() < self._share else self._oracle.counterexample(free)

    def nearest(self):
        return None

    sufficient = necessary = nearest


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_what_an_undecided_oracle_leaves_is_still_right_and_says_what_is_open(share):
    rng = np.random.default_rng(6)
    for _ in range(300):
        world = random_world(rng)
        order = rng.permutation(len(world[3])).tolist()
        sufficient, contrastive = all_sufficient(*world), all_contrastive(*world)
        oracle = Hesitant(oracle_of(world), rng, share)
        for kind, sets in ((k, sufficient if k.is_abductive else contrastive) for k in Kind):
            found = explanation(oracle, kind, order=order)
            assert found.minimal == (not found.undecided and (found.exists is not None))
            assert found.features is None or found.lower <= min(map(len, sets)) <= found.size
            if found.features is None:
                assert not found.minimal or not contrastive
                continue
            chosen = frozenset(found.features)
            assert any(each <= chosen for each in sets)
            assert set(found.undecided) <= chosen
            if found.minimal:
                assert chosen in sets
            if found.minimum:
                assert found.size == min(map(len, sets))
        check_hesitant_lists(oracle, order, sufficient, contrastive)


def check_hesitant_lists(oracle, order, sufficient, contrastive):
    listed, complete = exhaust(explanations(oracle, order))
    assert {f for k, f in listed if k is Kind.AXP} <= sufficient
    assert {f for k, f in listed if k is Kind.CXP} <= contrastive
    assert not complete or len(listed) == len(sufficient) + len(contrastive)
    for marked, truth in (
        (necessary_features(oracle), set.intersection(*map(set, sufficient))),
        (relevant_features(oracle, order), set().union(*sufficient)),
    ):
        assert set(marked.features) <= truth <= set(marked.features) | set(marked.undecided)


def exhaust(stream):
    found = []
    while True:
        try:
            found.append(next(stream))
        except StopIteration as end:
            return found, end.value


def test_a_deadline_gives_bounds_of_the_least_size():
    rng = np.random.default_rng(7)
    world = random_world(rng, 8)
    order = range(len(world[3]))
    kept = kept_features(oracle_of(world), order)
    least = minimum_sufficient(oracle_of(world), order, kept, deadline=0.0)
    assert least.lower <= min(map(len, all_sufficient(*world))) <= len(least.features)


def test_a_deadline_keeps_the_features_not_asked_about():
    world = random_world(np.random.default_rng(7), 8)
    found = explanation(oracle_of(world), Kind.AXP, timeout=0.0)
    assert found.features == found.undecided == tuple(range(len(world[3])))
    assert not found.minimal


def test_progress_reports_bounds_that_close_in():
    rng = np.random.default_rng(8)
    for _ in range(30):
        world = random_world(rng, 8)
        for kind, sets in ((Kind.MIN_AXP, all_sufficient(*world)), (Kind.MIN_CXP, all_contrastive(*world))):
            seen = []
            explanation(oracle_of(world), kind, report=lambda lower, upper, seen=seen: seen.append((lower, upper)))
            assert all(lower <= min(map(len, sets)) <= upper for lower, upper in seen)
            assert [lower for lower, _ in seen] == sorted(lower for lower, _ in seen)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.array([1, 0, 0])}, "shape"),
        ({"x": np.array([1, 2])}, "besides 0 and 1"),
        ({"x": np.array([0, 0])}, "count as changed"),
        ({"groups": [[0], [0, 1]]}, "two features"),
        ({"groups": [[0], []]}, "without inputs"),
        ({"groups": [[0], [2]]}, "expected 0..1"),
    ],
)
def test_questions_that_make_no_sense_are_refused(changed, message):
    diagram = diagram_of_tables([[0, 1, 1, 1], [1, 0, 0, 0]], 2)
    arguments = {"x": np.array([1, 1]), "groups": None} | changed
    with pytest.raises(UsageError, match=message):
        DiagramOracle(diagram, [1], **arguments)


def test_minimal_keeps_what_contains_no_other():
    assert minimal({frozenset({0}), frozenset({0, 1}), frozenset({2})}) == {frozenset({0}), frozenset({2})}
