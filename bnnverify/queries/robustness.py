"""Whether any input of a region has another class, with an executed counterexample or a proof.

A ball is searched by growing radius, so that the witness is a nearest one; the inner balls cost a
small part of the last. Where a ball on the way would take long, an attack is tried first. Quantized pixels are
decided by SAT.
"""

from __future__ import annotations

import math
from dataclasses import replace
from os import PathLike
from pathlib import Path

from bnnverify.engines import portfolio
from bnnverify.engines.portfolio import SAT, Choice
from bnnverify.engines.residual import Residual
from bnnverify.engines.sat import AUTO, Method
from bnnverify.errors import UnsupportedError
from bnnverify.levelregions import LevelRegion
from bnnverify.limits import Report
from bnnverify.network import Network
from bnnverify.queries.asking import (
    Question,
    ask,
    in_region_units,
    instance_of,
    region_on,
    summarize,
    why,
    witness_among,
)
from bnnverify.queries.decision import Decision, attack, confirmed, satisfy
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import RobustnessResult, Ties, Verdict
from bnnverify.regions import BitRegion, Region

EMPTY = Decision(None, "bounds", "the region is empty")
LONG_SEARCH_SECONDS = 2.0
LEAST_LIMIT_SECONDS, MOST_RIVAL_SECONDS = 5.0, 600.0


def robustness(
    network: Network,
    region: Region,
    *,
    target: int | None = None,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    solver: str = AUTO,
    encoding: str | None = None,
    proof: str | PathLike[str] | None = None,
    check: bool = False,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> RobustnessResult:
    """Decide whether any input of ``region`` has another class (or the class ``target``).

    The class that must not change is that of the region's centre. Other arguments, limits and errors are those of
    :func:`bnnverify.count`.

    Args:
        solver: what the engine ``sat`` asks: ``native``, another key of ``bnnverify.backends.contract.BACKENDS``,
            ``race`` for several at once, or ``auto``: ``native``, and a race where that takes long.
        proof: a file for the proof of HOLDS, which :func:`bnnverify.check_proof` accepts or rejects; the engine is then
            ``sat`` with the solver ``native``.
        encoding: how constraints become clauses, for solvers over clauses; None for the solver's default.
        seed: of the attack, and of the solver's first decisions.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.robustness(net, bv.HammingBall([1, 1, 1], 2)).witness.distance
    2
    """
    members = region_on(network, region)
    method = Method(solver, encoding, seed, None if proof is None else Path(proof))
    question = ask(network, instance_of(network, region), members, ties, target)
    outcome, limit = run_watched(
        lambda report: decide(question, engine, method, check, report), timeout=timeout, memory=memory
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


def decide(question: Question, engine: str, method: Method, check: bool, report: Report) -> Decision:
    """Search the region, inner balls first; check the outcome by counting with a second engine, or by a proof.

    Before the first search that is predicted to be long, an attack tries the whole region. SAT is asked once,
    about the whole region: it gains nothing from smaller ones.
    """
    region = question.region
    if isinstance(region, LevelRegion) or engine == SAT or method.proof is not None:
        decision = _satisfied(question, region, engine, method)
    else:
        decision = _searched(question, region, engine, method, report)
    if not check:
        return decision
    return replace(decision, checked_by=confirmed(question, decision, method.seed))


def _satisfied(question: Question, region: BitRegion | LevelRegion, engine: str, method: Method) -> Decision:
    if engine not in (SAT, "auto"):
        why_not = "writes no proof" if method.proof is not None else "reads no quantized integers"
        raise UnsupportedError(f"engine {engine} {why_not}; use sat")
    if isinstance(region, BitRegion) and region.radius < 0:
        return EMPTY
    return satisfy(question, region, method, attacked=False)


def _searched(question: Question, members: BitRegion, engine: str, method: Method, report: Report) -> Decision:
    decision, attacked = EMPTY, engine != "auto"
    for region in _growing(members) if members.size else []:
        residual = question.restricted(region)
        choice = portfolio.choose(residual, engine, deciding=True)
        if choice.seconds > LONG_SEARCH_SECONDS and not attacked:
            attacked, decision = True, attack(question, members, method.seed)
        if decision.witness is None:
            decision = _search(question, residual, choice, method)
        if decision.witness is not None:
            break
        report(region.budget)
    return decision


def decide_region(question: Question, region: BitRegion | LevelRegion, engine: str, method: Method) -> Decision:
    """Search one region of the question's network for a wanted class."""
    if isinstance(region, LevelRegion) or engine == SAT:
        return _satisfied(question, region, engine, method)
    residual = question.restricted(region)
    return _search(question, residual, portfolio.choose(residual, engine, deciding=True), method)


def _search(question: Question, residual: Residual, choice: Choice, method: Method) -> Decision:
    if not set(residual.classes.tolist()) & set(question.wanted):
        return Decision(None, "bounds", "interval bounds rule every such class out")
    if residual.settled is not None:
        return Decision(witness_among(question, residual, [()]), "bounds", choice.reason)
    if choice.engine == SAT:
        decision = _satisfied_in_time(question, residual.region, choice, method)
        if decision is not None:
            return replace(decision, reason=why(choice, decision.reason))
        assert choice.instead is not None
        choice = choice.instead
    choice, search = portfolio.find(residual, choice, question.wanted)
    reason = why(choice, search.remark)
    if search.candidates is None:
        return Decision(None, choice.engine, reason)
    return Decision(witness_among(question, residual, search.candidates), choice.engine, reason)


def _satisfied_in_time(question: Question, region: BitRegion, choice: Choice, method: Method) -> Decision | None:
    """What SAT says in the time that another engine would need, if one can be expected to end at all."""
    rival = math.inf if choice.instead is None else choice.instead.seconds
    limit = max(rival, LEAST_LIMIT_SECONDS) if rival <= MOST_RIVAL_SECONDS else None
    try:
        return satisfy(question, region, method, attacked=True, limit=limit)
    except TimeoutError:
        return None


def _growing(region: BitRegion) -> list[BitRegion]:
    """Balls of growing radius within a ball; any other region as it is."""
    if region.budget is None or not region.unit_costs:
        return [region]
    return [region.within(k) for k in range(min(1, region.budget), region.budget + 1)]
