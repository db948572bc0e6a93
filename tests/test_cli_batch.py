"""Batches: one row for each input, the same with any number of processes, and resumable after a kill."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bnnverify.cli.batch import completed, in_order
from bnnverify.cli.ledger import Ledger, key_of
from bnnverify.errors import InputFormatError, UsageError
from bnnverify.queries.results import RobustnessResult, Verdict
from tests.cliworld import N_INSTANCES, build_world, replace_query, rows_of, run

EVERY = f"0:{N_INSTANCES}"
VARYING = ("seconds",)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def batch(world, *more, index=EVERY, eps="1", command="robustness"):
    where = [world.path("pixels.npz"), "--input", world.path("images.npz"), "--index", index]
    return [command, *where, "--eps", eps, *more]


def lasting(rows):
    """Rows without what differs from run to run."""
    return [{name: value for name, value in row.items() if name not in VARYING} for row in rows]


def forbid_solving(monkeypatch):
    def robustness(*args, **options):
        raise AssertionError("asked again")

    replace_query(monkeypatch, robustness)


def fake_verdicts(monkeypatch, *verdicts):
    """Let the query answer these verdicts in turn."""
    waiting = iter(verdicts)

    def robustness(network, region, **options):
        return RobustnessResult(verdict=next(waiting), engine="fake", reason="a test", input_class=0)

    replace_query(monkeypatch, robustness)


def test_a_batch_prints_one_row_for_each_input_in_order(world, capsys):
    _, out, err = run(capsys, *batch(world, "--json"))
    assert [row["input"]["index"] for row in rows_of(out)] == list(range(N_INSTANCES))
    assert err == ""


def test_two_processes_print_what_one_prints(world, capsys):
    one, two = (rows_of(run(capsys, *batch(world, "--json", "--jobs", jobs))[1]) for jobs in ("1", "2"))
    assert lasting(one) == lasting(two)


def test_people_get_a_line_for_each_input_and_a_summary(world, capsys):
    _, out, _ = run(capsys, *batch(world))
    lines = out.splitlines()
    assert len(lines) == N_INSTANCES + 2
    assert lines[-2].startswith(f"{N_INSTANCES} inputs: ")
    assert lines[-1].startswith("robust accuracy ")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((Verdict.HOLDS, Verdict.HOLDS, Verdict.HOLDS), 0),
        ((Verdict.HOLDS, Verdict.TIMEOUT, Verdict.HOLDS), 3),
        ((Verdict.MEMOUT, Verdict.HOLDS, Verdict.UNKNOWN), 3),
        ((Verdict.TIMEOUT, Verdict.VIOLATED, Verdict.HOLDS), 1),
    ],
)
def test_the_exit_code_of_a_batch_is_its_worst_certainty(world, capsys, monkeypatch, verdicts, code):
    fake_verdicts(monkeypatch, *verdicts)
    assert run(capsys, *batch(world, index="0:3"))[0] == code


def test_stored_rows_are_printed_and_not_computed_again(world, capsys, monkeypatch, tmp_path):
    out_file = tmp_path / "rows.jsonl"
    first = run(capsys, *batch(world, "--json", "--out", str(out_file)))
    forbid_solving(monkeypatch)
    again = run(capsys, *batch(world, "--json", "--out", str(out_file)))
    assert again == first
    assert rows_of(out_file.read_text()) == rows_of(first[1])


def test_a_batch_adds_only_the_rows_that_are_missing(world, capsys, tmp_path):
    out_file = tmp_path / "rows.jsonl"
    run(capsys, *batch(world, "--out", str(out_file), index="0:2"))
    before = out_file.read_text()
    run(capsys, *batch(world, "--out", str(out_file)))
    after = out_file.read_text()
    assert after.startswith(before)
    assert [row["input"]["index"] for row in rows_of(after)] == list(range(N_INSTANCES))


@pytest.mark.parametrize("more", [("--seed", "1"), ("--ties", "violate"), ("--target", "1"), ("--free", "1-9")])
def test_another_question_is_another_row(world, capsys, tmp_path, more):
    out_file = tmp_path / "rows.jsonl"
    run(capsys, *batch(world, "--out", str(out_file), index="0"))
    run(capsys, *batch(world, *more, "--out", str(out_file), index="0"))
    keys = {row["key"] for row in rows_of(out_file.read_text())}
    assert len(keys) == 2


def test_naming_the_default_norm_is_the_same_question(world, capsys, monkeypatch, tmp_path):
    out_file = tmp_path / "rows.jsonl"
    run(capsys, *batch(world, "--out", str(out_file)))
    forbid_solving(monkeypatch)
    assert run(capsys, *batch(world, "--norm", "hamming", "--out", str(out_file)))[0] in (0, 1)


def test_a_single_question_is_resumed_as_well(world, capsys, monkeypatch, tmp_path):
    out_file = tmp_path / "rows.jsonl"
    code, _, _ = run(capsys, *batch(world, "--out", str(out_file), index="0"))
    forbid_solving(monkeypatch)
    again, _, err = run(capsys, *batch(world, "--out", str(out_file), index="0"))
    assert again == code
    assert "already holds" in err


def test_undecided_rows_are_retried_only_with_wider_limits(world, capsys, monkeypatch, tmp_path):
    out_file = tmp_path / "rows.jsonl"
    stored = ("--json", "--out", str(out_file))
    fake_verdicts(monkeypatch, Verdict.TIMEOUT, Verdict.HOLDS)
    assert run(capsys, *batch(world, *stored, "--timeout", "1", index="0:2"))[0] == 3
    forbid_solving(monkeypatch)
    assert run(capsys, *batch(world, *stored, "--timeout", "1", index="0:2"))[0] == 3
    assert run(capsys, *batch(world, *stored, "--timeout", "0.5", index="0:2"))[0] == 3
    fake_verdicts(monkeypatch, Verdict.HOLDS)
    code, out, _ = run(capsys, *batch(world, *stored, "--timeout", "2", index="0:2"))
    assert (code, [row["verdict"] for row in rows_of(out)]) == (0, ["holds", "holds"])
    forbid_solving(monkeypatch)
    assert run(capsys, *batch(world, *stored, "--timeout", "2", index="0:2"))[0] == 0


def test_a_torn_last_line_is_dropped_and_computed_again(world, capsys, tmp_path):
    out_file = tmp_path / "rows.jsonl"
    run(capsys, *batch(world, "--out", str(out_file)))
    whole = out_file.read_bytes()
    out_file.write_bytes(whole[:-40])
    run(capsys, *batch(world, "--out", str(out_file)))
    assert lasting(rows_of(out_file.read_text())) == lasting(rows_of(whole.decode()))


@pytest.mark.parametrize("kept", [1, 5, 25])
def test_a_line_torn_anywhere_is_mended(tmp_path, kept):
    path = tmp_path / "rows.jsonl"
    row = {"schema": "bnnverify/1", "verdict": "holds", "key": "a"}
    with Ledger(path) as ledger:
        ledger.append(row)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    with Ledger(path) as ledger:
        assert ledger.find("a", {}) == row
    assert path.read_bytes() == whole


def test_a_last_row_that_lacks_only_its_newline_is_kept(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"schema": "bnnverify/1", "verdict": "holds", "key": "a"}
    path.write_text(json.dumps(row))
    with Ledger(path) as ledger:
        assert ledger.find("a", {}) == row
        ledger.append({**row, "key": "b"})
    assert [found["key"] for found in rows_of(path.read_text())] == ["a", "b"]


@pytest.mark.parametrize("text", ["my notes", "my notes\n", '{"schema": "other"}\n', "\x00\xff\n"])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(InputFormatError, match="name another file"):
        Ledger(path)
    assert path.read_text() == text


def test_two_runs_cannot_write_to_one_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    with Ledger(path), pytest.raises(UsageError, match="another run"):
        Ledger(path)
    Ledger(path).__exit__(None, None, None)


def test_keys_ignore_the_order_of_options_and_nothing_else():
    assert key_of({"a": 1, "b": None}) == key_of({"b": None, "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 2}), key_of({"a": "1"}), key_of({"b": 1})}) == 4


def test_witnesses_of_a_batch_are_numbered(world, capsys, tmp_path):
    _, out, _ = run(capsys, *batch(world, "--json", "--witness", str(tmp_path / "found.npz"), eps="2"))
    violated = {row["input"]["index"] for row in rows_of(out) if row["verdict"] == "violated"}
    assert violated
    assert {path.name for path in tmp_path.iterdir()} == {f"found-{index}.npz" for index in violated}


def test_values_come_in_order_whatever_order_they_finish_in():
    assert list(in_order(iter([(2, "c"), (0, "a"), (1, "b")]), range(3))) == ["a", "b", "c"]


def test_each_position_is_asked_once_by_any_number_of_processes():
    for jobs in (1, 2, 5):
        assert sorted(completed(lambda position: position**2, range(7), jobs)) == [(n, n * n) for n in range(7)]


def test_an_error_in_a_worker_comes_through_and_ends_the_batch():
    def ask(position):
        if position == 1:
            raise UsageError("no such class")
        time.sleep(30 if position == 0 else 0)

    start = time.monotonic()
    with pytest.raises(UsageError, match="no such class"):
        list(completed(ask, range(4), 2))
    assert time.monotonic() - start < 10


def test_a_killed_worker_is_reported_and_not_waited_for():
    with pytest.raises(MemoryError, match="worker was killed"):
        list(completed(lambda position: os.kill(os.getpid(), signal.SIGKILL), range(4), 2))


SLOW_BATCH = """
    import sys, time
    from importlib import import_module
    from bnnverify.cli.main import main
    home = import_module("bnnverify.queries.robustness")
    solve = home.robustness
    def slowly(*args, **options):
        time.sleep(0.25)
        return solve(*args, **options)
    home.robustness = slowly
    sys.exit(main(sys.argv[1:]))
"""


def start_slow_batch(world, out_file, jobs):
    command = [sys.executable, "-c", textwrap.dedent(SLOW_BATCH), *batch(world, "--out", str(out_file), "--jobs", jobs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_rows(path, n):
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < n:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("signal_number", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)],
)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_batch_that_is_killed_leaves_no_process_and_resumes(world, capsys, tmp_path, signal_number, code, jobs):
    out_file = tmp_path / "rows.jsonl"
    with start_slow_batch(world, out_file, jobs) as process:
        wait_for_rows(out_file, 2)
        workers = children_of(process.pid)
        process.send_signal(signal_number)
        assert process.wait(20) == code
        err = process.stderr.read()
    deadline = time.monotonic() + 5
    while not all(map(gone, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert all(map(gone, workers))
    assert "Traceback" not in err
    stored = rows_of(out_file.read_text())
    assert 2 <= len(stored) < N_INSTANCES
    _, out, _ = run(capsys, *batch(world, "--json", "--out", str(out_file)))
    assert [row["input"]["index"] for row in rows_of(out)] == list(range(N_INSTANCES))
    assert len(rows_of(out_file.read_text())) == N_INSTANCES
