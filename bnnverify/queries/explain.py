"""Why an instance has its class: which features keep it (AXp), and which would change it (CXp).

An abductive explanation is a least set of features that, kept, forces the class on every input of the region; a
contrastive one a least set that suffices to change it. Both ask one oracle over and over: *can the class change
if just these features may?* Over a compiled diagram that is one pass; where none fits, the exact
engines decide it. The answers, and their type, are the same.

References: Ignatiev, Narodytska, Marques-Silva, "Abduction-based explanations for machine learning models", 2019;
Lundberg, Lee, "A unified approach to interpreting model predictions", 2017.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram.minimal import minimal_changes, minimal_sufficient
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.errors import UsageError
from bnnverify.explanations.decision_oracle import DecisionOracle
from bnnverify.explanations.diagram_oracle import DiagramOracle
from bnnverify.explanations.explain import explanation
from bnnverify.explanations.oracle import Calls, Oracle
from bnnverify.explanations.orders import least_support_first
from bnnverify.explanations.relevance import Marked, necessary_features, relevant_features
from bnnverify.explanations.results import Kind
from bnnverify.network import Network
from bnnverify.queries.asking import Question, ask, replayed, summarize
from bnnverify.queries.compile import compile_question
from bnnverify.queries.diagram import Diagram
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import ExplainResult, Ties, Verdict, Witness
from bnnverify.regions import FreeBits, Region
from bnnverify.theories import FeatureGroups, Theory

ONE = {kind.value: kind for kind in Kind}
DIAGRAM_KINDS = ("all-axp", "all-cxp", "essential", "shapley", "banzhaf")
KINDS = (*ONE, "necessary", "relevant", *DIAGRAM_KINDS)
TRIED_STATES = 2_000_000
LISTED = 1000
SEARCH_SHARE = 0.9


def explain(
    network: Network,
    instance: ArrayLike,
    region: Region | None = None,
    *,
    kind: str = "axp",
    features: FeatureGroups | None = None,
    theory: Theory | None = None,
    target: int | None = None,
    ties: Ties = Ties.LOWEST,
    engine: str = "auto",
    most: int = LISTED,
    call_seconds: float = 1.0,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> ExplainResult:
    """Explain the class of an instance within a region; without a region, within the whole input space.

    Args:
        kind: ``axp`` or ``cxp`` (subset-minimal), ``min-axp`` or ``min-cxp`` (fewest features), ``all-axp`` or
            ``all-cxp``; ``necessary`` (in every AXp), ``relevant`` (in some), ``essential`` (inputs with one value
            wherever the class is this one); ``shapley`` or ``banzhaf`` (values of all features).
        features: groups of input bits that are one feature each; default one feature an input bit.
        theory: which inputs are valid; by default what the features' encodings and rules say.
        target: explain against this class instead of any other.
        engine: ``bdd`` compiles the region; ``decisions`` asks the exact engines; ``auto`` tries the first for a
            while. The kinds that need a diagram always compile.
        most: how many explanations of ``all-axp`` and ``all-cxp`` to list; they are all counted.
        call_seconds: with ``decisions``, the search time of one question; past it the question is left undecided.
        timeout: seconds after which abductive explanations keep the features not yet asked about, and least
            sizes become bounds.

    Other arguments, limits and errors are those of :func:`bnnverify.count`.

    Returns:
        ANSWERED, of kind ``exact`` if minimality (or, where asked for, least size) is proved, else ``bound``;
        UNKNOWN if nothing was found and nothing excluded.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [1])], bv.Output([[1], [-1]]))
    >>> bv.explain(net, [1, 1, -1]).features
    (0, 1)
    """
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r}: expected one of {', '.join(KINDS)}")
    if engine not in ("auto", "bdd", "decisions"):
        raise UsageError(f"engine {engine!r}: explanations are by auto, bdd or decisions")
    about = np.asarray(instance)
    around = FreeBits(about, tuple(range(network.n_inputs))) if region is None else region
    members = around.on(network)
    question = ask(network, network.input.read(about).reshape(-1), members, ties, target)
    valid = theory if theory is not None or features is None else features.theory
    asked = _Asked(question, kind, features, valid, ties, engine, most, call_seconds, timeout, seed)
    outcome, limit = run_watched(lambda report: _explained(asked), timeout=timeout, memory=memory)
    shared: dict[str, Any] = {
        "ties": ties,
        "region": summarize(around, members),
        "input_class": question.label,
        "seed": seed,
    }
    if outcome.result is None:
        verdict = outcome.limit or Verdict.UNKNOWN
        return ExplainResult(explanation=kind, verdict=verdict, **shared, **solved_fields(outcome, engine, limit))
    return replace(outcome.result, **shared, seconds=outcome.seconds)


@dataclass(frozen=True, eq=False)
class _Asked:
    """The question with everything that decides how it is answered."""

    question: Question
    kind: str
    features: FeatureGroups | None
    theory: Theory | None
    ties: Ties
    engine: str
    most: int
    call_seconds: float
    timeout: float | None
    seed: int

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The free input bits of each feature."""
        n, free = self.question.network.n_inputs, set(self.question.bits.free.tolist())
        groups = tuple((i,) for i in range(n)) if self.features is None else self.features.groups
        return tuple(tuple(i for i in group if i in free) for group in groups)

    @property
    def deadline(self) -> float | None:
        """Seconds for the search itself, so that it ends by itself before the limit."""
        return None if self.timeout is None else SEARCH_SHARE * self.timeout

    def named(self, features: Sequence[int] | None) -> tuple[str, ...] | None:
        if self.features is None or features is None:
            return None
        return tuple(self.features.names[f] for f in features)


