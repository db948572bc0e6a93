"""The abductive explanation of one pass is minimal, and neighbours end where walking says, on all small worlds."""

from itertools import combinations, product

import numpy as np
import pytest

from bnnverify.diagram.neighbours import changing_levels, ends
from bnnverify.diagram.sufficient import sufficient_features
from tests.diagrams import assignments, diagram_of_tables, random_partition, value_at


def is_sufficient(diagram, x, levels):
    """Whether no root holds an input that agrees with x on these levels."""
    agreeing = [b for b in assignments(diagram.n_levels) if all(b[i] == x[i] for i in levels)]
    return not any(value_at(diagram, root, b) for root in range(diagram.roots.size) for b in agreeing)


def check(diagram, x, groups):
    feature = np.full(diagram.n_levels, -1)
    for index, group in enumerate(groups):
        feature[list(group)] = index
    kept = sufficient_features(diagram, np.array(x, dtype=np.uint8), feature, len(groups))
    fixed = [i for i in range(diagram.n_levels) if feature[i] < 0 or kept[feature[i]]]
    assert is_sufficient(diagram, x, fixed)
    for index in np.flatnonzero(kept):
        assert not is_sufficient(diagram, x, [i for i in fixed if feature[i] != index])


def test_every_function_of_three_variables_at_every_instance():
    for table in product([False, True], repeat=8):
        diagram = diagram_of_tables([list(table)], 3)
        for x, value in zip(assignments(3), table, strict=True):
            if not value:
                for groups in ([[0], [1], [2]], [[0, 1], [2]], [[1]], [[0], [1, 2]], [[0, 1, 2]]):
                    check(diagram, x, groups)


def test_random_partitions_with_adjacent_groups():
    rng = np.random.default_rng(0)
    for _ in range(400):
        n = int(rng.integers(1, 8))
        diagram = diagram_of_tables(random_partition(rng, n, 3, missing=0.4), n)
        instances = [x for x in assignments(n) if not any(value_at(diagram, r, x) for r in range(3))]
        cuts = np.flatnonzero(rng.random(n - 1) < 0.6) + 1
        groups = [g.tolist() for g in np.split(np.arange(n), cuts) if rng.random() < 0.9]
        for index in rng.permutation(len(instances))[:3]:
            check(diagram, instances[index], groups)


def test_scattered_features_have_no_such_order():
    diagram = diagram_of_tables([[False] * 7 + [True]], 3)
    assert sufficient_features(diagram, np.zeros(3, dtype=np.uint8), np.array([0, 1, 0]), 2) is None


@pytest.mark.parametrize("n_levels", [1, 4, 7])
def test_single_flips_and_ends(n_levels):
    rng = np.random.default_rng(n_levels)
    for _ in range(60):
        diagram = diagram_of_tables(random_partition(rng, n_levels, 3, missing=0.3), n_levels)
        x = rng.integers(0, 2, n_levels).astype(np.uint8)
        assert ends(diagram, x).tolist() == [value_at(diagram, root, x) for root in range(3)]
        bad = diagram.viewed([r for r in range(3) if not value_at(diagram, r, x)])
        neighbours = [x ^ (np.arange(n_levels) == i) for i in range(n_levels)]
        reached = [any(value_at(bad, root, b) for root in range(bad.roots.size)) for b in neighbours]
        assert changing_levels(bad, x).tolist() == reached


def test_all_orders_of_levels_give_explanations_of_a_parity():
    diagram = diagram_of_tables([[sum(b) % 2 == 1 for b in assignments(4)]], 4)
    kept = sufficient_features(diagram, np.zeros(4, dtype=np.uint8), np.arange(4), 4)
    assert kept.all()
    assert not any(is_sufficient(diagram, (0, 0, 0, 0), s) for s in combinations(range(4), 3))
