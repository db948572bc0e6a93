"""How many of a neuron's flipped weights move its slack upwards, instance by instance.

A flipped weight moves the slack up where it disagreed with the input before. Counted a neuron at a time, an input's
bits of 64 instances are one word, so a flip is a few word operations on bit-sliced counters; then the planes of 64
neurons are transposed, 64 x 64 bits at a time, into the order in which layers are brought up to date. Cost: about .04
ns a flip and instance, and a transposition of every plane of the neurons that have flips (Warren, "Hacker's Delight").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import pack, unpack
from bnnverify.faults.incrementtile import add_flip, swap_halves
from bnnverify.inference.layout import aligned, aligned_zeros

PART = 512
Words = NDArray[np.uint64]
Indices = NDArray[np.int64]


def by_input(inputs: Words, n_in: int) -> Words:
    """Packed instances ``(rows, words)`` the other way round: ``(n_in, chunks, 8)``, a bit an instance."""
    turned = pack(unpack(inputs, n_in).T)
    filled = np.zeros((n_in, -(-turned.shape[1] // 8) * 8), dtype=np.uint64)
    filled[:, : turned.shape[1]] = turned
    return aligned(filled.reshape(n_in, -1, 8))


def spread(rows: Indices, n_parts: int) -> tuple[Indices, Indices]:
    """Which parts of 512 neurons have flips, as a number from 0 or -1, and how many flips each neuron has."""
    per_neuron = np.bincount(rows, minlength=PART * n_parts)
    has = per_neuron.reshape(n_parts, PART).any(axis=1)
    return np.where(has, np.cumsum(has) - 1, -1), per_neuron


def gains(
    rows: Indices,
    columns: Indices,
    signs: NDArray[np.int8],
    inputs: Words,
    struck: Indices,
    most: int,
    n_rows: int,
) -> Words:
    """The counts, bit-sliced over neurons.

    Args:
        rows, columns, signs: flips by ascending neuron: its input, and the weight before.
        inputs: ``(n_in, chunks, 8)``, a bit an instance.
        struck: from :func:`spread`; most: flips that a neuron has, at most.
        n_rows: instances.

    Returns:
        ``(struck parts, n_rows, planes, 8)``.
    """
    found = np.empty((int(struck.max(initial=-1)) + 1, n_rows, most.bit_length(), 8), dtype=np.uint64)
    bounds = np.searchsorted(rows, 64 * np.arange(8 * len(struck) + 1))
    if rows.size:
        planes = aligned_zeros((most.bit_length(), 64, *inputs.shape[1:]))
        _count(rows, columns, signs, inputs, struck, bounds, planes, found)
    return found


@njit(cache=True, nogil=True)
def _count(
    rows: Indices,
    columns: Indices,
    signs: Any,
    inputs: Words,
    struck: Indices,
    bounds: Indices,
    planes: Words,
    found: Words,
) -> None:
    """All neurons, 64 at a time, of the parts that have flips."""
    for word in range(bounds.size - 1):
        part = struck[word >> 3]
        if part < 0:
            continue
        planes[:] = np.uint64(0)
        _count_word(rows, columns, signs, inputs, bounds[word], bounds[word + 1], planes)
        for plane in range(planes.shape[0]):
            if bounds[word] < bounds[word + 1]:
                transpose(planes, plane)
            for row in range(found.shape[1]):
                found[part, row, plane, word & 7] = planes[plane, row & 63, row >> 9, (row >> 6) & 7]


@njit(cache=True, nogil=True)
def _count_word(rows: Any, columns: Any, signs: Any, inputs: Any, first: int, last: int, planes: Any) -> None:
    """The flips of 64 neurons; a neuron's k-th flip can reach as many planes as k has bits."""
    seen = live = 0
    for k in range(first, last):
        if k == first or rows[k] != rows[k - 1]:
            seen = live = 0
        seen += 1
        live += seen >> live != 0
        opposite = ~np.uint64(0) if signs[k] > 0 else np.uint64(0)
        for chunk in range(inputs.shape[1]):
            add_flip(inputs, columns[k], opposite, chunk, planes, rows[k] & 63, live)


@njit(cache=True, nogil=True)
def transpose(planes: Any, plane: int) -> None:
    """Transpose one plane of ``(planes, 64, chunks, 8)`` as 64 x 64 bits for each word, in place."""
    n_chunks = planes.shape[2]
    start = plane * 64 * n_chunks
    width, mask = 32, np.uint64(0xFFFFFFFF)
    while width:
        for first in range(64):
            if first & width:
                continue
            upper, lower = start + first * n_chunks, start + (first + width) * n_chunks
            for chunk in range(n_chunks):
                swap_halves(planes, upper + chunk, lower + chunk, np.uint64(width), mask)
        width >>= 1
        mask ^= mask << np.uint64(width)
