"""The faulty machine against the faulty twin: flip the weights of the network itself, execute in plain integers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.faults.cells import Target
from bnnverify.faults.flipping import located
from bnnverify.faults.increments import Columns
from bnnverify.faults.machine import Prepared
from bnnverify.faults.model import Own, aimed
from bnnverify.faults.rates import Symmetric
from bnnverify.faults.stored import flipped_thresholds, weighted
from bnnverify.inference import reference
from bnnverify.inference.engine import BitEngine
from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, QuantizedInput
from tests.oracle import random_network


class Recorder:
    """Flips like a symmetric model and keeps what it flipped."""

    def __init__(self, p):
        self.model = Symmetric(p)
        self.found = {}

    def __call__(self, cells, rng):
        positions = self.model(cells, rng)
        cells.ones(positions)
        self.found.setdefault((cells.target, cells.layer), []).append((positions, cells))
        return positions


def bits(rng, *shape, zeros=False):
    return rng.choice(np.array([-1, 0, 1] if zeros else [-1, 1], dtype=np.int8), size=shape)


def dense(rng, zeros=False, sizes=(70, 90, 65, 4)):
    blocks = [Block(bits(rng, b, a, zeros=zeros), rng.integers(-6, 7, b)) for a, b in itertools.pairwise(sizes[:-1])]
    return Network(tuple(blocks), Output(bits(rng, sizes[-1], sizes[-2], zeros=zeros), rng.normal(size=sizes[-1])))


def conv(rng, quantized=False):
    first = 3 if quantized else 5
    blocks = (
        ConvBlock(bits(rng, 7, first, 3, 3), rng.integers(-4, 5, 7), padding=(1, 1)),
        MaxPool(),
        ConvBlock(bits(rng, 6, 7, 2, 2, zeros=True), rng.integers(-4, 5, 6), stride=(1, 2), padding=(1, 0)),
        Block(bits(rng, 9, 60), rng.integers(-4, 5, 9)),
    )
    shape = (first, 8, 8)
    layer = QuantizedInput(shape, 6) if quantized else BitInput(shape)
    network = Network(blocks, Output(bits(rng, 3, 9)), layer)
    assert network.shapes[-2] == (6, 5, 2)
    return network


def levels(rng):
    blocks = (Block(bits(rng, 12, 9), rng.integers(-9, 10, 12)),)
    return Network(blocks, Output(bits(rng, 3, 12)), QuantizedInput((9,), 7))


def instances(rng, network, n):
    if isinstance(network.input, QuantizedInput):
        return rng.integers(0, network.input.max_value + 1, (n, network.n_inputs))
    return bits(rng, n, network.n_inputs)


def twin(network, found):
    """The network itself with the recorded cells of weights and thresholds changed."""
    layers = [*network.blocks, network.output]
    for (target, layer), drawn in found.items():
        (positions, cells), block = drawn[0], layers[layer]
        if target is Target.WEIGHTS:
            weights = block.weights.copy().reshape(-1)
            weights[positions] *= -1
            layers[layer] = replace(block, weights=weights.reshape(block.weights.shape))
        if target is Target.THRESHOLDS:
            read = flipped_thresholds(network, layer, cells.columns, positions)
            layers[layer] = replace(block, thresholds=read)
    return replace(network, blocks=tuple(layers[:-1]), output=layers[-1])


NETWORKS = {
    "dense": dense,
    "ternary": lambda rng: dense(rng, zeros=True),
    "wide": lambda rng: dense(rng, sizes=(200, 700, 600, 10)),
    "conv": conv,
    "conv on levels": lambda rng: conv(rng, quantized=True),
    "levels": levels,
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("p", [0.002, 0.05, 0.4])
@pytest.mark.parametrize("reuse", [True, False])
def test_flipped_words_execute_as_the_flipped_network_does(name, p, reuse):
    rng = np.random.default_rng(7)
    network = NETWORKS[name](rng)
    X = instances(rng, network, 60)
    for seed in range(4):
        recorder = Recorder(p)
        model = Own(recorder, rate=p).on("weights") + Own(recorder, rate=p).on("thresholds")
        prepared = Prepared(network, X, aimed(model), reuse=reuse)
        machine = prepared.machine()
        for _ in range(2):
            recorder.found.clear()
            classes, n_flips = machine.run((seed,))
            expected = reference.classify(twin(network, recorder.found), X)
            assert np.array_equal(classes, expected)
        zero_places = sum(
            int((weighted(network)[layer].weights.reshape(-1)[drawn[0][0]] == 0).sum())
            for (target, layer), drawn in recorder.found.items()
            if target is Target.WEIGHTS
        )
        assert n_flips == sum(drawn[0][0].size for drawn in recorder.found.values()) - zero_places


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("p", [0.0005, 0.01, 0.2])
def test_layers_brought_up_to_date_give_what_execution_gives(layer, p, monkeypatch):
    monkeypatch.setattr(Columns, "pays", lambda *_: True)
    rng = np.random.default_rng(3)
    network = dense(rng, sizes=(150, 520, 300, 10))
    X = bits(rng, 130, 150)
    model = aimed(Symmetric(p).on(layers=[layer]))
    updated, executed = (Prepared(network, X, model, reuse=reuse) for reuse in (True, False))
    assert sorted(updated.columns) == list(range(layer, 2))
    for trial in range(5):
        found, expected = updated.machine().run((trial,)), executed.machine().run((trial,))
        assert np.array_equal(found[0], expected[0])
        assert found[1] == expected[1]


def test_a_machine_is_sound_again_after_every_trial():
    rng = np.random.default_rng(5)
    network = dense(rng, sizes=(200, 700, 600, 10))
    X = bits(rng, 1100, 200)
    model = aimed(Symmetric(0.3) + Symmetric(0.2).on("thresholds", layers=[1]))
    prepared = Prepared(network, X, model)
    assert any("carries" in vars(step) for step in prepared.steps.values())
    machine = prepared.machine()
    first = machine.run((1,))
    machine.run((2,))
    again = machine.run((1,))
    assert np.array_equal(first[0], again[0])
    for number, layer in machine._layers.items():
        sound = prepared.steps[number]
        assert np.array_equal(layer.step.neurons.words, sound.neurons.words)
        assert np.array_equal(layer.step.limits, sound.limits)
        if "carries" in vars(sound):
            assert np.array_equal(layer.step.carries.parities, sound.carries.parities)
            assert np.array_equal(layer.step.carries.bounds, sound.carries.bounds)


def test_the_fault_free_classes_are_the_engines_own():
    for make in NETWORKS.values():
        rng = np.random.default_rng(1)
        network = make(rng)
        X = instances(rng, network, 20)
        prepared = Prepared(network, X, aimed(Symmetric(0)))
        assert np.array_equal(prepared.classes, BitEngine(network).classify(X))
        classes, n_flips = prepared.machine().run((0,))
        assert np.array_equal(classes, prepared.classes)
        assert n_flips == 0


@pytest.mark.parametrize("name", ["dense", "conv", "levels"])
def test_faulty_inputs_are_other_inputs(name):
    rng = np.random.default_rng(11)
    network = NETWORKS[name](rng)
    X = instances(rng, network, 30)
    recorder = Recorder(0.1)
    classes, n_flips = Prepared(network, X, Own(recorder).on("inputs")).machine().run((0,))
    ((positions, cells),) = recorder.found[Target.INPUTS, 0]
    changed = X.copy().astype(np.int64)
    row, column = np.divmod(positions, cells.columns)
    if isinstance(network.input, QuantizedInput):
        np.bitwise_xor.at(changed, (row, column // 3), 1 << (column % 3))
    else:
        changed[row, column] *= -1
    assert np.array_equal(classes, reference.classify(network, changed))
    assert n_flips == positions.size > 0


@pytest.mark.parametrize("name", ["dense", "conv"])
@pytest.mark.parametrize("layer", [0, 1])
def test_faulty_activations_are_other_activations(name, layer):
    rng = np.random.default_rng(13)
    network = NETWORKS[name](rng)
    X = instances(rng, network, 30)
    recorder = Recorder(0.1)
    classes, _ = Prepared(network, X, Own(recorder).on("activations", layers=[layer])).machine().run((0,))
    ((positions, cells),) = recorder.found[Target.ACTIVATIONS, layer]
    values = reference.layer_bits(network, X)[layer].astype(np.int64)
    told = cells.ones(np.arange(cells.size))
    assert np.array_equal(told, values.reshape(-1) > 0)
    flat = values.reshape(-1).copy()
    flat[positions] *= -1
    values = flat.reshape(values.shape)
    for block in network.blocks[layer + 1 :]:
        values = reference.layer_values(block, values)
    tail = Network((), network.output, BitInput((network.output.weights.shape[1],)))
    assert np.array_equal(classes, reference.classify(tail, values.reshape(30, -1)))


def test_fresh_errors_strike_each_group_of_instances_anew():
    rng = np.random.default_rng(2)
    network = dense(rng)
    X = bits(rng, 10, 70)
    recorder = Recorder(0.05)
    classes, _ = Prepared(network, X, aimed(Own(recorder)), fresh_every=3).machine().run((0,))
    drawn = recorder.found[Target.WEIGHTS, 0]
    assert len({tuple(positions) for positions, _ in drawn}) == 4
    for chunk in range(4):
        found = {key: [many[chunk]] for key, many in recorder.found.items()}
        rows = slice(3 * chunk, min(3 * chunk + 3, 10))
        assert np.array_equal(classes[rows], reference.classify(twin(network, found), X[rows]))


def test_quantized_integers_that_are_not_cut_into_planes_flip_by_bit():
    rng = np.random.default_rng(4)
    block = Block(rng.integers(-5, 6, (8, 6)), rng.integers(-9, 10, 8))
    network = Network((block,), Output(bits(rng, 3, 8)), QuantizedInput((6,), 7))
    X = rng.integers(0, 8, (25, 6))
    recorder = Recorder(0.2)
    classes, _ = Prepared(network, X, Own(recorder).on("inputs")).machine().run((0,))
    ((positions, cells),) = recorder.found[Target.INPUTS, 0]
    row, column = np.divmod(positions, cells.columns)
    changed = X.copy()
    np.bitwise_xor.at(changed, (row, column // 3), 1 << (column % 3))
    assert np.array_equal(classes, reference.classify(network, changed))
    with pytest.raises(UnsupportedError, match="layer 0 stores integer weights"):
        Prepared(network, X, aimed(Symmetric(0.1)))
    Prepared(network, X, aimed(Symmetric(0.1).on(layers=[1])))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Symmetric(0.1).on(layers=[9]), "layer 9 has no weights; layers that have: 0, 1, 2"),
        (Symmetric(0.1).on("thresholds", layers=[2]), "layer 2 has no thresholds"),
        (Symmetric(0.1).on(layers=[0], rows=[90]), "row 90 of the weights of layer 0, expected 0..89"),
        (Symmetric(0.1).on(layers=[0], bits=[70]), "bit 70 of the weights of layer 0, expected 0..69"),
        (Symmetric(0.1).on(layers=[0], mask=np.ones((2, 2), bool)), r"mask of shape \(2, 2\), expected \(90, 70\)"),
    ],
)
def test_a_model_that_does_not_fit_the_network_is_refused(model, message):
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match=message):
        Prepared(dense(rng), bits(rng, 3, 70), model)


def test_thresholds_need_their_width():
    rng = np.random.default_rng(0)
    model = Symmetric(0.1).on("thresholds")
    Prepared(dense(rng), bits(rng, 3, 70), model, threshold_bits=8)
    with pytest.raises(UsageError, match="thresholds of 2 bits: layer 0 needs at least 4"):
        Prepared(dense(rng), bits(rng, 3, 70), model, threshold_bits=2)


def test_a_layer_is_brought_up_to_date_only_where_that_is_faster():
    rng = np.random.default_rng(1)
    block = Block(bits(rng, 1024, 2048), np.zeros(1024, dtype=np.int64))
    network = Network((block,), Output(bits(rng, 3, 1024)))
    X = bits(rng, 5, 2048)
    assert Prepared(network, X, aimed(Symmetric(1e-6))).columns
    assert not Prepared(network, X, aimed(Symmetric(1e-1))).columns


def test_places_of_flips_are_found_without_division():
    rng = np.random.default_rng(0)
    order, signs = rng.permutation(7), rng.choice(np.array([-1, 1], dtype=np.int8), 700)
    for size in (0, 1, 5, 100, 700):
        positions = np.sort(rng.choice(700, size, replace=False))
        rows, columns, found = located(positions, 7, order, signs)
        assert np.array_equal(rows, positions // 7)
        assert np.array_equal(columns, order[positions % 7])
        assert np.array_equal(found, signs[positions])


def test_random_small_networks_of_every_kind_execute_as_their_twins():
    rng = np.random.default_rng(21)
    for seed in range(150):
        network = random_network(rng)
        X = bits(rng, 9, network.n_inputs)
        recorder = Recorder(float(rng.choice([0.02, 0.2, 0.6])))
        model = (
            Own(recorder, rate=1e-9).on("weights") + Own(recorder).on("thresholds") if network.blocks else Own(recorder)
        )
        classes, _ = Prepared(network, X, aimed(model)).machine().run((seed,))
        assert np.array_equal(classes, reference.classify(twin(network, recorder.found), X))
