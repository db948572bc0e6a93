"""The linear constraint over literals, with integer coefficients: a class score against another, a sum of grey levels.

Whatever the coefficients, a *normal* constraint says the same with positive ones, as small as clipping and a common
divisor make them; where they are all equal it is a cardinality constraint. Literals are as in DIMACS: v + 1 for
variable v, -(v + 1) for its negation. The negation of a constraint is a constraint, and :meth:`Linear.canonical`
picks the same one of the two for both.

Reference: Een, Sorensson, "Translating pseudo-Boolean constraints into SAT", 2006 (normal form).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import gcd

from encoders.cardinality import Cardinality

Terms = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Linear:
    """The coefficients of the true literals sum to *bound* or more; with an *output*, that literal is true iff they do.

    Args:
        terms: pairs of a coefficient, any integer, and a literal +-(v + 1), each variable at most once.
        bound: any integer.
        output: a literal of another variable, or None.

    Raises:
        ValueError: if a literal is 0 or a variable stands twice.

    >>> Linear(((2, 1), (-3, 2)), 1).holds([True, False])
    True
    """

    terms: Terms
    bound: int
    output: int | None = None

    def __post_init__(self) -> None:
        terms = tuple((int(coefficient), int(literal)) for coefficient, literal in self.terms)
        Cardinality(tuple(literal for _, literal in terms), 0, self.output)
        object.__setattr__(self, "terms", terms)
        object.__setattr__(self, "bound", int(self.bound))
        object.__setattr__(self, "output", None if self.output is None else int(self.output))

    @classmethod
    def of(cls, constraint: Cardinality | Linear) -> Linear:
        """A cardinality constraint as a linear one with coefficients 1; a linear one as it is."""
        if isinstance(constraint, Linear):
            return constraint
        return cls(tuple((1, literal) for literal in constraint.literals), constraint.bound, constraint.output)

    @classmethod
    def from_signs(cls, weights: Iterable[int], threshold: int, output: int | None = None) -> Linear:
        """``sum_i weights[i] * x_i >= threshold`` over signs x, where variable i is true iff x_i is +1.

        >>> Linear.from_signs([3, -1], 0)
        Linear(terms=((6, 1), (-2, 2)), bound=2, output=None)
        """
        known = [int(weight) for weight in weights]
        terms = tuple((2 * weight, i + 1) for i, weight in enumerate(known))
        return cls(terms, int(threshold) + sum(known), output)

    @property
    def n_variables(self) -> int:
        """One more than the largest variable, the output's included; 0 if there is none."""
        return max((abs(literal) for _, literal in (*self.terms, (0, self.output or 0))), default=0)

    @property
    def constant(self) -> bool | None:
        """The truth value that the bound alone decides, if it does."""
        if sum(min(coefficient, 0) for coefficient, _ in self.terms) >= self.bound:
            return True
        return False if sum(max(coefficient, 0) for coefficient, _ in self.terms) < self.bound else None

    def holds(self, values: Sequence[bool]) -> bool:
        """Whether the sum reaches the bound, the output aside; ``values[v]`` is variable v's."""
        return sum(c for c, literal in self.terms if bool(values[abs(literal) - 1]) == (literal > 0)) >= self.bound

    def evaluate(self, values: Sequence[bool]) -> bool:
        """Whether the constraint is met, the output, if any, included."""
        if self.output is None:
            return self.holds(values)
        return self.holds(values) == (bool(values[abs(self.output) - 1]) == (self.output > 0))

    def negation(self) -> Linear:
        """The constraint that holds exactly where this one does not, on negated literals; the output is kept."""
        total = sum(coefficient for coefficient, _ in self.terms)
        return replace(self, terms=tuple((c, -literal) for c, literal in self.terms), bound=total - self.bound + 1)

    def normal(self) -> Linear:
        """The same constraint with positive coefficients, clipped and coprime, by variable; no terms if constant.

        The bound is then from 1 to the sum of the coefficients, or 0 or 1 without terms.

        >>> Linear(((4, 1), (-2, 2), (2, 3)), 1).normal()
        Linear(terms=((2, 1), (1, -2), (1, 3)), bound=2, output=None)
        """
        if self.constant is not None:
            return Linear((), 0 if self.constant else 1, self.output)
        flipped = -sum(min(coefficient, 0) for coefficient, _ in self.terms)
        terms = tuple((abs(c), literal if c > 0 else -literal) for c, literal in self.terms if c)
        positive = replace(self, terms=tuple(sorted(terms, key=_variable)), bound=self.bound + flipped)
        return positive._coprime()._clipped().negation()._clipped().negation()._coprime()

    def canonical(self) -> tuple[Linear, bool]:
        """One normal constraint without output for equal and opposite ones, and whether this one is its negation.

        Constraints that differ in more than signs, clipping and common divisors may be equal and not be found so.
        """
        normal = replace(self, output=None).normal()
        if not normal.terms:
            return Linear((), 0), normal.bound > 0
        negated = normal.terms[0][1] < 0
        return normal.negation() if negated else normal, negated

    def _clipped(self) -> Linear:
        """No coefficient above the bound; for positive coefficients."""
        return replace(self, terms=tuple((min(c, self.bound), literal) for c, literal in self.terms))

    def _coprime(self) -> Linear:
        common = gcd(*(coefficient for coefficient, _ in self.terms))
        terms = tuple((coefficient // common, literal) for coefficient, literal in self.terms)
        return replace(self, terms=terms, bound=-(-self.bound // common))


def _variable(term: tuple[int, int]) -> int:
    return abs(term[1])
