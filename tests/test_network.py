"""Networks are valid once constructed: every refusal is one sentence, every array is frozen."""

import re

import numpy as np
import pytest

from bnnverify.errors import InputFormatError, ModelFormatError
from bnnverify.network import (
    BitInput,
    Block,
    ConvBlock,
    MaxPool,
    Network,
    Output,
    QuantizedInput,
    ThresholdInput,
)
from tests.oracle import random_network, random_pixel_network

NAN, INFINITY = float("nan"), float("inf")


def conv(out=1, channels=1, height=2, width=2, **options):
    return ConvBlock(np.ones((out, channels, height, width), dtype=int), np.zeros(out, dtype=int), **options)


REFUSED = {
    "weights of text": (lambda: Block([["1"]], [0]), "weights: expected integers, found type <U1"),
    "weights of objects": (lambda: Block(np.array([[None]]), [0]), "weights: expected integers, found type object"),
    "complex weights": (lambda: Block([[1j]], [0]), "weights: expected integers, found type complex128"),
    "NaN weights": (lambda: Block([[NAN]], [0]), "weights: expected integers, found NaN or infinity"),
    "infinite thresholds": (lambda: Block([[1]], [INFINITY]), "thresholds: expected integers, found NaN or infinity"),
    "fractional weights": (lambda: Block([[0.5]], [0]), "weights: expected integers, found fractions"),
    "fractional thresholds": (lambda: Block([[1]], [0.5]), "thresholds: expected integers, found fractions"),
    "weights past int8": (lambda: Block([[200]], [0]), "weights: values beyond -128..127"),
    "thresholds past int64": (lambda: Block([[1]], [1e30]), f"thresholds: values beyond {-(2**63)}..{2**63 - 1}"),
    "a row of weights": (lambda: Block([1, 1], [0]), "weights: shape (2,), expected (outputs, inputs)"),
    "no weights": (lambda: Block(np.zeros((0, 3)), []), "weights: shape (0, 3), expected (outputs, inputs)"),
    "no inputs": (lambda: Block(np.zeros((2, 0)), [0, 0]), "weights: shape (2, 0), expected (outputs, inputs)"),
    "too few thresholds": (lambda: Block([[1], [1]], [0]), "thresholds: shape (1,), expected (2,) (rows of weights)"),
    "weights past ternary": (
        lambda: Network([Block([[2, 1]], [0])], Output([[1]])),
        "block 1: expected weights in -1, 0, +1, found 1..2",
    ),
    "later weights past ternary": (
        lambda: Network([Block([[1]], [0]), Block([[-3]], [0])], Output([[1]]), QuantizedInput((1,))),
        "block 2: expected weights in -1, 0, +1, found -3..-3",
    ),
    "conv weights past ternary": (
        lambda: Network([ConvBlock(np.full((1, 1, 1, 1), 2), [0])], Output([[1]]), BitInput((1, 1, 1))),
        "block 1: expected weights in -1, 0, +1, found 2..2",
    ),
    "output weights past ternary": (lambda: Output([[2]]), "output weights: expected weights in -1, 0, +1, found 2..2"),
    "output weights of one row": (lambda: Output([1, 1]), "output weights: shape (2,), expected (classes, inputs)"),
    "no classes": (lambda: Output(np.zeros((0, 2))), "output weights: shape (0, 2), expected (classes, inputs)"),
    "too many biases": (lambda: Output([[1]], bias=[0, 1]), "output bias: shape (2,), expected (1,)"),
    "NaN bias": (lambda: Output([[1]], bias=[NAN]), "output bias: expected finite numbers, found NaN or infinity"),
    "infinite scale": (
        lambda: Output([[1]], scale=[-INFINITY]),
        "output scale: expected finite numbers, found NaN or infinity",
    ),
    "blocks that do not fit": (
        lambda: Network([Block([[1, 1]], [0]), Block([[1, 1]], [0])], Output([[1]])),
        "dense block: 2 inputs, expected 1 from the layer before",
    ),
    "an output that does not fit": (
        lambda: Network([Block([[1, 1]], [0])], Output([[1, 1]])),
        "output: 2 inputs, expected 1 from the layer before",
    ),
    "an input that does not fit": (
        lambda: Network([Block([[1, 1]], [0])], Output([[1]]), BitInput((3,))),
        "dense block: 2 inputs, expected 3 from the layer before",
    ),
    "a convolution without a shape": (
        lambda: Network([conv()], Output([[1]])),
        "a network that starts with a convolution needs its input layer's shape",
    ),
    "a convolution on a vector": (
        lambda: Network([conv()], Output([[1]]), BitInput((4,))),
        "conv block: expected an image of 1 channels, found shape (4,)",
    ),
    "a convolution on other channels": (
        lambda: Network([conv()], Output([[1]]), BitInput((2, 2, 2))),
        "conv block: expected an image of 1 channels, found shape (2, 2, 2)",
    ),
    "a kernel past the image": (
        lambda: Network([conv()], Output([[1]]), BitInput((1, 1, 2))),
        "window (2, 2) is larger than the image (1, 2) with padding (0, 0)",
    ),
    "conv weights of two axes": (
        lambda: ConvBlock([[1]], [0]),
        "conv weights: shape (1, 1), expected (out, in, height, width)",
    ),
    "too few conv thresholds": (
        lambda: ConvBlock(np.ones((2, 1, 1, 1)), [0]),
        "conv thresholds: shape (1,), expected (2,)",
    ),
    "padding past the kernel": (
        lambda: conv(padding=(2, 0)),
        "conv padding (2, 0): expected less than the kernel (2, 2)",
    ),
    "negative padding": (lambda: conv(padding=(-1, 0)), "padding (-1, 0): expected two integers of at least 0"),
    "no stride": (lambda: conv(stride=(0, 1)), "stride (0, 1): expected two integers of at least 1"),
    "a stride of three": (lambda: conv(stride=(1, 1, 1)), "stride (1, 1, 1): expected two integers of at least 1"),
    "an empty pool": (lambda: MaxPool((0, 2)), "pool size (0, 2): expected two integers of at least 1"),
    "half a pool stride": (lambda: MaxPool((2, 2), (0, 1)), "pool stride (0, 1): expected two integers of at least 1"),
    "a pool on a vector": (
        lambda: Network([MaxPool()], Output([[1]]), BitInput((4,))),
        "max-pool: expected an image, found shape (4,)",
    ),
    "an input of two axes": (
        lambda: BitInput((2, 2)),
        "input: shape (2, 2), expected (n,) or (channels, height, width)",
    ),
    "an empty input": (lambda: BitInput((0,)), "input: shape (0,), expected (n,) or (channels, height, width)"),
    "too many directions": (
        lambda: ThresholdInput([1], [True, False]),
        "input: 2 directions, expected 1 (one a pixel)",
    ),
    "a threshold past the pixels": (
        lambda: ThresholdInput([1, 257], [True, True]),
        "input thresholds: expected 0..256, found 1..257",
    ),
    "a negative threshold": (lambda: ThresholdInput([-1], [True]), "input thresholds: expected 0..256, found -1..-1"),
    "thresholds that do not fill the shape": (
        lambda: ThresholdInput([1, 1], [True, True], shape=(1, 2, 2)),
        "input: 2 thresholds do not fill the shape (1, 2, 2)",
    ),
    "no grey levels": (lambda: QuantizedInput((1,), 0), "input: max_value 0, expected 1..65535"),
    "too many grey levels": (lambda: QuantizedInput((1,), 65536), "input: max_value 65536, expected 1..65535"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_is_refused_in_one_sentence(name):
    make, message = REFUSED[name]
    with pytest.raises(ModelFormatError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize(
    ("layer", "values", "message"),
    [
        (BitInput((3,)), [1, 1], "input: shape (2,), expected (..., 3) or (..., 3)"),
        (BitInput((1, 2, 2)), [1, 1, 1], "input: shape (3,), expected (..., 4) or (..., 1, 2, 2)"),
        (BitInput((2,)), [1, 2], "bits: found the value 2; expected 0/1 or -1/+1"),
        (ThresholdInput([1], [True], 3), [4], "input: expected pixels 0..3, found 4..4"),
        (ThresholdInput([1], [True], 3), [-1], "input: expected pixels 0..3, found -1..-1"),
        (ThresholdInput([1], [True], 3), [0.5], "input: expected whole grey levels 0..3, found fractions or NaN"),
        (QuantizedInput((1,), 3), [NAN], "input: expected whole grey levels 0..3, found fractions or NaN"),
        (QuantizedInput((1,), 3), ["1"], "input: expected pixels 0..3, found type <U1"),
        (BitInput((2,)), 1, "input: shape (), expected (..., 2) or (..., 2)"),
    ],
)
def test_instances_that_do_not_fit_are_refused_in_one_sentence(layer, values, message):
    with pytest.raises(InputFormatError, match=f"^{re.escape(message)}$"):
        layer.read(values)


def test_errors_are_also_the_built_in_that_a_caller_would_catch():
    with pytest.raises(ValueError, match="weights"):
        Block([[0.5]], [0])


def test_arrays_are_copied_and_read_only():
    weights, thresholds = np.ones((1, 2), dtype=np.int8), np.zeros(1, dtype=np.int64)
    block = Block(weights, thresholds)
    weights[0, 0], thresholds[0] = -1, 5
    assert (block.weights.tolist(), block.thresholds.tolist()) == ([[1, 1]], [0])
    output = Output([[1, -1]])
    layer = ThresholdInput([1], [True])
    for array in (
        block.weights,
        block.thresholds,
        output.weights,
        output.bias,
        output.scale,
        layer.thresholds,
        layer.rising,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_whole_floats_and_booleans_are_integers():
    block = Block([[1.0, -1.0]], np.array([True]))
    assert (block.weights.dtype, block.thresholds.dtype) == (np.int8, np.int64)
    assert block.thresholds.tolist() == [1]


def test_shapes_follow_convolutions_and_pools():
    blocks = [
        conv(3, 2, 3, 3, padding=(1, 1), stride=(2, 1)),
        MaxPool((2, 2), (1, 2)),
        Block(np.ones((5, 27)), [0] * 5),
    ]
    network = Network(blocks, Output(np.ones((4, 5))), BitInput((2, 7, 6)))
    assert network.shapes == ((2, 7, 6), (3, 4, 6), (3, 3, 3), (5,))
    assert (network.n_inputs, network.n_classes) == (84, 4)
    assert repr(network) == "Network('network', 2x7x6-3x4x6-3x3x3-5-4)"


def test_a_pool_strides_by_its_size_unless_told_otherwise():
    assert MaxPool((2, 3)).stride == (2, 3)
    assert MaxPool((2, 3), (1, 1)).stride == (1, 1)


def test_fan_in_counts_the_weights_that_are_not_zero():
    assert Block([[1, 0, -1], [0, 0, 0]], [0, 0]).fan_in().tolist() == [2, 0]
    assert conv(2, 3, 2, 2).fan_in().tolist() == [12, 12]


def test_bits_and_pixels_are_read_in_every_layout_of_the_shape():
    layer = BitInput((2, 1, 3))
    bits = np.random.default_rng(0).choice([-1, 1], (4, 2, 1, 3))
    for values in (bits, bits.reshape(4, 6), bits.reshape(4, 2, 3)):
        assert np.array_equal(layer.read(values), bits.reshape(4, 6))


@pytest.mark.parametrize("seed", range(20))
def test_realized_pixels_flip_exactly_the_bits_asked_for_at_the_least_cost(seed):
    rng = np.random.default_rng(seed)
    layer = random_pixel_network(rng).input
    pixels = rng.integers(0, layer.max_value + 1, layer.n_inputs)
    costs = layer.flip_costs(pixels)
    flips = np.flatnonzero((costs > 0) & (rng.random(layer.n_inputs) < 0.5))
    moved = layer.realize(pixels, flips)
    assert np.flatnonzero(layer.to_bits(moved) != layer.to_bits(pixels)).tolist() == flips.tolist()
    assert np.abs(moved - pixels).tolist() == [int(c) if i in flips else 0 for i, c in enumerate(costs)]


def rebuilt(network, **changes):
    parts = {"blocks": network.blocks, "output": network.output, "input": network.input, "name": network.name}
    return Network(**{**parts, **changes})


def test_the_fingerprint_is_of_what_decides_answers_and_of_nothing_else():
    network = random_network(np.random.default_rng(4))
    first, *rest = network.blocks
    assert rebuilt(network, name="other").fingerprint == network.fingerprint
    other = {
        "threshold": rebuilt(network, blocks=[Block(first.weights, first.thresholds + 1), *rest]),
        "weight": rebuilt(network, blocks=[Block(-first.weights, first.thresholds), *rest]),
        "bias": rebuilt(network, output=Output(network.output.weights, network.output.bias + 1, network.output.scale)),
        "scale": rebuilt(network, output=Output(network.output.weights, network.output.bias, network.output.scale * 2)),
        "input": rebuilt(network, input=ThresholdInput([1] * network.n_inputs, [True] * network.n_inputs)),
    }
    assert len({network.fingerprint, *(n.fingerprint for n in other.values())}) == len(other) + 1
