"""The least perturbation that changes the class, in any of five norms, with its proof of optimality.

A flip of bit i costs 1 (hamming, l0), the grey levels to its threshold (l1), or their square (l2);
budgets grow until a region with a counterexample is found. Where costs differ the budget grows by a
third, and what was found is then undercut until nothing cheaper exists. For linf the greatest single
cost counts, so boxes grow level by level. Every region searched without success is the proof that
nothing smaller exists, and a limit leaves the last of these proofs as a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.limits import Outcome
from bnnverify.network import BitInput, Network
from bnnverify.queries.asking import Question, ask, confirmed_by, instance_of
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import RadiusResult, RegionSummary, Ties, Verdict, Witness
from bnnverify.queries.robustness import Decision, decide_region
from bnnverify.regions import BitRegion, CostBall, least_perturbation_costs

NORMS = ("hamming", "l0", "l1", "l2", "linf")


@dataclass(frozen=True)
class Least:
    """Nothing costs at most ``proved``; ``witness`` is the cheapest, or None if nothing does up to the limit."""

    proved: int
    witness: Witness | None
    engine: str
    reason: str
    checked_by: str | None = None


def radius(
    network: Network,
    instance: Any,
    *,
    norm: str | None = None,
    target: int | None = None,
    limit: int | None = None,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    check: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> RadiusResult:
    """Find the least cost of a perturbation of ``instance`` that changes its class (or makes it ``target``).

    Args:
        instance: bits, or pixels in grey levels ``0..max_value``, ``(n_inputs,)``.
        norm: ``hamming`` or ``l0`` (bits, pixels), ``l1`` (grey levels), ``l2`` (sum of their squares) or
            ``linf`` (greatest change in grey levels). Default: ``hamming`` for bits, ``l0`` for pixels.
        limit: give up beyond this cost; the answer then has no value but a lower bound.

    Other arguments, limits and errors are those of :func:`bnnverify.count`. On TIMEOUT or MEMOUT,
    ``lower`` is what was proved by then.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.radius(net, [1, 1, 1]).value
    2
    """
    norm = _norm(network, norm)
    if limit is not None and limit < 0:
        raise UsageError(f"limit {limit}: expected a cost of at least 0")
    ball = CostBall(instance, least_perturbation_costs(network, instance, norm), None)
    members = ball.on(network)
    question = ask(network, instance_of(network, ball), members, ties, target)
    greatest = _greatest(members, norm, limit)
    outcome, came_first = run_watched(
        lambda report: _least(question, norm, greatest, engine, check, report), timeout=timeout, memory=memory
    )
    done = outcome.result
    proved = _proved(outcome)
    found = None if done is None else done.witness
    return RadiusResult(
        verdict=outcome.limit or Verdict.ANSWERED,
        kind="exact" if found is not None or proved >= _greatest(members, norm, None) else "bound",
        **solved_fields(outcome, engine, _with_proof(came_first, proved)),
        ties=ties,
        region=RegionSummary("whole", members.size),
        input_class=question.label,
        seed=seed,
        norm=norm,
        value=None if found is None else found.distance,
        lower=proved + 1,
        exhausted=found is None and proved >= _greatest(members, norm, None),
        witness=found,
    )


def _norm(network: Network, norm: str | None) -> str:
    if norm is None:
        return "hamming" if isinstance(network.input, BitInput) else "l0"
    if norm not in NORMS:
        raise UsageError(f"norm {norm!r}: expected one of {', '.join(NORMS)}")
    return norm


def _greatest(members: BitRegion, norm: str, limit: int | None) -> int:
    """The cost beyond which there is nothing to search."""
    everything = int(members.costs.max(initial=0)) if norm == "linf" else int(members.costs.sum())
    return everything if limit is None else min(limit, everything)


def _with_proof(reason: str, proved: int) -> str:
    return f"{reason}; nothing costs {proved} or less" if proved > 0 else reason


def _proved(outcome: Outcome[Least]) -> int:
    if outcome.result is not None:
        return outcome.result.proved
    return -1 if outcome.progress is None else int(outcome.progress)


def _least(
    question: Question, norm: str, greatest: int, engine: str, check: bool, report: Callable[[Any], None]
) -> Least:
    """Grow the cost, undercut what is found, and let a second engine confirm the outcome."""
    proved, proof, last = -1, None, Decision(None, "bounds", "no bit of this input can flip")
    for cost in _growing_costs(question.region, norm, greatest):
        last = decide_region(question, _within(question.region, norm, cost), engine)
        if last.witness is not None:
            break
        proved, proof = cost, last if cost else None
        report(proved)
    witness = _priced(question, norm, last.witness)
    while witness is not None and witness.distance - 1 > proved:
        cheaper = decide_region(question, _within(question.region, norm, witness.distance - 1), engine)
        if cheaper.witness is None:
            proved, proof = witness.distance - 1, cheaper
            report(proved)
        else:
            witness, last = _priced(question, norm, cheaper.witness), cheaper
    second = _check(question, norm, proved, witness, last.engine) if check else None
    return Least(proved, witness, last.engine, _reason(proved, proof, witness, last), second)


def _reason(proved: int, proof: Decision | None, witness: Witness | None, last: Decision) -> str:
    """Which search without success proves the lower bound, and which one found the witness."""
    parts = [] if proof is None else [f"nothing costs {proved} or less, by {proof.engine} ({proof.reason})"]
    if witness is not None:
        parts.append(f"cost {witness.distance} found ({last.reason})")
    return "; ".join(parts) or last.reason


def _growing_costs(members: BitRegion, norm: str, greatest: int) -> Iterator[int]:
    """Costs at which to search, up to the greatest: each where it is one flip more, else by a third.

    The first is 0, since a tie that counts as a violation needs no change at all.
    """
    yield 0
    levels = np.unique(members.costs)
    if norm == "linf":
        yield from (int(c) for c in levels if c <= greatest)
        if not np.any(levels == greatest) and greatest > 0:
            yield greatest
        return
    cost = int(levels[0]) if levels.size else 0
    while 0 < cost < greatest:
        yield cost
        cost = cost + 1 if members.unit_costs else max(cost + 1, cost * 4 // 3)
    if greatest > 0:
        yield greatest


def _within(members: BitRegion, norm: str, cost: int) -> BitRegion:
    """Inputs that cost at most ``cost``; under linf a box, in which every cheap enough bit is free."""
    if norm != "linf":
        return members.within(cost)
    cheap = members.costs <= cost
    return BitRegion(members.center, members.free[cheap], np.ones_like(members.costs[cheap]), None)


def _priced(question: Question, norm: str, witness: Witness | None) -> Witness | None:
    """The witness with its distance in the norm's unit."""
    if witness is None:
        return None
    costs = _flip_costs(question.region, witness)
    return replace(witness, distance=int(costs.max(initial=0) if norm == "linf" else costs.sum()))


def _flip_costs(members: BitRegion, witness: Witness) -> NDArray[np.int64]:
    costs: NDArray[np.int64] = members.costs[np.searchsorted(members.free, witness.flips)]
    return costs


def _check(question: Question, norm: str, proved: int, witness: Witness | None, engine: str) -> str:
    """Count the wanted inputs below and at the least cost with a second engine."""
    expected = ([(proved, False)] if proved >= 0 else []) + ([] if witness is None else [(witness.distance, True)])
    second = ""
    for cost, exists in expected:
        smaller = replace(question, region=_within(question.region, norm, cost))
        second = confirmed_by(smaller, engine, exists, f" at cost {cost}")
    return second
