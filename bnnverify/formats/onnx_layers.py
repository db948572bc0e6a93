"""The ONNX nodes that have weights or windows: Conv, Gemm, MatMul and MaxPool.

Weights must be binarized: every row holds -m, 0 and +m for one magnitude m, which becomes part of
the neuron's scale; a first layer that reads pixels may hold any integers in -127..127. Columns are
permuted from the tensor's order to the network's, so a layout of channels last costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import Affine, exact
from bnnverify.formats.floatmodel import BinarizedPixels, FloatInput, FloatLayer, PixelScale, RawPixels
from bnnverify.formats.onnx_file import Node, require_modest
from bnnverify.formats.onnx_signal import (
    UNCHANGED,
    Kind,
    Signal,
    common_line,
    exact_norm,
    identities,
    identity_layout,
    per_neuron,
    times_plus,
)
from bnnverify.network import BitInput, ConvBlock, MaxPool, Shape

GREATEST_WEIGHT = 127

Constants = Sequence[NDArray[Any]]


def convolution(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Conv of square steps: no groups, no dilation, equal padding on both sides."""
    _require_plain_windows(node)
    weights, *bias = constants
    if weights.ndim != 4 or signal.layout.ndim != 3:
        raise ModelFormatError(
            f"{node}: weights of shape {weights.shape} on a tensor {(1, *signal.layout.shape)}, "
            "expected a two-dimensional convolution"
        )
    if list(weights.shape[2:]) != node.attributes.get("kernel_shape", list(weights.shape[2:])):
        raise ModelFormatError(f"{node}: kernel_shape {node.attributes['kernel_shape']}, expected {weights.shape[2:]}")
    bound = _read_input(node, signal)
    if not bound.is_in_order:
        raise ModelFormatError(f"{node}: reads an image whose pixels were rearranged, expected the layer's own order")
    stride, padding = _window(node, "strides", (1, 1)), _padding(node)
    ternary, scales = binarized_rows(node, weights, may_be_integers=_reads_pixels(bound))
    block = ConvBlock(ternary, np.zeros(len(ternary), dtype=np.int64), stride, padding)
    layer = FloatLayer(node.output, ternary, stride=stride, padding=padding)
    shape = _output_shape(node, block, bound.shape)
    return _with_bias(node, _sums(node, bound, layer, scales, shape), bias, (-1, 1, 1))


