"""The patch dual bound: a certificate that is accepted is right, and a certificate that is not right is rejected."""

import dataclasses
import gzip
import re
import sys
from fractions import Fraction
from functools import cache
from itertools import product
from math import prod

import numpy as np
import pytest

from bnnverify.errors import InputFormatError, ModelFormatError, UsageError
from bnnverify.formats.floatmodel import PixelScale, fold
from bnnverify.formats.onnx_read import read_with_order
from bnnverify.formats.unstated import Unstated
from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, QuantizedInput, ThresholdInput
from bnnverify.patches.certificate import PatchCertificate, read_certificate, write_certificate
from bnnverify.patches.check import Box, check, rejection
from bnnverify.patches.prove import prove
from tests.oracle import _apply_all, exact_scores
from tests.paths import PEERS, needs_peers

MODEL = "3_30_30_QConv_16_3_QConv_32_2_Dense_43_ep_30.onnx.gz"


def weights_of(rng, shape, ternary=True):
    return rng.integers(-1, 2, shape) if ternary else rng.choice([-1, 1], shape)


def random_layer(rng, shape):
    """A convolution, a pool or a dense block that fits behind this shape."""
    kind = rng.integers(0, 3) if min(shape[1:], default=1) >= 2 else 2
    if len(shape) == 3 and kind == 0:
        kernel = (int(rng.integers(1, 4)), shape[0], *(int(rng.integers(1, 3)) for _ in range(2)))
        padding = tuple(int(rng.integers(0, k)) for k in kernel[2:])
        stride = tuple(int(s) for s in rng.choice([1, 1, 2], 2))
        return ConvBlock(weights_of(rng, kernel), rng.integers(-2, 3, kernel[0]), padding=padding, stride=stride)
    if len(shape) == 3 and kind == 1:
        return MaxPool((2, 2), stride=(1, 1) if rng.random() < 0.5 else (2, 2))
    n_out = int(rng.integers(1, 5))
    return Block(weights_of(rng, (n_out, prod(shape))), rng.integers(-2, 3, n_out))


def random_output(rng, n_hidden):
    n_classes = int(rng.integers(2, 5))
    scale = np.ones(n_classes) if rng.random() < 0.6 else rng.choice([0.5, 1, -1, 0, 0.3], n_classes)
    return Output(weights_of(rng, (n_classes, n_hidden)), bias=rng.choice([0, 1, 0.5, 0.1], n_classes), scale=scale)


def random_conv_network(rng, kind):
    """One to four blocks, the first a convolution, over bits, binarized pixels, levels or quantized pixels."""
    shape = (int(rng.integers(1, 3)), int(rng.integers(2, 4)), int(rng.integers(2, 5)))
    channels = int(rng.integers(1, 4))
    kernel = (channels, shape[0], 2, int(rng.integers(1, 3)))
    padding = tuple(int(rng.integers(0, k)) for k in kernel[2:])
    first = weights_of(rng, kernel) if kind != "levels" else rng.integers(-3, 4, kernel)
    reach = 4 if kind in ("levels", "steps") else 1
    blocks = [ConvBlock(first, rng.integers(-reach, reach + 2, channels), padding=padding)]
    shapes = [blocks[0].output_shape(shape)]
    for _ in range(int(rng.integers(0, 4))):
        blocks.append(random_layer(rng, shapes[-1]))
        shapes.append(blocks[-1].output_shape(shapes[-1]))
    n = prod(shape)
    layer = {
        "bits": BitInput(shape),
        "pixels": ThresholdInput(rng.integers(0, 5, n), rng.random(n) < 0.6, 3, shape),
        "levels": QuantizedInput(shape, 3),
        "steps": QuantizedInput(shape, 7, steps=np.sort(rng.integers(1, 8, 3))),
    }[kind]
    return Network(blocks, random_output(rng, prod(shapes[-1])), input=layer)


def random_box(rng, network, free):
    """Bounds that differ in at most ``free`` inputs."""
    n = network.n_inputs
    greatest = 1 if isinstance(network.input, BitInput) else network.input.max_value
    ends = rng.integers(0, greatest + 1, (2, n)) if greatest > 1 else rng.choice([-1, 1], (2, n))
    low, high = ends.min(axis=0), ends.max(axis=0)
    high = np.where(np.isin(np.arange(n), rng.choice(n, min(free, n), replace=False)), high, low)
    return low, high


