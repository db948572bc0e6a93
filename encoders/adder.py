"""The binary adder: the sum in binary, compared with the bound bit by bit.

Literals of one weight go through full adders, three into a sum bit and a carry of twice the weight, until each weight
has one bit left; the comparison starts at the lowest bit. All gates are defined in both directions, so the values of
all new variables follow from the literals and model counts are preserved. Unit propagation does not find all that
the constraint implies.

Cost: O(n) variables and clauses for a cardinality constraint, O(n log c) with coefficients up to c: the smallest
encoding, and the only one here that does not grow with the bound.

Reference: Warners, "A linear-time transformation of linear inequalities into conjunctive normal form", 1998.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from encoders.cnf import Cnf
from encoders.linear import Terms


def define_adder(cnf: Cnf, terms: Terms, bound: int, output: int) -> None:
    """The output literal is true iff the coefficients of the true literals sum to *bound* or more.

    Args:
        terms: pairs of a positive coefficient and a literal.
        bound: from 1 to the sum of the coefficients.
        output: a literal of a variable that the formula does not constrain yet.
    """
    reached = cnf.true
    for i, bit in enumerate(_binary_sum(cnf, terms)):
        reached = _conjunction(cnf, bit, reached) if bound >> i & 1 else -_conjunction(cnf, -bit, -reached)
    cnf.add_equal(output, reached)


def _binary_sum(cnf: Cnf, terms: Terms) -> list[int]:
    """The literals of the sum's bits, lowest first."""
    n_bits = sum(coefficient for coefficient, _ in terms).bit_length()
    columns = [deque(literal for c, literal in terms if c >> i & 1) for i in range(n_bits + 1)]
    for column, next_column in pairwise(columns):
        while len(column) > 1:
            third = column.popleft() if len(column) > 2 else -cnf.true
            first, second = column.popleft(), column.popleft()
            column.append(_parity(cnf, first, second, third))
            next_column.append(_majority(cnf, first, second, third))
    return [column[0] if column else -cnf.true for column in columns[:n_bits]]


def _parity(cnf: Cnf, a: int, b: int, c: int) -> int:
    """A new literal, true iff an odd number of the three is."""
    output = cnf.new_variable()
    for a_sign, b_sign, c_sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        cnf.add(output, -a_sign * a, b_sign * b, c_sign * c)
        cnf.add(-output, a_sign * a, b_sign * b, c_sign * c)
    return output


def _majority(cnf: Cnf, a: int, b: int, c: int) -> int:
    """A new literal, true iff at least two of the three are."""
    output = cnf.new_variable()
    for first, second in ((a, b), (a, c), (b, c)):
        cnf.add(output, -first, -second)
        cnf.add(-output, first, second)
    return output


def _conjunction(cnf: Cnf, a: int, b: int) -> int:
    """A literal that is true iff both are; no new one where a constant decides."""
    if b in (cnf.true, -cnf.true):
        return a if b == cnf.true else b
    output = cnf.new_variable()
    cnf.add(-output, a)
    cnf.add(-output, b)
    cnf.add(output, -a, -b)
    return output
