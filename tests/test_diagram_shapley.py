"""SHAP values are those of the definition over all subsets, for levels and for features of several levels."""

from fractions import Fraction
from itertools import combinations
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.banzhaf import banzhaf
from bnnverify.diagram.shapley import shapley
from bnnverify.errors import UnsupportedError, UsageError
from tests.diagrams import assignments, diagram_of_tables
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere, union_of

HALF = Fraction(1, 2)


def worth(inputs, x, p, joined):
    """E[f | x on the levels that joined], by listing the inputs."""
    chances = [Fraction(int(x[i])) if i in joined else q for i, q in enumerate(p)]
    return sum(
        (prod(q if bit else 1 - q for bit, q in zip(bits, chances, strict=True)) for bits in inputs), Fraction(0)
    )


def by_definition(inputs, x, p, features, weight):
    """Weighted gains over all coalitions of the other features."""
    values, m = [], len(features)
    for i in range(m):
        others = [feature for j, feature in enumerate(features) if j != i]
        value = Fraction(0)
        for size in range(m):
            for chosen in combinations(others, size):
                joined = {level for feature in chosen for level in feature}
                gain = worth(inputs, x, p, joined | set(features[i])) - worth(inputs, x, p, joined)
                value += weight(size, m) * gain
        values.append(value)
    return values


def shapley_weight(size, m):
    return Fraction(1, m * comb(m - 1, size))


def banzhaf_weight(size, m):
    return Fraction(1, 2 ** (m - 1))


def check(diagram, tables, roots, x, p, features):
    inputs = members(tables, roots, diagram.n_levels)
    for query, weight in ((shapley, shapley_weight), (banzhaf, banzhaf_weight)):
        expected = by_definition(inputs, x, p, features, weight)
        assert query(diagram, roots, x, p=p, features=features, exact=True) == expected
        assert query(diagram, roots, x, p=p, features=features) == pytest.approx(expected, abs=1e-12)


def test_every_function_of_up_to_three_variables():
    p = [Fraction(1, 3), HALF, Fraction(3, 4)]
    for diagram, tables in all_functions():
        n = diagram.n_levels
        inputs = members(tables, [0], n)
        for x in assignments(n)[:: max(1, n)]:
            expected = by_definition(inputs, x, p[:n], [[i] for i in range(n)], shapley_weight)
            assert shapley(diagram, [0], x, p=p[:n], exact=True) == expected


def test_unions_of_random_functions():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(10, 12, 5):
        n = diagram.n_levels
        p = [Fraction(int(a), 5) for a in rng.integers(0, 6, n)]
        check(diagram, tables, [0, 2], rng.integers(0, 2, n), p, [[i] for i in range(n)])


def random_features(rng, n, contiguous):
    """A random partition of the levels, in random order, sometimes without one of its parts."""
    order = np.arange(n) if contiguous else rng.permutation(n)
    cuts = np.sort(rng.choice(np.arange(1, n), rng.integers(0, n), replace=False)) if n > 1 else []
    parts = [part.tolist() for part in np.split(order, cuts)]
    return [parts[i] for i in rng.permutation(len(parts))][: max(1, len(parts) - int(rng.integers(0, 2)))]


@pytest.mark.parametrize("contiguous", [True, False])
def test_features_of_several_levels(contiguous):
    rng = np.random.default_rng(1)
    for diagram, tables in random_worlds(11, 25, 6):
        n = diagram.n_levels
        p = [Fraction(int(a), 4) for a in rng.integers(0, 5, n)]
        check(diagram, tables, [0, 1], rng.integers(0, 2, n), p, random_features(rng, n, contiguous))


@given(st.integers(0, 10**6))
def test_values_sum_to_what_the_function_gains_over_its_mean(seed):
    rng = np.random.default_rng(seed)
    for diagram, tables in random_worlds(seed, 1, 7):
        n = diagram.n_levels
        x = rng.integers(0, 2, n)
        inputs, table = members(tables, [1], n), union_of(tables, [1])
        at_x = int(table[int("".join(map(str, x)), 2)])
        assert sum(shapley(diagram, [1], x, exact=True)) == at_x - Fraction(len(inputs), 2**n)
        assert sum(shapley(diagram, [1], x)) == pytest.approx(at_x - len(inputs) / 2**n, abs=1e-12)


def test_permuting_levels_permutes_values():
    rng = np.random.default_rng(2)
    for _ in range(20):
        table = rng.random((2,) * 5) < 0.4
        order = rng.permutation(5)
        x = rng.integers(0, 2, 5)
        one = shapley(diagram_of_tables([table.ravel().tolist()], 5), [0], x, exact=True)
        other = diagram_of_tables([table.transpose(order).ravel().tolist()], 5)
        assert shapley(other, [0], x[order], exact=True) == [one[i] for i in order]


def test_a_level_that_never_matters_gets_nothing():
    diagram = diagram_of_tables([[False, True] * 4], 3)
    assert shapley(diagram, [0], [1, 1, 1], exact=True) == [0, 0, HALF]
    assert banzhaf(diagram, [0], [1, 1, 1], exact=True) == [0, 0, HALF]


def test_symmetric_levels_share_equally_among_hundreds():
    values = shapley(parity(200), [0], [1] + [0] * 199)
    assert values == pytest.approx([0.5 / 200] * 200, rel=1e-9)
    assert sum(values) == pytest.approx(0.5, abs=1e-12)


def test_features_that_overlap_or_do_not_exist_are_refused():
    for features in ([[0, 1], [1, 2]], [[0, 3]], [[]]):
        with pytest.raises(UsageError, match="features"):
            shapley(true_everywhere(3), [0], [0, 0, 0], features=features)


def test_too_many_interleaved_features_are_unsupported():
    features = [[i, i + 13] for i in range(13)]
    with pytest.raises(UnsupportedError, match="not adjacent"):
        shapley(true_everywhere(26), [0], [0] * 26, features=features)
