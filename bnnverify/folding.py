"""Folds Linear or Conv, bias, scale and BatchNorm into integer thresholds, without rounding.

A trained neuron computes ``gamma (a s + b - mean) / sqrt(var + eps) + beta >= 0`` on an integer sum
s. Every parameter is a float, hence a rational; only the square root is irrational. Solved for s,
the bound is ``center + factor sqrt(v)`` with rational center, factor and v, and its ceiling follows
from one integer square root: over the common denominator D, ``n D - C >= f sqrt(Q)`` compares an
integer with a root, so the root may be replaced by its own ceiling. No float is compared anywhere.

A negative slope turns ``s <= T`` into ``-s >= -T``: the row of weights is negated. Where sums are
max-pooled before a negative slope, the maximum of negated sums would be wrong; there the channel
keeps its weights and emits the complement (``s > T``), pooling stays an OR, and whoever reads the
channel negates its weights on it. Cost: one big-integer square root a neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError

ALWAYS = -(1 << 200)
NEVER = 1 << 200
ROOT_BITS = 256


class Affine(NamedTuple):
    """A neuron as exact rationals: ``gamma (scale s + bias - mean) / sqrt(variance) + beta``.

    ``variance`` already holds the epsilon. The defaults are a neuron without bias or BatchNorm.
    """

    scale: Fraction = Fraction(1)
    bias: Fraction = Fraction(0)
    gamma: Fraction = Fraction(1)
    beta: Fraction = Fraction(0)
    mean: Fraction = Fraction(0)
    variance: Fraction = Fraction(1)


class Cut(NamedTuple):
    """The neuron is +1 iff ``direction * s >= least``; direction is +1 or -1."""

    direction: int
    least: int


class FoldedRows(NamedTuple):
    """Ternary weights, int64 thresholds ``(n,)``, and which outputs are complements ``(n,)``."""

    weights: NDArray[np.int8]
    thresholds: NDArray[np.int64]
    complemented: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Stored BatchNorm of n features; all arrays ``(n,)`` finite floats, read as exact rationals.

    Raises:
        ModelFormatError: for shapes that differ, NaN, infinity, or a variance that with its epsilon
            is not positive; the message starts with ``name``.
    """

    name: str
    gamma: NDArray[np.floating[Any]]
    beta: NDArray[np.floating[Any]]
    mean: NDArray[np.floating[Any]]
    variance: NDArray[np.floating[Any]]
    epsilon: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ModelFormatError(f"{self.name}: epsilon {self.epsilon}, expected a finite number of at least 0")
        for field in ("gamma", "beta", "mean", "variance"):
            values = require_finite(f"{self.name} {field}", getattr(self, field), self.n_features)
            object.__setattr__(self, field, values)
        for index in np.flatnonzero(self.variance <= 0):
            if self._exact_variance(int(index)) <= 0:
                raise ModelFormatError(
                    f"{self.name}: variance {self.variance[index]} of feature {index} plus epsilon {self.epsilon} "
                    "is not positive; expected a trained BatchNorm"
                )

    @property
    def n_features(self) -> int:
        return int(np.size(self.gamma))

    def _exact_variance(self, index: int) -> Fraction:
        return exact(self.variance[index]) + Fraction(self.epsilon)

    def apply(self, index: int, scale: Fraction, bias: Fraction) -> Affine:
        """Feature ``index`` of this BatchNorm on ``scale s + bias``."""
        gamma, beta, mean = (exact(values[index]) for values in (self.gamma, self.beta, self.mean))
        return Affine(scale, bias, gamma, beta, mean, self._exact_variance(index))


def exact(value: Any) -> Fraction:
    """The rational number that a stored float is."""
    return Fraction(float(value))


