"""Regions in normal form hold exactly the inputs that their definitions name, alone and intersected."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bnnverify as bv
from bnnverify.errors import InputFormatError, UnsupportedError, UsageError
from bnnverify.network import Block, Network, Output, QuantizedInput, ThresholdInput
from bnnverify.regions import BitRegion, least_perturbation_costs, whole_space

N = 5
BITS = Network([Block([[1] * N], [0])], Output([[1], [-1]]))
PIXELS = Network(
    [Block([[1] * N], [0])],
    Output([[1], [-1]]),
    input=ThresholdInput([2, 0, 4, 1, 3], [True, True, True, False, True], max_value=3),
)
EVERY_BITS = np.array(list(product((-1, 1), repeat=N)))
seeds = st.integers(0, 2**32 - 1)


def holds(region, network, bits):
    """Membership by each region's own definition, pixels being tried level by level."""
    if isinstance(region, bv.PixelBox):
        levels = [near(network.input, int(p), region) for p in region.pixels]
        return all(any(bit_of(network.input, i, v) == bits[i] for v in levels[i]) for i in range(N))
    if hasattr(region, "parts"):
        return all(holds(part, network, bits) for part in region.parts)
    flipped = np.flatnonzero(network.input.to_bits(region.center) != bits)
    if isinstance(network.input, ThresholdInput) and any(is_constant(network.input, i) for i in flipped):
        return False
    if isinstance(region, bv.HammingBall):
        return flipped.size <= region.radius
    if isinstance(region, bv.FreeBits):
        return set(flipped.tolist()) <= set(region.indices)
    costs = [int(region.costs[i]) for i in flipped]
    return all(costs) and (region.budget is None or sum(costs) <= region.budget)


def bit_of(layer, i, level):
    return 1 if (level >= layer.thresholds[i]) == layer.rising[i] else -1


def is_constant(layer, i):
    return len({bit_of(layer, i, level) for level in range(layer.max_value + 1)}) == 1


def near(layer, pixel, box):
    """Grey levels that a box allows for a pixel."""
    reach = box.eps * layer.max_value
    return [level for level in range(layer.max_value + 1) if abs(level - pixel) <= reach]


def assert_same_members(region, network):
    normal = region.on(network)
    expected = [holds(region, network, bits) for bits in EVERY_BITS]
    assert [normal.contains(bits) for bits in EVERY_BITS] == expected
    assert normal.size == sum(expected)
    assert np.all(np.diff(normal.free) > 0)
    assert np.all(normal.costs > 0)


def bit_parts(rng):
    """A ball, free bits or a cost ball on bits."""
    center = rng.choice([-1, 1], N)
    return [
        bv.HammingBall(center, int(rng.integers(0, N + 2))),
        bv.FreeBits(center, np.flatnonzero(rng.random(N) < 0.6).tolist()),
        bv.CostBall(center, rng.integers(0, 4, N), int(rng.integers(0, 8)) if rng.random() < 0.8 else None),
    ]


def pixel_parts(rng):
    pixels = rng.integers(0, 4, N)
    return [
        bv.HammingBall(pixels, int(rng.integers(0, N + 2))),
        bv.FreeBits(pixels, np.flatnonzero(rng.random(N) < 0.6).tolist()),
        bv.PixelBox(pixels, Fraction(int(rng.integers(0, 4)), 3)),
    ]


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_each_region_holds_what_its_definition_says(seed):
    rng = np.random.default_rng(seed)
    for parts, network in ((bit_parts(rng), BITS), (pixel_parts(rng), PIXELS)):
        for region in parts:
            assert_same_members(region, network)


def is_limited(part):
    return isinstance(part, bv.HammingBall) or (isinstance(part, bv.CostBall) and part.budget is not None)


def joined(parts):
    region = parts[0]
    for part in parts[1:]:
        region = region & part
    return region


@pytest.mark.parametrize(("make", "network"), [(bit_parts, BITS), (pixel_parts, PIXELS)], ids=["bits", "pixels"])
def test_intersections_hold_what_all_their_parts_hold(make, network):
    answered = 0

    @settings(max_examples=400, deadline=None)
    @given(seeds)
    def check(seed):
        nonlocal answered
        rng = np.random.default_rng(seed)
        parts = [make(rng)[rng.integers(3)] for _ in range(int(rng.integers(2, 4)))]
        try:
            joined(parts).on(network)
        except UnsupportedError:
            assert sum(map(is_limited, parts)) >= 2
            return
        assert_same_members(joined(parts), network)
        answered += 1

    check()
    assert answered > 200


