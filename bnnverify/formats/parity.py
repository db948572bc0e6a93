"""Does the float network that was trained agree with the integer network that is verified?

Folding is exact, but whoever trained the network ran it in float32, and a sum that lies within
rounding of a neuron's boundary may fall on either side there. This check runs the stored floats as
their framework would and compares: the class end to end, and every neuron on its own, fed with the
integer network's bits so that one difference does not drag others behind it. A difference is
reported with its neuron and its margin, the float value that should have had the other sign.
Cost: two dense passes an input, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.folding import BatchNorm
from bnnverify.formats.floatmodel import BinarizedPixels, FloatLayer, FloatModel, Folded, RawPixels, fold
from bnnverify.inference.reference import classify, layer_bits
from bnnverify.network import MaxPool, Network, QuantizedInput, ThresholdInput

BATCH = 256

Images: TypeAlias = NDArray[Any]
Tally: TypeAlias = dict[tuple[str, int], tuple[float, int]]


@dataclass(frozen=True)
class NeuronDifference:
    """A neuron whose float sign differs from its integer bit on ``n_inputs`` inputs.

    ``margin`` is the float value farthest from zero among them; ``neuron`` counts the channels of a
    convolution and the flat pixels of the input layer.
    """

    layer: str
    neuron: int
    margin: float
    n_inputs: int


@dataclass(frozen=True)
class Parity:
    """Agreement of floats and integers on ``n_inputs`` inputs."""

    n_inputs: int
    n_class_differences: int
    neurons: tuple[NeuronDifference, ...]

    @property
    def agrees(self) -> bool:
        """Whether no class and no neuron differed."""
        return not self.n_class_differences and not self.neurons

    def to_dict(self) -> dict[str, Any]:
        return {
            "inputs": self.n_inputs,
            "class_differences": self.n_class_differences,
            "neurons": [vars(neuron) for neuron in self.neurons],
        }


def check_parity(
    model: FloatModel,
    inputs: NDArray[Any] | None = None,
    *,
    n_samples: int = 1000,
    rng: np.random.Generator | None = None,
) -> Parity:
    """Run a model in float32 and folded to integers, and report every difference.

    Args:
        model: as :func:`bnnverify.formats.load_float` returns it.
        inputs: ``(batch, n_inputs)`` in the network's own scale; by default ``n_samples`` random ones.
        rng: source of the samples; seed 0 by default.

    Raises:
        InputFormatError: for inputs that do not fit.
        UsageError: for no inputs at all.
    """
    folded = fold(model)
    if inputs is None:
        inputs = sample_inputs(folded.network, n_samples, np.random.default_rng(0) if rng is None else rng)
    values = np.atleast_2d(folded.network.input.read(inputs))
    if not values.size:
        raise UsageError("parity: no inputs, expected at least one")
    tally: Tally = {}
    n_class_differences = 0
    for batch in (values[start : start + BATCH] for start in range(0, len(values), BATCH)):
        _tally_layers(model, folded, batch, tally)
        n_class_differences += int(np.count_nonzero(classify(folded.network, batch) != _float_labels(model, batch)))
    neurons = tuple(NeuronDifference(*key, *tally[key]) for key in sorted(tally))
    return Parity(len(values), n_class_differences, neurons)


def sample_inputs(network: Network, n: int, rng: np.random.Generator) -> NDArray[Any]:
    """``(n, n_inputs)`` uniform bits or pixels for a network."""
    if isinstance(network.input, ThresholdInput | QuantizedInput):
        return rng.integers(0, network.input.max_value + 1, size=(n, network.n_inputs))
    return rng.choice(np.array([-1, 1], dtype=np.int8), size=(n, network.n_inputs))


def _tally_layers(model: FloatModel, folded: Folded, batch: NDArray[Any], tally: Tally) -> None:
    """Compare each layer's float signs with its bits, both fed with the integer network's bits before it."""
    values = _float_inputs(model, batch)
    if isinstance(model.input, BinarizedPixels):
        margins = _normalized(model.input.norm, values.reshape(len(batch), -1))
        assert isinstance(folded.network.input, ThresholdInput)
        bits = folded.network.input.to_bits(batch)
        _tally(tally, model.input.norm.name, margins, bits)
        values = bits.reshape(values.shape)
    activations = layer_bits(folded.network, batch)
    position = -1
    for layer, flags in zip(model.layers, folded.complemented, strict=True):
        position += 1 + (layer.sum_pool is not None) + (layer.bit_pool is not None)
        after = activations[position] * _per_channel(np.where(flags, -1, 1), activations[position].ndim)
        _tally(tally, layer.name, _layer_margins(layer, values), after)
        values = after


def _tally(tally: Tally, name: str, margins: Images, bits: Images) -> None:
    differ = (margins >= 0) != (bits > 0)
    others = tuple(axis for axis in range(differ.ndim) if axis != 1)
    for neuron in np.flatnonzero(differ.any(axis=others)).tolist():
        where = differ[:, neuron]
        found = margins[:, neuron][where]
        n_inputs = int(np.count_nonzero(where.reshape(len(where), -1).any(axis=1)))
        before, n_before = tally.get((name, neuron), (0.0, 0))
        margin = max((before, *found.tolist()), key=abs)
        tally[name, neuron] = (float(margin), n_before + n_inputs)


def _float_labels(model: FloatModel, batch: NDArray[Any]) -> NDArray[np.intp]:
    """Classes as the framework would find them, float32 throughout; ties go to the lowest class."""
    values = _float_inputs(model, batch)
    if isinstance(model.input, BinarizedPixels):
        flat = _normalized(model.input.norm, values.reshape(len(values), -1))
        values = _signs(flat).reshape(values.shape)
    for layer in model.layers:
        values = _signs(_layer_margins(layer, values))
    labels: NDArray[np.intp] = _layer_margins(model.output, values).argmax(axis=1)
    return labels


def _signs(margins: Images) -> Images:
    return np.where(margins >= 0, np.float32(1), np.float32(-1))


def _float_inputs(model: FloatModel, batch: NDArray[Any]) -> Images:
    """What the float network is fed, ``(batch, *shape)`` float32."""
    values: Images = batch.reshape(len(batch), *model.input.shape).astype(np.float32)
    if isinstance(model.input, BinarizedPixels | RawPixels):
        pixels = model.input.pixels
        values = np.asarray(values * np.float32(float(pixels.scale)) + np.float32(float(pixels.offset)))
    return values


def _layer_margins(layer: FloatLayer, values: Images) -> Images:
    """What the sign is taken of, ``(batch, out)`` or ``(batch, out, height, width)`` float32."""
    sums = _sums(layer.weights, values.astype(np.float32), layer.stride, layer.padding)
    if layer.bias is not None:
        sums = sums + _per_channel(layer.bias.astype(np.float32), sums.ndim)
    if layer.sum_pool is not None:
        sums = _pooled(layer.sum_pool, sums)
    margins = sums if layer.norm is None else _normalized(layer.norm, sums)
    return margins if layer.bit_pool is None else _pooled(layer.bit_pool, margins)


def _normalized(norm: BatchNorm, values: Images) -> Images:
    parts = (norm.gamma, norm.beta, norm.mean, norm.variance)
    gamma, beta, mean, variance = (_per_channel(part.astype(np.float32), values.ndim) for part in parts)
    return np.asarray((values - mean) / np.sqrt(variance + np.float32(norm.epsilon)) * gamma + beta)


def _sums(weights: NDArray[np.int8], values: Images, stride: tuple[int, int], padding: tuple[int, int]) -> Images:
    """Dense or convolution sums in the precision of ``values``."""
    typed = weights.astype(values.dtype)
    if weights.ndim == 2:
        return np.asarray(values.reshape(len(values), -1) @ typed.T)
    padded = np.pad(values, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = sliding_window_view(padded, weights.shape[2:], axis=(2, 3))[:, :, :: stride[0], :: stride[1]]
    return np.moveaxis(np.tensordot(windows, typed, axes=([1, 4, 5], [1, 2, 3])), -1, 1)


def _pooled(pool: MaxPool, values: Images) -> Images:
    windows = sliding_window_view(values, pool.size, axis=(2, 3))[:, :, :: pool.stride[0], :: pool.stride[1]]
    return np.asarray(windows.max(axis=(4, 5)))


def _per_channel(values: NDArray[Any], ndim: int) -> NDArray[Any]:
    return values.reshape(1, -1, *[1] * (ndim - 2))
