"""``bnnverify faults``: one line a rate, mistakes in one sentence, files where they were asked for."""

import csv

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.faults import ChipMap, Differential, SecDed, Symmetric
from bnnverify.faults import run as run_campaign
from tests.cliworld import build_world, rows_of, run

QUICK = ("--trials", "12")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def faults(capsys, *argv):
    code, out, err = run(capsys, "faults", *argv, "--json")
    assert (code, err) == (0, "")
    return rows_of(out)


def test_the_bundled_network_needs_no_arguments(capsys):
    code, out, _ = run(capsys, "faults", *QUICK)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "mnist_784_100_50_10 on mnist_test20, rows 0:20: accuracy 95.00% without faults"
    assert [line.partition(":")[0] for line in lines[1:]] == ["ber 0.0001", "ber 0.001", "ber 0.01", "ber 0.1"]


def test_each_rate_is_one_json_line_with_the_campaigns_own_numbers(capsys):
    rows = faults(capsys, "--ber", "1e-3,1e-2", "--trials", "20", "--seed", "5")
    models = {"0.001": Symmetric(1e-3), "0.01": Symmetric(1e-2)}
    points = run_campaign(bundled_network(), bundled_images(), models, trials=20, seed=5).points
    for row, point in zip(rows, points, strict=True):
        assert row["schema"] == "bnnverify/1"
        assert row["kind"] == "ci"
        assert row["command"] == "faults"
        told = point.to_dict()
        told.pop("name")
        assert {key: row[key] for key in told} == told
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["drop"] == pytest.approx(0.95 - row["accuracy"])
    assert [row["ber"] for row in rows] == [0.001, 0.01]


def test_a_users_network_and_inputs(capsys, world):
    where = (world.path("pixels.npz"), "--input", world.path("images.npz"), "--index", "1:5")
    (row,) = faults(capsys, *where, "--ber", "0.1", *QUICK)
    assert (row["instances"], row["input"]["index"]) == (4, "1:5")
    (row,) = faults(capsys, world.path("bits.npz"), "--input", world.path("bits.npy"), "--ber", "0.1", *QUICK)
    assert row["fault_free"] == 1.0
    assert "agreement" in row


@pytest.mark.parametrize(
    ("argv", "model"),
    [
        (("--kind", "chip", "--sigma", "2", "--chip", "3"), ChipMap(0.05, 2.0, 3)),
        (("--ecc", "32"), SecDed(Symmetric(0.05), 32)),
        (("--differential",), Differential(Symmetric(0.05))),
        (("--layers", "0,2", "--bits", "0-9"), Symmetric(0.05).on(layers=[0, 2], bits=range(10))),
        (("--target", "inputs"), Symmetric(0.05).on("inputs")),
    ],
)
def test_options_name_the_models_of_the_library(capsys, argv, model):
    (row,) = faults(capsys, "--ber", "0.05", *argv, *QUICK)
    (point,) = run_campaign(bundled_network(), bundled_images(), model, trials=12).points
    assert (row["accuracy"], row["flips_mean"]) == (point.value, point.flips_mean)


@pytest.mark.parametrize("kind", ["0to1", "1to0", "stuck-at-0", "stuck-at-1", "write"])
def test_every_kind_of_error_flips_about_its_share(capsys, kind):
    (row,) = faults(capsys, "--ber", "0.1", "--kind", kind, *QUICK)
    assert 0.4 < row["flips_mean"] / (0.1 * 83_900) < 0.6


def test_parts_are_struck_one_after_the_other(capsys):
    rows = faults(capsys, "--ber", "0.1,0.2", "--by", "layer", *QUICK)
    assert [(row["ber"], row["part"]) for row in rows] == [(p, f"layer {k}") for p in (0.1, 0.2) for k in range(3)]
    rows = faults(capsys, "--ber", "1", "--by", "bit", "--target", "thresholds", "--layers", "1", *QUICK)
    assert [row["part"] for row in rows] == [f"layer 1 bit {k}" for k in range(len(rows))]


def test_energy_is_told_where_it_is_asked_for(capsys):
    low, high = faults(capsys, "--ber", "1e-8,1e-3", "--stmram", *QUICK)
    assert low["pulse_tau"] == pytest.approx(11.36, abs=0.005)
    assert low["energy_against_1e-8"] == pytest.approx(1)
    assert 1 / high["energy_against_1e-8"] == pytest.approx(2.03, abs=0.01)


def test_a_margin_stops_early(capsys):
    (row,) = faults(capsys, "--ber", "0.1", "--margin", "0.03", "--trials", "3000")
    assert 10 <= row["trials"] < 3000
    assert row["margin_met"] is True
    assert row["high"] - row["accuracy"] <= 0.03


def test_threads_and_a_stored_campaign_give_the_same_lines(capsys, tmp_path):
    def told(*more):
        rows = faults(capsys, "--ber", "0.01,0.1", *QUICK, *more)
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    out = ("--out", str(tmp_path / "c.db"))
    assert told() == told("--jobs", "2") == told(*out) == told(*out)


def test_pictures_and_tables_are_written(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    picture, table = tmp_path / "curve.png", tmp_path / "trials.csv"
    faults(capsys, "--ber", "0.01,0.1", *QUICK, "--plot", str(picture), "--export", str(table))
    assert picture.read_bytes().startswith(b"\x89PNG")
    with table.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 24
    faults(capsys, "--ber", "0.1", "--by", "layer", *QUICK, "--plot", str(tmp_path / "parts.svg"))
    assert (tmp_path / "parts.svg").stat().st_size > 0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("--ber", "2"), "expected a bit-error rate between 0 and 1"),
        (("--ber", ","), "expected bit-error rates such as"),
        (("--ber", "-0.1"), "between 0 and 1"),
        (("--layers", "9"), "layer 9 has no weights; layers that have: 0, 1, 2"),
        (("--layers", "2", "--rows", "10"), "row 10 of the weights of layer 2, expected 0..9"),
        (("--target", "thresholds", "--layers", "2"), "layer 2 has no thresholds"),
        (("--target", "thresholds", "--threshold-bits", "3"), "thresholds of 3 bits"),
        (("--ecc", "0"), "SEC-DED words of 0 bits"),
        (("--trials", "1"), "an integer of at least 2"),
        (("--margin", "0"), "expected a number above 0"),
        (("--confidence", "1"), "expected a level between 0 and 1"),
        (("--kind", "chip", "--target", "inputs"), "a chip map needs cells that keep their place"),
        (("--by", "row", "--target", "activations"), "a row of activations is an instance"),
        (("--by", "layer", "--rows", "1"), "--by: it names rows and bits itself"),
        (("--export", "x.xls"), "ends in .csv, .json, .parquet"),
        (("--plot", "x.doc"), "--plot x.doc"),
        (("--out", "/no/such/folder/c.db"), "cannot be opened"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_2(capsys, argv, sentence):
    code, out, err = run(capsys, "faults", *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_plot_has_a_band_around_its_curve():
    pytest.importorskip("matplotlib")
    from bnnverify.reports.faultplots import plot_faults, plot_parts

    points = run_campaign(bundled_network(), bundled_images(), [Symmetric(p) for p in (0, 0.01, 0.1)], trials=5).points
    axes = plot_faults(points, label="ours")
    assert axes.get_xscale() == "log"
    assert np.array_equal(axes.lines[0].get_ydata(), [point.value for point in points[1:]])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == min(point.low for point in points[1:])
    assert band.max() == max(point.high for point in points[1:])
    assert len(axes.collections) == 2
    assert plot_parts(points).get_xlabel() == "drop of accuracy"
