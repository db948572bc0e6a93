"""The moving part of a network in packed words, and the numba kernels that execute it.

A *pattern* is the packed vector of first-block bits. Row j of a block computes
``popcount((pattern ^ signs_j) & mask_j) <= limit_j``: the disagreements among its nonzero weights.
Kernels run over many patterns at once, patterns innermost, so that the compiler keeps a row in
registers and the patterns stream from the first-level cache: ``patterns[w, i]`` is word w of
pattern i. ``possible_classes`` runs the same rows on intervals (some bits known, some not).
Kernels are called with typed integers (``ZERO`` rather than 0), since numba would compile a second
version for each literal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import n_words, pack
from bnnverify.engines.residual import Residual
from bnnverify.inference.simd import popcount

ZERO, ONE = np.int64(0), np.int64(1)


class PackedTail(NamedTuple):
    """Everything behind the first block, as arrays that kernels take.

    ``starts[l]:starts[l + 1]`` are the rows of block l; the classes' rows come last. ``signs`` and
    ``masks`` are ``(rows, words)``; ``limits`` ``(rows,)`` the most disagreements that give +1. The
    class of a pattern maximizes ``slopes[c] * disagreements + offsets[c]``. ``keys`` is
    ``(classes, h)``: what +1 of each last bit adds to the class's key. ``row_of_code`` tells from the low
    bits of a key which class row it came from.
    """

    starts: NDArray[np.int64]
    signs: NDArray[np.uint64]
    masks: NDArray[np.uint64]
    limits: NDArray[np.int64]
    slopes: NDArray[np.int32] | NDArray[np.int64]
    offsets: NDArray[np.int64]
    keys: NDArray[np.int64]
    key_offsets: NDArray[np.int64]
    row_of_code: NDArray[np.int64]


def pack_tail(residual: Residual) -> PackedTail:
    """Pack the blocks and the output behind the first block of a residual network."""
    matrices = [block.weights for block in residual.blocks] + [residual.output]
    width = max(n_words(matrix.shape[1]) for matrix in matrices)
    fan_in = [np.count_nonzero(matrix, axis=1) for matrix in matrices]
    limits = [(n - b.thresholds) // 2 for n, b in zip(fan_in[:-1], residual.blocks, strict=True)]
    limits.append(np.zeros(residual.classes.size, dtype=np.int64))
    return PackedTail(
        starts=np.cumsum([0] + [matrix.shape[0] for matrix in matrices]),
        signs=np.concatenate([_wide(pack(m), width) for m in matrices]),
        masks=np.concatenate([_wide(pack(np.abs(m)), width) for m in matrices]),
        limits=np.concatenate(limits).astype(np.int64),
        slopes=_narrowed(-2 * residual.slopes),
        offsets=residual.offsets + residual.slopes * fan_in[-1],
        keys=np.ascontiguousarray(residual.slopes[:, None] * residual.output),
        key_offsets=residual.offsets,
        row_of_code=np.searchsorted(residual.classes, residual.decode).clip(max=residual.classes.size - 1),
    )


def _narrowed(slopes: NDArray[np.int64]) -> NDArray[np.int32] | NDArray[np.int64]:
    """As 32-bit integers where they fit: their vector product takes one instruction, a 64-bit one three."""
    fits = bool(np.all(np.abs(slopes) < 1 << 31))
    return slopes.astype(np.int32) if fits else slopes


def pattern_nanoseconds(tail: PackedTail) -> float:
    """What visiting one pattern costs: its vector adds, and the rows behind, by words."""
    return float((3.0 + 0.3 * tail.limits.size) * tail.signs.shape[1])


def bound_nanoseconds(tail: PackedTail) -> float:
    """What one run of interval bounds costs."""
    return float(200.0 + 10.0 * tail.limits.size * tail.signs.shape[1] + 3.0 * tail.keys.size)


def _wide(words: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    return np.pad(words, [(0, 0), (0, width - words.shape[1])])


@njit(cache=True, nogil=True)
def _disagreements(patterns, n, signs, masks, out):  # type: ignore[no-untyped-def]
    """``out[i]``: how many nonzero weights of one row disagree with pattern i."""
    for i in range(n):
        out[i] = popcount((patterns[0, i] ^ signs[0]) & masks[0])
    for w in range(1, signs.size):
        if masks[w] != 0:
            for i in range(n):
                out[i] += popcount((patterns[w, i] ^ signs[w]) & masks[w])


@njit(cache=True, nogil=True)
def _run_block(patterns, n, tail, layer, out, counts):  # type: ignore[no-untyped-def]
    """Bits of one block for n patterns, packed into ``out``."""
    first, last = tail.starts[layer], tail.starts[layer + 1]
    for word in range((last - first + 63) // 64):
        out[word, :n] = 0
    for row in range(first, last):
        word, limit = (row - first) // 64, tail.limits[row]
        bit = np.uint64(1) << np.uint64((row - first) % 64)
        if tail.signs.shape[1] == 1:
            signs, mask = tail.signs[row, 0], tail.masks[row, 0]
            for i in range(n):
                out[0, i] |= bit if popcount((patterns[0, i] ^ signs) & mask) <= limit else np.uint64(0)
        else:
            _disagreements(patterns, n, tail.signs[row], tail.masks[row], counts)
            for i in range(n):
                out[word, i] |= bit if counts[i] <= limit else np.uint64(0)


@njit(cache=True, nogil=True)
def score(patterns, n, tail, scratch, counts, keys):  # type: ignore[no-untyped-def]
    """``keys[i]``: the greatest key of pattern i < n, which names its class; overwrites ``patterns``.

    The class row is ``tail.row_of_code[keys[i] & (tail.row_of_code.size - 1)]``. ``scratch`` is like
    ``patterns``; counts and keys are int64, one a pattern.
    """
    source, target = patterns, scratch
    n_blocks = tail.starts.size - 2
    for layer in range(n_blocks):
        _run_block(source, n, tail, layer, target, counts)
        source, target = target, source
    keys[:n] = np.iinfo(np.int64).min
    for c in range(tail.slopes.size):
        row, slope, offset = tail.starts[n_blocks] + c, np.int64(tail.slopes[c]), tail.offsets[c]
        if tail.signs.shape[1] == 1:
            signs, mask = tail.signs[row, 0], tail.masks[row, 0]
            for i in range(n):
                keys[i] = max(popcount((source[0, i] ^ signs) & mask) * slope + offset, keys[i])
        else:
            _disagreements(source, n, tail.signs[row], tail.masks[row], counts)
            for i in range(n):
                keys[i] = max(counts[i] * slope + offset, keys[i])


@njit(cache=True, nogil=True)
def _block_bounds(tail, layer, context):  # type: ignore[no-untyped-def]
    """Interval version of a block: which of its bits are known, and their values."""
    first, last = tail.starts[layer], tail.starts[layer + 1]
    context[layer + 1] = 0
    for row in range(first, last):
        wrong, open_ = 0, 0
        for w in range(tail.signs.shape[1]):
            known, mask = context[layer, 0, w], tail.masks[row, w]
            wrong += popcount((context[layer, 1, w] ^ tail.signs[row, w]) & mask & known)
            open_ += popcount(mask & ~known)
        word, bit = (row - first) // 64, np.uint64(1) << np.uint64((row - first) % 64)
        if wrong + open_ <= tail.limits[row]:
            context[layer + 1, 1, word] |= bit
            context[layer + 1, 0, word] |= bit
        elif wrong > tail.limits[row]:
            context[layer + 1, 0, word] |= bit


@njit(cache=True, nogil=True)
def _has(words, i):  # type: ignore[no-untyped-def]
    return (words[i >> 6] >> np.uint64(i & 63)) & np.uint64(1) != 0


@njit(cache=True, nogil=True)
def _rivals(known, values, tail, possible):  # type: ignore[no-untyped-def]
    """Mark in ``possible`` the classes that may win; returns the winner where the open bits are -1.

    If one class wins everywhere, it wins there: only that candidate is compared with the others.
    """
    n_classes, n_bits = tail.keys.shape
    best, best_key = 0, np.int64(0)
    for c in range(n_classes):
        key = tail.key_offsets[c]
        for i in range(n_bits):
            key += tail.keys[c, i] if _has(values, i) else -tail.keys[c, i]
        if c == 0 or key > best_key:
            best, best_key = c, key
    for c in range(n_classes):
        gap = tail.key_offsets[best] - tail.key_offsets[c]
        for i in range(n_bits):
            difference = tail.keys[best, i] - tail.keys[c, i]
            if _has(known, i):
                gap += difference if _has(values, i) else -difference
            else:
                gap -= abs(difference)
        possible[c] = c == best or gap < 0
    return best


@njit(cache=True, nogil=True)
def possible_classes(tail, context, possible):  # type: ignore[no-untyped-def]
    """Which classes can win, given the known first-block bits; returns one that does if they are all.

    ``context`` is ``(blocks + 1, 2, words)``: for each block the bits that are known, and their
    values (0 where unknown). Row 0 is given, the others are filled in. Sound; and if only one class
    is possible for some known bits, it is the only one for any more known bits.
    """
    n_blocks = tail.starts.size - 2
    for layer in range(n_blocks):
        _block_bounds(tail, layer, context)
    return _rivals(context[n_blocks, 0], context[n_blocks, 1], tail, possible)


@njit(cache=True, nogil=True)
def known_first_bits(slacks, flips, falling, rising, context):  # type: ignore[no-untyped-def]
    """Row 0 of the context: first-block bits that at most ``flips`` further flips cannot change.

    ``falling`` and ``rising`` are ``(k,)``: how many of the flips still open lower or raise each slack.
    """
    context[0] = 0
    for j in range(slacks.size):
        bit = np.uint64(1) << np.uint64(j & 63)
        if slacks[j] - min(flips, falling[j]) >= 0:
            context[0, 0, j >> 6] |= bit
            context[0, 1, j >> 6] |= bit
        elif slacks[j] + min(flips, rising[j]) < 0:
            context[0, 0, j >> 6] |= bit
