"""Chainer's npz files: the public network, a small one by hand, and every way to break it."""

import numpy as np
import pytest

from bnnverify.data.idx import read_idx
from bnnverify.formats import Unstated, load, load_with_notes
from bnnverify.inference.reference import classify
from tests.formats_support import assert_refused
from tests.paths import DATA, PEERS, needs_data, needs_peers

PUBLIC = PEERS / "mnist784" / "mnist.npz"
MNIST = DATA / "MNIST" / "raw"


def norm(n, gamma=1.0, beta=0.0, mean=0.0, var=1.0):
    values = {"gamma": gamma, "beta": beta, "avg_mean": mean, "avg_var": var}
    return {name: np.full(n, value, dtype=np.float32) for name, value in values.items()}


@pytest.fixture
def arrays():
    """4 pixels, blocks of 3 and 2 neurons, 2 classes."""
    parts = {
        "input_bn": norm(4, gamma=-1.0, mean=0.5),
        "blocks/0/lin": {"W": np.array([[1, -1, 1, -1], [1, 1, 1, 1], [-1, -1, 1, 1]], np.float32), "b": np.zeros(3)},
        "blocks/0/bn": norm(3, mean=1.0),
        "blocks/1/lin": {"W": np.array([[0.5, -0.25, 0.0], [1, 1, 1]], np.float32), "b": np.full(2, 0.5)},
        "blocks/1/bn": norm(2, gamma=-2.0, beta=1.0),
        "output_lin": {"W": np.array([[1, 0], [-1, 1]], np.float32), "b": np.array([0.5, 0.25], np.float32)},
    }
    return {f"{part}/{name}": array for part, values in parts.items() for name, array in values.items()}


def written(tmp_path, arrays):
    np.savez(tmp_path / "small.npz", **arrays)
    return tmp_path / "small.npz"


def test_a_file_folds_as_computed_by_hand(arrays, tmp_path):
    network, notes = load_with_notes(written(tmp_path, arrays))
    assert network.input.thresholds.tolist() == [128] * 4
    assert not network.input.rising.any()
    assert network.blocks[0].thresholds.tolist() == [1, 1, 1]
    # -2 (s + .5) / sqrt(1.00002) + 1 >= 0 iff s <= .000005: the rows are negated, -s >= 0
    assert network.blocks[1].weights.tolist() == [[-1, 1, -1], [-1, -1, -1]]
    assert network.blocks[1].thresholds.tolist() == [0, 0]
    assert network.output.weights.tolist() == [[1, 0], [-1, 1]]
    assert notes == (
        "BatchNorm epsilon taken as 2e-05, which the file does not hold",
        "blocks/1/lin/W: latent weights binarized by their sign; 1 latent weights are exactly 0 and were taken as +1",
    )


def test_epsilon_and_shape_can_be_given(arrays, tmp_path):
    unstated = Unstated(epsilon=0.0, input_shape=(1, 2, 2))
    network, notes = load_with_notes(written(tmp_path, arrays), unstated=unstated)
    assert network.input.shape == (1, 2, 2)
    assert len(notes) == 1


@needs_peers
def test_the_public_network_loads():
    network = load(PUBLIC)
    assert repr(network) == "Network('mnist', 784-200-100-100-100-10)"
    assert np.count_nonzero(network.input.thresholds > 0) > 600


@needs_peers
@needs_data
def test_the_public_network_reaches_its_published_accuracy():
    images = read_idx(MNIST / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(MNIST / "t10k-labels-idx1-ubyte.gz", 1)
    assert np.count_nonzero(classify(load(PUBLIC), images) == labels) == 9587


def replaced(name, value):
    return lambda arrays: arrays | {name: np.asarray(value)}


def without(prefix):
    return lambda arrays: {name: array for name, array in arrays.items() if not name.startswith(prefix)}


BROKEN = {
    "no input BatchNorm": (without("input_bn"), "input_bn/gamma: missing"),
    "no first block": (without("blocks/0"), "blocks/0: missing; found blocks 1"),
    "no bias": (without("blocks/1/lin/b"), "blocks/1/lin/b: missing"),
    "no output weights": (without("output_lin/W"), "output_lin/W: missing"),
    "a short BatchNorm": (replaced("blocks/0/bn/beta", np.ones(2)), "blocks/0/bn/beta: shape (2,), expected (3,)"),
    "a BatchNorm of another layer": (
        lambda arrays: arrays | {f"blocks/0/bn/{name}": array for name, array in norm(5).items()},
        "blocks/0/bn: 5 features, expected 3",
    ),
    "NaN weights": (replaced("blocks/0/lin/W", np.full((3, 4), np.nan)), "blocks/0/lin/W: found NaN or infinity"),
    "a NaN mean": (replaced("input_bn/avg_mean", [0, np.nan, 0, 0]), "input_bn/avg_mean: found nan at index 1"),
    "a negative variance": (replaced("input_bn/avg_var", [1, 1, 1, -1.0]), "input_bn: variance -1.0 of feature 3"),
    "weights of three axes": (replaced("output_lin/W", np.ones((2, 2, 1))), "output_lin/W: shape (2, 2, 1)"),
    "weights of texts": (replaced("output_lin/W", [["a", "b"], ["c", "d"]]), "output_lin/W: type <U1"),
    "complex weights": (replaced("output_lin/W", np.ones((2, 2), complex)), "output_lin/W: type complex128"),
    "blocks that do not chain": (replaced("blocks/0/lin/W", np.ones((3, 5))), "blocks/0/lin: 5 inputs, expected 4"),
    "a pickle": (replaced("blocks/0/lin/b", np.array([{}], dtype=object)), "blocks/0/lin/b: holds Python objects"),
    "empty weights": (replaced("output_lin/W", np.ones((0, 2))), "output_lin"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_refused_naming_the_array(fault, arrays, tmp_path):
    act, message = BROKEN[fault]
    assert_refused(written(tmp_path, act(arrays)), message)


@pytest.mark.parametrize("kept", [10, 500, -25])
def test_a_truncated_file_is_refused(kept, arrays, tmp_path):
    path = written(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[:kept])
    assert_refused(path, "damaged or truncated zip archive")