def scores_of(network, inputs, denominator=1):
    """Exact scores ``(batch, classes)`` of what the first block reads, given in units of 1/denominator."""
    first = dataclasses.replace(network.blocks[0], thresholds=network.blocks[0].thresholds * denominator)
    values = np.asarray(inputs, dtype=np.int64).reshape(-1, *network.shapes[0])
    for block in (first, *network.blocks[1:]):
        values = _apply_all(block, values)
    return exact_scores(network.output, values.reshape(len(values), -1))


def inputs_of(network, low, high):
    """All inputs of a box as the first block reads them."""
    layer = network.input
    step = 2 if isinstance(layer, BitInput) else 1
    members = np.array(list(product(*(range(a, b + 1, step) for a, b in zip(low, high, strict=True)))))
    if isinstance(layer, ThresholdInput):
        return layer.to_bits(members)
    return layer.to_levels(members) if isinstance(layer, QuantizedInput) else members


def is_violated(scores, label, wanted, order=None):
    """Whether some input gives a wanted class a score that beats the label's."""
    wins_tie = {c: order is None or order.index(c) < order.index(label) for c in wanted}
    return any(
        np.any(scores[:, c] >= scores[:, label]) if wins_tie[c] else np.any(scores[:, c] > scores[:, label])
        for c in wanted
    )


