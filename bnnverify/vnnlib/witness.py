"""A witness as text, for each version of VNN-LIB, so that every value parses back to the number that was replayed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from bnnverify.vnnlib.property import Property, Tensor


@dataclass(frozen=True)
class Assignment:
    """Inputs in the file's order, each exact in float32, and the outputs that they give."""

    inputs: tuple[Fraction, ...]
    outputs: tuple[float, ...]


def witness_text(prop: Property, found: Assignment) -> str:
    """The assignment in the format of the property's version."""
    return _second(prop, found) if prop.version == 2 else _first(found)


def _first(found: Assignment) -> str:
    """As the competition reads it: one list of pairs."""
    inputs = [f"(X_{i} {float(value)!r})" for i, value in enumerate(found.inputs)]
    outputs = [f"(Y_{i} {value!r})" for i, value in enumerate(found.outputs)]
    return "(" + "\n".join([*inputs, *outputs]) + ")"


def _second(prop: Property, found: Assignment) -> str:
    """Each tensor's name, type and shape, and then its elements, one a line."""
    tensors: list[tuple[Tensor, Iterable[Fraction | float]]] = [
        (prop.input, found.inputs),
        (prop.output, found.outputs),
    ]
    lines = []
    for tensor, values in tensors:
        lines.append(f"{tensor.name} {tensor.spelled} [{','.join(map(str, tensor.shape))}]")
        lines += [str(int(value)) if tensor.is_integer else repr(float(value)) for value in values]
    return "\n".join(lines)
