"""Campaigns: paired with the fault-free run, the same on any number of threads, resumable after a kill."""

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.errors import InputFormatError, UnsupportedError, UsageError
from bnnverify.faults import Persistent, SecDed, Symmetric, run
from bnnverify.faults.affordable import affordable_pulse, affordable_rate
from bnnverify.faults.campaign import Effort, make_task, stream
from bnnverify.faults.export import export, trial_rows
from bnnverify.faults.sensitivity import parted
from bnnverify.faults.stmram import StMram
from bnnverify.faults.store import read_trials
from bnnverify.inference import predict
from bnnverify.weightflips import WeightBit, flip_weights
from tests.faultsworld import RATES, TRIALS, campaign, n_rows, table
from tests.paths import REPOSITORY


@pytest.fixture(scope="module")
def bundled():
    return bundled_network(), bundled_images()


def lasting(point):
    return {**point.to_dict(), "trials": point.trials}


def own_flips(cells, rng):
    """A user's model: the first weight of every row."""
    return [row * cells.columns for row in range(cells.rows)]


def own_metric(classes, labels):
    """A user's metric: how often the answer is one of the even digits."""
    return float(np.mean(classes % 2 == 0))


def test_no_faults_give_exactly_the_fault_free_accuracy(bundled):
    network, images = bundled
    point = run(network, images, Symmetric(0), trials=3).points[0]
    accuracy = float(np.mean(predict(network, images.values) == images.labels))
    assert (point.value, point.low, point.high, point.drop, point.flips_mean) == (accuracy, accuracy, accuracy, 0, 0)


def test_a_users_function_strikes_what_it_says_and_a_users_metric_measures_it(bundled):
    network, images = bundled
    found = run(network, images, own_flips, trials=3, metric=own_metric)
    bits = [
        WeightBit(layer, row, 0)
        for layer, block in enumerate((*network.blocks, network.output))
        for row in range(len(block.weights))
    ]
    classes = predict(flip_weights(network, bits), images.values)
    (point,) = found.points
    assert point.metric == "metric"
    assert point.interval == "bootstrap"
    assert {trial.value for trial in point.trials} == {own_metric(classes, None)}
    assert {trial.flips for trial in point.trials} == {len(bits)}
    assert point.ber is None


def test_every_trial_is_paired_with_the_fault_free_run(bundled):
    network, images = bundled
    for point in run(network, images, [Symmetric(0.05), Symmetric(0.1)], trials=20).points:
        right = round(point.fault_free * len(images))
        for trial in point.trials:
            assert sum(trial.correct) == right - trial.lost + trial.gained
            assert trial.value == sum(trial.correct) / len(images)
            assert trial.lost + trial.gained <= trial.changed
        assert point.drop == point.fault_free - point.value
        low, high = point.drop_interval
        assert low <= point.drop <= high
        assert all(0 <= value <= 1 for value in point.class_values)


def test_without_labels_agreement_with_the_fault_free_classes_is_measured(bundled):
    network, images = bundled
    (point,) = run(network, (images.values, None), Symmetric(0.05), trials=5).points
    assert point.metric == "agreement"
    assert point.fault_free == 1.0
    assert all(trial.changed == trial.lost for trial in point.trials)


def test_threads_and_the_list_of_rates_do_not_change_a_trial(bundled):
    network, images = bundled
    rates = [Symmetric(p) for p in (0.01, 0.1)]
    one = run(network, images, rates, trials=30, seed=3)
    two = run(network, images, rates[::-1], trials=30, seed=3, jobs=2)
    assert [lasting(point) for point in one.points] == [lasting(point) for point in reversed(two.points)]
    other = run(network, images, rates, trials=30, seed=4)
    assert [trial.flips for trial in other.points[0].trials] != [trial.flips for trial in one.points[0].trials]


