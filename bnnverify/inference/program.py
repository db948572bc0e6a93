"""A network as a list of steps on packed bits.

Dense blocks are one step. A convolution gathers the bits under its kernel at every position and is then dense;
its output is already the next image, channels packed in words. A dense block that reads an image is
a convolution with a kernel as large as the image. Pooling is an OR of words. A first block of integer
weights beyond -1, 0, +1 on quantized inputs is a float64 matrix product, exact below 2^53.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import pack, unpack
from bnnverify.errors import UnsupportedError
from bnnverify.inference.carrylayout import CarryWeights, carry_weights
from bnnverify.inference.layout import Neurons, bit_limits, border_limits, interleave, overlaps, plane_limits
from bnnverify.inference.reference import integer_sums
from bnnverify.network import Block, ConvBlock, Layer, MaxPool, Network, QuantizedInput, Shape

Words: TypeAlias = NDArray[np.uint64]
Pair: TypeAlias = tuple[int, int]


class Backend(Protocol):
    """What :mod:`bnnverify.inference.kernels` and :mod:`bnnverify.inference.fallback` both offer."""

    def pack_bits(self, values: NDArray[Any]) -> tuple[Words, bool]: ...
    def pack_above(self, levels: NDArray[Any], thresholds: NDArray[Any]) -> Words: ...
    def pack_planes(self, levels: NDArray[Any], n_planes: int) -> Words: ...
    def to_images(self, flat: Words, shape: tuple[int, int, int]) -> Words: ...
    def patches(self, images: Words, channels: int, kernel: Pair, stride: Pair, padding: Pair) -> Words: ...
    def pool(self, images: Words, size: Pair, stride: Pair) -> Words: ...
    def dense_bits(
        self,
        inputs: Words,
        weights: Words,
        mask: Words | None,
        limits: NDArray[np.int64],
        kinds: NDArray[np.int64],
        n_out: int,
    ) -> Words: ...
    def dense_counts(self, inputs: Words, weights: Words, mask: Words | None) -> NDArray[np.int64]: ...
    def carries_pay(self, rows: int, n_in_words: int, n_out: int) -> bool: ...
    def carry_bits(self, inputs: Words, weights: CarryWeights) -> Words: ...


class Step(Protocol):
    """One block, compiled: packed activations of a batch in, packed activations out."""

    def run(self, backend: Backend, inputs: Any) -> Words: ...


@dataclass(frozen=True, eq=False)
class Gather:
    """The bits under a kernel at each position, as rows ``(batch * positions, [planes,] words)``."""

    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)

    def run(self, backend: Backend, images: Words) -> Words:
        planes = images.shape[1:-3]
        stacked = images.reshape(-1, *images.shape[-3:])
        rows = backend.patches(stacked, self.channels, self.kernel, self.stride, self.padding)
        if not planes:
            return rows.reshape(-1, rows.shape[-1])
        by_plane = rows.reshape(-1, planes[0], *rows.shape[1:]).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(by_plane).reshape(-1, planes[0], rows.shape[-1])


@dataclass(frozen=True, eq=False)
class DenseStep:
    """Neurons on bit vectors, or on images through a kernel of the image's size."""

    neurons: Neurons
    limits: NDArray[np.int64]
    gather: Gather | None

    @cached_property
    def carries(self) -> CarryWeights:
        """The weights once more, for large batches; made when the first one comes."""
        return carry_weights(self.neurons, self.limits)

    def writable(self) -> DenseStep:
        """The same with weights and limits of its own, in both layouts where both were made."""
        copy = replace(self, neurons=self.neurons.writable(), limits=self.limits.copy())
        if "carries" in vars(self):
            vars(copy)["carries"] = self.carries.writable()
        return copy

    def run(self, backend: Backend, inputs: Words) -> Words:
        rows = inputs if self.gather is None else self.gather.run(backend, inputs)
        plain = rows.ndim == 2 and self.neurons.mask is None
        if plain and backend.carries_pay(len(rows), rows.shape[1], self.neurons.n_out):
            return backend.carry_bits(rows, self.carries)
        kinds = np.zeros(len(rows), dtype=np.int64)
        return backend.dense_bits(rows, self.neurons.words, self.neurons.mask, self.limits, kinds, self.neurons.n_out)


@dataclass(frozen=True, eq=False)
class ConvStep:
    """Neurons on every patch; ``kinds`` says which line of limits holds at each position."""

    neurons: Neurons
    limits: NDArray[np.int64]
    gather: Gather
    kinds: NDArray[np.int64]
    out: Pair

    def writable(self) -> ConvStep:
        """The same with weights and limits of its own."""
        return replace(self, neurons=self.neurons.writable(), limits=self.limits.copy())

    def run(self, backend: Backend, inputs: Words) -> Words:
        rows = self.gather.run(backend, inputs)
        batch = len(inputs)
        kinds = np.tile(self.kinds, batch)
        bits = backend.dense_bits(rows, self.neurons.words, self.neurons.mask, self.limits, kinds, self.neurons.n_out)
        return bits.reshape(batch, *self.out, bits.shape[1])


