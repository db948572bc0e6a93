"""Properties of small networks: the word is brute force's, ties follow the file, and witnesses stand up."""

import gzip
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed")

from bnnverify.errors import InputFormatError, ModelFormatError, UnsupportedError
from bnnverify.formats import save_onnx
from bnnverify.network import Block, ConvBlock, Network, Output, QuantizedInput, ThresholdInput
from bnnverify.vnnlib import attack, decide
from bnnverify.vnnlib.decide import SAT, UNKNOWN, UNSAT, decide_files
from bnnverify.vnnlib.witness import witness_text
from tests.formats_support import ternary
from tests.paths import PEERS, needs_peers
from tests.vnnlibworld import (
    first_version,
    parsed_witness,
    scores_of,
    second_version,
    violates,
    whole_images,
    write_chain,
    write_dense,
)


def decided(folder, text, *, seconds=3.0):
    (folder / "p.vnnlib").write_text(text)
    return decide_files(folder / "net.onnx", folder / "p.vnnlib", seconds=seconds, seed=0)


def random_alternatives(rng, n_classes=3):
    """One to three conjunctions of one or two races."""
    pairs = [(a, b) for a in range(n_classes) for b in range(n_classes) if a != b]
    strict = bool(rng.integers(2))
    return [
        [(*pairs[i], strict) for i in rng.choice(len(pairs), size=rng.integers(1, 3), replace=False)]
        for _ in range(rng.integers(1, 4))
    ]


@pytest.fixture
def quick(monkeypatch):
    """No search beyond the first: small worlds are searched whole there."""
    monkeypatch.setattr(decide, "GRACE_SECONDS", -100.0)


def test_integer_inputs_are_decided_as_brute_force_does(tmp_path, quick):
    rng = np.random.default_rng(0)
    words = []
    for _ in range(25):
        weights = write_dense(tmp_path / "net.onnx", rng, element="UINT8")
        low = rng.integers(0, 9, 3)
        high = low + rng.integers(0, 4, 3)
        alternatives = random_alternatives(rng)
        answer = decided(tmp_path, second_version(low, high, alternatives))
        exists = any(violates(scores_of(weights, x), alternatives) for x in whole_images(low, high))
        assert answer.word == (SAT if exists else UNSAT)
        words.append(answer.word)
    assert words.count(UNSAT) > 3


def test_whole_levels_that_nothing_else_decides_are_decided_by_sat(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(attack, "SMALL_BOX", 0)
    monkeypatch.setattr(decide.Decider, "_proved_by_patches", lambda *_: False)
    monkeypatch.setattr(decide.Decider, "_attacked", lambda *_: None)
    rng, words = np.random.default_rng(0), []
    for _ in range(25):
        weights = write_dense(tmp_path / "net.onnx", rng, element="UINT8")
        low = rng.integers(0, 9, 3)
        high = low + rng.integers(0, 4, 3)
        alternatives = random_alternatives(rng)
        answer = decided(tmp_path, second_version(low, high, alternatives))
        exists = any(violates(scores_of(weights, x), alternatives) for x in whole_images(low, high))
        assert answer.word in (SAT if exists else UNSAT, UNKNOWN)
        words.append(answer.word)
    assert words.count(UNSAT) > 3
    assert words.count(SAT) > 3


def test_real_inputs_are_never_decided_wrongly(tmp_path, quick):
    rng = np.random.default_rng(1)
    words = []
    for _ in range(25):
        weights = write_dense(tmp_path / "net.onnx", rng)
        low = rng.integers(0, 60, 3) / 8
        high = low + rng.integers(0, 12, 3) / 8
        alternatives = random_alternatives(rng)
        answer = decided(tmp_path, first_version(low, high, alternatives))
        words.append(answer.word)
        if answer.word == SAT:
            inputs = answer.assignment.inputs
            assert all(a <= x <= b for a, x, b in zip(low, inputs, high, strict=True))
            assert violates(scores_of(weights, inputs), alternatives)
        if answer.word == UNSAT:
            for x in rng.uniform(low, high, (200, 3)):
                assert not violates(scores_of(weights, x.tolist()), alternatives)
    assert words.count(UNSAT) > 3
    assert words.count(SAT) > 3


def test_a_tie_violates_at_least_and_not_above(tmp_path):
    steps = [("MatMul", [np.array([[1, 1], [1, 1]], np.float32)], {}), ("Sign", [], {}), ("Add", [np.float32(0.1)], {})]
    steps += [("Sign", [], {}), ("MatMul", [np.array([[1, -1], [-1, 1]], np.float32)], {})]
    write_chain(tmp_path / "net.onnx", (2,), steps)
    assert decided(tmp_path, first_version([1, 1], [9, 9], [[(1, 0, False)]], 2)).word == SAT
    assert decided(tmp_path, first_version([1, 1], [9, 9], [[(1, 0, True)]], 2)).word == UNSAT


def test_between_whole_numbers_a_rounded_threshold_proves_nothing(tmp_path, quick):
    """x + y >= 2.3 is x + y >= 3 on whole numbers, and 1.2 + 1.2 is on the other side."""
    steps = [("MatMul", [np.array([[1, 1], [1, 1]], np.float32)], {}), ("Sub", [np.float32(2.3)], {})]
    steps += [("Sign", [], {}), ("Add", [np.float32(0.1)], {}), ("Sign", [], {})]
    steps += [("MatMul", [np.array([[1, -1], [1, -1]], np.float32)], {})]
    write_chain(tmp_path / "net.onnx", (2,), steps)
    answer = decided(tmp_path, first_version([0, 0], [2, 0], [[(0, 1, False)]], 2))
    assert (answer.word, answer.notes) == (
        UNKNOWN,
        ("thresholds lie between whole numbers, so nothing was proved for real inputs",),
    )
    assert decided(tmp_path, first_version([1, 1], [1.2, 1.2], [[(0, 1, False)]], 2)).word == SAT
    assert decided(tmp_path, second_version([0, 0], [2, 0], [[(0, 1, False)]], 2, element="real")).word == UNKNOWN


def test_an_empty_box_is_unsat_and_no_condition_is_sat(tmp_path):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(2), element="UINT8")
    assert decided(tmp_path, second_version([3, 3, 3], [2, 9, 9], [[(0, 1, False)]])).word == UNSAT
    between = (
        second_version([2, 2, 2], [9, 9, 9], [[(0, 1, False)]]) + "(assert (> X[0,0] 3.2)) (assert (< X[0,0] 3.9))"
    )
    assert decided(tmp_path, between).word == UNSAT
    free = "\n".join(second_version([2, 2, 2], [9, 9, 9], [[(0, 1, False)]]).splitlines()[:-1])
    assert decided(tmp_path, free).word == SAT