def test_balls_of_one_centre_intersect_to_the_smaller():
    center = [1, -1, 1, -1, 1]
    region = (bv.HammingBall(center, 3) & bv.HammingBall(center, 1)).on(BITS)
    assert (region.budget, region.size) == (1, 1 + N)


def test_two_balls_of_different_centres_are_refused_in_one_sentence():
    balls = bv.HammingBall([1] * N, 2) & bv.HammingBall([-1] * N, 4)
    with pytest.raises(
        UnsupportedError, match=r"^intersection of two balls with different centres is not supported; give"
    ):
        balls.on(BITS)


def test_two_cost_limits_are_refused_in_one_sentence():
    ball = bv.CostBall(np.ones(N, dtype=int), np.arange(1, N + 1), 3)
    with pytest.raises(UnsupportedError, match=r"^intersection of two cost limits is not supported$"):
        (ball & bv.HammingBall([1] * N, 2)).on(BITS)


def test_a_fixed_part_that_differs_from_the_centre_spends_the_budget():
    """Bits 0 and 1 are fixed to -1, which takes two of the three flips."""
    region = (bv.HammingBall([1] * N, 3) & bv.FreeBits([-1, -1, 1, 1, 1], [2, 3, 4])).on(BITS)
    assert (region.budget, region.size, region.center.tolist()) == (1, 4, [-1, -1, 1, 1, 1])


def test_fixed_parts_that_contradict_leave_nothing():
    region = (bv.FreeBits([1] * N, [0]) & bv.FreeBits([1, 1, -1, 1, 1], [0])).on(BITS)
    assert (region.size, region.radius) == (0, -1)


@given(st.lists(st.integers(1, 6), max_size=8), st.integers(-1, 30))
def test_a_region_s_size_and_radius_are_those_of_its_affordable_subsets(costs, budget):
    m = len(costs)
    region = BitRegion(np.ones(m, dtype=np.int8), np.arange(m), np.array(costs, dtype=np.int64), budget)
    affordable = [s for s in product((0, 1), repeat=m) if sum(c for c, f in zip(costs, s, strict=True) if f) <= budget]
    assert region.size == len(affordable)
    assert region.radius == max(map(sum, affordable), default=-1)


def test_the_size_of_a_ball_is_exact_past_64_bits():
    network = Network([], Output(np.ones((2, 784), dtype=int)))
    ball = bv.HammingBall(np.ones(784, dtype=int), 12).on(network)
    assert ball.size == sum(comb(784, k) for k in range(13)) > 2**64
    assert whole_space(network).on(network).size == 2**784


@pytest.mark.parametrize(("eps", "levels"), [(0, 0), (8 / 255, 8), (0.1, 25), (Fraction(1, 3), 85), (1.0, 255)])
def test_a_box_reaches_the_grey_levels_that_its_fraction_names(eps, levels):
    network = Network([Block([[1]], [0])], Output([[1], [-1]]), input=ThresholdInput([128], [True]))
    assert bv.PixelBox([0], eps).levels(network) == levels


def test_a_box_of_eight_levels_frees_what_lies_within_eight():
    layer = ThresholdInput([108, 109, 93, 92], [True] * 4)
    network = Network([Block([[1] * 4], [0])], Output([[1], [-1]]), input=layer)
    assert bv.PixelBox([100] * 4, 8 / 255).on(network).free.tolist() == [0, 2]


@pytest.mark.parametrize("norm", ["l0", "hamming", "l1", "l2", "linf"])
def test_the_cost_of_a_flip_is_the_least_change_over_all_levels(norm):
    layer, pixels = PIXELS.input, np.array([3, 1, 0, 2, 2])
    for i, cost in enumerate(least_perturbation_costs(PIXELS, pixels, norm).tolist()):
        other = [abs(v - pixels[i]) for v in range(4) if bit_of(layer, i, v) != bit_of(layer, i, int(pixels[i]))]
        change = min(other, default=0)
        assert cost == {"l0": min(change, 1), "hamming": min(change, 1), "l2": change**2}.get(norm, change)


