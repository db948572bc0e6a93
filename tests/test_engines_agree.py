"""Every engine against brute force, on thousands of small networks; then past what brute force can reach.

A seed makes a network, a region and a question, and names the failure if there is one.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnnverify as bv
from bnnverify.engines import execute, pushforward
from bnnverify.errors import UnsupportedError
from bnnverify.network import BitInput, Block, Network, Output, ThresholdInput
from tests.oracle import (
    class_of,
    classes_of,
    counted,
    members_of,
    random_network,
    random_pixel_network,
    random_region,
)

ENGINES = ("enumerate", "pushforward")
BATCH = 250
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
        assert witness.distance == flips.size


def instance_bits(network, region):
    first = region.parts[0] if hasattr(region, "parts") else region
    return network.input.to_bits(first.pixels if isinstance(first, bv.PixelBox) else first.center).reshape(-1)


def check_everything(rng, network, region):
    """Counts and profiles by both rules for ties; verdicts without a target and for one class."""
    case = Case(network, region)
    for ties in bv.Ties:
        case.check_counts(ties)
        case.check_verdict(ties, None)
        others = [c for c in range(network.n_classes) if c != case.label]
        if others:
            case.check_verdict(ties, int(rng.choice(others)))


def over_seeds(check, first, n=BATCH):
    """Run a check on ``n`` seeds; a failure names its seed."""
    for seed in range(first, first + n):
        try:
            check(np.random.default_rng(seed))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def test_the_whole_array_oracle_equals_the_nested_loops():
    def check(rng):
        network = random_network(rng)
        _, _, bits = members_of(random_region(rng, network))
        order = rng.permutation(network.n_classes).tolist()
        assert classes_of(network, bits, order).tolist() == [class_of(network, row, order) for row in bits]

    over_seeds(check, 0)


@pytest.mark.parametrize("first", range(0, 20 * BATCH, BATCH))
def test_all_engines_equal_brute_force_on_networks_of_bits(first):
    def check(rng):
        network = random_network(rng)
        check_everything(rng, network, any_region(rng, network))

    over_seeds(check, first)


@pytest.mark.parametrize("first", range(10_000, 10_000 + 4 * BATCH, BATCH))
def test_all_engines_equal_brute_force_on_networks_that_binarize_pixels(first):
    def check(rng):
        network = random_pixel_network(rng)
        check_everything(rng, network, any_region(rng, network))

    over_seeds(check, first)


@pytest.mark.parametrize("road", [True, False], ids=["polynomials", "halves"])
@pytest.mark.parametrize("first", [20_000, 30_000])
def test_both_roads_of_pushforward_equal_brute_force(road, first, monkeypatch):
    monkeypatch.setattr(pushforward, "_by_polynomials", lambda m, radius: road)

    def check(rng):
        network = random_network(rng)
        Case(network, cost_ball(random_region(rng, network, unit_costs=True))).check_counts(bv.Ties.LOWEST)

    over_seeds(check, first)


def wide_network(rng, n_first):
    """Many first-block neurons on few inputs, then up to two blocks that may be wide as well."""
    sizes = [12, n_first, *rng.choice([3, 70, 140], rng.integers(0, 3)).tolist()]
    blocks = [
        Block(rng.choice([-1, 1], (b, a)), rng.integers(-3, 4, b) - (a - 12) // 16) for a, b in zip(sizes, sizes[1:])
    ]
    return Network(blocks, Output(rng.choice([-1, 1], (4, sizes[-1])), bias=rng.choice([0, 0.5], 4)))


@pytest.mark.parametrize("n_first", [63, 64, 65, 100, 128, 129, 200, 300])
def test_all_engines_equal_brute_force_where_patterns_take_several_words(n_first):
    def check(rng):
        network = wide_network(rng, n_first)
        region = any_region(rng, network)
        check_everything(rng, network, region if region.on(network).free.size <= 8 else bv.HammingBall(region.center, 3))

    over_seeds(check, 40_000 + n_first, n=20)


def price(layer, pixel, i):
    """Least grey-level change that flips bit i, by trying every level; None where none does."""
    bit = lambda value: (value >= layer.thresholds[i]) == layer.rising[i]  # noqa: E731
    changes = [abs(value - pixel) for value in range(layer.max_value + 1) if bit(value) != bit(pixel)]
    return min(changes, default=None)


NORMS = {
    "hamming": len,
    "l0": len,
    "l1": sum,
    "l2": lambda changes: sum(c * c for c in changes),
    "linf": lambda changes: max(changes, default=0),
}


def least_perturbation(network, pixels, norm, target, ties):
    """The least norm of a change that gives another class (or the target); None if there is none."""
    layer = network.input
    label = class_of(network, layer.to_bits(pixels))
    prices = [price(layer, int(pixel), i) for i, pixel in enumerate(pixels)]
    flippable = [i for i, cost in enumerate(prices) if cost is not None]
    sets = [[i for i, flips in zip(flippable, row) if flips] for row in product((0, 1), repeat=len(flippable))]
    bits = np.tile(layer.to_bits(pixels).astype(int), (len(sets), 1))
    for row, flips in zip(bits, sets, strict=True):
        row[flips] *= -1
    labels = classes_of(network, bits, order_of(network, label, target, ties))
    wanted = labels != label if target is None else labels == target
    norms = [NORMS[norm]([prices[i] for i in flips]) for flips in sets]
    return min((value for value, good in zip(norms, wanted, strict=True) if good), default=None)


def check_radius(rng, network, pixels, engine):
    label = class_of(network, network.input.to_bits(pixels))
    others = [None, *(c for c in range(network.n_classes) if c != label)]
    for norm, measure in NORMS.items():
        target, ties = others[rng.integers(len(others))], rng.choice(list(bv.Ties))
        expected = least_perturbation(network, pixels, norm, target, ties)
        try:
            answer = bv.radius(network, pixels, norm=norm, target=target, ties=ties, engine=engine)
        except UnsupportedError:
            assert engine == "pushforward"
            assert norm in ("l1", "l2")
            continue
        assert answer.value == expected
        assert answer.exhausted == (expected is None)
        if expected is not None:
            assert answer.lower == expected
            changes = np.abs(answer.witness.input - pixels)
            assert measure(changes[changes > 0].tolist()) == expected == answer.witness.distance
            order = order_of(network, label, target, ties)
            assert answer.witness.label == class_of(network, network.input.to_bits(answer.witness.input), order)
            assert answer.witness.label != label if target is None else answer.witness.label == target


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_radius_equals_brute_force_in_every_norm(engine):
    def check(rng):
        network = random_pixel_network(rng, max_inputs=7)
        pixels = rng.integers(0, network.input.max_value + 1, network.n_inputs)
        check_radius(rng, network, pixels, engine)

    over_seeds(check, 50_000, n=200)


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_the_hamming_radius_of_networks_of_bits_equals_brute_force(engine):
    def check(rng):
        network = random_network(rng, max_inputs=8)
        center = rng.choice([-1, 1], network.n_inputs)
        case = Case(network, bv.HammingBall(center, network.n_inputs))
        changed = case.distances[case.labels(bv.Ties.LOWEST) != case.label]
        answer = bv.radius(network, center, engine=engine)
        assert answer.value == (int(changed.min()) if changed.size else None)

    over_seeds(check, 60_000, n=200)


seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=60, deadline=None)


def dense_case(seed):
    """A network whose first block is dense, and a region of equal costs."""
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    while not network.blocks or not all(isinstance(block, Block) for block in network.blocks):
        network = random_network(rng)
    return rng, network, random_region(rng, network, unit_costs=True)


def same_counts(before, after):
    """Both (network, region) pairs have the same profile, by both engines and under both rules for ties."""
    for engine, ties in product(ENGINES, bv.Ties):
        profiles = [bv.profile(n, cost_ball(r), engine=engine, ties=ties).profile for n, r in (before, after)]
        assert profiles[0] == profiles[1]


def replaced(network, *, blocks=None, output=None):
    return Network(blocks or network.blocks, output or network.output, input=network.input)


def behind(network, layer, change):
    """The network with the weights that read block ``layer``'s outputs changed."""
    blocks, output = list(network.blocks), network.output
    if layer + 1 < len(blocks):
        blocks[layer + 1] = Block(change(blocks[layer + 1].weights), blocks[layer + 1].thresholds)
        return blocks, output
    return blocks, Output(change(output.weights), output.bias, output.scale)


