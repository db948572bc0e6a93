"""One network on one region: what brute force says about it, and checks that the engines say the same."""

from fractions import Fraction

import numpy as np

import bnnverify as bv
from bnnverify.engines import execute
from bnnverify.errors import UnsupportedError
from bnnverify.network import ThresholdInput
from tests.oracle import class_of, classes_of, counted, members_of, random_region

ENGINES = ("enumerate", "pushforward", "bdd")
MOST_FREE = 10


def cost_ball(region):
    """A region in normal form, as a user would name it."""
    costs = np.zeros(region.center.size, dtype=np.int64)
    costs[region.free] = region.costs
    return bv.CostBall(region.center, costs, region.budget)


def any_region(rng, network):
    """A region of any kind, with at most ``MOST_FREE`` free bits."""
    n = network.n_inputs
    pixels = isinstance(network.input, ThresholdInput)
    center = rng.integers(0, network.input.max_value + 1, n) if pixels else rng.choice([-1, 1], n)
    free = bv.FreeBits(center, rng.choice(n, min(n, int(rng.integers(0, MOST_FREE + 1))), replace=False).tolist())
    ball = bv.HammingBall(center, int(rng.integers(0, n + 2)))
    kind = rng.integers(5 if pixels else 4)
    if kind == 0 and n <= MOST_FREE:
        return ball
    if kind == 1:
        return free
    if kind == 2 and not pixels:
        return cost_ball(random_region(rng, network))
    if kind == 4:
        return bv.PixelBox(center, Fraction(int(rng.integers(0, 8)), 8)) & free
    return ball & free


def order_of(network, label, target, ties):
    """Classes as they win ties: lowest first, but where ties violate the target is first and the label last."""
    order = sorted(range(network.n_classes))
    if ties is bv.Ties.VIOLATE:
        order.sort(key=lambda c: (c != target, c == label))
    return order


def asked(query, *arguments, unit_costs=True, **options):
    """A query's answer; None where merging states is not possible because flips differ in cost."""
    try:
        return query(*arguments, **options)
    except UnsupportedError:
        assert options["engine"] == "pushforward"
        assert not unit_costs
        return None


class Case:
    """One network on one region, with what brute force says about it."""

    def __init__(self, network, region):
        self.network, self.region = network, region
        self.members = region.on(network)
        self.costs, self.distances, self.bits = members_of(self.members)
        self.label = class_of(network, instance_bits(network, region))

    def labels(self, ties, target=None):
        order = order_of(self.network, self.label, target, ties)
        return classes_of(self.network, self.bits, order) if len(self.bits) else np.zeros(0, dtype=int)

    def rows(self, labels):
        return [counted(labels[self.distances == k]) for k in range(self.members.radius + 1)]

    def check_counts(self, ties):
        labels = self.labels(ties)
        for engine in ENGINES:
            options = {"ties": ties, "engine": engine, "unit_costs": self.members.unit_costs}
            answer = asked(bv.count, self.network, self.region, **options)
            assert answer is None or answer.counts == counted(labels)
            if self.members.unit_costs:
                found = bv.profile(self.network, self.region, ties=ties, engine=engine).profile
                assert found == tuple(self.rows(labels)) or self.members.size == 0
        order = order_of(self.network, self.label, None, ties)
        assert execute.count_by_distance(self.network, self.members, order) == self.rows(labels)

    def check_verdict(self, ties, target):
        labels = self.labels(ties, target)
        wanted = labels != self.label if target is None else labels == target
        for engine in ENGINES:
            options = {"ties": ties, "target": target, "engine": engine, "unit_costs": self.members.unit_costs}
            answer = asked(bv.robustness, self.network, self.region, **options)
            if answer is None:
                continue
            assert answer.verdict is (bv.Verdict.VIOLATED if wanted.any() else bv.Verdict.HOLDS)
            if wanted.any():
                self.check_witness(answer.witness, ties, target)
                if self.members.budget is not None and self.members.unit_costs:
                    assert self.flips(answer.witness).size == self.distances[wanted].min()

    def flips(self, witness):
        return np.flatnonzero(self.network.input.to_bits(witness.input) != self.members.center)

    def check_witness(self, witness, ties, target):
        bits, flips = self.network.input.to_bits(witness.input), self.flips(witness)
        assert (self.bits == bits).all(axis=1).any()
        assert witness.label == class_of(self.network, bits, order_of(self.network, self.label, target, ties))
        assert witness.label != self.label if target is None else witness.label == target
        assert witness.flips == tuple(flips.tolist())
        assert witness.distance == self.distance_of(witness, flips)

    def distance_of(self, witness, flips):
        """In the region's unit: grey levels of the greatest change, cost, or flipped bits."""
        parts = getattr(self.region, "parts", (self.region,))
        for part in parts:
            if isinstance(part, bv.PixelBox):
                return np.abs(witness.input - part.pixels).max()
            if isinstance(part, bv.CostBall):
                return sum(int(part.costs[i]) for i in flips)
        return flips.size


def instance_bits(network, region):
    first = region.parts[0] if hasattr(region, "parts") else region
    return network.input.to_bits(first.pixels if isinstance(first, bv.PixelBox) else first.center).reshape(-1)


def check_everything(rng, network, region):
    """Counts and profiles by both rules for ties; verdicts without a target and for one class, by either."""
    case = Case(network, region)
    for ties in bv.Ties:
        case.check_counts(ties)
    others = [c for c in range(network.n_classes) if c != case.label]
    for target in [None, *others[: int(rng.integers(2))], *others[-1:]]:
        case.check_verdict(rng.choice(list(bv.Ties)), target)


def over_seeds(check, first, n):
    """Run a check on ``n`` seeds; a failure names its seed."""
    for seed in range(first, first + n):
        try:
            check(np.random.default_rng(seed))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
