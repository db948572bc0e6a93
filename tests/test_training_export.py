"""Exported equals trained, layer by layer, for random networks of every kind; and a broken fold does not pass."""

from dataclasses import replace

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError
from bnnverify.formats import load, save
from bnnverify.inference import predict
from bnnverify.network import Block, ConvBlock, Network, Output, QuantizedInput, ThresholdInput

torch = pytest.importorskip("torch", reason="training needs torch")

torch.set_num_threads(1)

from torch import nn  # noqa: E402

from bnnverify.training import export as exporting  # noqa: E402
from bnnverify.training.binarizers import Binarize  # noqa: E402
from bnnverify.training.inputs import BinarizedPixels, Bits, NormalizedPixels, QuantizedPixels  # noqa: E402
from bnnverify.training.layers import BinaryConv2d, BinaryLinear, BinaryWeight, MaskedWeight, Scores  # noqa: E402
from bnnverify.training.model import BinaryModel, Stage  # noqa: E402
from bnnverify.training.normalization import ShiftBatchNorm  # noqa: E402

INPUTS = ("bits", "thresholds", "levels", "8-bit", "learned thresholds")
SHAPES = ("dense", "conv", "conv, sums pooled", "conv, bits pooled")
N_INSTANCES = 120


def random_input(kind, shape, rng):
    n = int(np.prod(shape))
    if kind == "bits":
        return Bits(shape)
    if kind == "thresholds":
        return BinarizedPixels(ThresholdInput(rng.integers(0, 257, size=n), rng.random(n) < 0.5, 255, shape))
    if kind == "learned thresholds":
        return random_pixel_norm(shape, rng)
    steps = np.sort(rng.integers(1, 256, size=int(rng.integers(1, 6)))) if kind == "levels" else None
    return QuantizedPixels(QuantizedInput(shape, 255, steps))


def random_pixel_norm(shape, rng):
    pixels = NormalizedPixels(shape)
    with torch.no_grad():
        pixels.norm.weight.copy_(torch.tensor(rng.normal(size=pixels.norm.num_features)))
        pixels.norm.bias.copy_(torch.tensor(rng.normal(size=pixels.norm.num_features)))
    return pixels


def random_instances(model, rng, n=N_INSTANCES):
    layer = model.input.layer
    if isinstance(model.input, Bits):
        return rng.choice([-1, 1], size=(n, *layer.shape)).astype(np.int8)
    return rng.integers(0, 256, size=(n, *layer.shape))


def random_weight(shape, rng):
    if rng.random() < 0.5:
        return BinaryWeight(shape)
    weight = MaskedWeight(shape)
    with torch.no_grad():
        weight.mask.copy_(torch.tensor(rng.normal(0.3, 1, size=shape)))
    return weight


def random_norm(n, dimensions, rng):
    if rng.random() < 0.4:
        return ShiftBatchNorm(n)
    return nn.BatchNorm1d(n) if dimensions == 1 else nn.BatchNorm2d(n)


def dense_stage(n_inputs, n_outputs, rng):
    return Stage(BinaryLinear(random_weight((n_outputs, n_inputs), rng)), random_norm(n_outputs, 1, rng), Binarize())


def conv_stage(shape, kind):
    def make(n_inputs, n_outputs, rng):
        layer = BinaryConv2d(random_weight((n_outputs, n_inputs, 3, 3), rng), padding=(1, 1))
        pools = {"conv, sums pooled": "sum_pool", "conv, bits pooled": "bit_pool"}
        pool = {pools[kind]: nn.MaxPool2d(2)} if kind in pools else {}
        return Stage(layer, random_norm(n_outputs, 2, rng), Binarize(), **pool)

    return make


