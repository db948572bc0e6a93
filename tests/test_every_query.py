"""Every query of a compiled network against brute force: on all networks of 3 inputs and 2 neurons, and random ones."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.diagram.primes import literals
from tests.checkers import all_contrastive, all_sufficient, fault_of_primes
from tests.diagrams import assignments
from tests.oracle import classes_of, random_network, random_region
from tests.test_diagram_diversity import exists
from tests.test_diagram_shapley import banzhaf_weight, by_definition, shapley_weight

MOST_FREE = 6


class World:
    """A network on a region, as tables over the settings of the free bits, the lowest input the slowest."""

    def __init__(self, network, region):
        self.network, self.members = network, region.on(network)
        self.diagram = bv.compile(network, region)
        self.free = self.members.free.tolist()
        self.settings = assignments(len(self.free))
        bits = np.tile(self.members.center.astype(int), (len(self.settings), 1))
        bits[:, self.members.free] = 2 * np.array(self.settings).reshape(len(self.settings), len(self.free)) - 1
        self.distances = (bits != self.members.center).sum(axis=1)
        costs = (bits != self.members.center)[:, self.members.free] @ self.members.costs
        budget = self.members.budget
        self.inside = np.ones(len(bits), dtype=bool) if budget is None else costs <= budget
        self.labels, self.bits = classes_of(network, bits), bits
        self.start = int(np.argmin(self.distances))
        self.label = int(self.labels[self.start])
        self.x = self.settings[self.start]

    def holds(self, wanted):
        return self.inside & np.isin(self.labels, wanted)

    @property
    def others(self):
        return [c for c in range(self.network.n_classes) if c != self.label]

    def check_all(self, rng):
        self.check_counts()
        self.check_inputs(rng)
        self.check_features(rng)
        self.check_explanations()

    def check_counts(self):
        d = self.diagram
        expected = {c: int(self.holds([c]).sum()) for c in range(self.network.n_classes)}
        assert d.count() == {c: n for c, n in expected.items() if n}
        for k, row in enumerate(d.profile(radius=len(self.free))):
            at = self.inside & (self.distances == k)
            assert row == {int(c): int((self.labels[at] == c).sum()) for c in np.unique(self.labels[at])}

    def check_inputs(self, rng):
        d, wrong = self.diagram, self.holds(self.others)
        assert [w.distance for w in d.k_nearest()] == sorted(self.distances[wrong].tolist())
        prices = rng.integers(0, 6, self.network.n_inputs)
        spent = ((self.bits != self.members.center) @ prices)[wrong]
        assert [w.distance for w in d.k_nearest(costs=prices)] == sorted(spent.tolist())
        streamed = [tuple(row.tolist()) for row in d.stream()]
        assert sorted(streamed) == sorted(tuple(row) for row in self.bits[wrong].tolist())
        if wrong.any():
            assert {tuple(row.tolist()) for row in d.sample(4, rng)} <= set(streamed)
            distance = int(rng.choice(self.distances[wrong]))
            drawn = d.sample(3, rng, distance=distance)
            assert ((drawn != self.members.center).sum(axis=1) == distance).all()
            assert {tuple(row.tolist()) for row in drawn} <= set(streamed)
            inputs, outcome = d.diverse(2, 2)
            rows = [s for s, w in zip(self.settings, wrong, strict=True) if w]
            assert (outcome == "found") == exists(rows, 2, 2)
            assert outcome != "found" or len(inputs) == 2

    def check_features(self, rng):
        d, good = self.diagram, self.holds([self.label])
        p = [Fraction(int(rng.integers(0, 5)), 4) for _ in range(self.network.n_inputs)]
        chances = [
            np.prod([p[i] if v else 1 - p[i] for i, v in zip(self.free, s, strict=True)] + [Fraction(1)])
            for s in self.settings
        ]
        for c, chance in d.probability(p).items():
            assert chance == sum((w for w, h in zip(chances, self.holds([c]), strict=True) if h), Fraction(0))
        for k, slope in zip(self.free, self._slopes(p, good), strict=True):
            assert d.derivatives(p=p)[k] == slope
        values = dict(zip(self.settings, good.tolist(), strict=True))
        moved, trends = self._single_flips(values)
        assert [d.influence()[i] for i in self.free] == moved
        assert [d.trends()[i] for i in self.free] == trends
        agreed = {i: {s[k] for s, h in values.items() if h} for k, i in enumerate(self.free)}
        assert d.essential() == {i: 2 * min(v) - 1 for i, v in agreed.items() if len(v) == 1}
        place = {i: k for k, i in enumerate(self.free)}
        primes = [[(place[int(d.inputs[level])], v) for level, v in literals(prime)] for prime in d.prime_implicants()]
        assert not fault_of_primes(primes, good.tolist(), len(self.free))
        if d.is_cube:
            inputs = [s for s, h in values.items() if h]
            half, features = [Fraction(1, 2)] * self.network.n_inputs, [[k] for k in range(len(self.free))]
            for method, weight in (("shapley", shapley_weight), ("banzhaf", banzhaf_weight)):
                for chances in (half, p):
                    found = d.shapley(p=chances, exact=True, method=method)
                    here = [chances[i] for i in self.free]
                    assert [found[i] for i in self.free] == by_definition(inputs, self.x, here, features, weight)

    def _slopes(self, p, good):
        """The chance of the class with each free bit at +1, less that with it at -1."""
        for k in range(len(self.free)):
            total = Fraction(0)
            for setting, holds in zip(self.settings, good, strict=True):
                others = [
                    p[i] if v else 1 - p[i] for j, (i, v) in enumerate(zip(self.free, setting, strict=True)) if j != k
                ]
                total += int(holds) * (1 if setting[k] else -1) * np.prod([*others, Fraction(1)])
            yield total

    def _single_flips(self, values):
        """Influence and trend of every free bit."""
        moved, trends = [], []
        for k in range(len(self.free)):
            pairs = [(values[s], values[(*s[:k], 1, *s[k + 1 :])]) for s in values if s[k] == 0]
            up, down = any(b > a for a, b in pairs), any(a > b for a, b in pairs)
            moved.append(Fraction(sum(a != b for a, b in pairs), len(pairs)))
            trends.append({(0, 0): "constant", (1, 0): "increasing", (0, 1): "decreasing", (1, 1): "neither"}[up, down])
        return moved, trends

    def check_explanations(self):
        wrong = self.holds(self.others).tolist()
        groups = [[k] for k in range(len(self.free))]
        abductive = {frozenset(self.free[k] for k in s) for s in all_sufficient([wrong], [0], self.x, groups)}
        contrastive = {frozenset(self.free[k] for k in s) for s in all_contrastive([wrong], [0], self.x, groups)}
        instance, region = self.members.center, self._region()

        def asked(kind):
            return bv.explain(self.network, instance, region, kind=kind, engine="bdd")

        assert frozenset(asked("axp").features) in abductive
        assert asked("min-axp").size == min(map(len, abductive))
        for kind in ("cxp", "min-cxp"):
            found = asked(kind).features
            assert found is None if not contrastive else frozenset(found) in contrastive
        assert not contrastive or asked("min-cxp").size == min(map(len, contrastive))
        assert {frozenset(s) for s in asked("all-axp").sets} == abductive
        assert {frozenset(s) for s in asked("all-cxp").sets} == contrastive
        assert set(asked("necessary").features) == frozenset.intersection(*abductive)
        assert set(asked("relevant").features) == frozenset.union(*abductive)
        assert all(a & c for a in abductive for c in contrastive)

    def _region(self):
        costs = np.zeros(self.network.n_inputs, dtype=np.int64)
        costs[self.members.free] = self.members.costs
        return bv.CostBall(self.members.center, costs, self.members.budget)


def test_every_query_on_every_network_of_three_inputs_and_two_neurons():
    """All weights of +1 and -1 and all thresholds that matter; networks of equal tables are asked once."""
    rng, seen = np.random.default_rng(0), set()
    outputs = [bv.Output([[1, 1], [-1, -1]]), bv.Output([[1, 1], [-1, -1], [1, -1]], bias=[0, 0.5, 1])]
    settings = 2 * np.array(assignments(3)) - 1
    for weights in product([-1, 1], repeat=6):
        for thresholds in product([-2, 0, 2, 4], repeat=2):
            for number, output in enumerate(outputs):
                network = bv.Network([bv.Block(np.reshape(weights, (2, 3)), thresholds)], output)
                key = (number, tuple(classes_of(network, settings)))
                world = World(network, bv.FreeBits([1, -1, 1], range(3)))
                world.check_counts()
                if key not in seen:
                    seen.add(key)
                    world.check_all(rng)


def random_world(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, 9)
    members = random_region(rng, network, unit_costs=True)
    free = members.free[:MOST_FREE]
    region = bv.FreeBits(members.center, free.tolist())
    if members.budget is not None:
        region = region & bv.HammingBall(members.center, members.budget)
    return World(network, region), rng


def test_every_query_on_random_networks():
    for seed in range(50):
        world, rng = random_world(seed)
        world.check_all(rng)


@pytest.mark.slow
def test_every_query_on_two_thousand_random_networks():
    for seed in range(1000, 3000):
        world, rng = random_world(seed)
        world.check_all(rng)
