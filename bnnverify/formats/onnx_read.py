"""Reads ONNX and QONNX files: follows the graph from its input and collects layers, signs and scores.

Nodes run in the order of the file. What depends on constants alone is evaluated
(:mod:`bnnverify.formats.onnx_constants`); everything else acts on a signal
(:mod:`bnnverify.formats.onnx_signal`) as exact arithmetic, so the network is the file's in real
numbers, and a runtime that rounds to float32 may differ at a boundary. ONNX's ``Sign`` makes 0 of 0:
it is read where 0 cannot occur (:mod:`bnnverify.formats.onnx_zero`) or where what follows makes +1
of it, as ``Sign, Add 0.1, Sign`` does; ``BipolarQuant`` makes +1 of 0 by definition. A file does not
say what its inputs are: they are pixels if the caller, uint8 inputs or :func:`save_onnx
<bnnverify.formats.onnx_write.save_onnx>` say so, else bits -1 and +1. Cost: linear in the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.formats import onnx_elementwise, onnx_layers, onnx_signs
from bnnverify.formats.floatmodel import FloatLayer, FloatModel, PixelScale
from bnnverify.formats.onnx_constants import evaluate, is_constant
from bnnverify.formats.onnx_file import Graph, Node, read_graph
from bnnverify.formats.onnx_signal import Kind, Signal, exact_norm, identities, identity_layout
from bnnverify.formats.unstated import Unstated
from bnnverify.network import BitInput

BITS_NOTE = "inputs taken as bits -1 and +1, which an ONNX file does not say; give pixels=... if they are pixels"

Values = dict[str, NDArray[Any]]
Constants = Sequence[NDArray[Any]]


def read(path: Path, unstated: Unstated) -> FloatModel:
    """Read an ONNX file; of ``unstated``, only ``pixels`` is used.

    Raises:
        ModelFormatError: naming the node or constant, for whatever is damaged, not binarized, not
            supported, or could make a zero of a sign.
    """
    return read_with_order(path, unstated)[0]


def read_with_order(path: Path, unstated: Unstated) -> tuple[FloatModel, NDArray[np.intp]]:
    """As :func:`read`, and for every network input its flat index in the file's input tensor.

    The two differ where the file keeps channels last and the network keeps them first.
    """
    return model_of(read_graph(path), path.stem, unstated)


def model_of(graph: Graph, name: str, unstated: Unstated) -> tuple[FloatModel, NDArray[np.intp]]:
    """As :func:`read_with_order`, of a graph that was read."""
    pixels = _pixels(graph, unstated)
    signal = _result(graph, pixels)
    output = _output(signal)
    assert signal.source is not None
    assert signal.order is not None
    notes = [BITS_NOTE] if isinstance(signal.source, BitInput) and not graph.input_note else []
    if (signal.order != np.arange(signal.order.size)).any():
        notes.append(f"inputs reordered from {graph.input_shape} to {signal.source.shape}")
    return FloatModel(name, signal.source, signal.layers, output, tuple(notes)), signal.order


def _pixels(graph: Graph, unstated: Unstated) -> PixelScale | None:
    if unstated.pixels is not None:
        return unstated.pixels
    kind, _, greatest = graph.input_note.partition(" ")
    if kind == "pixels" and greatest.isdecimal() and 0 < int(greatest) < 1 << 16:
        return PixelScale(Fraction(1), max_value=int(greatest))
    return PixelScale(Fraction(1)) if graph.input_is_bytes else None


def _result(graph: Graph, pixels: PixelScale | None) -> Signal:
    """The signal at the graph's output."""
    shape = graph.input_shape
    layout = identity_layout(shape)
    signals = {graph.input: Signal(Kind.INPUT, layout, shape, identities(layout.size), pixels)}
    constants = dict(graph.constants)
    made = {node.output for node in graph.nodes}
    for node in graph.nodes:
        _require_readable(node, constants, signals, made)
        if is_constant(node, constants):
            constants[node.output] = evaluate(node, constants)
        else:
            signals[node.output] = _applied(node, constants, signals)
    if graph.output not in signals:
        raise ModelFormatError(f"output {graph.output!r}: does not depend on the input")
    return signals[graph.output]


