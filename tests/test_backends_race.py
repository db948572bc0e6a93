"""A race ends with its first answer, its limits hold for each contender, and nobody outlives it."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnnverify.backends import contract
from bnnverify.backends.answers import Answer, met
from bnnverify.backends.contract import BACKENDS
from bnnverify.backends.race import Contender, race
from bnnverify.errors import ReplayError, UnsupportedError, UsageError
from tests.backend_formulas import formula_of, models, pigeons, random_formula
from tests.paths import REPOSITORY

EASY = formula_of(3, [(((1, 1), (1, 2)), 1, 3)], [(3,), (-1,)])
HARD = pigeons(14)


def children():
    """Process ids whose parent is this process, zombies included."""
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


@pytest.fixture(autouse=True)
def _leaves_no_process_behind():
    before = children()
    yield
    assert children() <= before


@pytest.fixture
def acts(monkeypatch):
    """Back ends that do as a test says: a name and a function of the formula."""

    def add(name, act):
        row = replace(BACKENDS["minisat22"], name=name, run=lambda formula, request: act(formula))
        monkeypatch.setitem(contract.BACKENDS, name, row)
        return Contender(name)

    return add


def sleeps(formula):
    time.sleep(60)


def grows(formula):
    hoard = [np.ones(1 << 20) for _ in range(10_000)]
    return met(hoard, 0)


def dies(formula):
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def gives_up(formula):
    return Answer(None, None, "did not feel like it")


def refuses(formula):
    raise UnsupportedError("not here")


def test_the_first_answer_wins_and_the_others_are_killed(acts):
    start = time.monotonic()
    finish = race(EASY, [acts("sleeper", sleeps), Contender("minisat22", "adder"), acts("snorer", sleeps)])
    assert (str(finish.winner), finish.answer.satisfiable) == ("minisat22 (adder)", True)
    assert finish.answer.model.tolist()[1:] == [False, True, True]
    assert finish.seconds <= time.monotonic() - start < 5


def test_a_race_says_what_brute_force_says():
    rng = np.random.default_rng(6)
    contenders = [Contender("native"), Contender("cadical195"), Contender("minicard")]
    for formula in [random_formula(rng) for _ in range(30)]:
        finish = race(formula, contenders, seed=1, prefer=formula.inputs)
        assert finish.answer.satisfiable is any(True for _ in models(formula))
        assert finish.winner in contenders


def test_time_ends_a_race_inside_native_code():
    finish = race(HARD, [Contender("cadical195"), Contender("minicard")], timeout=0.4)
    assert (finish.answer.satisfiable, finish.answer.remark, finish.winner) == (None, "time limit", None)
    assert finish.seconds < 2


def test_who_outgrows_the_memory_limit_is_out_and_the_others_go_on(acts):
    finish = race(EASY, [acts("hog", grows), acts("patient", lambda _: time.sleep(1.5) or met([2, 3], 3))], memory=200)
    assert str(finish.winner) == "patient"
    finish = race(EASY, [acts("hog", grows)], memory=200, timeout=20)
    assert (finish.winner, finish.answer.satisfiable, finish.answer.remark) == (None, None, "hog: memory ran out")


def test_memory_is_limited_inside_native_code():
    finish = race(pigeons(40), [Contender("minisat22", "pairwise")], memory=20, timeout=30)
    assert finish.answer.remark == "minisat22 (pairwise): memory ran out"


def test_who_gives_up_or_dies_or_refuses_does_not_end_the_race(acts):
    weak = [acts("idle", gives_up), acts("frail", dies), acts("stranger", refuses)]
    late = acts("late", lambda _: time.sleep(0.5) or met([2, 3], 3))
    assert race(EASY, [*weak, late]).winner == late


def test_a_race_that_nobody_finishes_says_why(acts):
    finish = race(EASY, [acts("idle", gives_up), acts("stranger", refuses)])
    assert finish.answer.satisfiable is None
    assert sorted(finish.answer.remark.split("; ")) == ["idle: did not feel like it", "stranger: not here"]
    with pytest.raises(UnsupportedError, match="not here"):
        race(EASY, [acts("stranger", refuses)])
    with pytest.raises(RuntimeError, match=r"no back end answered; frail died without an answer \(SIGSEGV\)"):
        race(EASY, [acts("frail", dies), acts("idle", gives_up)])


@pytest.mark.parametrize(
    ("act", "error"), [(lambda _: met([1], 3), ReplayError), (lambda _: 1 // 0, ZeroDivisionError)]
)
def test_a_bug_ends_the_race_as_an_exception(act, error, acts):
    with pytest.raises(error):
        race(EASY, [acts("sleeper", sleeps), acts("buggy", act)])


@pytest.mark.parametrize(
    ("contenders", "limits", "message"),
    [
        ([], {}, "expected at least one"),
        ([Contender("abacus")], {}, "back end 'abacus'"),
        ([Contender("native", "adder")], {}, "expected none"),
        ([Contender("native")], {"timeout": 0}, "timeout 0: expected more than 0"),
        ([Contender("native")], {"memory": -3}, "memory -3: expected more than 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anyone_starts(contenders, limits, message):
    with pytest.raises(UsageError, match=message):
        race(EASY, contenders, **limits)


RACING = """
import os, signal
from dataclasses import replace
from bnnverify.backends import contract, race as racing
from tests.backend_formulas import pigeons

def started(name):
    run = contract.BACKENDS[name].run
    def act(formula, request):
        os.write(1, b"%d\\n" % os.getpid())
        return run(formula, request)
    return act

names = ("cadical195", "minicard", "lingeling")
for name in names:
    contract.BACKENDS[name] = replace(contract.BACKENDS[name], run=started(name))
signal.alarm(30)
racing.race(pigeons(14), [racing.Contender(name) for name in names])
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_or_a_kill_leaves_no_process(blow):
    command = [sys.executable, "-c", RACING]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        racers = [int(parent.stdout.readline()) for _ in range(3)]
        assert all(is_alive(pid) for pid in racers)
        time.sleep(0.3)
        parent.send_signal(blow)
        _, complaint = parent.communicate(timeout=10)
    assert ("KeyboardInterrupt" in complaint) == (blow == signal.SIGINT)
    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in racers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_alive(pid) for pid in racers)