def test_several_boxes_are_all_searched(tmp_path, quick):
    rng = np.random.default_rng(3)
    weights = write_dense(tmp_path / "net.onnx", rng)
    inputs = [[0, 0, 0], [1, 5, 2], [7, 0, 3], [0, 9, 0]]
    loser = {tuple(x): scores_of(weights, x) for x in inputs}
    for race in [(0, 1, True), (1, 2, True), (2, 0, True)]:
        boxes = " ".join(
            "(and " + " ".join(f"(= X_{i} {v})" for i, v in enumerate(x)) + f" (> Y_{race[0]} Y_{race[1]}))"
            for x in inputs
        )
        head = [line for line in first_version([0] * 3, [9] * 3, [[race]]).splitlines()[:-1]]
        answer = decided(tmp_path, "\n".join([*head, f"(assert (or {boxes}))"]))
        assert answer.word == (SAT if any(violates(s, [[race]]) for s in loser.values()) else UNSAT)


def test_binarized_pixels_are_decided_by_the_exact_engines(tmp_path, quick):
    rng = np.random.default_rng(4)
    words = []
    for _ in range(15):
        source = ThresholdInput(rng.integers(1, 10, 5), rng.choice([True, False], 5), 9, (5,))
        network = Network(
            [Block(ternary(rng, 6, 5, zeros=True), rng.integers(-2, 3, 6))],
            Output(ternary(rng, 3, 6, zeros=True)),
            source,
        )
        save_onnx(network, tmp_path / "net.onnx")
        low = rng.integers(0, 8, 5)
        high = low + rng.integers(0, 2, 5)
        race = (int(rng.integers(1, 3)), 0, bool(rng.integers(2)))
        (tmp_path / "p.vnnlib").write_text(first_version(low, high, [[race]]))
        prop = decide.read_property(tmp_path / "p.vnnlib")
        subject = decide.load_subject(tmp_path / "net.onnx", prop, prop.cases)
        assert not subject.is_exact_for_reals
        decider = decide.Decider(subject, prop, decide.time.monotonic() + 3, rng)
        decider.covers_inputs = True
        word = decider.decide(prop.cases).word
        images = np.array(list(whole_images(low, high)))
        sums = decide.engine_of(network).sums(images)
        exists = bool((decide.Goal(network.output, [[decide.Race(*race)]]).leads(sums) >= 0).any())
        assert word == (SAT if exists else UNSAT)
        words.append(word)
    assert {SAT, UNSAT} == set(words)


