"""Limits end native code on time, memory hogs become verdicts, and no process outlives its question."""

import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from bnnverify.errors import UsageError
from bnnverify.limits import run_limited
from bnnverify.queries.results import Verdict


@njit(cache=False)
def _never_ends(word: int) -> int:
    """Native code that neither polls a clock nor returns to Python."""
    while word != 0:
        word = (word * 6364136223846793005 + 1442695040888963407) | 1
    return word


@pytest.fixture(scope="module")
def endless():
    _never_ends(0)
    return lambda: _never_ends(3)


def _children() -> set[int]:
    """Process ids whose parent is this process, zombies included."""
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


@pytest.fixture(autouse=True)
def _leaves_no_process_behind():
    before = _children()
    yield
    assert _children() <= before


def test_without_limits_the_work_runs_in_this_process():
    outcome = run_limited(lambda report: os.getpid())
    assert (outcome.result, outcome.limit) == (os.getpid(), None)


def test_with_a_limit_the_work_runs_in_another_process_and_its_result_comes_back():
    outcome = run_limited(lambda report: (os.getpid(), {"array": np.arange(5)}), timeout=30)
    assert outcome.limit is None
    assert outcome.result[0] != os.getpid()
    assert np.array_equal(outcome.result[1]["array"], np.arange(5))


def test_a_result_of_none_is_not_mistaken_for_a_limit():
    outcome = run_limited(lambda report: None, timeout=30)
    assert (outcome.result, outcome.limit) == (None, None)


def test_an_endless_native_loop_is_killed_on_time(endless):
    start = time.monotonic()
    outcome = run_limited(lambda report: endless(), timeout=0.5)
    assert outcome.limit is Verdict.TIMEOUT
    assert outcome.result is None
    assert 0.5 <= time.monotonic() - start < 1.0
    assert 0.5 <= outcome.seconds < 1.0


def test_what_was_proved_before_the_limit_is_reported(endless):
    def work(report):
        report({"lower": 2})
        report({"lower": 3})
        endless()

    assert run_limited(work, timeout=0.4).progress == {"lower": 3}


def test_a_flood_of_reports_neither_blocks_nor_outlives_the_time_limit():
    def work(report):
        n = 0
        while True:
            n += 1
            report(n)

    start = time.monotonic()
    outcome = run_limited(work, timeout=0.4)
    assert outcome.limit is Verdict.TIMEOUT
    assert outcome.progress > 10
    assert time.monotonic() - start < 1.0


def test_reports_arrive_without_limits_too():
    def work(report):
        report(1)
        report(2)
        return "done"

    outcome = run_limited(work)
    assert (outcome.result, outcome.progress) == ("done", 2)


def test_growth_page_by_page_is_a_memout():
    def hog(report):
        report("started")
        pages = []
        while True:
            pages.append(np.ones(1 << 18))

    outcome = run_limited(hog, memory=100, timeout=60)
    assert (outcome.limit, outcome.progress) == (Verdict.MEMOUT, "started")


def test_one_vast_allocation_is_a_memout_at_once():
    start = time.monotonic()
    assert run_limited(lambda report: np.ones(1 << 34), memory=100).limit is Verdict.MEMOUT
    assert time.monotonic() - start < 2


def test_work_within_its_memory_is_not_disturbed():
    assert run_limited(lambda report: int(np.ones(20 << 17).sum()), memory=200).result == 20 << 17


def test_an_allocation_failure_in_native_code_is_a_memout_and_shows_no_crash_message(capfd):
    def work(report):
        faulthandler.disable()
        malloc = ctypes.CDLL(None).malloc
        malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        if not malloc(1 << 40):
            os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
            os.abort()

    assert run_limited(work, memory=100).limit is Verdict.MEMOUT
    assert capfd.readouterr().err == ""


def test_what_limited_work_writes_to_stderr_is_passed_on(capfd):
    run_limited(lambda report: os.write(2, b"a warning\n"), memory=100)
    assert capfd.readouterr().err == "a warning\n"


def test_a_crash_with_memory_to_spare_is_a_bug_and_not_a_memout():
    def work(report):
        faulthandler.disable()
        ctypes.string_at(0)

    with pytest.raises(RuntimeError, match="SIGSEGV"):
        run_limited(work, memory=500)


def test_a_memory_error_without_limits_is_a_memout_as_well():
    def work(report):
        raise MemoryError

    assert run_limited(work).limit is Verdict.MEMOUT
    assert run_limited(work, timeout=10).limit is Verdict.MEMOUT


def test_an_exception_comes_through_with_the_traceback_of_the_child():
    def work(report):
        raise UsageError("radius -1: expected an integer of at least 0")

    with pytest.raises(UsageError, match="radius -1") as caught:
        run_limited(work, timeout=10)
    assert any("in work" in note for note in caught.value.__notes__)


def test_an_exception_that_cannot_be_sent_still_tells_its_name():
    class LocalError(Exception):
        pass

    def work(report):
        raise LocalError("only here")

    with pytest.raises(RuntimeError, match="LocalError: only here"):
        run_limited(work, timeout=10)


def test_a_result_that_cannot_be_sent_is_an_error_and_not_a_hang():
    with pytest.raises(Exception, match="pickle"):
        run_limited(lambda report: lambda: 0, timeout=10)


def test_a_large_result_passes_the_pipe():
    outcome = run_limited(lambda report: np.arange(4 << 20), timeout=60)
    assert outcome.result[-1] == (4 << 20) - 1


def test_an_interrupt_kills_the_child(endless):
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_limited(lambda report: endless(), timeout=30)
    timer.join()


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"memory": 0}])
def test_a_limit_that_is_not_positive_is_refused(limits):
    with pytest.raises(UsageError, match="expected more than 0"):
        run_limited(lambda report: None, **limits)


def test_limits_nest():
    outcome = run_limited(lambda report: run_limited(lambda inner: time.sleep(60), timeout=0.2).limit, timeout=10)
    assert outcome.result is Verdict.TIMEOUT


def test_the_child_dies_with_a_parent_that_is_killed():
    program = """
        import os, time
        from bnnverify.limits import run_limited
        def work(report):
            print(os.getpid(), flush=True)
            time.sleep(60)
        run_limited(work, timeout=60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether the process is there and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