def test_trials_of_a_chip_are_all_alike_and_fresh_ones_are_not(bundled):
    network, images = bundled
    chip = run(network, images, Persistent(Symmetric(0.1), chip=2), trials=5).points[0]
    assert len({trial.flips for trial in chip.trials}) == 1
    fresh = run(network, images, Symmetric(0.1), trials=5).points[0]
    assert len({trial.flips for trial in fresh.trials}) > 1


def test_a_margin_stops_early_at_the_same_trial_on_any_number_of_threads(bundled):
    network, images = bundled
    found = [run(network, images, Symmetric(0.1), trials=2000, margin=0.02, jobs=jobs).points[0] for jobs in (1, 2)]
    assert 10 < len(found[0].trials) < 2000
    assert found[0].met
    assert max(found[0].high - found[0].value, found[0].value - found[0].low) <= 0.02
    assert lasting(found[0]) == lasting(found[1])
    short = run(network, images, Symmetric(0.1), trials=12, margin=1e-4).points[0]
    assert (len(short.trials), short.met) == (12, False)


def test_ecc_helps_at_low_rates(bundled):
    network, images = bundled
    raw, corrected = run(network, images, [Symmetric(0.002), SecDed(Symmetric(0.002), 64)], trials=10).points
    assert corrected.flips_mean < raw.flips_mean / 3


def test_parts_are_struck_alone(bundled):
    network, images = bundled
    points = run(network, images, parted(network, Symmetric(0.1), "layer"), trials=10).points
    assert [point.name for point in points] == ["layer 0", "layer 1", "layer 2"]
    sizes = [block.weights.size for block in (*network.blocks, network.output)]
    for point, size in zip(points, sizes, strict=True):
        assert abs(point.flips_mean - 0.1 * size) < 5 * np.sqrt(0.09 * size / 10)
    bits = parted(network, Symmetric(1.0), "bit", target="thresholds", layers=[1])
    for point in run(network, images, bits, trials=2).points:
        assert point.flips_mean == network.blocks[1].thresholds.size
    rows = run(network, images, parted(network, Symmetric(1.0), "row", layers=[2]), trials=2).points
    assert {point.flips_mean for point in rows} == {network.output.weights.shape[1]}


def test_stored_trials_are_not_run_again(tmp_path, monkeypatch, bundled):
    network, images = bundled
    out = tmp_path / "campaign.db"
    first = run(network, images, Symmetric(0.1), trials=12, out=out)
    more = run(network, images, Symmetric(0.1), trials=15, out=out)
    assert more.points[0].trials[:12] == first.points[0].trials
    monkeypatch.setattr("bnnverify.faults.machine.Machine.run", lambda *_: pytest.fail("a stored trial ran again"))
    again = run(network, images, Symmetric(0.1), trials=15, out=out, jobs=2)
    assert lasting(again.points[0]) == lasting(more.points[0])
    assert len(read_trials(out)) == 15


def test_every_trial_is_in_the_file_as_soon_as_it_is_known(tmp_path, bundled):
    network, images = bundled
    out = tmp_path / "campaign.db"
    task = make_task(network, images)
    seen = []
    list(stream(task, Symmetric(0.1), Effort(5, None, 1, out), lambda _: seen.append(n_rows(out))))
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_campaign_resumes_to_the_very_rows_of_an_uninterrupted_one(tmp_path, jobs):
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    campaign(whole, jobs=1)
    command = [sys.executable, "-m", "tests.faultsworld", str(killed), str(jobs)]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while n_rows(killed) < 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = n_rows(killed)
    assert 20 <= before < TRIALS * len(RATES)
    campaign(killed, jobs=jobs)
    assert table(killed) == table(whole)
    assert len(table(whole)[1]) == TRIALS * len(RATES)


