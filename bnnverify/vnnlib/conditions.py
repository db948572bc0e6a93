"""Assertions as alternatives: every way in which all of them can hold, as bounds of inputs and races of classes.

A file is mostly bounds, one an assertion, and a disjunction over classes. Bounds are gathered first; every formula
with ``or`` is then multiplied out, within a limit, and alternatives with the same bounds share one
box. Formulas are as deep as :data:`bnnverify.vnnlib.expressions.MAX_DEPTH`, which also bounds the recursion here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TypeAlias

from bnnverify.errors import InputFormatError
from bnnverify.vnnlib.expressions import Expression, Group, Word, refusal
from bnnverify.vnnlib.property import Case, Tensor
from bnnverify.vnnlib.races import Race

MAX_ALTERNATIVES = 1 << 14
MAX_TERMS = 1 << 20
MAX_BOUNDS = 1 << 23
COMPARISONS = ("<=", ">=", "<", ">", "=", "==", "!=")
READ = "<= or >= between an input and a number, or <=, >=, < or > between two outputs"


@dataclass(frozen=True)
class Element:
    """One element of the input or of the output."""

    is_input: bool
    index: int


@dataclass(frozen=True)
class Bound:
    """``input[index] <= value``, or ``>=`` if it is a lower one."""

    index: int
    is_lower: bool
    value: Fraction


Atom: TypeAlias = Bound | Race
Alternatives: TypeAlias = tuple[tuple[Atom, ...], ...]
Resolve: TypeAlias = Callable[[Word], Element]


@dataclass(frozen=True)
class Reader:
    """Reads formulas over declared tensors; ``resolve`` knows how their elements are written."""

    input: Tensor
    output: Tensor
    resolve: Resolve

    def cases(self, formulas: Iterable[Expression]) -> tuple[Case, ...]:
        """The boxes, with their ways, in which all formulas hold.

        Raises:
            InputFormatError: for what is malformed or not read, with its line.
        """
        read = [self._alternatives(formula) for formula in formulas]
        common = [atom for found in read if len(found) == 1 for atom in found[0]]
        combined: Alternatives = ((),)
        for found in (found for found in read if len(found) != 1):
            combined = _both(combined, found, "the assertions together")
        ways: dict[frozenset[Bound], list[tuple[Race, ...]]] = {}
        for alternative in combined:
            bounds = frozenset(atom for atom in alternative if isinstance(atom, Bound))
            races = _races([*common, *alternative])
            ways.setdefault(bounds, [])
            if races is not None:
                ways[bounds].append(races)
        if len(ways) * self.input.size > MAX_BOUNDS:
            raise InputFormatError(f"{len(ways)} boxes of {self.input.size} inputs, expected fewer")
        low, high = self._box([atom for atom in common if isinstance(atom, Bound)])
        return tuple(self._case(low, high, bounds, found) for bounds, found in ways.items())

    def _box(self, bounds: Iterable[Bound]) -> tuple[list[Fraction | None], list[Fraction | None]]:
        least, greatest = self.input.bounds or (None, None)
        low: list[Fraction | None] = [least] * self.input.size
        high: list[Fraction | None] = [greatest] * self.input.size
        _narrow(low, high, bounds)
        return low, high

    def _case(
        self,
        low: list[Fraction | None],
        high: list[Fraction | None],
        bounds: Iterable[Bound],
        ways: list[tuple[Race, ...]],
    ) -> Case:
        low, high = low.copy(), high.copy()
        _narrow(low, high, bounds)
        for side, name in ((low, "lower"), (high, "upper")):
            if None in side:
                raise InputFormatError(
                    f"element {side.index(None)} of the input {self.input.name} has no {name} bound, expected a box"
                )
        box = [tuple(value for value in side if value is not None) for side in (low, high)]
        return Case(box[0], box[1], tuple(dict.fromkeys(ways)))

    def _alternatives(self, formula: Expression) -> Alternatives:
        if not isinstance(formula, Group) or not formula.head:
            raise refusal(formula, formula, "and, or, or a comparison in parentheses")
        parts = formula.items[1:]
        if formula.head == "or" and parts:
            found = tuple(way for part in parts for way in self._alternatives(part))
            return _modest(found, f"line {formula.line}")
        if formula.head == "and" and parts:
            combined: Alternatives = ((),)
            for part in parts:
                combined = _both(combined, self._alternatives(part), f"line {formula.line}")
            return combined
        if formula.head not in COMPARISONS or len(parts) != 2:
            raise refusal(formula, formula, "and, or, or a comparison of two values")
        return self._comparison(formula, formula.head, parts[0], parts[1])

    def _comparison(self, at: Group, sign: str, left: Expression, right: Expression) -> Alternatives:
        """One comparison, turned so that it reads ``greater >= lesser`` or ``greater > lesser``."""
        a, b = self._operand(left), self._operand(right)
        if sign == "!=":
            raise refusal(at, at, READ)
        if sign in ("=", "=="):
            return _both(self._ordered(at, a, b, False), self._ordered(at, b, a, False), f"line {at.line}")
        return self._ordered(at, *((a, b) if sign in (">=", ">") else (b, a)), sign in ("<", ">"))

    def _ordered(
        self, at: Group, greater: Element | Fraction, lesser: Element | Fraction, strict: bool
    ) -> Alternatives:
        if isinstance(greater, Fraction) and isinstance(lesser, Fraction):
            return ((),) if greater > lesser or (greater == lesser and not strict) else ()
        if isinstance(greater, Element) and isinstance(lesser, Element):
            if greater.is_input or lesser.is_input:
                raise refusal(at, at, READ)
            return ((Race(greater.index, lesser.index, strict),),)
        if isinstance(greater, Element) and isinstance(lesser, Fraction):
            return ((self._bound(at, greater, lesser, True, strict),),)
        assert isinstance(lesser, Element)
        assert isinstance(greater, Fraction)
        return ((self._bound(at, lesser, greater, False, strict),),)

    def _bound(self, at: Group, element: Element, value: Fraction, is_lower: bool, strict: bool) -> Bound:
        if not element.is_input or (strict and not self.input.is_integer):
            raise refusal(at, at, READ)
        if strict and value.denominator == 1:
            value += 1 if is_lower else -1
        return Bound(element.index, is_lower, value)

    def _operand(self, term: Expression) -> Element | Fraction:
        """A number, a negated number, or an element of the input or output."""
        if isinstance(term, Group):
            value = term.items[1] if term.head == "-" and len(term.items) == 2 else term
            if not isinstance(value, Word) or value.number is None:
                raise refusal(term, term, "a number, an input or an output; arithmetic is not read")
            return -value.number
        number = term.number
        return self.resolve(term) if number is None else number


def _narrow(low: list[Fraction | None], high: list[Fraction | None], bounds: Iterable[Bound]) -> None:
    for bound in bounds:
        side, tighter = (low, max) if bound.is_lower else (high, min)
        before = side[bound.index]
        side[bound.index] = bound.value if before is None else tighter(before, bound.value)


def _races(atoms: Iterable[Atom]) -> tuple[Race, ...] | None:
    """The races of a conjunction without those that always hold; None if one never does."""
    races = [atom for atom in atoms if isinstance(atom, Race)]
    if any(race.winner == race.loser and race.strict for race in races):
        return None
    return tuple(dict.fromkeys(race for race in races if race.winner != race.loser))


def _both(left: Alternatives, right: Alternatives, where: str) -> Alternatives:
    """The alternatives of a conjunction."""
    if len(left) * len(right) > MAX_ALTERNATIVES:
        raise InputFormatError(f"{where}: more than {MAX_ALTERNATIVES} alternatives, expected fewer")
    sizes = sum(map(len, left)) * len(right) + sum(map(len, right)) * len(left)
    if sizes > MAX_TERMS:
        raise InputFormatError(f"{where}: alternatives of more than {MAX_TERMS} comparisons, expected fewer")
    return tuple((*a, *b) for a, b in product(left, right))


def _modest(found: Alternatives, where: str) -> Alternatives:
    if len(found) > MAX_ALTERNATIVES:
        raise InputFormatError(f"{where}: more than {MAX_ALTERNATIVES} alternatives, expected fewer")
    return found
