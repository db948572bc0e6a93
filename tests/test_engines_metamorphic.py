"""Changes to a network that change no answer, and identities that counts obey, by both engines."""

from collections import Counter
from itertools import product
from math import comb

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import bnnverify as bv
from bnnverify.network import Block, Network, Output
from tests.agreement import ENGINES, cost_ball
from tests.oracle import class_of, random_network, random_region

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
