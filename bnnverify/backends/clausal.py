"""PySAT's solvers as back ends: clauses by an encoding, at-most constraints as they are where a solver knows them.

Minicard and Gluecard count in their propagation, so ``native`` hands them each row as two at-most constraints in which
the output is repeated until it outweighs the literals. The others get clauses alone. An encoding that repeats literals
for weights is refused where the copies would fill the memory. MapleSAT is not among the back ends, as PySAT's crashes
on a formula without clauses.

Reference: Ignatiev, Morgado, Marques-Silva, "PySAT: A Python toolkit for prototyping with SAT oracles", SAT 2018.
"""

from __future__ import annotations

import contextlib

from bnnverify.backends.answers import Answer, Request, met, unmet
from bnnverify.errors import UnsupportedError, UsageError
from encoders.cnf import Cnf
from encoders.encode import ENCODINGS, encode
from encoders.formula import Formula
from encoders.pysatcards import UnsupportedBoundError

NATIVE = "native"
DEFAULT = "two-sided"
CLAUSAL = (DEFAULT, *(name for name in ENCODINGS if name not in (DEFAULT, NATIVE)))
WEIGHTED = ("two-sided", "adder", "counter")
MOST_COPIES = 20_000_000


def to_cnf(formula: Formula, encoding: str) -> Cnf:
    """The formula as clauses; its variables keep their numbers.

    Args:
        encoding: one of ``CLAUSAL``.

    Raises:
        UsageError: if there is no such encoding into clauses.
        UnsupportedError: if the encoding does not exist for a bound of the formula, or repeats literals too often.

    Cost: that of the encoding; about ten microseconds a term besides.
    """
    if encoding not in CLAUSAL:
        raise UsageError(f"encoding {encoding!r} into clauses: expected one of {', '.join(CLAUSAL)}")
    return _encoded(formula, encoding)


def _encoded(formula: Formula, encoding: str) -> Cnf:
    copies = int(formula.weights.sum())
    if encoding not in WEIGHTED and copies > MOST_COPIES:
        raise UnsupportedError(
            f"encoding {encoding} would repeat literals {copies} times, at most {MOST_COPIES} are tried: take adder"
        )
    cnf = Cnf(formula.n_variables)
    for clause in formula.clauses:
        cnf.add(*clause)
    try:
        for row in formula.linears():
            encode(cnf, row, encoding)
    except UnsupportedBoundError as error:
        raise UnsupportedError(f"encoding {error}; take {DEFAULT}") from error
    return cnf


def run_pysat(name: str, formula: Formula, request: Request) -> Answer:
    """By one of PySAT's solvers; the seed is not used, as none of them has one in PySAT.

    Args:
        name: of a solver of ``pysat.solvers``; one that knows at-most constraints if the encoding is ``native``.

    Raises:
        UnsupportedError: if this version of PySAT does not have the solver, or see :func:`to_cnf`.
    """
    from pysat.solvers import NoSuchSolverError, Solver

    cnf = _encoded(formula, request.encoding or DEFAULT)
    try:
        solver = Solver(name, bootstrap_with=cnf.clauses)
    except NoSuchSolverError as error:
        raise UnsupportedError(f"this version of python-sat has no solver {name}: install a newer one") from error
    with solver:
        for literals, bound in cnf.at_mosts:
            solver.add_atmost(literals, bound)
        with contextlib.suppress(NotImplementedError):
            solver.set_phases([literal for literal in request.prefer if abs(literal) <= solver.nof_vars()])
        return met(solver.get_model(), formula.n_variables) if solver.solve() else unmet()


def met_by(name: str, cnf: Cnf) -> bool:
    """Whether clauses can be met, by one of PySAT's solvers."""
    from pysat.solvers import Solver

    with Solver(name, bootstrap_with=cnf.clauses) as solver:
        return bool(solver.solve())
