"""Conditions on scores, as properties state them: several conjunctions of races between two classes, one must hold.

Scores are compared as the integers that :mod:`bnnverify.scores` makes of them, without the rank among ties: whether a
tie suffices is the race's own affair, and races of one conjunction need not agree on it. A condition is evaluated on
the sums of executed inputs, or written as rows over the last block of a lowered network, for a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bnnverify.network import Output
from bnnverify.presolve.rows import Longs, Rows
from bnnverify.presolve.system import System
from bnnverify.scores import score_keys


class Race(NamedTuple):
    """Class ``winner`` must reach a score of at least, or if ``strict`` above, that of ``loser``."""

    winner: int
    loser: int
    strict: bool


class Goal:
    """A condition on scores: one of several conjunctions of races.

    Args:
        alternatives: conjunctions, of which one must hold, at least one. An empty one holds always.
    """

    def __init__(self, output: Output, alternatives: Sequence[Sequence[Race]]) -> None:
        keys = score_keys(output)
        self._slopes, self._offsets = keys.slopes, keys.offsets
        self._n_ranks = keys.classes.size
        races = [race for races in alternatives for race in races]
        self._ends = np.cumsum([0, *(len(races) for races in alternatives)])
        self._winners = np.array([race.winner for race in races], dtype=np.intp)
        self._losers = np.array([race.loser for race in races], dtype=np.intp)
        self._is_strict = np.array([race.strict for race in races], dtype=np.int64)
        self._holds_always = any(not races for races in alternatives)

    def leads(self, sums: Longs) -> Longs:
        """``(batch,)`` at least 0 exactly where the goal is met, from the engine's sums ``(batch, n_classes)``."""
        if self._holds_always:
            return np.zeros(len(sums), dtype=np.int64)
        scores = (sums * self._slopes + self._offsets) // self._n_ranks
        margins = scores[:, self._winners] - scores[:, self._losers] - self._is_strict
        found: Longs = np.minimum.reduceat(margins, self._ends[:-1], axis=1).max(axis=1)
        return found

    def rows(self, system: System) -> list[Rows]:
        """Per alternative, rows over the last block, at least 0 where its races are won.

        Args:
            system: lowered from the network, with the keys of all its classes in their order.
        """
        scores, bases = system.keys // self._n_ranks, system.bases // self._n_ranks
        weights = scores[self._winners] - scores[self._losers]
        constants = bases[self._winners] - bases[self._losers] - self._is_strict
        return [Rows.of_dense(weights[start:end], constants[start:end]) for start, end in pairwise(self._ends)]