def test_a_convolution_gives_certificates_for_a_real_box(tmp_path):
    rng = np.random.default_rng(5)
    conv = rng.choice([-1, 1], size=(4, 1, 2, 2)).astype(np.float32)
    last = rng.choice([-1, 1], size=(64, 3)).astype(np.float32)
    steps = [
        ("Conv", [conv], {"kernel_shape": [2, 2]}),
        ("Sign", [], {}),
        ("Add", [np.float32(0.1)], {}),
        ("Sign", [], {}),
    ]
    steps += [("Flatten", [], {}), ("MatMul", [last], {}), ("Softmax", [], {})]
    write_chain(tmp_path / "net.onnx", (1, 5, 5), steps)
    words = []
    for _ in range(8):
        centre = rng.integers(20, 200, 25)
        races = [[[(a, b, False)] for a in range(3) if a != b] for b in range(3)]
        answers = [decided(tmp_path, first_version(centre - 3, centre + 3, ways), seconds=2.0) for ways in races]
        assert [a.word for a in answers].count(UNSAT) <= 1
        words += [a.word for a in answers]
        assert all(a.certificates for a in answers if a.word == UNSAT)
    assert UNSAT in words


def test_a_witness_that_does_not_replay_is_refused(tmp_path, quick, monkeypatch):
    rng = np.random.default_rng(6)
    write_dense(tmp_path / "net.onnx", rng)
    text = first_version([0] * 3, [3] * 3, [[(0, 1, False)], [(1, 0, False)]])
    assert decided(tmp_path, text).word == SAT
    monkeypatch.setattr(decide, "meets", lambda outputs, alternatives: False)
    answer = decided(tmp_path, text)
    assert answer.word == UNKNOWN
    assert "violate in exact arithmetic and not on onnxruntime" in answer.notes[-1]


def test_without_onnxruntime_the_exact_scores_are_shown_and_said_to_be(tmp_path, monkeypatch):
    weights = write_dense(tmp_path / "net.onnx", np.random.default_rng(7))
    monkeypatch.setattr(decide, "open_runtime", lambda content, shape: None)
    answer = decided(tmp_path, first_version([2] * 3, [3] * 3, [[(0, 1, False)], [(1, 0, False)]]))
    assert answer.word == SAT
    assert answer.assignment.outputs == tuple(scores_of(weights, answer.assignment.inputs))
    assert "nothing was replayed" in answer.notes[0]


def test_witness_values_parse_back_to_float32(tmp_path):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(8))
    answer = decided(
        tmp_path, first_version([-0.7, 0.1, 0.301], [-0.6, 0.2, 0.3014], [[(0, 1, False)], [(1, 0, False)]])
    )
    assert answer.word == SAT
    inputs, outputs = parsed_witness(witness_text(answer.prop, answer.assignment))
    assert [Fraction(float(np.float32(x))) for x in inputs] == list(answer.assignment.inputs)
    assert outputs == list(answer.assignment.outputs)


def test_a_decimal_that_float32_does_not_hold_has_no_witness(tmp_path, quick):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(8))
    answer = decided(tmp_path, first_version([0.1] * 3, [0.1] * 3, [[(0, 1, False)], [(1, 0, False)]]))
    assert answer.word == UNKNOWN


def test_version_two_prints_tensors_in_order(tmp_path):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(9), element="UINT8")
    answer = decided(tmp_path, second_version([4] * 3, [5] * 3, [[(0, 1, False)], [(1, 0, False)]]))
    lines = witness_text(answer.prop, answer.assignment).splitlines()
    assert (lines[0], lines[4]) == ("X uint8 [1,3]", "Y float32 [1,3]")
    assert all(line in ("4", "5") for line in lines[1:4])
    assert len(lines) == 8


def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(10))
    race = [[(0, 1, False)]]
    for text, kind, message in [
        (first_version([0] * 2, [1] * 2, race), InputFormatError, "has 2 inputs, expected 3"),
        (first_version([0] * 3, [1] * 3, race, 4), InputFormatError, "has 4 outputs, expected 3"),
        (first_version([0] * 3, [10**6] * 3, race), UnsupportedError, "a range of 1000000, expected at most 65535"),
        (second_version([0] * 3, [1] * 3, race), InputFormatError, "X is declared uint8, expected float32"),
        (second_version([0] * 3, [1] * 3, race, element="float32"), UnsupportedError, "declare it real"),
        (
            second_version([0] * 2, [1] * 2, race, element="real"),
            InputFormatError,
            r"the shape \[1, 2\], expected \[1, 3\]",
        ),
    ]:
        with pytest.raises(kind, match=message) as refused:
            decided(tmp_path, text)
        assert "\n" not in str(refused.value)


