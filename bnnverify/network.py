"""What a network means: blocks of cardinality constraints between an input and an output layer.

A block is ``y_j = +1 iff sum_i w_ji x_i >= t_j`` over bits in {-1, +1}, with weights in
{-1, 0, +1} and an integer threshold. BatchNorm, biases and scales are folded away before a
``Block`` exists (see :mod:`bnnverify.folding`), so nothing here is a float but the scale and bias
of the output, which :mod:`bnnverify.scores` compares exactly. Every class is frozen, copies its
arrays, marks them read-only, and is valid once constructed.

Shapes: dense bits are ``(n,)``; images are ``(channels, height, width)`` and are flattened in that
order before a dense block. Padding of a convolution contributes nothing to the sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import as_bits
from bnnverify.errors import InputFormatError, ModelFormatError

Shape: TypeAlias = tuple[int, ...]


def _frozen_integers(name: str, values: Any, dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """A read-only integer copy of ``values``, refused if any value is not that integer."""
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise ModelFormatError(f"{name}: expected integers, found type {array.dtype}")
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise ModelFormatError(f"{name}: expected integers, found NaN or infinity")
    limits = np.iinfo(dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise ModelFormatError(f"{name}: values beyond {limits.min}..{limits.max}")
    copy = array.astype(dtype)
    if array.dtype.kind == "f" and not np.array_equal(copy, array):
        raise ModelFormatError(f"{name}: expected integers, found fractions")
    copy.setflags(write=False)
    return copy


def _frozen_floats(name: str, values: Any, n: int) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.shape != (n,):
        raise ModelFormatError(f"{name}: shape {array.shape}, expected ({n},)")
    if not np.all(np.isfinite(array)):
        raise ModelFormatError(f"{name}: expected finite numbers, found NaN or infinity")
    array.setflags(write=False)
    return array


def _require_ternary(name: str, weights: NDArray[np.int8]) -> None:
    if weights.size and (weights.min() < -1 or weights.max() > 1):
        raise ModelFormatError(f"{name}: expected weights in -1, 0, +1, found {weights.min()}..{weights.max()}")


def _positive_shape(name: str, shape: Sequence[int]) -> Shape:
    checked = tuple(int(size) for size in shape)
    if len(checked) not in (1, 3) or min(checked) < 1:
        raise ModelFormatError(f"{name}: shape {checked}, expected (n,) or (channels, height, width)")
    return checked


@dataclass(frozen=True, eq=False)
class BitInput:
    """Inputs are bits, +1 or -1."""

    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _positive_shape("input", self.shape))

    @property
    def n_inputs(self) -> int:
        return prod(self.shape)

    def read(self, values: Any) -> NDArray[np.int8]:
        """Instances ``(..., n)`` or ``(..., *shape)`` as bits ``(..., n_inputs)``."""
        return as_bits(_flatten(values, self.shape))

    def to_bits(self, values: Any) -> NDArray[np.int8]:
        return self.read(values)


@dataclass(frozen=True, eq=False)
class ThresholdInput:
    """Pixels 0..max_value that are binarized one by one.

    Bit i is +1 iff ``(pixel_i >= thresholds[i]) == rising[i]``. A threshold of 0 or of
    ``max_value + 1`` makes the bit constant.
    """

    thresholds: NDArray[np.int64]
    rising: NDArray[np.bool_]
    max_value: int = 255
    shape: Shape = ()

    def __post_init__(self) -> None:
        thresholds = _frozen_integers("input thresholds", self.thresholds, np.int64).reshape(-1)
        rising = np.array(self.rising, dtype=np.bool_).reshape(-1)
        if rising.shape != thresholds.shape:
            raise ModelFormatError(f"input: {rising.size} directions, expected {thresholds.size} (one a pixel)")
        if self.max_value < 1 or thresholds.min() < 0 or thresholds.max() > self.max_value + 1:
            raise ModelFormatError(
                f"input thresholds: expected 0..{self.max_value + 1}, found {thresholds.min()}..{thresholds.max()}"
            )
        shape = _positive_shape("input", self.shape or thresholds.shape)
        if prod(shape) != thresholds.size:
            raise ModelFormatError(f"input: {thresholds.size} thresholds do not fill the shape {shape}")
        rising.setflags(write=False)
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "rising", rising)
        object.__setattr__(self, "shape", shape)

    @property
    def n_inputs(self) -> int:
        return int(self.thresholds.size)

    def read(self, values: Any) -> NDArray[np.int64]:
        """Pixels ``(..., n)`` or ``(..., *shape)`` as checked integers ``(..., n_inputs)``."""
        return _read_levels(values, self.shape, self.max_value)

    def to_bits(self, values: Any) -> NDArray[np.int8]:
        """Pixels as bits ``(..., n_inputs)``."""
        above = self.read(values) >= self.thresholds
        return np.where(above == self.rising, 1, -1).astype(np.int8)

    def flip_costs(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Least grey-level change that flips each bit of one instance ``(n,)``; 0 where none can."""
        costs = np.where(pixels >= self.thresholds, pixels - self.thresholds + 1, self.thresholds - pixels)
        constant = (self.thresholds < 1) | (self.thresholds > self.max_value)
        return np.where(constant, 0, costs).astype(np.int64)

    def realize(self, pixels: NDArray[np.int64], flips: NDArray[np.intp]) -> NDArray[np.int64]:
        """The pixels nearest to ``pixels`` whose bits differ exactly at the indices ``flips``."""
        moved = pixels.copy()
        above = pixels >= self.thresholds
        moved[flips] = np.where(above, self.thresholds - 1, self.thresholds)[flips]
        return moved


