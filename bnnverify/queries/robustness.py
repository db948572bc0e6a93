"""Whether any input of a region has another class, with an executed counterexample or a proof.

A ball is searched by growing radius, so that the witness is a nearest one; the inner balls cost a
small part of the last. Where a ball on the way would take long, a greedy attack is tried first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnnverify.engines import portfolio
from bnnverify.engines.attack import greedy_flips
from bnnverify.engines.portfolio import Choice
from bnnverify.engines.residual import Residual
from bnnverify.limits import Report
from bnnverify.network import Network
from bnnverify.queries.asking import (
    Question,
    ask,
    confirmed_by,
    in_region_units,
    instance_of,
    summarize,
    why,
    witness_among,
    witness_of,
)
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import RobustnessResult, Ties, Verdict, Witness
from bnnverify.regions import BitRegion, Region

LONG_SEARCH_SECONDS = 2.0


@dataclass(frozen=True)
class Decision:
    """A witness or None, with the engine, its reason and the engine that checked."""

    witness: Witness | None
    engine: str
    reason: str
    checked_by: str | None = None


def robustness(
    network: Network,
    region: Region,
    *,
    target: int | None = None,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    check: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> RobustnessResult:
    """Decide whether any input of ``region`` has another class (or the class ``target``).

    The class that must not change is that of the region's centre. ``seed`` breaks the ties of the greedy
    attack. Other arguments, limits and errors are those of :func:`bnnverify.count`.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.robustness(net, bv.HammingBall([1, 1, 1], 2)).witness.distance
    2
    """
    members = region.on(network)
    question = ask(network, instance_of(network, region), members, ties, target)
    outcome, limit = run_watched(
        lambda report: decide(question, engine, check, seed, report), timeout=timeout, memory=memory
    )
    done = outcome.result
    found = None if done is None or done.witness is None else in_region_units(question, region, done.witness)
    return RobustnessResult(
        verdict=outcome.limit or (Verdict.HOLDS if found is None else Verdict.VIOLATED),
        **solved_fields(outcome, engine, _so_far(limit, outcome.progress)),
        ties=ties,
        region=summarize(region, members),
        input_class=question.label,
        seed=seed,
        target=target,
        witness=found,
    )


def _so_far(limit: str, proved: int | None) -> str:
    return limit if proved is None else f"{limit}; no such input within {proved}"


def decide(question: Question, engine: str, check: bool, seed: int, report: Report) -> Decision:
    """Search the region, inner balls first; check the outcome by counting with a second engine.

    Before the first search that is predicted to be long, a greedy attack tries the whole region.
    """
    if question.region.size == 0:
        return Decision(None, "bounds", "the region is empty")
    decision, attacked = Decision(None, "bounds", "the region is empty"), engine != "auto"
    for region in _growing(question.region):
        residual = question.restricted(region)
        choice = portfolio.choose(residual, engine, deciding=True)
        if choice.seconds > LONG_SEARCH_SECONDS and not attacked:
            attacked, decision = True, _attack(question, seed)
        if decision.witness is None:
            decision = _search(question, residual, choice)
        if decision.witness is not None:
            break
        report(region.budget)
    if not check:
        return decision
    return replace(decision, checked_by=confirmed_by(question, decision.engine, decision.witness is not None))


def decide_region(question: Question, region: BitRegion, engine: str) -> Decision:
    """Search one region of the question's network for a wanted class."""
    residual = question.restricted(region)
    return _search(question, residual, portfolio.choose(residual, engine, deciding=True))


def _search(question: Question, residual: Residual, choice: Choice) -> Decision:
    if not set(residual.classes.tolist()) & set(question.wanted):
        return Decision(None, "bounds", "interval bounds rule every such class out")
    if residual.settled is not None:
        return Decision(witness_among(question, residual, [()]), "bounds", choice.reason)
    choice, search = portfolio.find(residual, choice, question.wanted)
    reason = why(choice, search.remark)
    if search.candidates is None:
        return Decision(None, choice.engine, reason)
    return Decision(witness_among(question, residual, search.candidates), choice.engine, reason)


def _attack(question: Question, seed: int) -> Decision:
    """A witness by greedy flips, which need not be a nearest one, or none."""
    rng = np.random.default_rng(seed)
    flips = greedy_flips(question.network, question.region, question.wanted, question.order, rng)
    if flips is None:
        return Decision(None, "attack", "greedy flips found nothing")
    return Decision(
        witness_of(question, flips), "attack", f"greedy flips found it, seed {seed}; it need not be nearest"
    )


def _growing(region: BitRegion) -> list[BitRegion]:
    """Balls of growing radius within a ball; any other region as it is."""
    if region.budget is None or not region.unit_costs:
        return [region]
    return [region.within(k) for k in range(min(1, region.budget), region.budget + 1)]
