"""Exact, a pseudo-Boolean solver that learns by cutting planes, as a back end (PyPI ``exact``).

It takes reified linear constraints as they are, with integers of any size.

Reference: Elffers, Nordstrom, "Divide and conquer: towards faster pseudo-Boolean solving", IJCAI 2018.
"""

from __future__ import annotations

from typing import Any

from bnnverify.backends.answers import Answer, Request, met, require_package, unmet
from encoders.formula import Formula
from encoders.linear import Terms

EXTRA = "solvers"
Row = tuple[list[tuple[int, str]], int]


def run_exact(formula: Formula, request: Request) -> Answer:
    """By Exact.

    Raises:
        UnsupportedError: if the package is not installed.
    """
    solver = require_package("exact", EXTRA).Exact([("seed", str(request.seed + 1))])
    names = [str(v) for v in range(1, formula.n_variables + 1)]
    for name in names:
        solver.addVariable(name)
    _load(solver, formula)
    solver.setSolutionHints([(str(abs(literal)), int(literal > 0)) for literal in request.prefer])
    state = solver.runFull(False)
    if state == "SAT":
        values = solver.getLastSolutionFor(names)
        return met((v for v, value in enumerate(values, 1) if value), formula.n_variables)
    return unmet() if state == "UNSAT" else Answer(None, None, f"Exact ended with {state}")


def _load(solver: Any, formula: Formula) -> None:
    for clause in formula.clauses:
        terms, bound = _positive(tuple((1, literal) for literal in dict.fromkeys(clause)), 1)
        solver.addConstraint(terms, True, bound)
    for row in formula.linears():
        terms, bound = _positive(row.terms, row.bound)
        if row.output is None:
            solver.addConstraint(terms, True, bound)
        else:
            solver.addReification(str(abs(row.output)), row.output > 0, terms, bound)


def _positive(terms: Terms, bound: int) -> Row:
    """The same constraint over variables: a negated literal is 1 less its variable."""
    negative = sum(weight for weight, literal in terms if literal < 0)
    return [(weight if literal > 0 else -weight, str(abs(literal))) for weight, literal in terms], bound - negative
