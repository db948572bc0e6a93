"""Runs an ONNX file on onnxruntime, as those who score a witness will: floats, their rounding, and 0 as the sign of 0.

A witness that is right in exact arithmetic may not be one there. It is refused then, and the search goes on. Without
onnxruntime, or where it cannot run the file, witnesses are those of exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.vnnlib.races import Race

ELEMENT_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}
ELEMENT_TYPES |= {f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
LOG_FATAL = 4


@dataclass(frozen=True, eq=False)
class Runtime:
    """A session on one file."""

    session: Any
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def outputs(self, inputs: Sequence[Fraction]) -> NDArray[Any] | None:
        """The scores ``(n_classes,)`` of one input; None if the file's element type cannot hold it, or a run fails."""
        with np.errstate(all="ignore"):
            values = np.array([float(value) for value in inputs]).astype(self.dtype)
        if any(Fraction(value.item()) != exact for value, exact in zip(values, inputs, strict=True)):
            return None
        try:
            found: NDArray[Any] = self.session.run(None, {self.name: values.reshape(self.shape)})[0]
        except Exception:  # onnxruntime raises classes of its own without a common base
            return None
        return found.reshape(-1)


def open_runtime(content: bytes, input_shape: tuple[int, ...]) -> Runtime | None:
    """A session on a file's bytes, for inputs of this shape; None without onnxruntime or if it cannot run the file."""
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = LOG_FATAL
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # as above
        return None
    source = session.get_inputs()[0]
    if source.type not in ELEMENT_TYPES:
        return None
    return Runtime(session, source.name, (1, *input_shape), np.dtype(ELEMENT_TYPES[source.type]))


def meets(outputs: NDArray[Any], alternatives: Sequence[Sequence[Race]]) -> bool:
    """Whether outputs, compared as the floats they are, meet one of the conjunctions."""
    values = [float(value) for value in outputs]
    return any(
        all(values[a] > values[b] if strict else values[a] >= values[b] for a, b, strict in races)
        for races in alternatives
    )
