"""Reads torch state dicts of binarized networks: ``nn.Sequential`` ones and NPAQ's ``fcK``/``bnK``.

A state dict is a list of named tensors. Tensors that share a prefix are one module; a module with
running statistics is a BatchNorm, a weight of two axes a Linear, of four a Conv2d. Modules run in
the order of the dict, but for two naming schemes which state their order: ``0.weight`` and so on of
a Sequential, and ``fc1, bn1, fc2, bn2``. A sign follows every hidden layer. What a state dict cannot
say (:class:`Unstated`) is given by the caller, or assumed with a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import BatchNorm, require_finite
from bnnverify.formats.floatmodel import BinarizedPixels, FloatInput, FloatLayer, FloatModel, RawPixels
from bnnverify.formats.torch_tensors import read_tensors
from bnnverify.formats.unstated import Unstated
from bnnverify.formats.weights import binarize
from bnnverify.network import BitInput, MaxPool, Shape

TORCH_EPSILON = 1e-5
PARAMETERS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}

Module: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Stage:
    """One Linear or Conv with the BatchNorm that follows it, still as modules."""

    name: str
    module: Module
    norm_name: str | None = None
    norm: Module | None = None


def read(path: Path, unstated: Unstated) -> FloatModel:
    """Read a state dict file.

    Raises:
        ModelFormatError: naming the module, for one that is no Linear, Conv2d or BatchNorm, does
            not fit, or needs a fact that neither the file nor ``unstated`` gives.
    """
    return from_tensors(read_tensors(path), path.stem, unstated)


def from_tensors(tensors: Mapping[str, NDArray[Any]], name: str, unstated: Unstated) -> FloatModel:
    """The same from tensors in memory, in the order of the modules."""
    modules = _in_order(_modules(tensors))
    _require_known_names(modules, unstated)
    input_norm = modules.pop(0) if _is_norm(modules[0][1]) else None
    stages = _stages(modules)
    built = [_layer(stage, unstated) for stage in stages]
    layers = [layer for layer, _ in built]
    source = _input(input_norm, layers[0], unstated)
    _require_plain_output(layers[-1])
    notes = [*_assumptions(layers, input_norm, unstated), *(note for _, found in built for note in found)]
    return FloatModel(name, source, tuple(layers[:-1]), layers[-1], tuple(notes))


def _modules(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Module]:
    modules: dict[str, Module] = {}
    for key, tensor in tensors.items():
        prefix, _, parameter = key.rpartition(".")
        if parameter not in PARAMETERS or not prefix:
            raise ModelFormatError(
                f"{key}: not a parameter of Linear, Conv2d or BatchNorm, the only modules that a state dict may hold"
            )
        modules.setdefault(prefix, {})[parameter] = tensor
    return modules


def _in_order(modules: dict[str, Module]) -> list[tuple[str, Module]]:
    """Modules as they run: by index in one Sequential, fc1 bn1 fc2 bn2 by number, else as stored."""
    items = list(modules.items())
    paths = [name.rpartition(".") for name in modules]
    if len({parent for parent, _, _ in paths}) == 1 and all(leaf.isdecimal() for _, _, leaf in paths):
        return sorted(items, key=lambda item: int(item[0].rpartition(".")[2]))
    numbered = {name: re.fullmatch(r"(?:.*\.)?(fc|conv|bn)(\d+)", name) for name in modules}
    kinds = {match and match[1] for match in numbered.values()}
    if kinds <= {"fc", "bn"}:
        return sorted(items, key=lambda item: _number_then_norm(numbered[item[0]]))
    return items


def _number_then_norm(match: re.Match[str] | None) -> tuple[int, bool]:
    assert match is not None
    return int(match[2]), match[1] == "bn"


def _require_known_names(modules: Sequence[tuple[str, Module]], unstated: Unstated) -> None:
    names = [name for name, _ in modules]
    for given in (unstated.pools, unstated.strides, unstated.paddings):
        for name in given:
            if name not in names:
                raise ModelFormatError(f"{name}: given by the caller but no module; found {', '.join(names)}")


def _is_norm(module: Module) -> bool:
    return "running_var" in module or "running_mean" in module


def _stages(modules: Sequence[tuple[str, Module]]) -> list[Stage]:
    """Pair every Linear or Conv with the BatchNorm behind it."""
    stages: list[Stage] = []
    for name, module in modules:
        if not _is_norm(module):
            stages.append(Stage(name, module))
        elif not stages or stages[-1].norm is not None:
            raise ModelFormatError(f"{name}: a BatchNorm behind a BatchNorm, expected a Linear or Conv2d between them")
        else:
            stages[-1] = Stage(stages[-1].name, stages[-1].module, name, module)
    if not stages:
        raise ModelFormatError("only a BatchNorm, expected at least one Linear")
    return stages


def _layer(stage: Stage, unstated: Unstated) -> tuple[FloatLayer, tuple[str, ...]]:
    weights, notes = _weights(stage)
    bias = stage.module.get("bias")
    norm = None if stage.norm is None or stage.norm_name is None else _norm(stage.norm_name, stage.norm, unstated)
    stride, padding = unstated.strides.get(stage.name, 1), unstated.paddings.get(stage.name, 0)
    layer = FloatLayer(
        stage.name,
        weights,
        bias,
        norm,
        sum_pool=_pool(unstated, stage.name),
        bit_pool=_pool(unstated, stage.norm_name),
        stride=(stride, stride),
        padding=(padding, padding),
    )
    return layer, notes


def _weights(stage: Stage) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    stored = stage.module.get("weight")
    if stored is None:
        raise ModelFormatError(f"{stage.name}.weight: missing")
    if stored.ndim == 1:
        raise ModelFormatError(f"{stage.name}: a weight of one axis without running statistics is no trained BatchNorm")
    if stored.ndim not in (2, 4) or min(stored.shape) < 1:
        raise ModelFormatError(
            f"{stage.name}.weight: shape {stored.shape}, expected (out, in) or (out, in, height, width)"
        )
    return binarize(f"{stage.name}.weight", stored)


def _norm(name: str, module: Module, unstated: Unstated) -> BatchNorm:
    for parameter in ("running_mean", "running_var"):
        if parameter not in module:
            raise ModelFormatError(f"{name}.{parameter}: missing")
    n = module["running_var"].size
    defaults = {"weight": np.ones(n), "bias": np.zeros(n)}
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (
        require_finite(f"{name}.{part}", module.get(part, defaults.get(part)), n) for part in parts
    )
    epsilon = TORCH_EPSILON if unstated.epsilon is None else unstated.epsilon
    return BatchNorm(name, gamma, beta, mean, variance, epsilon)


def _pool(unstated: Unstated, name: str | None) -> MaxPool | None:
    window = None if name is None else unstated.pools.get(name)
    return None if window is None else MaxPool((window, window))


def _input(norm: tuple[str, Module] | None, first: FloatLayer, unstated: Unstated) -> FloatInput:
    shape = _input_shape(first, unstated)
    if norm is None:
        return BitInput(shape) if unstated.pixels is None else RawPixels(shape, unstated.pixels)
    if unstated.pixels is None:
        raise ModelFormatError(
            f"{norm[0]}: a BatchNorm before the first layer binarizes pixels; say how they are scaled (pixels=...)"
        )
    return BinarizedPixels(shape, _per_pixel(_norm(*norm, unstated), shape), unstated.pixels)


def _per_pixel(norm: BatchNorm, shape: Shape) -> BatchNorm:
    """A BatchNorm of one feature a channel, repeated for every pixel of it."""
    if norm.n_features != shape[0]:
        return norm
    times = prod(shape[1:])
    gamma, beta, mean, variance = (np.repeat(v, times) for v in (norm.gamma, norm.beta, norm.mean, norm.variance))
    return BatchNorm(norm.name, gamma, beta, mean, variance, norm.epsilon)


def _input_shape(first: FloatLayer, unstated: Unstated) -> Shape:
    if unstated.input_shape is not None:
        return tuple(unstated.input_shape)
    n_inputs = int(first.weights.shape[1])
    if first.weights.ndim == 4:
        raise ModelFormatError(
            f"{first.name}: a convolution, and a state dict does not hold the image's size; "
            f"give input_shape=({n_inputs}, height, width)"
        )
    return (n_inputs,)


def _require_plain_output(layer: FloatLayer) -> None:
    if layer.weights.ndim != 2 or layer.sum_pool or layer.bit_pool:
        raise ModelFormatError(f"{layer.name}: the last layer is pooled or a convolution, expected a plain Linear")


def _assumptions(layers: Sequence[FloatLayer], input_norm: object, unstated: Unstated) -> list[str]:
    notes = []
    if unstated.epsilon is None and (input_norm or any(layer.norm for layer in layers)):
        notes.append(f"BatchNorm epsilon taken as {TORCH_EPSILON}, which a state dict does not hold")
    for layer in layers:
        if layer.weights.ndim == 4:
            notes.append(f"{layer.name}: {_convolution_as_taken(layer)}")
    bare = [layer.name for layer in layers[:-1] if layer.norm is None]
    if bare:
        notes.append(f"no BatchNorm behind {', '.join(bare)}: taken as the sign of the sum and bias")
    return notes


def _convolution_as_taken(layer: FloatLayer) -> str:
    pooled = [f"max-pool {p.size[0]} {where} BatchNorm" for p, where in _pools_of(layer) if p]
    steps = f"taken with stride {layer.stride[0]}, padding {layer.padding[0]}"
    return f"{steps}, {', '.join(pooled) or 'no pooling'}; a state dict does not hold them"


def _pools_of(layer: FloatLayer) -> tuple[tuple[MaxPool | None, str], ...]:
    return (layer.sum_pool, "before"), (layer.bit_pool, "behind")
