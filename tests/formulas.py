"""What a formula says, by a solver: for the tests of encoders."""

from itertools import product

from pysat.solvers import Solver


def open_solver(cnf):
    """A solver with the clauses and at-most constraints of a formula."""
    solver = Solver("minicard" if cnf.at_mosts else "minisat22", bootstrap_with=cnf.clauses)
    for literals, bound in cnf.at_mosts:
        solver.add_atmost(literals, bound)
    return solver


def literals_of(values):
    """The assignment as literals 1, -2, ...; None is left out."""
    return [v + 1 if value else -(v + 1) for v, value in enumerate(values) if value is not None]


def meaning(cnf, n_variables):
    """Whether the formula can be met, for each assignment of the first variables."""
    with open_solver(cnf) as solver:
        return [solver.solve(assumptions=literals_of(v)) for v in product((False, True), repeat=n_variables)]


def n_models(cnf):
    """The number of models, all variables counted."""
    with open_solver(cnf) as solver:
        return sum(1 for _ in solver.enum_models()) << (cnf.n_variables - max(solver.nof_vars(), 0))


def propagates_completely(cnf, evaluate, n_variables):
    """Whether unit propagation finds each literal of the first variables that a partial assignment implies.

    Solvers do not report what holds at once, so unit clauses wait for an assumption.
    """
    every = [(values, evaluate(values)) for values in product((False, True), repeat=n_variables)]
    units = cnf.n_variables + 1
    with Solver("minisat22", bootstrap_with=[(*c, -units) if len(c) == 1 else c for c in cnf.clauses]) as solver:
        partials = product((None, False, True), repeat=n_variables)
        return all(_finds_all(solver, every, partial, units) for partial in partials)


def _finds_all(solver, every, partial, units):
    models = [
        values
        for values, met in every
        if met and all(p is None or p == value for p, value in zip(partial, values, strict=True))
    ]
    consistent, found = solver.propagate(assumptions=[units, *literals_of(partial)])
    if not models:
        return not consistent
    fixed = [column[0] if len(set(column)) == 1 else None for column in zip(*models, strict=True)]
    return set(literals_of(fixed)) <= set(found) | set(literals_of(partial))
