"""The flat diagram holds what its tables say, and refuses arrays that are no reduced ordered diagram."""

import numpy as np
import pytest

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import ModelFormatError
from tests.diagrams import assignments, diagram_of_tables, random_partition, table_of


@pytest.mark.parametrize("n_levels", range(5))
def test_a_diagram_evaluates_to_the_tables_it_was_built_from(n_levels):
    rng = np.random.default_rng(n_levels)
    for _ in range(50):
        tables = random_partition(rng, n_levels, 3, missing=0.2)
        diagram = diagram_of_tables(tables, n_levels)
        rows = np.array(assignments(n_levels)).reshape(1 << n_levels, n_levels)
        for root, table in enumerate(tables):
            assert table_of(diagram, root) == table
            assert diagram.evaluate(rows, root).tolist() == table


def test_levels_are_slices_of_the_arrays():
    rng = np.random.default_rng(0)
    diagram = diagram_of_tables(random_partition(rng, 6, 3), 6)
    for level in range(7):
        assert np.flatnonzero(diagram.level == level).tolist() == list(range(diagram.n_nodes))[diagram.nodes_at(level)]


def test_keeping_some_roots_keeps_their_functions_and_drops_other_nodes():
    rng = np.random.default_rng(1)
    tables = random_partition(rng, 7, 4)
    diagram = diagram_of_tables(tables, 7)
    smaller = diagram.with_roots([2, 0])
    assert [table_of(smaller, 0), table_of(smaller, 1)] == [tables[2], tables[0]]
    assert smaller.n_nodes == diagram_of_tables([tables[2], tables[0]], 7).n_nodes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"level": [2, 2, 1]}, "three arrays"),
        ({"level": [2, 2, 0, 1]}, "levels increase"),
        ({"level": [2, 1, 1, 0]}, "terminals"),
        ({"low": [0, 1, 0, 9]}, "no node"),
        ({"high": [0, 1, 1, 3]}, "not deeper"),
        ({"high": [0, 1, 0, 2]}, "equal children"),
        ({"roots": [4]}, "root"),
    ],
)
def test_arrays_that_are_no_diagram_are_refused(changed, message):
    arrays = {"level": [2, 2, 1, 0], "low": [0, 1, 0, 0], "high": [0, 1, 1, 2], "roots": [3]}
    FlatDiagram(**{k: np.array(v) for k, v in arrays.items()}, n_levels=2)
    with pytest.raises(ModelFormatError, match=message):
        FlatDiagram(**{k: np.array(v) for k, v in (arrays | changed).items()}, n_levels=2)
