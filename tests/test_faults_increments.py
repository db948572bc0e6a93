"""Layers brought up to date against plain integer sums, and their bit-sliced parts against numpy."""

import numpy as np
import pytest
from numba import njit

from bnnverify.bits import pack, unpack
from bnnverify.faults.gains import by_input, gains, spread, transpose
from bnnverify.faults.increments import Columns, Flips, fits, n_differing
from bnnverify.faults.layers import NO_FLIPS
from bnnverify.inference import kernels
from bnnverify.inference.layout import aligned_zeros, bit_limits, interleave
from bnnverify.inference.program import DenseStep


def signs(rng, *shape):
    return rng.choice(np.array([-1, 1], dtype=np.int8), shape)


def layer(rng, n_in, n_out, reach=6):
    """A step, its weights and its thresholds."""
    weights, thresholds = signs(rng, n_out, n_in), rng.integers(-reach, reach + 1, n_out)
    neurons = interleave(weights)
    return DenseStep(neurons, bit_limits(neurons, thresholds), None), weights, thresholds


def drawn_flips(rng, weights, share):
    places = np.flatnonzero(rng.random(weights.size) < share)
    rows, columns = np.divmod(places, weights.shape[1])
    return Flips(rows, columns, weights.reshape(-1)[places])


def changed(rng, X, share):
    return np.where(rng.random(X.shape) < share, -X, X).astype(np.int8)


def expected(weights, thresholds, flips, X):
    faulty = weights.astype(np.int64)
    faulty[flips.rows, flips.columns] *= -1
    return X.astype(np.int64) @ faulty.T >= thresholds


def updated(columns, before, X, flips):
    old, new = pack(before), pack(X)
    sound = columns.sound(kernels, old)
    moves = columns.strike(flips)
    found = columns.updated(new, old, n_differing(new, old), sound, moves)
    columns.strike(flips)
    return unpack(found, columns.shape[0]) > 0


@pytest.mark.parametrize("share_of_inputs", [0, 0.01, 0.3, 1])
@pytest.mark.parametrize("share_of_weights", [0, 0.002, 0.2, 1])
def test_changed_inputs_and_flipped_weights_give_the_bits_of_plain_sums(share_of_inputs, share_of_weights):
    rng = np.random.default_rng(round(1000 * (share_of_inputs + 7 * share_of_weights)))
    for n_in, n_out, n_rows in [(5, 3, 1), (64, 64, 64), (130, 70, 513), (300, 1100, 20), (9, 513, 1030)]:
        step, weights, thresholds = layer(rng, n_in, n_out)
        columns = Columns(step, weights)
        for _ in range(3):
            before = signs(rng, n_rows, n_in)
            X, flips = changed(rng, before, share_of_inputs), drawn_flips(rng, weights, share_of_weights)
            assert np.array_equal(updated(columns, before, X, flips), expected(weights, thresholds, flips, X))


@pytest.mark.parametrize("seed", range(4))
def test_hundreds_of_small_layers_agree_with_plain_sums(seed):
    rng = np.random.default_rng(80 + seed)
    for _ in range(400):
        n_in, n_out, n_rows = (int(rng.integers(1, top)) for top in (40, 20, 12))
        step, weights, thresholds = layer(rng, n_in, n_out, reach=n_in + 3)
        before = signs(rng, n_rows, n_in)
        X, flips = changed(rng, before, rng.random()), drawn_flips(rng, weights, rng.random() ** 2)
        found = updated(Columns(step, weights), before, X, flips)
        assert np.array_equal(found, expected(weights, thresholds, flips, X))


def test_striking_twice_makes_the_columns_sound_again():
    rng = np.random.default_rng(2)
    step, weights, _ = layer(rng, 100, 90)
    columns, other = Columns(step, weights), Columns(step, weights).writable()
    flips = drawn_flips(rng, weights, 0.1)
    other.strike(flips)
    assert not np.array_equal(columns._columns, other._columns)
    other.strike(flips)
    assert np.array_equal(columns._columns, other._columns)


def test_sound_slacks_are_sliced_in_twos_complement():
    rng = np.random.default_rng(3)
    step, weights, _ = layer(rng, 77, 600, reach=90)
    X = signs(rng, 9, 77)
    sound = Columns(step, weights).sound(kernels, pack(X))
    bits = unpack(sound.planes.transpose(1, 2, 0, 3).reshape(-1, 16), 1024).reshape(9, -1, 1024)[:, :, :600] > 0
    weight = 1 << np.arange(bits.shape[1])
    weight[-1] *= -1
    differing = (77 - X.astype(np.int64) @ weights.T.astype(np.int64)) // 2
    slacks = step.limits[0, :600] - differing
    assert np.array_equal((bits * weight[:, None]).sum(axis=1), slacks)
    assert sound.widest == np.abs(slacks).max()


def test_gains_count_the_flips_that_disagreed_before():
    rng = np.random.default_rng(4)
    for n_in, n_out, n_rows in [(3, 1, 1), (50, 600, 70), (20, 1024, 530)]:
        weights, X = signs(rng, n_out, n_in), signs(rng, n_rows, n_in)
        flips = drawn_flips(rng, weights, 0.15)
        n_parts = -(-n_out // 512)
        struck, per_neuron = spread(flips.rows, n_parts)
        turned = by_input(pack(X), n_in)
        found = gains(flips.rows, flips.columns, flips.signs, turned, struck, int(per_neuron.max()), n_rows)
        counts = np.zeros((n_rows, n_parts * 512), dtype=np.int64)
        for row, column, sign in zip(flips.rows, flips.columns, flips.signs, strict=True):
            counts[:, row] += X[:, column] != sign
        for part in range(n_parts):
            if struck[part] < 0:
                assert not counts[:, 512 * part : 512 * part + 512].any()
                continue
            planes = found[struck[part]]
            bits = unpack(planes.reshape(-1, 8), 512).reshape(n_rows, planes.shape[1], 512) > 0
            values = (bits * (1 << np.arange(planes.shape[1]))[:, None]).sum(axis=1)
            assert np.array_equal(values, counts[:, 512 * part : 512 * part + 512])


def test_squares_of_bits_are_transposed():
    rng = np.random.default_rng(5)
    planes = aligned_zeros((2, 64, 3, 8))
    planes[:] = rng.integers(0, 1 << 63, planes.shape, dtype=np.uint64)
    before = unpack(planes[1].transpose(1, 2, 0).reshape(-1, 1), 64).reshape(24, 64, 64)
    untouched = planes[0].copy()
    transposed(planes, 1)
    after = unpack(planes[1].transpose(1, 2, 0).reshape(-1, 1), 64).reshape(24, 64, 64)
    assert np.array_equal(after, before.transpose(0, 2, 1))
    assert np.array_equal(planes[0], untouched)


@njit
def transposed(planes, plane):
    transpose(planes, plane)


def test_nothing_changed_costs_nothing_and_changes_nothing():
    rng = np.random.default_rng(6)
    step, weights, thresholds = layer(rng, 90, 80)
    X = signs(rng, 7, 90)
    assert np.array_equal(updated(Columns(step, weights), X, X, NO_FLIPS), expected(weights, thresholds, NO_FLIPS, X))
    assert n_differing(pack(X), pack(-X)) == 7 * 90


def test_layers_with_zero_weights_or_sums_beyond_16_bits_do_not_fit():
    rng = np.random.default_rng(7)
    assert fits(interleave(signs(rng, 4, 30)), 30)
    assert not fits(interleave(np.array([[1, 0, -1]], dtype=np.int8)), 3)
    assert not fits(interleave(signs(rng, 1, 5)), 1 << 15)