@dataclass(frozen=True, eq=False)
class QuantizedInput:
    """Pixels 0..max_value that feed an integer-weighted first block as levels, without binarization.

    Without ``steps`` a pixel is its own level. With them, level k is reached at the pixel ``steps[k - 1]``, so a
    pixel p has the level ``number of steps <= p``.

    Args:
        steps: ``(n_levels - 1,)`` non-decreasing pixels of 1..max_value.
    """

    shape: Shape
    max_value: int = 255
    steps: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _positive_shape("input", self.shape))
        if not 1 <= self.max_value <= 65535:
            raise ModelFormatError(f"input: max_value {self.max_value}, expected 1..65535")
        if self.steps is not None:
            object.__setattr__(self, "steps", self._checked_steps())

    def _checked_steps(self) -> NDArray[np.int64]:
        steps = _frozen_integers("input steps", self.steps, np.int64)
        if steps.ndim != 1 or not steps.size or np.any(np.diff(steps) < 0):
            raise ModelFormatError("input steps: expected a list of pixels, each at least the one before")
        if steps[0] < 1 or steps[-1] > self.max_value:
            raise ModelFormatError(f"input steps: expected 1..{self.max_value}, found {steps[0]}..{steps[-1]}")
        return steps

    @property
    def n_inputs(self) -> int:
        return prod(self.shape)

    @property
    def max_level(self) -> int:
        """The greatest level that the first block can read."""
        return self.max_value if self.steps is None else int(self.steps.size)

    def read(self, values: Any) -> NDArray[np.int64]:
        """Pixels ``(..., n)`` or ``(..., *shape)`` as checked integers ``(..., n_inputs)``."""
        return _read_levels(values, self.shape, self.max_value)

    def to_levels(self, values: Any) -> NDArray[np.int64]:
        """Pixels as the levels ``(..., n_inputs)`` that the first block reads."""
        return self.levels_of(self.read(values))

    def levels_of(self, pixels: NDArray[Any]) -> NDArray[np.int64]:
        """Checked pixels of any shape as levels of the same shape."""
        if self.steps is None:
            return pixels.astype(np.int64, copy=False)
        return np.searchsorted(self.steps, pixels, side="right").astype(np.int64)

    def realize(self, pixels: NDArray[np.int64], levels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The pixels nearest to ``pixels`` that have these levels, all attainable ones, ``(n,)``."""
        if self.steps is None:
            return levels.astype(np.int64)
        edges = np.concatenate([[0], self.steps, [self.max_value + 1]])
        nearest: NDArray[np.int64] = np.clip(pixels, edges[levels], edges[levels + 1] - 1)
        return nearest


InputLayer: TypeAlias = BitInput | ThresholdInput | QuantizedInput


def _flatten(values: Any, shape: Shape) -> NDArray[Any]:
    """View ``(..., *shape)`` or ``(..., n)`` as ``(..., n)``."""
    array = np.asarray(values)
    n = prod(shape)
    if array.ndim and array.shape[-1] == n and len(shape) == 1:
        return array
    if array.ndim >= len(shape) and array.shape[array.ndim - len(shape) :] == shape:
        return array.reshape(*array.shape[: array.ndim - len(shape)], n)
    if array.ndim and array.shape[-1] == n:
        return array
    if array.ndim >= 2 and array.shape[-2] * array.shape[-1] == n:
        return array.reshape(*array.shape[:-2], n)
    raise InputFormatError(f"input: shape {array.shape}, expected (..., {n}) or (..., {', '.join(map(str, shape))})")


def _read_levels(values: Any, shape: Shape, max_value: int) -> NDArray[np.int64]:
    array = _flatten(values, shape)
    if array.dtype.kind not in "iuf":
        raise InputFormatError(f"input: expected pixels 0..{max_value}, found type {array.dtype}")
    with np.errstate(invalid="ignore"):
        levels = array.astype(np.int64)
    if not np.array_equal(levels, array):
        raise InputFormatError(f"input: expected whole grey levels 0..{max_value}, found fractions or NaN")
    if levels.size and (levels.min() < 0 or levels.max() > max_value):
        raise InputFormatError(f"input: expected pixels 0..{max_value}, found {levels.min()}..{levels.max()}")
    return levels


@dataclass(frozen=True, eq=False)
class Block:
    """Dense cardinality constraints: ``y_j = +1 iff weights[j] . x >= thresholds[j]``.

    Args:
        weights: ``(n_outputs, n_inputs)`` int8, ternary unless this block reads quantized integers.
        thresholds: ``(n_outputs,)`` int64. A threshold out of reach makes a constant neuron.
    """

    weights: NDArray[np.int8]
    thresholds: NDArray[np.int64]

    def __post_init__(self) -> None:
        weights = _frozen_integers("weights", self.weights, np.int8)
        thresholds = _frozen_integers("thresholds", self.thresholds, np.int64)
        if weights.ndim != 2 or min(weights.shape) < 1:
            raise ModelFormatError(f"weights: shape {weights.shape}, expected (outputs, inputs)")
        if thresholds.shape != weights.shape[:1]:
            raise ModelFormatError(
                f"thresholds: shape {thresholds.shape}, expected ({weights.shape[0]},) (rows of weights)"
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "thresholds", thresholds)

    def output_shape(self, shape: Shape) -> Shape:
        if prod(shape) != self.weights.shape[1]:
            raise ModelFormatError(
                f"dense block: {self.weights.shape[1]} inputs, expected {prod(shape)} from the layer before"
            )
        return (int(self.weights.shape[0]),)

    def fan_in(self) -> NDArray[np.int64]:
        """Greatest absolute sum of each neuron over bits, ``(n_outputs,)``."""
        reach: NDArray[np.int64] = np.abs(self.weights.astype(np.int64)).sum(axis=1)
        return reach


@dataclass(frozen=True, eq=False)
class ConvBlock:
    """The same constraint over every patch of an image; padding contributes nothing.

    Args:
        weights: ``(out_channels, in_channels, kernel_height, kernel_width)`` int8.
        thresholds: ``(out_channels,)`` int64.
        stride: (vertical, horizontal) step.
        padding: (vertical, horizontal) cells added on each side, which count 0.
    """

    weights: NDArray[np.int8]
    thresholds: NDArray[np.int64]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        weights = _frozen_integers("conv weights", self.weights, np.int8)
        thresholds = _frozen_integers("conv thresholds", self.thresholds, np.int64)
        if weights.ndim != 4 or min(weights.shape) < 1:
            raise ModelFormatError(f"conv weights: shape {weights.shape}, expected (out, in, height, width)")
        if thresholds.shape != weights.shape[:1]:
            raise ModelFormatError(f"conv thresholds: shape {thresholds.shape}, expected ({weights.shape[0]},)")
        stride, padding = _pair("stride", self.stride, 1), _pair("padding", self.padding, 0)
        if padding[0] >= weights.shape[2] or padding[1] >= weights.shape[3]:
            raise ModelFormatError(f"conv padding {padding}: expected less than the kernel {weights.shape[2:]}")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "stride", stride)
        object.__setattr__(self, "padding", padding)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or shape[0] != self.weights.shape[1]:
            raise ModelFormatError(
                f"conv block: expected an image of {self.weights.shape[1]} channels, found shape {shape}"
            )
        sizes = _window_counts(shape, self.weights.shape[2:], self.stride, self.padding)
        return (self.weights.shape[0], *sizes)

    def fan_in(self) -> NDArray[np.int64]:
        """Greatest absolute sum of each channel over bits, away from the border."""
        reach: NDArray[np.int64] = np.abs(self.weights.astype(np.int64)).sum(axis=(1, 2, 3))
        return reach


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Maximum of bits, an OR, over each window of each channel; no padding."""

    size: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        size = _pair("pool size", self.size, 1)
        stride = size if tuple(self.stride) == (0, 0) else _pair("pool stride", self.stride, 1)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "stride", stride)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise ModelFormatError(f"max-pool: expected an image, found shape {shape}")
        return (shape[0], *_window_counts(shape, self.size, self.stride, (0, 0)))


