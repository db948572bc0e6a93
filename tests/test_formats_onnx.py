"""ONNX files: what is read means what a runtime computes, and what is written reads back the same."""

import gzip
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError, UnsupportedError, UsageError
from bnnverify.formats import PixelScale, Unstated, load, load_float, load_with_notes, save_onnx
from bnnverify.formats.onnx_read import read_with_order
from bnnverify.formats.parity import check_parity, sample_inputs
from bnnverify.inference import predict
from bnnverify.inference.reference import classify
from bnnverify.network import Block, Network, Output, QuantizedInput, ThresholdInput
from tests.formats_support import assert_refused, every_network, ternary
from tests.paths import PEERS, needs_peers

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import helper, numpy_helper  # noqa: E402

F32 = np.float32
VNNCOMP = "3_30_30_QConv_16_3_QConv_32_2_Dense_43_ep_30.onnx"
RAW = Unstated(pixels=PixelScale(Fraction(1)))


def chain(path, shape, steps, *, element=onnx.TensorProto.FLOAT, domain="", extra=()):
    """Write a model whose nodes follow each other: each step is an operator, constants, attributes."""
    nodes, constants, last = [*extra], [], "x"
    for index, (operator, arrays, attributes) in enumerate(steps):
        names = [f"c{index}_{i}" for i in range(len(arrays))]
        constants += [numpy_helper.from_array(np.asarray(a), n) for a, n in zip(arrays, names, strict=True)]
        where = domain if operator == "BipolarQuant" else ""
        nodes.append(helper.make_node(operator, [last, *names], [f"v{index}"], domain=where, **attributes))
        last = f"v{index}"
    source = helper.make_tensor_value_info("x", element, ["batch", *shape])
    result = helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [source], [result], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def step(operator, *arrays, **attributes):
    return operator, arrays, attributes


def floats(rng, *shape):
    """Weights of -1 and +1 as a file stores them."""
    return rng.choice([-1.0, 1.0], size=shape).astype(F32)


def labels_of_runtime(path, values):
    ort = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    session = ort.InferenceSession(str(path))
    source = session.get_inputs()[0]
    shape = (len(values), *source.shape[1:])
    dtype = np.uint8 if "uint8" in source.type else F32
    return session.run(None, {source.name: values.reshape(shape).astype(dtype)})[0].argmax(axis=1)


def corners(n):
    return np.array(list(product([-1, 1], repeat=n)), dtype=np.int8)


@pytest.mark.parametrize("name", every_network())
def test_a_saved_network_reads_back_the_same_and_without_notes(name, tmp_path):
    network = every_network()[name]
    save_onnx(network, tmp_path / "model.onnx")
    back, notes = load_with_notes(tmp_path / "model.onnx")
    inputs = sample_inputs(network, 1000, np.random.default_rng(1))
    assert (classify(back, inputs) == classify(network, inputs)).all()
    assert (back.shapes, type(back.input), notes) == (network.shapes, type(network.input), ())
    assert (back.output.scale.tolist(), back.output.bias.tolist()) == (
        network.output.scale.tolist(),
        network.output.bias.tolist(),
    )
    assert check_parity(load_float(tmp_path / "model.onnx"), inputs).agrees


@pytest.mark.parametrize("name", every_network())
def test_a_runtime_gives_a_saved_network_the_same_classes(name, tmp_path):
    network = every_network()[name]
    save_onnx(network, tmp_path / "model.onnx")
    inputs = sample_inputs(network, 1000, np.random.default_rng(2))
    assert (labels_of_runtime(tmp_path / "model.onnx", inputs) == classify(network, inputs)).all()


def test_every_constant_before_a_sign_is_a_half_integer(tmp_path):
    for network in every_network().values():
        save_onnx(network, tmp_path / "model.onnx")
        onnx.checker.check_model(str(tmp_path / "model.onnx"))
        for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer:
            if tensor.name.endswith(("cuts", "thresholds")):
                assert (np.abs(numpy_helper.to_array(tensor)) % 1 == 0.5).all()


