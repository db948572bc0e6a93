"""Necessary and relevant features: those in every abductive explanation, and those in some.

A feature is *necessary* iff changing it alone can change the class: one question each. It is *relevant* iff
some abductive explanation has it, which by duality is: iff some contrastive one has. That is decided by
enumeration aimed at the feature: only unexplored sets in which it is free are taken, and the explanations found serve
all features. When none is left, no contrastive explanation with the feature is missing: as a set of free
features it would contain no other one and have a counterexample, so nothing would have settled it.

Cost: n questions for all necessary features; relevance of one feature is in the second level of the
polynomial hierarchy in general, and takes as many explanations as stand in the way.

Reference: Huang, Cooper, Morgado, Planes and Marques-Silva, "Feature necessity and relevancy in ML classifier
explanations", 2023.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bnnverify.explanations.enumeration import minimal_explanation, settle
from bnnverify.explanations.oracle import Oracle, mask
from bnnverify.explanations.unexplored import Unexplored


@dataclass(frozen=True)
class Marked:
    """Features with a property, and those for which a limit left it open; the others provably lack it."""

    features: tuple[int, ...]
    undecided: tuple[int, ...] = ()


def necessary_features(oracle: Oracle) -> Marked:
    """The features that every abductive explanation contains."""
    direct = oracle.necessary()
    if direct is not None:
        return Marked(tuple(sorted(direct)))
    replies = [oracle.counterexample(mask(oracle.n_features, [feature])) for feature in range(oracle.n_features)]
    return Marked(
        tuple(feature for feature, reply in enumerate(replies) if reply.changed is not None),
        tuple(feature for feature, reply in enumerate(replies) if not reply.decided),
    )


def relevant_features(oracle: Oracle, order: Sequence[int], *, deadline: float = math.inf) -> Marked:
    """The features that some abductive explanation contains.

    Args:
        order: all features, in the order in which sets are minimized.
        deadline: ``time.monotonic()`` after which the features not yet settled are left undecided.
    """
    relevant: set[int] = set()
    undecided: set[int] = set()
    with Unexplored(oracle.n_features, large_first=False) as unexplored:
        for feature in order:
            if feature not in relevant and not _settle_feature(oracle, feature, order, unexplored, relevant, deadline):
                undecided.add(feature)
    return Marked(tuple(sorted(relevant)), tuple(sorted(undecided - relevant)))


def _settle_feature(
    oracle: Oracle,
    feature: int,
    order: Sequence[int],
    unexplored: Unexplored,
    relevant: set[int],
    deadline: float,
) -> bool:
    """Add explanations until one has the feature or none can; false if a limit came first."""
    others_first = [other for other in order if other != feature] + [feature]
    while feature not in relevant:
        if time.monotonic() > deadline:
            return False
        free = unexplored.some(including=[feature])
        if free is None:
            return True
        found = minimal_explanation(oracle, free, others_first)
        if found is None:
            return False
        settle(unexplored, found)
        relevant.update(found[1])
    return True
