"""Tables of people: as published, encoded as documented, and refused where a file is not as it should be."""

from math import prod

import numpy as np
import pytest

from bnnverify.data import adult, german, load_tabular, resolve_input
from bnnverify.data.bundled import INSTANCES_OF, bundled_features, bundled_instances, bundled_names, bundled_network
from bnnverify.data.tabular import Number, Table
from bnnverify.errors import InputFormatError, UsageError
from bnnverify.inference import predict
from bnnverify.theories import Encoding
from tests.paths import DATA, REPOSITORY, needs_data

PER_CLASS = {
    "adult:train": [24_720, 7_841],
    "adult:test": [12_435, 3_846],
    "german:train": [499, 201],
    "german:test": [201, 99],
}
N_VALID = {"adult": 12_247_200, "german": 99_000_000}
PEOPLE = tuple(name for name in INSTANCES_OF if not name.startswith("mnist"))
MAX_BYTES = 50_000

ADULT_ROWS = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40,"
    " United-States, <=50K",
    "28, ?, 1, 9th, 5, Divorced, ?, Wife, Black, Female, 0, 1900, 20, ?, >50K",
)
GERMAN_ROWS = (
    "A11 6 A34 A43 1169 A65 A75 4 A93 A101 4 A121 67 A143 A152 2 A173 1 A192 A201 1",
    "A14 48 A30 A410 5951 A61 A71 2 A92 A101 2 A124 22 A141 A153 1 A173 1 A191 A202 2",
)


@needs_data
@pytest.mark.parametrize("spec", PER_CLASS)
def test_a_split_has_its_number_of_rows_per_class_and_every_row_is_valid(spec):
    data = load_tabular(spec, DATA)
    assert np.bincount(data.labels).tolist() == PER_CLASS[spec]
    assert data.theory.holds(data.bits).all()
    assert np.array_equal(data.images == 1, data.bits == 1)
    assert prod(len(feature.values) for feature in data.features.features) == N_VALID[spec.split(":")[0]]


@needs_data
def test_the_rows_of_german_credit_are_split_without_loss():
    train, test = load_tabular("german:train", DATA), load_tabular("german:test", DATA)
    assert len(train) + len(test) == 1_000
    assert np.bincount(np.concatenate([train.labels, test.labels])).tolist() == [700, 300]


@needs_data
@pytest.mark.parametrize("name", PEOPLE)
def test_train_and_test_rows_are_encoded_by_the_same_features(name):
    train, test = load_tabular(f"{name}:train", DATA), load_tabular(f"{name}:test", DATA)
    assert train.features == test.features
    assert train.images.min(axis=0).max() == 0, "some bit is +1 in all training rows"


@needs_data
def test_the_first_adult_row_is_described_as_it_is_published():
    data = load_tabular("adult:train", DATA)
    assert data.features.describe(data.bits[0]) == {
        "age": "37-43",
        "workclass": "State-gov",
        "education": "bachelor",
        "marital-status": "Never-married",
        "occupation": "Adm-clerical",
        "race": "White",
        "sex": "Male",
        "capital-gain": "1-7297",
        "capital-loss": "below 1",
        "hours-per-week": "40-47",
    }


@needs_data
def test_a_missing_value_is_a_value_of_its_own():
    data = load_tabular("adult:train", DATA)
    work = data.features.feature("workclass")
    unknown = data.bits[:, work.indices[work.values.index("unknown")]] > 0
    text = (DATA / "adult" / "adult.data").read_text().splitlines()
    assert unknown.sum() == sum(line.split(", ")[1] == "?" for line in text if line) == 1_836


