"""SEC-DED over words: one wrong bit is corrected, two are detected and stay, more may be miscorrected.

The code is Hamming's with an overall parity bit (Hamming, 1950): data bit d has the d-th number that is no power of
two as its column, check bit k has 2^k, and the parity bit 0. Words are cut from the bank row after row; the last may
be shorter. Check bits are cells like the others: they hold what the data demands, and they fail. The decoder works on
the syndromes of the few words that have errors. Cost: a few sorts of the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.faults.cells import Cells, Contents, Positions, toggled
from bnnverify.faults.model import FaultModel, own, probability

LONGEST_WORD = 1 << 16


@dataclass(frozen=True)
class SecDedCode:
    """The code for words of ``data_bits``.

    >>> [SecDedCode(d).check_bits for d in (4, 8, 16, 32, 64, 128)]
    [4, 5, 6, 7, 8, 9]
    """

    data_bits: int

    def __post_init__(self) -> None:
        if int(self.data_bits) != self.data_bits or not 1 <= self.data_bits <= LONGEST_WORD:
            raise UsageError(f"SEC-DED words of {self.data_bits!r} bits: expected 1..{LONGEST_WORD} data bits")
        object.__setattr__(self, "data_bits", int(self.data_bits))

    @cached_property
    def check_bits(self) -> int:
        """Check bits a word, the parity bit included."""
        n_hamming = 2
        while (1 << n_hamming) < self.data_bits + n_hamming + 1:
            n_hamming += 1
        return n_hamming + 1

    @property
    def word_bits(self) -> int:
        return self.data_bits + self.check_bits

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """Column of the parity-check matrix of each bit as a number: data, check bits, parity; ``(word_bits,)``."""
        numbers = np.arange(3, self.data_bits + self.check_bits + 1)
        data = numbers[numbers & (numbers - 1) != 0][: self.data_bits]
        return np.concatenate([data, 1 << np.arange(self.check_bits - 1), [0]]).astype(np.int64)

    @cached_property
    def place_of(self) -> NDArray[np.int64]:
        """Which bit has a column, ``(2^(check_bits - 1),)``; -1 where none has."""
        places = np.full(1 << (self.check_bits - 1), -1, dtype=np.int64)
        places[self.columns] = np.arange(self.word_bits)
        return places

    def checks(self, data: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Check and parity bits ``(words, check_bits)`` of data ``(words, data_bits)``."""
        syndromes = np.bitwise_xor.reduce(np.where(data, self.columns[: self.data_bits], 0), axis=1)
        hamming = (syndromes[:, None] >> np.arange(self.check_bits - 1) & 1).astype(np.bool_)
        parity = np.bitwise_xor.reduce(data, axis=1) ^ np.bitwise_xor.reduce(hamming, axis=1)
        return np.concatenate([hamming, parity[:, None]], axis=1)

    def decode(self, wrong: Positions) -> Positions:
        """What stays or becomes wrong in words of ``word_bits``, given ascending positions of wrong bits."""
        if not wrong.size:
            return wrong
        words, starts, counts = np.unique(wrong // self.word_bits, return_index=True, return_counts=True)
        syndromes = np.bitwise_xor.reduceat(self.columns[wrong % self.word_bits], starts)
        corrected = np.where(counts % 2 == 1, self.place_of[syndromes], -1)
        done = corrected >= 0
        return toggled(wrong, words[done] * self.word_bits + corrected[done])

    def word_failure(self, p: float) -> float:
        """Probability that a word has more errors than can be corrected, every cell failing with ``p``."""
        n = self.word_bits
        return sum(_binomial(n, k, p) for k in range(2, n + 1))

    def residual_bounds(self, p: float) -> tuple[float, float]:
        """Least and greatest error rate of a data bit after decoding, every cell failing with ``p``.

        An even number k of errors is never touched by the decoder, so a data bit stays wrong with probability k /
        word_bits; of an odd number from 3 the decoder changes at most one bit, for better or worse. So the bounds
        agree to the order p^2.
        """
        probability("bit-error rate", p)
        n, most = self.word_bits, 1 / self.data_bits
        low = high = 0.0
        for k in range(2, n + 1):
            change = most if k % 2 else 0.0
            low += _binomial(n, k, p) * max(0.0, k / n - change)
            high += _binomial(n, k, p) * min(1.0, k / n + change)
        return low, high


def _binomial(n: int, k: int, p: float) -> float:
    if p in (0, 1):
        return float(k == n * p)
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(p) + (n - k) * log1p(-p))


@dataclass(frozen=True)
class SecDed(FaultModel):
    """Errors of ``model`` in data and check cells, as the decoder leaves them.

    Args:
        model: what strikes the cells of the extended words.
        data_bits: data bits a word.
    """

    model: FaultModel
    data_bits: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", own(self.model))
        object.__setattr__(self, "data_bits", SecDedCode(self.data_bits).data_bits)

    @cached_property
    def code(self) -> SecDedCode:
        return SecDedCode(self.data_bits)

    @property
    def ber(self) -> float | None:
        """The rate of the cells, before correction."""
        return self.model.ber

    def parts(self) -> tuple[FaultModel, ...]:
        return (self.model,)

    def check(self, banks: Sequence[Cells]) -> None:
        self.model.check([extended(cells, self.code) for cells in banks])

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        code = self.code
        wrong = self.model(extended(cells, code), rng)
        word, bit = np.divmod(wrong, code.word_bits)
        present = (bit >= code.data_bits) | (word * code.data_bits + bit < cells.size)
        word, bit = np.divmod(code.decode(wrong[present]), code.word_bits)
        data = (word * code.data_bits + bit)[bit < code.data_bits]
        return data[data < cells.size]


def extended(cells: Cells, code: SecDedCode) -> Cells:
    """The bank as words of data and check bits, a word a row."""

    def ones(asked: Positions) -> Contents:
        word, bit = np.divmod(asked, code.word_bits)
        found = np.zeros(asked.size, dtype=np.bool_)
        is_data = bit < code.data_bits
        found[is_data] = _padded(cells, word[is_data] * code.data_bits + bit[is_data])
        words, which = np.unique(word[~is_data], return_inverse=True)
        whole = _padded(cells, (words[:, None] * code.data_bits + np.arange(code.data_bits)).reshape(-1))
        checks = code.checks(whole.reshape(-1, code.data_bits))
        found[~is_data] = checks[which, bit[~is_data] - code.data_bits]
        return found

    other = None if cells.of is None else lambda network: extended(cells.of(network), code)  # type: ignore[misc]
    return Cells(cells.target, cells.layer, -(-cells.size // code.data_bits), code.word_bits, ones, other)


def _padded(cells: Cells, asked: Positions) -> Contents:
    """Contents, 0 behind the last cell."""
    found = np.zeros(asked.size, dtype=np.bool_)
    inside = asked < cells.size
    found[inside] = cells.ones(asked[inside])
    return found
