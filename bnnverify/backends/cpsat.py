"""CP-SAT of OR-Tools as a back end, on one worker (PyPI ``ortools``).

A reified row becomes two enforced linear constraints, one for each value of its output.

Reference: Perron, Didier, Gay, "The CP-SAT-LP solver", CP 2023.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bnnverify.backends.answers import Answer, Request, met, require_package, unmet
from encoders.formula import Formula
from encoders.linear import Linear

EXTRA = "solvers"
MOST_SEED = 2**31 - 1
NO_LIMIT_MIB = 1 << 40


def run_cpsat(formula: Formula, request: Request) -> Answer:
    """By CP-SAT.

    Raises:
        UnsupportedError: if the package is not installed.
        RuntimeError: if CP-SAT does not accept the model, as with weights near 2^63, or was interrupted.
    """
    cp_model = require_package("ortools.sat.python.cp_model", EXTRA)
    model = cp_model.CpModel()
    variables = [model.new_bool_var("") for _ in range(formula.n_variables)]
    _load(cp_model, model, variables, formula)
    for literal in request.prefer:
        model.add_hint(variables[abs(literal) - 1], int(literal > 0))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_memory_in_mb = NO_LIMIT_MIB
    solver.parameters.random_seed = request.seed % MOST_SEED
    with _interrupts_kept():
        status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        true = (v for v, variable in enumerate(variables, 1) if solver.value(variable))
        return met(true, formula.n_variables)
    if status == cp_model.MODEL_INVALID:
        raise RuntimeError(f"CP-SAT did not accept the model: {model.validate()}")
    if status == cp_model.INFEASIBLE:
        return unmet()
    raise RuntimeError("CP-SAT was interrupted: no limit is set that could have ended it")


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Put Python's handler of interrupts back, in whose place CP-SAT leaves the system's, which ends the process."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def _load(cp_model: Any, model: Any, variables: list[Any], formula: Formula) -> None:
    for clause in formula.clauses:
        model.add_bool_or([_literal(variables, literal) for literal in clause])
    for row in formula.linears():
        if row.output is None:
            _at_least(cp_model, model, variables, row)
            continue
        output = _literal(variables, row.output)
        _at_least(cp_model, model, variables, row).only_enforce_if(output)
        _at_least(cp_model, model, variables, row.negation()).only_enforce_if(output.negated())


def _literal(variables: list[Any], literal: int) -> Any:
    variable = variables[abs(literal) - 1]
    return variable if literal > 0 else variable.negated()


def _at_least(cp_model: Any, model: Any, variables: list[Any], row: Linear) -> Any:
    """The row without its output; a negated literal is 1 less its variable."""
    weights = [weight if literal > 0 else -weight for weight, literal in row.terms]
    total = cp_model.LinearExpr.weighted_sum([variables[abs(literal) - 1] for _, literal in row.terms], weights)
    return model.add_linear_constraint(total, row.bound + sum(min(w, 0) for w in weights), sum(map(abs, weights)))
