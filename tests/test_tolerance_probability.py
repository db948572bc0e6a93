"""Failure probabilities against all faulty networks, one by one; bounds against exact answers; kernels against sums."""

import json
import math
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest

import tests.oracle as oracle
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.errors import InputFormatError, UsageError
from bnnverify.faults import Symmetric, run
from bnnverify.inference import predict
from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, QuantizedInput
from bnnverify.queries.results import Ties
from bnnverify.scores import score_keys, tie_order
from bnnverify.weightfaults import probability
from bnnverify.weightfaults.patterns import World, most_probable_first
from bnnverify.weightfaults.probability import failure_probabilities, failure_probability
from bnnverify.weightfaults.probability_moments import Spread, differences_of, moments_of, products
from bnnverify.weightfaults.probability_scores import Duels
from bnnverify.weightfaults.probability_search import Search
from bnnverify.weightfaults.tails import Tails, Unit
from bnnverify.weightflips import flip_weights, weight_bits

RATES = (Fraction(1, 10), Fraction(1, 2), Fraction(1, 1000), Fraction(0), Fraction(1), 0.01, 0.3)


def by_all_faulty_networks(network, values, rate, layers, order):
    """The probability of each class: every set of flips, executed by the definition."""
    bits = [bit for layer in layers for bit in weight_bits(network, layer)]
    found = [Fraction(0)] * network.n_classes
    for chosen in product([False, True], repeat=len(bits)):
        flips = [bit for bit, flipped in zip(bits, chosen, strict=True) if flipped]
        label = oracle.classes_of(flip_weights(network, flips), [values], order)[0]
        found[label] += rate ** len(flips) * (1 - rate) ** (len(bits) - len(flips))
    return found


def random_question(rng, most_bits):
    """A small network, an input, a rule for ties and layers with at most ``most_bits`` weights."""
    while True:
        network = oracle._random_conv_network(rng) if rng.random() < 0.3 else random_dense(rng)
        n = len(network.blocks)
        stored = [i for i in range(n + 1) if i == n or not isinstance(network.blocks[i], MaxPool)]
        layers = tuple(sorted(rng.choice(stored, int(rng.integers(1, len(stored) + 1)), replace=False).tolist()))
        if sum(len(weight_bits(network, layer)) for layer in layers) <= most_bits:
            values = rng.choice([-1, 1], network.n_inputs)
            return network, values, layers, list(Ties)[rng.integers(2)]


def random_dense(rng, sizes=None):
    sizes = rng.integers(1, 5, int(rng.integers(1, 5))).tolist() if sizes is None else sizes
    blocks = [oracle._random_block(rng, a, b) for a, b in pairwise(sizes)]
    return Network(blocks, oracle._random_output(rng, sizes[-1]), input=BitInput((sizes[0],)))


def order_for(network, values, ties):
    label = oracle.class_of(network, values)
    return label, tie_order(network.n_classes, last=label if ties is Ties.VIOLATE else None)


def require_equal_to_brute_force(seeds, most_bits):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        network, values, layers, ties = random_question(rng, most_bits)
        rate = RATES[rng.integers(len(RATES))]
        label, order = order_for(network, values, ties)
        expected = by_all_faulty_networks(network, values, Fraction(rate), layers, order)
        found = failure_probability(network, values, rate, layers=layers, ties=ties)
        assert (found.exact, found.kind, found.input_class) == (True, "exact", label), seed
        assert list(found.classes) == expected, seed
        assert found.lower == found.upper == 1 - expected[label], seed


def require_enclosed(seeds, most_bits):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        network, values, layers, ties = random_question(rng, most_bits)
        rate = RATES[rng.integers(len(RATES))]
        exact = failure_probability(network, values, rate, layers=layers, ties=ties)
        assert exact.exact, seed
        world = world_of(network, values, rate, layers=layers, ties=ties)
        for patterns in (0, 1, 2, 5, 1 << 12):
            found = Search(world).run(1e-9, math.inf, patterns)
            assert Fraction(found.change) <= exact.lower <= Fraction(found.most), (seed, patterns)
            assert all(Fraction(p) <= q for p, q in zip(found.classes, exact.classes, strict=True)), (seed, patterns)
        assert found.most - found.change < 1e-8, seed