def instances(kind, n, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        network = random_conv_network(rng, kind)
        low, high = random_box(rng, network, free=5)
        center = inputs_of(network, low, low)
        label = int(np.argmax(scores_of(network, center)[0]))
        wanted = [c for c in range(network.n_classes) if c != label]
        order = None if rng.random() < 0.5 else list(rng.permutation(network.n_classes))
        yield network, low, high, label, wanted, order


@pytest.mark.parametrize("kind", ["bits", "pixels", "levels", "steps"])
def test_what_is_proved_no_input_of_the_box_violates(kind):
    proved = safe = 0
    for network, low, high, label, wanted, order in instances(kind, 120, seed=1):
        certificate = prove(network, low, high, label, wanted, order=order)
        violated = is_violated(scores_of(network, inputs_of(network, low, high)), label, wanted, order)
        assert certificate is None or not violated
        assert certificate is None or check(certificate, network, low, high, label, wanted, order=order)
        proved, safe = proved + (certificate is not None), safe + (not violated)
    assert proved >= 0.9 * safe > 10


def proved_and_violated(kind, n, seed):
    for network, low, high, label, wanted, order in instances(kind, n, seed):
        certificate = prove(network, low, high, label, wanted, order=order)
        violated = is_violated(scores_of(network, inputs_of(network, low, high)), label, wanted, order)
        assert certificate is None or not violated
        if certificate is not None:
            yield certificate


def test_factors_may_hold_several_places(monkeypatch):
    monkeypatch.setattr("bnnverify.patches.prove.TILES", (2,))
    proofs = list(proved_and_violated("bits", 40, seed=11))
    assert sum(np.diff(proof.site_offsets).max() > 1 for proof in proofs) > 3


def test_neurons_that_do_not_fit_into_a_scope_are_intervals(monkeypatch):
    monkeypatch.setattr("bnnverify.patches.factors.MAX_PATTERNS", 4)
    proofs = list(proved_and_violated("levels", 40, seed=12))
    assert len(proofs) > 3
    assert max(np.diff(proof.scope_offsets).max() for proof in proofs) <= 4


def quarters_of(low, high, rng):
    """Corners and random points of a real box, in quarters."""
    grid = rng.integers(4 * low, 4 * high + 1, (400, low.size))
    corners = np.where(rng.random((200, low.size)) < 0.5, 4 * low, 4 * high)
    return np.concatenate([grid, corners])


def test_what_is_proved_over_reals_no_quarter_level_violates():
    rng = np.random.default_rng(4)
    proved = 0
    for network, low, high, label, wanted, order in instances("levels", 150, seed=3):
        certificate = prove(network, low, high, label, wanted, order=order, real=True)
        violated = is_violated(scores_of(network, quarters_of(low, high, rng), 4), label, wanted, order)
        assert certificate is None or not violated
        proved += certificate is not None
    assert proved > 30


def two_pixels(threshold):
    """Bits a = [x - y >= threshold], b = [y - x >= threshold]; class 1 beats class 0 only if both are +1."""
    first = ConvBlock(np.array([[[[1, -1]]], [[[-1, 1]]]]), np.array([threshold, threshold]))
    return Network([first], Output(np.array([[-1, -1], [1, 1]]), bias=[1, 0]), input=QuantizedInput((1, 1, 2), 9))


def test_signs_that_exclude_each_other_prove_what_intervals_cannot():
    certificate = prove(two_pixels(1), [2, 2], [5, 5], 0, [1])
    assert certificate is not None
    assert certificate.n_nogoods == 1
    none = np.zeros(0, dtype=np.int64)
    blind = dataclasses.replace(
        certificate, nogood_offsets=np.array([0]), nogood_neurons=none, nogood_signs=none, nogood_multipliers=none
    )
    assert "bound of the margin" in rejection(blind, two_pixels(1), [2, 2], [5, 5], 0, [1])


def test_equality_is_a_sign_of_both_rows_so_nothing_is_proved():
    assert prove(two_pixels(0), [2, 2], [5, 5], 0, [1]) is None


def neither(real):
    """Class 1 wins only where neither x >= 3 nor x <= 2, which is so for real numbers alone."""
    first = ConvBlock(np.array([[[[1]]], [[[-1]]]]), np.array([3, -2]))
    network = Network([first], Output(np.array([[1, 1], [-1, -1]]), bias=[1, 0]), input=QuantizedInput((1, 1, 1), 9))
    return prove(network, [2], [4], 0, [1], real=real)


def test_a_proof_for_levels_need_not_hold_for_reals():
    assert neither(real=False) is not None
    assert neither(real=True) is None


def test_fractional_bounds_are_exact():
    first = ConvBlock(np.ones((1, 1, 1, 1)), np.array([3]))
    network = Network([first], Output(np.array([[-1], [1]])), input=QuantizedInput((1, 1, 1), 9))
    below = Fraction(3) - Fraction(1, 10**30)
    assert prove(network, [Fraction(1, 3)], [below], 0, [1], real=True) is None
    certificate = prove(network, [0], [2.75], 0, [1], real=True)
    assert check(certificate, network, [Fraction(1, 3)], [below], 0, [1], real=True)
    assert not check(certificate, network, [Fraction(1, 3)], [3], 0, [1], real=True)
    assert prove(network, [0.5], [2.5], 0, [1]) is not None


@cache
def overlapping(seed=22):
    """A box of a network of two convolutions that needs multipliers: a certificate with all that one can hold."""
    for network, low, high, label, wanted, order in instances("levels", 3000, seed):
        if len(network.blocks) < 2 or min(network.shapes[1][1:]) < 2:
            continue
        certificate = prove(network, low, high, label, wanted, order=order)
        if certificate is not None and certificate.n_nogoods and np.any(certificate.multipliers):
            blind = dataclasses.replace(certificate, multipliers=0 * certificate.multipliers)
            question = (network, low, high, label, wanted)
            if not check(blind, *question, order=order):
                return certificate, question, order
    raise AssertionError("no such network among the random ones")


def changed(certificate, name, index, value):
    array = np.array(getattr(certificate, name))
    array[index] = value
    return dataclasses.replace(certificate, **{name: array})


def test_a_certificate_without_its_multipliers_is_rejected():
    certificate, question, order = overlapping()
    assert check(certificate, *question, order=order)
    assert "bound of the margin" in rejection(
        dataclasses.replace(certificate, multipliers=0 * certificate.multipliers), *question, order=order
    )


def test_multipliers_that_do_not_cancel_are_charged():
    certificate, question, order = overlapping()
    for entry in range(certificate.scopes.size):
        for change in (-1, 1):
            tilted = changed(certificate, "multipliers", (0, entry), change * 10_000 * certificate.scale)
            assert not check(tilted, *question, order=order)


def test_a_nogood_that_names_a_neuron_twice_is_rejected():
    certificate = prove(two_pixels(1), [2, 2], [5, 5], 0, [1])
    forged = dataclasses.replace(
        certificate,
        nogood_offsets=np.array([0, 2]),
        nogood_neurons=np.array([0, 0]),
        nogood_signs=np.array([-1, 1]),
        nogood_multipliers=np.array([1, 1]),
    )
    assert "nogood" in rejection(forged, two_pixels(1), [2, 2], [5, 5], 0, [1])


def three_rows():
    """Bits [x + y >= 1], [x - y >= 0], [-2x >= 0], over -1..1 as 0..2, of which no two exclude each other."""
    weights = np.array([[1, 1], [1, -1], [-2, 0]]).reshape(3, 1, 1, 2)
    first = ConvBlock(weights, np.array([3, 0, -2]))
    return Network(
        [first], Output(np.array([[-1, -1, -1], [1, 1, 1]]), bias=[3, 0]), input=QuantizedInput((1, 1, 2), 9)
    )


def test_three_signs_that_exclude_each_other_need_the_linear_program():
    pytest.importorskip("scipy")
    certificate = prove(three_rows(), [0, 0], [2, 2], 0, [1], real=True)
    assert np.diff(certificate.nogood_offsets).tolist() == [3]


def test_without_scipy_there_are_pairs_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert prove(three_rows(), [0, 0], [2, 2], 0, [1], real=True) is None
    assert prove(two_pixels(1), [2, 2], [5, 5], 0, [1], real=True) is not None


@pytest.mark.parametrize("classes", [(0, []), (0, [0, 1]), (0, [2]), (5, [1])])
def test_classes_that_are_none_are_refused(classes):
    certificate = prove(two_pixels(1), [2, 2], [5, 5], 0, [1])
    assert "expected" in rejection(certificate, two_pixels(1), [2, 2], [5, 5], *classes)
    with pytest.raises(UsageError, match="classes"):
        prove(two_pixels(1), [2, 2], [5, 5], *classes)


def test_a_nogood_that_some_input_has_is_rejected():
    certificate, question, order = overlapping()
    for row in range(certificate.nogood_neurons.size):
        for name, value in (("nogood_signs", -certificate.nogood_signs[row]), ("nogood_multipliers", 0)):
            forged = changed(certificate, name, row, value)
            assert "some input of the box has these signs" in rejection(forged, *question, order=order)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nogood_neurons", 10**6),
        ("nogood_neurons", -1),
        ("nogood_signs", 0),
        ("nogood_signs", 2),
        ("nogood_multipliers", -5),
        ("sites", 10**6),
        ("sites", -1),
        ("scopes", 10**6),
        ("scopes", -1),
        ("wanted", 77),
        ("multipliers", (1 << 63) - 1),
        ("multipliers", -(1 << 63)),
    ],
)
def test_a_number_out_of_its_range_is_rejected(name, value):
    certificate, question, order = overlapping()
    index = (0, 0) if name == "multipliers" else 0
    assert rejection(changed(certificate, name, index, value), *question, order=order) is not None


