"""Whether the class of a state is sure: what lets the layered road forget all but a class.

Interval bounds through all blocks see which first-block bits are known. Where one flip is left, and bounds do not
settle the state, every single flip is tried: an undecided slack is then at the brink, so a flip's effect on it is
its sign's. Both depend on few bits, which many states share, so answers are kept in a cache by these bits; for that,
all levels count as flips, also those that are decided. Trying is given up where it rarely settles anything.

Cost: 1 to 5 us an answer that is not in the cache, and 20 ns a level where single flips are tried.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bnnverify.bits import pack
from bnnverify.engines.packed import PackedTail, possible_classes, score
from bnnverify.engines.residual import Residual

SLOTS = 1 << 17
FLIPS_AT_ONCE = 128
TRIED, SETTLED, TRIES_TO_JUDGE = 0, 1, 1024
UNKNOWN = -2


class Settler(NamedTuple):
    """The state at hand, what its flips do, and the cache of answers.

    ``context`` (as in :func:`bnnverify.engines.packed.possible_classes`) and ``signs`` ``(words,)`` describe the state:
    known bits with their values, and the signs of all slacks. ``slots`` ``(SLOTS, 2 * words)`` hold the bits of a
    question, ``winners`` ``(SLOTS,)`` its answer. ``plus`` and ``minus`` ``(m, words)`` are the slacks that a level's
    flip raises and lowers. ``stats`` counts tries of single flips, and those that settled a class. The other arrays
    are scratch.
    """

    context: NDArray[np.uint64]
    signs: NDArray[np.uint64]
    slots: NDArray[np.uint64]
    winners: NDArray[np.int64]
    plus: NDArray[np.uint64]
    minus: NDArray[np.uint64]
    stats: NDArray[np.int64]
    possible: NDArray[np.bool_]
    patterns: NDArray[np.uint64]
    scratch: NDArray[np.uint64]
    counts: NDArray[np.int64]
    keys: NDArray[np.int64]


def make_settler(residual: Residual, levels: NDArray[np.int64], tail: PackedTail) -> Settler:
    """A settler with an empty cache, for the items in the order of ``levels``."""
    words, columns = tail.signs.shape[1], residual.columns[levels]
    return Settler(
        context=np.zeros((len(residual.blocks) + 1, 2, words), dtype=np.uint64),
        signs=np.zeros(words, dtype=np.uint64),
        slots=np.zeros((SLOTS, 2 * words), dtype=np.uint64),
        winners=np.full(SLOTS, UNKNOWN, dtype=np.int64),
        plus=_words(columns > 0, words),
        minus=_words(columns < 0, words),
        stats=np.zeros(2, dtype=np.int64),
        possible=np.zeros(residual.classes.size, dtype=np.bool_),
        patterns=np.zeros((words, FLIPS_AT_ONCE), dtype=np.uint64),
        scratch=np.zeros((words, FLIPS_AT_ONCE), dtype=np.uint64),
        counts=np.zeros(FLIPS_AT_ONCE, dtype=np.int64),
        keys=np.zeros(FLIPS_AT_ONCE, dtype=np.int64),
    )


def _words(marks: NDArray[np.bool_], words: int) -> NDArray[np.uint64]:
    """Marks ``(m, k)`` packed to ``(m, words)``."""
    packed = pack(np.where(marks, 1, -1).astype(np.int8))
    return np.pad(packed, [(0, 0), (0, words - packed.shape[1])])


@njit(cache=True, nogil=True)
def sure_winner(affordable, tail, settler):  # type: ignore[no-untyped-def]
    """The class row of all inputs of the state at hand, or -1 where none is sure.

    Bounds see the values of known bits alone; where one flip is left, the signs of the others count as well.
    """
    slots, winners, context = settler.slots, settler.winners, settler.context
    words, single = context.shape[2], affordable == 1
    seen = settler.signs if single else context[0, 1]
    mixed = np.uint64(single)
    for w in range(words):
        mixed = (mixed ^ context[0, 0, w]) * np.uint64(0x9E3779B97F4A7C15)
        mixed = ((mixed >> np.uint64(31)) ^ mixed ^ seen[w]) * np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
    slot = (mixed & np.uint64(SLOTS // 2 - 1)) * np.uint64(2) + np.uint64(single)
    same = winners[slot] != UNKNOWN
    for w in range(words):
        same &= slots[slot, w] == context[0, 0, w] and slots[slot, words + w] == seen[w]
    if same:
        return winners[slot]
    for w in range(words):
        slots[slot, w], slots[slot, words + w] = context[0, 0, w], seen[w]
    winner = possible_classes(tail, context, settler.possible)
    winners[slot] = winner if settler.possible.sum() == 1 else np.int64(-1)
    if winners[slot] < 0 and single and _is_worth_trying(settler.stats):
        winners[slot] = _after_one_flip(tail, settler)
        settler.stats[TRIED] += 1
        settler.stats[SETTLED] += winners[slot] >= 0
    return winners[slot]


@njit(cache=True, nogil=True)
def _is_worth_trying(stats):  # type: ignore[no-untyped-def]
    """Whether single flips settle a fair share of the states, as far as is known."""
    return stats[TRIED] < TRIES_TO_JUDGE or 4 * stats[SETTLED] >= stats[TRIED]


@njit(cache=True, nogil=True)
def _after_one_flip(tail, settler):  # type: ignore[no-untyped-def]
    """The class row that stays whichever single level flips, or none; or -1. All levels are tried, for the cache."""
    signs, context, plus, minus, patterns = (
        settler.signs,
        settler.context,
        settler.plus,
        settler.minus,
        settler.patterns,
    )
    words, n, common = signs.size, 1, np.int64(-1)
    for w in range(words):
        patterns[w, 0] = signs[w]
    for level in range(plus.shape[0]):
        changed = np.uint64(0)
        for w in range(words):
            flips = ~context[0, 0, w] & ((signs[w] & minus[level, w]) | (~signs[w] & plus[level, w]))
            patterns[w, n] = signs[w] ^ flips
            changed |= flips
        n += changed != 0
        if n == FLIPS_AT_ONCE or level == plus.shape[0] - 1:
            common = _common_row(n, common, tail, settler)
            n = 0
            if common < 0:
                return common
    return common


@njit(cache=True, nogil=True)
def _common_row(n, common, tail, settler):  # type: ignore[no-untyped-def]
    """The class row of all the first n patterns, and of ``common`` unless that is -1; or -1."""
    if n == 0:
        return common
    score(settler.patterns, n, tail, settler.scratch, settler.counts, settler.keys)
    mask = np.uint64(tail.row_of_code.size - 1)
    for i in range(n):
        row = tail.row_of_code[np.uint64(settler.keys[i]) & mask]
        if common >= 0 and row != common:
            return np.int64(-1)
        common = row
    return common
