"""Bits are +1 and -1; in packed form bit 1 is +1. This module is the only place that knows.

A vector of ``n`` bits is an ``int8`` array over {-1, +1}. Packed, it is ``n_words(n)`` words of
``uint64``; bit ``i`` sits in word ``i // 64`` at position ``i % 64`` (least significant first),
and the padding bits of the last word are 0. ``sign(0) = +1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError

WORD_BITS = 64


def n_words(n_bits: int) -> int:
    """Number of 64-bit words that hold ``n_bits`` bits."""
    return -(-n_bits // WORD_BITS)


def sign(values: NDArray[Any]) -> NDArray[np.int8]:
    """+1 where ``values >= 0``, else -1; zero is +1. Any shape in, the same shape out."""
    return np.where(np.asarray(values) >= 0, 1, -1).astype(np.int8)


def pack(bits: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Pack +1/-1 bits ``(..., n)`` into words ``(..., n_words(n))``.

    >>> [int(word) for word in pack(np.array([1, -1, 1], dtype=np.int8))]
    [5]
    """
    ones = np.asarray(bits) > 0
    missing = n_words(ones.shape[-1]) * WORD_BITS - ones.shape[-1]
    padded = np.pad(ones, [(0, 0)] * (ones.ndim - 1) + [(0, missing)])
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64, copy=False)


def unpack(words: NDArray[np.uint64], n_bits: int) -> NDArray[np.int8]:
    """Inverse of :func:`pack`: words ``(..., n_words)`` to +1/-1 bits ``(..., n_bits)``."""
    as_bytes = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    ones = np.unpackbits(as_bytes, axis=-1, bitorder="little")[..., :n_bits]
    return (ones.astype(np.int8) << 1) - np.int8(1)


def as_bits(values: Any) -> NDArray[np.int8]:
    """Read booleans, 0/1 or -1/+1 numbers as +1/-1 bits, shape kept.

    An array of ones alone is read as +1 everywhere, which both readings share.

    Raises:
        InputFormatError: if any value is not a bit, or 0 and -1 are mixed.
    """
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return np.where(array, 1, -1).astype(np.int8)
    if array.dtype.kind not in "iuf":
        raise InputFormatError(f"bits: expected numbers, found type {array.dtype}")
    zero, minus = array == 0, array == -1
    if zero.any() and minus.any():
        raise InputFormatError("bits: found both 0 and -1; expected 0/1 or -1/+1 throughout")
    strange = ~(zero | minus | (array == 1))
    if strange.any():
        found = array[strange].flat[0]
        raise InputFormatError(f"bits: found the value {found}; expected 0/1 or -1/+1")
    return np.where(array == 1, 1, -1).astype(np.int8)
