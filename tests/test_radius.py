"""The least perturbation in every norm, against brute force over all bits and all grey levels."""

from itertools import product

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import Block, Network, Output, ThresholdInput
from tests.agreement import ENGINES, Case, order_of, over_seeds
from tests.oracle import class_of, classes_of, random_network, random_pixel_network


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
    sets = [
        [i for i, flips in zip(flippable, row, strict=True) if flips] for row in product((0, 1), repeat=len(flippable))
    ]
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


@pytest.mark.parametrize("first", [50_000, pytest.param(50_100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_radius_equals_brute_force_in_every_norm(engine, first):
    def check(rng):
        network = random_pixel_network(rng, max_inputs=7)
        pixels = rng.integers(0, network.input.max_value + 1, network.n_inputs)
        check_radius(rng, network, pixels, engine)

    over_seeds(check, first, n=100)


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


def tied_network():
    """One pixel decides between two classes that always tie; the label is the lower one."""
    layer = ThresholdInput([2], [True], max_value=3)
    return Network([Block([[1]], [0])], Output([[1], [1]]), input=layer)


@pytest.mark.parametrize("norm", NORMS)
def test_where_a_tie_violates_the_instance_itself_is_the_least_perturbation(norm):
    answer = bv.radius(tied_network(), [3], norm=norm, ties=bv.Ties.VIOLATE, check=True)
    assert (answer.value, answer.lower, answer.kind, answer.exhausted) == (0, 0, "exact", False)
    assert answer.witness.input.tolist() == [3]


def test_where_no_bit_can_flip_nothing_changes_and_ties_still_violate():
    layer = ThresholdInput([0], [True], max_value=3)
    network = Network(tied_network().blocks, tied_network().output, input=layer)
    answer = bv.radius(network, [1])
    assert (answer.value, answer.lower, answer.exhausted, answer.kind) == (None, 1, True, "exact")
    assert bv.radius(network, [1], ties=bv.Ties.VIOLATE).value == 0


def test_a_limit_leaves_a_lower_bound():
    network = Network([Block([[1, 1, 1, 1, 1]], [0])], Output([[1], [-1]]))
    answer = bv.radius(network, [1] * 5, limit=2)
    assert (answer.value, answer.lower, answer.kind, answer.exhausted) == (None, 3, "bound", False)
    assert bv.radius(network, [1] * 5, limit=3).value == 3
    assert bv.radius(network, [1] * 5, limit=0).lower == 1


def test_a_class_that_cannot_occur_exhausts_the_search():
    network = Network([Block([[1, 1]], [0])], Output([[1], [-1], [0]], bias=[0, 0, -9]))
    answer = bv.radius(network, [1, 1], target=2)
    assert (answer.value, answer.exhausted, answer.kind) == (None, True, "exact")


@pytest.mark.parametrize("norm", NORMS)
def test_a_second_engine_confirms_the_least_perturbation(norm):
    rng = np.random.default_rng(3)
    network = random_pixel_network(rng)
    answer = bv.radius(network, rng.integers(0, network.input.max_value + 1, network.n_inputs), norm=norm, check=True)
    assert answer.checked_by == "execute"


def test_norms_in_grey_levels_need_pixels():
    network = Network([Block([[1, 1]], [0])], Output([[1], [-1]]))
    assert bv.radius(network, [1, 1], norm="l0").value == bv.radius(network, [1, 1]).value == 2
    for norm in ("l1", "l2", "linf"):
        with pytest.raises(UnsupportedError, match="needs a network that binarizes its pixels"):
            bv.radius(network, [1, 1], norm=norm)


def test_unknown_norms_and_negative_limits_are_refused():
    with pytest.raises(UsageError, match=r"^norm 'l7': expected one of hamming, l0, l1, l2, linf$"):
        bv.radius(tied_network(), [3], norm="l7")
    with pytest.raises(UsageError, match=r"^limit -1: expected a cost of at least 0$"):
        bv.radius(tied_network(), [3], limit=-1)
