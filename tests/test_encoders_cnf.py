"""A formula hands out variables, simplifies by its constant and writes DIMACS."""

import pytest
from pysat.formula import CNF, CNFPlus

from encoders.cnf import Cnf
from tests.formulas import meaning


def test_the_constant_vanishes_from_clauses():
    cnf = Cnf(2)
    true = cnf.true
    cnf.add(1, true)
    cnf.add(2, -true)
    assert (true, cnf.true, cnf.n_variables) == (3, 3, 3)
    assert cnf.clauses == [(3,), (2,)]


def test_equal_literals_have_one_value():
    cnf = Cnf(2)
    cnf.add_equal(1, -2)
    assert meaning(cnf, 2) == [False, True, True, False]


def test_an_empty_clause_is_never_met():
    cnf = Cnf(1)
    cnf.add()
    assert meaning(cnf, 1) == [False, False]
    assert cnf.dimacs() == "p cnf 1 1\n0\n"


def test_dimacs_text_is_read_back_by_pysat():
    cnf = Cnf(3)
    cnf.add(1, -2)
    cnf.add(-3)
    read = CNF(from_string=cnf.dimacs(show=[1, 2]))
    assert (read.nv, read.clauses) == (3, [[1, -2], [-3]])
    assert "c p show 1 2 0" in cnf.dimacs(show=[1, 2])


def test_at_most_constraints_are_read_back_by_pysat():
    cnf = Cnf(3)
    cnf.add(1, 2)
    cnf.add_at_most([1, 2, -3, -3], 2)
    read = CNFPlus(from_string=cnf.dimacs())
    assert (read.nv, read.clauses, read.atmosts) == (3, [[1, 2]], [[[1, 2, -3, -3], 2]])


@pytest.mark.parametrize(("bound", "expected"), [(0, [True, False]), (1, [True, False]), (2, [True, True])])
def test_a_literal_that_stands_twice_counts_twice(bound, expected):
    cnf = Cnf(1)
    cnf.add_at_most([1, 1], bound)
    assert meaning(cnf, 1) == expected