@quick
@given(seeds)
def test_permuting_the_inputs_changes_nothing(seed):
    rng, network, region = dense_case(seed)
    moved = rng.permutation(network.n_inputs)
    first = network.blocks[0]
    permuted = replaced(network, blocks=(Block(first.weights[:, moved], first.thresholds), *network.blocks[1:]))
    places = np.argsort(moved)[region.free]
    other = type(region)(region.center[moved], np.sort(places), region.costs, region.budget)
    same_counts((network, region), (permuted, other))


@quick
@given(seeds)
def test_negating_an_input_with_its_weights_changes_nothing(seed):
    rng, network, region = dense_case(seed)
    signs = rng.choice([-1, 1], network.n_inputs).astype(np.int8)
    first = network.blocks[0]
    negated = replaced(network, blocks=(Block(first.weights * signs, first.thresholds), *network.blocks[1:]))
    other = type(region)(region.center * signs, region.free, region.costs, region.budget)
    same_counts((network, region), (negated, other))


@quick
@given(seeds)
def test_negating_neurons_with_the_weights_that_read_them_changes_nothing(seed):
    rng, network, region = dense_case(seed)
    layer = int(rng.integers(len(network.blocks)))
    block = network.blocks[layer]
    signs = rng.choice([-1, 1], block.thresholds.size).astype(np.int8)
    blocks, output = behind(network, layer, lambda weights: weights * signs)
    reach = block.fan_in() + 1
    thresholds = np.clip(block.thresholds, -reach, reach)
    blocks[layer] = Block(block.weights * signs[:, None], np.where(signs > 0, thresholds, 1 - thresholds))
    same_counts((network, region), (replaced(network, blocks=blocks, output=output), region))


