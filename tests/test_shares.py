"""Shares of valid codes; with them, SHAP values under a theory are those of the definition, on a real network."""

from fractions import Fraction
from functools import reduce
from math import comb, prod

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_features, bundled_instances, bundled_network
from bnnverify.diagram.banzhaf import banzhaf
from bnnverify.diagram.shapley import shapley
from bnnverify.errors import UnsupportedError
from bnnverify.queries.shares import valid_shares
from bnnverify.theories import Encoding, OneHot, Theory, Thermometer, at_least, at_most, clause
from tests.diagrams import assignments


def shares(theory, groups, inputs, center=(1,) * 6):
    """The shares by the function, given the number of members by listing them."""
    inputs = np.array(inputs)
    rows = np.tile(np.array(center, dtype=np.int8), (1 << inputs.size, 1))
    rows[:, inputs] = 2 * np.array(assignments(inputs.size)) - 1
    return valid_shares(theory, groups, inputs, rows[0], int(theory.holds(rows).sum()))


def test_a_share_counts_the_valid_codes_of_one_feature():
    theory = OneHot((0, 1, 2)) & Thermometer((4, 3)) & at_most(1, [4, 3])
    order = [0, 3, 1, 5, 4, 2]
    assert shares(theory, [[0, 2, 5], [4, 1], [3]], order) == [Fraction(3, 8), Fraction(1, 2), 1]
    assert shares(theory, [[4, 1], [0, 2, 5]], order) == [Fraction(1, 2), Fraction(3, 8)]


def test_fixed_bits_leave_fewer_codes():
    theory = Theory((OneHot((0, 1, 2)), Thermometer((3, 4, 5))))
    assert shares(theory, [[0, 1], [2, 3]], [0, 1, 3, 4], (1, 1, -1, 1, 1, -1)) == [Fraction(1, 2), Fraction(3, 4)]
    assert shares(theory, [[0, 1], [2, 3]], [0, 1, 3, 4], (1, 1, 1, 1, 1, -1)) == [Fraction(1, 4), Fraction(3, 4)]
    assert shares(clause([0, 1, 2]) & clause([0, 3]), [[0], [1]], [0, 1], (1, 1, 1, -1)) == [Fraction(1, 2), 1]


def test_a_constraint_that_links_features_is_refused_unless_it_says_nothing_new():
    exclusive = OneHot((0, 1, 2)) & OneHot((3, 4, 5))
    groups, inputs = [[0, 1, 2], [3, 4, 5]], range(6)
    assert shares(exclusive & at_least(2, [0, 1, 2, 3, 4, 5]), groups, inputs) == [Fraction(3, 8)] * 2
    with pytest.raises(UnsupportedError, match="combine to 9 inputs, but 8 are"):
        shares(exclusive & clause([~0, ~3]), groups, inputs)


def test_bits_that_a_theory_speaks_of_must_be_in_a_feature():
    with pytest.raises(UnsupportedError, match="combine to 12 inputs, but 6 are"):
        shares(Theory((OneHot((0, 1, 2)), OneHot((3, 4)))), [[0, 1, 2]], range(5), (1,) * 5)
    with pytest.raises(UnsupportedError, match="within one of the features"):
        shares(Theory((OneHot((0, 1, 2)),)), [[0], [1], [2]], range(3), (1,) * 3)


def classes_on_the_grid(network, features):
    """The class of every combination of values, one axis a feature; of a network of one block and two classes."""
    block, output = network.blocks[0], network.output
    assert len(network.blocks) == 1
    assert np.all(output.scale == 1)
    lead = np.zeros([len(feature.values) for feature in features], dtype=np.int16)
    for row, threshold, vote in zip(
        block.weights, block.thresholds, output.weights[0] - output.weights[1], strict=True
    ):
        by_value = [
            np.array([row[list(f.indices)] @ f.encode(value) for value in f.values], dtype=np.int8) for f in features
        ]
        lead += np.where(reduce(np.add.outer, by_value) >= threshold, vote, -vote)
    return np.where(lead + output.bias[0] - output.bias[1] >= 0, 0, 1)


def worths(agrees, x):
    """The mean for every set of features that join: the others take all values."""
    if agrees.ndim == 0:
        return {frozenset(): Fraction(int(agrees))}
    last, n_values = agrees.ndim - 1, agrees.shape[-1]
    apart = {s: value / n_values for s, value in worths(agrees.sum(axis=last, dtype=np.int64), x).items()}
    return apart | {s | {last}: value for s, value in worths(agrees[..., x[last]], x).items()}


def by_definition(worth, n, weight):
    """Weighted gains of n features by joining sets of the others."""
    return [sum(weight(len(s)) * (worth[s | {i}] - worth[s]) for s in worth if i not in s) for i in range(n)]


def test_values_of_an_adult_are_the_definition_over_all_twelve_million_people():
    network, features = bundled_network("adult"), bundled_features("adult")
    person = bundled_instances("adult").values[0]
    diagram = bv.compile(network, theory=features.theory)
    groups = diagram.level_groups(features.groups)
    n_people = sum(diagram.count().values())
    assert n_people == prod(len(feature.values) for feature in features.features) == 12_247_200
    valid = valid_shares(features.theory, groups, diagram.inputs, diagram.region.center, n_people)
    label = diagram.class_of(person)
    agrees = classes_on_the_grid(network, features.features) == label
    bits = network.input.to_bits(person).reshape(-1)
    place = [f.values.index(f.describe(bits)) for f in features.features]
    roots, x, n = diagram.roots_of([label]), diagram.levels_of(person), len(place)
    worth = worths(agrees, place)
    assert all(f.encoding is not Encoding.FREE for f in features.features)

    found = shapley(diagram.flat, roots, x, features=groups, valid=valid)
    assert found == pytest.approx(by_definition(worth, n, lambda size: 1 / (n * comb(n - 1, size))), abs=1e-13)
    assert sum(found) == pytest.approx(1 - agrees.sum() / n_people, abs=1e-13)
    exact = by_definition(worth, n, lambda size: Fraction(1, 2 ** (n - 1)))
    assert banzhaf(diagram.flat, roots, x, features=groups, valid=valid, exact=True) == exact
