"""The network as its trainer stored it: float parameters, layer by layer, before folding.

Every reader of a float format ends here, so that there is one place that folds (:func:`fold`) and
one that runs the floats for comparison (:mod:`bnnverify.formats.parity`). Weights are ternary
already; whatever was done to make them so is among the notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import (
    Affine,
    BatchNorm,
    FoldedRows,
    exact,
    fold_rows,
    fold_rows_before_pool,
    negate_inputs,
    output_scores,
    pixel_thresholds,
    require_finite,
)
from bnnverify.network import (
    BitInput,
    Block,
    ConvBlock,
    InputLayer,
    Layer,
    MaxPool,
    Network,
    Output,
    QuantizedInput,
    Shape,
    ThresholdInput,
)


@dataclass(frozen=True)
class PixelScale:
    """The network is fed ``scale * pixel + offset`` for pixels 0..max_value.

    ``PixelScale()`` is pixel / 255; ``PixelScale(Fraction(2, 255), Fraction(-1))`` is [-1, 1].
    """

    scale: Fraction = Fraction(1, 255)
    offset: Fraction = Fraction(0)
    max_value: int = 255


@dataclass(frozen=True, eq=False)
class BinarizedPixels:
    """Pixels that each go through their own BatchNorm and sign; ``norm`` has one feature a pixel."""

    shape: Shape
    norm: BatchNorm
    pixels: PixelScale


@dataclass(frozen=True, eq=False)
class RawPixels:
    """Scaled pixels that feed the first layer's sums without binarization."""

    shape: Shape
    pixels: PixelScale


FloatInput: TypeAlias = BitInput | BinarizedPixels | RawPixels


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """Linear or Conv with its bias, pooling and BatchNorm, in the order in which they run.

    Args:
        name: as in the file, for messages.
        weights: ternary ``(out, in)`` or ``(out, in, height, width)``.
        bias: ``(out,)`` or None.
        sum_pool: max-pooling between the sum and the BatchNorm.
        norm: BatchNorm with one feature an output, or None.
        bit_pool: max-pooling behind the BatchNorm; on which side of the sign makes no difference.
        stride, padding: of the convolution.
    """

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.floating[Any]] | None = None
    norm: BatchNorm | None = None
    sum_pool: MaxPool | None = None
    bit_pool: MaxPool | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.weights.ndim not in (2, 4) or min(self.weights.shape) < 1:
            raise ModelFormatError(
                f"{self.name}: weights of shape {self.weights.shape}, expected (out, in) or (out, in, height, width)"
            )
        if self.bias is not None:
            object.__setattr__(self, "bias", require_finite(f"{self.name} bias", self.bias, self.n_outputs))
        if self.norm is not None and self.norm.n_features != self.n_outputs:
            raise ModelFormatError(
                f"{self.norm.name}: {self.norm.n_features} features, expected {self.n_outputs} (outputs of {self.name})"
            )

    @property
    def n_outputs(self) -> int:
        return int(self.weights.shape[0])

    def neurons(self, pixels: PixelScale | None = None) -> list[Affine]:
        """Every output as an exact affine function of its integer sum, over bits or raw pixels."""
        scale = Fraction(1) if pixels is None else pixels.scale
        biases = [Fraction(0)] * self.n_outputs if self.bias is None else [exact(b) for b in self.bias]
        if pixels is not None and pixels.offset:
            totals = self.weights.reshape(self.n_outputs, -1).sum(axis=1, dtype=np.int64).tolist()
            biases = [b + pixels.offset * total for b, total in zip(biases, totals, strict=True)]
        if self.norm is None:
            return [Affine(scale, b) for b in biases]
        return [self.norm.apply(i, scale, b) for i, b in enumerate(biases)]


@dataclass(frozen=True, eq=False)
class FloatModel:
    """Input, hidden layers and the output layer, with the notes of the reader."""

    name: str
    input: FloatInput
    layers: tuple[FloatLayer, ...]
    output: FloatLayer
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Folded:
    """The integer network, all notes, and which channels of each layer hold complemented bits."""

    network: Network
    notes: tuple[str, ...]
    complemented: tuple[NDArray[np.bool_], ...]


