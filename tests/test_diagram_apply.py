"""Operations on diagrams agree with operations on truth tables, for all functions of two variables and beyond."""

from itertools import product

import numpy as np
import pytest

from bnnverify.diagram.apply import AND, DIFF, IFF, OR, XOR, combine, complement, constant, cube, union
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.errors import UsageError
from tests.diagrams import assignments, diagram_of_tables, random_partition, table_of

OPERATIONS = {AND: "__and__", OR: "__or__", XOR: "__xor__", DIFF: None, IFF: None}


def expected(operation, f, g):
    return [bool(operation[2 * a + b]) for a, b in zip(f, g, strict=True)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_pair_of_functions_of_two_variables(operation):
    tables = list(product([False, True], repeat=4))
    diagram = diagram_of_tables(tables, 2)
    pairs = list(product(range(16), repeat=2))
    result = combine(diagram, diagram, pairs, operation)
    for root, (i, j) in enumerate(pairs):
        assert table_of(result, root) == expected(operation, tables[i], tables[j])


@pytest.mark.parametrize("n_levels", [0, 1, 4, 8])
def test_random_functions_give_reduced_results(n_levels):
    rng = np.random.default_rng(n_levels)
    for _ in range(30):
        a, b = (random_partition(rng, n_levels, 3, missing=0.3) for _ in range(2))
        for operation in OPERATIONS:
            pairs = [(0, 2), (1, 1)]
            result = combine(diagram_of_tables(a, n_levels), diagram_of_tables(b, n_levels), pairs, operation)
            tables = [expected(operation, a[i], b[j]) for i, j in pairs]
            assert [table_of(result, 0), table_of(result, 1)] == tables
            assert result.n_nodes == diagram_of_tables(tables, n_levels).n_nodes


def test_the_union_of_roots_and_its_complement():
    rng = np.random.default_rng(5)
    for _ in range(30):
        tables = random_partition(rng, 6, 5, missing=0.3)
        diagram = diagram_of_tables(tables, 6)
        roots = np.flatnonzero(rng.random(5) < 0.6).tolist()
        any_of = [any(tables[r][i] for r in roots) for i in range(64)]
        assert table_of(union(diagram, roots), 0) == any_of
        assert table_of(complement(union(diagram, roots)), 0) == [not value for value in any_of]


def test_constants_and_cubes():
    assert table_of(constant(2, True), 0) == [True] * 4
    assert table_of(cube(3, {2: True, 0: False}), 0) == [x[2] == 1 and x[0] == 0 for x in assignments(3)]
    assert table_of(cube(2, {}), 0) == [True] * 4


def test_a_node_limit_ends_the_work():
    rng = np.random.default_rng(6)
    a, b = (diagram_of_tables(random_partition(rng, 9, 2), 9) for _ in range(2))
    with pytest.raises(TooManyNodesError, match="more than 20 nodes"):
        combine(a, b, [(0, 0)], XOR, node_limit=20)


def test_diagrams_of_different_variables_are_refused():
    with pytest.raises(UsageError, match="2 and 3 levels"):
        combine(constant(2, True), constant(3, True), [(0, 0)], AND)