REFUSED = {
    "negative radius": (
        lambda: bv.HammingBall([1] * N, -1),
        UsageError,
        "radius -1: expected an integer of at least 0",
    ),
    "fractional radius": (lambda: bv.HammingBall([1] * N, 1.5), UsageError, "radius 1.5: expected an integer"),
    "NaN radius": (lambda: bv.HammingBall([1] * N, float("nan")), UsageError, "radius nan: expected an integer"),
    "infinite radius": (lambda: bv.HammingBall([1] * N, float("inf")), UsageError, "radius inf: expected an integer"),
    "boolean radius": (lambda: bv.HammingBall([1] * N, True), UsageError, "radius True: expected an integer"),
    "radius of text": (lambda: bv.HammingBall([1] * N, "3"), UsageError, "radius 3: expected an integer"),
    "no radius": (lambda: bv.HammingBall([1] * N, None), UsageError, "radius None: expected an integer"),
    "negative index": (lambda: bv.FreeBits([1] * N, [2, -1]), UsageError, "free bit -1: expected an integer"),
    "fractional index": (lambda: bv.FreeBits([1] * N, [1.5]), UsageError, "free bit 1.5: expected an integer"),
    "index out of range": (
        lambda: bv.FreeBits([1] * N, [N]).on(BITS),
        UsageError,
        "free bit 5: expected less than 5, the network's inputs",
    ),
    "eps above 1": (lambda: bv.PixelBox([0] * N, 8), UsageError, "eps 8: expected a fraction of the 0..1 range"),
    "negative eps": (lambda: bv.PixelBox([0] * N, -0.1), UsageError, "eps -0.1: expected a fraction"),
    "NaN eps": (lambda: bv.PixelBox([0] * N, float("nan")), UsageError, "eps nan: expected a fraction"),
    "eps of text": (lambda: bv.PixelBox([0] * N, "8/255"), UsageError, "eps 8/255: expected a fraction"),
    "box on bits": (
        lambda: bv.PixelBox([0] * N, 0.5).on(BITS),
        UnsupportedError,
        "a pixel box needs a network that binarizes its pixels; network reads BitInput",
    ),
    "negative costs": (lambda: bv.CostBall([1] * N, [-1] * N, 3), UsageError, "costs: expected integers of at least 0"),
    "too few costs": (
        lambda: bv.CostBall([1] * N, [1] * 3, 3).on(BITS),
        UsageError,
        "costs: found 3, expected 5, the network's inputs",
    ),
    "a centre of the wrong size": (lambda: bv.HammingBall([1] * 4, 1).on(BITS), InputFormatError, "input: shape (4,)"),
    "two centres": (
        lambda: bv.HammingBall([[1] * N] * 2, 1).on(BITS),
        UsageError,
        "region: found 10 values, expected one instance of 5",
    ),
    "a centre that is no bits": (
        lambda: bv.HammingBall([3] * N, 1).on(BITS),
        InputFormatError,
        "bits: found the value 3",
    ),
    "a pixel out of range": (
        lambda: bv.HammingBall([9] * N, 1).on(PIXELS),
        InputFormatError,
        "input: expected pixels 0..3",
    ),
    "quantized integers": (
        lambda: bv.HammingBall([1] * N, 1).on(Network(BITS.blocks, BITS.output, input=QuantizedInput((N,)))),
        UnsupportedError,
        "network reads quantized integers; ask for robustness, radius, or a count by approx",
    ),
    "unknown norm": (
        lambda: least_perturbation_costs(PIXELS, [0] * N, "l7"),
        UsageError,
        "norm 'l7': expected hamming",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_region_is_refused_in_one_sentence(name):
    make, error, message = REFUSED[name]
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_numpy_integers_and_whole_floats_are_integers():
    assert bv.HammingBall([1] * N, np.int64(2)).radius == bv.HammingBall([1] * N, 2.0).radius == 2
    assert bv.FreeBits([1] * N, np.array([3, 1, 3])).indices == (1, 3)


def test_regions_print_what_they_are():
    region = bv.HammingBall([1] * N, 2) & bv.FreeBits([1] * N, [0, 3]) & bv.PixelBox([1] * N, 0.5)
    assert repr(region) == "HammingBall(radius=2) & FreeBits(2 bits) & PixelBox(eps=0.5)"
    assert repr(bv.CostBall([1] * N, [1] * N, 7)) == "CostBall(budget=7)"
