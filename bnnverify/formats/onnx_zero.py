"""Can a neuron's value be exactly zero? ONNX's Sign makes 0 of 0, and a binarized network has no 0.

The value is an exact function of an integer sum s, so it is zero for one s at most: where the bound
of "value >= 0" and the bound of "value <= 0" meet in one integer. It cannot be zero if there is no
such integer (a half-integer threshold, an irrational one), if it lies beyond the greatest or least
sum, or by parity: k bits of weight -1 or +1 sum to k modulo 2. Parity holds for inputs that are bits
and windows that are whole; under padding, where border windows read fewer bits, and over pixels
every integer between the least and greatest sum counts as possible. Cost: two square roots a neuron.
"""

from __future__ import annotations

from bnnverify.folding import ALWAYS, Affine, cut, reach
from bnnverify.formats.floatmodel import FloatLayer, PixelScale


def zero_neuron(layer: FloatLayer, pixels: PixelScale | None) -> tuple[int, int | None] | None:
    """A neuron whose value can be zero and the sum that makes it so, or None if there is none.

    Args:
        layer: with its BatchNorm.
        pixels: as for :meth:`FloatLayer.neurons`, None where the layer reads bits.

    Returns:
        The neuron's index and its sum, which is None for a neuron that is constantly zero.
    """
    has_parity = pixels is None and not any(layer.padding)
    low, high = reach(layer.weights, None if pixels is None else pixels.max_value)
    bounds = zip(low.tolist(), high.tolist(), strict=True)
    for index, (neuron, (least, greatest)) in enumerate(zip(layer.neurons(pixels), bounds, strict=True)):
        if is_constant_zero(neuron):
            return index, None
        root = zero_sum(neuron)
        if root is None or not least <= root <= greatest:
            continue
        if not has_parity or (root - greatest) % 2 == 0:
            return index, root
    return None


def zero_sum(neuron: Affine) -> int | None:
    """The integer sum at which a neuron of nonzero slope is exactly zero, if there is one.

    >>> from fractions import Fraction
    >>> zero_sum(Affine(bias=Fraction(3))), zero_sum(Affine(bias=Fraction(1, 2)))
    (-3, None)
    """
    if neuron.gamma * neuron.scale == 0:
        return None
    above, below = cut(neuron), cut(_negated(neuron))
    return above.direction * above.least if above.least == -below.least else None


def is_constant_zero(neuron: Affine) -> bool:
    """Whether a neuron is zero whatever its sum."""
    if neuron.gamma * neuron.scale != 0:
        return False
    return cut(neuron).least == ALWAYS and cut(_negated(neuron)).least == ALWAYS


def _negated(neuron: Affine) -> Affine:
    return neuron._replace(gamma=-neuron.gamma, beta=-neuron.beta)
