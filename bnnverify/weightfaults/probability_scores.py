"""Who wins once the weights of the output layer may flip: given the last hidden bits, and given only their laws.

Given the last hidden bits the sums of the classes are independent, as each class has a row of its own. So the
probability that a class wins is exact: a sum over its keys, of the key's probability times those that each other
class's is lower (``wins``).

Given only independent laws of the last hidden bits, which is what is known once the bits below them are, classes
are *not* independent: they read the same bits. One class against another still is one sum of independent terms, so the
probability that class c beats the input's class is exact (``Duels``); the probability that any does lies between
the greatest of these and their sum (Boole, Bonferroni). It needs scales of one size, which put the terms on
one lattice. Cost: ``wins`` classes^2 x flips; ``Duels`` classes x hidden x width of the sum.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Output
from bnnverify.scores import ScoreKeys
from bnnverify.weightfaults.tails import Masses, Number, Tails

END_MASS = 1e-24
FARTHEST = 1 << 40


def wins(tails: Tails, output: Output, keys: ScoreKeys, bits: NDArray[np.int64]) -> list[Number]:
    """The probability that each class wins, given the last hidden bits ``(n_hidden,)``."""
    laws = [_keys_of(tails, output, keys, c, bits) for c in range(output.n_classes)]
    below = [np.concatenate([mass[:1] * 0, np.cumsum(mass)]) for _, mass in laws]
    found = []
    for c, (own, mass) in enumerate(laws):
        winning = mass
        for rival, (theirs, _) in enumerate(laws):
            if rival != c:
                winning = winning * below[rival][np.searchsorted(theirs, own)]
        found.append(winning.sum())
    return found


def _keys_of(
    tails: Tails, output: Output, keys: ScoreKeys, c: int, bits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The keys that a class can have, ascending, and their probabilities."""
    row = output.weights[c].astype(np.int64)
    n = int(np.abs(row).sum())
    law = tails.agreeing(n, (n + int(row @ bits)) // 2)
    sums = 2 * (law.lowest + np.arange(law.mass.size, dtype=np.int64)) - n
    found = keys.slopes[c] * sums + keys.offsets[c]
    order = np.argsort(found, kind="stable")
    return found[order], law.mass[order]


class Duels:
    """The input's class against each other one, over independent last hidden bits.

    Args:
        tails: of the output layer, over floats.
        label: the class that is to stay.
    """

    def __init__(self, tails: Tails, output: Output, keys: ScoreKeys, label: int) -> None:
        self._label = label
        self._signed = np.ascontiguousarray(output.weights * np.sign(keys.slopes)[:, None].astype(np.int8))
        slope = int(abs(keys.slopes[label]))
        offsets = keys.offsets.tolist()
        least = [-((offsets[label] - offset) // slope) for offset in offsets]
        self._least = np.clip(np.array(least, dtype=object), -FARTHEST, FARTHEST).astype(np.int64)
        self._steps = _steps(float(tails.flip), float(tails.keep))
        self._alike = np.array([self._law_where_alike(c) for c in range(output.n_classes)])

    def _law_where_alike(self, c: int) -> NDArray[np.float64]:
        """What the columns add that both classes weigh alike, whatever the bits: how probably at least k, and less.

        ``(2, 4 n + 2)``, k from -2 n to 2 n + 1.
        """
        own, other = self._signed[self._label], self._signed[c]
        alike = int(np.count_nonzero((own == other) & (own != 0)))
        law = Masses(-2, self._steps[2, 2, 0]).times(alike)
        return law.splits(-2 * own.size, 2 * own.size + 1)

    @staticmethod
    def possible(keys: ScoreKeys) -> bool:
        """Whether all scales are of one size other than 0."""
        sizes = set(np.abs(keys.slopes).tolist())
        return len(sizes) == 1 and 0 not in sizes

    def outcomes(self, laws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The probabilities that each class loses and that it beats the input's, ``(n_classes,)`` each.

        Args:
            laws: probabilities of +1 and of -1 of each hidden bit, ``(2, n_hidden)``.
        """
        return duels(self._signed, laws, laws, self._steps, self._alike, self._label, self._least)

    def least_kept(self, low: NDArray[np.float64]) -> NDArray[np.float64]:
        """At least how probable it is that each class loses, from lower bounds of laws, worse and worse ones.

        What they leave open goes against the input's class; errors must be no likelier than none.

        Args:
            low: ``(n, 2, n_hidden)``.

        Returns:
            ``(n, n_classes)``, zeros once nothing can be said of the classes together.
        """
        return worse_duels(self._signed, low, self._steps, self._alike, self._label, self._least)


def _steps(flip: float, keep: float) -> NDArray[np.float64]:
    """Law of ``(a - b) h`` for weights a, b in -1, 0, 1 that may flip and h = -1, +1: ``(3, 3, 2, 5)``, from -2."""
    steps = np.zeros((3, 3, 2, 5))
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            for side, h in enumerate((-1, 1)):
                for turned_a, mass_a in ((a, keep), (-a, flip)) if a else ((0, 1.0),):
                    for turned_b, mass_b in ((b, keep), (-b, flip)) if b else ((0, 1.0),):
                        steps[a + 1, b + 1, side, (turned_a - turned_b) * h + 2] += mass_a * mass_b
    return steps


@nb.njit(cache=True, nogil=True)
def duels(
    signed: NDArray[np.int8],
    upward: NDArray[np.float64],
    downward: NDArray[np.float64],
    steps: NDArray[np.float64],
    alike: NDArray[np.float64],
    label: int,
    least: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each class c, how probable ``sum_j (w_label,j - w_c,j) h_j >= least[c]`` is, and how probable it is not."""
    n_classes, n = signed.shape
    reached, missed = np.zeros(n_classes), np.zeros(n_classes)
    reached[label] = 1.0
    law, wider = np.zeros(4 * n + 9), np.zeros(4 * n + 9)
    for c in range(n_classes):
        if c == label:
            continue
        low, high, middle = 2 * n + 4, 2 * n + 5, 2 * n + 4
        law[low] = 1.0
        for j in range(n):
            if signed[label, j] == signed[c, j]:
                continue
            at = steps[signed[label, j] + 1, signed[c, j] + 1]
            law_of_bit = upward if signed[label, j] > signed[c, j] else downward
            wider[low - 2 : high + 2] = 0.0
            for move in range(5):
                mass = law_of_bit[1, j] * at[0, move] + law_of_bit[0, j] * at[1, move]
                if mass > 0.0:
                    for i in range(low, high):
                        wider[i + move - 2] += law[i] * mass
            low, high = low - 2, high + 2
            while low < high - 1 and wider[low] < END_MASS:
                low += 1
            while high > low + 1 and wider[high - 1] < END_MASS:
                high -= 1
            law, wider = wider, law
        for i in range(low, high):
            missing = min(max(least[c] - (i - middle), -2 * n), 2 * n + 1)
            reached[c] += law[i] * alike[c, 0, missing + 2 * n]
            missed[c] += law[i] * alike[c, 1, missing + 2 * n]
    return reached, missed


@nb.njit(cache=True, nogil=True)
def worse_duels(
    signed: NDArray[np.int8],
    low: NDArray[np.float64],
    steps: NDArray[np.float64],
    alike: NDArray[np.float64],
    label: int,
    least: NDArray[np.int64],
) -> NDArray[np.float64]:
    """``duels`` where each bit is as unlikely to agree with the input's class as its bounds allow."""
    n_classes, n = signed.shape
    found = np.zeros((len(low), n_classes))
    upward, downward = np.zeros((2, n)), np.zeros((2, n))
    for m in range(len(low)):
        upward[0], upward[1] = low[m, 0], 1 - low[m, 0]
        downward[0], downward[1] = 1 - low[m, 1], low[m, 1]
        kept = duels(signed, upward, downward, steps, alike, label, least)[0]
        if kept.sum() <= n_classes - 1:
            break
        found[m] = kept
    return found
