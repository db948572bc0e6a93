"""All abductive and contrastive explanations, each once, as they are found.

A set of free features that no explanation settles yet is taken from the SAT solver of
:mod:`bnnverify.explanations.unexplored`. If it has a counterexample, its changes shrink to a contrastive
explanation; if it has none, more features are freed as long as there is none, and the rest is an abductive
one. Either is new and settles the set. When nothing is unexplored, both lists are complete, and each holds exactly
the minimal hitting sets of the other.

Cost: the number of both kinds together can be exponential; between two explanations lie one SAT call and the
questions of one deletion.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bnnverify.explanations.deletion import changed_features, kept_features
from bnnverify.explanations.oracle import Oracle
from bnnverify.explanations.results import Kind
from bnnverify.explanations.unexplored import Unexplored

Found = tuple[Kind, frozenset[int]]


def explanations(
    oracle: Oracle,
    order: Sequence[int],
    *,
    first: Kind = Kind.CXP,
    known: Iterable[Found] = (),
) -> Generator[Found, None, bool]:
    """Yield every abductive and contrastive explanation once.

    Args:
        order: all features, in the order in which sets are minimized.
        first: the kind to look for first, ``Kind.AXP`` or ``Kind.CXP``; the other comes along as needed.
        known: explanations of an earlier run, which are not repeated; the run goes on from there.

    Returns:
        Through ``StopIteration.value`` (or ``yield from``): whether the lists are complete. They are not if
        a question was left undecided.
    """
    with Unexplored(oracle.n_features, large_first=first is Kind.CXP) as unexplored:
        for kind, features in known:
            settle(unexplored, (kind, features))
        while (free := unexplored.some()) is not None:
            found = minimal_explanation(oracle, free, order)
            if found is None:
                return False
            settle(unexplored, found)
            yield found
    return True


def settle(unexplored: Unexplored, found: Found) -> None:
    """Strike out what an explanation settles."""
    kind, features = found
    if kind is Kind.CXP:
        unexplored.settle_contrastive(features)
    else:
        unexplored.settle_abductive(features)


def minimal_explanation(oracle: Oracle, free: NDArray[np.bool_], order: Sequence[int]) -> Found | None:
    """The explanation on whose side a set of free features lies; None where a question was left undecided."""
    reply = oracle.counterexample(free)
    if reply.changed is not None:
        changed = changed_features(oracle, reply, order)
        return None if changed.undecided else (Kind.CXP, changed.features)
    if not reply.decided:
        return None
    kept = kept_features(oracle, order, free=free)
    return None if kept.undecided else (Kind.AXP, kept.features)
