"""What a query returns: frozen answers that say how they were obtained and print as one JSON object.

Every answer carries its verdict, the rung of the ladder it stands on (``kind``), the engine with
the reason it was chosen, and the rule for ties. ``to_dict`` gives the fields of the JSON contract
that belong to the answer; the command line adds the model, the input and the version.
"""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.contract import Tolerance
from bnnverify.verdict import Verdict as Verdict


class Ties(enum.Enum):
    """Whether an equal score counts as another class (``VIOLATE``) or the lowest class wins."""

    LOWEST = "lowest"
    VIOLATE = "violate"


@dataclass(frozen=True, eq=False, repr=False)
class Witness:
    """An input with another class, executed on the bitwise engine before it is shown.

    Args:
        input: the instance in the network's own input scale, ``(n_inputs,)``.
        flips: indices of the bits that differ from the centre.
        label: the class it has under the answer's rule for ties.
        distance: in the unit of the region or norm: flipped bits, cost, or greatest grey-level change.
    """

    input: NDArray[Any]
    flips: tuple[int, ...]
    label: int
    distance: int
    replayed: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {
            "input": np.asarray(self.input).tolist(),
            "flips": list(self.flips),
            "class": self.label,
            "distance": self.distance,
            "replayed": self.replayed,
        }

    def __repr__(self) -> str:
        return f"Witness(class {self.label}, distance {self.distance}, flips {list(self.flips)})"


