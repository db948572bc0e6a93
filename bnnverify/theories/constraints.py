"""A theory says which inputs are valid, so that answers do not speak of a person of two races.

It is a conjunction of constraints over input bits. Bits that encode one value of several are one-hot,
bits that ask "at least 25? at least 32?" are a thermometer, and everything else is a cardinality
constraint: a number of *literals* that are true lies between two bounds. A clause is such a
constraint, so any theory can be written down. The literal ``i`` says that bit i is +1, ``~i`` that it
is -1 (``~`` is Python's complement, so that bit 0 has both). Checking a row costs O(literals).

Reference: Gorji and Rubin, "Sufficient reasons for classifier decisions in the presence of domain
constraints", 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError


class _Joinable:
    """What ``&`` joins into a theory."""

    def __and__(self, other: Theory | Constraint) -> Theory:
        return Theory((*_parts(self), *_parts(other)))


@dataclass(frozen=True)
class OneHot(_Joinable):
    """Exactly one of the bits is +1.

    Args:
        indices: distinct input bits.

    Raises:
        UsageError: if there is no bit, or one is negative or comes twice.
    """

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", distinct_bits("a one-hot group", self.indices))

    def holds(self, bits: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which ±1 inputs ``(..., n_inputs)`` satisfy it."""
        return np.asarray((bits[..., list(self.indices)] > 0).sum(axis=-1) == 1)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "one_hot", "bits": list(self.indices)}


@dataclass(frozen=True)
class Thermometer(_Joinable):
    """The bits that are +1 come first, in the order given.

    Args:
        indices: distinct input bits, that of the lowest threshold first.

    Raises:
        UsageError: if there is no bit, or one is negative or comes twice.
    """

    indices: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", distinct_bits("a thermometer", self.indices))

    def holds(self, bits: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which ±1 inputs ``(..., n_inputs)`` satisfy it."""
        ordered = bits[..., list(self.indices)]
        return np.asarray((ordered[..., :-1] >= ordered[..., 1:]).all(axis=-1))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "thermometer", "bits": list(self.indices)}


@dataclass(frozen=True)
class Cardinality(_Joinable):
    """From ``lowest`` to ``highest`` of the literals are true.

    Args:
        literals: ``i`` for bit i at +1, ``~i`` for bit i at -1; no bit twice.
        lowest, highest: bounds on how many are true; ``highest`` None for all of them.

    Raises:
        UsageError: if a bit comes twice, or not 0 <= lowest <= highest <= number of literals.
    """

    literals: tuple[int, ...]
    lowest: int
    highest: int | None = None

    def __post_init__(self) -> None:
        literals = tuple(index(literal) for literal in self.literals)
        distinct_bits("a cardinality constraint", map(bit_of, literals))
        highest = len(literals) if self.highest is None else self.highest
        if not 0 <= self.lowest <= highest <= len(literals):
            found = f"bounds {self.lowest}..{highest} on {len(literals)} literals"
            raise UsageError(f"a cardinality constraint: {found}, expected rising bounds within 0..{len(literals)}")
        object.__setattr__(self, "literals", literals)
        object.__setattr__(self, "highest", highest)

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(map(bit_of, self.literals))

    def holds(self, bits: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which ±1 inputs ``(..., n_inputs)`` satisfy it."""
        wanted = np.array([literal >= 0 for literal in self.literals])
        true = ((bits[..., list(self.indices)] > 0) == wanted).sum(axis=-1)
        return np.asarray((true >= self.lowest) & (true <= self.highest))

    def to_dict(self) -> dict[str, Any]:
        signed = [f"+{literal}" if literal >= 0 else f"-{~literal}" for literal in self.literals]
        return {"kind": "cardinality", "literals": signed, "lowest": self.lowest, "highest": self.highest}


Constraint: TypeAlias = OneHot | Thermometer | Cardinality


@dataclass(frozen=True)
class Theory(_Joinable):
    """The inputs that satisfy all constraints; without any, all inputs.

    >>> theory = OneHot((0, 1, 2)) & implies([0], ~3)
    >>> theory.holds(np.array([[1, -1, -1, 1], [-1, 1, -1, 1]])).tolist()
    [False, True]
    """

    constraints: tuple[Constraint, ...] = ()

    @property
    def indices(self) -> tuple[int, ...]:
        """The input bits that it speaks of, rising."""
        return tuple(sorted({i for constraint in self.constraints for i in constraint.indices}))

    def holds(self, bits: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which ±1 inputs are valid.

        Args:
            bits: ``(..., n_inputs)`` over -1 and +1.

        Returns:
            Booleans of the shape ``(...)``.

        Raises:
            UsageError: if a constraint speaks of a bit that the inputs do not have.
        """
        rows = np.asarray(bits)
        self.require_inputs(rows.shape[-1])
        valid = np.ones(rows.shape[:-1], dtype=np.bool_)
        for constraint in self.constraints:
            valid &= constraint.holds(rows)
        return valid

    def require_inputs(self, n_inputs: int) -> None:
        """Refuse a theory that speaks of bits beyond ``n_inputs``."""
        if self.indices and self.indices[-1] >= n_inputs:
            raise UsageError(f"theory: speaks of bit {self.indices[-1]}, expected less than {n_inputs}, the inputs")


def at_least(k: int, literals: Sequence[int]) -> Cardinality:
    """At least k of the literals are true."""
    return Cardinality(tuple(literals), k)


def at_most(k: int, literals: Sequence[int]) -> Cardinality:
    """At most k of the literals are true."""
    return Cardinality(tuple(literals), 0, k)


def exactly(k: int, literals: Sequence[int]) -> Cardinality:
    """Exactly k of the literals are true."""
    return Cardinality(tuple(literals), k, k)


def clause(literals: Sequence[int]) -> Cardinality:
    """At least one of the literals is true."""
    return at_least(1, literals)


def implies(premises: Sequence[int], conclusion: int) -> Cardinality:
    """If all premises are true, so is the conclusion.

    >>> implies([0, ~1], 2) == clause([~0, 1, 2])
    True
    """
    return clause([*(~premise for premise in premises), conclusion])


def bit_of(literal: int) -> int:
    """The input bit that a literal speaks of."""
    return literal if literal >= 0 else ~literal


def distinct_bits(what: str, indices: Iterable[int]) -> tuple[int, ...]:
    """The indices as integers, refused if there is none, or one is negative or comes twice."""
    bits = tuple(index(i) for i in indices)
    if not bits:
        raise UsageError(f"{what}: found no bit, expected at least one")
    if min(bits) < 0:
        raise UsageError(f"{what}: found bit {min(bits)}, expected indices of at least 0")
    if len(set(bits)) < len(bits):
        twice = next(i for i in bits if bits.count(i) > 1)
        raise UsageError(f"{what}: found bit {twice} twice, expected distinct bits")
    return bits


def _parts(part: Any) -> tuple[Constraint, ...]:
    if isinstance(part, Theory):
        return part.constraints
    if isinstance(part, OneHot | Thermometer | Cardinality):
        return (part,)
    raise UsageError(f"theory: found {type(part).__name__}, expected a constraint or a theory")