def random_model(kind, shape, rng):
    """Two stages and scores, with BatchNorms of either sign settled on random instances."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    if shape == "dense":
        stages, size = [dense_stage(20, 15, rng), dense_stage(15, 11, rng)], (20,)
    else:
        make, size = conv_stage(shape, shape), (2, 8, 8)
        stages = [make(2, 5, rng), dense_stage(5 * (4 if "pooled" in shape else 8) ** 2, 9, rng)]
    model = BinaryModel(
        random_input(kind, size, rng), stages, Scores(random_weight((4, stages[-1].norm.num_features), rng))
    )
    settle(model, rng)
    return model


def settle(model, rng):
    """Random BatchNorm weights, and statistics of random instances."""
    with torch.no_grad():
        model.scores.bias.copy_(torch.tensor(rng.normal(size=model.scores.bias.shape)))
        for stage in model.ordered_stages():
            n = stage.norm.num_features
            stage.norm.weight.copy_(torch.tensor(rng.normal(size=n) * (rng.random(n) < 0.9)))
            stage.norm.bias.copy_(torch.tensor(rng.normal(size=n)))
        for _ in range(3):
            model(torch.tensor(random_instances(model, rng), dtype=torch.float32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", INPUTS)
def test_every_neuron_of_a_random_network_is_exported_as_trained(kind, shape) -> None:
    rng = np.random.default_rng([INPUTS.index(kind), SHAPES.index(shape)])
    for _ in range(4):
        model = random_model(kind, shape, rng)
        X = random_instances(model, rng)
        network = exporting.export(model, X)
        with torch.no_grad():
            found = model.eval()(torch.tensor(X, dtype=torch.float32)).argmax(dim=1)
        np.testing.assert_array_equal(predict(network, X), found.numpy())
        assert type(network.input) is type(model.input.layer)


def test_an_exported_network_survives_saving(tmp_path) -> None:
    rng = np.random.default_rng(5)
    model = random_model("levels", "conv", rng)
    network = exporting.export(model, random_instances(model, rng))
    save(network, tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").fingerprint == network.fingerprint


def with_threshold_moved(network, position, neuron, by):
    """A copy whose neuron fires ``by`` later."""
    blocks = list(network.blocks)
    thresholds = blocks[position].thresholds.copy()
    thresholds[neuron] += by
    blocks[position] = replace(blocks[position], thresholds=thresholds)
    return Network(tuple(blocks), network.output, network.input)


def busiest_neuron(network, position, X):
    """A neuron whose sums, with its threshold, decide for some instances either way, and the bits it had."""
    bits = exporting.BitEngine(network).layer_bits(X)[position]
    return int(np.argmin(np.abs((bits > 0).mean(axis=0) - 0.5)))


@pytest.mark.parametrize("position", [0, 1])
def test_a_broken_fold_is_caught_and_its_neuron_named(position) -> None:
    rng = np.random.default_rng(7)
    model = random_model("bits", "dense", rng)
    X, folded = random_instances(model, rng), exporting.fold_model(model)
    neuron = busiest_neuron(folded.network, position, X)
    broken = replace(folded, network=with_threshold_moved(folded.network, position, neuron, 6))
    difference = exporting.first_difference(model, broken, X)
    assert difference is not None
    assert (difference.stage, difference.neuron) == (position + 1, neuron)
    assert str(difference).startswith(f"stage {position + 1}, neuron {neuron}: ")


def test_a_broken_weight_of_a_convolution_is_caught() -> None:
    rng = np.random.default_rng(8)
    model = random_model("levels", "conv, sums pooled", rng)
    X, folded = random_instances(model, rng), exporting.fold_model(model)
    first = folded.network.blocks[0]
    assert isinstance(first, ConvBlock)
    broken = Network(
        (replace(first, weights=-first.weights), *folded.network.blocks[1:]),
        folded.network.output,
        folded.network.input,
    )
    difference = exporting.first_difference(model, replace(folded, network=broken), X)
    assert difference is not None
    assert difference.stage == 1


def test_a_broken_output_is_caught_as_a_class() -> None:
    rng = np.random.default_rng(9)
    model = random_model("bits", "dense", rng)
    X, folded = random_instances(model, rng), exporting.fold_model(model)
    network = folded.network
    backwards = Output(network.output.weights[::-1], network.output.bias[::-1], network.output.scale)
    difference = exporting.first_difference(
        model, replace(folded, network=Network(network.blocks, backwards, network.input)), X
    )
    assert difference is not None
    assert difference.stage == difference.n_stages + 1
    assert str(difference).startswith("output: torch finds class ")


def test_a_broken_input_layer_is_caught() -> None:
    rng = np.random.default_rng(14)
    model = random_model("learned thresholds", "dense", rng)
    X, folded = random_instances(model, rng), exporting.fold_model(model)
    layer = folded.network.input
    moved = replace(layer, thresholds=np.where(np.arange(20) == 3, 257 - layer.thresholds, layer.thresholds))
    broken = Network(folded.network.blocks, folded.network.output, moved)
    difference = exporting.first_difference(model, replace(folded, network=broken), X)
    assert difference is not None
    assert (difference.stage, difference.neuron) == (0, 3)
    assert str(difference).startswith("input 3: ")


def test_export_refuses_a_network_that_differs(monkeypatch) -> None:
    rng = np.random.default_rng(10)
    model = random_model("bits", "dense", rng)
    X, folded = random_instances(model, rng), exporting.fold_model(model)
    neuron = busiest_neuron(folded.network, 0, X)
    broken = replace(folded, network=with_threshold_moved(folded.network, 0, neuron, -8))
    monkeypatch.setattr(exporting, "fold_model", lambda model: broken)
    with pytest.raises(ModelFormatError, match=rf"network: .* at stage 1, neuron {neuron}: .*; export refused"):
        exporting.export(model, X)


def test_a_network_with_nan_is_refused_by_the_name_of_its_stage() -> None:
    model = random_model("bits", "dense", np.random.default_rng(11))
    with torch.no_grad():
        model.ordered_stages()[1].norm.bias[3] = float("nan")
    with pytest.raises(ModelFormatError, match="stage 2 norm beta: found nan at index 3"):
        exporting.fold_model(model)


def test_a_pool_that_no_block_can_express_is_refused() -> None:
    stage = Stage(
        BinaryConv2d(BinaryWeight((2, 1, 3, 3))), nn.BatchNorm2d(2), Binarize(), bit_pool=nn.MaxPool2d(2, padding=1)
    )
    model = BinaryModel(Bits((1, 6, 6)), [stage], Scores(BinaryWeight((2, 18))))
    with pytest.raises(ModelFormatError, match="stage 1: pooling with padding"):
        exporting.fold_model(model)


def test_exporting_leaves_the_mode_of_the_model_as_it_was() -> None:
    rng = np.random.default_rng(12)
    model = random_model("bits", "dense", rng)
    model.train()
    exporting.export(model, random_instances(model, rng))
    assert model.training
    assert all(module.training for module in model.modules())


def test_a_dense_block_is_made_of_a_dense_stage() -> None:
    network = exporting.fold_model(random_model("bits", "dense", np.random.default_rng(13))).network
    assert [type(block) for block in network.blocks] == [Block, Block]
