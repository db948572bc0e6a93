"""Convolutions and pools as dense blocks: equal on every input of many small images."""

from itertools import product

import numpy as np
import pytest

from bnnverify.engines import lowering
from bnnverify.engines.lowering import dense_blocks
from bnnverify.errors import UnsupportedError
from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output
from tests.oracle import class_of, classes_of, random_network


def every_image(shape):
    return np.array(list(product((-1, 1), repeat=int(np.prod(shape)))))


def block_outputs(block, shape, images):
    """What a block makes of each image, bit by bit, from the class of a network that shows one bit."""
    n = int(np.prod(block.output_shape(shape)))
    one_hot = [Output([row, [-v for v in row]]) for row in np.eye(n, dtype=int).tolist()]
    networks = [Network([block], output, BitInput(shape)) for output in one_hot]
    return np.array([np.where(classes_of(network, images) == 0, 1, -1) for network in networks]).T


def assert_equal_on_every_image(block, shape):
    n = int(np.prod(block.output_shape(shape)))
    (dense,) = dense_blocks(Network([block], Output(np.ones((1, n), dtype=int)), BitInput(shape)))
    images = every_image(shape)
    expected = block_outputs(block, shape, images)
    found = np.where(images @ dense.weights.T.astype(int) >= dense.thresholds, 1, -1)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("kernel", [(2, 2), (2, 3), (3, 2)])
def test_a_convolution_is_its_dense_block_on_every_image(kernel, padding, stride):
    rng = np.random.default_rng(kernel[0] * 10 + kernel[1])
    block = ConvBlock(rng.integers(-1, 2, (2, 1, *kernel)), rng.integers(-2, 3, 2), stride=stride, padding=padding)
    assert_equal_on_every_image(block, (1, 3, 3))


def test_a_convolution_over_channels_is_its_dense_block_on_every_image():
    rng = np.random.default_rng(1)
    block = ConvBlock(rng.choice([-1, 1], (3, 2, 2, 2)), rng.integers(-2, 3, 3), padding=(1, 1))
    assert_equal_on_every_image(block, (2, 2, 2))


@pytest.mark.parametrize("stride", [(0, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3), (3, 2)])
def test_a_max_pool_is_its_dense_block_on_every_image(size, stride):
    assert_equal_on_every_image(MaxPool(size, stride), (1, 3, 3))


def test_a_max_pool_keeps_channels_apart():
    assert_equal_on_every_image(MaxPool((2, 2)), (2, 2, 2))


def test_dense_blocks_are_passed_on_untouched():
    block = Block([[1, -1]], [0])
    assert dense_blocks(Network([block], Output([[1], [-1]]))) == (block,)
    assert dense_blocks(Network([], Output([[1], [-1]]))) == ()


def test_whole_networks_keep_every_class():
    for seed in range(300):
        network = random_network(np.random.default_rng(seed))
        if all(isinstance(block, Block) for block in network.blocks):
            continue
        flat = Network(dense_blocks(network), network.output, BitInput((network.n_inputs,)))
        images = np.random.default_rng(seed).choice([-1, 1], (64, network.n_inputs))
        assert classes_of(flat, images).tolist() == [class_of(network, image) for image in images], f"seed {seed}"


def test_a_convolution_too_large_to_write_out_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(lowering, "MAX_WEIGHTS", 35)
    network = Network([ConvBlock(np.ones((1, 1, 2, 2), dtype=int), [0])], Output([[1] * 4]), BitInput((1, 3, 3)))
    with pytest.raises(
        UnsupportedError, match=r"^a convolution of 36 dense weights is too large for the exact engines$"
    ):
        dense_blocks(network)
