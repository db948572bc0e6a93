"""Constraints as pseudo-Boolean inequalities, and their text in the format of the solver competitions.

A normal constraint is one inequality as it stands. A reified one is two: the output, times the bound, relaxes the
constraint where it is false, and its negation likewise the opposite one, each with the least factor that does. No
variable is added, so model counts are preserved. Text has positive literals only; the reader is as strict as the
writer is plain.

Reference: Roussel, Manquinho, "Input/output format and solver requirements for the competitions of pseudo-Boolean
solvers", 2012.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from encoders.cardinality import Cardinality
from encoders.linear import Linear, Terms

HEADER = re.compile(r"\* #variable= (\d+) #constraint= (\d+)")
TERM = re.compile(r"([+-]\d+) x([1-9]\d*) ")


@dataclass(frozen=True)
class Opb:
    """A pseudo-Boolean problem.

    Args:
        n_variables: variables v of 0 .. n_variables - 1; named x1, x2, ... in text.
        constraints: without outputs.
        minimize: the terms of an objective, or None.
    """

    n_variables: int
    constraints: tuple[Linear, ...]
    minimize: Terms | None = None


def inequalities(constraint: Cardinality | Linear) -> list[Linear]:
    """Normal constraints without output that together say the same; none if it always holds.

    One that never holds is ``2 x >= 3`` of variable 0.

    >>> [c.terms for c in inequalities(Cardinality((1, 2), 1, output=3))]
    [((1, 1), (1, 2), (1, -3)), ((1, -1), (1, -2), (2, 3))]
    """
    normal = Linear.of(constraint).normal()
    if not normal.terms:
        return _constant(normal)
    if normal.output is None:
        return [normal]
    opposite = normal.negation()
    relaxed = Linear((*normal.terms, (normal.bound, -normal.output)), normal.bound)
    return [relaxed, Linear((*opposite.terms, (opposite.bound, normal.output)), opposite.bound)]


def write_opb(
    constraints: Iterable[Cardinality | Linear], n_variables: int, *, minimize: Sequence[tuple[int, int]] | None = None
) -> str:
    """The text of constraints, reified or not.

    Args:
        n_variables: at least 1; the constraints' variables are below it.
        minimize: pairs of a coefficient and a literal whose sum over the true literals is to be least. The constant
            that negated literals leave is not in the text.

    Raises:
        ValueError: if there is no variable, or a constraint or the objective has one beyond them.

    >>> print(write_opb([Cardinality((1, -2), 2)], 2), end="")
    * #variable= 2 #constraint= 1
    +1 x1 -1 x2 >= 1 ;
    """
    every = [inequality for constraint in constraints for inequality in inequalities(constraint)]
    objective = Linear(tuple(minimize or ()), 0)
    largest = max(linear.n_variables for linear in (Linear(((1, 1),), 0), objective, *every))
    if largest > n_variables:
        raise ValueError(f"variable {largest - 1}, expected one below {n_variables}")
    lines = [f"* #variable= {n_variables} #constraint= {len(every)}"]
    if objective.terms:
        lines.append(f"min: {_terms(objective.terms)};")
    lines += [f"{_terms(c.terms)}>= {c.bound - _negative(c.terms)} ;" for c in every]
    return "\n".join(lines) + "\n"


def read_opb(text: str) -> Opb:
    """The problem of a text as :func:`write_opb` writes it: one statement a line, ``>=`` only.

    Raises:
        ValueError: if a line is not of that form, a variable is beyond the header's number or twice in a line, or the
            header counts other constraints than there are.
    """
    first, *lines = text.splitlines() or [""]
    header = HEADER.fullmatch(first)
    if not header:
        raise ValueError(f"line 1: {first!r}, expected '* #variable= N #constraint= M'")
    n_variables, n_constraints = map(int, header.groups())
    objective = re.fullmatch(r"min: (.*);", lines[0]) if lines else None
    body = list(enumerate(lines, 2))[1 if objective else 0 :]
    constraints = tuple(_constraint(number, line, n_variables) for number, line in body)
    if len(constraints) != n_constraints:
        raise ValueError(f"{len(constraints)} constraints, expected {n_constraints} as in the header")
    minimize = _read_terms(2, objective[1], n_variables) if objective else None
    return Opb(n_variables, constraints, minimize)


def _constant(normal: Linear) -> list[Linear]:
    holds = normal.bound <= 0
    if normal.output is not None:
        return [Linear(((1, normal.output if holds else -normal.output),), 1)]
    return [] if holds else [Linear(((2, 1),), 3)]


def _terms(terms: Iterable[tuple[int, int]]) -> str:
    """Each term with a positive literal; a negated literal is 1 less it."""
    return "".join(f"{c if literal > 0 else -c:+d} x{abs(literal)} " for c, literal in terms)


def _negative(terms: Iterable[tuple[int, int]]) -> int:
    """What the negated literals add before any variable is true."""
    return sum(coefficient for coefficient, literal in terms if literal < 0)


def _constraint(number: int, line: str, n_variables: int) -> Linear:
    parts = re.fullmatch(r"(.*)>= (-?\d+) ;", line)
    if not parts:
        raise ValueError(f"line {number}: {line!r}, expected '+1 x1 -2 x2 >= 1 ;'")
    return Linear(_read_terms(number, parts[1], n_variables), int(parts[2]))


def _read_terms(number: int, text: str, n_variables: int) -> Terms:
    terms = tuple((int(coefficient), int(variable)) for coefficient, variable in TERM.findall(text))
    if not terms or TERM.sub("", text):
        raise ValueError(f"line {number}: terms {text!r}, expected like '+1 x1 -2 x2 '")
    variables = [variable for _, variable in terms]
    if max(variables) > n_variables or len(set(variables)) < len(variables):
        raise ValueError(f"line {number}: variables {variables}, expected distinct ones from x1 to x{n_variables}")
    return terms
