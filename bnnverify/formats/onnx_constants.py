"""Evaluates what an ONNX graph computes from constants alone, such as the sign of latent weights.

Exporters leave small chains of constants behind: ``Sign`` of weights, ``Transpose``, ``Cast``, a
``Constant`` node for every number. Arithmetic runs in the precision of the stored tensors, as a
runtime would fold it. ``Sign`` keeps ``sign(0) = 0``; BipolarQuant makes +1 of 0. Cost: linear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.formats.onnx_file import MAX_AXES, Node, require_modest
from bnnverify.network import Shape

CAST_TYPES: dict[int, type[np.generic]] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    10: np.float16,
    11: np.float64,
}
ARITHMETIC: dict[str, Callable[..., NDArray[Any]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}

Constants = Sequence[NDArray[Any]]


def is_constant(node: Node, constants: dict[str, NDArray[Any]]) -> bool:
    """Whether every input of a node is a constant already known."""
    return all(name in constants for name in node.inputs if name)


def evaluate(node: Node, constants: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The value of a node whose inputs are constants.

    Raises:
        ModelFormatError: for another operator, or shapes and numbers that do not fit.
    """
    operator = FOLDABLE.get(node.operator)
    if operator is None:
        raise ModelFormatError(f"{node}: this operator on constants is not read; simplify the file first")
    try:
        with np.errstate(all="ignore"):
            value = operator(node, [constants[name] for name in node.inputs if name])
    except ModelFormatError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError):
        raise ModelFormatError(f"{node}: its constants or attributes do not fit each other") from None
    if not np.isfinite(value).all():
        raise ModelFormatError(f"{node}: makes NaN or infinity of its constants, expected finite numbers")
    return value


def cast_type(node: Node) -> type[np.generic]:
    """The numpy type that a Cast asks for."""
    wanted = node.attributes.get("to")
    if wanted not in CAST_TYPES:
        raise ModelFormatError(f"{node}: casts to element type {wanted}, expected floats or integers")
    return CAST_TYPES[wanted]


def resolved_shape(node: Node, shape: Shape, target: Sequence[int]) -> Shape:
    """The shape that a Reshape makes of ``shape``: 0 copies a size, one -1 is inferred.

    Raises:
        ModelFormatError: if the numbers of elements differ.
    """
    if len(target) > MAX_AXES:
        raise ModelFormatError(f"{node}: {len(target)} axes, expected at most {MAX_AXES}")
    if 0 in target and (node.attributes.get("allowzero") or len(target) > len(shape)):
        raise ModelFormatError(f"{node}: the shape {tuple(target)} holds an empty axis")
    sizes = [shape[axis] if size == 0 else int(size) for axis, size in enumerate(target)]
    known = int(np.prod([size for size in sizes if size != -1], dtype=np.float64))
    total = int(np.prod(shape))
    if sizes.count(-1) == 1 and known > 0 and total % known == 0:
        sizes[sizes.index(-1)] = total // known
    if min(sizes, default=1) < 1 or int(np.prod(sizes, dtype=np.float64)) != total:
        raise ModelFormatError(f"{node}: cannot make the shape {tuple(target)} of {shape}")
    return tuple(sizes)


def _arithmetic(node: Node, values: Constants) -> NDArray[Any]:
    left, right = values
    if node.operator == "Div" and left.dtype.kind != "f":
        raise ModelFormatError(f"{node}: divides integers, expected floats")
    require_modest(str(node), np.broadcast_shapes(left.shape, right.shape))
    value = ARITHMETIC[node.operator](left, right)
    return value.astype(left.dtype) if left.dtype.kind == "f" else np.asarray(value)


def _constant(node: Node, values: Constants) -> NDArray[Any]:
    for name, value in node.attributes.items():
        if name.startswith("value"):
            wide = {"value_int": np.int64, "value_ints": np.int64}.get(name, np.float32)
            return value if isinstance(value, np.ndarray) else np.asarray(value, dtype=wide)
    raise ValueError


def _bipolar(node: Node, values: Constants) -> NDArray[Any]:
    weights, scale = values
    return np.where(weights >= 0, scale, -scale).astype(weights.dtype)


def _reshape(node: Node, values: Constants) -> NDArray[Any]:
    array, target = values
    return array.reshape(resolved_shape(node, array.shape, target.tolist()))


def _unsqueeze(node: Node, values: Constants) -> NDArray[Any]:
    axes = node.attributes["axes"] if len(values) == 1 else values[1].tolist()
    return np.expand_dims(values[0], tuple(axes))


FOLDABLE: dict[str, Callable[[Node, Constants], NDArray[Any]]] = {
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    "Constant": _constant,
    "Sign": lambda node, values: np.sign(values[0]),
    "Neg": lambda node, values: np.negative(values[0]),
    "Identity": lambda node, values: values[0],
    "Cast": lambda node, values: values[0].astype(cast_type(node)),
    "Transpose": lambda node, values: values[0].transpose(node.attributes.get("perm")),
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "BipolarQuant": _bipolar,
}
