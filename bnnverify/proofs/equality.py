"""The rule for equalities: two literals are equal if what defines them reads the same, up to a normal form.

The literal's row, or its negation, is written over what is still open: fixed literals go into the bound, equal
literals become one representative, weights become positive. Then weights are clipped at both needs and divided by
their common divisor until nothing changes. Each of these keeps the set of solutions, so equal forms are equal
constraints. Cost: the row's terms, in Python's integers.
"""

from __future__ import annotations

from math import gcd

from bnnverify.proofs.propagation import State
from bnnverify.proofs.system import System

Form = tuple[tuple[tuple[int, int], ...], int]


class Equalities:
    """Literals known to be equal, and the forms of those that have rows."""

    def __init__(self, system: System, state: State) -> None:
        self._system, self._value, self._row_of = system, state.value, state.row_of
        self._parent: dict[int, int] = {}

    def implied(self, a: int, b: int) -> bool:
        """Whether two literals are defined alike, or one is defined as the other."""
        forms = self._form(a), self._form(b)
        return forms[0] == forms[1] or forms[0] == self._itself(b) or forms[1] == self._itself(a)

    def join(self, a: int, b: int) -> None:
        """From now on two literals are one."""
        a, b = self._find(a), self._find(b)
        if abs(a) != abs(b):
            self._parent[abs(a)] = b if a > 0 else -b

    def _find(self, literal: int) -> int:
        """The literal that stands for all equal ones."""
        while abs(literal) in self._parent:
            parent = self._parent[abs(literal)]
            literal = parent if literal > 0 else -parent
        return literal

    def _fixed(self, literal: int) -> int:
        return int(self._value[2 * abs(literal) + (literal < 0)])

    def _itself(self, literal: int) -> Form:
        return self._normal([(1, literal)], 1)

    def _form(self, literal: int) -> Form:
        index = int(self._row_of[abs(literal)])
        if index < 0:
            return self._itself(literal)
        row = self._system.row(index)
        weights, literals = [int(w) for w in row.weights], row.literals.tolist()
        if literal > 0:
            return self._normal(list(zip(weights, literals, strict=True)), row.bound)
        negated = [(w, -other) for w, other in zip(weights, literals, strict=True)]
        return self._normal(negated, sum(weights) - row.bound + 1)

    def _normal(self, terms: list[tuple[int, int]], bound: int) -> Form:
        """The form of ``sum >= bound``."""
        sums: dict[int, int] = {}
        for weight, literal in terms:
            if self._fixed(literal):
                bound -= weight * (self._fixed(literal) > 0)
                continue
            one = self._find(literal)
            bound -= weight * (one < 0)
            sums[abs(one)] = sums.get(abs(one), 0) + (weight if one > 0 else -weight)
        bound += sum(-w for w in sums.values() if w < 0)
        return reduced([(abs(w), v if w > 0 else -v) for v, w in sorted(sums.items()) if w], bound)


def reduced(terms: list[tuple[int, int]], bound: int) -> Form:
    """Positive weights as small as clipping and a common divisor make them; no terms if constant.

    >>> reduced([(4, 1), (2, -2), (2, 3)], 3)
    (((2, 1), (1, -2), (1, 3)), 2)
    """
    while True:
        total = sum(w for w, _ in terms)
        if bound <= 0 or bound > total:
            return (), int(bound > 0)
        common = gcd(*(w for w, _ in terms))
        smaller, bound = [(w // common, v) for w, v in terms], -(-bound // common)
        smaller = [(min(w, bound), v) for w, v in smaller]
        total = sum(w for w, _ in smaller)
        other = total - bound + 1
        smaller = [(min(w, other), v) for w, v in smaller]
        bound -= total - sum(w for w, _ in smaller)
        if smaller == terms:
            return tuple(terms), bound
        terms = smaller