def test_a_file_that_is_something_else_is_refused(tmp_path, bundled):
    network, images = bundled
    text, foreign = tmp_path / "a.txt", tmp_path / "b.db"
    text.write_text("not a database " * 100)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(InputFormatError, match="expected a file of fault campaigns"):
            run(network, images, Symmetric(0.1), trials=2, out=path)
        assert before == path.read_bytes()
    with pytest.raises(UsageError, match="cannot be opened"):
        run(network, images, Symmetric(0.1), trials=2, out=tmp_path / "no" / "c.db")
    with pytest.raises(UsageError, match="no such file"):
        read_trials(tmp_path / "missing.db")


def test_functions_without_a_telling_name_are_not_stored(tmp_path, bundled):
    network, images = bundled
    with pytest.raises(UsageError, match="found again by name"):
        run(network, images, lambda cells, rng: [], trials=2, out=tmp_path / "c.db")
    run(network, images, {"mine": lambda cells, rng: []}, trials=2, out=tmp_path / "c.db")
    assert {json.loads(row["description"])["model"]["model"]["name"] for row in read_trials(tmp_path / "c.db")} == {
        "mine"
    }


def test_exports_hold_every_trial(tmp_path, bundled):
    network, images = bundled
    found = run(network, images, [Symmetric(0.01), Symmetric(0.1)], trials=4)
    export(found, tmp_path / "t.csv")
    export(found, tmp_path / "t.json")
    with (tmp_path / "t.csv").open(newline="") as stream_:
        rows = list(csv.DictReader(stream_))
    assert [int(row["flips"]) for row in rows] == [t.flips for point in found.points for t in point.trials]
    assert json.loads((tmp_path / "t.json").read_text()) == trial_rows(found)
    with pytest.raises(UsageError, match=r"ends in \.csv, \.json, \.parquet"):
        export(found, tmp_path / "t.xls")


def test_parquet_holds_every_trial(tmp_path, bundled):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    network, images = bundled
    found = run(network, images, Symmetric(0.1), trials=4)
    export(found, tmp_path / "t.parquet")
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == trial_rows(found)


def test_parquet_without_its_package_is_one_sentence(tmp_path, bundled, monkeypatch):
    network, images = bundled
    found = run(network, images, Symmetric(0.1), trials=2)
    monkeypatch.setattr("bnnverify.faults.export.find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match="pip install pyarrow"):
        export(found, tmp_path / "t.parquet")


def test_the_affordable_rate_lies_between_the_points_that_hold_and_fail(bundled):
    network, images = bundled
    points = run(network, images, [Symmetric(p) for p in (0.001, 0.03, 0.1, 0.3)], trials=60).points
    least = 0.7
    found = affordable_rate(points, least)
    holding = max(point.ber for point in points if point.low >= least)
    failing = min(point.ber for point in points if point.low < least)
    assert holding <= found < failing
    pulse = affordable_pulse(points, least, StMram(), overdrive=2.0)
    assert StMram().write_error_rate(pulse) == pytest.approx(found)
    with pytest.raises(UsageError, match=r"even at 0.001 only .* is sure, expected 0.999"):
        affordable_rate(points, 0.999)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 1}, "trials 1: expected an integer of at least 2"),
        ({"jobs": 0}, "jobs 0"),
        ({"margin": -1}, "margin -1"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"interval": "wald"}, "interval 'wald'"),
        ({"interval": "wilson", "metric": own_metric}, "take bootstrap or student"),
        ({"metric": lambda classes, labels: float("nan")}, "expected a finite number"),
        ({"seed": -1}, "seed -1"),
        ({"fresh_every": 0}, "fresh_every 0"),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(bundled, options, message):
    network, images = bundled
    with pytest.raises(UsageError, match=message):
        run(network, images, Symmetric(0.1), **options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros(3, int), "expected 20 classes"), (np.full(20, 10), r"expected classes 0\.\.9"), (np.zeros(20), "float")],
)
def test_labels_that_do_not_fit_are_refused(bundled, labels, message):
    network, images = bundled
    with pytest.raises(UsageError, match=message):
        run(network, (images.values, labels), Symmetric(0.1), trials=2)