Layer: TypeAlias = Block | ConvBlock | MaxPool


def _pair(name: str, values: Sequence[int], least: int) -> tuple[int, int]:
    pair = tuple(int(value) for value in values)
    if len(pair) != 2 or min(pair) < least:
        raise ModelFormatError(f"{name} {pair}: expected two integers of at least {least}")
    return pair[0], pair[1]


def _window_counts(
    shape: Shape, window: Sequence[int], stride: tuple[int, int], padding: tuple[int, int]
) -> tuple[int, int]:
    """How many windows fit down and across an image."""
    counts = [(shape[1 + a] + 2 * padding[a] - window[a]) // stride[a] + 1 for a in (0, 1)]
    if min(counts) < 1:
        raise ModelFormatError(f"window {tuple(window)} is larger than the image {shape[1:]} with padding {padding}")
    return counts[0], counts[1]


@dataclass(frozen=True, eq=False)
class Output:
    """Class scores ``scale_c * (weights[c] . h) + bias_c``; the greatest wins, ties go lowest.

    Args:
        weights: ``(n_classes, n_hidden)`` ternary int8.
        bias: ``(n_classes,)`` finite floats, taken as the exact rationals they are; default 0.
        scale: ``(n_classes,)`` finite floats, likewise; default 1.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        weights = _frozen_integers("output weights", self.weights, np.int8)
        if weights.ndim != 2 or min(weights.shape) < 1:
            raise ModelFormatError(f"output weights: shape {weights.shape}, expected (classes, inputs)")
        _require_ternary("output weights", weights)
        n = weights.shape[0]
        bias = np.zeros(n) if self.bias is None else self.bias
        scale = np.ones(n) if self.scale is None else self.scale
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", _frozen_floats("output bias", bias, n))
        object.__setattr__(self, "scale", _frozen_floats("output scale", scale, n))

    @property
    def n_classes(self) -> int:
        return int(self.weights.shape[0])


@dataclass(frozen=True, eq=False)
class Network:
    """A trained Binarized Neural Network: input layer, blocks, output layer.

    Args:
        blocks: dense, convolutional and pooling blocks, in order; may be empty.
        output: the class scores.
        input: how instances become bits; by default as many bits as the first dense block reads.
        name: shown in answers.

    >>> net = Network([Block([[1, 1, -1]], [1])], Output([[1], [-1]]))
    >>> net.n_inputs, net.n_classes
    (3, 2)
    """

    blocks: tuple[Layer, ...]
    output: Output
    input: InputLayer = None  # type: ignore[assignment]
    name: str = "network"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if self.input is None:
            object.__setattr__(self, "input", BitInput((self._first_fan_in(),)))
        for index, block in enumerate(self.blocks):
            integers = index == 0 and isinstance(self.input, QuantizedInput)
            if not isinstance(block, MaxPool) and not integers:
                _require_ternary(f"block {index + 1}", block.weights)
        n_hidden = prod(self.shapes[-1])
        if n_hidden != self.output.weights.shape[1]:
            raise ModelFormatError(
                f"output: {self.output.weights.shape[1]} inputs, expected {n_hidden} from the layer before"
            )

    def _first_fan_in(self) -> int:
        first = self.blocks[0] if self.blocks else self.output
        if not isinstance(first, Block | Output):
            raise ModelFormatError("a network that starts with a convolution needs its input layer's shape")
        return int(first.weights.shape[1])

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of the bits before each block and, last, before the output."""
        shapes = [self.input.shape]
        for block in self.blocks:
            shapes.append(block.output_shape(shapes[-1]))
        return tuple(shapes)

    @property
    def n_inputs(self) -> int:
        return self.input.n_inputs

    @property
    def n_classes(self) -> int:
        return self.output.n_classes

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides an answer (not of the name), as hex."""
        digest = hashlib.sha256()
        for part in (self.input, *self.blocks, self.output):
            digest.update(type(part).__name__.encode())
            for field in sorted(vars(part)):
                if getattr(part, field) is None:
                    continue
                value = np.ascontiguousarray(getattr(part, field))
                digest.update(f"{field}{value.dtype.str}{value.shape}".encode() + value.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        sizes = "-".join("x".join(map(str, shape)) for shape in self.shapes)
        return f"Network({self.name!r}, {sizes}-{self.n_classes})"
