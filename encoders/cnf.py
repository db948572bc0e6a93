"""A formula in conjunctive normal form that grows, and its DIMACS text.

Encoders share one formula: each takes the variables it needs from it and adds clauses. Literals are as in DIMACS,
v + 1 for variable v and -(v + 1) for its negation. One literal can stand for *true*; clauses are simplified by it, so
encoders need no special cases for constants. Beside the clauses a formula can hold at-most constraints as they are,
for solvers that know them (PySAT's Minicard and Gluecard); the text is then in PySAT's CNF+.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Cnf:
    """Clauses, at-most constraints, and the supply of variables.

    Args:
        n_variables: how many variables the caller has already; new ones come after these.

    >>> formula = Cnf(2)
    >>> formula.add(1, -2)
    >>> formula.new_variable()
    3
    >>> print(formula.dimacs(), end="")
    p cnf 3 1
    1 -2 0
    """

    def __init__(self, n_variables: int = 0) -> None:
        self.n_variables = n_variables
        self.clauses: list[tuple[int, ...]] = []
        self.at_mosts: list[tuple[tuple[int, ...], int]] = []
        self._true: int | None = None

    @property
    def true(self) -> int:
        """The literal that is always true, made at the first call."""
        if self._true is None:
            variable = self.new_variable()
            self.add(variable)
            self._true = variable
        return self._true

    def new_variable(self) -> int:
        """The positive literal of a variable that nothing uses yet."""
        self.n_variables += 1
        return self.n_variables

    def add(self, *literals: int) -> None:
        """At least one of the literals is true; a clause without literals makes the formula false."""
        if self._true is not None:
            if self._true in literals:
                return
            literals = tuple(literal for literal in literals if literal != -self._true)
        self.clauses.append(literals)

    def add_equal(self, left: int, right: int) -> None:
        """Two literals have one value."""
        self.add(-left, right)
        self.add(left, -right)

    def add_at_most(self, literals: Iterable[int], bound: int) -> None:
        """At most *bound* of the literals are true; a literal that stands twice counts twice."""
        self.at_mosts.append((tuple(literals), bound))

    def dimacs(self, *, show: Iterable[int] = ()) -> str:
        """The formula as DIMACS text, or CNF+ where it has at-most constraints.

        Args:
            show: the variables, as positive literals, on which a projected model counter is to count.
        """
        return "\n".join(self._lines(tuple(show))) + "\n"

    def _lines(self, show: tuple[int, ...]) -> Iterator[str]:
        kind = "cnf+" if self.at_mosts else "cnf"
        yield f"p {kind} {self.n_variables} {len(self.clauses) + len(self.at_mosts)}"
        if show:
            yield f"c p show {_spaced(show)} 0"
        yield from (f"{_spaced(clause)} 0" if clause else "0" for clause in self.clauses)
        yield from (f"{_spaced(literals)} <= {bound}" for literals, bound in self.at_mosts)


def _spaced(literals: tuple[int, ...]) -> str:
    return " ".join(map(str, literals))
