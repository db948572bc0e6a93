"""Group and individual fairness on diagrams agree with pairs of rows of truth tables."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.fairness import conditional_counts, disparity, movable, twin
from bnnverify.diagram.stream import stream
from bnnverify.errors import UsageError
from tests.diagrams import assignments, diagram_of_tables, table_of
from tests.worlds import all_functions, parity, random_worlds


def roots_by_input(tables, n):
    """{input: number of its root} of the inputs that are in one."""
    rows = zip(assignments(n), zip(*tables, strict=True), strict=True)
    return {bits: values.index(True) for bits, values in rows if any(values)}


def reached(root_of, bits, levels):
    """The roots of all inputs that differ from one in these levels at most."""
    same = [i for i in range(len(bits)) if i not in levels]
    return {root for other, root in root_of.items() if all(other[i] == bits[i] for i in same)}


def random_levels(rng, n):
    return rng.permutation(n)[: rng.integers(0, n + 1)].tolist()


def test_conditional_counts_of_random_cubes():
    rng = np.random.default_rng(1)
    for diagram, tables in random_worlds(31, 60, 8):
        n = diagram.n_levels
        conditions = [{level: int(rng.integers(2)) for level in random_levels(rng, n)} for _ in range(3)]
        inside = [[all(bits[i] == v for i, v in c.items()) for bits in assignments(n)] for c in conditions]
        expected = [[sum(a and b for a, b in zip(table, rows, strict=True)) for table in tables] for rows in inside]
        assert conditional_counts(diagram, conditions) == expected


def test_counts_given_a_bit_stay_exact_past_64_bits():
    assert conditional_counts(parity(300), [{7: 1, 200: 0}]) == [[1 << 297] * 2]


def check_movable(diagram, tables, levels):
    root_of = roots_by_input(tables, diagram.n_levels)
    found = movable(diagram, levels)
    expected = {pair: set() for pair in found.pairs}
    for bits, root in root_of.items():
        for other in reached(root_of, bits, levels) - {root}:
            expected[root, other].add(bits)
    for number, pair in enumerate(found.pairs):
        assert {tuple(row.tolist()) for row in stream(found.inputs, [number])} == expected[pair]
        assert found.counts[number] == len(expected[pair])
    for root in range(len(tables)):
        assert found.by_root[root] == len(set().union(*(expected[p] for p in expected if p[0] == root)))


def test_movable_inputs_of_every_function_and_its_complement():
    for diagram, (table,) in all_functions():
        tables = [table, [not value for value in table]]
        for chosen in assignments(diagram.n_levels):
            levels = [level for level, taken in enumerate(chosen) if taken]
            check_movable(diagram_of_tables(tables, diagram.n_levels), tables, levels)


def test_movable_inputs_of_random_disjoint_functions():
    rng = np.random.default_rng(2)
    for diagram, tables in random_worlds(32, 60, 7):
        check_movable(diagram, tables, random_levels(rng, diagram.n_levels))


def test_every_input_of_a_parity_hangs_on_any_bit():
    assert movable(parity(100), [50]).by_root == (1 << 99, 1 << 99)


def test_twins_are_nearest_and_differ_in_the_levels_alone():
    rng = np.random.default_rng(5)
    for diagram, tables in random_worlds(33, 60, 7):
        n = diagram.n_levels
        levels, x = random_levels(rng, n), rng.integers(0, 2, n).astype(np.uint8)
        same = [i for i in range(n) if i not in levels]
        rows = [np.array(bits) for bits, value in zip(assignments(n), tables[1], strict=True) if value]
        distances = [int((row != x).sum()) for row in rows if (row[same] == x[same]).all()]
        found = twin(diagram, [1], x, levels)
        assert (found is None) == (not distances)
        if found is not None:
            assert table_of(diagram, 1)[assignments(n).index(tuple(found.tolist()))]
            assert (found[same] == x[same]).all()
            assert int((found != x).sum()) == min(distances)


@given(st.lists(st.fractions(0, 1), min_size=1))
def test_disparities_bound_all_pairs_of_rates(rates):
    difference, ratio = disparity(rates)
    assert all(a - b <= difference and (a == b or min(a, b) >= ratio * max(a, b)) for a in rates for b in rates)
    assert difference in {a - b for a in rates for b in rates}


def test_disparity_of_equal_zeros_and_of_nothing():
    assert disparity([Fraction(0), Fraction(0)]) == (0, 1)
    with pytest.raises(UsageError, match="found no rates"):
        disparity([])