@needs_data
@pytest.mark.parametrize("name", PEOPLE)
def test_each_number_is_encoded_by_comparing_it_with_its_thresholds(name):
    reader = {"adult": adult, "german": german}[name]
    data = load_tabular(f"{name}:train", DATA)
    lines = [line for line in (DATA / name / reader.FILES[0]).read_text().splitlines() if line.strip()]
    words = [line.replace(",", " ").split() for line in lines]
    for attribute in reader.ATTRIBUTES:
        if isinstance(attribute, Number) and name == "adult":
            column = np.array([int(row[attribute.column]) for row in words])
            feature = data.features.feature(attribute.name)
            lower = [int(label.split(" ")[0].split("-")[0]) for label in feature.values[1:]]
            expected = column[:, np.newaxis] >= lower
            assert np.array_equal(data.images[:, list(feature.indices)] == 1, expected)


def table(values):
    return Table(None, [[str(value)] for value in values], list(range(1, len(values) + 1)))


def test_thresholds_are_quantiles_without_the_least_value():
    assert Number("x", 0, n_thresholds=3).thresholds(table(range(8))) == [2, 4, 6]
    assert Number("x", 0, n_thresholds=3).thresholds(table([5, 5, 5, 5, 5, 9])) == [] == []
    assert Number("x", 0, n_thresholds=3).thresholds(table([5, 5, 9, 9])) == [9]


def test_thresholds_of_a_number_that_is_mostly_zero_are_one_and_quantiles_of_the_rest():
    values = [0] * 90 + [10, 20, 30, 40]
    assert Number("x", 0, n_thresholds=2, mostly_zero=True).thresholds(table(values)) == [1, 30]
    assert Number("x", 0, n_thresholds=3, mostly_zero=True).thresholds(table(values)) == [1, 20, 30]


def test_labels_name_the_values_between_two_thresholds():
    feature = Number("x", 0, n_thresholds=4).fit(table([1, 2, 3, 7, 9]), 5)
    assert feature.values == ("below 2", "2", "3-6", "7-8", "9 and above")
    assert feature.indices == (5, 6, 7, 8)
    assert feature.encoding is Encoding.THERMOMETER


def write_german(folder, rows=GERMAN_ROWS, n=1_000):
    folder.mkdir(exist_ok=True)
    (folder / "german.data").write_text("\n".join(rows[k % len(rows)] for k in range(n)) + "\n")


def write_adult(folder, rows=ADULT_ROWS, n_train=adult.N_TRAIN, n_test=adult.N_TEST):
    folder.mkdir(exist_ok=True)
    (folder / "adult.data").write_text("\n".join(rows[k % 2] for k in range(n_train)) + "\n\n")
    lines = ["|1x3 Cross validator", *(f"{rows[k % 2]}." for k in range(n_test))]
    (folder / "adult.test").write_text("\n".join(lines) + "\n")


def test_tables_are_found_below_a_data_folder_and_named_like_other_data(tmp_path):
    write_adult(tmp_path / "adult")
    write_german(tmp_path / "german")
    data = load_tabular("adult:test", tmp_path)
    assert data.labels.tolist() == [k % 2 for k in range(16_281)]
    assert data.features.describe(data.bits[1])["workclass"] == "unknown"
    assert np.array_equal(resolve_input("german:train", tmp_path).values, load_tabular("german:train", tmp_path).images)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" A201 1", "", "line 1 has 19 columns, expected 21"),
        ("A43", "A99", r"line \d+: purpose 'A99', expected one of A40, A41"),
        ("1169", "12.5", r"line \d+: amount in DM '12.5', expected an integer from 0"),
        ("A201 1", "A201 3", r"line \d+: class '3', expected one of 1, 2"),
        ("A11", "\xc4", "no plain text"),
    ],
)
def test_a_german_row_that_is_not_as_documented_is_refused(tmp_path, old, new, message):
    write_german(tmp_path / "german", rows=(GERMAN_ROWS[0].replace(old, new), GERMAN_ROWS[1]))
    for split in ("train", "test"):
        with pytest.raises(InputFormatError, match=message):
            load_tabular(f"german:{split}", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", White", "", "line 1 has 14 columns, expected 15"),
        ("Bachelors", "Bachelor", "line 1: education 'Bachelor', expected one of Preschool"),
        ("39,", "-1,", "line 1: age '-1', expected an integer from 0"),
        ("<=50K", "<50K", "line 1: class '<50K', expected one of <=50K"),
    ],
)
def test_an_adult_row_that_is_not_as_documented_is_refused(tmp_path, old, new, message):
    write_adult(tmp_path / "adult", rows=(ADULT_ROWS[0].replace(old, new), ADULT_ROWS[1]))
    with pytest.raises(InputFormatError, match=message):
        load_tabular("adult:train", tmp_path)


