"""Reads an ONNX file as plain nodes and numpy constants, before anything is understood.

The bytes are a protocol buffer without a magic number, so a random file may parse as one: whatever
a graph promises (an operator set, one input of fixed shape, tensors as long as their claimed
dimensions) is checked here, and a claim is checked before memory is taken for it. Nothing outside
the file is opened: external tensor data is refused. The package ``onnx`` is imported in this module
and in :mod:`bnnverify.formats.onnx_write` alone, inside the functions that need it.

Reference: ONNX IR specification, https://onnx.ai/onnx/repo-docs/IR.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.formats.archive import MAX_BYTES
from bnnverify.network import Shape

LEAST_OPSET, GREATEST_OPSET = 7, 26
MAX_ELEMENTS, MAX_AXES = 1 << 24, 8
INPUT_METADATA = "bnnverify_input"
KNOWN_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: its type, the names it reads and makes, and its attributes as Python values."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.operator} {self.output!r}"


@dataclass(frozen=True, eq=False)
class Graph:
    """The nodes in the order of the file, with the one input, the one output and the constants.

    Args:
        input_shape: without the batch axis.
        input_type, output_type: element types in ONNX's own spelling, such as float; "" if unknown.
        input_note: what :func:`bnnverify.formats.onnx_write.save_onnx` wrote about the input, or "".
    """

    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]]
    input: str
    input_shape: Shape
    input_type: str
    input_note: str
    output: str
    output_type: str

    @property
    def input_is_bytes(self) -> bool:
        return self.input_type == "uint8"


def looks_like_onnx(head: bytes) -> bool:
    """Whether a file's first bytes are a model's version field followed by another field of a model."""
    return len(head) > 2 and head[0] == 8 and 0 < head[1] < 64 and head[2] in KNOWN_TAGS


def read_graph(path: Path) -> Graph:
    """Read a file's graph.

    Raises:
        ModelFormatError: if ``onnx`` is not installed, or the file is damaged, too large, uses
            another operator set, external data, several inputs or a shape that is not fixed.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelFormatError(f"{size} bytes, expected at most {MAX_BYTES}")
    return graph_of(path.read_bytes())


def graph_of(content: bytes) -> Graph:
    """As :func:`read_graph`, of a file's bytes."""
    if len(content) > MAX_BYTES:
        raise ModelFormatError(f"more than {MAX_BYTES} bytes, expected at most so many")
    model = _parsed(content)
    graph = model.graph
    if not graph.node:
        raise ModelFormatError("an ONNX file without nodes, or no ONNX file at all; expected a network")
    _require_opset(model)
    constants = {_text(tensor.name): _as_array(tensor) for tensor in graph.initializer}
    source = _only("input", [value for value in graph.input if value.name not in constants])
    result = _only("output", list(graph.output))
    metadata = {_text(entry.key): _text(entry.value) for entry in model.metadata_props}
    return Graph(
        tuple(_node(node) for node in graph.node),
        constants,
        _text(source.name),
        _fixed_shape(source),
        _element_type(source),
        metadata.get(INPUT_METADATA, ""),
        _text(result.name),
        _element_type(result),
    )


def _parsed(content: bytes) -> Any:
    try:
        import onnx

        damage: type[Exception] = import_module("google.protobuf.message").DecodeError
    except ImportError:
        raise ModelFormatError("an ONNX file; reading it needs the package onnx (pip install onnx)") from None
    try:
        return onnx.ModelProto.FromString(content)
    except (damage, UnicodeDecodeError):
        raise ModelFormatError("not a readable ONNX file: it is damaged or truncated") from None


def _element_type(value: Any) -> str:
    from onnx import TensorProto

    number = value.type.tensor_type.elem_type
    return TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else ""


def _require_opset(model: Any) -> None:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset is None:
        raise ModelFormatError("an ONNX file without an operator set version")
    if not LEAST_OPSET <= opset <= GREATEST_OPSET:
        raise ModelFormatError(f"ONNX operator set {opset}, expected {LEAST_OPSET}..{GREATEST_OPSET}")


def _only(kind: str, values: list[Any]) -> Any:
    if len(values) != 1:
        names = ", ".join(repr(value.name) for value in values[:5]) or "none"
        raise ModelFormatError(f"{len(values)} graph {kind}s ({names}), expected exactly one")
    return values[0]