def test_equal_networks_give_equal_bytes(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        save_onnx(every_network()["conv"], tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_name_or_folder_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    network = every_network()["dense"]
    with pytest.raises(UsageError, match="expected a name that ends in"):
        save_onnx(network, tmp_path / "model.npz")
    with pytest.raises(UsageError, match="cannot be written"):
        save_onnx(network, tmp_path / "nowhere" / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_sums_beyond_float32_are_refused_on_writing(tmp_path):
    network = Network([Block(np.full((1, 9), 100), [0])], Output([[1], [-1]]), QuantizedInput((9,), 65535))
    with pytest.raises(UnsupportedError, match="block1: sums beyond"):
        save_onnx(network, tmp_path / "model.onnx")


def one_neuron(path, weights, bias, *lift):
    rows = np.array([weights], dtype=F32)
    steps = [step("Gemm", rows, np.array([bias], dtype=F32), transB=1), step("Sign")]
    steps += [part for term in lift for part in (step("Add", F32(term)), step("Sign"))]
    return chain(path, [3], [*steps, step("MatMul", np.array([[-1, 1]], dtype=F32))])


NEURONS = [(w, b) for w in product([-1, 0, 1], repeat=3) for b in (-3.5, -3, -2, -1, -0.5, 0, 1, 1.5, 2, 3, 4)]


@pytest.mark.parametrize("scale", [1.0, 0.75])
def test_a_plain_sign_is_refused_exactly_where_a_zero_can_occur(scale, tmp_path):
    path = tmp_path / "model.onnx"
    for weights, bias in NEURONS:
        values = corners(3) @ np.array(weights) + bias
        one_neuron(path, [scale * w for w in weights], scale * bias)
        if (values == 0).any():
            assert_refused(path, "ONNX's Sign makes 0 of 0, and neuron 0 is 0")
        else:
            assert (classify(load(path), corners(3)) == (values > 0)).all()


def test_a_positive_constant_and_a_second_sign_make_plus_one_of_zero(tmp_path):
    for weights, bias in NEURONS:
        values = corners(3) @ np.array(weights) + bias
        network = load(one_neuron(tmp_path / "model.onnx", weights, bias, 0.1))
        assert (classify(network, corners(3)) == (values >= 0)).all()


def test_a_constant_that_does_not_lift_a_zero_to_plus_one_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    for term in (-0.1, 0.0):
        assert_refused(one_neuron(path, (1, 1, 1), 3, term), "ONNX's Sign makes 0 of 0")
    assert_refused(one_neuron(path, (1, 1, 1), 3, 1.5), "the sign of scaled or shifted bits")
    assert classify(load(one_neuron(path, (1, 1, 1), 0, -0.1)), corners(3)).sum() == 4


def test_border_windows_have_no_parity_and_pixels_have_none(tmp_path):
    path, kernel = tmp_path / "model.onnx", np.ones((1, 1, 3, 3), dtype=F32)
    rest = [step("Sign"), step("Flatten")]
    last = step("MatMul", np.ones((9, 2), dtype=F32))
    chain(path, [1, 3, 3], [step("Conv", kernel, pads=[1] * 4), *rest, last])
    assert_refused(path, "neuron 0 is 0 at the sum 0")
    last = step("MatMul", np.ones((1, 2), dtype=F32))
    chain(path, [1, 3, 3], [step("Conv", kernel), *rest, last])
    assert load(path).n_inputs == 9
    assert_refused(path, "neuron 0 is 0 at the sum 0", unstated=RAW)


def test_an_irrational_threshold_needs_no_argument(tmp_path):
    norm = [np.array([v], dtype=F32) for v in (1, -1, 0, 2)]
    steps = [step("MatMul", np.ones((3, 1), dtype=F32)), step("BatchNormalization", *norm, epsilon=0.0), step("Sign")]
    network = load(chain(tmp_path / "m.onnx", [3], [*steps, step("MatMul", np.array([[-1, 1]], dtype=F32))]))
    assert network.blocks[0].thresholds.tolist() == [2]


def channels_last(rng, path):
    """A network as TensorFlow exporters write it, with scaled weights and every arithmetic node."""
    gamma = rng.choice([-1.5, 0.5, 2.0], 4).astype(F32)
    beta = (-1.1 * np.abs(gamma)).astype(F32)
    norm = [gamma, beta, rng.normal(size=4).astype(F32), rng.uniform(0.5, 2, 4).astype(F32)]
    magnitudes = np.array([0.5, 1, 2, 4], dtype=F32).reshape(4, 1, 1, 1)
    steps = [
        step("Transpose", perm=[0, 3, 1, 2]),
        step("Conv", floats(rng, 4, 2, 2, 2) * magnitudes, (rng.normal(size=4) / 8).astype(F32)),
        step("BatchNormalization", *norm),
        step("MaxPool", kernel_shape=[2, 2], strides=[1, 2]),
        step("Transpose", perm=[0, 2, 3, 1]),
        step("Sign"),
        step("Mul", F32(0.5)),
        step("Add", F32(0.5)),
        step("Reshape", np.array([-1, 3 * 2 * 4])),
        step("MatMul", floats(rng, 24, 15)),
        step("Sub", rng.normal(size=15).astype(F32)),
        step("Div", np.array([1, -2, 3, 4, -5] * 3, dtype=F32)),
        step("Neg"),
        step("Sign"),
        step("Identity"),
        step("Gemm", floats(rng, 3, 15), rng.normal(size=3).astype(F32), transB=1, alpha=0.5, beta=2.0),
        step("Softmax", axis=1),
    ]
    return chain(path, [5, 6, 2], steps)


@pytest.mark.parametrize("seed", [0, 2, 7, 8, 10])
def test_a_channels_last_network_gives_the_runtimes_classes(seed, tmp_path):
    rng = np.random.default_rng(seed)
    path = channels_last(rng, tmp_path / "model.onnx")
    model, order = read_with_order(path, Unstated())
    network, notes = load_with_notes(path)
    inputs = floats(rng, 400, 60)
    found = classify(network, inputs[:, order])
    assert (found == labels_of_runtime(path, inputs)).all()
    assert np.unique(found).size > 1
    assert check_parity(model, inputs[:, order]).agrees
    assert [note.split(",")[0] for note in notes] == [
        "inputs taken as bits -1 and +1",
        "inputs reordered from (5",
    ]


def test_pooling_before_a_batchnorm_of_mixed_slopes_is_read_as_a_runtime_runs_it(tmp_path):
    rng = np.random.default_rng(4)
    norm = [np.array(v, dtype=F32) for v in ([1, -1, 2], [0.3, 0.2, -0.1], [0.1, 0.2, 1], [1, 2, 3])]
    steps = [
        step("Conv", floats(rng, 3, 1, 2, 2), pads=[1] * 4),
        step("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
        step("BatchNormalization", *norm),
        step("Sign"),
        step("Flatten"),
        step("MatMul", floats(rng, 12, 3)),
        step("Add", np.array([0.25, 0, -0.25], dtype=F32)),
    ]
    path = chain(tmp_path / "model.onnx", [1, 4, 4], steps)
    inputs = floats(rng, 500, 16)
    assert (classify(load(path), inputs) == labels_of_runtime(path, inputs)).all()


def test_negating_what_was_pooled_is_refused(tmp_path):
    kernel = np.ones((2, 1, 1, 1), dtype=F32)
    factors = np.array([1, -1], dtype=F32).reshape(2, 1, 1)
    steps = [step("Conv", kernel), step("Mul", factors), step("MaxPool", kernel_shape=[2, 2]), step("Neg")]
    steps += [step("Sign"), step("Flatten"), step("MatMul", np.ones((2, 2), dtype=F32))]
    assert_refused(chain(tmp_path / "m.onnx", [1, 2, 2], steps), "negates what was max-pooled")


def test_constants_are_evaluated_and_latent_weights_take_their_own_sign(tmp_path):
    latent = np.array([[0.3, -0.2, 5], [-1, 0.1, -0.7]], dtype=F32)
    half = numpy_helper.from_array(F32(0.5))
    extra = [
        helper.make_node("Constant", [], ["latent"], value=numpy_helper.from_array(latent)),
        helper.make_node("Constant", [], ["half"], value=half),
        helper.make_node("Sign", ["latent"], ["signed"]),
        helper.make_node("Transpose", ["signed"], ["turned"], perm=[1, 0]),
        helper.make_node("Cast", ["turned"], ["weights"], to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "weights"], ["sums"]),
        helper.make_node("Sub", ["half", "sums"], ["margins"]),
        helper.make_node("Sign", ["margins"], ["bits"]),
    ]
    path = chain(tmp_path / "model.onnx", [3], [step("MatMul", np.eye(2, dtype=F32))], extra=extra)
    model = onnx.load(path)
    model.graph.node[-1].input[0] = "bits"
    onnx.save(model, path)
    inputs = corners(3)
    expected = np.sign(0.5 - inputs @ np.sign(latent).T).argmax(axis=1)
    assert (classify(load(path), inputs) == expected).all()


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "onnx.brevitas"])
def test_bipolar_quant_makes_plus_one_of_zero(domain, tmp_path):
    latent = np.array([[0.0, -0.2], [-1, 0.1]], dtype=F32)
    steps = [
        step("BipolarQuant", F32(0.25)),
        step("MatMul", np.sign(latent + 0.01)),
        step("BipolarQuant", F32(2)),
        step("Gemm", np.eye(2, dtype=F32), np.array([0, 1], dtype=F32)),
    ]
    path = chain(tmp_path / "model.onnx", [2], steps, domain=domain)
    inputs = corners(2)
    hidden = np.where(inputs @ np.sign(latent + 0.01) >= 0, 1, -1)
    assert (classify(load(path), inputs) == (2 * hidden + [0, 1]).argmax(axis=1)).all()


def test_pixels_that_are_scaled_normalized_and_signed_become_thresholds(tmp_path):
    rng = np.random.default_rng(5)
    cuts, factors = rng.uniform(-0.1, 1.1, 8).astype(F32), rng.choice([-2, 0.5], 8).astype(F32)
    steps = [
        step("Div", F32(255)),
        step("Sub", cuts),
        step("Mul", factors),
        step("Sign"),
        step("MatMul", floats(rng, 8, 3)),
        step("Add", F32(0.5)),
        step("Sign"),
        step("MatMul", floats(rng, 3, 2)),
    ]
    path = chain(tmp_path / "model.onnx", [8], steps)
    network = load(path, unstated=RAW)
    assert isinstance(network.input, ThresholdInput)
    for pixel in range(256):
        exact = [
            (Fraction(pixel, 255) - Fraction(float(c))) * Fraction(float(f)) for c, f in zip(cuts, factors, strict=True)
        ]
        assert network.input.to_bits(np.full(8, pixel)).tolist() == [1 if v > 0 else -1 for v in exact]
    assert_refused(path, "say what the inputs are (pixels=...)")


def test_a_sign_of_pixels_that_may_be_zero_is_refused(tmp_path):
    steps = [step("Sub", F32(128)), step("Sign"), step("MatMul", np.ones((2, 2), dtype=F32))]
    path = chain(tmp_path / "model.onnx", [2], steps)
    assert_refused(path, "neuron 0 is 0 at the sum 128", unstated=RAW)
    steps[2:2] = [step("Add", F32(0.5)), step("Sign")]
    network = load(chain(path, [2], steps), unstated=RAW)
    assert network.input.thresholds.tolist() == [128, 128]


def test_signed_pixels_with_channels_last_keep_their_own_thresholds(tmp_path):
    rng = np.random.default_rng(11)
    steps = [
        step("Sub", (rng.integers(60, 200, (3, 2, 2)) + 0.5).astype(F32)),
        step("Sign"),
        step("Transpose", perm=[0, 3, 1, 2]),
        step("Conv", floats(rng, 4, 2, 2, 1)),
        step("Add", np.array([0.5, -0.5, 1, 3], dtype=F32).reshape(4, 1, 1)),
        step("Sign"),
        step("Flatten"),
        step("MatMul", floats(rng, 16, 5)),
    ]
    path = chain(tmp_path / "model.onnx", [3, 2, 2], steps)
    model, order = read_with_order(path, RAW)
    inputs = rng.integers(0, 256, (500, 12))
    found = classify(load(path, unstated=RAW), inputs[:, order])
    assert (found == labels_of_runtime(path, inputs)).all()
    assert np.unique(found).size > 2
    assert check_parity(model, inputs[:, order]).agrees


def test_raw_pixels_feed_the_first_layer_and_bytes_say_that_they_are_pixels(tmp_path):
    rng = np.random.default_rng(6)
    steps = [
        step("Cast", to=onnx.TensorProto.FLOAT),
        step("Div", F32(128)),
        step("Sub", F32(1)),
        step("Conv", floats(rng, 3, 2, 2, 2)),
        step("Add", np.full((3, 1, 1), 0.001, dtype=F32)),
        step("Sign"),
        step("Flatten"),
        step("MatMul", floats(rng, 12, 4)),
    ]
    path = chain(tmp_path / "model.onnx", [2, 3, 3], steps, element=onnx.TensorProto.UINT8)
    network, notes = load_with_notes(path)
    inputs = rng.integers(0, 256, (500, 18))
    assert isinstance(network.input, QuantizedInput)
    assert (classify(network, inputs) == labels_of_runtime(path, inputs)).all()
    assert notes == ()


def test_inputs_that_are_scaled_but_not_said_to_be_pixels_are_refused(tmp_path):
    steps = [step("Div", F32(255)), step("MatMul", np.ones((3, 1), dtype=F32)), step("Sign")]
    path = chain(tmp_path / "model.onnx", [3], [*steps, step("MatMul", np.ones((1, 2), dtype=F32))])
    assert_refused(path, "reads inputs that are scaled; say what they are (pixels=...)")
    assert load(path, unstated=Unstated(pixels=PixelScale(Fraction(1), Fraction(1, 2)))).n_inputs == 3


@pytest.mark.parametrize("end", [step("Softmax"), step("ArgMax", axis=1)])
def test_softmax_and_argmax_at_the_end_change_no_class(end, tmp_path):
    steps = [step("MatMul", np.ones((3, 1), dtype=F32)), step("Sign"), step("MatMul", np.ones((1, 2), dtype=F32))]
    plain = load(chain(tmp_path / "plain.onnx", [3], steps))
    assert load(chain(tmp_path / "model.onnx", [3], [*steps, end])).fingerprint == plain.fingerprint
    assert_refused(chain(tmp_path / "top.onnx", [3], [*steps, step("ArgMax", axis=0)]), "expected it over the classes")


def test_a_dead_branch_changes_nothing_and_a_join_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    ones = np.ones((3, 3), dtype=F32)
    chain(path, [3], [step("MatMul", ones), step("Sign"), step("MatMul", ones), step("Sign"), step("MatMul", ones)])
    model = onnx.load(path)
    expected = load(path).fingerprint
    model.graph.node.insert(2, helper.make_node("MatMul", ["v1", "c0_0"], ["unused"]))
    onnx.save(model, path)
    assert load(path).fingerprint == expected
    model.graph.node.append(helper.make_node("Add", ["v4", "unused"], ["joined"]))
    model.graph.output[0].name = "joined"
    onnx.save(model, path)
    assert_refused(path, "Add 'joined': joins two branches")


def test_a_file_is_recognized_whatever_its_name(tmp_path):
    save_onnx(every_network()["conv"], tmp_path / "model.onnx")
    (tmp_path / "model.data").write_bytes((tmp_path / "model.onnx").read_bytes())
    assert load(tmp_path / "model.data").fingerprint == load(tmp_path / "model.onnx").fingerprint


@needs_peers
def test_the_traffic_sign_network_gives_the_runtimes_classes(tmp_path):
    path = tmp_path / "signs.onnx"
    path.write_bytes(gzip.decompress((PEERS / "vnncomp" / f"{VNNCOMP}.gz").read_bytes()))
    model, order = read_with_order(path, RAW)
    network = load(path, unstated=RAW)
    inputs = np.random.default_rng(7).integers(0, 256, (1000, 2700))
    assert [shape for shape in network.shapes] == [(3, 30, 30), (16, 28, 28), (32, 27, 27)]
    assert (predict(network, inputs[:, order]) == labels_of_runtime(path, inputs)).all()
    assert model.output.n_outputs == 43


def test_exhaustive_small_networks_survive_the_round_trip(tmp_path):
    rng = np.random.default_rng(8)
    path = tmp_path / "model.onnx"
    for weights in product([-1, 0, 1], repeat=3):
        blocks = [Block([weights, [1, 1, 1]], [int(rng.integers(-3, 5)), 1])]
        network = Network(blocks, Output(ternary(rng, 3, 2, zeros=True), rng.normal(size=3)))
        save_onnx(network, path)
        assert (classify(load(path), corners(3)) == classify(network, corners(3))).all()


def test_without_a_package_for_onnx_the_refusals_name_it(tmp_path, monkeypatch):
    save_onnx(every_network()["dense"], tmp_path / "model.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ModelFormatError, match="needs the package onnx"):
        load(tmp_path / "model.onnx")
    with pytest.raises(UnsupportedError, match="needs the package onnx"):
        save_onnx(every_network()["dense"], tmp_path / "other.onnx")
