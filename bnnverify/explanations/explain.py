"""One explanation of a kind, over any oracle.

The smallest contrastive explanation is asked of the oracle itself where it can find nearest counterexamples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnnverify.explanations.deletion import Changed, changed_features, kept_features
from bnnverify.explanations.minimum import Progress, minimum_contrastive, minimum_sufficient
from bnnverify.explanations.oracle import Calls, Nearest, Oracle
from bnnverify.explanations.results import Explanation, Kind


def explanation(
    oracle: Oracle,
    kind: Kind,
    *,
    order: Sequence[int] | None = None,
    timeout: float | None = None,
    report: Progress | None = None,
) -> Explanation:
    """One abductive or contrastive explanation, subset-minimal or of least size.

    Args:
        oracle: decides whether the class can change when some features may.
        kind: which explanation.
        order: all features, those that one would leave out of the explanation first; default as numbered,
            but an oracle that knows an abductive explanation without asking then goes by an order of its own.
        timeout: seconds after which least sizes become bounds, and abductive explanations keep, undecided,
            the features not yet asked about.
        report: called with ``(lower, upper)`` whenever the search for a least size knows more.

    Complexity:
        At most 3n/2 + 1 questions for ``AXP`` and ``CXP``; least size is NP-hard.
    """
    start, calls = time.monotonic(), Calls(oracle)
    search = _Search(
        calls,
        list(range(oracle.n_features)) if order is None else list(order),
        math.inf if timeout is None else start + timeout,
        report,
        order is None,
    )
    found = _SOLVERS[kind](search)
    return replace(found, oracle_calls=calls.made, seconds=time.monotonic() - start)


@dataclass(frozen=True)
class _Search:
    """What every kind needs: the oracle, the order of features, the limit, whom to tell, whether any order will do."""

    oracle: Oracle
    order: list[int]
    deadline: float
    report: Progress | None
    any_order: bool


def _sufficient(search: _Search) -> Explanation:
    direct = search.oracle.sufficient() if search.any_order else None
    if direct is not None:
        return Explanation(Kind.AXP, tuple(sorted(direct)), minimal=True, minimum=not direct)
    kept = kept_features(search.oracle, search.order, deadline=search.deadline)
    return Explanation(
        Kind.AXP,
        tuple(sorted(kept.features)),
        minimal=not kept.undecided,
        minimum=not kept.features,
        undecided=tuple(sorted(kept.undecided)),
    )


def _least_sufficient(search: _Search) -> Explanation:
    kept = kept_features(search.oracle, search.order, deadline=search.deadline)
    least = minimum_sufficient(search.oracle, search.order, kept, deadline=search.deadline, report=search.report)
    undecided = () if least.proved else tuple(sorted(kept.undecided))
    return Explanation(
        Kind.MIN_AXP,
        tuple(sorted(least.features)),
        minimal=not undecided,
        minimum=least.proved,
        lower=least.lower,
        undecided=undecided,
    )


def _contrastive(search: _Search, kind: Kind = Kind.CXP) -> Explanation:
    nearest = search.oracle.nearest()
    if nearest is not None:
        return replace(_nearest(nearest), kind=kind)
    reply = search.oracle.counterexample(np.ones(search.oracle.n_features, dtype=np.bool_))
    if reply.changed is None:
        return Explanation(kind, None, minimal=reply.decided, minimum=reply.decided)
    return _as_explanation(kind, changed_features(search.oracle, reply, search.order), 1)


def _as_explanation(kind: Kind, changed: Changed, lower: int) -> Explanation:
    minimum = len(changed.features) == lower
    undecided = () if minimum else tuple(sorted(changed.undecided))
    return Explanation(
        kind,
        tuple(sorted(changed.features)),
        minimal=not undecided,
        minimum=minimum,
        lower=lower,
        undecided=undecided,
        flips=changed.flips,
    )


def _least_contrastive(search: _Search) -> Explanation:
    found = _contrastive(search, Kind.MIN_CXP)
    if found.features is None or found.minimum:
        return found
    first = Changed(frozenset(found.features), found.flips, frozenset(found.undecided))
    least = minimum_contrastive(search.oracle, search.order, first, deadline=search.deadline, report=search.report)
    return _as_explanation(Kind.MIN_CXP, replace(first, features=least.features, flips=least.flips), least.lower)


def _nearest(nearest: Nearest) -> Explanation:
    reply = nearest.reply
    if reply.changed is None:
        return Explanation(Kind.MIN_CXP, None, minimal=reply.decided, minimum=reply.decided, lower=nearest.lower)
    minimum = nearest.proved
    undecided = () if minimum else tuple(sorted(reply.changed))
    return Explanation(
        Kind.MIN_CXP,
        tuple(sorted(reply.changed)),
        minimal=minimum,
        minimum=minimum,
        lower=nearest.lower,
        undecided=undecided,
        flips=reply.flips,
    )


_SOLVERS = {
    Kind.AXP: _sufficient,
    Kind.MIN_AXP: _least_sufficient,
    Kind.CXP: _contrastive,
    Kind.MIN_CXP: _least_contrastive,
}