@pytest.mark.parametrize("scale", [0, -1, 1 << 61, 1 << 200])
def test_a_scale_that_is_not_positive_or_overflows_is_rejected(scale):
    certificate, question, order = overlapping()
    assert "scale" in rejection(dataclasses.replace(certificate, scale=scale), *question, order=order)


def test_a_place_counts_once():
    certificate, question, order = overlapping()
    twice = dataclasses.replace(
        certificate,
        sites=np.tile(certificate.sites, 2),
        site_offsets=np.r_[certificate.site_offsets, certificate.site_offsets[1:] + certificate.sites.size],
        scopes=np.tile(certificate.scopes, 2),
        scope_offsets=np.r_[certificate.scope_offsets, certificate.scope_offsets[1:] + certificate.scopes.size],
        multipliers=np.tile(certificate.multipliers, (1, 2)),
    )
    assert "repeats a site" in rejection(twice, *question, order=order)


def test_a_certificate_holds_for_smaller_boxes_and_not_for_other_labels():
    certificate, (network, low, high, label, wanted), order = overlapping()
    middle = (low + high) // 2
    assert check(certificate, network, middle, high, label, wanted, order=order)
    others = [c for c in range(network.n_classes) if c != wanted[0]]
    assert not check(certificate, network, low, high, wanted[0], others, order=order)


