"""The parity check: agreement on real networks, and a planted rounding difference that it must name."""

import numpy as np
import pytest

from bnnverify.errors import InputFormatError, UsageError
from bnnverify.folding import BatchNorm
from bnnverify.formats import PixelScale, load_float
from bnnverify.formats.floatmodel import BinarizedPixels, FloatLayer, FloatModel, RawPixels, fold
from bnnverify.formats.parity import check_parity, sample_inputs
from bnnverify.network import BitInput, MaxPool
from tests.formats_support import peer_models, ternary
from tests.paths import needs_peers


def norm(n, *, gamma=1.0, beta=0.0, mean=0.0, variance=1.0, epsilon=0.0):
    values = (np.broadcast_to(np.asarray(v, dtype=np.float32), n) for v in (gamma, beta, mean, variance))
    return BatchNorm("bn", *values, epsilon=epsilon)


def one_layer(n_inputs, batch_norm):
    n = batch_norm.n_features
    layer = FloatLayer("fc1", np.ones((n, n_inputs), dtype=np.int8), None, batch_norm)
    output = FloatLayer("fc2", np.array([[1] * n, [-1] * n], dtype=np.int8))
    return FloatModel("model", BitInput((n_inputs,)), (layer,), output)


@needs_peers
@pytest.mark.parametrize("path", peer_models(), ids=lambda path: path.stem)
def test_floats_and_integers_of_real_networks_agree_on_random_inputs(path):
    parity = check_parity(load_float(path), n_samples=300)
    assert parity.n_inputs == 300
    assert parity.agrees


def test_a_neuron_on_a_rounding_boundary_is_named_with_its_margin():
    """s - (2 - 1e-9): exactly positive at s = 2; in float32 the mean is 2 plus a bias that vanishes."""
    bias = np.array([0.0, -1e-9])
    model = one_layer(2, norm(2, mean=2.0))
    layer = FloatLayer("fc1", model.layers[0].weights, bias, model.layers[0].norm)
    model = FloatModel("model", model.input, (layer,), model.output)
    assert fold(model).network.blocks[0].thresholds.tolist() == [2, 3]
    parity = check_parity(model, np.array([[1, 1], [1, -1], [-1, -1]]))
    assert not parity.agrees
    (difference,) = parity.neurons
    assert (difference.layer, difference.neuron, difference.margin, difference.n_inputs) == ("fc1", 1, 0.0, 1)
    assert parity.n_class_differences == 0
    assert parity.to_dict()["neurons"][0]["neuron"] == 1


def test_a_difference_that_reaches_the_class_is_counted():
    layer = FloatLayer("fc1", np.ones((1, 2), dtype=np.int8), np.array([-1e-9]), norm(1, mean=2.0))
    model = FloatModel("model", BitInput((2,)), (layer,), FloatLayer("fc2", np.array([[1], [-1]], dtype=np.int8)))
    parity = check_parity(model, np.array([[1, 1], [1, -1], [1, 1]]))
    assert parity.n_class_differences == 2
    assert parity.neurons[0].n_inputs == 2


def test_one_difference_does_not_drag_later_layers_along():
    first = FloatLayer("fc1", np.ones((1, 2), dtype=np.int8), np.array([-1e-9]), norm(1, mean=2.0))
    second = FloatLayer("fc2", np.array([[1]], dtype=np.int8))
    output = FloatLayer("fc3", np.array([[1], [-1]], dtype=np.int8))
    parity = check_parity(FloatModel("model", BitInput((2,)), (first, second), output), np.array([[1, 1]]))
    assert [difference.layer for difference in parity.neurons] == ["fc1"]


def conv_model(rng, source, n_channels):
    gamma, beta = rng.normal(size=4), rng.normal(size=4)
    conv = FloatLayer(
        "conv",
        ternary(rng, 4, n_channels, 3, 3),
        rng.normal(size=4),
        norm(4, gamma=gamma, beta=beta, variance=2.0),
        sum_pool=MaxPool((2, 2)),
        stride=(1, 1),
    )
    dense = FloatLayer("fc", ternary(rng, 5, 16), None, norm(5, gamma=rng.normal(size=5), mean=0.3))
    return FloatModel("model", source, (conv, dense), FloatLayer("out", ternary(rng, 3, 5), rng.normal(size=3)))


@pytest.mark.parametrize("kind", ["bits", "binarized", "raw"])
def test_complemented_channels_and_pixels_agree_with_their_floats(kind):
    rng = np.random.default_rng(9)
    pixels = BatchNorm("input", *(rng.normal(size=36) for _ in range(3)), rng.random(36) + 0.1, 1e-5)
    sources = {
        "bits": BitInput((1, 6, 6)),
        "binarized": BinarizedPixels((1, 6, 6), pixels, PixelScale()),
        "raw": RawPixels((1, 6, 6), PixelScale()),
    }
    model = conv_model(rng, sources[kind], 1)
    assert fold(model).complemented[0].any()
    assert check_parity(model, n_samples=400).agrees


def test_samples_depend_on_the_generator_alone():
    network = fold(one_layer(8, norm(2))).network
    first, second = (sample_inputs(network, 5, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert set(np.unique(first)) == {-1, 1}


def test_inputs_that_do_not_fit_are_refused():
    model = one_layer(8, norm(2))
    with pytest.raises(InputFormatError, match="shape"):
        check_parity(model, np.ones((3, 7)))
    with pytest.raises(UsageError, match="no inputs"):
        check_parity(model, np.ones((0, 8)))
