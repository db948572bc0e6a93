"""Reads ``.npz`` files of binarized multi-layer perceptrons that Chainer wrote.

``input_bn/*`` binarizes each pixel by its own BatchNorm, ``blocks/k/lin`` and ``blocks/k/bn`` are the
hidden layers, ``output_lin`` the scores. The file holds no epsilon: Chainer's default is 2e-5.
Pixels are divided by 255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import BatchNorm, require_finite
from bnnverify.formats.archive import read_arrays
from bnnverify.formats.floatmodel import BinarizedPixels, FloatLayer, FloatModel, PixelScale
from bnnverify.formats.unstated import Unstated
from bnnverify.formats.weights import binarize

CHAINER_EPSILON = 2e-5

Arrays = dict[str, NDArray[Any]]


def read(path: Path, unstated: Unstated) -> FloatModel:
    """Read a file with ``input_bn``, ``blocks/k`` and ``output_lin``.

    Raises:
        ModelFormatError: naming the array, for one that is missing, malformed or does not fit.
    """
    arrays = read_arrays(path)
    epsilon = CHAINER_EPSILON if unstated.epsilon is None else unstated.epsilon
    norm = _norm(arrays, "input_bn", epsilon)
    hidden = [_layer(arrays, f"blocks/{k}", epsilon) for k in range(_n_blocks(arrays))]
    output, output_notes = _linear(arrays, "output_lin", None)
    notes = [f"BatchNorm epsilon taken as {epsilon}, which the file does not hold"] if unstated.epsilon is None else []
    notes += [note for _, layer_notes in hidden for note in layer_notes]
    shape = unstated.input_shape or (norm.n_features,)
    source = BinarizedPixels(shape, norm, unstated.pixels or PixelScale())
    return FloatModel(path.stem, source, tuple(layer for layer, _ in hidden), output, (*notes, *output_notes))


def _n_blocks(arrays: Arrays) -> int:
    found = {name.split("/")[1] for name in arrays if name.startswith("blocks/") and name.count("/") >= 2}
    for k in range(len(found)):
        if str(k) not in found:
            raise ModelFormatError(f"blocks/{k}: missing; found blocks {', '.join(sorted(found))}")
    return len(found)


def _layer(arrays: Arrays, name: str, epsilon: float) -> tuple[FloatLayer, tuple[str, ...]]:
    return _linear(arrays, f"{name}/lin", _norm(arrays, f"{name}/bn", epsilon))


def _norm(arrays: Arrays, name: str, epsilon: float) -> BatchNorm:
    n = _array(arrays, f"{name}/gamma").size
    parts = ("gamma", "beta", "avg_mean", "avg_var")
    gamma, beta, mean, variance = (
        require_finite(f"{name}/{part}", _array(arrays, f"{name}/{part}"), n) for part in parts
    )
    return BatchNorm(name, gamma, beta, mean, variance, epsilon)


def _linear(arrays: Arrays, name: str, norm: BatchNorm | None) -> tuple[FloatLayer, tuple[str, ...]]:
    stored = _array(arrays, f"{name}/W")
    if stored.ndim != 2:
        raise ModelFormatError(f"{name}/W: shape {stored.shape}, expected (outputs, inputs)")
    weights, notes = binarize(f"{name}/W", stored)
    bias = require_finite(f"{name}/b", _array(arrays, f"{name}/b"), weights.shape[0])
    return FloatLayer(name, weights, np.asarray(bias), norm), notes


def _array(arrays: Arrays, name: str) -> NDArray[Any]:
    if name not in arrays:
        raise ModelFormatError(f"{name}: missing")
    return arrays[name]
