"""How likely a row's sum passes its threshold when each of its stored signs flips by itself with one probability.

Over known bits a row of n nonzero weights has ``agreeing`` terms +1 and n - agreeing terms -1. A flip turns the one
into the other, so the number of agreeing terms becomes Bin(agreeing, 1 - p) + Bin(n - agreeing, p): an exact
convolution. Rows have weights of their own, so given the bits below they are independent; this is where independence is
exact. A convolution's channel reads one kernel at many places, whose outputs are not independent of each other: a
channel is one *unit* with a joint law, found from the flips of its kernel.

Numbers are of two kinds. Exact ones are integers: with p = a/b the weights a and b - a of a flip and of none make the
law of n weights sum to b^n, and products of laws have the sum of their degrees. Floats are made from nonnegative
ones by sums and products alone, so r roundings on the way leave one within a factor (1 + 2^-53)^r of the value
(ends below ``DROPPED`` are forgotten, long before underflow); and whatever is forgotten makes laws lighter,
never heavier. So, less a relative ``r 2^-52``, floats are lower bounds. Upper bounds come only as 1 less the lower
bound of the complement. Cost of a law: product of its two windows, once for each (n, agreeing).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import comb, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError
from bnnverify.inference.reference import integer_sums
from bnnverify.network import Block, ConvBlock

DROPPED = 1e-60
MAX_KERNEL_SETS = 1 << 11
MAX_SUMS = 1 << 22

Number = Any
"""An exact integer, or a float that is a lower bound."""


@dataclass(frozen=True, eq=False)
class Masses:
    """A law on the integers: ``mass[i]`` is the probability of ``lowest + i``, or a lower bound of it."""

    lowest: int
    mass: NDArray[Any]

    def plus(self, other: Masses) -> Masses:
        """The law of the sum of two independent numbers."""
        return Masses(self.lowest + other.lowest, np.convolve(self.mass, other.mass)).trimmed()

    def times(self, n: int) -> Masses:
        """The law of the sum of n independent numbers like this one, by doubling."""
        if n == 0:
            return Masses(0, self.mass[:1] * 0 + 1)
        half = self.times(n // 2)
        return half.plus(half).plus(self) if n % 2 else half.plus(half)

    def trimmed(self) -> Masses:
        """Without the ends that are lighter than ``DROPPED``, where masses are floats."""
        if self.mass.dtype == object:
            return self
        kept = np.flatnonzero(self.mass >= DROPPED)
        if not kept.size:
            return Masses(self.lowest, np.zeros(1))
        return Masses(self.lowest + int(kept[0]), self.mass[kept[0] : kept[-1] + 1])

    def split(self, least: int) -> tuple[Number, Number]:
        """The probabilities of ``least`` or more and of less, each summed by itself."""
        at = min(max(least - self.lowest, 0), self.mass.size)
        return self.mass[at:].sum(), self.mass[:at].sum()

    def splits(self, first: int, last: int) -> NDArray[Any]:
        """``split`` at each of ``first..last``, ``(2, last - first + 1)``."""
        at = np.clip(np.arange(first, last + 1) - self.lowest, 0, self.mass.size)
        nothing = self.mass[:1] * 0
        reached = np.concatenate([np.cumsum(self.mass[::-1])[::-1], nothing])
        return np.stack([reached[at], np.concatenate([nothing, np.cumsum(self.mass)])[at]])


@dataclass(frozen=True, eq=False)
class Unit:
    """Outputs that read the same weights, most probable outcome first.

    Args:
        mass: ``(outcomes,)`` probabilities, descending.
        values: ``(outcomes, size)`` of +1/-1.
    """

    mass: list[Number]
    values: NDArray[np.int8]


class Tails:
    """Laws of rows whose weights flip with probability ``rate``.

    Args:
        rate: 0 to 1.
        exact: integers or floats, see the module.
    """

    def __init__(self, rate: Fraction, *, exact: bool) -> None:
        self.exact = exact
        self.flip: Number = rate.numerator if exact else float(rate)
        self.keep: Number = rate.denominator - rate.numerator if exact else float(1 - rate)
        self._binomials: dict[tuple[int, bool], Masses] = {}
        self._agreeing: dict[tuple[int, int], Masses] = {}
        self._bits: dict[tuple[int, int, int], tuple[Number, Number]] = {}
        self._tables: dict[Block, RowLaws] = {}
        self._latest: tuple[tuple[Block | ConvBlock, bytes], list[Unit]] | None = None

    @property
    def sound(self) -> bool:
        """Whether no weight ever flips."""
        return bool(self.flip == 0)

    def agreeing(self, n: int, agreeing: int) -> Masses:
        """How many of n terms agree after the flips, if ``agreeing`` did before."""
        key = (n, agreeing)
        if key not in self._agreeing:
            kept, turned = self._binomial(agreeing, True), self._binomial(n - agreeing, False)
            self._agreeing[key] = kept.plus(turned)
        return self._agreeing[key]

    def bit(self, n: int, agreeing: int, least: int) -> tuple[Number, Number]:
        """Probabilities that at least ``least`` of n terms agree after the flips, and that fewer do."""
        key = (n, agreeing, min(max(least, 0), n + 1))
        if key not in self._bits:
            self._bits[key] = self.agreeing(n, agreeing).split(least)
        return self._bits[key]

    def rows(self, block: Block) -> RowLaws:
        """The block's laws as a table, the same one at every call."""
        if block not in self._tables:
            self._tables[block] = RowLaws(self, block)
        return self._tables[block]

    def moved(self, terms: NDArray[np.int64]) -> Masses:
        """The law of the sum of ``terms`` after each has changed its sign with the rate's probability.

        Raises:
            UnsupportedError: if the sum has too many values to list.
        """
        reach = int(np.abs(terms).sum())
        if 2 * reach + 1 > MAX_SUMS:
            raise UnsupportedError(f"failure probability: a sum of {2 * reach + 1:,} values, at most {MAX_SUMS:,}")
        whole = self.flip + self.keep if self.exact else 1.0
        law = Masses(0, self._array([whole ** int(np.count_nonzero(terms == 0))]))
        for term in terms[terms != 0].tolist():
            low, high = (self.flip, self.keep) if term > 0 else (self.keep, self.flip)
            wider = self._array([0] * (law.mass.size + 2 * abs(term)))
            wider[: law.mass.size] += law.mass * low
            wider[2 * abs(term) :] += law.mass * high
            law = Masses(law.lowest - abs(term), wider).trimmed()
        return law

    def units(self, block: Block | ConvBlock, values: NDArray[np.int64]) -> list[Unit]:
        """The independent units of a block over the values ``(*shape)`` below it; those asked for last are kept."""
        asked = (block, values.tobytes())
        if self._latest is None or self._latest[0] != asked:
            self._latest = asked, self._made(block, values)
        return self._latest[1]

    def _made(self, block: Block | ConvBlock, values: NDArray[np.int64]) -> list[Unit]:
        if isinstance(block, ConvBlock):
            return [self._channel(block, values, channel) for channel in range(len(block.thresholds))]
        flat = values.reshape(-1)
        if np.all(np.abs(flat) == 1) and np.abs(block.weights).max() <= 1:
            return [self._neuron(*law) for law in self.bit_laws(block, flat)]
        return [self._row(row, t, flat) for row, t in zip(block.weights, block.thresholds.tolist(), strict=True)]

    def bit_laws(self, block: Block, bits: NDArray[np.int64]) -> list[tuple[Number, Number]]:
        """Of each neuron of a ternary block, the probabilities of +1 and of -1 over the bits ``(n_inputs,)``."""
        rows = rows_of(block)
        return [self.bit(*row) for row in zip(rows.sizes, rows.agreeing(bits).tolist(), rows.least, strict=True)]

    def _neuron(self, on: Number, off: Number) -> Unit:
        return self._unit([(on, (1,)), (off, (-1,))])

    def _row(self, row: NDArray[np.int8], threshold: int, values: NDArray[np.int64]) -> Unit:
        nonzero = row != 0
        return self._neuron(*self.moved(row[nonzero] * values[nonzero]).split(threshold))

    def _channel(self, block: ConvBlock, values: NDArray[np.int64], channel: int) -> Unit:
        """The joint law of a channel's outputs, from the sets of flips of its kernel, fewest first."""
        terms, threshold = _kernel_terms(block, values, channel), int(block.thresholds[channel])
        base, n = terms.sum(axis=1), terms.shape[1]
        found: dict[tuple[int, ...], Number] = {}
        for chosen in self._kernel_sets(n):
            sums = base - 2 * terms[:, list(chosen)].sum(axis=1)
            bits = tuple(np.where(sums >= threshold, 1, -1).tolist())
            found[bits] = found.get(bits, 0) + self._of_set(len(chosen), n)
        return self._unit([(mass, bits) for bits, mass in found.items()])

    def _of_set(self, n_flips: int, n: int) -> Number:
        """The probability that just these ``n_flips`` of n weights flip."""
        return prod([self.flip] * n_flips + [self.keep] * (n - n_flips))

    def _kernel_sets(self, n: int) -> list[tuple[int, ...]]:
        """The sets of flips that are listed: all of them, or as many sizes as the limit allows."""
        sets: list[tuple[int, ...]] = []
        for size in range(n + 1):
            if not self.exact and len(sets) + comb(n, size) > MAX_KERNEL_SETS:
                break
            sets += combinations(range(n), size)
        return sets

    def _unit(self, outcomes: list[tuple[Number, tuple[int, ...]]]) -> Unit:
        least = 1 if self.exact else DROPPED
        kept = sorted((o for o in outcomes if o[0] >= least), key=lambda o: -o[0]) or outcomes[:1]
        return Unit([mass for mass, _ in kept], np.array([bits for _, bits in kept], dtype=np.int8))

    def _binomial(self, n: int, kept: bool) -> Masses:
        """Bin(n, 1 - p) if ``kept``, else Bin(n, p)."""
        key = (n, kept)
        if key not in self._binomials:
            one = self._array([self.flip, self.keep] if kept else [self.keep, self.flip])
            self._binomials[key] = Masses(0, one).times(n)
        return self._binomials[key]

    def _array(self, numbers: list[Number]) -> NDArray[Any]:
        return np.array(numbers, dtype=object if self.exact else np.float64)