@dataclass(frozen=True, eq=False)
class _Oracle:
    """An oracle over the features that can change at all: ``active``, and the input bit of each of its variables."""

    oracle: Oracle
    active: tuple[int, ...]
    inputs: NDArray[np.int64]
    engine: str
    reason: str
    diagram: Diagram | None

    def outward(self, features: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(self.active[f] for f in features))


def _explained(asked: _Asked) -> ExplainResult:
    started = time.monotonic()
    if asked.kind in ("shapley", "banzhaf"):
        return _valued(asked, _compiled(asked, None))
    if asked.kind == "essential":
        return _essential(asked, _compiled(asked, None))
    oracle = _oracle(asked)
    if asked.kind in ("all-axp", "all-cxp"):
        return _listed(asked, oracle)
    left = None if asked.deadline is None else max(0.0, asked.deadline - (time.monotonic() - started))
    if asked.kind in ("necessary", "relevant"):
        return _marked(asked, oracle, left)
    return _one(asked, oracle, left)


def _compiled(asked: _Asked, limit: int | None) -> Diagram:
    return compile_question(asked.question, theory=asked.theory, ties=asked.ties, node_limit=limit)


def _oracle(asked: _Asked) -> _Oracle:
    """Over a diagram where one fits, else over the exact engines."""
    if asked.engine == "bdd" or asked.theory is not None or asked.kind in DIAGRAM_KINDS:
        return _over_diagram(asked, _compiled(asked, None))
    if asked.engine == "auto":
        try:
            return _over_diagram(asked, _compiled(asked, TRIED_STATES))
        except TooManyNodesError:
            pass
    return _over_decisions(asked)


def _over_diagram(asked: _Asked, diagram: Diagram) -> _Oracle:
    levels = diagram.level_groups(asked.groups)
    active = tuple(f for f, group in enumerate(levels) if group)
    bad = diagram.roots_of(asked.question.wanted)
    x = diagram.levels_of(asked.question.instance)
    oracle = DiagramOracle(diagram.flat, bad, x, groups=[levels[f] for f in active])
    return _Oracle(oracle, active, diagram.inputs, "bdd", diagram.reason, diagram)


def _over_decisions(asked: _Asked) -> _Oracle:
    question = asked.question
    active = tuple(f for f, group in enumerate(asked.groups) if group)
    bits = _bits(question)
    oracle = DecisionOracle(
        question.network,
        bits,
        question.bits,
        question.wanted,
        question.order,
        groups=[asked.groups[f] for f in active],
        call_seconds=asked.call_seconds,
        rng=np.random.default_rng(asked.seed),
    )
    reason = f"questions to the exact engines, at most {asked.call_seconds:g} s each"
    return _Oracle(oracle, active, np.arange(question.network.n_inputs), "decisions", reason, None)