def fold(model: FloatModel) -> Folded:
    """Fold every layer exactly into thresholds.

    Raises:
        ModelFormatError: for shapes that do not fit, starting with the layer's name.
    """
    input_layer = _folded_input(model.input)
    shape: Shape = input_layer.shape
    pixels = model.input.pixels if isinstance(model.input, RawPixels) else None
    flags = np.zeros(shape[0], dtype=np.bool_)
    blocks: list[Layer] = []
    complements: list[NDArray[np.bool_]] = []
    for layer in model.layers:
        _require_fit(layer, shape)
        rows = _folded_rows(layer, negate_inputs(layer.weights, flags), pixels)
        for block in _blocks_of(layer, rows):
            shape = block.output_shape(shape)
            blocks.append(block)
        flags, pixels = rows.complemented, None
        complements.append(flags)
    _require_fit(model.output, shape)
    output, notes = _folded_output(model.output, flags, pixels)
    network = Network(tuple(blocks), output, input_layer, model.name)
    return Folded(network, model.notes + notes, tuple(complements))


def _folded_input(source: FloatInput) -> InputLayer:
    if isinstance(source, BitInput):
        return source
    pixels = source.pixels
    if isinstance(source, RawPixels):
        return QuantizedInput(source.shape, pixels.max_value)
    if source.norm.n_features != prod(source.shape):
        raise ModelFormatError(f"{source.norm.name}: {source.norm.n_features} features, expected {prod(source.shape)}")
    thresholds, rising = pixel_thresholds(
        source.norm, scale=pixels.scale, offset=pixels.offset, max_value=pixels.max_value
    )
    return ThresholdInput(thresholds, rising, pixels.max_value, source.shape)


def _require_fit(layer: FloatLayer, shape: Sequence[int]) -> None:
    """The layer before delivers ``shape``; a dense layer flattens it."""
    if layer.weights.ndim == 2 and layer.weights.shape[1] != prod(shape):
        raise ModelFormatError(
            f"{layer.name}: {layer.weights.shape[1]} inputs, expected {prod(shape)} from the layer before"
        )
    if layer.weights.ndim == 4 and (len(shape) != 3 or layer.weights.shape[1] != shape[0]):
        raise ModelFormatError(
            f"{layer.name}: a convolution of {layer.weights.shape[1]} channels cannot read the shape {tuple(shape)}"
        )


def _folded_rows(layer: FloatLayer, weights: NDArray[np.int8], pixels: PixelScale | None) -> FoldedRows:
    if pixels is not None and pixels.offset and any(layer.padding):
        raise ModelFormatError(
            f"{layer.name}: pads pixels that are shifted by {pixels.offset}, so border sums are no integers; "
            "expected no padding or pixels that start at 0"
        )
    max_value = None if pixels is None else pixels.max_value
    if layer.sum_pool is None:
        return fold_rows(weights, layer.neurons(pixels), max_value)
    rows = fold_rows_before_pool(weights, layer.neurons(pixels), max_value)
    if layer.bit_pool is not None and rows.complemented.any():
        raise ModelFormatError(
            f"{layer.name}: pooled before and behind a BatchNorm of negative weights, which is no OR of bits"
        )
    return rows


def _blocks_of(layer: FloatLayer, rows: FoldedRows) -> list[Layer]:
    block: Layer = (
        Block(rows.weights, rows.thresholds)
        if rows.weights.ndim == 2
        else ConvBlock(rows.weights, rows.thresholds, layer.stride, layer.padding)
    )
    return [block, *(pool for pool in (layer.sum_pool, layer.bit_pool) if pool is not None)]


def _folded_output(
    layer: FloatLayer, flags: NDArray[np.bool_], pixels: PixelScale | None
) -> tuple[Output, tuple[str, ...]]:
    if layer.weights.ndim != 2:
        raise ModelFormatError(f"{layer.name}: the last layer is a convolution, expected a linear one")
    if pixels is not None:
        raise ModelFormatError(f"{layer.name}: the only layer reads pixels, expected a binarized layer before it")
    scale, bias, is_exact = output_scores(layer.name, layer.neurons())
    note = f"{layer.name}: BatchNorm behind the output makes irrational scores; rounded to the nearest float64"
    return Output(negate_inputs(layer.weights, flags), bias, scale), () if is_exact else (note,)