@dataclass(frozen=True)
class RegionSummary:
    """Kind, parameters and exact size of the region that was asked about."""

    kind: str
    size: int
    parameters: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.parameters, "size": str(self.size)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What all answers share. ``seconds`` is the time of the solve."""

    verdict: Verdict
    kind: str = "exact"
    engine: str
    reason: str
    ties: Ties = Ties.LOWEST
    region: RegionSummary | None = None
    input_class: int | None = None
    seed: int = 0
    seconds: float = 0.0
    checked_by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        shared: dict[str, Any] = {
            "region": None if self.region is None else self.region.to_dict(),
            "verdict": self.verdict.value,
            "kind": self.kind,
            "ties": self.ties.value,
            "engine": self.engine,
            "reason": self.reason,
            "seed": self.seed,
        }
        if self.checked_by is not None:
            shared["checked_by"] = self.checked_by
        return shared

    def __repr__(self) -> str:
        return f"{type(self).__name__}(verdict={self.verdict.name}, engine={self.engine!r})"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RobustnessResult(Answer):
    """HOLDS, or VIOLATED with a witness; UNKNOWN, TIMEOUT or MEMOUT where a limit came first."""

    target: int | None = None
    witness: Witness | None = None

    def to_dict(self) -> dict[str, Any]:
        witness = None if self.witness is None else self.witness.to_dict()
        return {**super().to_dict(), "target": self.target, "witness": witness}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CountResult(Answer):
    """Number of the region's inputs in each class that occurs; exact ones sum to its size.

    Args:
        tolerance: how far approximate counts may be off, and with which probability; None of exact ones.
    """

    counts: dict[int, int]
    tolerance: Tolerance | None = None

    @property
    def violations(self) -> int:
        """Inputs whose class differs from the centre's."""
        return sum(n for c, n in self.counts.items() if c != self.input_class)

    def to_dict(self) -> dict[str, Any]:
        found = {**super().to_dict(), "counts": {str(c): str(n) for c, n in sorted(self.counts.items())}}
        return found if self.tolerance is None else {**found, **asdict(self.tolerance)}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ProfileResult(Answer):
    """Counts per class at every distance ``0..radius`` from the centre.

    ``probability`` is the exact chance of a changed class when each free bit flips independently
    with probability ``ber``, as (lower, upper); they are equal where the profile is complete.
    """

    profile: tuple[dict[int, int], ...]
    ber: float | None = None
    probability: tuple[Fraction, Fraction] | None = None

    @property
    def changed(self) -> tuple[int, ...]:
        """Inputs of another class than the centre's, at every distance."""
        return tuple(sum(n for c, n in row.items() if c != self.input_class) for row in self.profile)

    def to_dict(self) -> dict[str, Any]:
        rows = [{str(c): str(n) for c, n in sorted(row.items())} for row in self.profile]
        found: dict[str, Any] = {**super().to_dict(), "profile": rows, "changed": [str(n) for n in self.changed]}
        if self.probability is not None:
            found |= {"ber": self.ber, "low": float(self.probability[0]), "high": float(self.probability[1])}
        return found


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RadiusResult(Answer):
    """Least cost of a perturbation that changes the class, with its witness.

    ``value`` is None where none was found; then ``lower`` says below which cost there is provably
    none (``lower`` equals ``value`` in an exact answer), and ``exhausted`` whether there is none at all.
    """

    norm: str
    value: int | None
    lower: int
    exhausted: bool = False
    witness: Witness | None = None

    def to_dict(self) -> dict[str, Any]:
        witness = None if self.witness is None else self.witness.to_dict()
        found = {"norm": self.norm, "value": self.value, "lower": self.lower, "exhausted": self.exhausted}
        return {**super().to_dict(), **found, "witness": witness}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ExplainResult(Answer):
    """Which features decide, as the kind of explanation that was asked for says it.

    Args:
        explanation: the kind, such as ``axp``.
        features: the set of features: those of one explanation, or all that are necessary, relevant or essential;
            None where no explanation exists, or none is known.
        names: their names.
        minimal, minimum: whether it is proved that no proper subset, and no smaller set, does.
        lower: every explanation of the kind has at least so many features.
        undecided: features left open by a limit.
        values: one number a feature, for ``shapley`` and ``banzhaf``.
        literals: value of each essential input.
        sets: the explanations of ``all-axp`` or ``all-cxp``, as far as they were listed, smallest first.
        total: how many there are, exactly; None where the list was cut before that was known.
        witness: the changed input of a contrastive explanation, executed.
        calls: how many questions it took.
    """

    explanation: str
    features: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    minimal: bool = False
    minimum: bool = False
    lower: int = 0
    undecided: tuple[int, ...] = ()
    values: tuple[float, ...] | None = None
    literals: dict[int, int] | None = None
    sets: tuple[tuple[int, ...], ...] | None = None
    total: int | None = None
    witness: Witness | None = None
    calls: int = 0

    @property
    def size(self) -> int | None:
        """Number of features; an upper bound of the least."""
        return None if self.features is None else len(self.features)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            **super().to_dict(),
            "explanation": self.explanation,
            "features": None if self.features is None else list(self.features),
            "names": None if self.names is None else list(self.names),
            "size": self.size,
            "minimal": self.minimal,
            "minimum": self.minimum,
            "lower": self.lower,
            "upper": self.size,
            "undecided": list(self.undecided),
            "oracle_calls": self.calls,
        }
        if self.values is not None:
            found["values"] = list(self.values)
        if self.literals is not None:
            found["literals"] = {str(i): v for i, v in self.literals.items()}
        if self.sets is not None:
            found |= {"sets": [list(s) for s in self.sets], "total": None if self.total is None else str(self.total)}
        return {**found, "witness": None if self.witness is None else self.witness.to_dict()}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CompareResult(Answer):
    """Where two networks agree on a region: HOLDS if everywhere, or VIOLATED with an input on which they differ.

    Args:
        other: name of the second network.
        pairs: exact number of inputs to which the first network gives one class and the second the other.
        witness: the nearest input to the centre on which they differ, executed on both; its class is the first's.
        other_label: the second network's class of the witness.
    """

    other: str
    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    witness: Witness | None = None
    other_label: int | None = None

    @property
    def disagreements(self) -> int:
        """Exact number of inputs on which the networks differ."""
        return sum(n for (a, b), n in self.pairs.items() if a != b)

    def to_dict(self) -> dict[str, Any]:
        witness = None if self.witness is None else {**self.witness.to_dict(), "other_class": self.other_label}
        pairs = [{"first": a, "second": b, "inputs": str(n)} for (a, b), n in sorted(self.pairs.items())]
        found = {"other": self.other, "disagreements": str(self.disagreements), "pairs": pairs}
        return {**super().to_dict(), **found, "witness": witness}
