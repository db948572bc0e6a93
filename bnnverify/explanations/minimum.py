"""Minimum-size explanations by implicit hitting sets, which give bounds where time runs out.

An abductive explanation hits every contrastive one. So a smallest set that hits the contrastive ones found
so far is no larger than a smallest abductive explanation, and if it is sufficient, it is one. If it is not, the
counterexample is a new contrastive explanation to hit. The dual holds with the names exchanged: a smallest
set that hits all abductive explanations found is contrastive, or its complement yields a new one. Smallest
hitting sets come from a core-guided MaxSAT solver, incrementally.

Cost: NP-hard; a question and a hitting set each round. The limit is looked at between rounds.

References: Reiter, "A theory of diagnosis from first principles", 1987; Ignatiev, Previti, Liffiton and
Marques-Silva, "Smallest MUS extraction with minimal hitting set dualization", 2015.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bnnverify.explanations.deletion import Changed, Kept, changed_features, kept_features
from bnnverify.explanations.oracle import Oracle, Reply, mask

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Bounds:
    """The best set known, a lower bound of the least size, and the flips of a counterexample, if contrastive."""

    features: frozenset[int]
    lower: int
    flips: tuple[int, ...] = ()

    @property
    def proved(self) -> bool:
        return self.lower == len(self.features)


class _HittingSets:
    """Smallest sets that hit all of the given sets, which may grow in number."""

    def __init__(self) -> None:
        from pysat.examples.hitman import Hitman

        self._solver = Hitman(solver="g4")

    def add(self, features: frozenset[int]) -> None:
        self._solver.hit(sorted(features))

    def smallest(self) -> frozenset[int]:
        return frozenset(self._solver.get() or ())

    def __enter__(self) -> _HittingSets:
        return self

    def __exit__(self, *_: object) -> None:
        self._solver.delete()


def minimum_sufficient(
    oracle: Oracle, order: Sequence[int], first: Kept, *, deadline: float = math.inf, report: Progress | None = None
) -> Bounds:
    """A smallest sufficient set, or bounds.

    Args:
        order: features in the order in which sets are minimized (see :mod:`bnnverify.explanations.deletion`).
        first: a sufficient set to start from.
        deadline: ``time.monotonic()`` after which no further round starts.
        report: called with the bounds ``(lower, upper)`` after each round.
    """
    best, lower = first.features, 0
    with _HittingSets() as hitting:
        while lower < len(best) and time.monotonic() < deadline:
            candidate = hitting.smallest()
            lower = len(candidate)
            reply = oracle.counterexample(~mask(oracle.n_features, candidate))
            if reply.proved:
                best = candidate
                break
            if reply.changed is None:
                break
            _hit_apart(oracle, reply, candidate, order, hitting)
            if report:
                report(lower, len(best))
    return Bounds(best, lower)


def _hit_apart(
    oracle: Oracle, reply: Reply, candidate: frozenset[int], order: Sequence[int], hitting: _HittingSets
) -> None:
    """Add the counterexample, minimized, and further ones that share no feature with it, while there are any."""
    fixed = candidate
    while reply.changed is not None:
        changed = changed_features(oracle, reply, order).features
        hitting.add(changed)
        fixed = fixed | changed
        reply = oracle.counterexample(~mask(oracle.n_features, fixed))


def minimum_contrastive(
    oracle: Oracle, order: Sequence[int], first: Changed, *, deadline: float = math.inf, report: Progress | None = None
) -> Bounds:
    """A smallest set of features whose change can change the class, or bounds.

    ``first`` is one such set; the other arguments are those of :func:`minimum_sufficient`.
    """
    best, lower = first, 1
    with _HittingSets() as hitting:
        while lower < len(best.features) and time.monotonic() < deadline:
            candidate = hitting.smallest()
            lower = max(lower, len(candidate))
            reply = oracle.counterexample(mask(oracle.n_features, candidate))
            if reply.changed is not None:
                best = Changed(reply.changed, reply.flips, frozenset())
                break
            if not reply.decided:
                break
            hitting.add(kept_features(oracle, order, free=mask(oracle.n_features, candidate)).features)
            if report:
                report(lower, len(best.features))
    return Bounds(best.features, lower, best.flips)
