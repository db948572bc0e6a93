"""What the questions about flipped weights return: frozen answers that print as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.queries.results import Answer, Verdict
from bnnverify.weightflips import WeightBit


@dataclass(frozen=True, eq=False, repr=False)
class Struck:
    """Weight bits whose flips change a class, and an input on which they do; executed before it is shown.

    Args:
        bits: the flips, in order.
        input: the instance in the network's own scale, ``(n_inputs,)``.
        flips: indices of the inputs that differ from the centre of the region.
        label: the class that the struck network gives it.
    """

    bits: tuple[WeightBit, ...]
    input: NDArray[Any]
    flips: tuple[int, ...]
    label: int
    replayed: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {
            "weights": [str(bit) for bit in self.bits],
            "input": np.asarray(self.input).tolist(),
            "flips": list(self.flips),
            "class": self.label,
            "replayed": self.replayed,
        }

    def __repr__(self) -> str:
        return f"Struck({' '.join(map(str, self.bits)) or 'nothing'}, class {self.label})"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ToleranceResult(Answer):
    """The least number of weight flips that changes the class.

    Args:
        value: that number; None where none was proved least, or no flips change the class.
        lower: fewer flips than this provably never suffice.
        upper: so many do, as the witness shows; None where none are known.
        impossible: whether it is proved that no number of flips suffices.
        witness: the flips, replayed.
        target: the class asked for, or None for any other.
        per_layer: the least number with flips in one layer alone, None where impossible, as far as it was found;
            empty where it was not asked for.
    """

    value: int | None
    lower: int
    upper: int | None = None
    impossible: bool = False
    witness: Struck | None = None
    target: int | None = None
    per_layer: Mapping[int, int | None] = field(default_factory=dict)

    @property
    def tolerated(self) -> int | None:
        """The greatest number of flips that provably cannot change the class, wherever they are; None for all."""
        return None if self.impossible else self.lower - 1

    @property
    def witness_class(self) -> int | None:
        return None if self.witness is None else self.witness.label

    def to_dict(self) -> dict[str, Any]:
        return {
            **super().to_dict(),
            "value": self.value,
            "tolerated": self.tolerated,
            "lower": self.lower,
            "upper": self.upper,
            "impossible": self.impossible,
            "target": self.target,
            "layers": {str(layer): value for layer, value in self.per_layer.items()},
            "witness": None if self.witness is None else self.witness.to_dict(),
        }

    def __repr__(self) -> str:
        known = "impossible" if self.impossible else f"value={self.value}, lower={self.lower}, upper={self.upper}"
        return f"ToleranceResult(verdict={self.verdict.name}, {known}, engine={self.engine!r})"


@dataclass(frozen=True, eq=False, repr=False)
class SetTolerance:
    """The least numbers of flips of many inputs, each by itself."""

    results: tuple[ToleranceResult, ...]

    @property
    def lower(self) -> int | None:
        """Fewer flips than this change the class of none of the inputs; None where no flips do."""
        return min((r.lower for r in self.results if not r.impossible), default=None)

    @property
    def value(self) -> int | None:
        """The least over all inputs, None where it is not proved, or no flips change any class."""
        found = min((r.upper for r in self.results if r.upper is not None), default=None)
        return found if found == self.lower else None

    @property
    def histogram(self) -> dict[int, int]:
        """How many inputs have each least number, of those whose number is proved."""
        counted = Counter(r.value for r in self.results if r.value is not None)
        return dict(sorted(counted.items()))

    @property
    def verdict(self) -> Verdict:
        limited = [r.verdict for r in self.results if r.verdict is not Verdict.ANSWERED]
        return limited[0] if limited else Verdict.ANSWERED

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.value,
            "value": self.value,
            "lower": self.lower,
            "histogram": {str(n): count for n, count in self.histogram.items()},
            "inputs": [result.to_dict() for result in self.results],
        }

    def __repr__(self) -> str:
        return f"SetTolerance(inputs={len(self.results)}, value={self.value}, histogram={self.histogram})"


@dataclass(frozen=True, eq=False, repr=False)
class CriticalBits:
    """Single weight bits, by how many inputs change their class when that bit alone flips.

    Args:
        n_inputs: how many inputs were looked at.
        n_bits: how many stored bits were looked at, also those that change no input.
        bits: ranked, most changed inputs first, then by position.
        changed: the exact number of inputs of each.
        counts: the same for every weight of a layer, ``(rows, weights a row)``; 0 also where there is no bit.
    """

    n_inputs: int
    n_bits: int
    bits: tuple[WeightBit, ...]
    changed: tuple[int, ...]
    counts: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        rows = [{"weight": str(bit), "changed": n} for bit, n in zip(self.bits, self.changed, strict=True)]
        return {"inputs": self.n_inputs, "bits": self.n_bits, "critical": rows}

    def __repr__(self) -> str:
        worst = f"{self.bits[0]} changes {self.changed[0]}" if self.bits else "none changes any"
        return f"CriticalBits({self.n_bits} bits, {self.n_inputs} inputs, {worst})"
