"""Campaigns on a Dask cluster: the rows of one thread, whoever dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.faults import Symmetric, cluster, run
from bnnverify.faults.campaign import Effort, make_task, stream
from tests.cliworld import rows_of
from tests.cliworld import run as run_command
from tests.faultsworld import RATES, campaign, n_rows, table, world
from tests.paths import REPOSITORY

distributed = pytest.importorskip("distributed", reason="Dask is not installed")

TRIALS = 24
QUICK = ("--ber", "0.01,0.1", "--trials", "12")


@pytest.fixture(scope="module")
def workers():
    """Two worker processes on this machine."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as found:
        yield found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The table of the same campaign on one thread of this process."""
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    campaign(path, jobs=1, trials=TRIALS)
    return table(path)


def streamed(out, address, seen):
    """The campaign of the small world on a cluster, with someone who hears of every trial."""
    network, data = world()
    models, effort = [Symmetric(p) for p in RATES], Effort(TRIALS, None, 1, out, address)
    return list(stream(make_task(network, data, seed=4), models, effort, seen))


def test_the_rows_are_those_of_one_thread_bit_for_bit_and_stored_as_they_arrive(tmp_path, workers, whole):
    out, seen = tmp_path / "c.db", []
    streamed(out, workers.scheduler_address, lambda _: seen.append(n_rows(out)))
    assert table(out) == whole
    assert seen == list(range(1, TRIALS * len(RATES) + 1))


def test_a_killed_worker_loses_nothing_and_nothing_counts_twice(tmp_path, workers, whole):
    out, seen = tmp_path / "c.db", []

    def kill_one(_):
        seen.append(1)
        if len(seen) == 7:
            os.kill(next(iter(workers.workers.values())).pid, signal.SIGKILL)

    points = streamed(out, workers.scheduler_address, kill_one)
    assert table(out) == whole
    assert len(seen) == TRIALS * len(RATES)
    assert [[trial.number for trial in point.trials] for point in points] == [list(range(TRIALS))] * len(RATES)


def test_a_margin_stops_at_the_trial_of_one_thread(workers):
    network, data = world()
    options = {"trials": 200, "margin": 0.004, "seed": 2}
    near = run(network, data, Symmetric(0.1), **options).points[0]
    far = run(network, data, Symmetric(0.1), cluster=workers.scheduler_address, **options).points[0]
    assert 10 < len(far.trials) < 200
    assert far.trials == near.trials
    assert far.to_dict() == near.to_dict()


def test_what_was_begun_here_is_finished_there_and_the_other_way_round(tmp_path, workers, whole):
    for places in ((None, workers.scheduler_address), (workers.scheduler_address, None)):
        out = tmp_path / f"{places[0] is None}.db"
        for address, trials in zip(places, (TRIALS // 3, TRIALS), strict=True):
            campaign(out, jobs=1, trials=trials, cluster=address)
        assert table(out) == whole


@contextmanager
def scheduler_of_its_own(folder):
    """A scheduler process with one worker process; its process and its address."""
    place = folder / "scheduler.json"
    options = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": REPOSITORY}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1"]
    scheduler = subprocess.Popen([*command, "--no-dashboard", "--scheduler-file", str(place)], **options)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(place), "--no-nanny"]
    worker = subprocess.Popen([*command, "--nthreads", "1", "--no-dashboard"], **options)
    try:
        deadline = time.monotonic() + 30
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield scheduler, json.loads(place.read_text())["address"]
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_a_killed_scheduler_is_one_sentence_and_the_campaign_resumes(tmp_path, whole):
    out = tmp_path / "c.db"
    with (
        scheduler_of_its_own(tmp_path) as (scheduler, address),
        pytest.raises(UsageError, match=r"the scheduler was lost .* run the same again"),
    ):
        streamed(out, address, lambda _: n_rows(out) == 9 and scheduler.kill())
    assert 9 <= n_rows(out) < TRIALS
    campaign(out, jobs=1, trials=TRIALS)
    assert table(out) == whole


def test_the_command_prints_the_same_lines(capsys, workers):
    def told(*more):
        code, out, err = run_command(capsys, "faults", *QUICK, "--json", *more)
        assert (code, err) == (0, "")
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows_of(out)]

    assert told("--cluster", workers.scheduler_address) == told()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [("tcp://127.0.0.1:1", "no scheduler was reached"), ("here", "missing port"), ("foo://x:1", "unknown address")],
)
def test_an_address_without_a_scheduler_is_one_sentence_and_exit_2(capsys, monkeypatch, address, sentence):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    code, out, err = run_command(capsys, "faults", *QUICK, "--cluster", address)
    assert (code, out) == (2, "")
    assert sentence in err
    assert address in err
    assert len(err.splitlines()) == 1


def test_a_scheduler_without_workers_is_one_sentence(monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_SECONDS", 0.2)
    network, data = world()
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
        pytest.raises(UsageError, match="no worker came"),
    ):
        run(network, data, Symmetric(0.1), trials=2, cluster=empty.scheduler.address)


def test_a_mistake_found_on_a_worker_is_the_same_sentence(workers):
    network, data = world()
    with pytest.raises(UsageError, match="expected a list of positions"):
        run(network, data, {"flat": two_dimensional}, trials=2, cluster=workers.scheduler_address)


def two_dimensional(cells, rng):
    return np.zeros((2, 2), dtype=np.int64)


def test_workers_of_another_version_are_refused():
    network, data = world()
    with pytest.raises(UsageError, match=r"a worker has bnnverify .*, expected 0\.0\.0 as here"):
        cluster.run_trial(make_task(network, data), Symmetric(0.1), cluster.Ticket("one", "0.0.0"), 0)


def test_workers_keep_only_the_latest_runners():
    network, (X, labels) = world()
    task = make_task(network, (X[:5], labels[:5]))
    tickets = [cluster.Ticket(name, "") for name in "abc"]
    first = [cluster._runner(task, Symmetric(0).on(), ticket) for ticket in tickets]
    assert list(cluster._RUNNERS) == tickets[1:]
    assert cluster._runner(task, Symmetric(0).on(), tickets[2]) is first[2]
    cluster._RUNNERS.clear()


def test_without_dask_a_cluster_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    network, data = world()
    with pytest.raises(UnsupportedError, match=r"pip install 'bnnverify\[cluster\]'"):
        run(network, data, Symmetric(0.1), trials=2, cluster="tcp://127.0.0.1:1")
    code, out, err = run_command(capsys, "faults", *QUICK, "--cluster", "tcp://127.0.0.1:1")
    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_threads_belong_to_the_workers(capsys):
    code, _, err = run_command(capsys, "faults", *QUICK, "--cluster", "tcp://127.0.0.1:1", "--jobs", "2")
    assert code == 2
    assert "a cluster's workers bring their own threads" in err