@dataclass(frozen=True, eq=False)
class PoolStep:
    """Maximum of bits: the OR of words."""

    pool: MaxPool

    def run(self, backend: Backend, inputs: Words) -> Words:
        return backend.pool(inputs, self.pool.size, self.pool.stride)


@dataclass(frozen=True, eq=False)
class IntegerStep:
    """A first block with wide integer weights: levels ``(batch, n)`` in, packed bits out."""

    block: Block | ConvBlock
    shape: Shape

    def run(self, backend: Backend, inputs: NDArray[Any]) -> Words:
        sums = integer_sums(self.block, inputs.reshape(-1, *self.shape).astype(np.float64)).astype(np.int64)
        thresholds = self.block.thresholds.reshape(-1, *([1] * (sums.ndim - 2)))
        bits = np.where(sums >= thresholds, 1, -1).astype(np.int8)
        return pack(np.moveaxis(bits, 1, -1))


@dataclass(frozen=True, eq=False)
class Program:
    """The steps of a network, and the neurons and gathering of its output.

    Args:
        image_first: whether packed inputs become images before the first step.
        n_planes: bit planes of the input, 0 for bits; None where the first step reads plain integers.
    """

    steps: tuple[Step, ...]
    output: Neurons
    output_gather: Gather | None
    image_first: bool
    n_planes: int | None

    def output_sums(self, backend: Backend, inputs: Words) -> NDArray[np.int64]:
        """The sum of each class, ``(batch, n_classes)``."""
        rows = inputs if self.output_gather is None else self.output_gather.run(backend, inputs)
        differing = backend.dense_counts(rows, self.output.words, self.output.mask)[:, : self.output.n_out]
        return self.output.nonzero - 2 * differing


def compile_network(network: Network) -> Program:
    """Lay out a network's weights for the bit engine.

    Raises:
        UnsupportedError: if quantized integers do not feed a dense or convolutional block.
    """
    n_planes = _input_planes(network)
    image_first = n_planes is not None and bool(network.blocks) and not isinstance(network.blocks[0], Block)
    is_image = image_first
    steps: list[Step] = []
    for index, (block, shape) in enumerate(zip(network.blocks, network.shapes[:-1], strict=True)):
        planes = n_planes if index == 0 else 0
        steps.append(_step(block, shape, is_image, planes))
        is_image = len(network.shapes[index + 1]) == 3
    shape = network.shapes[-1]
    weights, gather = _flat_weights(network.output.weights, shape, is_image)
    return Program(tuple(steps), interleave(weights), gather, image_first, n_planes)


def _input_planes(network: Network) -> int | None:
    if not isinstance(network.input, QuantizedInput):
        return 0
    first = network.blocks[0] if network.blocks else None
    if first is None or isinstance(first, MaxPool):
        raise UnsupportedError(f"{network.name}: quantized integers must feed a dense or convolutional block")
    if np.abs(first.weights.astype(np.int64)).max() > 1:
        return None
    return network.input.max_level.bit_length()


def _step(block: Layer, shape: Shape, is_image: bool, planes: int | None) -> Step:
    if isinstance(block, MaxPool):
        return PoolStep(block)
    if planes is None:
        return IntegerStep(block, shape if isinstance(block, ConvBlock) else (prod(shape),))
    if isinstance(block, ConvBlock):
        return _conv_step(block, shape, planes)
    weights, gather = _flat_weights(block.weights, shape, is_image)
    neurons = interleave(weights)
    limits = plane_limits(neurons, block.thresholds, planes) if planes else bit_limits(neurons, block.thresholds)
    return DenseStep(neurons, limits, gather)


def _conv_step(block: ConvBlock, shape: Shape, planes: int) -> ConvStep:
    """Outside its image a convolution reads zeros, so only bits, not planes, need border limits."""
    kernel = (block.weights.shape[2], block.weights.shape[3])
    neurons = interleave(_channels_last(block.weights))
    inside, kinds = overlaps((shape[1], shape[2]), kernel, block.stride, block.padding)
    if planes:
        limits, kinds = plane_limits(neurons, block.thresholds, planes), np.zeros_like(kinds)
    else:
        limits = border_limits(neurons, block.weights, block.thresholds, inside)
    out = block.output_shape(shape)
    gather = Gather(shape[0], kernel, block.stride, block.padding)
    return ConvStep(neurons, limits, gather, kinds, (out[1], out[2]))


def _flat_weights(weights: NDArray[np.int8], shape: Shape, is_image: bool) -> tuple[NDArray[np.int8], Gather | None]:
    """Weights of a dense layer in the order in which its input's bits will lie."""
    if not is_image:
        return weights, None
    return _channels_last(weights.reshape(-1, *shape)), Gather(shape[0], (shape[1], shape[2]))


def _channels_last(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    return weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)


def unpack_layer(words: Words, shape: Shape) -> NDArray[np.int8]:
    """Packed activations as +1/-1 ``(batch, *shape)``."""
    bits = unpack(words, shape[0])
    return bits if len(shape) == 1 else np.moveaxis(bits, -1, 1)
