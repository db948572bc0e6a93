"""Constraints into a formula: one table of encodings, one place for constants, one output for equal constraints.

An encoding makes a literal equal to a normal constraint (*define*) or makes the constraint hold (*require*). Which is
best depends on the solver and the network; the functional ones keep the number of models, and those that propagate
completely let unit propagation find every literal that the constraint implies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from encoders.adder import define_adder
from encoders.cardinality import Cardinality
from encoders.cnf import Cnf
from encoders.counter import define_counter
from encoders.linear import Linear, Terms
from encoders.pysatcards import NAMES, define_guarded, define_native, require_guarded, require_native
from encoders.totalizer import define_totalizer

Define = Callable[[Cnf, Terms, int, int], None]
Require = Callable[[Cnf, Terms, int], None]
Constraint = Cardinality | Linear


@dataclass(frozen=True)
class Encoding:
    """One way to say a constraint.

    Args:
        define: from formula, terms, bound and output, makes the output literal equal to the constraint.
        require: from formula, terms and bound, makes the constraint hold.
        functional: whether the literals of a constraint determine all new variables.
    """

    define: Define
    require: Require
    functional: bool


def _functional(define: Define) -> Encoding:
    """An encoding in which what is required is defined and true, so that model counts are kept."""
    return Encoding(define, lambda cnf, terms, bound: define(cnf, terms, bound, cnf.true), functional=True)


ENCODINGS: dict[str, Encoding] = {
    "two-sided": _functional(define_totalizer),
    "adder": _functional(define_adder),
    "counter": _functional(define_counter),
    "native": Encoding(define_native, require_native, functional=False),
} | {name: Encoding(partial(define_guarded, name), partial(require_guarded, name), functional=False) for name in NAMES}


def encode(cnf: Cnf, constraint: Constraint, encoding: str) -> None:
    """Adds a constraint, reified if it has an output.

    Args:
        constraint: on variables of the formula.
        encoding: a key of ``ENCODINGS``.

    Raises:
        ValueError: if a variable is not of the formula.
        UnsupportedBoundError: if the encoding is one of PySAT's that exist for few bounds.

    >>> formula = Cnf(3)
    >>> encode(formula, Cardinality((1, 2), 1, output=3), "counter")
    """
    linear = Linear.of(constraint)
    if linear.n_variables > cnf.n_variables:
        raise ValueError(f"variable {linear.n_variables - 1}, expected one of the formula's {cnf.n_variables}")
    normal = linear.normal()
    if not normal.terms:
        _require_constant(cnf, normal)
    elif normal.output is None:
        ENCODINGS[encoding].require(cnf, normal.terms, normal.bound)
    else:
        ENCODINGS[encoding].define(cnf, normal.terms, normal.bound, normal.output)


def _require_constant(cnf: Cnf, normal: Linear) -> None:
    holds = normal.bound <= 0
    if normal.output is not None:
        cnf.add(normal.output if holds else -normal.output)
    elif not holds:
        cnf.add()


class SharedOutputs:
    """Reified constraints in one formula, where equal and opposite ones have one output.

    >>> formula = Cnf(3)
    >>> shared = SharedOutputs(formula, "two-sided")
    >>> shared.literal(Cardinality((1, 2, -3), 2)) == -shared.literal(Cardinality((-1, -2, 3), 2))
    True
    """

    def __init__(self, cnf: Cnf, encoding: str) -> None:
        self.cnf = cnf
        self.encoding = encoding
        self._known: dict[Linear, int] = {}

    def literal(self, constraint: Constraint) -> int:
        """The literal that is true iff the constraint, its output aside, holds; encoded at the first call."""
        canonical, negated = Linear.of(constraint).canonical()
        if canonical not in self._known:
            self._known[canonical] = self._defined(canonical)
        return -self._known[canonical] if negated else self._known[canonical]

    def add(self, constraint: Constraint) -> None:
        """Adds a constraint; one with an output takes that literal as the shared one, or equals the known one."""
        output = constraint.output
        if output is None:
            encode(self.cnf, constraint, self.encoding)
            return
        canonical, negated = Linear.of(constraint).canonical()
        if canonical in self._known or len(canonical.terms) < 2:
            self.cnf.add_equal(output, self.literal(constraint))
            return
        self._known[canonical] = -output if negated else output
        encode(self.cnf, replace(canonical, output=self._known[canonical]), self.encoding)

    def _defined(self, canonical: Linear) -> int:
        if not canonical.terms:
            return self.cnf.true
        if len(canonical.terms) == 1:
            return canonical.terms[0][1]
        output = self.cnf.new_variable()
        encode(self.cnf, replace(canonical, output=output), self.encoding)
        return output
