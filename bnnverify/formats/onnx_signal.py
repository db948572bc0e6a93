"""What flows along an edge of an ONNX graph, as exact functions of a layer's integer sums.

A signal knows three things about its tensor: which neuron or pixel each element is (``layout``, so
that Transpose, Reshape and Flatten are permutations of an index array), which rational affine
function of that neuron's sum or bit the element holds (``affines``, so that constants compose
without rounding), and the layers that lead up to it. It is immutable: a branch copies it, and a
join of two branches is refused where it happens. Cost: one rational operation a neuron a node.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import Affine, BatchNorm, exact
from bnnverify.formats.floatmodel import FloatInput, FloatLayer, PixelScale
from bnnverify.formats.onnx_file import Node
from bnnverify.network import Shape

UNCHANGED = (Fraction(1), Fraction(0))


class Kind(enum.Enum):
    """What the affines of a signal are functions of."""

    INPUT = "the input"
    SIGNED_INPUT = "the sign of the input"
    SUMS = "a layer's sums"
    BITS = "a layer's signs"
    SCORES = "final scores"


@dataclass(frozen=True, eq=False)
class ExactNorm(BatchNorm):
    """A BatchNorm that folds by ``affines``; its floats are their nearest, for a run in floats."""

    affines: tuple[Affine, ...] = ()

    def apply(self, index: int, scale: Fraction, bias: Fraction) -> Affine:
        own = self.affines[index]
        return own._replace(scale=own.scale * scale, bias=own.scale * bias + own.bias)


@dataclass(frozen=True, eq=False)
class Signal:
    """One tensor without its batch axis.

    Args:
        layout: in the tensor's shape, the flat index of each element within ``shape``.
        shape: of the neurons or pixels: (n,) or (channels, height, width).
        affines: one a neuron or channel, or one a pixel of the input.
        pixels: how the file's input is fed, or None where it is bits.
        source: the input, once a layer has read it, and ``order``: the file's flat index of each
            network input.
        layers: finished layers; ``pending`` is the one whose sums this signal holds.
        input_affines: of every pixel before its sign.
        pooled_slopes: slopes of the affines when ``pending`` got its ``bit_pool``.
        zero: why an element may be 0 behind a plain Sign, or "" if none may.
    """

    kind: Kind
    layout: NDArray[np.intp]
    shape: Shape
    affines: tuple[Affine, ...]
    pixels: PixelScale | None
    source: FloatInput | None = None
    order: NDArray[np.intp] | None = None
    layers: tuple[FloatLayer, ...] = ()
    pending: FloatLayer | None = None
    input_affines: tuple[Affine, ...] = ()
    pooled_slopes: tuple[Fraction, ...] = ()
    zero: str = ""

    @property
    def is_in_order(self) -> bool:
        """Whether the tensor holds the neurons in their own shape and order."""
        return self.layout.shape == self.shape and bool((self.layout.ravel() == np.arange(self.layout.size)).all())

    @property
    def slopes(self) -> tuple[Fraction, ...]:
        return tuple(affine.gamma * affine.scale for affine in self.affines)


def identity_layout(shape: Shape) -> NDArray[np.intp]:
    return np.arange(int(np.prod(shape)), dtype=np.intp).reshape(shape)


def identities(n: int) -> tuple[Affine, ...]:
    return (Affine(),) * n


def per_neuron(node: Node, signal: Signal, constant: NDArray[Any]) -> list[Fraction]:
    """A constant that is combined with a tensor, as one rational a neuron or channel.

    Raises:
        ModelFormatError: if it would stretch the tensor, or differs within a channel.
    """
    shape = (1, *signal.layout.shape)
    try:
        stretched = np.broadcast_shapes(shape, constant.shape)
    except ValueError:
        stretched = ()
    if stretched != shape:
        raise ModelFormatError(f"{node}: a constant of shape {constant.shape} does not fit the tensor {shape}")
    flat = np.empty(signal.layout.size)
    flat[signal.layout.ravel()] = np.broadcast_to(constant, shape).ravel()
    rows = flat.reshape(len(signal.affines), -1)
    if (rows != rows[:, :1]).any():
        raise ModelFormatError(f"{node}: constants that differ within a channel, expected one a channel")
    return [exact(value) for value in rows[:, 0]]


def times_plus(signal: Signal, factors: Sequence[Fraction], terms: Sequence[Fraction]) -> Signal:
    """``factor * signal + term``, neuron by neuron."""
    composed = (
        affine._replace(gamma=affine.gamma * factor, beta=affine.beta * factor + term)
        for affine, factor, term in zip(signal.affines, factors, terms, strict=True)
    )
    return replace(signal, affines=tuple(composed))


def normalized(node: Node, signal: Signal, norm: BatchNorm) -> Signal:
    """The signal behind a BatchNorm of one feature a neuron.

    Raises:
        ModelFormatError: behind another BatchNorm, where two square roots would mix.
    """
    lines = [line(affine) for affine in signal.affines]
    if any(pair is None for pair in lines):
        raise ModelFormatError(f"{node}: a BatchNorm behind a BatchNorm, expected a layer between them")
    composed = (norm.apply(i, *pair) for i, pair in enumerate(lines) if pair is not None)
    return replace(signal, affines=tuple(composed))


def line(affine: Affine) -> tuple[Fraction, Fraction] | None:
    """Slope and intercept, or None where a BatchNorm's square root stands between."""
    if affine.variance != 1:
        return None
    return affine.gamma * affine.scale, affine.gamma * (affine.bias - affine.mean) + affine.beta


def common_line(node: Node, signal: Signal) -> tuple[Fraction, Fraction]:
    """The slope and intercept that all elements share, as a layer's inputs must.

    Raises:
        ModelFormatError: if they differ.
    """
    lines = {line(affine) for affine in set(signal.affines)}
    common = lines.pop()
    if lines or common is None:
        raise ModelFormatError(f"{node}: reads {signal.kind.value} scaled differently from each other, expected alike")
    return common


def exact_norm(name: str, affines: tuple[Affine, ...]) -> ExactNorm:
    """The affines as a BatchNorm, for a :class:`FloatLayer` or the pixels of the input.

    Raises:
        ModelFormatError: if one exceeds the range of floats.
    """
    try:
        floats = np.array([_nearest(affine) for affine in affines])
    except OverflowError:
        raise ModelFormatError(f"{name}: constants beyond the range of floats") from None
    gamma, beta, mean, variance = floats.T
    return ExactNorm(name, gamma, beta, mean, variance, 0.0, affines)


def _nearest(affine: Affine) -> tuple[float, float, float, float]:
    """gamma, beta, mean and variance of the same neuron with a scale of 1 and no bias."""
    if affine.scale == 0:
        constant = float(affine.gamma * (affine.bias - affine.mean)) / float(affine.variance) ** 0.5
        return 0.0, constant + float(affine.beta), 0.0, 1.0
    mean = (affine.mean - affine.bias) / affine.scale
    return float(affine.gamma * affine.scale), float(affine.beta), float(mean), float(affine.variance)