def require_finite(name: str, values: Any, n: int) -> NDArray[np.floating[Any]]:
    """``values`` as a read-only vector of ``n`` finite floats in their own precision.

    Raises:
        ModelFormatError: for another shape or type, NaN or infinity, starting with ``name``.
    """
    array = np.array(values)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ModelFormatError(f"{name}: type {array.dtype}, expected floats of at most 64 bits")
    if array.shape != (n,):
        raise ModelFormatError(f"{name}: shape {array.shape}, expected ({n},)")
    strange = np.flatnonzero(~np.isfinite(array))
    if strange.size:
        raise ModelFormatError(f"{name}: found {array[strange[0]]} at index {strange[0]}, expected finite numbers")
    array.setflags(write=False)
    return array


def ceil_with_root(center: Fraction, factor: Fraction, square: Fraction) -> int:
    """``ceil(center + factor * sqrt(square))``, exactly, for ``square >= 0``.

    >>> ceil_with_root(Fraction(1, 2), Fraction(1), Fraction(2)), ceil_with_root(Fraction(0), Fraction(-1), Fraction(4))
    (2, -2)
    """
    under_root = factor * factor * square
    common = lcm(center.denominator, under_root.denominator)
    root = int(under_root * common * common)
    ceiling = -isqrt(root) if factor < 0 or root == 0 else isqrt(root - 1) + 1
    return -(-(int(center * common) + ceiling) // common)


def cut(neuron: Affine) -> Cut:
    """Where the neuron turns +1, as a bound on its integer sum; constants are ALWAYS or NEVER."""
    slope = neuron.gamma * neuron.scale
    if slope == 0:
        return Cut(1, ALWAYS if _constant_is_positive(neuron) else NEVER)
    direction = 1 if slope > 0 else -1
    center = direction * (neuron.mean - neuron.bias) / neuron.scale
    factor = -direction * neuron.beta / slope
    return Cut(direction, ceil_with_root(center, factor, neuron.variance))


def _constant_is_positive(neuron: Affine) -> bool:
    """Whether ``gamma (bias - mean) / sqrt(variance) + beta >= 0``: a root compared by its ceiling."""
    shift = neuron.gamma * (neuron.bias - neuron.mean)
    return ceil_with_root(-shift, -neuron.beta, neuron.variance) <= 0


def fold_rows(weights: NDArray[np.int8], neurons: Sequence[Affine], max_value: int | None = None) -> FoldedRows:
    """Each row of weights with its neuron as ``row . x >= threshold``.

    Thresholds are clipped to one step past what the sum can reach, [-fan_in, fan_in + 1] over bits,
    so a constant neuron is visible as such and every threshold is small.

    Args:
        weights: ``(n, ...)``, dense rows or convolution kernels.
        neurons: n neurons.
        max_value: None where inputs are bits, else the greatest of the inputs 0..max_value.
    """
    cuts = [cut(neuron) for neuron in neurons]
    directions = np.array([c.direction for c in cuts], dtype=np.int8)
    folded = _rows_times(weights, directions)
    thresholds = _clipped(folded, [c.least for c in cuts], max_value)
    return FoldedRows(folded, thresholds, np.zeros(len(cuts), dtype=np.bool_))


def fold_rows_before_pool(
    weights: NDArray[np.int8], neurons: Sequence[Affine], max_value: int | None = None
) -> FoldedRows:
    """As :func:`fold_rows`, for sums that are max-pooled before their BatchNorm.

    A channel of negative slope keeps its weights and emits ``s > T``, the complement of its bit.
    """
    cuts = [cut(neuron) for neuron in neurons]
    complemented = np.array([c.direction < 0 for c in cuts], dtype=np.bool_)
    least = [1 - c.least if c.direction < 0 else c.least for c in cuts]
    return FoldedRows(weights, _clipped(weights, least, max_value), complemented)


def negate_inputs(weights: NDArray[np.int8], complemented: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Weights that read complements as if they were the bits: columns, or input channels, negated.

    Exact at a padded border too, since padding contributes nothing. ``complemented`` has one entry
    for each channel of ``weights``; a dense layer behind an image has several columns a channel.
    """
    per_channel = weights.shape[1] // complemented.size
    signs = np.repeat(np.where(complemented, -1, 1), per_channel).astype(np.int8)
    return (weights * signs.reshape(1, -1, *[1] * (weights.ndim - 2))).astype(np.int8)


def _rows_times(weights: NDArray[np.int8], signs: NDArray[np.int8]) -> NDArray[np.int8]:
    return (weights * signs.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)


def reach(weights: NDArray[np.int8], max_value: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and greatest sum of every row, ``(n,)`` each, over bits or over inputs 0..max_value."""
    rows = weights.reshape(weights.shape[0], -1).astype(np.int64)
    if max_value is None:
        fan_in = np.abs(rows).sum(axis=1)
        return -fan_in, fan_in
    return np.minimum(rows, 0).sum(axis=1) * max_value, np.maximum(rows, 0).sum(axis=1) * max_value


def _clipped(weights: NDArray[np.int8], least: Sequence[int], max_value: int | None) -> NDArray[np.int64]:
    bounds = zip(least, *(side.tolist() for side in reach(weights, max_value)), strict=True)
    return np.array([min(max(t, low), high + 1) for t, low, high in bounds], dtype=np.int64)


def pixel_thresholds(
    norm: BatchNorm, *, scale: Fraction = Fraction(1, 255), offset: Fraction = Fraction(0), max_value: int = 255
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """BatchNorm and sign of every pixel as ``ThresholdInput`` wants them: thresholds and directions.

    Args:
        norm: one feature a pixel.
        scale, offset: the network is fed ``scale * pixel + offset``; by default pixel / 255.
        max_value: greatest pixel.

    Returns:
        Thresholds in 0..max_value + 1 and ``rising``, both ``(n,)``; the bit is +1 iff
        ``(pixel >= threshold) == rising``. A constant bit rises at 0 or at max_value + 1.
    """
    pairs = [_pixel_threshold(norm.apply(i, scale, offset), max_value) for i in range(norm.n_features)]
    thresholds, rising = zip(*pairs, strict=True)
    return np.array(thresholds, dtype=np.int64), np.array(rising, dtype=np.bool_)


def _pixel_threshold(neuron: Affine, max_value: int) -> tuple[int, bool]:
    direction, least = cut(neuron)
    rising = direction > 0
    threshold = min(max(least if rising else 1 - least, 0), max_value + 1)
    if not rising and threshold in (0, max_value + 1):
        return max_value + 1 - threshold, True
    return threshold, rising


def output_scores(name: str, neurons: Sequence[Affine]) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Scale and bias of every class score, ``(n_classes,)`` each, and whether both are exact.

    Without BatchNorm they are the stored floats. With one, ``gamma / sqrt(var + eps)`` is mostly
    irrational; then both are the nearest float64 and the third value is False.

    Raises:
        ModelFormatError: if a score exceeds the range of float64.
    """
    scales, biases = [], []
    all_exact = True
    for neuron in neurons:
        root, rational = _root(neuron.variance)
        scale = neuron.gamma * neuron.scale / root
        bias = neuron.gamma * (neuron.bias - neuron.mean) / root + neuron.beta
        scales.append(_nearest_float(name, scale))
        biases.append(_nearest_float(name, bias))
        all_exact &= rational and scales[-1] == scale and biases[-1] == bias
    return np.array(scales), np.array(biases), all_exact


def _root(square: Fraction) -> tuple[Fraction, bool]:
    """sqrt(square), and whether it is exact; else right to about ROOT_BITS bits."""
    above, below = isqrt(square.numerator), isqrt(square.denominator)
    if above * above == square.numerator and below * below == square.denominator:
        return Fraction(above, below), True
    shift = ROOT_BITS
    return Fraction(isqrt(square.numerator * square.denominator << 2 * shift), square.denominator << shift), False


def _nearest_float(name: str, value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ModelFormatError(f"{name}: a score exceeds the range of floats; check its BatchNorm") from None