def test_a_network_that_is_none_or_damaged_is_refused(tmp_path):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(11))
    whole = gzip.compress((tmp_path / "net.onnx").read_bytes())
    text = first_version([0] * 3, [1] * 3, [[(0, 1, False)]])
    for content, message in [(whole[:-9], "net.onnx: a damaged or truncated .gz file"), (b"hello", "net.onnx: ")]:
        (tmp_path / "net.onnx").write_bytes(content)
        with pytest.raises(ModelFormatError, match=message):
            decided(tmp_path, text)
    (tmp_path / "net.onnx").write_bytes(whole)
    assert decided(tmp_path, text).word in (SAT, UNSAT, UNKNOWN)


def test_a_certificate_that_the_checker_rejects_proves_nothing(tmp_path, quick, monkeypatch):
    write_dense(tmp_path / "net.onnx", np.random.default_rng(5))
    texts = [first_version([5] * 3, [6] * 3, [[(a, b, False)]]) for a in range(3) for b in range(3) if a != b]
    assert UNSAT in [decided(tmp_path, text).word for text in texts]
    monkeypatch.setattr("bnnverify.patches.check.check", lambda *args, **options: False)
    assert UNSAT not in [decided(tmp_path, text).word for text in texts]


def test_scores_that_were_rounded_prove_nothing(tmp_path, quick):
    """A BatchNorm behind the last layer divides by the square root of 2."""
    first, last = np.ones((2, 2), np.float32), np.array([[1, -1], [1, -1]], np.float32)
    steps = [("MatMul", [first], {}), ("Sign", [], {}), ("Add", [np.float32(0.1)], {}), ("Sign", [], {})]
    steps.append(("MatMul", [last], {}))
    text = first_version([1, 1], [2, 2], [[(1, 0, False)]], 2)
    for variance, word in [(1.0, UNSAT), (2.0, UNKNOWN)]:
        norm = [np.full(2, v, np.float32) for v in (1, 0, 0, variance)]
        write_chain(tmp_path / "net.onnx", (2,), [*steps, ("BatchNormalization", norm, {"epsilon": 0.0})])
        answer = decided(tmp_path, text)
        assert answer.word == word
    assert "irrational" in answer.notes[0]


def test_a_network_that_ends_in_a_class_is_refused(tmp_path):
    steps = [("MatMul", [np.ones((2, 2), np.float32)], {}), ("ArgMax", [], {"axis": 1})]
    write_chain(tmp_path / "net.onnx", (2,), steps)
    with pytest.raises(ModelFormatError, match="ends in ArgMax"):
        decided(tmp_path, first_version([0, 0], [1, 1], [[(0, 1, False)]], 2))


def test_a_sign_that_may_be_zero_is_refused(tmp_path):
    steps = [
        ("MatMul", [np.ones((2, 2), np.float32)], {}),
        ("Sign", [], {}),
        ("MatMul", [np.ones((2, 2), np.float32)], {}),
    ]
    write_chain(tmp_path / "net.onnx", (2,), steps)
    with pytest.raises(ModelFormatError, match="ONNX's Sign makes 0 of 0"):
        decided(tmp_path, first_version([0, 0], [1, 1], [[(0, 1, False)]], 2))


def test_a_saved_quantized_network_is_decided_over_its_levels(tmp_path, quick):
    rng = np.random.default_rng(12)
    conv = ConvBlock(ternary(rng, 3, 2, 2, zeros=False).reshape(3, 1, 2, 2), rng.integers(-4, 5, 3))
    network = Network(
        [conv, Block(ternary(rng, 5, 12, zeros=True), [0] * 5)],
        Output(ternary(rng, 2, 5, zeros=False)),
        QuantizedInput((1, 3, 3), 9),
    )
    save_onnx(network, tmp_path / "net.onnx")
    for race in [(0, 1, True), (1, 0, True)]:
        answer = decided(tmp_path, first_version([2] * 9, [3] * 9, [[race]], 2))
        sums = decide.engine_of(network).sums(np.array(list(whole_images([2] * 9, [3] * 9))))
        exists = bool((decide.Goal(network.output, [[decide.Race(*race)]]).leads(sums) >= 0).any())
        assert answer.word == (SAT if exists else UNKNOWN)


@needs_peers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "word"),
    [("7040_eps_1", SAT), ("7040_eps_5", SAT), ("11985_eps_5", SAT), ("8258_eps_3", SAT), ("8258_eps_1", UNSAT)],
)
def test_the_traffic_sign_properties(name, word):
    folder = PEERS / "vnncomp"
    net = next(folder.glob("*.onnx.gz"))
    answer = decide_files(net, folder / f"model_30_idx_{name}.00000.vnnlib.gz", seconds=300, seed=0)
    assert answer.word == word
    assert bool(answer.certificates) == (word == UNSAT)