def _bits(question: Question) -> NDArray[np.int8]:
    bits: NDArray[np.int8] = question.network.input.to_bits(question.instance).reshape(-1)  # type: ignore[union-attr]
    return bits


def _order(asked: _Asked, oracle: _Oracle) -> list[int]:
    groups = [asked.groups[f] for f in oracle.active]
    return least_support_first(asked.question.network, _bits(asked.question), groups)


def _one(asked: _Asked, over: _Oracle, left: float | None) -> ExplainResult:
    """One explanation, abductive or contrastive."""
    kind = ONE[asked.kind]
    at_once = kind is Kind.AXP and over.diagram is not None
    order = None if at_once else _order(asked, over)
    found = explanation(over.oracle, kind, order=order, timeout=left)
    features = None if found.features is None else over.outward(found.features)
    proved = found.minimum if kind in (Kind.MIN_AXP, Kind.MIN_CXP) else found.minimal
    flips = [int(over.inputs[v]) for v in found.flips]
    return ExplainResult(
        **_shared(asked, over, proved, known=found.exists is not None),
        features=features,
        names=asked.named(features),
        minimal=found.minimal,
        minimum=found.minimum,
        lower=found.lower,
        undecided=over.outward(found.undecided),
        witness=_witness(asked.question, flips) if flips else None,
        calls=found.oracle_calls,
    )


def _witness(question: Question, flips: Sequence[int]) -> Witness:
    bits = _bits(question).copy()
    bits[list(flips)] *= -1
    return replayed(question, bits)


def _shared(asked: _Asked, over: _Oracle, proved: bool, *, known: bool = True) -> dict[str, Any]:
    """Fields of every answer; :func:`explain` fills in the rest."""
    return {
        "verdict": Verdict.ANSWERED if known else Verdict.UNKNOWN,
        "explanation": asked.kind,
        "kind": "exact" if proved else "bound",
        "engine": over.engine,
        "reason": over.reason,
    }


def _marked(asked: _Asked, over: _Oracle, left: float | None) -> ExplainResult:
    """The necessary, or the relevant, features."""
    calls = Calls(over.oracle)
    marked: Marked
    if asked.kind == "necessary":
        marked = necessary_features(calls)
    else:
        deadline = float("inf") if left is None else time.monotonic() + left
        marked = relevant_features(calls, _order(asked, over), deadline=deadline)
    features = over.outward(marked.features)
    return ExplainResult(
        **_shared(asked, over, not marked.undecided),
        features=features,
        names=asked.named(features),
        undecided=over.outward(marked.undecided),
        calls=calls.made,
    )


def _listed(asked: _Asked, over: _Oracle) -> ExplainResult:
    """All abductive or all contrastive explanations: counted, and listed smallest first."""
    assert over.diagram is not None
    diagram = over.diagram
    families = minimal_sufficient if asked.kind == "all-axp" else minimal_changes
    levels = diagram.level_groups(asked.groups)
    family = families(
        diagram.flat,
        diagram.roots_of(asked.question.wanted),
        diagram.levels_of(asked.question.instance),
        groups=[levels[f] for f in over.active],
    )
    sets = tuple(over.outward(sorted(s)) for s in islice(family, asked.most))
    return ExplainResult(**_shared(asked, over, True), sets=sets, total=family.size)


def _essential(asked: _Asked, diagram: Diagram) -> ExplainResult:
    literals = diagram.essential(asked.question.label)
    return ExplainResult(
        verdict=Verdict.ANSWERED,
        explanation="essential",
        engine="bdd",
        reason=diagram.reason,
        features=tuple(sorted(literals)),
        literals=dict(sorted(literals.items())),
    )


def _valued(asked: _Asked, diagram: Diagram) -> ExplainResult:
    """SHAP or Banzhaf values of every feature."""
    groups = None if asked.features is None else asked.groups
    method: Callable[..., Any] = diagram.shapley
    values = method(asked.question.instance, groups=groups, method=asked.kind)
    return ExplainResult(
        verdict=Verdict.ANSWERED,
        explanation=asked.kind,
        engine="bdd",
        reason=f"{diagram.reason}; floats, good to about 1e-12",
        features=tuple(range(len(values))) if groups is not None else None,
        names=None if asked.features is None else asked.features.names,
        values=tuple(float(v) for v in values),
    )