def _fixed_shape(source: Any) -> Shape:
    """The input's shape behind the batch axis, which may be symbolic or 1."""
    tensor = source.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    shown = "x".join("?" if size is None or size < 1 else str(size) for size in sizes) or "unknown"
    rest = tuple(size for size in sizes[1:] if size is not None and size > 0)
    if not rest or len(rest) + 1 != len(sizes):
        raise ModelFormatError(
            f"input {source.name!r}: shape {shown}, expected a batch axis and then fixed sizes; "
            "export with a fixed input shape"
        )
    if sizes[0] is not None and sizes[0] > 1:
        raise ModelFormatError(f"input {source.name!r}: shape {shown}, expected a first axis of 1, the batch")
    require_modest(f"input {source.name!r}", rest)
    return rest


def require_modest(name: str, shape: Shape) -> None:
    """Refuse a shape of more than ``MAX_ELEMENTS`` numbers before memory is taken for it."""
    if len(shape) > MAX_AXES:
        raise ModelFormatError(f"{name}: {len(shape)} axes, expected at most {MAX_AXES}")
    if prod(shape) > MAX_ELEMENTS:
        raise ModelFormatError(f"{name}: claims {prod(shape)} numbers, expected at most {MAX_ELEMENTS}")


def _node(node: Any) -> Node:
    operator, domain = _text(node.op_type), _text(node.domain)
    outputs = [_text(name) for name in node.output if name]
    if not outputs:
        raise ModelFormatError(f"a node {operator} without an output, expected at least one")
    attributes = {_text(attribute.name): _attribute(operator, attribute) for attribute in node.attribute}
    return Node(operator, domain, tuple(_text(name) for name in node.input), outputs[0], attributes)


def _text(value: str | bytes) -> str:
    """A name of the file, printable on one line; a protocol buffer gives bytes where it is no text."""
    if isinstance(value, bytes) or not value.isprintable():
        raise ModelFormatError(f"the name {value[:40]!r} is no text; the file is damaged")
    return value


def _attribute(operator: str, attribute: Any) -> Any:
    import onnx

    kinds = onnx.AttributeProto
    if attribute.type == kinds.TENSOR:
        return _as_array(attribute.t)
    if attribute.type == kinds.STRING:
        return attribute.s.decode(errors="replace")
    fields = {kinds.FLOAT: "f", kinds.INT: "i"}
    if attribute.type in fields:
        return getattr(attribute, fields[attribute.type])
    lists = {kinds.FLOATS: "floats", kinds.INTS: "ints"}
    if attribute.type in lists:
        return list(getattr(attribute, lists[attribute.type]))
    raise ModelFormatError(
        f"{operator}: attribute {attribute.name!r} is no number, text or tensor; subgraphs are not read"
    )


def _as_array(tensor: Any) -> NDArray[Any]:
    """A stored tensor, once its bytes are as many as its dimensions claim."""
    from onnx import TensorProto, numpy_helper

    name = f"constant {tensor.name!r}" if tensor.name else "a constant"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelFormatError(f"{name}: its data lies in another file, which is not opened; save it in one file")
    types = {TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BOOL: 1}
    types |= {TensorProto.INT8: 1, TensorProto.UINT8: 1, TensorProto.INT32: 4, TensorProto.INT64: 8}
    if tensor.data_type not in types:
        raise ModelFormatError(f"{name}: element type {tensor.data_type}, expected floats, integers or booleans")
    shape = tuple(tensor.dims[: MAX_AXES + 1])
    claimed = prod(shape)
    lists = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data)
    stored = len(tensor.raw_data) // types[tensor.data_type] if tensor.raw_data else max(map(len, lists))
    if min(shape, default=0) < 0 or claimed != stored or len(tensor.raw_data) % types[tensor.data_type]:
        raise ModelFormatError(f"{name}: claims the shape {shape} and holds {stored} numbers")
    require_modest(name, shape)
    array: NDArray[Any] = numpy_helper.to_array(tensor)
    if not np.isfinite(array).all():
        raise ModelFormatError(f"{name}: found NaN or infinity, expected finite numbers")
    return array