@dataclass(frozen=True, eq=False)
class Rows:
    """What a ternary block asks of its inputs: of ``sizes[j]`` terms at least ``least[j]`` must agree for +1."""

    weights: NDArray[np.int64]
    sizes: list[int]
    least: list[int]

    def agreeing(self, bits: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many terms of each row agree over ``bits``, ``(n_outputs,)``."""
        found: NDArray[np.int64] = (self.weights @ bits + self.sizes) // 2
        return found


@lru_cache(maxsize=16)
def rows_of(block: Block) -> Rows:
    sizes = block.fan_in().tolist()
    least = [(t + n + 1) // 2 for t, n in zip(block.thresholds.tolist(), sizes, strict=True)]
    return Rows(block.weights.astype(np.int64), sizes, least)


class RowLaws:
    """Laws of a block's bits over floats, looked up: a table by row and agreeing terms that fills as they occur."""

    def __init__(self, tails: Tails, block: Block) -> None:
        self._tails, self._rows = tails, rows_of(block)
        self._every = np.arange(len(self._rows.sizes))
        self._table = np.zeros((2, self._every.size, max(self._rows.sizes) + 1))

    def over(self, bits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probabilities of +1 and of -1 over the bits below, ``(2, n_outputs)``."""
        return self.at(self._every, self._rows.agreeing(bits))

    def least_over(self, bits: NDArray[np.int64], most_moved: int) -> NDArray[np.float64]:
        """Lower bounds of the same wherever at most 1, 2 ... of the bits differ; errors no likelier than none.

        ``(most_moved, 2, n_outputs)``.
        """
        agreeing, moved = self._rows.agreeing(bits), np.arange(1, most_moved + 1)[:, None]
        fewer, more = np.maximum(agreeing - moved, 0), np.minimum(agreeing + moved, self._rows.sizes)
        rows = np.tile(self._every, 2 * most_moved)
        laws = self.at(rows, np.concatenate([fewer.reshape(-1), more.reshape(-1)]))
        on, off = laws.reshape(2, 2, most_moved, -1)
        return np.ascontiguousarray(np.stack([on[0], off[1]], axis=1))

    def at(self, rows: NDArray[np.int64], agreeing: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same for single rows and numbers of agreeing terms, ``(2, n)``."""
        found = np.ascontiguousarray(self._table[:, rows, agreeing])
        missing = np.flatnonzero(found[0] + found[1] == 0)
        for i in missing.tolist():
            j, count = int(rows[i]), int(agreeing[i])
            found[:, i] = self._table[:, j, count] = self._tails.bit(self._rows.sizes[j], count, self._rows.least[j])
        return found


def _kernel_terms(block: ConvBlock, values: NDArray[np.int64], channel: int) -> NDArray[np.int64]:
    """What each nonzero weight of a channel adds at each place, ``(places, weights)``."""
    kernel = block.weights[channel].astype(np.int64)
    places = np.argwhere(kernel)
    single = np.zeros((len(places), *kernel.shape), dtype=np.int8)
    single[(np.arange(len(places)), *places.T)] = kernel[tuple(places.T)]
    if not len(places):
        height, width = block.output_shape(values.shape)[1:]
        return np.zeros((height * width, 0), dtype=np.int64)
    apart = ConvBlock(single, np.zeros(len(places), dtype=np.int64), block.stride, block.padding)
    terms: NDArray[np.int64] = integer_sums(apart, values[None])[0].reshape(len(places), -1).T
    return terms
