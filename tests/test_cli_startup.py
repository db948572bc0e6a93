"""What happens before a question is asked: kernels, start-up against the time limit, ``python -m``."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from bnnverify.cli import kernels, progress
from bnnverify.cli.main import main
from bnnverify.data import download
from bnnverify.queries.results import RobustnessResult, Verdict
from tests.cliworld import build_world, replace_query, run

PROMISED_SECONDS, ATTEMPTS = 2.0, 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "bnnverify", "robustness", "--eps", "0", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(found.stdout)["verdict"] == "holds"


def modules_of(program: str) -> list[str]:
    report = "\nimport sys; print([name for name in ('numba', 'scipy') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1].replace("'", '"'))


def test_a_command_imports_numba_without_scipy():
    program = "from bnnverify.cli.main import main; main(['count', '--eps', '2'])"
    assert modules_of(program) == ["numba"]


def test_scipy_can_be_imported_after_numba_was_imported_without_it():
    pytest.importorskip("scipy")
    program = "from bnnverify.cli.kernels import import_numba; import_numba(); import scipy.linalg"
    assert modules_of(program) == ["numba", "scipy"]


def limits_passed_on(monkeypatch, capsys, *argv):
    """The time limits that the query receives."""
    seen = []

    def robustness(network, region, *, timeout, **options):
        seen.append(timeout)
        return RobustnessResult(verdict=Verdict.HOLDS, engine="fake", reason="a test", input_class=0)

    replace_query(monkeypatch, robustness)
    assert run(capsys, "robustness", "--eps", "1", *argv)[0] == 0
    return seen


def test_the_time_limit_of_a_single_question_includes_start_up(monkeypatch, capsys):
    (left,) = limits_passed_on(monkeypatch, capsys, "--timeout", "100")
    assert 90 < left < 100


def test_start_up_never_takes_more_than_three_quarters_of_the_time_limit(monkeypatch, capsys):
    assert limits_passed_on(monkeypatch, capsys, "--timeout", "0.001") == [0.00025]


def test_in_a_batch_every_question_has_the_whole_time_limit(monkeypatch, capsys):
    assert limits_passed_on(monkeypatch, capsys, "--timeout", "100", "--index", "0:2") == [100, 100]


def test_a_hard_question_returns_when_its_time_is_over():
    command = [sys.executable, "-m", "bnnverify", "count", "--eps", "40", "--timeout", "1", "--json"]
    seconds = []
    for _ in range(ATTEMPTS):
        start = time.monotonic()
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
        seconds.append(time.monotonic() - start)
        assert (found.returncode, json.loads(found.stdout)["verdict"]) == (3, "timeout")
    assert min(seconds) < PROMISED_SECONDS


def test_compilation_is_announced_on_a_terminal_and_wiped(monkeypatch):
    from numba import njit
    from numba.core import event

    shown = []
    terminal = SimpleNamespace(isatty=lambda: True, write=shown.append, flush=lambda: None)
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=terminal))
    announcer = kernels._announce_compilations(progress.StatusLine())
    try:
        njit(lambda n: n + 1)(1)
    finally:
        event.unregister("numba:compile", announcer)
    assert kernels.COMPILING in shown[0]
    assert shown[-1] == "\r\x1b[K"


def test_kernels_can_be_compiled_ahead(capsys):
    code, out, err = run(capsys, "engines", "--compile", "--json")
    assert code == 0
    assert all(json.loads(line)["command"] == "engines" for line in out.splitlines())
    assert "bnnverify: kernels compiled or loaded in " in err


def test_after_compiling_ahead_no_command_compiles(capsys, tmp_path):
    from numba.core import event

    kernels.compile_kernels()
    kernels.compile_diagram_kernels()
    compiled = []

    class Listener(event.Listener):
        def on_start(self, event):
            compiled.append(event.data["dispatcher"].py_func.__name__)

        def on_end(self, event):
            pass

    listener = Listener()
    event.register("numba:compile", listener)
    try:
        for argv in (
            ["explain", "adult"],
            ["explain", "--free", "296-306", "--kind", "shapley"],
            ["explain", "--eps", "2", "--kind", "min-axp"],
            ["compare", "adult", "--flip", "out:0:1"],
            ["profile", "--eps", "2", "--engine", "bdd"],
            ["robustness", "--eps", "6", "--engine", "sat"],
            ["robustness", "--eps", "2", "--engine", "sat", "--proof", str(tmp_path / "seven.proof")],
            ["check-proof", str(tmp_path / "seven.proof")],
        ):
            run(capsys, *argv)
    finally:
        event.unregister("numba:compile", listener)
    assert compiled == []


@pytest.mark.parametrize(
    ("command", "engine"),
    [
        *((command, "nonsense") for command in ("robustness", "count", "profile", "radius")),
        *((command, "approx") for command in ("robustness", "profile", "radius")),
        *((command, "sat") for command in ("count", "profile")),
    ],
)
def test_an_engine_that_cannot_answer_is_one_sentence(command, engine, capsys):
    region = [] if command == "radius" else ["--eps", "1"]
    code, out, err = run(capsys, command, *region, "--engine", engine)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert engine in err
    assert "enumerate" in err


def test_a_count_exits_1_where_another_class_occurs(world, capsys):
    for eps, expected in (("0", 0), ("3", 1)):
        argv = ["count", world.path("pixels.npz"), "--input", world.path("images.npz"), "--eps", eps, "--json"]
        code, out, _ = run(capsys, *argv)
        assert (code, json.loads(out)["verdict"]) == (expected, ["holds", "violated"][expected])


def test_a_saved_witness_is_read_back_as_an_input(world, capsys, tmp_path):
    path = str(tmp_path / "witness.npz")
    argv = ["robustness", world.path("pixels.npz"), "--input", world.path("images.npz"), "--eps", "3", "--json"]
    witness = json.loads(run(capsys, *argv, "--witness", path)[1])["witness"]
    code, out, _ = run(capsys, "robustness", world.path("pixels.npz"), "--input", path, "--eps", "0", "--json")
    assert (code, json.loads(out)["input"]["class"]) == (0, witness["class"])


def test_a_download_shows_its_progress_on_a_terminal_and_prints_its_folder(monkeypatch, capsys, tmp_path):
    drawn = []
    monkeypatch.setattr(progress.StatusLine, "draw", lambda self, text: drawn.append(text))

    def fetch(name, data_dir, report):
        report("images.gz", 500_000, 2_000_000)
        return data_dir / name

    monkeypatch.setattr(download, "download", fetch)
    assert main(["datasets", "get", "mnist", "--data", str(tmp_path), "--json"]) == 0
    assert drawn == ["images.gz: 0.5 of 2.0 MB"]
    assert json.loads(capsys.readouterr().out)["folder"] == str(tmp_path / "mnist")
