"""Every kernel against its numpy twin, and packing against the conventions of bnnverify.bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bnnverify.bits import as_bits, n_words, pack, unpack
from bnnverify.errors import InputFormatError
from bnnverify.inference import fallback, kernels
from bnnverify.inference.carrylayout import carry_weights
from bnnverify.inference.layout import NEVER, bit_limits, interleave

SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint64)


def words_of(rng: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    """Random bits ``(..., n)``, packed."""
    return pack(rng.choice([-1, 1], size=shape).astype(np.int8))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(-2, 2), min_size=1, max_size=150),
    dtype=st.sampled_from(SIGNED + UNSIGNED),
)
def test_packing_accepts_exactly_the_bits_that_as_bits_reads(values: list[int], dtype: Any) -> None:
    array = np.array([[abs(v) if dtype in UNSIGNED else v for v in values]]).astype(dtype)
    words, valid = kernels.pack_bits(array)
    try:
        expected = as_bits(array)
    except InputFormatError:
        assert not valid
        assert not fallback.pack_bits(array)[1]
        return
    assert valid
    assert np.array_equal(words, pack(expected))
    assert np.array_equal(unpack(words, array.shape[1]), expected)
    assert np.array_equal(words, fallback.pack_bits(array)[0])


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 999), dtype=st.sampled_from(SIGNED + UNSIGNED))
def test_thresholds_and_bit_planes_equal_their_twins(n: int, seed: int, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 128, (3, n)).astype(dtype)
    thresholds = rng.integers(0, 128, n).astype(dtype)
    assert np.array_equal(kernels.pack_above(levels, thresholds), fallback.pack_above(levels, thresholds))
    planes = kernels.pack_planes(levels, 7)
    assert np.array_equal(planes, fallback.pack_planes(levels, 7))
    ones = (unpack(planes, n) > 0).astype(np.int64)
    assert np.array_equal((ones << np.arange(7)[None, :, None]).sum(axis=1), levels)


@pytest.mark.parametrize("channels", [1, 3, 63, 64, 65, 130])
def test_image_operations_equal_their_twins(channels: int) -> None:
    rng = np.random.default_rng(channels)
    flat = words_of(rng, 2, channels * 5 * 4)
    images = kernels.to_images(flat, (channels, 5, 4))
    assert np.array_equal(images, fallback.to_images(flat, (channels, 5, 4)))
    for kernel, stride, padding in (((3, 2), (1, 2), (2, 1)), ((1, 1), (2, 1), (0, 0)), ((5, 4), (1, 1), (0, 0))):
        found = kernels.patches(images, channels, kernel, stride, padding)
        assert np.array_equal(found, fallback.patches(images, channels, kernel, stride, padding))
    assert np.array_equal(kernels.pool(images, (2, 3), (1, 1)), fallback.pool(images, (2, 3), (1, 1)))


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("planes", [0, 3])
@pytest.mark.parametrize(("rows", "n_in", "n_out"), [(1, 64, 8), (6, 130, 32), (7, 65, 33), (13, 200, 71)])
def test_tiles_equal_their_twins(zeros: bool, planes: int, rows: int, n_in: int, n_out: int) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.choice([-1, 0, 1] if zeros else [-1, 1], size=(n_out, n_in)).astype(np.int8)
    neurons = interleave(weights)
    assert (neurons.mask is not None) == zeros
    inputs = words_of(rng, rows, planes, n_in) if planes else words_of(rng, rows, n_in)
    kinds = rng.integers(0, 2, rows)
    limits = rng.integers(-1, n_in * (2**planes), (2, 8 * len(neurons.words)))
    limits[:, n_out:] = NEVER
    shared = (inputs, neurons.words, neurons.mask)
    assert np.array_equal(kernels.dense_counts(*shared), fallback.dense_counts(*shared))
    found = kernels.dense_bits(*shared, limits, kinds, n_out)
    assert found.shape == (rows, n_words(n_out))
    assert np.array_equal(found, fallback.dense_bits(*shared, limits, kinds, n_out))


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 9), n_in=st.integers(1, 400), n_out=st.integers(1, 1100), seed=st.integers(0, 999))
def test_carries_equal_counting_and_their_twin(rows: int, n_in: int, n_out: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    neurons = interleave(rng.choice([-1, 1], size=(n_out, n_in)).astype(np.int8))
    limits = bit_limits(neurons, rng.integers(-n_in - 2, n_in + 3, n_out))
    inputs = words_of(rng, rows, n_in)
    found = kernels.carry_bits(inputs, carry_weights(neurons, limits))
    counted = kernels.dense_bits(inputs, neurons.words, None, limits, np.zeros(rows, dtype=np.int64), n_out)
    assert np.array_equal(found, counted)
    assert np.array_equal(found, fallback.carry_bits(inputs, carry_weights(neurons, limits)))


def test_carries_count_the_extremes() -> None:
    """All bits equal and all bits different, where every counter level is empty or full."""
    n_in = 4096
    neurons = interleave(np.ones((3, n_in), dtype=np.int8))
    inputs = pack(np.array([[1] * n_in, [-1] * n_in, [-1] * (n_in - 1) + [1]], dtype=np.int8))
    weights = carry_weights(neurons, np.array([[0, n_in - 1, n_in, 0, 0, 0, 0, 0]]))
    assert unpack(kernels.carry_bits(inputs, weights), 3).tolist() == [[1, 1, 1], [-1, -1, 1], [-1, 1, 1]]
