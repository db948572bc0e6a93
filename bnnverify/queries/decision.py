"""What deciding a region comes to, and how the ``sat`` engine decides one: presolve, then attack and solver by turns.

On trained networks the attack finds most of what exists within .03 s, where the solver needs seconds, and the solver
proves most of what holds within .3 s, where an attack is in vain. So both begin with that, and what is left is hard for
either: they go on by turns, the last of which is the solver's and without end.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bnnverify.engines import annealing, sat
from bnnverify.engines.certified import Asked, search_with_proof
from bnnverify.engines.sat import AUTO, NATIVE, Found, Method, Prepared, Reduced
from bnnverify.errors import ReplayError
from bnnverify.levelregions import LevelRegion
from bnnverify.proofs.checker import check_proof
from bnnverify.proofs.error import ProofError
from bnnverify.queries.asking import Question, confirmed_by, witness_with
from bnnverify.queries.results import Witness
from bnnverify.regions import BitRegion

BY_SAT = ("sat", "attack")
Turns = tuple[tuple[float, float | None], ...]
ATTACK_SECONDS = 0.5
TURNS: Turns = ((0.03, 0.3), (1.0, 2.0), (2.0, None))  # seconds of attack, then of the solver; None is without end
TURNS_AFTER_ATTACK: Turns = ((0.0, 2.0), (2.0, None))
LIBRARY_ATTACK_SECONDS = 0.2


@dataclass(frozen=True)
class Decision:
    """A witness or None, with the engine, its reason and the engine that checked."""

    witness: Witness | None
    engine: str
    reason: str
    checked_by: str | None = None


def satisfy(
    question: Question, region: BitRegion | LevelRegion, method: Method, *, attacked: bool, limit: float | None = None
) -> Decision:
    """Decide a region that is not empty by presolve, then by an attack and a solver in turns.

    Args:
        attacked: whether an attack on this region, or one that holds it, was tried already.
        limit: seconds that the solver's last turn may take.

    Raises:
        TimeoutError: if the limit came first.
    """
    if method.proof is not None:
        return _proved(question, region, method, method.proof)
    reduced = sat.reduce(question.network, region, question.order)
    prepared = reduced.asked(question.wanted)
    if prepared.goal.trivial is False:
        return Decision(None, "bounds", f"presolve rules every such class out: {prepared.removed}")
    if prepared.goal.formula is None:
        return _decided(question, prepared, sat.search(prepared, method))
    turns = TURNS_AFTER_ATTACK if attacked else TURNS
    if method.solver not in (NATIVE, AUTO):
        turns = ((0.0 if attacked else LIBRARY_ATTACK_SECONDS, None),)
    return _by_turns(question, reduced, prepared, method, turns, limit)


def _by_turns(
    question: Question, reduced: Reduced, prepared: Prepared, method: Method, turns: Turns, limit: float | None
) -> Decision:
    rng, search = np.random.default_rng(method.seed), sat.Search(prepared, method)
    for attack_s, search_s in turns:
        witness = _annealed(question, reduced, rng, attack_s) if attack_s else None
        if witness is not None:
            return _attacked(witness, method.seed)
        try:
            return _decided(
                question, prepared, search.run(limit if search_s is None else search_s, last=search_s is None)
            )
        except TimeoutError:
            if search_s is None:
                raise
    raise AssertionError("the last turn is without end")


def _proved(question: Question, region: BitRegion | LevelRegion, method: Method, path: Path) -> Decision:
    asked = Asked(question.network, region, question.label, question.wanted, question.order)
    decision = _decided(question, *search_with_proof(asked, path, method.seed))
    return decision if decision.witness is not None else replace(decision, reason=f"{decision.reason}; proof in {path}")


def confirmed(question: Question, decision: Decision, seed: int, where: str = "") -> str:
    """Who confirms a decision: a second engine's count; of SAT's, execution of the witness or the checker of a proof.

    Raises:
        ReplayError: if it is not confirmed.
    """
    if not isinstance(question.region, LevelRegion) and decision.engine not in BY_SAT:
        return confirmed_by(question, decision.engine, decision.witness is not None, where)
    return "execute" if decision.witness is not None else _confirmed_by_proof(question, seed)


def _confirmed_by_proof(question: Question, seed: int) -> str:
    asked = Asked(question.network, question.region, question.label, question.wanted, question.order)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "holds.proof"
        if search_with_proof(asked, path, seed)[1].flips is not None:
            raise ReplayError("a second search found what the first one excluded; please report this")
        try:
            check_proof(path, question.network)
        except ProofError as error:
            raise ReplayError(f"the proof of this answer is rejected ({error}); please report this") from None
    return "proof"


def _decided(question: Question, prepared: Prepared, found: Found) -> Decision:
    witness = None if found.flips is None else witness_with(question, prepared.values(found.flips))
    return Decision(witness, "sat", found.remark)


def attack(question: Question, region: BitRegion | LevelRegion, seed: int) -> Decision:
    """A witness by annealing, which need not be a nearest one, or none."""
    reduced = sat.reduce(question.network, region, question.order)
    witness = _annealed(question, reduced, np.random.default_rng(seed), ATTACK_SECONDS)
    return Decision(None, "attack", "annealing found nothing") if witness is None else _attacked(witness, seed)


def _attacked(witness: Witness, seed: int) -> Decision:
    return Decision(witness, "attack", f"annealing found it, seed {seed}; it need not be nearest")


def _annealed(question: Question, reduced: Reduced, rng: np.random.Generator, seconds: float) -> Witness | None:
    """What annealing finds in so many seconds, replayed."""
    annealing.load()
    made = annealing.anneal(reduced.system, question.wanted, rng, deadline_s=time.monotonic() + seconds)
    return None if made is None else witness_with(question, reduced.flips.values(made))
