"""The bit engine, its numpy fallback and the plain-integer reference agree with an oracle of Python integers."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError, UnsupportedError, UsageError
from bnnverify.inference import BitEngine, engine_of, predict, reference, replay
from bnnverify.network import (
    BitInput,
    Block,
    ConvBlock,
    Layer,
    MaxPool,
    Network,
    Output,
    QuantizedInput,
    ThresholdInput,
)

BACKENDS = ("numba", "numpy")


def oracle_layer(
    block: Layer, values: dict[tuple[int, ...], int], shape: tuple[int, ...]
) -> dict[tuple[int, ...], int]:
    """One block by the definition, over dictionaries of Python integers."""
    out = block.output_shape(shape)
    found = {}
    for place in product(*map(range, out)):
        if isinstance(block, MaxPool):
            found[place] = max(values[cell] for cell in window(place, block.size, block.stride, (0, 0), place[:1]))
            continue
        if isinstance(block, Block):
            cells = list(product(*map(range, shape)))
            terms = [(cell, (place[0], k)) for k, cell in enumerate(cells)]
        else:
            inner = window(place, block.weights.shape[2:], block.stride, block.padding, range(shape[0]))
            taps = product(*map(range, block.weights.shape[1:]))
            terms = list(zip(inner, [(place[0], *tap) for tap in taps], strict=True))
        total = sum(int(block.weights[tap]) * values.get(cell, 0) for cell, tap in terms)
        found[place] = 1 if total >= int(block.thresholds[place[0]]) else -1
    return found


def window(place: Any, size: Any, stride: Any, padding: Any, channels: Any) -> list[tuple[int, ...]]:
    top, left = place[1] * stride[0] - padding[0], place[2] * stride[1] - padding[1]
    return [(c, y, x) for c in channels for y in range(top, top + size[0]) for x in range(left, left + size[1])]


def oracle_entry(network: Network, x: NDArray[Any]) -> dict[tuple[int, ...], int]:
    layer = network.input
    values = [int(v) for v in x.reshape(-1)]
    if isinstance(layer, BitInput):
        values = [1 if v == 1 else -1 for v in values]
    if isinstance(layer, ThresholdInput):
        values = [
            1 if (v >= int(t)) == bool(up) else -1
            for v, t, up in zip(values, layer.thresholds, layer.rising, strict=True)
        ]
    return dict(zip(product(*map(range, layer.shape)), values, strict=True))


def oracle(network: Network, x: NDArray[Any], order: Any = None) -> tuple[list[list[int]], int]:
    """Activations after each block, flattened, and the class, compared as exact fractions."""
    values, layers = oracle_entry(network, x), []
    for block, shape in zip(network.blocks, network.shapes, strict=False):
        values = oracle_layer(block, values, shape)
        layers.append([values[place] for place in sorted(values)])
    hidden = [values[place] for place in sorted(values)]
    out = network.output
    assert out.scale is not None
    assert out.bias is not None
    scores = [
        Fraction(float(a)) * sum(int(w) * h for w, h in zip(row, hidden, strict=True)) + Fraction(float(b))
        for a, b, row in zip(out.scale, out.bias, out.weights, strict=True)
    ]
    ranks = list(order or range(len(scores)))
    return layers, max(range(len(scores)), key=lambda c: (scores[c], -ranks.index(c)))


def ternary(rng: np.random.Generator, shape: tuple[int, ...], zeros: bool) -> NDArray[np.int8]:
    return rng.choice([-1, 0, 1] if zeros else [-1, 1], size=shape).astype(np.int8)


def random_dense(rng: np.random.Generator, n_in: int, n_out: int, *, zeros: bool = False) -> Block:
    """Thresholds of both parities; some are out of reach, so that their neurons are constant."""
    thresholds = rng.integers(-6, 7, n_out)
    thresholds[rng.random(n_out) < 0.1] = rng.choice([-(1 << 62), -n_in - 1, n_in + 1, 1 << 62])
    return Block(ternary(rng, (n_out, n_in), zeros), thresholds)


def random_output(rng: np.random.Generator, n_hidden: int, zeros: bool = False) -> Output:
    scale = rng.choice([-1.5, -0.3, 0.25, 1.0], size=4)
    return Output(ternary(rng, (4, n_hidden), zeros), bias=rng.normal(size=4), scale=scale)


def random_batch(rng: np.random.Generator, network: Network, batch: int) -> NDArray[Any]:
    highest = 1 if isinstance(network.input, BitInput) else network.input.max_value
    return rng.integers(0, highest + 1, (batch, network.n_inputs))


def dense_network(rng: np.random.Generator, sizes: list[int], zeros: bool) -> Network:
    blocks = [random_dense(rng, a, b, zeros=zeros) for a, b in pairwise(sizes)]
    return Network(blocks, random_output(rng, sizes[-1], zeros), BitInput((sizes[0],)))


def conv_network(rng: np.random.Generator, zeros: bool, entry: Any = BitInput, channels: int = 3) -> Network:
    """Stride, padding and pooling drawn at random, then a dense block."""
    shape = (int(rng.integers(1, 4)), 6, 5)
    height, width = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    padding = int(rng.integers(0, height)), int(rng.integers(0, width))
    stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    weights = ternary(rng, (channels, shape[0], height, width), zeros)
    blocks: list[Layer] = [ConvBlock(weights, rng.integers(-3, 4, channels), stride, padding)]
    pooled = blocks[0].output_shape(shape)
    size = min(2, pooled[1]), min(2, pooled[2])
    blocks.append(MaxPool(size, (1, size[1])))
    final = blocks[1].output_shape(pooled)
    blocks.append(random_dense(rng, prod(final), 9, zeros=zeros))
    return Network(blocks, random_output(rng, 9, zeros), entry(shape))


def require_agreement(network: Network, X: NDArray[Any]) -> None:
    expected = [oracle(network, x) for x in X]
    classes = [label for _, label in expected]
    assert reference.classify(network, X).tolist() == classes
    for backend in BACKENDS:
        engine = BitEngine(network, backend=backend)
        assert engine.classify(X).tolist() == classes
        for index, bits in enumerate(engine.layer_bits(X)):
            assert bits.shape[1:] == network.shapes[index + 1]
            assert bits.reshape(len(X), -1).tolist() == [layers[index] for layers, _ in expected]
        assert np.array_equal(engine.sums(X), reference.output_sums(network, X))


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("sizes", [[1, 1], [5, 3, 2], [64, 64], [65, 9, 130], [100, 33, 7, 8], [127, 63]])
def test_dense_networks_of_odd_sizes_agree_with_the_definition(sizes: list[int], zeros: bool) -> None:
    rng = np.random.default_rng([*sizes, zeros])
    network = dense_network(rng, sizes, zeros)
    require_agreement(network, random_batch(rng, network, 13))


@pytest.mark.parametrize("seed", range(12))
def test_convolutions_with_borders_strides_and_pooling_agree_with_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = conv_network(rng, zeros=seed % 2 == 1)
    require_agreement(network, random_batch(rng, network, 3))


def test_a_convolution_of_more_than_64_channels_crosses_words() -> None:
    rng = np.random.default_rng(70)
    first = conv_network(rng, zeros=False, channels=70).blocks[0]
    shape = (first.weights.shape[1], 6, 5)  # type: ignore[union-attr]
    middle = first.output_shape(shape)
    second = ConvBlock(ternary(rng, (5, 70, 1, 2), True), np.arange(-2, 3), padding=(0, 1))
    final = second.output_shape(middle)
    network = Network([first, second], random_output(rng, prod(final)), BitInput(shape))
    require_agreement(network, random_batch(rng, network, 2))


@pytest.mark.parametrize("seed", range(6))
def test_quantized_images_reach_a_convolution_as_bit_planes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    highest = (1, 7, 255)[seed % 3]
    network = conv_network(rng, zeros=seed % 2 == 1, entry=lambda shape: QuantizedInput(shape, highest))
    require_agreement(network, random_batch(rng, network, 3))


@pytest.mark.parametrize("weights", [[-1, 1], [-1, 0, 1], [-128, 3, 127]])
def test_quantized_levels_meet_ternary_and_wide_integer_weights(weights: list[int]) -> None:
    rng = np.random.default_rng(len(weights) + max(weights))
    first = Block(rng.choice(weights, size=(21, 70)), rng.integers(-300, 300, 21))
    network = Network([first], random_output(rng, 21), QuantizedInput((70,), 200))
    require_agreement(network, random_batch(rng, network, 11))


def test_wide_integer_weights_of_a_convolution_are_exact() -> None:
    rng = np.random.default_rng(3)
    first = ConvBlock(rng.integers(-128, 128, (4, 2, 3, 3)), rng.integers(-300, 300, 4), (2, 1), (1, 2))
    network = Network(
        [first], random_output(rng, prod(first.output_shape((2, 5, 4)))), QuantizedInput((2, 5, 4), 65535)
    )
    require_agreement(network, random_batch(rng, network, 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32])
def test_pixels_are_binarized_alike_from_every_number_type(dtype: type) -> None:
    rng = np.random.default_rng(5)
    thresholds = rng.integers(0, 257, 130)
    thresholds[:3] = 0, 256, 255
    layer = ThresholdInput(thresholds, rng.random(130) < 0.5)
    network = Network([random_dense(rng, 130, 20)], random_output(rng, 20), layer)
    pixels = random_batch(rng, network, 9)
    pixels[0], pixels[1] = 0, 255
    assert np.array_equal(predict(network, pixels.astype(dtype)), reference.classify(network, pixels))
    require_agreement(network, pixels[:3].astype(dtype))


@pytest.mark.parametrize(("n_in", "n_out"), [(784, 512), (130, 700), (64, 500), (129, 1030)])
def test_large_batches_count_by_carries_and_agree(n_in: int, n_out: int) -> None:
    rng = np.random.default_rng(n_in)
    network = dense_network(rng, [n_in, n_out], zeros=False)
    X = random_batch(rng, network, 257)
    assert np.array_equal(BitEngine(network).layer_bits(X)[0], reference.layer_bits(network, X)[0])
    require_agreement(network, X[:2])


def test_threads_and_slabs_do_not_change_answers() -> None:
    rng = np.random.default_rng(11)
    network = dense_network(rng, [600, 700, 600], zeros=False)
    X = random_batch(rng, network, 3000)
    assert np.array_equal(predict(network, X, jobs=2), predict(network, X))
    assert np.array_equal(predict(network, X)[:40], reference.classify(network, X[:40]))


def test_ties_go_to_the_lowest_class_or_to_the_first_in_order() -> None:
    network = Network([], Output(np.ones((3, 2)), bias=[0.0, 0.0, 0.0]), BitInput((2,)))
    assert predict(network, [1, 1]).tolist() == [0]
    assert replay(network, [1, 1], order=(2, 0, 1)) == 2
    assert oracle(network, np.array([1, 1]), (2, 0, 1))[1] == 2
    with pytest.raises(UsageError, match=r"each of the classes 0\.\.2"):
        replay(network, [1, 1], order=(0, 1))


def test_one_instance_gives_one_class_and_images_are_flattened() -> None:
    rng = np.random.default_rng(2)
    network = conv_network(rng, zeros=False)
    X = random_batch(rng, network, 4)
    images = X.reshape(4, *network.input.shape)
    assert predict(network, images).tolist() == predict(network, X).tolist()
    assert predict(network, images[1]).tolist() == [replay(network, X[1])] == predict(network, X[1]).tolist()
    assert predict(network, 2 * X.astype(float) - 1).tolist() == predict(network, X.astype(bool)).tolist()
    assert predict(network, X[:0]).shape == (0,)


@pytest.mark.parametrize(
    "X",
    [np.zeros((2, 4)), np.zeros((2, 2, 5)), np.zeros(3), np.full((2, 5), 2), np.array([[0, -1, 1, 1, 1]]), [["a"] * 5]],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_shapes_and_values_are_refused_in_one_sentence(X: Any, backend: str) -> None:
    network = Network([Block(np.ones((2, 5)), [0, 1])], Output(np.eye(2)))
    with pytest.raises(InputFormatError):
        predict(network, X, backend=backend)


@pytest.mark.parametrize(
    "X", [np.full((2, 3), 8), np.full((2, 3), -1), np.full((2, 3), 0.5), np.ones((2, 3), dtype=bool)]
)
def test_levels_beyond_the_scale_are_refused(X: Any) -> None:
    network = Network([Block(np.ones((2, 3)), [0, 1])], Output(np.eye(2)), QuantizedInput((3,), 7))
    with pytest.raises(InputFormatError):
        predict(network, X)


def test_replay_refuses_a_batch() -> None:
    network = Network([Block(np.ones((2, 5)), [0, 1])], Output(np.eye(2)))
    with pytest.raises(InputFormatError, match="found 2 instances, expected one"):
        replay(network, np.ones((2, 5)))


def test_unknown_backends_and_unsupported_inputs_are_named() -> None:
    network = Network([], Output(np.eye(2)), QuantizedInput((2,), 7))
    with pytest.raises(UnsupportedError, match="must feed a dense or convolutional block"):
        BitEngine(network)
    with pytest.raises(UsageError, match="expected numba or numpy"):
        BitEngine(Network([], Output(np.eye(2))), backend="cuda")


def test_the_engine_is_built_once_and_dies_with_its_network() -> None:
    network = Network([Block(np.ones((2, 5)), [0, 1])], Output(np.eye(2)))
    assert engine_of(network) is engine_of(network)
    engine = weakref.ref(engine_of(network))
    del network
    gc.collect()
    assert engine() is None


def test_predicting_imports_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; from bnnverify.inference import predict; from bnnverify.network import *;"
        "predict(Network([Block([[1, 1]], [0])], Output([[1], [-1]])), [1, 1]);"
        "print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