def gemm(node: Node, signal: Signal, constants: Constants) -> Signal:
    """``alpha * signal @ B + beta * C``, B transposed or not."""
    weights, *bias = constants
    if node.attributes.get("transA") or signal.layout.ndim != 1 or weights.ndim != 2:
        raise ModelFormatError(f"{node}: expected a batch of vectors times a constant matrix")
    rows = weights if node.attributes.get("transB") else weights.T
    alpha, beta = (exact(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    signal = _dense(node, signal, rows)
    factors = [alpha] * len(signal.affines)
    scaled = times_plus(signal, factors, [Fraction(0)] * len(factors))
    return _with_bias(node, scaled, bias, None, beta)


def matmul(node: Node, signal: Signal, constants: Constants) -> Signal:
    """``signal @ B``."""
    weights = constants[0]
    if weights.ndim != 2 or signal.layout.ndim != 1:
        raise ModelFormatError(f"{node}: expected a batch of vectors times a constant matrix")
    return _dense(node, signal, weights.T)


def max_pool(node: Node, signal: Signal) -> Signal:
    """Max-pooling of sums, before or behind their affine function, or of bits."""
    _require_plain_windows(node)
    if any(_padding(node)):
        raise ModelFormatError(f"{node}: padded max-pooling, expected none")
    if not signal.is_in_order or signal.layout.ndim != 3 or signal.kind not in (Kind.SUMS, Kind.BITS):
        raise ModelFormatError(f"{node}: pools {signal.kind.value}, expected the image of a convolution")
    pool = MaxPool(_window(node, "kernel_shape", None), _window(node, "strides", (1, 1)))
    shape = _output_shape(node, pool, signal.shape)
    if node.attributes.get("ceil_mode") and _leaves_a_rest(pool, signal.shape):
        raise ModelFormatError(f"{node}: ceil_mode pools a window that is not whole, expected whole windows")
    pooled = replace(signal, shape=shape, layout=identity_layout(shape))
    return _pooled_bits(node, pooled, pool) if signal.kind is Kind.BITS else _pooled_sums(node, pooled, pool)


def _pooled_bits(node: Node, signal: Signal, pool: MaxPool) -> Signal:
    last = signal.layers[-1]
    if last.bit_pool is not None or min(signal.slopes) <= 0:
        raise ModelFormatError(f"{node}: pools bits that are pooled already, or negated; expected a layer between")
    return replace(signal, layers=(*signal.layers[:-1], replace(last, bit_pool=pool)))


def _pooled_sums(node: Node, signal: Signal, pool: MaxPool) -> Signal:
    """Rising functions commute with a maximum, so it runs on the sums; else behind the function."""
    pending = signal.pending
    assert pending is not None
    if pending.bit_pool is not None:
        raise ModelFormatError(f"{node}: the third max-pooling of one layer, expected at most two")
    if pending.sum_pool is None and min(signal.slopes) > 0:
        return replace(signal, pending=replace(pending, sum_pool=pool))
    return replace(signal, pending=replace(pending, bit_pool=pool), pooled_slopes=signal.slopes)


def binarized_rows(
    node: Node, weights: NDArray[Any], *, may_be_integers: bool
) -> tuple[NDArray[np.int8], list[Fraction]]:
    """Weights as int8 and the magnitude of every row, whose product they are.

    Raises:
        ModelFormatError: for a row with two magnitudes.
    """
    if weights.dtype.kind not in "fi" or not weights.size:
        raise ModelFormatError(f"{node}: weights of type {weights.dtype} and shape {weights.shape}, expected numbers")
    magnitudes = np.abs(weights.astype(np.float64))
    if may_be_integers and magnitudes.max() <= GREATEST_WEIGHT and (np.rint(magnitudes) == magnitudes).all():
        return weights.astype(np.int8), [Fraction(1)] * len(weights)
    greatest = magnitudes.reshape(len(weights), -1).max(axis=1)
    strange = (magnitudes != 0) & (magnitudes != greatest.reshape(-1, *[1] * (weights.ndim - 1)))
    if strange.any():
        where = tuple(int(i[0]) for i in np.nonzero(strange))
        raise ModelFormatError(
            f"{node}: weight {weights[where]:.6g} in row {where[0]}, whose greatest is {greatest[where[0]]:.6g}; "
            "expected binarized weights, of one magnitude a row"
        )
    return np.sign(weights).astype(np.int8), [exact(m) if m else Fraction(1) for m in greatest]


def _dense(node: Node, signal: Signal, rows: NDArray[Any]) -> Signal:
    """The sums of ``rows`` ``(n_outputs, n_inputs)``, whose columns are in the tensor's order."""
    if rows.shape[1] != signal.layout.size:
        raise ModelFormatError(
            f"{node}: weights for {rows.shape[1]} inputs, expected {signal.layout.size} from the node before"
        )
    bound = _read_input(node, signal)
    columns = np.empty_like(rows)
    columns[:, bound.layout.ravel()] = rows
    ternary, scales = binarized_rows(node, columns, may_be_integers=_reads_pixels(bound))
    return _sums(node, bound, FloatLayer(node.output, ternary), scales, (len(ternary),))


def _sums(node: Node, signal: Signal, layer: FloatLayer, scales: Sequence[Fraction], shape: Shape) -> Signal:
    """The signal of a layer's sums over inputs that are one affine function of bits or pixels."""
    slope, offset = common_line(node, signal)
    if offset and any(layer.padding):
        raise ModelFormatError(f"{node}: pads inputs that are shifted by {float(offset):g}, expected no padding")
    totals = layer.weights.reshape(len(layer.weights), -1).sum(axis=1, dtype=np.int64).tolist()
    affines = tuple(Affine(m * slope, m * offset * total) for m, total in zip(scales, totals, strict=True))
    return replace(signal, kind=Kind.SUMS, layout=identity_layout(shape), shape=shape, affines=affines, pending=layer)


def _with_bias(
    node: Node, signal: Signal, bias: Constants, shape: Shape | None, factor: Fraction = Fraction(1)
) -> Signal:
    if not bias:
        return signal
    constant = bias[0] if shape is None else bias[0].reshape(shape)
    terms = [factor * term for term in per_neuron(node, signal, constant)]
    return times_plus(signal, [Fraction(1)] * len(terms), terms)


def _reads_pixels(signal: Signal) -> bool:
    return not signal.layers and isinstance(signal.source, RawPixels)


def _read_input(node: Node, signal: Signal) -> Signal:
    """What a layer may read: bits of the layer before, or the input, which it gives its final order."""
    if signal.zero:
        raise ModelFormatError(signal.zero)
    if signal.kind is Kind.BITS:
        return signal
    if signal.kind not in (Kind.INPUT, Kind.SIGNED_INPUT):
        raise ModelFormatError(f"{node}: reads {signal.kind.value}, expected a Sign before it")
    return _bound(node, signal)


def _bound(node: Node, signal: Signal) -> Signal:
    order = signal.layout.ravel()
    layout, shape = signal.layout, signal.shape
    if layout.ndim == 3 or len(shape) not in (1, 3) or (order != np.arange(order.size)).any():
        shape = layout.shape if layout.ndim == 3 else (order.size,)
    inner = identity_layout(shape).reshape(layout.shape)
    source = _source(node, signal, shape, order)
    affines = signal.affines if signal.kind is Kind.SIGNED_INPUT or isinstance(source, BitInput) else identities(1)
    return replace(signal, source=source, order=order, shape=shape, layout=inner, affines=affines)


def _source(node: Node, signal: Signal, shape: Shape, order: NDArray[np.intp]) -> FloatInput:
    pixels = signal.pixels
    if pixels is None:
        if signal.kind is Kind.INPUT and common_line(node, signal) != UNCHANGED:
            raise ModelFormatError(f"{node}: reads inputs that are scaled; say what they are (pixels=...)")
        return BitInput(shape)
    if signal.kind is Kind.SIGNED_INPUT:
        affines = tuple(signal.input_affines[i] for i in order.tolist())
        return BinarizedPixels(shape, exact_norm("input", affines), pixels)
    slope, offset = common_line(node, signal)
    return RawPixels(shape, PixelScale(slope * pixels.scale, slope * pixels.offset + offset, pixels.max_value))


def _output_shape(node: Node, block: ConvBlock | MaxPool, shape: Shape) -> Shape:
    try:
        found = block.output_shape(shape)
    except ModelFormatError as error:
        raise ModelFormatError(f"{node}: {error}") from None
    require_modest(str(node), found)
    return found


def _leaves_a_rest(pool: MaxPool, shape: Shape) -> bool:
    return any((shape[1 + axis] - pool.size[axis]) % pool.stride[axis] for axis in (0, 1))


def _require_plain_windows(node: Node) -> None:
    expected = {"group": 1, "auto_pad": ("NOTSET", "VALID"), "storage_order": 0}
    for name, value in expected.items():
        found = node.attributes.get(name, value)
        if found != value and found not in (value if isinstance(value, tuple) else ()):
            raise ModelFormatError(f"{node}: {name} {found}, expected {value}")
    if set(node.attributes.get("dilations", [1])) != {1}:
        raise ModelFormatError(f"{node}: dilations {node.attributes['dilations']}, expected none")


def _window(node: Node, name: str, default: tuple[int, int] | None) -> tuple[int, int]:
    sizes = node.attributes.get(name, default)
    if sizes is None or len(sizes) != 2 or not 1 <= min(sizes) <= max(sizes) < 1 << 16:
        raise ModelFormatError(f"{node}: {name} {sizes}, expected two positive integers")
    return sizes[0], sizes[1]


def _padding(node: Node) -> tuple[int, int]:
    pads = node.attributes.get("pads", [0, 0, 0, 0])
    if len(pads) != 4 or pads[:2] != pads[2:] or not 0 <= min(pads) <= max(pads) < 1 << 16:
        raise ModelFormatError(f"{node}: pads {pads}, expected two, the same on both sides")
    return pads[0], pads[1]