def test_a_table_without_all_its_published_rows_is_refused(tmp_path):
    write_german(tmp_path / "german", n=999)
    with pytest.raises(InputFormatError, match=r"german\.data: 999 rows, expected 1,000 as published"):
        load_tabular("german:test", tmp_path)
    write_german(tmp_path / "german", n=0)
    with pytest.raises(InputFormatError, match="0 rows"):
        load_tabular("german:test", tmp_path)
    write_adult(tmp_path / "adult", n_test=10)
    assert len(load_tabular("adult:train", tmp_path)) == adult.N_TRAIN
    with pytest.raises(InputFormatError, match="10 rows, expected 16,281"):
        load_tabular("adult:test", tmp_path)


def test_a_column_of_one_value_has_no_thresholds_and_is_refused(tmp_path):
    write_german(tmp_path / "german", rows=GERMAN_ROWS[:1])
    with pytest.raises(InputFormatError, match="duration in months is the same in all training rows"):
        load_tabular("german:train", tmp_path)


def test_a_data_set_of_images_is_no_table():
    with pytest.raises(InputFormatError, match=r"mnist:test: (holds images|not found)"):
        load_tabular("mnist:test", DATA)


@pytest.mark.parametrize("name", PEOPLE)
def test_a_bundled_network_of_people_is_small_with_its_features_and_rows(name):
    network, features, rows = bundled_network(name), bundled_features(name), bundled_instances(name)
    assert name in bundled_names()
    assert network.name == name
    assert network.n_inputs == features.n_inputs == rows.values.shape[1]
    assert np.bincount(rows.labels).tolist() == [10, 10]
    assert features.theory.holds(rows.values).all()
    assert "CC BY 4.0" in features.note
    folder = REPOSITORY / "bnnverify" / "examples"
    assert all(path.stat().st_size < MAX_BYTES for path in folder.glob(f"{name}*"))


@needs_data
@pytest.mark.parametrize("name", PEOPLE)
def test_the_bundled_rows_and_features_are_those_of_the_test_set(name):
    test, rows = load_tabular(f"{name}:test", DATA), bundled_instances(name)
    first = np.sort(np.concatenate([np.flatnonzero(test.labels == c)[:10] for c in (0, 1)]))
    assert np.array_equal(rows.values, test.bits[first])
    assert np.array_equal(rows.labels, test.labels[first])
    assert bundled_features(name) == test.features


@needs_data
@pytest.mark.parametrize("name", PEOPLE)
def test_a_bundled_network_of_people_is_as_accurate_as_its_docstring_says_and_beats_the_greater_class(name):
    test = load_tabular(f"{name}:test", DATA)
    correct = int((predict(bundled_network(name), test.bits) == test.labels).sum())
    said = " ".join(str(bundled_network.__doc__).split())
    greater = int(np.bincount(test.labels).max())
    assert f"on {correct:,} of the {len(test):,} test rows" in said
    assert f"{greater:,}" in said
    assert correct > greater


def test_the_pixels_of_the_bundled_network_of_digits_are_features_by_themselves():
    assert bundled_features("mnist_784_100_50_10").groups == tuple((i,) for i in range(784))


def test_features_of_a_network_that_is_not_bundled_are_refused():
    with pytest.raises(UsageError, match="no bundled network 'alexnet'"):
        bundled_features("alexnet")
