"""PySAT's cardinality encodings, reified.

They say "at least k of these literals", and nothing else; a reified constraint says it twice, once of the literals
where the output is true and once of their negations where it is false, each guarded by the output. A guard is needed
only in clauses that the new variables cannot satisfy by themselves: if all new variables being true (or all false)
satisfies the others whatever the literals are, those may stand unguarded, where they still propagate. Whichever of
the two values needs fewer guards is taken.

The new variables are not functions of the literals: model counts must be projected. Coefficients are repeated
literals, so they should be small. ``native`` gives at-most constraints in place of clauses, the output repeated until
it outweighs the others. PySAT gives empty or wrong formulas, silently, for bounds below 1 or above n: callers have
normal constraints, whose bounds are inside.

Reference: https://pysathq.github.io (``pysat.card``).
"""

from __future__ import annotations

from collections.abc import Sequence

from pysat.card import CardEnc, EncType, UnsupportedBound

from encoders.cnf import Cnf
from encoders.linear import Terms

NAMES = (
    "pairwise",
    "seqcounter",
    "sortnetwrk",
    "cardnetwrk",
    "bitwise",
    "ladder",
    "totalizer",
    "mtotalizer",
    "kmtotalizer",
)


class UnsupportedBoundError(ValueError):
    """The encoding exists only for bounds next to 1 or to the number of literals."""


def define_guarded(name: str, cnf: Cnf, terms: Terms, bound: int, output: int) -> None:
    """The output literal is true iff the coefficients of the true literals sum to *bound* or more.

    Args:
        name: one of ``NAMES``.
        terms: pairs of a positive coefficient and a literal.
        bound: from 1 to the sum of the coefficients.

    Raises:
        UnsupportedBoundError: if PySAT does not have this encoding for the bound, either way round.
    """
    literals = _repeated(terms)
    negated = [-literal for literal in literals]
    for side, least, guard in ((literals, bound, -output), (negated, len(negated) - bound + 1, output)):
        first_new = cnf.n_variables + 1
        clauses = _at_least(name, cnf, side, least)
        free_sign = min((1, -1), key=lambda sign: len(_forced(clauses, first_new, sign)))
        forced = _forced(clauses, first_new, free_sign)
        for i, clause in enumerate(clauses):
            cnf.add(*clause, *([guard] if i in forced else []))


def require_guarded(name: str, cnf: Cnf, terms: Terms, bound: int) -> None:
    """The coefficients of the true literals sum to *bound* or more; arguments as in :func:`define_guarded`."""
    for clause in _at_least(name, cnf, _repeated(terms), bound):
        cnf.add(*clause)


def define_native(cnf: Cnf, terms: Terms, bound: int, output: int) -> None:
    """The same as :func:`define_guarded` by two at-most constraints, in which the output is repeated."""
    literals = _repeated(terms)
    slack = len(literals) - bound + 1
    cnf.add_at_most([-literal for literal in literals] + [output] * bound, len(literals))
    cnf.add_at_most(literals + [-output] * slack, len(literals))


def require_native(cnf: Cnf, terms: Terms, bound: int) -> None:
    """The coefficients of the true literals sum to *bound* or more, by an at-most constraint."""
    literals = _repeated(terms)
    cnf.add_at_most([-literal for literal in literals], len(literals) - bound)


def _repeated(terms: Terms) -> list[int]:
    return [literal for coefficient, literal in terms for _ in range(coefficient)]


def _at_least(name: str, cnf: Cnf, literals: Sequence[int], bound: int) -> list[list[int]]:
    """PySAT's clauses, their new variables taken from the formula."""
    kind = getattr(EncType, name)
    try:
        made = CardEnc.atleast(list(literals), bound=bound, top_id=cnf.n_variables, encoding=kind)
    except UnsupportedBound:
        n = len(literals)
        raise UnsupportedBoundError(f"{name}: at least {bound} of {n}, expected at least 1, {n - 1} or {n}") from None
    cnf.n_variables = max(cnf.n_variables, made.nv)
    clauses: list[list[int]] = made.clauses
    return clauses


def _forced(clauses: Sequence[Sequence[int]], first_new: int, sign: int) -> set[int]:
    """The numbers of the clauses that new variables of one sign leave unsatisfied."""
    return {i for i, clause in enumerate(clauses) if not any(sign * literal >= first_new for literal in clause)}
