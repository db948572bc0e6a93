"""Every reified cardinality constraint of up to four literals, against its truth table."""

from itertools import combinations, product

import numpy as np
import pytest

from bnnverify.errors import UsageError
from bnnverify.solver.solver import Solver

SIGNS_OF = {n: list(product((1, -1), repeat=n)) for n in range(5)}


def constrained(signs: tuple[int, ...], bound: int, sign: int) -> Solver:
    """``y <-> at least bound`` of the first variables with these signs, y the next variable with this sign."""
    solver = Solver()
    variables = [solver.new_var() for _ in signs]
    output = sign * solver.new_var()
    solver.add_at_least([s * v for s, v in zip(signs, variables, strict=True)], bound, reified=output)
    return solver


def cases() -> list[tuple[tuple[int, ...], int, int]]:
    return [(signs, k, y) for n in range(5) for signs in SIGNS_OF[n] for k in range(-1, n + 2) for y in (1, -1)]


def test_every_total_assignment_is_accepted_exactly_where_the_table_says_so() -> None:
    for signs, bound, sign in cases():
        solver = constrained(signs, bound, sign)
        for values in SIGNS_OF[len(signs)]:
            holds = sum(a == b for a, b in zip(signs, values, strict=True)) >= bound
            assumptions = [v * (i + 1) for i, v in enumerate(values)]
            output = sign * (len(signs) + 1)
            assert solver.solve([*assumptions, output]) is holds
            assert solver.solve([*assumptions, -output]) is not holds


def models(signs: tuple[int, ...], bound: int, sign: int) -> list[tuple[int, ...]]:
    rows = product((1, -1), repeat=len(signs) + 1)
    return [
        row for row in rows if (sum(a == b for a, b in zip(signs, row, strict=False)) >= bound) == (row[-1] == sign)
    ]


@pytest.mark.parametrize("n", [2, 3])
def test_every_partial_assignment_is_answered_and_refuted_by_a_core_that_suffices(n: int) -> None:
    for signs, bound, sign in (case for case in cases() if len(case[0]) == n):
        solver, table = constrained(signs, bound, sign), models(signs, bound, sign)
        for partial in product((-1, 0, 1), repeat=n + 1):
            wanted = [(i, value) for i, value in enumerate(partial) if value]
            left = [row for row in table if all(row[i] == value for i, value in wanted)]
            assert solver.solve([value * (i + 1) for i, value in wanted]) is bool(left)
            if left:
                assert tuple(np.sign(solver.model or [])) in left
            else:
                core = solver.core or []
                assert set(core) <= {value * (i + 1) for i, value in wanted}
                assert not [row for row in table if all(row[abs(p) - 1] * p > 0 for p in core)]


def test_a_partial_assignment_that_decides_a_literal_decides_it_without_a_conflict() -> None:
    for signs, bound, sign in (case for case in cases() if len(case[0]) == 4):
        solver, table = constrained(signs, bound, sign), models(signs, bound, sign)
        for known in combinations(range(5), 3):
            row = table[len(known) % len(table)]
            left = [other for other in table if all(other[i] == row[i] for i in known)]
            for i in set(range(5)) - set(known):
                if len({other[i] for other in left}) == 1:
                    opposite = [row[j] * (j + 1) for j in known] + [-left[0][i] * (i + 1)]
                    before = solver.stats.conflicts
                    assert solver.solve(opposite) is False
                    assert solver.stats.conflicts == before


def test_a_repeated_literal_counts_as_often_and_a_complementary_pair_counts_once() -> None:
    for literals in product((1, -1, 2, -2, 3), repeat=3):
        for bound in range(5):
            solver = Solver()
            for _ in range(3):
                solver.new_var()
            solver.add_at_least(literals, bound)
            for row in product((1, -1), repeat=3):
                holds = sum(row[abs(p) - 1] * p > 0 for p in literals) >= bound
                assert solver.solve([(i + 1) * value for i, value in enumerate(row)]) is holds


def test_an_output_may_be_a_literal_of_its_own_constraint() -> None:
    for signs, bound, output in product(SIGNS_OF[3], range(1, 4), (1, -1, 2, -3)):
        solver = Solver()
        literals = [solver.new_var() * sign for sign in signs]
        solver.add_at_least(literals, bound, reified=output)
        for row in product((1, -1), repeat=3):
            holds = sum(row[abs(p) - 1] * p > 0 for p in literals) >= bound
            expected = holds == (row[abs(output) - 1] * output > 0)
            assert solver.solve([(i + 1) * value for i, value in enumerate(row)]) is expected


@pytest.mark.parametrize("literal", [0, 2, -2])
def test_a_literal_of_no_variable_is_refused(literal: int) -> None:
    solver = Solver()
    solver.new_var()
    for call in (solver.add_clause, solver.solve, lambda literals: solver.add_at_least(literals, 1)):
        with pytest.raises(UsageError, match=f"literal {literal}: expected 1 to 1"):
            call([literal])


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(UsageError, match="expected at least 0"):
        Solver().solve(timeout=-1.0)
    with pytest.raises(UsageError, match="expected at least 0"):
        Solver().solve(conflict_limit=-1)
