"""Writes a network as standard ONNX, operator set 13, so that other tools answer about the same network.

A block becomes MatMul or Conv, Sub of ``threshold - 1/2`` and Sign: sums are integers, so the sign's
argument is never 0 and never within 1/2 of it. Binarized pixels become Sub, Mul by the direction and
Sign in the same way. Every number up to the last layer's sums is a half-integer far below 2^24, hence
exact in float32; scale and bias of the scores follow in float64, stored as they are, and a runtime
rounds only there. What the inputs are, which ONNX cannot say, is in the metadata. Equal networks
give equal bytes. Cost: four bytes a weight.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.folding import reach
from bnnverify.formats.onnx_file import INPUT_METADATA
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
    ThresholdInput,
)
from bnnverify.wholefile import whole_file

OPSET, IR_VERSION = 13, 8
GREATEST_SUM = 1 << 22


class _Builder:
    """Nodes in a chain and the constants that they read."""

    def __init__(self, name: str) -> None:
        self.last = name
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def append(self, operator: str, name: str, *constants: str, **attributes: Any) -> None:
        """A node that reads the last one's output and then constants."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, [self.last, *constants], [name], name, **attributes))
        self.last = name


def save_onnx(network: Network, path: str | PathLike[str]) -> None:
    """Write a network as ONNX, whole or not at all; :func:`bnnverify.formats.load` reads it back.

    The input is a float32 tensor ``(batch, *shape)`` of -1 and +1, or of pixels 0..max_value; the
    output holds the class scores, ``(batch, n_classes)``. Thresholds out of a neuron's reach come
    back as the nearest ones out of reach; max-pooling of the input, or twice in a row, is not read back.

    Raises:
        UsageError: if the name does not end in .onnx, or the file cannot be written.
        UnsupportedError: if ``onnx`` is not installed, pixels are quantized by steps, or sums are too large for
            float32.
    """
    place = Path(path)
    if place.suffix.lower() != ".onnx":
        raise UsageError(f"{place}: expected a name that ends in .onnx")
    with whole_file(place) as partial:
        partial.write_bytes(encode(network))


def encode(network: Network) -> bytes:
    """The bytes of the file."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise UnsupportedError("writing ONNX needs the package onnx (pip install onnx)") from None
    if isinstance(network.input, QuantizedInput) and network.input.steps is not None:
        raise UnsupportedError(f"{network.name} quantizes its pixels by steps, which the ONNX writer does not express")
    builder = _Builder("input")
    _add_input(builder, network.input)
    for index, block in enumerate(network.blocks):
        max_value = _max_value(network.input) if index == 0 else None
        _add_block(builder, f"block{index + 1}", block, max_value, is_image=len(network.shapes[index]) == 3)
    kind = _add_output(builder, network.output, is_image=len(network.shapes[-1]) == 3)
    source = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *network.input.shape])
    scores = helper.make_tensor_value_info(builder.last, kind, ["batch", network.n_classes])
    graph = helper.make_graph(builder.nodes, "network", [source], [scores], builder.constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="bnnverify"
    )
    helper.set_model_props(model, {INPUT_METADATA: _described(network.input)})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _described(source: InputLayer) -> str:
    return "bits" if isinstance(source, BitInput) else f"pixels {source.max_value}"


def _max_value(source: InputLayer) -> int | None:
    return source.max_value if isinstance(source, QuantizedInput) else None


def _add_input(builder: _Builder, source: InputLayer) -> None:
    """Binarized pixels: ``Sign(direction * (pixel - threshold + 1/2))``."""
    if not isinstance(source, ThresholdInput):
        return
    cuts = (source.thresholds - 0.5).astype(np.float32).reshape(source.shape)
    directions = np.where(source.rising, 1, -1).astype(np.float32).reshape(source.shape)
    builder.append("Sub", "above", builder.constant("thresholds", cuts))
    builder.append("Mul", "margins", builder.constant("directions", directions))
    builder.append("Sign", "bits")


def _add_block(builder: _Builder, name: str, block: Layer, max_value: int | None, *, is_image: bool) -> None:
    if isinstance(block, MaxPool):
        builder.append("MaxPool", name, kernel_shape=block.size, strides=block.stride)
        return
    if isinstance(block, ConvBlock):
        weights = builder.constant(f"{name}_weights", block.weights.astype(np.float32))
        pads = block.padding * 2
        builder.append(
            "Conv", f"{name}_sums", weights, kernel_shape=block.weights.shape[2:], strides=block.stride, pads=pads
        )
    else:
        _add_matmul(builder, name, block.weights, is_image=is_image)
    cuts = _cuts(name, block, max_value).reshape(-1, *[1] * (block.weights.ndim - 2))
    builder.append("Sub", f"{name}_margins", builder.constant(f"{name}_cuts", cuts))
    builder.append("Sign", f"{name}_bits")


def _add_matmul(builder: _Builder, name: str, weights: NDArray[np.int8], *, is_image: bool) -> None:
    if is_image:
        builder.append("Flatten", f"{name}_flat", axis=1)
    builder.append("MatMul", f"{name}_sums", builder.constant(f"{name}_weights", weights.T.astype(np.float32)))


def _cuts(name: str, block: Block | ConvBlock, max_value: int | None) -> NDArray[np.float32]:
    """``threshold - 1/2``, with thresholds out of reach moved to the nearest ones out of reach."""
    low, high = reach(block.weights, max_value)
    if max(-int(low.min()), int(high.max())) > GREATEST_SUM:
        raise UnsupportedError(f"{name}: sums beyond {GREATEST_SUM} are not exact in float32; save as .npz")
    thresholds = np.clip(block.thresholds, low, high + 1)
    return (thresholds - 0.5).astype(np.float32)


def _add_output(builder: _Builder, output: Output, *, is_image: bool) -> int:
    """The score layer; returns the element type of the scores."""
    from onnx import TensorProto

    _add_matmul(builder, "output", output.weights, is_image=is_image)
    assert output.scale is not None
    assert output.bias is not None
    if (output.scale == 1).all() and not output.bias.any():
        return int(TensorProto.FLOAT)
    builder.append("Cast", "exact_sums", to=TensorProto.DOUBLE)
    builder.append("Mul", "scaled", builder.constant("output_scale", output.scale))
    builder.append("Add", "scores", builder.constant("output_bias", output.bias))
    return int(TensorProto.DOUBLE)
