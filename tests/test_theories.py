"""Theories and features against brute force over all assignments, and files that are not as documented."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.errors import InputFormatError, UsageError
from bnnverify.theories import (
    Cardinality,
    Encoding,
    Feature,
    FeatureGroups,
    OneHot,
    Theory,
    Thermometer,
    at_least,
    at_most,
    clause,
    exactly,
    implies,
    load_features,
    save_features,
)
from bnnverify.theories.files import from_dict, to_dict


def rows_of(n):
    """All ±1 inputs of n bits."""
    return np.array(list(product((-1, 1), repeat=n)), dtype=np.int8)


def true_literals(row, literals):
    return sum((row[i] > 0) if i >= 0 else (row[~i] < 0) for i in literals)


@pytest.mark.parametrize("n", range(1, 9))
def test_a_one_hot_group_has_as_many_valid_values_as_bits_and_a_thermometer_one_more(n):
    rows = rows_of(n)
    assert OneHot(tuple(range(n))).holds(rows).tolist() == [list(row).count(1) == 1 for row in rows]
    assert Thermometer(tuple(range(n))).holds(rows).tolist() == [sorted(row)[::-1] == list(row) for row in rows]
    assert Thermometer(tuple(range(n))).holds(rows).sum() == n + 1


def test_a_thermometer_reads_its_bits_in_the_order_given():
    assert Thermometer((2, 0)).holds(np.array([[1, 1, -1], [-1, -1, 1]])).tolist() == [False, True]


@pytest.mark.parametrize("k", range(5))
@pytest.mark.parametrize("literals", [(0, 1, 2, 3), (~0, 2, ~5, 4), (~1, ~2, ~3, ~4)])
def test_cardinality_constraints_count_true_literals(k, literals):
    for row in rows_of(6):
        count = true_literals(row, literals)
        assert bool(at_least(k, literals).holds(row)) == (count >= k)
        assert bool(at_most(k, literals).holds(row)) == (count <= k)
        assert bool(exactly(k, literals).holds(row)) == (count == k)


def test_a_clause_needs_one_true_literal_and_an_implication_its_conclusion():
    for row in rows_of(4):
        assert bool(clause([0, ~2]).holds(row)) == (row[0] > 0 or row[2] < 0)
        assert bool(implies([0, ~1], ~3).holds(row)) == (not (row[0] > 0 and row[1] < 0) or row[3] < 0)


def test_a_theory_holds_where_all_its_constraints_hold():
    theory = OneHot((0, 1, 2)) & Thermometer((3, 4)) & clause([~0, 3])
    rows = rows_of(6)
    expected = [list(row[:3]).count(1) == 1 and row[3] >= row[4] and (row[0] < 0 or row[3] > 0) for row in rows]
    assert theory.holds(rows).tolist() == expected
    assert theory.indices == (0, 1, 2, 3, 4)
    assert Theory().holds(rows).all()


def test_joining_keeps_the_order_of_constraints():
    a, b, c = OneHot((0, 1)), Thermometer((2, 3)), at_most(1, [0, 2])
    assert (a & b) & c == a & (b & c) == Theory((a, b, c))
    assert Theory() & a == Theory((a,))


@pytest.mark.parametrize(
    "constraint", [OneHot((0, 2)), Thermometer((1, 0)), at_most(1, (0, ~3)), Theory((OneHot((1,)),))]
)
def test_the_repr_of_a_constraint_rebuilds_it(constraint):
    assert eval(repr(constraint)) == constraint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneHot(()), "a one-hot group: found no bit"),
        (lambda: OneHot((0, 1, 0)), "found bit 0 twice"),
        (lambda: Thermometer((0, -1)), "found bit -1"),
        (lambda: clause([1, ~1]), "found bit 1 twice"),
        (lambda: clause([]), "found no bit"),
        (lambda: at_least(3, [0, 1]), r"bounds 3\.\.2 on 2 literals"),
        (lambda: at_most(-1, [0, 1]), r"bounds 0\.\.-1"),
        (lambda: OneHot((0,)) & 3, "found int, expected a constraint or a theory"),
        (lambda: OneHot((0, 4)).__and__(clause([1])).holds(np.ones((2, 4))), "speaks of bit 4, expected less than 4"),
    ],
)
def test_what_is_no_theory_is_refused_in_one_sentence(make, message):
    with pytest.raises(UsageError, match=message):
        make()


COLOUR = Feature("colour", (4, 0, 2), Encoding.ONE_HOT, ("red", "green", "blue"))
AGE = Feature("age", (1, 5), Encoding.THERMOMETER, ("< 30", "30 to 49", ">= 50"))
PATCH = Feature("patch", (3, 7))
GROUPS = FeatureGroups(8, (COLOUR, AGE, PATCH), Theory((clause([~0, 1]),)), ("age",), "by hand")


def test_bits_outside_all_groups_are_features_by_themselves():
    assert GROUPS.names == ("colour", "age", "patch", "bit 6")
    assert GROUPS.groups == ((4, 0, 2), (1, 5), (3, 7), (6,))
    assert FeatureGroups(3).groups == ((0,), (1,), (2,))
    assert GROUPS.bits_of(["age", "colour"]) == (0, 1, 2, 4, 5)


def test_the_theory_of_features_holds_where_each_has_a_value_and_the_rules_hold():
    for row in rows_of(8):
        valid = [row[i] for i in (4, 0, 2)].count(1) == 1 and row[1] >= row[5] and (row[0] < 0 or row[1] > 0)
        assert bool(GROUPS.theory.holds(row)) == valid


def test_encoding_a_description_gives_the_bits_back():
    without_rules = FeatureGroups(8, (COLOUR, AGE, PATCH))
    n_valid = 0
    for row in rows_of(8):
        if without_rules.theory.holds(row):
            n_valid += 1
            for name, value in without_rules.describe(row).items():
                feature = without_rules.feature(name)
                assert feature.encode(value).tolist() == row[list(feature.indices)].tolist()
    assert n_valid == 3 * 3 * 4 * 2


def test_an_input_is_described_by_the_labels_of_its_values():
    described = GROUPS.describe([0, 1, 1, 1, 0, 0, 0, 0])
    assert described == {"colour": "blue", "age": "30 to 49", "patch": "+-", "bit 6": "-"}


def test_a_feature_of_one_bit_has_two_labels():
    sex = FeatureGroups(1, (Feature("sex", (0,), Encoding.THERMOMETER, ("female", "male")),))
    assert [sex.describe([bit])["sex"] for bit in (-1, 1)] == ["female", "male"]
    assert sex.theory == Theory()


def test_bits_that_are_no_value_cannot_be_described():
    with pytest.raises(InputFormatError, match=r"feature 'colour': the bits \+-\+ are no one_hot value"):
        GROUPS.describe([0, 0, 1, 0, 1, 0, 0, 0])
    with pytest.raises(InputFormatError, match=r"bits of shape \(3,\), expected \(8,\)"):
        GROUPS.describe([0, 0, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FeatureGroups(4, (COLOUR,)), "'colour': found bit 4, expected less than 4"),
        (lambda: FeatureGroups(8, (COLOUR, Feature("x", (0,)))), "bit 0 belongs to 'colour'"),
        (lambda: FeatureGroups(2, (Feature("x", (0,)), Feature("x", (1,)))), "the name 'x' twice"),
        (lambda: FeatureGroups(2, protected=("race",)), "no feature 'race', expected one of bit 0, bit 1"),
        (lambda: FeatureGroups(2, rules=Theory((clause([2]),))), "speaks of bit 2"),
        (lambda: Feature("", (0,)), "found no name"),
        (lambda: Feature("x", (0, 1), Encoding.ONE_HOT, ("a",)), "1 values, expected 2 distinct ones for 2 bits"),
        (lambda: Feature("x", (0, 1), Encoding.THERMOMETER, ("a", "b", "a")), "3 values, expected 3 distinct"),
        (lambda: Feature("x", (0, 1), Encoding.FREE, ("a",)), "1 values, expected 0"),
        (lambda: COLOUR.encode("black"), "no value 'black', expected one of red, green, blue"),
        (lambda: PATCH.encode("+0"), "expected 2 signs"),
    ],
)
def test_what_are_no_features_is_refused_in_one_sentence(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_saved_features_are_loaded_again(tmp_path):
    groups = FeatureGroups(8, (COLOUR, AGE), OneHot((6, 7)) & Thermometer((3, 6)) & at_most(1, (~1, 3)), ("age",))
    save_features(groups, tmp_path / "features.json")
    assert load_features(tmp_path / "features.json") == groups


def test_features_that_cannot_be_written_leave_nothing_behind(tmp_path):
    (tmp_path / "features.json").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        save_features(GROUPS, tmp_path / "features.json")
    assert [path.name for path in tmp_path.iterdir()] == ["features.json"]


def test_what_may_be_left_out_of_a_file_may_be_left_out():
    minimal = {"schema": "bnnverify-features/1", "n_inputs": 3}
    assert from_dict(minimal) == FeatureGroups(3)
    rule = {"kind": "cardinality", "literals": ["+0", "-2"], "lowest": 1}
    assert from_dict(minimal | {"rules": [rule]}).rules == Theory((clause([0, ~2]),))


@given(st.data())
def test_any_features_survive_the_way_through_json(data):
    n = data.draw(st.integers(1, 6))
    order = data.draw(st.permutations(range(n)))
    cut = data.draw(st.integers(0, n))
    signs = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    literals = tuple(i if sign else ~i for i, sign in zip(order, signs, strict=True))
    lowest = data.draw(st.integers(0, n))
    rules = Theory((Cardinality(literals, lowest, data.draw(st.integers(lowest, n))),))
    features = tuple(
        Feature(f"f{k}", tuple(part), Encoding.ONE_HOT, tuple(f"v{i}" for i in part))
        for k, part in enumerate((order[:cut], order[cut:]))
        if part
    )
    groups = FeatureGroups(n, features, rules)
    assert from_dict(json.loads(json.dumps(to_dict(groups)))) == groups


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema": "bnnverify/1"}, "schema 'bnnverify/1', expected 'bnnverify-features/1'"),
        ({"n_inputs": "8"}, "'n_inputs' is str, expected an integer"),
        ({"n_inputs": True}, "'n_inputs' is bool, expected an integer"),
        ({"n_inputs": 0}, "n_inputs 0, expected at least 1"),
        ({"feature": []}, "unknown key 'feature', expected schema"),
        ({"features": {}}, "'features' is dict, expected a list"),
        ({"features": [3]}, "feature 0: found int, expected an object"),
        ({"features": [{"name": "x", "bits": [0]}]}, "feature 0: no 'encoding'"),
        ({"features": [{"name": "x", "encoding": "gray", "bits": [0]}]}, "encoding 'gray', expected one of one_hot"),
        ({"features": [{"name": "x", "encoding": "free", "bits": [0.5]}]}, "bits: found 0.5, expected an integer"),
        ({"features": [{"name": "x", "encoding": "free", "bits": [9]}]}, "'x': found bit 9"),
        ({"features": [{"name": "x", "encoding": "one_hot", "bits": [0], "values": [1]}]}, "found 1, expected text"),
        ({"rules": ["x"]}, "rule 0: kind None, expected one_hot"),
        ({"rules": [{"kind": "one_hot", "literals": ["+1"]}]}, "rule 0: no 'bits'"),
        ({"rules": [{"kind": "cardinality", "literals": ["1"], "lowest": 1}]}, "literal '1', expected a sign"),
        ({"rules": [{"kind": "cardinality", "literals": [1], "lowest": 1}]}, "literal 1, expected a sign"),
        ({"rules": [{"kind": "cardinality", "literals": ["+1"], "lowest": 2}]}, r"bounds 2\.\.1"),
        ({"protected": ["x"]}, "no feature 'x'"),
        ({"protected": [1]}, "protected: found 1, expected text"),
    ],
)
def test_a_features_file_that_is_not_as_documented_is_refused(tmp_path, changed, message):
    path = tmp_path / "features.json"
    path.write_text(json.dumps({"schema": "bnnverify-features/1", "n_inputs": 8} | changed))
    with pytest.raises(InputFormatError, match=message) as caught:
        load_features(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON"),
        (b'{"schema": ', "no JSON"),
        (b"[]", "found list"),
        (b"\xff", "no text"),
        (b"[" * 99999, "no JSON"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused(tmp_path, content, message):
    path = tmp_path / "features.json"
    path.write_bytes(content)
    with pytest.raises(InputFormatError, match=message):
        load_features(path)


def test_a_features_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputFormatError, match="cannot be read"):
        load_features(tmp_path / "none.json")