def test_random_corruptions_never_prove_what_is_violated():
    rng = np.random.default_rng(6)
    names = [f.name for f in dataclasses.fields(PatchCertificate) if f.name not in ("scale", "wanted")]
    certificate, (network, low, _, label, wanted), order = overlapping()
    greatest = np.full_like(low, 3)
    scores = scores_of(network, quarters_of(low, greatest, rng) // 4)
    assert is_violated(scores, label, wanted, order)
    for _ in range(500):
        name = names[rng.integers(len(names))]
        array = getattr(certificate, name)
        index = tuple(rng.integers(0, size) for size in array.shape)
        try:
            forged = changed(certificate, name, index, array[index] + rng.integers(-3, 4))
        except ModelFormatError:
            continue
        assert not check(forged, network, low, greatest, label, wanted, order=order)


def test_a_certificate_survives_its_file(tmp_path):
    certificate, question, order = overlapping()
    write_certificate(certificate, tmp_path / "proof.npz")
    again = read_certificate(tmp_path / "proof.npz")
    assert check(again, *question, order=order)
    for field in dataclasses.fields(PatchCertificate):
        assert np.array_equal(getattr(again, field.name), getattr(certificate, field.name))


def test_a_damaged_certificate_file_is_one_sentence(tmp_path):
    certificate, _, _ = overlapping()
    path = tmp_path / "proof.npz"
    write_certificate(certificate, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelFormatError, match="damaged or truncated"):
        read_certificate(path)
    np.savez(path, schema=np.zeros(1, np.uint8))
    with pytest.raises(ModelFormatError, match="lacks the array"):
        read_certificate(path)


def test_offsets_that_do_not_fit_are_refused():
    certificate, _, _ = overlapping()
    with pytest.raises(ModelFormatError, match="site_offsets"):
        dataclasses.replace(certificate, site_offsets=certificate.site_offsets[::-1].copy())
    with pytest.raises(ModelFormatError, match="multipliers"):
        dataclasses.replace(certificate, multipliers=certificate.multipliers[:, :-1])
    with pytest.raises(ModelFormatError, match="float64"):
        dataclasses.replace(certificate, scopes=certificate.scopes.astype(float))


@pytest.mark.parametrize(
    "box", [([0], [1]), ([0, 2], [1, 1]), ([0, 0], [1, float("nan")]), ([0, 0], [1, float("inf")])]
)
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(InputFormatError, match="box"):
        Box.of(two_pixels(1), *box, True)
    with pytest.raises(InputFormatError, match="box"):
        prove(two_pixels(1), *box, 0, [1], real=True)


def test_a_network_without_a_first_block_cannot_be_asked():
    network = Network([], Output(np.array([[1, 1], [1, -1]])))
    assert prove(network, [-1, -1], [1, 1], 0, [1]) is None


def property_of(name, order):
    """Bounds, label and wanted classes of a VNN-LIB file of the traffic signs."""
    text = gzip.decompress((PEERS / "vnncomp" / name).read_bytes()).decode()
    sides = {"<": np.zeros(order.size), ">": np.zeros(order.size)}
    for side, index, value in re.findall(r"\(assert \(([<>])= X_(\d+) ([-\d.]+)\)\)", text):
        sides[side][int(index)] = float(value)
    pairs = re.findall(r">= Y_(\d+) Y_(\d+)", text)
    return sides[">"][order], sides["<"][order], int(pairs[0][1]), [int(c) for c, _ in pairs]


def traffic_signs(tmp_path):
    path = tmp_path / "signs.onnx"
    path.write_bytes(gzip.decompress((PEERS / "vnncomp" / MODEL).read_bytes()))
    model, order = read_with_order(path, Unstated(pixels=PixelScale(Fraction(1))))
    return fold(model).network, order


@needs_peers
def test_a_traffic_sign_that_nobody_verified_is_verified_over_the_real_box(tmp_path):
    network, order = traffic_signs(tmp_path)
    low, high, label, wanted = property_of("model_30_idx_8258_eps_1.00000.vnnlib.gz", order)
    assert len(wanted) == 42
    certificate = prove(network, low, high, label, wanted, real=True)
    assert check(certificate, network, low, high, label, wanted, real=True)
    assert not check(certificate, network, low - 1, high + 1, label, wanted, real=True)


@needs_peers
def test_a_traffic_sign_with_a_counterexample_is_not_verified(tmp_path):
    network, order = traffic_signs(tmp_path)
    low, high, label, wanted = property_of("model_30_idx_7040_eps_1.00000.vnnlib.gz", order)
    assert prove(network, low, high, label, wanted, real=True, timeout=2) is None
