"""Small ONNX networks as larq's converter writes them, and properties about them, for tests of VNN-LIB."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import helper, numpy_helper  # noqa: E402

F32 = np.float32


def write_dense(path, rng, *, n_inputs=3, n_hidden=6, n_classes=3, element="FLOAT", shift=0.0):
    """Weights of two dense layers, written as MatMul, [Add,] Sign, Add .1, Sign, MatMul."""
    first, last = (rng.choice([-1, 1], size=s) for s in ((n_inputs, n_hidden), (n_hidden, n_classes)))
    steps = [("Cast", [], {"to": onnx.TensorProto.FLOAT})] if element != "FLOAT" else []
    steps += [("MatMul", [first.astype(F32)], {})]
    steps += [("Add", [np.full(n_hidden, shift, F32)], {})] if shift else []
    steps += [("Sign", [], {}), ("Add", [F32(0.1)], {}), ("Sign", [], {}), ("MatMul", [last.astype(F32)], {})]
    write_chain(path, (n_inputs,), steps, element)
    return first, last


def write_chain(path, shape, steps, element="FLOAT"):
    """A model whose nodes follow each other: operator, constants, attributes."""
    nodes, constants, before = [], [], "x"
    for index, (operator, arrays, attributes) in enumerate(steps):
        names = [f"c{index}_{i}" for i in range(len(arrays))]
        constants += [numpy_helper.from_array(np.asarray(a), n) for a, n in zip(arrays, names, strict=True)]
        nodes.append(helper.make_node(operator, [before, *names], [f"v{index}"], **attributes))
        before = f"v{index}"
    source = helper.make_tensor_value_info("x", getattr(onnx.TensorProto, element), [1, *shape])
    result = helper.make_tensor_value_info(before, onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [source], [result], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def scores_of(weights, inputs, shift=0.0):
    """Exact scores of a network of :func:`write_dense` on inputs that may be fractions."""
    first, last = weights
    sums = [sum(int(w) * Fraction(x) for w, x in zip(column, inputs, strict=True)) for column in first.T]
    bits = np.array([1 if s + Fraction(shift) >= 0 else -1 for s in sums])
    return (bits @ last).tolist()


def violates(scores, alternatives):
    """Whether scores meet one of the conjunctions of (winner, loser, strict)."""
    return any(
        all(scores[a] > scores[b] or (scores[a] == scores[b] and not strict) for a, b, strict in races)
        for races in alternatives
    )


def formula_of(alternatives, name="Y_{}"):
    """The conjunctions as an assertion."""
    ways = []
    for races in alternatives:
        parts = [f"({'>' if s else '>='} {name.format(a)} {name.format(b)})" for a, b, s in races]
        ways.append(f"(and {' '.join(parts)})")
    return f"(assert (or {' '.join(ways)}))"


def first_version(low, high, alternatives, n_classes=3):
    """A property of version 1."""
    lines = [f"(declare-const X_{i} Real)" for i in range(len(low))]
    lines += [f"(declare-const Y_{i} Real)" for i in range(n_classes)]
    lines += [f"(assert (<= {a} X_{i}))(assert (<= X_{i} {b}))" for i, (a, b) in enumerate(zip(low, high, strict=True))]
    return "\n".join([*lines, formula_of(alternatives)])


def second_version(low, high, alternatives, n_classes=3, *, element="uint8", output="float32"):
    """The same of version 2."""
    head = f"(declare-input X {element} [1,{len(low)}]) (declare-output Y {output} [1,{n_classes}])"
    lines = ["(vnnlib-version <2.0>)", f"(declare-network f {head})"]
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        lines.append(f"(assert (and (>= X[0,{i}] {a}) (<= X[0,{i}] {b})))")
    return "\n".join([*lines, formula_of(alternatives, "Y[0,{}]")])


def whole_images(low, high):
    """All whole-number images of a box."""
    return product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))


def parsed_witness(text):
    """The inputs and outputs of a witness of version 1, as floats."""
    pairs = [pair.strip("() ").split() for pair in text.strip().splitlines()]
    values = {name: float(value) for name, value in pairs}
    sides = [[v for n, v in values.items() if n.startswith(letter)] for letter in "XY"]
    assert list(values) == [f"X_{i}" for i in range(len(sides[0]))] + [f"Y_{i}" for i in range(len(sides[1]))]
    return sides
