"""SHAP values are those of the definition over all subsets, for levels and for features of several levels."""

from fractions import Fraction
from itertools import combinations, product
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.banzhaf import banzhaf
from bnnverify.diagram.constraints import theory_diagram
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.shapley import shapley
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.theories import OneHot, Theory
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


CODES = {
    "one-hot": lambda bits: sum(bits) == 1,
    "thermometer": lambda bits: list(bits) == sorted(bits, reverse=True),
    "free": lambda bits: True,
}


def chances_of(levels, holds, p):
    """The probability of each valid code of a feature, and how probable valid codes are together."""
    weight = {
        code: prod((p[i] if bit else 1 - p[i] for i, bit in zip(levels, code, strict=True)), start=Fraction(1))
        for code in assignments(len(levels))
        if holds(code)
    }
    total = sum(weight.values())
    return {code: w / total for code, w in weight.items()}, total


def worth_of_codes(function, x, codes, joined):
    """E f over independent valid codes, those of the features that joined being the instance's."""
    total, levels_of = Fraction(0), [levels for levels, _ in codes]
    options = [
        {tuple(x[i] for i in levels): Fraction(1)} if feature in joined else chances
        for feature, (levels, chances) in enumerate(codes)
    ]
    for chosen in product(*(option.items() for option in options)):
        bits = list(x)
        for levels, (code, _) in zip(levels_of, chosen, strict=True):
            for i, bit in zip(levels, code, strict=True):
                bits[i] = bit
        total += function[tuple(bits)] * prod(chance for _, chance in chosen)
    return total


def values_of_codes(function, x, codes, weight):
    m = len(codes)
    worth = {
        frozenset(s): worth_of_codes(function, x, codes, s) for k in range(m + 1) for s in combinations(range(m), k)
    }
    return [
        sum((weight(len(s), m) * (worth[s | {i}] - worth[s]) for s in worth if i not in s), Fraction(0))
        for i in range(m)
    ]


def worlds_of_codes(seed, how_many, contiguous):
    """Random functions of up to 7 levels that are false at invalid codes, their features and an instance."""
    rng = np.random.default_rng(seed)
    for _ in range(how_many):
        n = int(rng.integers(1, 8))
        p = [Fraction(int(a), 6) for a in rng.integers(1, 6, n)] if rng.random() < 0.5 else [HALF] * n
        order = np.arange(n) if contiguous else rng.permutation(n)
        cuts = np.sort(rng.choice(np.arange(1, n), rng.integers(0, n), replace=False)) if n > 1 else []
        features = [part.tolist() for part in np.split(order, cuts)]
        rules = [CODES[name] for name in rng.choice(list(CODES), len(features))]
        found = [chances_of(levels, holds, p) for levels, holds in zip(features, rules, strict=True)]
        codes = [(levels, chances) for levels, (chances, _) in zip(features, found, strict=True)]
        x = [0] * n
        for levels, chances in codes:
            for i, bit in zip(levels, list(chances)[rng.integers(len(chances))], strict=True):
                x[i] = bit
        valid = {
            bits: all(tuple(bits[i] for i in levels) in chances for levels, chances in codes) for bits in assignments(n)
        }
        function = {bits: bool(valid[bits] and rng.random() < 0.6) for bits in assignments(n)}
        yield function, x, p, codes, [share for _, share in found]


@pytest.mark.parametrize("contiguous", [True, False])
def test_features_under_encodings_vary_over_valid_codes_only(contiguous):
    for function, x, p, codes, shares in worlds_of_codes(3, 40, contiguous):
        diagram, features = diagram_of_tables([list(function.values())], len(x)), [levels for levels, _ in codes]
        for query, weight in ((shapley, shapley_weight), (banzhaf, banzhaf_weight)):
            expected = values_of_codes(function, x, codes, weight)
            assert query(diagram, [0], x, p=p, features=features, valid=shares, exact=True) == expected
            assert query(diagram, [0], x, p=p, features=features, valid=shares) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10**6), st.booleans())
def test_values_under_encodings_sum_to_what_the_function_gains_over_its_mean(seed, contiguous):
    for function, x, p, codes, shares in worlds_of_codes(seed, 1, contiguous):
        diagram = diagram_of_tables([list(function.values())], len(x))
        values = shapley(diagram, [0], x, p=p, features=[f for f, _ in codes], valid=shares, exact=True)
        assert sum(values) == function[tuple(x)] - worth_of_codes(function, x, codes, ())


def test_any_weights_of_the_values_of_a_one_hot_feature_are_odds_of_its_bits():
    weights = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)]
    p = [w / (1 + w) for w in weights]
    chances, share = chances_of([0, 1, 2], CODES["one-hot"], p)
    assert chances == {(1, 0, 0): weights[0], (0, 1, 0): weights[1], (0, 0, 1): weights[2]}
    second = diagram_of_tables([[bits == (0, 1, 0) for bits in assignments(3)]], 3)
    found = shapley(second, [0], [0, 1, 0], p=p, features=[[0, 1, 2]], valid=[share], exact=True)
    assert found == [1 - weights[1]]


def test_a_hundred_features_of_many_invalid_codes_keep_their_precision():
    groups = np.arange(500).reshape(100, 5)
    people = theory_diagram(Theory(tuple(map(OneHot, groups.tolist()))), range(500), 500, np.ones(500))
    x = np.tile([0, 0, 1, 0, 0], 100)
    at_x = diagram_at(x)
    valid = [Fraction(5, 32)] * 100
    assert shapley(people, [0], x, features=groups, valid=valid) == pytest.approx([0] * 100, abs=1e-13)
    assert shapley(at_x, [0], x, features=groups, valid=valid) == pytest.approx([1 / 100] * 100, rel=1e-12)


def diagram_at(x):
    """True at one input only."""
    n = len(x)
    low, high = [0, 1], [0, 1]
    for node, bit in enumerate(reversed(x), start=1):
        low.append(0 if bit else node)
        high.append(node if bit else 0)
    return FlatDiagram(np.array([n, n, *range(n - 1, -1, -1)]), np.array(low), np.array(high), np.array([n + 1]), n)


def test_where_floats_would_underflow_fractions_are_asked_for():
    x = [1] * 400
    with pytest.raises(UnsupportedError, match="exact=True"):
        shapley(diagram_at(x), [0], x, valid=[Fraction(1, 8)] * 400)


@pytest.mark.parametrize("valid", [[1], [1, 0], [1, 1.5], [HALF] * 3])
def test_shares_of_valid_codes_that_do_not_fit_are_refused(valid):
    with pytest.raises(UsageError, match="valid: found"):
        shapley(true_everywhere(2), [0], [0, 0], valid=valid)


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
