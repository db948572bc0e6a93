"""All back ends, in all encodings, say of small formulas what brute force says; what they lack is one sentence."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bnnverify.backends import contract
from bnnverify.backends.answers import Answer, met
from bnnverify.backends.clausal import CLAUSAL, to_cnf
from bnnverify.backends.contract import BACKENDS, solve
from bnnverify.errors import ReplayError, UnsupportedError, UsageError
from bnnverify.limits import run_limited
from bnnverify.verdict import Verdict
from tests.backend_formulas import formula_of, is_met, models, pigeons, random_formula, tangle
from tests.paths import REPOSITORY

FEW_BOUNDS = {"pairwise", "bitwise", "ladder"}
PACKAGES = {"exact": "exact", "cp-sat": "ortools"}
ROADS = [(name, encoding) for name, row in BACKENDS.items() for encoding in row.encodings or (None,)]
ALWAYS = ("native", "exact", "cp-sat", "cadical195")
OFTEN = [
    road if road[0] in ALWAYS or road[1] in (BACKENDS[road[0]].encodings or (None,))[:1]
    else pytest.param(*road, marks=pytest.mark.slow)
    for road in ROADS
]  # fmt: skip
N_FORMULAS = {"cp-sat": 60, "exact": 300, "native": 400}


def skip_without_package(name):
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])


@cache
def small_formulas():
    rng = np.random.default_rng(20)
    formulas = [random_formula(rng) for _ in range(400)]
    return [(formula, any(True for _ in models(formula))) for formula in formulas]


def test_the_small_formulas_are_met_about_every_second_time():
    found = [satisfiable for _, satisfiable in small_formulas()]
    assert 100 < sum(found) < 300


@pytest.mark.parametrize(("name", "encoding"), OFTEN)
def test_a_back_end_says_what_brute_force_says(name, encoding):
    skip_without_package(name)
    n_answered = 0
    for formula, expected in small_formulas()[: N_FORMULAS.get(name, 40)]:
        try:
            answer = solve(formula, name, encoding=encoding, seed=3, prefer=formula.inputs)
        except UnsupportedError:
            assert encoding in FEW_BOUNDS
            continue
        n_answered += 1
        assert answer.satisfiable is expected
        assert (answer.model is not None) == expected
        assert answer.model is None or is_met(formula, answer.model.tolist())
    assert n_answered > (2 if encoding in FEW_BOUNDS else 30)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (formula_of(0, []), True),
        (formula_of(3, []), True),
        (formula_of(2, [], [()]), False),
        (formula_of(2, [], [(1,), (-1,)]), False),
        (formula_of(2, [], [(1, -1)]), True),
        (formula_of(2, [], [(2, 2)]), True),
        (formula_of(3, [(((1, 1), (1, 2)), 2, -3)], [(3,), (1,), (2,)]), False),
        (formula_of(1, [(((5, 1),), 5, 0)]), True),
        (formula_of(2, [(((5, 1),), 3, 2)], [(2,), (-1,)]), False),
        (formula_of(3, [(((1, 1), (1, 2)), 1, 3), (((1, -1), (1, -2)), 2, 3)]), False),
    ],
)
def test_a_formula_at_the_edge_is_answered(name, formula, expected):
    skip_without_package(name)
    assert solve(formula, name).satisfiable is expected


@pytest.mark.parametrize("name", BACKENDS)
def test_variables_that_stand_nowhere_may_be_preferred(name):
    skip_without_package(name)
    answer = solve(formula_of(9, [], [(1, 2)]), name, prefer=[-9, 9, 8, -1])
    assert answer.model.shape == (10,)


def test_every_package_that_a_back_end_needs_has_its_extra():
    assert {name for name, row in BACKENDS.items() if row.extra} == set(PACKAGES)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_missing_package_is_one_sentence(name, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    for module in [module for module in sys.modules if module.startswith(f"{PACKAGES[name]}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnsupportedError, match=r"pip install 'bnnverify\[solvers\]'$"):
        solve(formula_of(1, []), name)


def test_a_solver_that_this_pysat_does_not_have_is_one_sentence(monkeypatch):
    monkeypatch.setitem(BACKENDS, "future", contract._pysat("cadical9999", "not yet written"))
    with pytest.raises(UnsupportedError, match="no solver cadical9999: install a newer one"):
        solve(formula_of(1, []), "future")


@pytest.mark.parametrize(
    "lie",
    [
        Answer(True, None, ""),
        Answer(True, np.zeros(2, dtype=np.bool_), ""),
        met([1, 2, -3], 3),
        met([-1, -2, 3], 3),
    ],
)
def test_a_model_that_does_not_meet_the_formula_never_leaves(lie, monkeypatch):
    formula = formula_of(3, [(((1, 1), (1, 2)), 1, 3)])
    monkeypatch.setitem(BACKENDS, "liar", replace(BACKENDS["native"], name="liar", run=lambda *_: lie))
    with pytest.raises(ReplayError, match="back end liar does not meet the formula"):
        solve(formula, "liar")
    monkeypatch.setitem(BACKENDS, "liar", replace(BACKENDS["minisat22"], name="liar", run=lambda *_: lie))
    with pytest.raises(ReplayError, match="back end liar does not meet the formula"):
        solve(formula, "liar", timeout=20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "abacus"}, "back end 'abacus': expected one of native, cadical195"),
        ({"backend": "native", "encoding": "adder"}, "expected none, it takes constraints as they are"),
        ({"backend": "cadical195", "encoding": "native"}, "encoding 'native' for back end cadical195: expected one of"),
        ({"backend": "native", "prefer": [3]}, "literal 3 preferred: expected 1 to 2"),
        ({"backend": "native", "prefer": [0]}, "literal 0 preferred"),
        ({"backend": "native", "seed": -1}, "seed -1: expected 0 or more"),
        ({"backend": "minicard", "timeout": 0}, "timeout 0: expected more than 0"),
        ({"backend": "native", "timeout": -1.0}, "timeout -1.0: expected more than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        solve(formula_of(2, []), **arguments)


def test_an_encoding_that_would_fill_the_memory_is_refused():
    formula = formula_of(3, [(((10**9, 1), (10**9 - 1, 2), (10**9 + 7, 3)), 2 * 10**9, 0)])
    with pytest.raises(UnsupportedError, match="repeat literals 3000000006 times"):
        solve(formula, "minicard")
    assert solve(formula, "minicard", encoding="adder").satisfiable is True


def test_clauses_have_no_native_constraints():
    assert not to_cnf(formula_of(2, [(((1, 1), (1, 2)), 2, 0)]), CLAUSAL[1]).at_mosts
    with pytest.raises(UsageError, match="encoding 'native' into clauses"):
        to_cnf(formula_of(2, []), "native")


HARD = {"exact": tangle(600), "cp-sat": tangle(600), "native": tangle(600)}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_time_limit_ends_the_search_also_inside_native_code(name):
    skip_without_package(name)
    start = time.monotonic()
    answer = solve(HARD.get(name, pigeons(14)), name, timeout=0.3)
    assert (answer.satisfiable, answer.model, answer.remark) == (None, None, "time limit")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("name", BACKENDS)
def test_a_caller_s_limit_ends_a_back_end_that_has_none(name):
    skip_without_package(name)
    outcome = run_limited(lambda report: solve(HARD.get(name, pigeons(14)), name), timeout=0.3)
    assert outcome.limit is Verdict.TIMEOUT
    assert outcome.seconds < 2


@pytest.mark.parametrize("name", BACKENDS)
def test_a_back_end_leaves_python_its_handler_of_interrupts(name):
    skip_without_package(name)
    solve(pigeons(4), name)
    caught = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("SigCgt"))
    assert int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1


def test_memory_that_runs_out_under_a_time_limit_is_said(monkeypatch):
    def hog(formula, request):
        raise MemoryError

    monkeypatch.setitem(BACKENDS, "hog", replace(BACKENDS["minisat22"], name="hog", run=hog))
    assert solve(formula_of(1, []), "hog", timeout=20).remark == "memory ran out"


INTERRUPTED = """
import signal, sys
from bnnverify.backends.contract import solve
from tests.backend_formulas import pigeons, tangle
name = sys.argv[1]
formula = tangle(600) if name in ("exact", "cp-sat", "native") else pigeons(14)
signal.alarm(20)
print("starts", flush=True)
try:
    solve(formula, name)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_ctrl_c_is_a_keyboard_interrupt_also_inside_native_code(name):
    skip_without_package(name)
    command = [sys.executable, "-c", INTERRUPTED, name]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "starts\n"
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "interrupted\n"
