"""One subset-minimal explanation by deletion, in the order asked for.

**Abductive.** Features are freed one after another as long as the class stays; a feature that cannot be
freed beside those freed before it is kept. The kept ones are a subset-minimal sufficient set, since freeing
less cannot change the class when freeing more does not. Where most features are irrelevant, asking one by one
wastes calls: prefixes of doubling length are tried, and the first feature that cannot be freed is found by
bisection, sharpened by the witness: the prefix up to the last feature that it changes already fails.

**Contrastive.** From any counterexample, one changed feature after another is held; if the class can still
change, the new counterexample's features replace the set.

A question left undecided counts as "cannot": the answer then still is sufficient (or contrastive), but is not
proved minimal, and says which features were in doubt.

Cost: at most 3n/2 questions, and about 2 log2(n/k) for each of k kept features where they are few.

References: Marques-Silva and Ignatiev, "Delivering trustworthy AI through formal XAI", 2022; Marques-Silva,
Janota and Belov, "Minimal sets over monotone predicates in Boolean formulae", 2013.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.explanations.oracle import Oracle, Reply, mask


@dataclass(frozen=True)
class Kept:
    """The features that could not be given up, and those of them for which a limit left it open."""

    features: frozenset[int]
    undecided: frozenset[int]


def kept_features(
    oracle: Oracle, order: Sequence[int], *, free: NDArray[np.bool_] | None = None, deadline: float = math.inf
) -> Kept:
    """A minimal sufficient set.

    Args:
        order: features in the order in which they are freed; those left out and not free are kept unasked.
        free: features already known to be free together, ``(n_features,)``; default none.
        deadline: ``time.monotonic()`` after which the features still waiting are kept, undecided.
    """
    may_change = np.zeros(oracle.n_features, dtype=np.bool_) if free is None else free.copy()
    waiting = [feature for feature in order if not may_change[feature]]
    undecided: set[int] = set()
    while waiting and time.monotonic() < deadline:
        n_freed, decided = _freeable_prefix(oracle, may_change, waiting)
        may_change[waiting[:n_freed]] = True
        if n_freed < len(waiting) and not decided:
            undecided.add(waiting[n_freed])
        waiting = waiting[n_freed + 1 :]
    return Kept(frozenset(np.flatnonzero(~may_change).tolist()), frozenset(undecided.union(waiting)))


def _freeable_prefix(oracle: Oracle, free: NDArray[np.bool_], waiting: list[int]) -> tuple[int, bool]:
    """How many of the waiting features can be freed at once, and whether the next one provably cannot."""
    freed, failing, decided, step = 0, len(waiting) + 1, True, 1
    while freed + 1 < failing:
        tried = min(freed + step, len(waiting)) if failing > len(waiting) else (freed + failing) // 2
        reply = oracle.counterexample(free | mask(free.size, waiting[:tried]))
        if reply.proved:
            freed, step = tried, 2 * step
        else:
            failing, decided = _shortest_failing(reply, waiting, tried), reply.decided
    return freed, decided


def _shortest_failing(reply: Reply, waiting: list[int], tried: int) -> int:
    """Length of the shortest prefix that holds the witness's changes, all of ``tried`` without a witness."""
    changed = reply.changed
    if changed is None:
        return tried
    return 1 + max(place for place in range(tried) if waiting[place] in changed)


@dataclass(frozen=True)
class Changed:
    """The features whose change suffices, the counterexample's flips, and the features left in doubt."""

    features: frozenset[int]
    flips: tuple[int, ...]
    undecided: frozenset[int]


def changed_features(oracle: Oracle, found: Reply, order: Sequence[int]) -> Changed:
    """A minimal set whose change can change the class, within the changes of a counterexample.

    Args:
        found: a reply with a counterexample.
        order: features in the order in which one tries to do without them.
    """
    assert found.changed is not None
    changed, flips = found.changed, found.flips
    undecided = set()
    for feature in order:
        if feature not in changed or len(changed) == 1:
            continue
        reply = oracle.counterexample(mask(oracle.n_features, changed - {feature}))
        if reply.changed is not None:
            changed, flips = reply.changed, reply.flips
        elif not reply.decided:
            undecided.add(feature)
    return Changed(changed, flips, frozenset(undecided & changed if len(changed) > 1 else ()))
