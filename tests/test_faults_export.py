"""Exported tables: CSV, JSON and Parquet hold the same rows, value for value and type for type."""

import csv
import json

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.faults import Symmetric, run
from bnnverify.faults.export import export, trial_rows
from tests.cliworld import run as run_command

SUFFIXES = ("csv", "json", "parquet")


@pytest.fixture(scope="module")
def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


@pytest.fixture(scope="module")
def campaign():
    models = {"rare": Symmetric(0.001), "often": Symmetric(0.1), "inputs": Symmetric(0.05).on("inputs")}
    return run(bundled_network(), bundled_images(), models, trials=7)


def read_csv(path, like):
    """Rows of text, each value in the type that it has in ``like``."""

    def typed(text, value):
        return None if value is None and text == "" else type(value)(text)

    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{k: typed(text, row[k]) for k, text in found.items()} for found, row in zip(rows, like, strict=True)]


def test_the_three_formats_agree_row_for_row(tmp_path, campaign, parquet):
    for suffix in SUFFIXES:
        export(campaign, tmp_path / f"t.{suffix}")
    rows = trial_rows(campaign)
    assert len(rows) == 21
    assert read_csv(tmp_path / "t.csv", rows) == rows
    assert json.loads((tmp_path / "t.json").read_text()) == rows
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows


def test_points_without_a_name_or_a_rate_are_empty_in_all_formats(tmp_path, parquet):
    found = run(bundled_network(), bundled_images(), first_weight, trials=3)
    for suffix in SUFFIXES:
        export(found, tmp_path / f"t.{suffix}")
    rows = trial_rows(found)
    assert {(row["name"], row["ber"]) for row in rows} == {(None, None)}
    assert read_csv(tmp_path / "t.csv", rows) == rows
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == json.loads((tmp_path / "t.json").read_text())


def first_weight(cells, rng):
    return [0]


def test_numbers_keep_their_types_in_parquet(tmp_path, campaign, parquet):
    export(campaign, tmp_path / "t.parquet")
    types = {field.name: str(field.type) for field in parquet.read_table(tmp_path / "t.parquet").schema}
    assert (types["ber"], types["accuracy"]) == ("double", "double")
    assert {types[name] for name in ("point", "trial", "flips", "changed", "lost", "gained", "correct_0")} == {"int64"}


def test_the_command_writes_the_same_rows_in_every_format(capsys, tmp_path, parquet):
    for suffix in SUFFIXES:
        argv = ("--ber", "0.01,0.1", "--trials", "5", "--export", str(tmp_path / f"t.{suffix}"))
        code, _, err = run_command(capsys, "faults", *argv)
        assert (code, err) == (0, "")
    rows = json.loads((tmp_path / "t.json").read_text())
    assert read_csv(tmp_path / "t.csv", rows) == parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows


def test_parquet_without_its_package_is_one_sentence_before_the_work(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("bnnverify.faults.export.find_spec", lambda name: None)
    code, out, err = run_command(capsys, "faults", "--export", str(tmp_path / "t.parquet"))
    assert (code, out) == (2, "")
    assert "pip install pyarrow" in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("--ber", "1.5"), "between 0 and 1"),
        (("--ber", "nan"), "between 0 and 1"),
        (("--ber", "some"), "between 0 and 1"),
        (("--layers", "3"), "layer 3 has no weights; layers that have: 0, 1, 2"),
        (("--target", "thresholds", "--layers", "0", "--bits", "40"), "bit 40 of the thresholds of layer 0"),
        (("--layers", "1", "--bits", "100"), "bit 100 of the weights of layer 1, expected 0..99"),
        (("--layers", "2", "--rows", "10"), "row 10 of the weights of layer 2, expected 0..9"),
        (("--ecc", "0"), "SEC-DED words of 0 bits"),
        (("--ecc", "-8"), "SEC-DED words of -8 bits"),
        (("--ecc", "65537"), "SEC-DED words of 65537 bits"),
        (("--sigma", "-1", "--kind", "chip"), "a spread of at least 0"),
        (("--chip", "-1"), "an integer of at least 0"),
    ],
)
def test_bad_fault_models_are_one_sentence_each_and_exit_2(capsys, argv, sentence):
    code, out, err = run_command(capsys, "faults", *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_mask_aims_at_single_cells(capsys, tmp_path):
    mask = np.zeros((10, 50), dtype=bool)
    mask[3, 7:9] = True
    np.save(tmp_path / "mask.npy", mask)
    argv = ("--ber", "1", "--layers", "2", "--mask", str(tmp_path / "mask.npy"), "--trials", "2")
    code, out, err = run_command(capsys, "faults", *argv, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["flips_mean"] == 2


@pytest.mark.parametrize(
    ("array", "more", "sentence"),
    [
        (np.ones((10, 49), dtype=bool), ("--layers", "2"), "mask of shape (10, 49), expected (10, 50)"),
        (np.ones((10, 50)), ("--layers", "2"), "expected booleans (rows, columns)"),
        (np.ones(500, dtype=bool), ("--layers", "2"), "expected booleans (rows, columns)"),
        (np.ones((10, 50), dtype=bool), (), "a mask belongs to one layer"),
        (np.ones((10, 50), dtype=bool), ("--by", "row"), "--by: it names rows and bits itself"),
        (np.array([{}], dtype=object), ("--layers", "2"), "cannot be read as an .npy array"),
    ],
)
def test_masks_that_do_not_fit_are_one_sentence_and_exit_2(capsys, tmp_path, array, more, sentence):
    np.save(tmp_path / "mask.npy", array, allow_pickle=True)
    code, out, err = run_command(capsys, "faults", "--mask", str(tmp_path / "mask.npy"), *more)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
