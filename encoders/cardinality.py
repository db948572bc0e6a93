"""The cardinality constraint: at least so many of these literals are true. A neuron is one.

A neuron with weights +1, -1 and 0 compares a sum of signs with a threshold. That sum is the number of inputs that
agree with their weights less the number that do not, so the neuron is a plain count, and everything behind
this module (decision diagrams, CNF, pseudo-Boolean formulas) speaks of counts alone. Literals are as in DIMACS:
v + 1 for variable v, -(v + 1) for its negation.

At least k of n literals are true iff fewer than n - k + 1 of their negations are: the negation of a constraint is
a constraint, and :meth:`Cardinality.canonical` picks the same one of the two for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Cardinality:
    """At least ``bound`` of the literals are true; with an ``output``, that literal is true iff they are.

    Args:
        literals: +-(v + 1), each variable at most once.
        bound: any integer; 0 or less always holds, more than the number of literals never.
        output: a literal of another variable, or None.

    Raises:
        ValueError: if a literal is 0 or a variable stands twice.

    >>> Cardinality((1, -2, 3), 2).holds([True, True, True])
    True
    """

    literals: tuple[int, ...]
    bound: int
    output: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "literals", tuple(int(literal) for literal in self.literals))
        used = self.literals if self.output is None else (*self.literals, self.output)
        if 0 in used:
            raise ValueError("literal 0: expected +-(v + 1) for variable v")
        variables = [abs(literal) for literal in used]
        if len(set(variables)) < len(variables):
            twice = next(v for v in variables if variables.count(v) > 1)
            raise ValueError(f"variable {twice - 1} stands twice: expected each variable once")

    @classmethod
    def from_signs(cls, weights: Iterable[int], threshold: int, output: int | None = None) -> Cardinality:
        """The neuron ``sum_i weights[i] * x_i >= threshold`` over signs x, where variable i is true iff x_i is +1.

        Args:
            weights: each +1, -1 or 0.

        >>> Cardinality.from_signs([1, 0, -1], 0)
        Cardinality(literals=(1, -3), bound=1, output=None)
        """
        literals = tuple((i + 1) * int(w) for i, w in enumerate(weights) if w)
        return cls(literals, -((-int(threshold) - len(literals)) // 2), output)

    @property
    def constant(self) -> bool | None:
        """The truth value that the bound alone decides, if it does."""
        if self.bound <= 0:
            return True
        return False if self.bound > len(self.literals) else None

    def holds(self, values: Sequence[bool]) -> bool:
        """Whether enough literals are true, the output aside; ``values[v]`` is variable v's."""
        return sum(_is_true(literal, values) for literal in self.literals) >= self.bound

    def evaluate(self, values: Sequence[bool]) -> bool:
        """Whether the constraint is met, the output, if any, included."""
        return self.holds(values) if self.output is None else self.holds(values) == _is_true(self.output, values)

    def negation(self) -> Cardinality:
        """The constraint that holds exactly where this one does not; the output is kept."""
        negated = tuple(-literal for literal in self.literals)
        return replace(self, literals=negated, bound=len(negated) - self.bound + 1)

    def restricted(self, known: Mapping[int, bool]) -> Cardinality:
        """The same with some variables known; literals of the others remain."""
        left = tuple(literal for literal in self.literals if abs(literal) - 1 not in known)
        met = sum(known.get(abs(literal) - 1) is (literal > 0) for literal in self.literals)
        return replace(self, literals=left, bound=self.bound - met)

    def within(self, center: Sequence[bool], flips: int) -> bool | None:
        """The truth value at all assignments at most ``flips`` variables from the centre, if it is one."""
        met = sum(_is_true(literal, center) for literal in self.literals)
        if met >= self.bound:
            return True if met - min(flips, met) >= self.bound else None
        return False if met + min(flips, len(self.literals) - met) < self.bound else None

    def canonical(self) -> tuple[Cardinality, bool]:
        """One constraint without output for all equal and opposite ones, and whether this one is its negation.

        >>> a, b = Cardinality((1, -2), 1), Cardinality((2, -1), 2)
        >>> a.canonical() == (a, False), b.canonical() == (a, True)
        (True, True)
        """
        if self.constant is not None:
            return Cardinality((), 0), not self.constant
        negated = min(self.literals, key=abs) < 0
        chosen = self.negation() if negated else self
        return Cardinality(tuple(sorted(chosen.literals, key=abs)), chosen.bound), negated


def _is_true(literal: int, values: Sequence[bool]) -> bool:
    return bool(values[abs(literal) - 1]) == (literal > 0)
