"""The least cost at which a formula can be met: MaxSAT by RC2, which takes unsatisfiable cores of the costs apart.

A least perturbation is one: each input's change is a soft literal. Ours come from incremental search; this is their
cross-check by a library that goes another way. Weights are handled in strata, heaviest first.

Cost: a SAT call for each core, encodings of sums over the cores; native code that looks at no clock.

Reference: Ignatiev, Morgado, Marques-Silva, "RC2: an efficient MaxSAT solver", JSAT 2019.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.backends.answers import met
from bnnverify.backends.clausal import DEFAULT, to_cnf
from bnnverify.errors import ReplayError, UsageError
from encoders.formula import Formula

Soft = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Cheapest:
    """A least cost, and a model that has it: ``(n_variables + 1,)``."""

    cost: int
    model: NDArray[np.bool_]


def least_cost(formula: Formula, soft: Iterable[Soft], *, encoding: str = DEFAULT) -> Cheapest | None:
    """The least total weight of soft literals that are false in a model of the formula.

    Args:
        soft: pairs of a positive weight and a literal of the formula.
        encoding: a key of ``encoders.encode.ENCODINGS``, but not ``native``.

    Returns:
        The cost with a model, or None where the formula cannot be met.

    Raises:
        UsageError: if a weight or literal is out of range.
        ReplayError: if RC2's model does not meet the formula, or has another cost.
    """
    from pysat.examples.rc2 import RC2, RC2Stratified
    from pysat.formula import WCNF

    wanted = list(soft)
    _require_sense(formula, wanted)
    cnf = to_cnf(formula, encoding)
    hard = WCNF()
    hard.nv = cnf.n_variables
    hard.extend([list(clause) for clause in cnf.clauses])
    for weight, literal in wanted:
        hard.append([literal], weight=weight)
    without_costs = not wanted  # of which RC2's strata would fail
    with (RC2 if without_costs else RC2Stratified)(hard, solver="glucose4") as solver:
        literals = solver.compute()
        if literals is None:
            return None
        found = met(literals, formula.n_variables).model
        return _checked(formula, wanted, int(solver.cost), found)


def _require_sense(formula: Formula, soft: list[Soft]) -> None:
    for weight, literal in soft:
        if weight <= 0 or not 0 < abs(literal) <= formula.n_variables:
            raise UsageError(
                f"soft literal {literal} of weight {weight}: expected 1 to {formula.n_variables}, or its negative, and "
                "a positive weight"
            )


def _checked(formula: Formula, soft: list[Soft], cost: int, model: NDArray[np.bool_] | None) -> Cheapest:
    """The optimum, if the model meets the formula at just this cost."""
    if model is None or not formula.holds(model):
        raise ReplayError("the model of RC2 does not meet the formula: a bug, please report it")
    spent = sum(weight for weight, literal in soft if bool(model[abs(literal)]) != (literal > 0))
    if spent != cost:
        raise ReplayError(f"the model of RC2 costs {spent}, not {cost} as it says: a bug, please report it")
    return Cheapest(cost, model)
