"""The ONNX nodes that act element by element or only move elements: arithmetic, BatchNorm, layout.

Arithmetic with constants composes with the signal's affine functions exactly; Reshape, Flatten and
Transpose permute its layout. Cost: one rational operation a neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import BatchNorm, require_finite
from bnnverify.formats.onnx_constants import cast_type, resolved_shape
from bnnverify.formats.onnx_file import Node
from bnnverify.formats.onnx_signal import UNCHANGED, Kind, Signal, common_line, normalized, per_neuron, times_plus

NORM_EPSILON = float(np.float32(1e-5))
ONE, ZERO = Fraction(1), Fraction(0)

Constants = Sequence[NDArray[Any]]


def add(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Add, in either order."""
    terms = per_neuron(node, signal, constants[0])
    return times_plus(signal, [ONE] * len(terms), terms)


def subtract(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Sub of a constant."""
    terms = per_neuron(node, signal, constants[0])
    return times_plus(signal, [ONE] * len(terms), [-term for term in terms])


def subtract_from(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Sub whose first input is the constant."""
    terms = per_neuron(node, signal, constants[0])
    return times_plus(signal, [-ONE] * len(terms), terms)


def multiply(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Mul, in either order."""
    factors = per_neuron(node, signal, constants[0])
    return times_plus(signal, factors, [ZERO] * len(factors))


def divide(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Div by a constant."""
    divisors = per_neuron(node, signal, constants[0])
    if 0 in divisors:
        raise ModelFormatError(f"{node}: divides by zero")
    return times_plus(signal, [ONE / divisor for divisor in divisors], [ZERO] * len(divisors))


def negate(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Neg."""
    n = len(signal.affines)
    return times_plus(signal, [-ONE] * n, [ZERO] * n)


def normalize(node: Node, signal: Signal, constants: Constants) -> Signal:
    """BatchNormalization with its stored statistics, one feature a channel."""
    if node.attributes.get("training_mode"):
        raise ModelFormatError(f"{node}: in training mode, expected a trained network")
    n = signal.layout.shape[0]
    shape = (-1, *[1] * (signal.layout.ndim - 1))
    names = ("scale", "bias", "mean", "variance")
    vectors = [require_finite(f"{node} {name}", value, n) for name, value in zip(names, constants, strict=True)]
    parts = [np.array(per_neuron(node, signal, vector.reshape(shape)), dtype=np.float64) for vector in vectors]
    epsilon = float(node.attributes.get("epsilon", NORM_EPSILON))
    return normalized(node, signal, BatchNorm(str(node), parts[0], parts[1], parts[2], parts[3], epsilon))


def cast(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Cast, which changes no value where it is read: to floats, or of bits to signed integers."""
    if not issubclass(cast_type(node), np.floating) and signal.kind is not Kind.BITS:
        raise ModelFormatError(f"{node}: casts {signal.kind.value} to integers, expected floats")
    return signal if issubclass(cast_type(node), np.floating) else _integer_bits(node, signal)


def _integer_bits(node: Node, signal: Signal) -> Signal:
    if common_line(node, signal) != UNCHANGED or cast_type(node) is np.uint8:
        raise ModelFormatError(f"{node}: casts scaled or negative values to integers, expected floats")
    return signal


def reshape(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Reshape that keeps the batch axis first."""
    target = resolved_shape(node, (1, *signal.layout.shape), constants[0].reshape(-1).tolist())
    return _laid_out(node, signal, signal.layout[None].reshape(target))


def flatten(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Flatten of everything behind the batch axis."""
    axis = int(node.attributes.get("axis", 1))
    if axis not in (1, -signal.layout.ndim):
        raise ModelFormatError(f"{node}: axis {axis}, expected 1")
    return replace(signal, layout=signal.layout.reshape(-1))


def transpose(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Transpose that keeps the batch axis first."""
    return _laid_out(node, signal, signal.layout[None].transpose(node.attributes.get("perm")))


def _laid_out(node: Node, signal: Signal, layout: NDArray[np.intp]) -> Signal:
    if layout.ndim < 2 or layout.shape[0] != 1:
        raise ModelFormatError(f"{node}: moves the batch axis, expected it first")
    return replace(signal, layout=layout[0])
