"""What a property asks: is there an input in one of some boxes whose scores compare in one of some ways?

Bounds are exact fractions. A case is one box with its ways, each a conjunction of comparisons of two scores;
an input of the box that meets all of one makes the property ``sat``. Strict bounds and equality of inputs are gone by
now, and so is everything that is not read here: what a file says and this cannot, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, prod

from bnnverify.vnnlib.races import Race

INTEGER_TYPES = {f"{sign}int{bits}": (sign, bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}
FLOAT_TYPES = ("float16", "float32", "float64", "bfloat16")
REAL = "real"


@dataclass(frozen=True)
class Tensor:
    """The declared input or output.

    Args:
        name: in the property; element I of version 1's is ``X_I``.
        element: ``real``, or a type of ONNX in its own spelling.
        shape: as declared; version 1 has one axis.
        spelled: the element type as the file spells it.
    """

    name: str
    element: str
    shape: tuple[int, ...]
    spelled: str = ""

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def is_integer(self) -> bool:
        return self.element in INTEGER_TYPES

    @property
    def bounds(self) -> tuple[Fraction, Fraction] | None:
        """The least and greatest value of an integer type."""
        if not self.is_integer:
            return None
        sign, bits = INTEGER_TYPES[self.element]
        if sign == "u":
            return Fraction(0), Fraction((1 << bits) - 1)
        return Fraction(-(1 << bits - 1)), Fraction((1 << bits - 1) - 1)


@dataclass(frozen=True)
class Case:
    """One closed box of inputs, and the ways in which it may be violated.

    Args:
        low, high: a bound for each element of the input.
        alternatives: conjunctions of races between classes, of which one must hold.
    """

    low: tuple[Fraction, ...]
    high: tuple[Fraction, ...]
    alternatives: tuple[tuple[Race, ...], ...]

    @property
    def is_empty(self) -> bool:
        return not self.alternatives or any(a > b for a, b in zip(self.low, self.high, strict=True))

    def whole(self) -> Case:
        """The box of its whole numbers."""
        low = tuple(Fraction(ceil(value)) for value in self.low)
        return Case(low, tuple(Fraction(floor(value)) for value in self.high), self.alternatives)


@dataclass(frozen=True)
class Property:
    """A satisfiability question about one network.

    Args:
        version: of VNN-LIB, 1 or 2.
        network: its declared name, "" in version 1.
        cases: the property is ``sat`` if one of them is.
    """

    version: int
    network: str
    input: Tensor
    output: Tensor
    cases: tuple[Case, ...]
