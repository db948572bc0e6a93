"""The output layer of a question about flips: which class is to win, and what flips in the classes' rows do for it.

A flip in a class's row moves its integer key by twice its slope, so a class has one counter: the winner is raised
and its rivals are lowered, as nothing else helps. Terms can run out before a key is beaten, so a row says that no
class's sum is moved past its number of weights. Without a budget, keys are simply as high, or low, as they get.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnverify.network import Output
from bnnverify.presolve.lower import Terms as Weights
from bnnverify.scores import score_keys
from bnnverify.weightfaults.places import Longs, Mask
from bnnverify.weightfaults.values import Values, affine
from bnnverify.weightfaults.wiring import Terms, Wiring, joined

NO_LIMIT = 1 << 30


@dataclass(frozen=True, eq=False)
class Target:
    """What flips are to achieve: that one of ``winners`` beats all ``rivals`` in the order of ties."""

    winners: tuple[int, ...]
    rivals: tuple[int, ...]
    order: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Winning:
    """What is written for the output layer.

    Args:
        allowed: ``(classes,)`` the rows that may be struck.
        budget: the most flips, or None where there is no limit.
    """

    wiring: Wiring
    output: Output
    allowed: Mask
    target: Target
    budget: int | None

    def add(self, values: Values) -> tuple[Longs, Longs]:
        """Require that a winner beats all rivals; the variables that raise and that lower each class's sum."""
        keys = score_keys(self.output, self.target.order)
        row, column = np.nonzero(self.output.weights)
        signs = self.output.weights[row, column].astype(np.int64)
        sums, constants = affine(Weights(row, column, signs, np.zeros(keys.slopes.size, np.int64), 0), values)
        if self.budget is None:
            sums, constants = self._at_best(sums, constants, keys.slopes)
        terms = Terms(sums.row, keys.slopes[sums.row] * sums.weight, sums.literal)
        counters = self._counters(sums, constants, keys.slopes)
        strikes = {c: _of_row(counter, 2 * abs(int(keys.slopes[c]))) for c, counter in counters.items()}
        self._duels(terms, keys.slopes * constants + keys.offsets, strikes)
        return self._by_way(counters, keys.slopes)

    def _duels(self, terms: Terms, constants: Longs, strikes: dict[int, Terms]) -> None:
        """One variable for each winner, which implies that it beats every rival."""
        wins = self.wiring.variables(len(self.target.winners))
        for c, winner in zip(self.target.winners, wins, strict=True):
            for d in self.target.rivals:
                lead = joined(*(_key(terms, k, sign) for k, sign in ((c, 1), (d, -1))))
                lead = joined(lead, *(strikes[k] for k in (c, d) if k in strikes))
                beats = self.wiring.variables(1)
                self.wiring.add_rows(lead, constants[[c]] - constants[[d]] - 1, beats)
                self.wiring.add_clause([-winner, int(beats[0])])
        self.wiring.add_clause(wins)

    def _sides(self, slopes: Longs) -> Longs:
        """Whether flips are to raise or to lower each class's sum, 0 where neither helps."""
        wins = np.isin(np.arange(slopes.size), self.target.winners)
        return np.asarray(np.where(wins, 1, -1) * np.sign(slopes))

    def _reach(self) -> Longs:
        return np.asarray(np.abs(self.output.weights).sum(axis=1, dtype=np.int64))

    def _at_best(self, sums: Terms, constants: Longs, slopes: Longs) -> tuple[Terms, Longs]:
        """Sums of the classes with those that may be struck at their limit: the winners' best, the rivals' worst."""
        kept = ~self.allowed[sums.row]
        terms = Terms(sums.row[kept], sums.weight[kept], sums.literal[kept])
        return terms, np.where(self.allowed, self._sides(slopes) * self._reach(), constants)

    def _counters(self, sums: Terms, constants: Longs, slopes: Longs) -> dict[int, Longs]:
        """A counter of flips for each class that may be struck, which does not go past its last term."""
        sides, reach = self._sides(slopes), self._reach()
        counters: dict[int, Longs] = {}
        if self.budget is None:
            return counters
        for c in np.flatnonzero(self.allowed & (sides != 0)).tolist():
            counters[c] = self.wiring.counter(np.minimum(reach[[c]], self.budget))[0]
            own = joined(_key(sums, c, -int(sides[c])), _of_row(counters[c], -2))
            self.wiring.add_rows(own, reach[[c]] - sides[c] * constants[[c]], np.zeros(1, dtype=np.int64))
        return counters

    def _by_way(self, counters: dict[int, Longs], slopes: Longs) -> tuple[Longs, Longs]:
        """The counters as tables ``(classes, most)``, padded by 0: those that raise sums, and those that lower them."""
        most = max((counter.size for counter in counters.values()), default=0)
        up, down = np.zeros((2, slopes.size, most), dtype=np.int64)
        for c, counter in counters.items():
            (up if self._sides(slopes)[c] > 0 else down)[c, : counter.size] = counter
        return up, down


def _key(terms: Terms, row: int, sign: int) -> Terms:
    """The terms of one row, as row 0, with a sign."""
    own = terms.row == row
    return Terms(np.zeros(np.count_nonzero(own), dtype=np.int64), sign * terms.weight[own], terms.literal[own])


def _of_row(counter: Longs, weight: int) -> Terms:
    """A counter's variables as terms of row 0."""
    return Terms(np.zeros(counter.size, dtype=np.int64), np.full(counter.size, weight, dtype=np.int64), counter)
