"""Whether a network treats groups, and each input by itself, alike.

Two questions, answered over all valid inputs of a region. *Between groups*: which share of the inputs with each
value of a protected feature gets the favourable class. *For each input*: does its class change when its
protected features alone take other values; how many do, and a pair of inputs that differ in nothing else.
Every valid input counts once: these are rates of the decision rule, not of a population, in
which some combinations are rare. The region is compiled once; :mod:`bnnverify.diagram.fairness` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from bnnverify.diagram.fairness import Movable, conditional_counts, disparity, movable, twin
from bnnverify.diagram.nearest import nearest
from bnnverify.errors import ReplayError, UsageError
from bnnverify.network import Network
from bnnverify.queries.asking import ask, executed, instance_of, summarize
from bnnverify.queries.compile import compile_question
from bnnverify.queries.diagram import Diagram
from bnnverify.queries.limited import run_watched, solved_fields
from bnnverify.queries.results import Answer, Ties, Verdict, Witness
from bnnverify.regions import Region, whole_space
from bnnverify.theories import Encoding, Feature, FeatureGroups, Theory

MOST_FREE_BITS = 6


@dataclass(frozen=True)
class Group:
    """The inputs with one value of a protected feature: how many there are, and how many get the favourable class."""

    feature: str
    value: str
    inputs: int
    favourable: int

    @property
    def rate(self) -> Fraction | None:
        """Their share, exactly; None for an empty group."""
        return Fraction(self.favourable, self.inputs) if self.inputs else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "feature": self.feature,
            "value": self.value,
            "inputs": str(self.inputs),
            "favourable": str(self.favourable),
            "rate": None if self.rate is None else float(self.rate),
        }


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FairnessResult(Answer):
    """HOLDS if no input's class depends on its protected features alone, else VIOLATED with a pair of inputs.

    Args:
        favourable: the class that groups are compared by.
        protected: names of the protected features.
        counts: exact number of valid inputs of each class.
        groups: every value of every protected feature.
        pairs: ``(a, b)``: exact number of inputs of class a that have class b with other protected values.
        changeable: for each class, how many of its inputs have any other class with other protected values.
        witness: such an input, the nearest to the region's centre, executed.
        twin: an input of another class that differs from it in the fewest protected bits, executed; its flips and
            its distance are counted from the witness.
    """

    favourable: int
    protected: tuple[str, ...]
    counts: dict[int, int] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    changeable: dict[int, int] = field(default_factory=dict)
    witness: Witness | None = None
    twin: Witness | None = None

    @property
    def unfair(self) -> int:
        """Inputs whose class changes with their protected features alone."""
        return sum(self.changeable.values())

    @property
    def unfair_rate(self) -> Fraction | None:
        """Their share of all valid inputs; None if there are none."""
        total = sum(self.counts.values())
        return Fraction(self.unfair, total) if total else None

    def disparity(self, feature: str) -> tuple[Fraction, Fraction]:
        """Greatest difference and least ratio of the rates of a protected feature's groups that are not empty.

        Raises:
            UsageError: if the feature is not protected, or all its groups are empty.
        """
        return disparity([g.rate for g in self.groups if g.feature == feature and g.rate is not None])

    def to_dict(self) -> dict[str, Any]:
        compared = {g.feature: self.disparity(g.feature) for g in self.groups if g.rate is not None}
        rate = self.unfair_rate
        return {
            **super().to_dict(),
            "favourable": self.favourable,
            "protected": list(self.protected),
            "counts": {str(c): str(n) for c, n in self.counts.items()},
            "groups": [group.to_dict() for group in self.groups],
            "disparity": {name: {"difference": float(d), "ratio": float(r)} for name, (d, r) in compared.items()},
            "unfair": str(self.unfair),
            "unfair_rate": None if rate is None else float(rate),
            "changeable": {str(c): str(n) for c, n in self.changeable.items()},
            "pairs": [{"from": a, "to": b, "inputs": str(n)} for (a, b), n in self.pairs.items()],
            "witness": None if self.witness is None else self.witness.to_dict(),
            "twin": None if self.twin is None else self.twin.to_dict(),
        }


@dataclass(frozen=True)
class _Judged:
    """What the diagram says."""

    counts: dict[int, int]
    groups: tuple[Group, ...]
    pairs: dict[tuple[int, int], int]
    changeable: dict[int, int]
    witness: Witness | None
    twin: Witness | None
    reason: str
    engine: str = "bdd"
    checked_by: str | None = None


def fairness(
    network: Network,
    region: Region | None = None,
    *,
    features: FeatureGroups,
    favourable: int,
    protected: Sequence[str] | None = None,
    theory: Theory | None = None,
    order: str | None = None,
    node_limit: int | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    seed: int = 0,
) -> FairnessResult:
    """Compare groups, and find inputs whose class hangs on protected features; without a region, everywhere.

    Args:
        features: what the input bits mean.
        favourable: the class that groups are compared by.
        protected: names of features; default ``features.protected``.
        theory: which inputs are valid; default ``features.theory``. An input counts as changeable only if
            it has another class at valid inputs of the region.
        order: how levels are ordered, as for :func:`bnnverify.compile`.
        node_limit: most nodes of a diagram; past it the verdict is MEMOUT.

    Other arguments and limits are those of :func:`bnnverify.count`; equal scores go to the lowest class.

    Raises:
        UsageError: if the features do not fit the network, a name or the class is unknown, nothing is protected, or
            the region fixes all that is.
        UnsupportedError: as the region demands.

    >>> import bnnverify as bv
    >>> net = bv.Network([bv.Block([[1, 1, 1]], [1])], bv.Output([[-1], [1]]))
    >>> answer = fairness(net, features=FeatureGroups(3), protected=["bit 0"], favourable=1)
    >>> [str(group.rate) for group in answer.groups], answer.unfair
    (['1/4', '3/4'], 4)
    """
    names = tuple(features.protected if protected is None else protected)
    around = whole_space(network) if region is None else region
    members = around.on(network)
    _require_fitting(network, features, names, favourable)
    if not np.isin(features.bits_of(names), members.free).any():
        raise UsageError(f"protected features {', '.join(names)}: the region fixes all their bits, expected a free one")
    valid = features.theory if theory is None else theory
    question = ask(network, instance_of(network, around), members, Ties.LOWEST, None)
    chosen = [features.feature(name) for name in names]

    def work(_: object) -> _Judged:
        diagram = compile_question(question, theory=valid, ties=Ties.LOWEST, order=order, node_limit=node_limit)
        return _judged(diagram, chosen, favourable, node_limit)

    outcome, limit = run_watched(work, timeout=timeout, memory=memory)
    done = outcome.result
    found = {} if done is None else {name: getattr(done, name) for name in _FOUND}
    unfair = done is not None and bool(done.pairs)
    return FairnessResult(
        verdict=outcome.limit or (Verdict.VIOLATED if unfair else Verdict.HOLDS),
        **solved_fields(outcome, "bdd", limit),
        region=summarize(around, members),
        input_class=None if region is None else question.label,
        seed=seed,
        favourable=favourable,
        protected=names,
        **found,
    )


_FOUND = ("counts", "groups", "pairs", "changeable", "witness", "twin")


def _require_fitting(network: Network, features: FeatureGroups, names: tuple[str, ...], favourable: int) -> None:
    if features.n_inputs != network.n_inputs:
        raise UsageError(f"features of {features.n_inputs} inputs: expected {network.n_inputs}, the network's")
    if not 0 <= favourable < network.n_classes:
        raise UsageError(f"favourable class {favourable}: expected 0..{network.n_classes - 1}")
    if not names or len(set(names)) < len(names):
        raise UsageError(f"protected features: found {list(names)}, expected different names, at least one")
    for name in names:
        feature = features.feature(name)
        if feature.encoding is Encoding.FREE and len(feature.indices) > MOST_FREE_BITS:
            raise UsageError(f"feature {name!r}: {len(feature.indices)} free bits, expected at most {MOST_FREE_BITS}")


def _judged(diagram: Diagram, protected: Sequence[Feature], favourable: int, node_limit: int | None) -> _Judged:
    by_group = tuple(group for feature in protected for group in _groups(diagram, feature, favourable))
    (levels,) = diagram.level_groups([[i for feature in protected for i in feature.indices]])
    moved = movable(diagram.flat, levels, node_limit=node_limit)
    labels = [(diagram.classes[i], diagram.classes[j]) for i, j in moved.pairs]
    witness, other = _pair(diagram, moved, levels)
    return _Judged(
        counts=diagram.count(),
        groups=by_group,
        pairs={pair: n for pair, n in zip(labels, moved.counts, strict=True) if n},
        changeable={c: n for c, n in zip(diagram.classes, moved.by_root, strict=True) if n},
        witness=witness,
        twin=other,
        reason=f"{diagram.reason}; {moved.inputs.n_nodes:,} nodes for the inputs that protected bits move",
    )


def _groups(diagram: Diagram, feature: Feature, favourable: int) -> Iterator[Group]:
    """Exact counts for every value of a feature."""
    good = diagram.roots_of([favourable])
    for value in feature.values or map("".join, product("-+", repeat=len(feature.indices))):
        condition = _condition(diagram, feature, value)
        found = [0] * len(diagram.classes) if condition is None else conditional_counts(diagram.flat, [condition])[0]
        yield Group(feature.name, value, sum(found), sum(found[root] for root in good))


def _condition(diagram: Diagram, feature: Feature, value: str) -> dict[int, int] | None:
    """The levels that a value fixes; None if the region fixes one of its bits otherwise."""
    fixed = {}
    levels = diagram.level_groups([[i] for i in feature.indices])
    for index, bit, level in zip(feature.indices, feature.encode(value), levels, strict=True):
        if level:
            fixed[level[0]] = int(bit > 0)
        elif diagram.region.center[index] != bit:
            return None
    return fixed


def _pair(diagram: Diagram, moved: Movable, levels: Sequence[int]) -> tuple[Witness | None, Witness | None]:
    """The changeable input nearest to the centre and its closest twin of another class, both executed.

    Raises:
        ReplayError: if they do not have the classes that the diagram says.
    """
    ones = np.ones(diagram.inputs.size, dtype=np.int64)
    found = nearest(moved.inputs, range(len(moved.pairs)), diagram.levels_of(), ones)
    if found is None:
        return None, None
    x = found[1]
    root = next(r for r in range(len(diagram.classes)) if diagram.flat.evaluate(x[None], r)[0])
    other = twin(diagram.flat, [r for r in range(len(diagram.classes)) if r != root], x, levels)
    assert other is not None
    bits = diagram.bits_at(np.stack([x, other]))
    witness = executed(diagram.network, diagram.instance, bits[0], diagram.order)
    second = executed(diagram.network, witness.input, bits[1], diagram.order)
    if witness.label != diagram.classes[root] or second.label == witness.label:
        raise ReplayError("two inputs were said to have different classes, but have not; please report this")
    return witness, second
