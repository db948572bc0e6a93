"""Packing, unpacking and reading of bits, against Python's own integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.bits import as_bits, n_words, pack, sign, unpack
from bnnverify.errors import InputFormatError

vectors = st.lists(st.sampled_from([-1, 1]), max_size=200)


def as_integer(bits):
    """The number whose binary digit i tells whether bit i is +1."""
    return sum(1 << i for i, bit in enumerate(bits) if bit == 1)


@given(vectors)
def test_a_packed_vector_is_its_number_in_64_bit_digits(bits):
    words = pack(np.array(bits, dtype=np.int8))
    assert words.shape == (n_words(len(bits)),)
    assert sum(int(word) << 64 * w for w, word in enumerate(words)) == as_integer(bits)


@given(vectors)
def test_unpacking_undoes_packing(bits):
    assert unpack(pack(np.array(bits, dtype=np.int8)), len(bits)).tolist() == bits


@given(st.integers(0, 5), st.integers(0, 70), st.integers(0, 2**32 - 1))
def test_batches_are_packed_row_by_row(batch, n, seed):
    rows = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), (batch, n))
    assert pack(rows).tolist() == [pack(row).tolist() for row in rows]
    assert np.array_equal(unpack(pack(rows), n), rows)


@pytest.mark.parametrize(("n_bits", "words"), [(0, 0), (1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (129, 3)])
def test_words_hold_64_bits_each(n_bits, words):
    assert n_words(n_bits) == words


def test_padding_bits_are_zero():
    assert int(pack(np.ones(65, dtype=np.int8))[1]) == 1


def test_a_view_that_is_not_contiguous_packs_as_its_copy():
    bits = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (130, 7)).T
    assert np.array_equal(pack(bits), pack(bits.copy()))


def test_the_sign_of_zero_is_plus_one():
    assert sign(np.array([-0.5, -0.0, 0.0, 2])).tolist() == [-1, 1, 1, 1]
    assert sign(np.array([-1, 0, 3])).dtype == np.int8


@pytest.mark.parametrize(
    "values",
    [[True, False, True], [1, 0, 1], [1, -1, 1], [1.0, 0.0, 1.0], np.array([1, 0, 1], dtype=np.uint8)],
    ids=["booleans", "0/1", "-1/+1", "floats", "unsigned"],
)
def test_every_usual_notation_of_bits_is_read_alike(values):
    bits = as_bits(values)
    assert bits.tolist() == [1, -1, 1]
    assert bits.dtype == np.int8


def test_ones_alone_and_nothing_are_bits():
    assert as_bits([1, 1]).tolist() == [1, 1]
    assert as_bits([]).size == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, -1, 1], "bits: found both 0 and -1; expected 0/1 or -1/+1 throughout"),
        ([1, 2], "bits: found the value 2; expected 0/1 or -1/+1"),
        ([1, 0.5], "bits: found the value 0.5; expected 0/1 or -1/+1"),
        ([1, float("nan")], "bits: found the value nan; expected 0/1 or -1/+1"),
        (["1", "0"], "bits: expected numbers, found type <U1"),
        ([1j], "bits: expected numbers, found type complex128"),
    ],
)
def test_what_is_no_bit_is_refused_in_one_sentence(values, message):
    with pytest.raises(InputFormatError, match=f"^{message.replace('+', '[+]')}$"):
        as_bits(values)