def world_of(network, values, rate, layers=None, ties=Ties.LOWEST):
    layers = range(len(network.blocks) + 1) if layers is None else layers
    label, order = order_for(network, values, ties)
    laws = {True: Tails(Fraction(rate), exact=False), False: Tails(Fraction(0), exact=False)}
    tails = tuple(laws[layer in layers] for layer in range(len(network.blocks) + 1))
    bits = np.asarray(values, dtype=np.int64).reshape(network.shapes[0])
    return World(network, bits, tails, score_keys(network.output, order), label)


def test_the_probability_of_each_class_equals_that_over_all_faulty_networks() -> None:
    require_equal_to_brute_force(range(80), most_bits=7)


@pytest.mark.slow
def test_the_probability_of_each_class_equals_that_over_all_faulty_networks_of_more_weights() -> None:
    require_equal_to_brute_force(range(1000, 1250), most_bits=12)


@pytest.mark.slow
def test_twenty_weights_make_a_million_faulty_networks_and_one_probability() -> None:
    rng = np.random.default_rng(20)
    weights = [rng.choice([-1, 1], shape) for shape in ((3, 3), (3, 3), (2, 3))]
    blocks = [Block(weights[0], [0, 1, -1]), Block(weights[1][:2], [1, -1])]
    network = Network(blocks, Output(weights[2][:, :2], bias=[0.5, 0]))
    values, layers, rate = np.array([1, -1, 1]), (0, 1, 2), Fraction(1, 5)
    assert sum(len(weight_bits(network, layer)) for layer in layers) == 19
    expected = by_all_faulty_networks(network, values, rate, layers, [0, 1])
    assert list(failure_probability(network, values, rate).classes) == expected


def test_bounds_enclose_the_exact_probability_however_few_patterns_are_looked_at() -> None:
    require_enclosed(range(40), most_bits=50)


@pytest.mark.slow
def test_bounds_enclose_the_exact_probability_of_a_thousand_networks() -> None:
    require_enclosed(range(2000, 3000), most_bits=120)


def test_where_scores_spread_little_the_patterns_not_looked_at_cost_less_than_their_mass() -> None:
    helped = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        network = random_dense(rng, [9, 5, 7])
        network = Network(network.blocks, Output(rng.choice([-1, 1], (3, 7)), scale=rng.choice([1.0, 2.0], 3)))
        values, rate = rng.choice([-1, 1], 9), Fraction(1, 100)
        exact = failure_probability(network, values, rate)
        assert exact.exact
        world = world_of(network, values, rate)
        for patterns in (0, 1, 3, 9):
            found = Search(world).run(0, math.inf, patterns)
            assert Fraction(found.change) <= exact.lower <= Fraction(found.most), (seed, patterns)
            helped += patterns == 0 and found.most < 1
    assert helped > 2


def test_a_first_block_over_grey_levels_equals_all_faulty_networks() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        blocks = [Block(rng.integers(-2, 3, (2, 3)), rng.integers(-3, 4, 2))]
        output = oracle._random_output(rng, 2)
        network = Network(blocks, Output(output.weights[:2], output.bias[:2]), input=QuantizedInput((3,), max_value=3))
        pixels = rng.integers(0, 4, 3)
        expected = by_all_faulty_networks(network, pixels, Fraction(1, 5), (0, 1), list(range(network.n_classes)))
        found = failure_probability(network, pixels, Fraction(1, 5))
        assert list(found.classes) == expected
        rounded = Search(world_of(network, pixels, Fraction(1, 5))).run(1e-9, math.inf, 100)
        assert Fraction(rounded.change) <= found.lower <= Fraction(rounded.most) <= found.lower + Fraction(1, 10**8)