@quick
@given(seeds)
def test_a_dead_neuron_changes_nothing(seed):
    rng, network, region = dense_case(seed)
    layer = int(rng.integers(len(network.blocks)))
    block = network.blocks[layer]
    blocks, output = behind(network, layer, lambda weights: np.pad(weights, [(0, 0), (0, 1)]))
    row = rng.integers(-1, 2, (1, block.weights.shape[1]))
    blocks[layer] = Block(np.vstack([block.weights, row]), np.append(block.thresholds, rng.integers(-2, 3)))
    same_counts((network, region), (replaced(network, blocks=blocks, output=output), region))


@quick
@given(seeds)
def test_a_block_that_repeats_its_inputs_changes_nothing(seed):
    rng, network, region = dense_case(seed)
    layer = int(rng.integers(len(network.blocks) + 1))
    width = network.shapes[layer][0]
    blocks = list(network.blocks)
    blocks.insert(layer, Block(np.eye(width, dtype=np.int8), np.zeros(width, dtype=np.int64)))
    same_counts((network, region), (replaced(network, blocks=blocks), region))


def with_twin(network, label):
    """The network with one more class, which scores exactly as ``label`` does."""
    output = network.output
    rows = [*range(network.n_classes), label]
    return replaced(network, output=Output(output.weights[rows], output.bias[rows], output.scale[rows]))


@quick
@given(seeds)
def test_a_twin_of_a_class_wins_nothing_unless_ties_violate(seed):
    _, network, region = dense_case(seed)
    label = class_of(network, region.center)
    twin = with_twin(network, label)
    for engine in ENGINES:
        plain = bv.count(network, cost_ball(region), engine=engine).counts
        assert bv.count(twin, cost_ball(region), engine=engine).counts == plain
        violating = bv.count(twin, cost_ball(region), engine=engine, ties=bv.Ties.VIOLATE).counts
        assert label not in violating
        answer = bv.robustness(twin, cost_ball(region), engine=engine, ties=bv.Ties.VIOLATE)
        assert answer.verdict is bv.Verdict.VIOLATED


@quick
@given(seeds)
def test_a_profile_sums_to_its_counts_and_they_to_the_region(seed):
    _, network, region = dense_case(seed)
    for engine in ENGINES:
        counts = bv.count(network, cost_ball(region), engine=engine).counts
        rows = bv.profile(network, cost_ball(region), engine=engine).profile
        assert dict(sum(map(Counter, rows), Counter())) == counts
        assert sum(counts.values()) == region.size
        assert [sum(row.values()) for row in rows] == [comb(region.free.size, k) for k in range(len(rows))]


@quick
@given(seeds)
def test_fixing_a_free_bit_either_way_splits_the_count(seed):
    rng, network, region = dense_case(seed)
    cube = type(region)(region.center, region.free, region.costs, None)
    if not cube.free.size:
        return
    bit, rest = int(rng.choice(cube.free)), cube.free
    flipped = cube.center.copy()
    flipped[bit] *= -1
    for engine in ENGINES:
        halves = [bv.FreeBits(c, [i for i in rest.tolist() if i != bit]) for c in (cube.center, flipped)]
        parts = [Counter(bv.count(network, half, engine=engine).counts) for half in halves]
        assert dict(parts[0] + parts[1]) == bv.count(network, cost_ball(cube), engine=engine).counts


