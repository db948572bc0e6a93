"""ONNX files that are damaged, hostile, or hold what no binarized network holds: one sentence each."""

import numpy as np
import pytest

from bnnverify.errors import ModelFormatError
from bnnverify.formats import load, save_onnx
from tests.formats_support import assert_refused, every_network
from tests.test_formats_onnx import chain, step

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import helper, numpy_helper  # noqa: E402

ONES = np.ones((3, 3), dtype=np.float32)
KERNEL = np.ones((2, 1, 3, 3), dtype=np.float32)
DENSE = step("MatMul", ONES)
SIGN = step("Sign")
VECTOR = np.ones(3, dtype=np.float32)


def plain(path, **options):
    """Two layers over three bits."""
    return chain(path, [3], [DENSE, SIGN, DENSE], **options)


def changed(change):
    """A builder of the plain model with one change to its protocol buffer."""

    def build(path):
        model = onnx.load(plain(path))
        change(model, model.graph)
        path.write_bytes(model.SerializeToString())

    return build


def renamed(index, field, name):
    return changed(lambda _, graph: getattr(graph.node[index], field).__setitem__(0, name))


def dims(*sizes):
    def change(_, graph):
        graph.initializer[0].dims[:] = sizes

    return changed(change)


def input_sizes(*sizes):
    def change(_, graph):
        graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, sizes))

    return changed(change)


def external(_, graph):
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def subgraph(_, graph):
    graph.node[1].CopyFrom(helper.make_node("If", ["v0"], ["v1"], then_branch=helper.make_graph([], "t", [], [])))


def sparse_type(_, graph):
    graph.initializer[0].data_type = onnx.TensorProto.STRING


def stored(index, value):
    def change(_, graph):
        graph.initializer[index].CopyFrom(numpy_helper.from_array(np.asarray(value), graph.initializer[index].name))

    return changed(change)


DAMAGE = {
    "empty": (lambda p: p.write_bytes(b""), "an empty file"),
    "text": (lambda p: p.write_bytes(b"hello, this is no network"), "not a readable ONNX file"),
    "zeros": (lambda p: p.write_bytes(bytes(100)), "not a readable ONNX file"),
    "a header alone": (lambda p: p.write_bytes(b"\x08\x07\x12\x07pytorch"), "an ONNX file without nodes"),
    "a length of exabytes": (lambda p: p.write_bytes(b"\x08\x07\x3a" + b"\xff" * 8 + b"\x7f"), "damaged or truncated"),
    "no operator set": (changed(lambda model, _: model.ClearField("opset_import")), "without an operator set version"),
    "a future operator set": (
        changed(lambda model, _: setattr(model.opset_import[0], "version", 99)),
        "operator set 99, expected 7..",
    ),
    "no graph input": (changed(lambda _, graph: graph.ClearField("input")), "0 graph inputs (none), expected exactly"),
    "two outputs": (
        changed(lambda _, graph: graph.output.add(name="v0")),
        "2 graph outputs ('v2', 'v0'), expected exactly one",
    ),
    "huge dimensions": (dims(1 << 40, 1 << 20), "constant 'c0_0': claims the shape (1099511627776, 1048576)"),
    "a hundred axes": (dims(*[1] * 100), "constant 'c0_0': claims the shape"),
    "an input of a hundred axes": (input_sizes("b", *[1] * 100), "input 'x': 100 axes, expected at most 8"),
    "negative dimensions": (dims(-3, -3), "constant 'c0_0': claims the shape (-3, -3)"),
    "fewer numbers than claimed": (dims(3, 4), "claims the shape (3, 4) and holds 9 numbers"),
    "a huge input": (input_sizes("b", 1 << 40), "input 'x': claims 1099511627776 numbers"),
    "a dynamic shape": (input_sizes("b", "n"), "input 'x': shape ?x?, expected a batch axis and then fixed sizes"),
    "no batch axis": (input_sizes(3), "input 'x': shape 3, expected a batch axis"),
    "a first axis that is no batch": (input_sizes(28, 28), "shape 28x28, expected a first axis of 1, the batch"),
    "external data": (changed(external), "constant 'c0_0': its data lies in another file"),
    "text as weights": (changed(sparse_type), "constant 'c0_0': element type 8"),
    "a subgraph": (changed(subgraph), "If: attribute 'then_branch' is no number, text or tensor"),
    "NaN weights": (stored(0, np.full((3, 3), np.nan, np.float32)), "constant 'c0_0': found NaN or infinity"),
    "a cycle": (renamed(0, "input", "v1"), "MatMul 'v0': reads 'v1', which only a later node makes: the graph has a"),
    "a missing initializer": (
        changed(lambda _, graph: graph.initializer.pop(0)),
        "MatMul 'v0': reads 'c0_0', which the file does not hold",
    ),
    "a name made twice": (renamed(1, "output", "v0"), "Sign 'v0': its output is made twice"),
    "an output that nothing makes": (
        changed(lambda _, graph: setattr(graph.output[0], "name", "y")),
        "output 'y': does not depend on the input",
    ),
    "an unknown operator": (
        changed(lambda _, graph: setattr(graph.node[1], "op_type", "Relu")),
        "Relu 'v1': not a supported operator",
    ),
    "an operator of another domain": (
        changed(lambda _, graph: setattr(graph.node[1], "domain", "com.x")),
        "com.x.Sign 'v1': not a supported operator",
    ),
    "a node without output": (
        changed(lambda _, graph: graph.node[1].ClearField("output")),
        "a node Sign without an output",
    ),
    "a node without its constant": (changed(lambda _, graph: graph.node[0].input.pop()), "do not fit the operator"),
    "weights of two magnitudes": (
        stored(0, np.array([[1, 2, 1]] * 3, np.float32).T),
        "MatMul 'v0': weight 1 in row 0, whose greatest is 2",
    ),
    "weights that do not fit": (stored(0, np.ones((4, 3), np.float32)), "MatMul 'v0': weights for 4 inputs"),
    "empty weights": (stored(0, np.ones((3, 0), np.float32)), "MatMul 'v0': weights of type float32 and shape (0, 3)"),
}

