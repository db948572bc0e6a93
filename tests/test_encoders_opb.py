"""Pseudo-Boolean text says exactly what the constraints say."""

from itertools import product

import numpy as np
import pytest

from encoders.cardinality import Cardinality
from encoders.linear import Linear
from encoders.opb import read_opb, write_opb


def constraints(n):
    rng = np.random.default_rng(n)
    signs = tuple(int(sign) * (v + 1) for v, sign in enumerate(rng.choice([-1, 1], n)))
    for literals, bound, output in product((tuple(range(1, n + 1)), signs), range(-1, n + 3), (None, n + 1, -n - 1)):
        yield Cardinality(literals, bound, output)
        coefficients = rng.integers(-3, 4, n).tolist()
        yield Linear(tuple(zip(coefficients, literals, strict=True)), bound, output)


@pytest.mark.parametrize("n", range(1, 7))
def test_the_text_of_a_constraint_has_its_truth_table(n):
    for constraint in constraints(n):
        problem = read_opb(write_opb([constraint], n + 1))
        for values in product((False, True), repeat=n + 1):
            met = all(inequality.holds(values) for inequality in problem.constraints)
            assert met == constraint.evaluate(values), constraint


def test_an_objective_and_several_constraints_are_written_and_read():
    text = write_opb([Cardinality((1, 2), 1), Cardinality((1,), 1, -3)], 3, minimize=[(2, 1), (5, -2)])
    assert text.splitlines() == [
        "* #variable= 3 #constraint= 3",
        "min: +2 x1 -5 x2 ;",
        "+1 x1 +1 x2 >= 1 ;",
        "+1 x1 +1 x3 >= 1 ;",
        "-1 x1 -1 x3 >= -1 ;",
    ]
    problem = read_opb(text)
    assert (problem.n_variables, len(problem.constraints), problem.minimize) == (3, 3, ((2, 1), (-5, 2)))


def test_variables_beyond_the_problem_are_refused():
    for constraint, minimize in ((Cardinality((1, 3), 1), None), (Cardinality((1,), 1), [(1, -3)])):
        with pytest.raises(ValueError, match="variable 2, expected one below 2"):
            write_opb([constraint], 2, minimize=minimize)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: ''"),
        ("+1 x1 >= 1 ;", "line 1"),
        ("* #variable= 1 #constraint= 1\n+1 x1 >= 1;", "line 2"),
        ("* #variable= 1 #constraint= 1\n+1 y1 >= 1 ;", "terms '"),
        ("* #variable= 1 #constraint= 1\n>= 1 ;", "terms ''"),
        ("* #variable= 1 #constraint= 1\n+1 x2 >= 1 ;", "from x1 to x1"),
        ("* #variable= 1 #constraint= 1\n+1 x1 +2 x1 >= 1 ;", "distinct"),
        ("* #variable= 1 #constraint= 2\n+1 x1 >= 1 ;", "1 constraints, expected 2"),
    ],
)
def test_text_of_another_form_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_opb(text)