@quick
@given(seeds)
def test_seen_from_the_opposite_corner_the_profile_of_a_cube_is_reversed(seed):
    _, network, region = dense_case(seed)
    cube = type(region)(region.center, region.free, region.costs, None)
    opposite = cube.center.copy()
    opposite[cube.free] *= -1
    other = type(region)(opposite, cube.free, cube.costs, None)
    for engine in ENGINES:
        rows = bv.profile(network, cost_ball(cube), engine=engine).profile
        assert bv.profile(network, cost_ball(other), engine=engine).profile == rows[::-1]


def simple_network(*, n=4, thresholds=(0, 1, -1), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.choice([-1, 1], (len(thresholds), n))
    return Network([Block(weights, thresholds)], Output(rng.choice([-1, 1], (classes, len(thresholds)))))


EDGES = {
    "no blocks": (Network([], Output([[1, -1, 1], [-1, 1, 1], [0, 0, 1]])), bv.HammingBall([1, 1, -1], 2)),
    "no blocks, one input": (Network([], Output([[1], [-1]])), bv.HammingBall([1], 1)),
    "one class": (simple_network(classes=1), bv.HammingBall([1, 1, 1, 1], 2)),
    "zero radius": (simple_network(), bv.HammingBall([1, 1, 1, 1], 0)),
    "no free bits": (simple_network(), bv.FreeBits([1, -1, 1, 1], [])),
    "radius beyond the inputs": (simple_network(), bv.HammingBall([1, 1, 1, 1], 1000)),
    "all neurons constant": (simple_network(thresholds=(5, -4, 99)), bv.HammingBall([1, 1, 1, 1], 4)),
    "thresholds out of reach": (simple_network(thresholds=(1 << 62, -(1 << 62), 0)), bv.HammingBall([1, 1, 1, 1], 3)),
    "thresholds at the ends of int64": (
        simple_network(thresholds=(np.iinfo(np.int64).max, np.iinfo(np.int64).min, 0)),
        bv.HammingBall([1, 1, 1, 1], 3),
    ),
    "zero weights": (
        Network([Block([[0, 0, 0], [0, 1, 0]], [0, 0])], Output([[1, 1], [-1, 0], [0, 0]])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "all scores tie": (simple_network().__class__([Block([[1, 1]], [0])], Output([[0], [0], [0]])), bv.FreeBits([1, 1], [0, 1])),
    "scale zero": (
        Network([Block([[1, 1, 1]], [0])], Output([[1], [-1], [1]], bias=[0, 0.5, 0.5], scale=[1, 0, 0])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "negative scale": (
        Network([Block([[1, 1, 1]], [0])], Output([[1], [1]], scale=[-0.3, -0.3])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "keys past 62 bits": (
        Network([Block(np.eye(3, dtype=int), [0, 0, 0])], Output([[1, 1, 0], [-1, 0, 1]], bias=[1e-30, 0], scale=[1e30, 3e29])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "huge uniform bias": (
        Network([Block(np.eye(3, dtype=int), [0, 0, 0])], Output([[1, 1, 0], [-1, 0, 1]], bias=[1e200, 1e200])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "biases a hair apart": (
        Network([Block(np.eye(3, dtype=int), [0, 0, 0])], Output([[1, 1, 0], [1, 1, 0]], bias=[0, 5e-324])),
        bv.HammingBall([1, 1, 1], 3),
    ),
    "contradicting centres": (simple_network(), bv.FreeBits([1, 1, 1, 1], [0]) & bv.FreeBits([1, 1, 1, -1], [0])),
    "budget below zero": (simple_network(), bv.CostBall(np.ones(4, dtype=int), np.ones(4, dtype=int), -1)),
    "costs beyond the budget": (simple_network(), bv.CostBall(np.ones(4, dtype=int), np.full(4, 9), 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_equal_brute_force(name):
    network, region = EDGES[name]
    check_everything(np.random.default_rng(0), network, region)


def test_the_empty_region_holds_and_counts_nothing():
    network, region = EDGES["contradicting centres"]
    assert bv.count(network, region).counts == {}
    assert bv.robustness(network, region).verdict is bv.Verdict.HOLDS


def distribution_of_sums(weights):
    """{sums of all rows: number of +1/-1 inputs that give them}, adding one input after the other."""
    found = {(0,) * len(weights): 1}
    for column in np.asarray(weights).T.tolist():
        grown = Counter()
        for sums, n in found.items():
            for sign in (1, -1):
                grown[tuple(s + sign * w for s, w in zip(sums, column, strict=True))] += n
        found = grown
    return found


def counts_over_the_whole_space(network):
    """Counts per class of a one-block network, exactly, however many inputs it has."""
    block = network.blocks[0]
    hidden = Counter()
    for sums, n in distribution_of_sums(block.weights).items():
        hidden[tuple(1 if s >= t else -1 for s, t in zip(sums, block.thresholds.tolist(), strict=True))] += n
    counts = Counter()
    last = Network([], network.output)
    for pattern, n in hidden.items():
        counts[class_of(last, pattern)] += n
    return dict(counts)


def sparse_network(n, fan_in, n_neurons, rng):
    """One block in which each neuron reads ``fan_in`` of n inputs; three classes."""
    weights = np.zeros((n_neurons, n), dtype=np.int64)
    for row in weights:
        row[rng.choice(n, fan_in, replace=False)] = rng.choice([-1, 1], fan_in)
    return Network([Block(weights, rng.integers(-2, 3, n_neurons))], Output(rng.choice([-1, 1], (3, n_neurons))))


@pytest.mark.parametrize(("n", "fan_in", "n_neurons"), [(80, 80, 1), (80, 80, 2), (80, 24, 3), (100, 14, 3), (200, 200, 1)])
def test_whole_spaces_past_64_bits_are_counted_exactly(n, fan_in, n_neurons):
    network = sparse_network(n, fan_in, n_neurons, np.random.default_rng(n + n_neurons))
    expected = counts_over_the_whole_space(network)
    answer = bv.count(network, engine="pushforward")
    assert answer.counts == expected
    assert sum(answer.counts.values()) == 2**n
    assert max(answer.counts.values()) > 2**64


def test_a_profile_past_64_bits_is_exact_at_every_distance():
    n = 90
    network = Network([Block(np.ones((1, n), dtype=int), [0])], Output([[1], [-1]]))
    rows = bv.profile(network, bv.HammingBall(np.ones(n, dtype=int), n), engine="pushforward").profile
    assert rows == tuple({0 if n - 2 * k >= 0 else 1: comb(n, k)} for k in range(n + 1))


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_a_ball_that_bounds_close_is_counted_by_a_formula(engine):
    rng = np.random.default_rng(0)
    n, radius = 784, 12
    center = rng.choice([-1, 1], n)
    far = np.where(rng.random((50, n)) < 0.9, center, -center)
    network = Network([Block(far, np.zeros(50, dtype=int))], Output(rng.choice([-1, 1], (10, 50))))
    counts = bv.count(network, bv.HammingBall(center, radius), engine=engine).counts
    assert counts == {class_of(network, center): sum(comb(n, k) for k in range(radius + 1))}
    assert sum(counts.values()) > 2**64


@pytest.mark.parametrize("engine", ENGINES)
def test_a_ball_past_64_bits_with_few_moving_neurons_is_counted_exactly(engine):
    n, radius = 784, 12
    center = np.ones(n, dtype=int)
    weights = np.ones((1, n), dtype=int)
    network = Network([Block(weights, [n - 2 * 7])], Output([[1], [-1]]))
    sizes = [comb(n, k) for k in range(radius + 1)]
    counts = bv.count(network, bv.HammingBall(center, radius), engine=engine).counts
    assert counts == {0: sum(sizes[:8]), 1: sum(sizes[8:])}
    assert sum(counts.values()) > 2**64


def test_convolutions_give_what_their_definition_says_on_a_whole_space():
    rng = np.random.default_rng(5)
    network = random_network(rng)
    while network.input.shape != (1, 3, 4):
        network = random_network(rng)
    labels = classes_of(network, members_of(bv.HammingBall(np.ones(12, dtype=int), 12).on(network))[2])
    for engine in ENGINES:
        assert bv.count(network, engine=engine).counts == counted(labels)


def test_an_image_is_asked_about_in_its_own_shape():
    rng = np.random.default_rng(6)
    network = random_network(rng)
    while len(network.input.shape) != 3:
        network = random_network(rng)
    image = rng.choice([-1, 1], network.input.shape)
    flat = bv.count(network, bv.HammingBall(image.reshape(-1), 2)).counts
    assert bv.count(network, bv.HammingBall(image, 2)).counts == flat
    assert isinstance(network.input, BitInput)
