"""From a trained torch model to the network that is verified, and the proof by execution that they are one.

Folding is exact (:mod:`bnnverify.folding`), while torch normalizes in float32: a sum within rounding of a neuron's
boundary may fall on the other side there. The exported network is the definition, so :func:`export` runs both on given
instances, each stage fed with the bit engine's own bits before it, and refuses a network that differs in any neuron or
class, naming the first neuron that does. Cost: a big-integer square root a neuron, and one pass of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnverify.errors import ModelFormatError, UnsupportedError
from bnnverify.folding import BatchNorm
from bnnverify.formats.floatmodel import FloatInput, FloatLayer, FloatModel, Folded, PixelScale, RawPixels, fold
from bnnverify.inference import BitEngine
from bnnverify.network import BitInput, MaxPool, Network, QuantizedInput
from bnnverify.training.inputs import QuantizedPixels
from bnnverify.training.layers import BinaryConv2d, LatentWeight, NormalizedScores, Scores
from bnnverify.training.model import BinaryModel, Stage
from bnnverify.training.normalization import stored

BATCH = 500


@dataclass(frozen=True)
class Difference:
    """The first neuron at which torch and the bit engine differ.

    ``stage`` counts from 1; 0 is the input layer, and one past the last stage the classes. ``neuron`` is a flat index
    into the stage's outputs, or the class that torch found. ``margin`` is the float value whose sign torch took; for
    the input layer its bit or level, for a class 0.
    """

    stage: int
    neuron: int
    instance: int
    margin: float
    n_stages: int

    def __str__(self) -> str:
        if self.stage == 0:
            return f"input {self.neuron}: torch reads {self.margin:g} for instance {self.instance}, the engine another"
        if self.stage > self.n_stages:
            return f"output: torch finds class {self.neuron} for instance {self.instance}, the engine another"
        return f"stage {self.stage}, neuron {self.neuron}: the sign of {self.margin:g} for instance {self.instance}"


def export(model: BinaryModel, instances: NDArray[Any]) -> Network:
    """Fold a model and check on instances that it computes what torch computes, layer by layer.

    Args:
        instances: ``(batch, *shape)`` in the network's own input scale.

    Raises:
        ModelFormatError: if a neuron or class differs; the message names the first one.
    """
    folded = fold_model(model)
    difference = first_difference(model, folded, instances)
    if difference is not None:
        raise ModelFormatError(f"{model.name}: exported and trained network differ at {difference}; export refused")
    return folded.network


def fold_model(model: BinaryModel) -> Folded:
    """The integer network of a model in evaluation mode, exactly.

    Raises:
        ModelFormatError: for parameters that cannot be folded, such as NaN.
        UnsupportedError: if weights or activations are real.
    """
    if not model.is_binary:
        raise UnsupportedError(f"{model.name}: real weights or activations, which no integer network has")
    was_training = model.training
    model.eval()
    try:
        folded = fold(_float_model(model))
    finally:
        model.train(was_training)
    network = folded.network
    return replace(folded, network=Network(network.blocks, network.output, model.input.layer, network.name))


def _float_model(model: BinaryModel) -> FloatModel:
    layers = tuple(_float_layer(f"stage {k}", stage) for k, stage in enumerate(model.ordered_stages(), start=1))
    return FloatModel(model.name, _float_input(model), layers, _float_scores(model.scores))


def _float_input(model: BinaryModel) -> FloatInput:
    """What the first layer adds up: bits, whatever they came from, or levels."""
    layer = model.input.layer
    if isinstance(model.input, QuantizedPixels):
        return RawPixels(layer.shape, PixelScale(Fraction(1), Fraction(0), model.input.layer.max_level))
    return BitInput(layer.shape)


def _float_layer(name: str, stage: Stage) -> FloatLayer:
    geometry: dict[str, Any] = {}
    if isinstance(stage.layer, BinaryConv2d):
        geometry = {"stride": stage.layer.stride, "padding": stage.layer.padding}
    return FloatLayer(
        name,
        integer_weights(stage.layer.weight),
        norm=stored(f"{name} norm", stage.norm),
        sum_pool=_max_pool(name, stage.sum_pool),
        bit_pool=_max_pool(name, stage.bit_pool),
        **geometry,
    )


def _float_scores(scores: Scores | NormalizedScores) -> FloatLayer:
    """Class scores as a layer with its BatchNorm, or with one of variance 1 that is the scale and the bias."""
    if isinstance(scores, NormalizedScores):
        return FloatLayer("scores", integer_weights(scores.weight), norm=stored("scores norm", scores.norm))
    bias = _as_array(scores.bias)
    scale = np.full(bias.shape, _as_array(scores.scale))
    norm = BatchNorm("scores", scale, bias, np.zeros_like(bias), np.ones_like(bias), 0.0)
    return FloatLayer("scores", integer_weights(scores.weight), norm=norm)


def _max_pool(name: str, pool: nn.MaxPool2d | None) -> MaxPool | None:
    if pool is None:
        return None
    size, stride, padding, dilation = (_pair(v) for v in (pool.kernel_size, pool.stride, pool.padding, pool.dilation))
    if padding != (0, 0) or dilation != (1, 1) or pool.ceil_mode:
        raise ModelFormatError(f"{name}: pooling with padding, dilation or ceil_mode, expected none of them")
    return MaxPool(size, stride)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


@torch.no_grad()
def integer_weights(weight: LatentWeight) -> NDArray[np.int8]:
    """The weights of a forward pass in evaluation mode as int8."""
    was_training = weight.training
    weight.eval()
    values = _as_array(weight()).astype(np.int8)
    weight.train(was_training)
    return values


def _as_array(values: Any) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().cpu().numpy()
    return array


def first_difference(model: BinaryModel, folded: Folded, instances: NDArray[Any]) -> Difference | None:
    """The first neuron, in the order of stages, then of neurons, that torch and the bit engine see differently.

    Args:
        instances: ``(batch, *shape)`` in the network's own input scale.

    Returns:
        None if all neurons of all stages and all classes agree.
    """
    was_training = model.training
    model.eval()
    engine = BitEngine(folded.network)
    try:
        found = [
            _moved(_difference_in_batch(model, folded, engine, instances[start : start + BATCH]), start)
            for start in range(0, len(instances), BATCH)
        ]
    finally:
        model.train(was_training)
    differences = [difference for difference in found if difference is not None]
    return min(differences, key=lambda found: (found.stage, found.neuron, found.instance), default=None)


def _moved(difference: Difference | None, start: int) -> Difference | None:
    return None if difference is None else replace(difference, instance=difference.instance + start)


@torch.no_grad()
def _difference_in_batch(
    model: BinaryModel, folded: Folded, engine: BitEngine, batch: NDArray[Any]
) -> Difference | None:
    stages = model.ordered_stages()
    instances = torch.tensor(batch, dtype=torch.float32).reshape(len(batch), *folded.network.input.shape)
    values = _entered(folded.network, batch)
    entered = model.input(instances)
    if not torch.equal(entered, values):
        return _first(0, entered, entered != values, len(stages))
    expected_bits = _bits_after(model, folded, engine, batch)
    for number, (stage, bits) in enumerate(zip(stages, expected_bits, strict=True), start=1):
        margins = stage.margins(values)
        margins = margins if stage.bit_pool is None else stage.bit_pool(margins)
        differ = (margins >= 0) != (bits > 0)
        if differ.any():
            return _first(number, margins, differ, len(stages))
        values = bits
    found, expected = model(instances).argmax(dim=1).numpy(), engine.classify(batch)
    wrong = np.flatnonzero(found != expected)
    if not wrong.size:
        return None
    return Difference(len(stages) + 1, int(found[wrong[0]]), int(wrong[0]), 0.0, len(stages))


def _first(stage: int, margins: Tensor, differ: Tensor, n_stages: int) -> Difference:
    """The lowest neuron that differs anywhere in a batch, with the first instance in which it does."""
    neuron, instance = (int(index) for index in differ.flatten(1).T.nonzero()[0])
    return Difference(stage, neuron, instance, float(margins.flatten(1)[instance, neuron]), n_stages)


def _entered(network: Network, batch: NDArray[Any]) -> Tensor:
    """Instances as the exported input layer hands them to the first block."""
    layer = network.input
    entered = layer.to_levels(batch) if isinstance(layer, QuantizedInput) else layer.to_bits(batch)
    return torch.tensor(entered, dtype=torch.float32).reshape(len(batch), *layer.shape)


def _bits_after(model: BinaryModel, folded: Folded, engine: BitEngine, batch: NDArray[Any]) -> list[Tensor]:
    """The bit engine's bits behind each stage as torch has them: complemented channels turned back."""
    activations, position, after = engine.layer_bits(batch), -1, []
    for stage, flags in zip(model.ordered_stages(), folded.complemented, strict=True):
        position += 1 + (stage.sum_pool is not None) + (stage.bit_pool is not None)
        bits = activations[position]
        signs = np.where(flags, -1, 1).reshape(1, -1, *[1] * (bits.ndim - 2))
        after.append(torch.tensor(bits * signs, dtype=torch.float32))
    return after