def _require_readable(node: Node, constants: Values, signals: Mapping[str, Signal], made: set[str]) -> None:
    if node.output in constants or node.output in signals:
        raise ModelFormatError(f"{node}: its output is made twice")
    for name in node.inputs:
        if name and name not in constants and name not in signals:
            why = "only a later node makes: the graph has a cycle or is not sorted"
            raise ModelFormatError(f"{node}: reads {name!r}, which {why if name in made else 'the file does not hold'}")


def _applied(node: Node, constants: Values, signals: Mapping[str, Signal]) -> Signal:
    """The node's output, where one of its inputs depends on the graph's input."""
    foreign = node.domain not in ("", "ai.onnx")
    if node.operator not in OPERATORS or foreign != (node.operator == "BipolarQuant"):
        name = f"{node.domain}.{node.operator}" if foreign else node.operator
        raise ModelFormatError(f"{name} {node.output!r}: not a supported operator; read are {', '.join(OPERATORS)}")
    moving = [name for name in node.inputs if name in signals]
    if len(moving) != 1:
        raise ModelFormatError(f"{node}: joins two branches, expected a chain of layers")
    signal = signals[moving[0]]
    if signal.kind is Kind.SCORES:
        raise ModelFormatError(f"{node}: follows the scores, expected the end of the graph")
    operator = (OPERATORS if moving[0] == node.inputs[0] else CONSTANT_FIRST).get(node.operator)
    if operator is None:
        raise ModelFormatError(f"{node}: a constant comes first, expected the layer's values first")
    try:
        return operator(node, signal, [constants[name] for name in node.inputs if name in constants])
    except ModelFormatError:
        raise
    except (ValueError, IndexError, TypeError, KeyError, OverflowError):
        raise ModelFormatError(f"{node}: its inputs or attributes do not fit the operator") from None


def _softmax(node: Node, signal: Signal, constants: Constants) -> Signal:
    """Softmax and ArgMax at the end leave the greatest score the greatest."""
    default = 0 if node.operator == "ArgMax" else -1
    if node.attributes.get("axis", default) not in (1, -1) or node.attributes.get("select_last_index"):
        raise ModelFormatError(f"{node}: expected it over the classes, axis 1, the lowest class first")
    _output(signal)
    return replace(signal, kind=Kind.SCORES)


def _output(signal: Signal) -> FloatLayer:
    """The layer of class scores that a graph ends in."""
    layer = signal.pending
    if layer is None or signal.kind not in (Kind.SUMS, Kind.SCORES):
        raise ModelFormatError(f"the graph ends in {signal.kind.value}, expected class scores without a Sign")
    if layer.weights.ndim != 2 or not signal.is_in_order:
        raise ModelFormatError(f"{layer.name}: the last layer is a convolution or rearranged, expected Gemm or MatMul")
    return replace(layer, norm=exact_norm(layer.name, signal.affines))


OPERATORS: dict[str, Callable[[Node, Signal, Constants], Signal]] = {
    "Conv": onnx_layers.convolution,
    "Gemm": onnx_layers.gemm,
    "MatMul": onnx_layers.matmul,
    "MaxPool": lambda node, signal, _: onnx_layers.max_pool(node, signal),
    "BatchNormalization": onnx_elementwise.normalize,
    "Add": onnx_elementwise.add,
    "Sub": onnx_elementwise.subtract,
    "Mul": onnx_elementwise.multiply,
    "Div": onnx_elementwise.divide,
    "Neg": onnx_elementwise.negate,
    "Sign": onnx_signs.sign,
    "BipolarQuant": onnx_signs.bipolar,
    "Flatten": onnx_elementwise.flatten,
    "Reshape": onnx_elementwise.reshape,
    "Transpose": onnx_elementwise.transpose,
    "Identity": lambda node, signal, _: signal,
    "Cast": onnx_elementwise.cast,
    "Softmax": _softmax,
    "ArgMax": _softmax,
}
CONSTANT_FIRST: dict[str, Callable[[Node, Signal, Constants], Signal]] = {
    "Add": onnx_elementwise.add,
    "Sub": onnx_elementwise.subtract_from,
    "Mul": onnx_elementwise.multiply,
}
