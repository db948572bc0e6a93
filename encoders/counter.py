"""The sequential counter: the grid of a constraint's decision diagram, one new variable a state.

The states of :func:`encoders.obdd.linear_grid` say what the terms read so far leave to be reached. With positive
coefficients a state that is true after an absent literal is also true after a present one, so a state needs two binary
and two ternary clauses, one pair for each direction. The values of all new variables follow from the literals, model
counts are preserved, and unit propagation finds all that the constraint implies.

Cost: n min(k, n - k + 1) variables at most, four times as many clauses, for at least k of n literals; with
coefficients, the distinct sums of a level take the place of k.

References: Sinz, "Towards an optimal CNF encoding of Boolean cardinality constraints", 2005; Abio et al., "A new look
at BDDs for pseudo-Boolean constraints", 2012.
"""

from __future__ import annotations

from encoders.cnf import Cnf
from encoders.linear import Terms
from encoders.obdd import linear_grid


def define_counter(cnf: Cnf, terms: Terms, bound: int, output: int) -> None:
    """The output literal is true iff the coefficients of the true literals sum to *bound* or more.

    Args:
        terms: pairs of a positive coefficient and a literal.
        bound: from 1 to the sum of the coefficients.
        output: a literal of a variable that the formula does not constrain yet.

    Raises:
        ValueError: if the coefficients sum to 2^62 or more, past the grid's 64-bit integers.
    """
    if sum(coefficient for coefficient, _ in terms) >> 62:
        raise ValueError("coefficients sum to 2^62 or more, expected less for a counter")
    ordered = sorted(terms, reverse=True)
    grid = linear_grid([coefficient for coefficient, _ in ordered], bound)
    levels = list(zip(ordered, grid.low, grid.high, strict=False))
    after: list[int] = []
    for i, ((_, literal), low, high) in reversed(list(enumerate(levels))):
        children = [-cnf.true, cnf.true, *after]
        after = [cnf.new_variable() if i else output for _ in range(low.size)]
        for state, absent, present in zip(after, low.tolist(), high.tolist(), strict=True):
            _set_state(cnf, state, literal, children[absent], children[present])


def _set_state(cnf: Cnf, state: int, literal: int, absent: int, present: int) -> None:
    """The state is *present* if the literal is true, else *absent*, which implies *present*."""
    cnf.add(-state, present)
    cnf.add(-state, literal, absent)
    cnf.add(state, -absent)
    cnf.add(state, -literal, -present)
