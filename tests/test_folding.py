"""Folding against an oracle that compares squares of rationals, and against brute force over bits."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bnnverify.errors import ModelFormatError
from bnnverify.folding import (
    Affine,
    BatchNorm,
    ceil_with_root,
    cut,
    fold_rows,
    fold_rows_before_pool,
    negate_inputs,
    output_scores,
    pixel_thresholds,
)

FAN_IN = 9

parameters = st.floats(-8, 8, width=32) | st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0])
variances = st.floats(0.0009765625, 64, width=32) | st.sampled_from([1.0, 4.0, 0.25, 2.0])
ternary_rows = st.lists(st.sampled_from([-1, 0, 1]), min_size=FAN_IN, max_size=FAN_IN)


@st.composite
def neurons(draw):
    floats = {name: Fraction(draw(parameters)) for name in ("bias", "gamma", "beta", "mean")}
    scale = draw(st.sampled_from([Fraction(1), Fraction(1, 255), Fraction(-2, 3)]))
    return Affine(scale=scale, variance=Fraction(draw(variances)), **floats)


def is_positive(neuron: Affine, total: int) -> bool:
    """``gamma (scale s + bias - mean) >= -beta sqrt(variance)``, decided by signs and squares alone."""
    left = neuron.gamma * (neuron.scale * total + neuron.bias - neuron.mean)
    right = -neuron.beta
    if (left >= 0) != (right >= 0):
        return left >= 0
    squared = left * left - right * right * neuron.variance
    return squared >= 0 if left >= 0 else squared <= 0


@given(neurons())
@example(Affine(gamma=Fraction(0), beta=Fraction(0)))
@example(Affine(gamma=Fraction(1), beta=Fraction(-3), variance=Fraction(4)))
@example(Affine(gamma=Fraction(-1), beta=Fraction(3), variance=Fraction(4)))
@example(Affine(gamma=Fraction(1), beta=Fraction(0), mean=Fraction(2)))
def test_a_cut_equals_the_exact_neuron_at_every_sum(neuron):
    direction, least = cut(neuron)
    for total in range(-300, 301):
        assert (direction * total >= least) == is_positive(neuron, total)


@given(neurons(), ternary_rows)
def test_folded_rows_equal_the_neuron_on_every_sum_and_stay_small(neuron, row):
    weights = np.array([row], dtype=np.int8)
    folded = fold_rows(weights, [neuron])
    fan_in = sum(map(abs, row))
    assert -fan_in <= folded.thresholds[0] <= fan_in + 1
    sign = 1 if np.array_equal(folded.weights, weights) else -1
    assert np.array_equal(folded.weights, sign * weights)
    for total in range(-fan_in, fan_in + 1, 2):
        assert (sign * total >= folded.thresholds[0]) == is_positive(neuron, total)


@given(neurons(), ternary_rows)
def test_integer_inputs_are_clipped_to_their_own_reach(neuron, row):
    levels = 3
    folded = fold_rows(np.array([row], dtype=np.int8), [neuron], max_value=levels)
    for inputs in ([0] * FAN_IN, [levels] * FAN_IN, list(range(FAN_IN)), [3, 0] * 4 + [3]):
        values = np.minimum(inputs, levels)
        answer = (folded.weights[0] * values).sum() >= folded.thresholds[0]
        assert answer == is_positive(neuron, int((np.array(row) * values).sum()))


@given(neurons(), st.lists(ternary_rows, min_size=2, max_size=4))
def test_pooled_sums_before_any_batchnorm_equal_an_or_of_bits_up_to_the_complement(neuron, windows):
    """The window's sums differ because its inputs do; here the inputs are rows and the weights are ones."""
    weights = np.ones((1, FAN_IN), dtype=np.int8)
    folded = fold_rows_before_pool(weights, [neuron])
    totals = [sum(window) for window in windows]
    pooled = any(int(folded.weights.sum()) // FAN_IN * total >= folded.thresholds[0] for total in totals)
    assert (pooled != bool(folded.complemented[0])) == is_positive(neuron, max(totals))


def test_negated_inputs_read_complements_as_if_they_were_the_bits():
    rng = np.random.default_rng(3)
    flags = np.array([True, False, True])
    for shape in ((4, 3), (4, 12), (4, 3, 2, 2)):
        weights = rng.integers(-1, 2, size=shape).astype(np.int8)
        bits = rng.choice([-1, 1], size=shape[1:])
        channels = bits.reshape(3, -1)
        complement = np.where(flags[:, None], -channels, channels).reshape(shape[1:])
        axes = tuple(range(1, len(shape)))
        read = (negate_inputs(weights, flags) * complement).sum(axis=axes)
        assert np.array_equal(read, (weights * bits).sum(axis=axes))


@given(
    st.fractions(-50, 50, max_denominator=1000),
    st.fractions(-5, 5, max_denominator=1000),
    st.fractions(0, 50, max_denominator=1000),
)
def test_the_ceiling_with_a_root_agrees_with_a_hundred_digits(center, factor, square):
    found = ceil_with_root(center, factor, square)
    with localcontext() as context:
        context.prec = 100
        root = (Decimal(square.numerator) / square.denominator).sqrt()
        value = Decimal(center.numerator) / center.denominator + root * factor.numerator / factor.denominator
        assert found - 1 - Decimal("1e-80") < value <= found + Decimal("1e-80")


def test_a_boundary_below_float_resolution_is_decided_exactly():
    """sqrt(2)^2 rounds to 2.0000000000000004: the float answer to ``2 <= x`` is wrong here."""
    tiny = Fraction(1, 10**40)
    assert ceil_with_root(Fraction(0), Fraction(1), Fraction(4)) == 2
    assert ceil_with_root(Fraction(0), Fraction(1), Fraction(4) + tiny) == 3
    assert ceil_with_root(Fraction(0), Fraction(-1), Fraction(4) + tiny) == -2
    assert ceil_with_root(Fraction(0), Fraction(-1), Fraction(4) - tiny) == -1


@pytest.mark.parametrize(("beta", "threshold"), [(0.0, -FAN_IN), (1e-30, -FAN_IN), (-1e-30, FAN_IN + 1)])
def test_a_batchnorm_weight_of_zero_makes_a_constant_neuron_by_the_sign_of_beta(beta, threshold):
    norm = BatchNorm("bn", np.zeros(1), np.array([beta]), np.array([5.0]), np.ones(1), 1e-5)
    folded = fold_rows(np.ones((1, FAN_IN), dtype=np.int8), [norm.apply(0, Fraction(1), Fraction(0))])
    assert folded.thresholds[0] == threshold


@given(neurons())
def test_pixel_thresholds_equal_the_neuron_at_every_grey_level(neuron):
    values = {name: np.array([float(getattr(neuron, name))]) for name in ("gamma", "beta", "mean", "variance")}
    norm = BatchNorm("input", **values, epsilon=0.0)
    thresholds, rising = pixel_thresholds(norm)
    pixel_neuron = norm.apply(0, Fraction(1, 255), Fraction(0))
    assert 0 <= thresholds[0] <= 256
    for pixel in range(256):
        assert ((pixel >= thresholds[0]) == rising[0]) == is_positive(pixel_neuron, pixel)
    if thresholds[0] in (0, 256):
        assert rising[0]


def test_every_small_network_folds_to_what_its_floats_compute():
    """All ternary rows of three inputs, all signs of gamma and beta, every input."""
    choices = [-1.5, 0.0, 1.5]
    for row in product((-1, 0, 1), repeat=3):
        for gamma, beta, mean in product(choices, repeat=3):
            neuron = Affine(gamma=Fraction(gamma), beta=Fraction(beta), mean=Fraction(mean), variance=Fraction(9, 4))
            folded = fold_rows(np.array([row], dtype=np.int8), [neuron])
            for bits in product((-1, 1), repeat=3):
                value = gamma * (np.dot(row, bits) - mean) / 1.5 + beta
                assert (np.dot(folded.weights[0], bits) >= folded.thresholds[0]) == (value >= 0)


def test_output_scores_without_batchnorm_are_the_stored_floats():
    biases = [Fraction(0.1), Fraction(-3.25)]
    scale, bias, exact = output_scores("out", [Affine(bias=b) for b in biases])
    assert exact
    assert scale.tolist() == [1.0, 1.0]
    assert bias.tolist() == [0.1, -3.25]


def test_output_scores_say_when_an_irrational_scale_was_rounded():
    scale, bias, exact = output_scores("out", [Affine(gamma=Fraction(3), mean=Fraction(1), variance=Fraction(2))])
    assert not exact
    assert scale[0] == float(Fraction(3 * 10**40, 14142135623730950488016887242096980785697))
    assert bias[0] == -scale[0]
    _, _, exact = output_scores("out", [Affine(gamma=Fraction(3), variance=Fraction(4))])
    assert exact


def test_an_output_scale_beyond_floats_is_refused():
    with pytest.raises(ModelFormatError, match="out: a score exceeds"):
        output_scores("out", [Affine(gamma=Fraction(10) ** 300, variance=Fraction(1, 10**40))])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("variance", -1.0, "bn: variance -1.0 of feature 1 plus epsilon 0.5 is not positive"),
        ("variance", -0.5, "bn: variance -0.5 of feature 1"),
        ("variance", np.nan, "bn variance: found nan at index 1"),
        ("gamma", np.inf, "bn gamma: found inf at index 1"),
        ("beta", np.nan, "bn beta: found nan at index 1"),
        ("mean", -np.inf, "bn mean: found -inf at index 1"),
    ],
)
def test_an_untrained_or_broken_batchnorm_is_refused_by_name(field, value, message):
    values = {name: np.ones(3) for name in ("gamma", "beta", "mean", "variance")}
    values[field][1] = value
    with pytest.raises(ModelFormatError, match=message):
        BatchNorm("bn", **values, epsilon=0.5)


def test_batchnorm_shapes_must_agree():
    with pytest.raises(ModelFormatError, match=r"bn mean: shape \(2,\), expected \(3,\)"):
        BatchNorm("bn", np.ones(3), np.ones(3), np.ones(2), np.ones(3), 1e-5)


@pytest.mark.parametrize("epsilon", [-1.0, float("nan"), float("inf")])
def test_an_epsilon_must_be_a_finite_number_of_at_least_zero(epsilon):
    with pytest.raises(ModelFormatError, match="bn: epsilon"):
        BatchNorm("bn", np.ones(1), np.ones(1), np.ones(1), np.ones(1), epsilon)
