"""The least perturbation that changes the class, in any of five norms, with its proof of optimality.

Budgets grow until a region with a counterexample is found (:mod:`bnnverify.queries.perturbations` says what a
change costs). Where costs differ the budget grows by a third, and what was found is then undercut until nothing
cheaper exists. Every region searched without success is the proof that
nothing smaller exists, and a limit leaves the last of these proofs as a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnnverify.engines.sat import AUTO, Method
from bnnverify.errors import UsageError
from bnnverify.levelregions import LevelRegion
from bnnverify.limits import Outcome
from bnnverify.network import BitInput, Network, QuantizedInput
from bnnverify.queries.asking import Question, ask
from bnnverify.queries.decision import Decision, confirmed
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.perturbations import BitPerturbations, LevelPerturbations, Perturbations
from bnnverify.queries.results import RadiusResult, RegionSummary, Ties, Verdict, Witness
from bnnverify.queries.robustness import decide_region
from bnnverify.regions import CostBall, least_perturbation_costs

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
    solver: str = AUTO,
    encoding: str | None = None,
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

    Other arguments, limits and errors are those of :func:`bnnverify.robustness`. On TIMEOUT or MEMOUT,
    ``lower`` is what was proved by then.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [0])], bv.Output([[1], [-1]]))
    >>> bv.radius(net, [1, 1, 1]).value
    2
    """
    norm = _norm(network, norm)
    if limit is not None and limit < 0:
        raise UsageError(f"limit {limit}: expected a cost of at least 0")
    around = _perturbations(network, instance, norm)
    question = ask(network, network.input.read(instance).reshape(-1), around.members, ties, target)
    greatest = around.greatest if limit is None else min(limit, around.greatest)
    method = Method(solver, encoding, seed)
    outcome, came_first = run_watched(
        lambda report: _least(question, around, greatest, engine, method, check, report),
        timeout=timeout,
        memory=memory,
    )
    done = outcome.result
    proved = _proved(outcome)
    found = None if done is None else done.witness
    return RadiusResult(
        verdict=outcome.limit or Verdict.ANSWERED,
        kind="exact" if found is not None or proved >= around.greatest else "bound",
        **solved_fields(outcome, engine, _with_proof(came_first, proved)),
        ties=ties,
        region=RegionSummary("whole", around.members.size),
        input_class=question.label,
        seed=seed,
        norm=norm,
        value=None if found is None else found.distance,
        lower=proved + 1,
        exhausted=found is None and proved >= around.greatest,
        witness=found,
    )


def _norm(network: Network, norm: str | None) -> str:
    if norm is None:
        return "hamming" if isinstance(network.input, BitInput) else "l0"
    if norm not in NORMS:
        raise UsageError(f"norm {norm!r}: expected one of {', '.join(NORMS)}")
    return norm


def _perturbations(network: Network, instance: Any, norm: str) -> Perturbations:
    layer = network.input
    if isinstance(layer, QuantizedInput):
        pixels = layer.read(instance).reshape(-1)
        if pixels.size != layer.n_inputs:
            raise UsageError(f"instance: found {pixels.size} values, expected {layer.n_inputs}")
        low, high = np.zeros_like(pixels), np.full_like(pixels, layer.max_value)
        costs = norm if norm in ("l1", "l2") else "l0"
        return LevelPerturbations(LevelRegion(layer, pixels, low, high, costs), norm)
    ball = CostBall(instance, least_perturbation_costs(network, instance, norm), None)
    return BitPerturbations(ball.on(network), norm)


def _with_proof(reason: str, proved: int) -> str:
    return f"{reason}; nothing costs {proved} or less" if proved > 0 else reason


def _proved(outcome: Outcome[Least]) -> int:
    if outcome.result is not None:
        return outcome.result.proved
    return -1 if outcome.progress is None else int(outcome.progress)


def _least(
    question: Question,
    around: Perturbations,
    greatest: int,
    engine: str,
    method: Method,
    check: bool,
    report: Callable[[Any], None],
) -> Least:
    """Grow the cost, undercut what is found, and let a second engine confirm the outcome."""
    proved, proof, last = -1, None, Decision(None, "bounds", "no bit of this input can flip")
    for cost in around.growing(greatest):
        last = decide_region(question, around.within(cost), engine, method)
        if last.witness is not None:
            break
        proved, proof = cost, last if cost else None
        report(proved)
    witness = _priced(around, last.witness)
    while witness is not None and witness.distance - 1 > proved:
        cheaper = decide_region(question, around.within(witness.distance - 1), engine, method)
        if cheaper.witness is None:
            proved, proof = witness.distance - 1, cheaper
            report(proved)
        else:
            witness, last = _priced(around, cheaper.witness), cheaper
    second = _check(question, around, proved, last, witness, method.seed) if check else None
    return Least(proved, witness, last.engine, _reason(proved, proof, witness, last), second)


def _priced(around: Perturbations, witness: Witness | None) -> Witness | None:
    """The witness with its distance in the norm's unit."""
    return None if witness is None else replace(witness, distance=around.price(witness))


def _reason(proved: int, proof: Decision | None, witness: Witness | None, last: Decision) -> str:
    """Which search without success proves the lower bound, and which one found the witness."""
    parts = [] if proof is None else [f"nothing costs {proved} or less, by {proof.engine} ({proof.reason})"]
    if witness is not None:
        parts.append(f"cost {witness.distance} found ({last.reason})")
    return "; ".join(parts) or last.reason


def _check(
    question: Question, around: Perturbations, proved: int, last: Decision, witness: Witness | None, seed: int
) -> str:
    """Have the greatest cost without and the least cost with a wanted input confirmed, each by somebody else."""
    expected = ([(proved, None)] if proved >= 0 else []) + ([] if witness is None else [(witness.distance, witness)])
    second = ""
    for cost, found in expected:
        smaller = replace(question, region=around.within(cost))
        second = confirmed(smaller, replace(last, witness=found), seed, f" at cost {cost}")
    return second