REFUSED = {
    "two layers without a sign": ([3], [DENSE, DENSE], "reads a layer's sums, expected a Sign before it"),
    "no scores": ([3], [DENSE, SIGN], "the graph ends in a layer's signs"),
    "a node behind the scores": (
        [3],
        [DENSE, SIGN, DENSE, step("Softmax"), step("Identity")],
        "Identity 'v4': follows the scores",
    ),
    "a division by zero": ([3], [DENSE, step("Div", np.float32(0)), SIGN, DENSE], "Div 'v1': divides by zero"),
    "a constant that stretches": ([3], [DENSE, step("Add", ONES[:, :, None])], "does not fit the tensor (1, 3)"),
    "two BatchNorms": (
        [3],
        [DENSE, *[step("BatchNormalization", VECTOR, VECTOR, VECTOR, VECTOR)] * 2],
        "a BatchNorm behind a BatchNorm",
    ),
    "a negative variance": (
        [3],
        [DENSE, step("BatchNormalization", VECTOR, VECTOR, VECTOR, -VECTOR)],
        "variance -1.0 of feature 0",
    ),
    "a BatchNorm too short": (
        [3],
        [DENSE, step("BatchNormalization", *[VECTOR[:2]] * 4)],
        "BatchNormalization 'v1' scale: shape (2,), expected (3,)",
    ),
    "a BatchNorm in training": (
        [3],
        [DENSE, step("BatchNormalization", *[VECTOR] * 4, training_mode=1)],
        "in training mode",
    ),
    "grouped channels": ([1, 4, 4], [step("Conv", KERNEL, group=2)], "Conv 'v0': group 2, expected 1"),
    "dilation": ([1, 4, 4], [step("Conv", KERNEL, dilations=[2, 2])], "Conv 'v0': dilations [2, 2]"),
    "automatic padding": ([1, 4, 4], [step("Conv", KERNEL, auto_pad="SAME_UPPER")], "auto_pad SAME_UPPER, expected"),
    "padding of one side": ([1, 4, 4], [step("Conv", KERNEL, pads=[1, 1, 0, 0])], "pads [1, 1, 0, 0], expected two"),
    "a stride of zero": ([1, 4, 4], [step("Conv", KERNEL, strides=[0, 1])], "strides [0, 1], expected two positive"),
    "a kernel larger than the image": ([1, 2, 2], [step("Conv", KERNEL)], "is larger than the image"),
    "channels that do not fit": ([2, 4, 4], [step("Conv", KERNEL)], "Conv 'v0': conv block: expected an image of 1"),
    "a convolution over vectors": ([3], [step("Conv", KERNEL)], "expected a two-dimensional convolution"),
    "padded pooling": (
        [1, 4, 4],
        [step("Conv", KERNEL), step("MaxPool", kernel_shape=[2, 2], pads=[1] * 4)],
        "padded max-pooling, expected none",
    ),
    "pooling of a rest": (
        [1, 5, 5],
        [step("Conv", KERNEL), step("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
        "ceil_mode pools a window that is not whole",
    ),
    "a pooled input": ([1, 4, 4], [step("MaxPool", kernel_shape=[2, 2])], "pools the input, expected the image of a"),
    "a moved batch axis": ([3], [step("Transpose", perm=[1, 0])], "moves the batch axis, expected it first"),
    "axes that are none": ([3], [step("Transpose", perm=[0, 7])], "do not fit the operator"),
    "a reshape of another size": ([3], [step("Reshape", np.array([1, 4]))], "cannot make the shape (1, 4) of (1, 3)"),
    "a reshape to a hundred axes": ([3], [step("Reshape", np.ones(100, int))], "100 axes, expected at most 8"),
    "another kernel": ([1, 4, 4], [step("Conv", KERNEL, kernel_shape=[2, 2])], "kernel_shape [2, 2], expected (3, 3)"),
    "a reshape to exabytes": ([3], [step("Reshape", np.array([1 << 40, 1 << 40]))], "cannot make the shape"),
    "a cast to integers": ([3], [DENSE, step("Cast", to=7)], "casts a layer's sums to integers"),
    "a cast to text": ([3], [DENSE, step("Cast", to=8)], "casts to element type 8"),
    "a last convolution": ([1, 4, 4], [step("Conv", KERNEL)], "v0: the last layer is a convolution"),
    "a shifted padded layer": (
        [1, 4, 4],
        [SIGN, step("Add", np.float32(1)), step("Conv", KERNEL, pads=[1] * 4)],
        "pads inputs that are shifted by 1",
    ),
    "bits that differ in scale": ([3], [SIGN, step("Mul", np.float32([1, 2, 3])), DENSE], "scaled differently"),
}


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_damaged_file_is_refused_in_one_sentence(fault, tmp_path):
    build, message = DAMAGE[fault]
    build(tmp_path / "model.onnx")
    assert_refused(tmp_path / "model.onnx", message)


@pytest.mark.parametrize("fault", REFUSED)
def test_a_graph_that_is_no_binarized_network_is_refused_naming_the_node(fault, tmp_path):
    shape, steps, message = REFUSED[fault]
    assert_refused(chain(tmp_path / "model.onnx", shape, steps), message)


def test_constants_that_would_fill_the_memory_are_not_computed(tmp_path):
    long = numpy_helper.from_array(np.ones((1, 1 << 13), dtype=np.float32))
    extra = [
        helper.make_node("Constant", [], ["row"], value=long),
        helper.make_node("Transpose", ["row"], ["column"]),
        helper.make_node("Add", ["row", "column"], ["square"]),
    ]
    assert_refused(plain(tmp_path / "model.onnx", extra=extra), "Add 'square': claims 67108864 numbers")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused(share, tmp_path):
    save_onnx(every_network()["conv"], tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: int(share * len(content))])
    assert_refused(tmp_path / "model.onnx", "not a readable ONNX file: it is damaged or truncated")


def test_random_bytes_are_refused(tmp_path):
    rng = np.random.default_rng(9)
    for length in rng.integers(1, 300, size=100).tolist():
        (tmp_path / "model.onnx").write_bytes(rng.bytes(length))
        with pytest.raises(ModelFormatError) as caught:
            load(tmp_path / "model.onnx")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["conv", "pixels", "dense"])
def test_random_damage_never_escapes_as_another_exception(name, tmp_path):
    rng = np.random.default_rng(10)
    path, refusals = tmp_path / "model.onnx", []
    save_onnx(every_network()[name], path)
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        for position in rng.integers(0, len(whole), size=4):
            content[position] = int(rng.integers(256))
        path.write_bytes(bytes(content))
        try:
            load(path)
        except ModelFormatError as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert not any("\n" in text for text in refusals)