@pytest.mark.parametrize(("n", "rate"), [(0, "1/3"), (1, "1/3"), (13, "1/7"), (40, "1/1000"), (64, "1/2")])
def test_agreeing_terms_follow_the_sum_of_two_binomials_and_floats_stay_just_below(n: int, rate: str) -> None:
    p = Fraction(rate)
    for agreeing in {0, n // 3, n}:
        law = Tails(p, exact=True).agreeing(n, agreeing)
        masses = dict(enumerate((Fraction(m, p.denominator**n) for m in law.mass), law.lowest))
        for total in range(n + 1):
            expected = sum(
                math.comb(agreeing, kept)
                * math.comb(n - agreeing, total - kept)
                * (1 - p) ** (kept + n - agreeing - total + kept)
                * p ** (agreeing - kept + total - kept)
                for kept in range(max(0, total - n + agreeing), min(agreeing, total) + 1)
            )
            assert masses[total] == expected
        rounded = Tails(p, exact=False).agreeing(n, agreeing)
        for total, mass in enumerate(rounded.mass.tolist(), rounded.lowest):
            surplus = Fraction(mass) / masses[total] - 1
            assert surplus <= Fraction(64 * n + 64, 1 << 52)
            assert surplus > -Fraction(1, 10**9) or masses[total] < 1e-40


def test_a_law_of_thousands_of_weights_keeps_its_mass() -> None:
    law = Tails(Fraction(1, 100), exact=False).agreeing(9000, 5000)
    assert 0 <= 1 - math.fsum(law.mass) < 1e-12
    assert law.mass.size < 2000


def test_patterns_come_in_the_order_of_their_probabilities_and_each_once() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        units = [random_unit(rng) for _ in range(int(rng.integers(1, 6)))]
        found = list(most_probable_first(units))
        assert len({tuple(values) for _, values in found}) == len(found) == math.prod(len(u.mass) for u in units)
        masses = [mass for mass, _ in found]
        assert all(a >= b * (1 - 1e-12) for a, b in pairwise(masses))
        expected = sorted((math.prod(ms) for ms in product(*(u.mass for u in units))), reverse=True)
        assert np.allclose(masses, expected, rtol=1e-12)


def random_unit(rng):
    """A unit with up to four outcomes, told apart by their values."""
    n = int(rng.integers(1, 5))
    masses = np.sort(rng.random(n))[::-1]
    return Unit((masses / masses.sum()).tolist(), np.array([(i & 1, i >> 1) for i in range(n)], dtype=np.int8))


def test_duels_equal_sums_over_all_hidden_bits_and_flips() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, sign, p = 3, rng.choice([-1.0, 1.0], 3), 0.2
        output = Output(rng.integers(-1, 2, (3, n)), bias=rng.choice([0, 0.5, -2.25], 3), scale=sign)
        on, label = rng.random(n), int(rng.integers(3))
        keys = score_keys(output)
        lost, won = Duels(Tails(Fraction(p), exact=False), output, keys, label).outcomes(np.stack([on, 1 - on]))
        expected = np.zeros(3)
        for bits in product([-1, 1], repeat=n):
            mass = math.prod(q if b > 0 else 1 - q for q, b in zip(on, bits, strict=True))
            for c in range(3):
                expected[c] += mass * beats(output, keys, label, c, bits, p)
        assert np.allclose(won, expected)
        assert np.allclose(np.delete(lost, label), 1 - np.delete(expected, label))


def test_one_bound_holds_for_all_patterns_near_by() -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        block = oracle._random_block(rng, 5, 6)
        output = Output(rng.integers(-1, 2, (3, 6)), bias=rng.choice([0, 0.5], 3))
        tails, label = Tails(Fraction(int(rng.integers(0, 51)), 100), exact=False), int(rng.integers(3))
        arena, laws = Duels(tails, output, score_keys(output), label), tails.rows(block)
        first = rng.choice([-1, 1], 5)
        bounds = arena.least_kept(laws.least_over(first, 3))
        for moves in product([1, -1], repeat=5):
            kept = arena.outcomes(laws.over(first * moves))[0]
            moved = moves.count(-1)
            for m in range(max(moved, 1), 4):
                assert np.all(bounds[m - 1] <= kept + 1e-12), (seed, moves)


def beats(output, keys, label, c, bits, p):
    """The probability that class c beats ``label`` given the hidden bits, over all flips of both rows."""
    total = 0.0
    for flips in product([1, -1], repeat=2 * len(bits)):
        rows = output.weights[[label, c]] * np.reshape(flips, (2, -1))
        own, other = (keys.slopes[[label, c]] * (rows @ np.array(bits)) + keys.offsets[[label, c]]).tolist()
        n_flips = sum(flip < 0 for flip in flips)
        total += (other > own) * p**n_flips * (1 - p) ** (len(flips) - n_flips)
    return total if c != label else 0.0


def test_products_of_rows_equal_sums_over_all_patterns_below() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reads, chances = rng.integers(-1, 2, (4, 5)).astype(np.int8), rng.random(5)
        table = rng.random((4, 11)) * 2 - 1
        single, pairs = products(reads, table, chances)
        means, squares = np.zeros(4), np.zeros((4, 4))
        for moves in product([0, 1], repeat=5):
            mass = math.prod(q if m else 1 - q for q, m in zip(chances, moves, strict=True))
            bits = table[np.arange(4), 5 - reads @ np.array(moves)]
            means += mass * bits
            squares += mass * np.outer(bits, bits)
        np.fill_diagonal(squares, 1)
        assert np.allclose(single, means)
        assert np.allclose(pairs, squares)


def test_the_spread_bounds_the_probability_of_each_lost_duel() -> None:
    rng = np.random.default_rng(3)
    blocks = [oracle._random_block(rng, 7, 6), oracle._random_block(rng, 6, 8)]
    network = Network(blocks, Output(np.vstack([np.ones(8), -np.ones(8)])))
    world = world_of(network, rng.choice([-1, 1], 7), Fraction(1, 50))
    units = world.units(world.values, 0)
    moments = moments_of(world.row_laws(1), network.blocks[1], units, world.off_by)
    spread = Spread(differences_of(world.tails[2], network.output, world.keys, world.label), moments)
    laws = [(m, np.array(world.tails[1].bit_laws(network.blocks[1], v)).T) for m, v in world.patterns(world.values, 0)]
    parts = [mass * spread.of(*law) for mass, law in laws]
    assert math.fsum(parts) <= spread.total <= math.fsum(parts) + 1e-6


def test_no_errors_change_nothing_and_certain_errors_change_what_they_change() -> None:
    network, x = bundled_network(), bundled_images().values[0]
    assert failure_probability(network, x, 0).upper < Fraction(1, 10**6)
    one = Network([], Output([[1], [-1]]))
    assert failure_probability(one, [1], 1).lower == 1
    assert failure_probability(one, [1], 0).upper == 0


def test_a_tie_that_counts_as_a_change_has_happened_before_any_error() -> None:
    network = Network([], Output([[1, 1], [1, 1]]))
    assert failure_probability(network, [1, 1], 0, ties=Ties.VIOLATE).lower == 1
    assert failure_probability(network, [1, 1], 0).upper == 0


def test_a_channel_with_a_large_kernel_gets_bounds_that_are_valid_and_say_so() -> None:
    rng = np.random.default_rng(1)
    block = ConvBlock(rng.choice([-1, 1], (2, 3, 3, 3)), [1, 1])
    network = Network([block], Output(rng.choice([-1, 1], (3, 18))), input=BitInput((3, 5, 5)))
    x = rng.choice([-1, 1], 75)
    found = failure_probability(network, x, 1e-3, layers=(0,), precision=1e-6)
    assert (found.kind, found.exact) == ("bound", False)
    assert found.width < Fraction(1, 10)
    point = run(network, (x[None], predict(network, x)), Symmetric(1e-3).on(layers=[0]), trials=1000, seed=1).points[0]
    assert float(found.lower) <= 1 - point.low
    assert float(found.upper) >= 1 - point.high


def test_the_expected_accuracy_of_a_set_lies_between_the_means_of_its_bounds() -> None:
    rng = np.random.default_rng(5)
    network = random_dense(rng, [4, 3, 2])
    X, labels = rng.choice([-1, 1], (6, 4)), rng.integers(0, network.n_classes, 6)
    found = failure_probabilities(network, X, Fraction(1, 10), labels)
    order = list(range(network.n_classes))
    right = [
        by_all_faulty_networks(network, x, Fraction(1, 10), (0,), order)[y] for x, y in zip(X, labels, strict=True)
    ]
    restricted = failure_probabilities(network, X, Fraction(1, 10), labels, layers=(0,))
    assert restricted.lower == restricted.upper == sum(right) / 6
    assert found.lower == found.upper
    assert json.dumps(found.to_dict())
    assert "6 instances" in repr(found)


def test_bounds_of_the_expected_accuracy_hold_for_right_and_wrong_labels(monkeypatch) -> None:
    rng = np.random.default_rng(6)
    network = random_dense(rng, [4, 3, 4])
    X, labels = rng.choice([-1, 1], (8, 4)), rng.integers(0, network.n_classes, 8)
    exact = failure_probabilities(network, X, 0.05, labels)
    monkeypatch.setattr(probability, "EXACT_WEIGHTS", -1)
    for precision in (0.5, 0.1, 1e-6):
        found = failure_probabilities(network, X, 0.05, labels, precision=precision)
        assert found.lower <= exact.lower <= found.upper


@pytest.mark.parametrize("index", [0, 4])
def test_on_the_bundled_network_the_bounds_are_narrow_and_meet_the_campaign(index: int) -> None:
    network, x = bundled_network(), bundled_images().values[index]
    found = failure_probability(network, x, 1e-3)
    assert found.width <= Fraction(1, 1000)
    point = run(network, (x[None], predict(network, x)), Symmetric(1e-3), trials=100, seed=2).points[0]
    assert float(found.lower) <= 1 - point.low
    assert float(found.upper) >= 1 - point.high


def test_time_that_is_over_leaves_bounds_that_hold() -> None:
    found = failure_probability(bundled_network(), bundled_images().values[2], 0.05, timeout=0.0)
    assert 0 <= found.lower <= found.upper <= 1
    assert (found.patterns, found.kind) == (1, "bound")


def test_an_answer_prints_in_one_line_and_as_json() -> None:
    network = Network([Block([[1, 1, 1]], [0])], Output([[1], [-1]]))
    found = failure_probability(network, [1, 1, 1], Fraction(1, 10), layers=(0,))
    assert repr(found) == "FailureProbability(0.028, exact, ber 0.1, class 0)"
    assert json.loads(json.dumps(found.to_dict()))["classes"] == {"0": 0.972, "1": 0.028}


@pytest.mark.parametrize("ber", [-0.1, 1.5, float("nan"), "often", None])
def test_a_rate_that_is_no_probability_is_refused(ber: object) -> None:
    with pytest.raises(UsageError, match="expected a probability, 0 to 1"):
        failure_probability(Network([], Output([[1], [-1]])), [1], ber)


def test_a_layer_without_weights_is_refused() -> None:
    pooled = Network([MaxPool()], Output(np.ones((2, 4))), input=BitInput((1, 4, 4)))
    for layers in ((0,), (2,), (-1,)):
        with pytest.raises(UsageError, match="stores no weights, expected some of"):
            failure_probability(pooled, np.ones(16), 0.1, layers=layers)


def test_two_instances_or_labels_that_do_not_fit_are_refused() -> None:
    network = Network([], Output([[1], [-1]]))
    with pytest.raises(InputFormatError, match="found 2 instances, expected one"):
        failure_probability(network, [[1], [-1]], 0.1)
    for labels in ([], [0], [0, 2]):
        with pytest.raises(UsageError, match="expected a class for each"):
            failure_probabilities(network, [[1], [-1]], 0.1, labels)
