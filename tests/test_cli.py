"""The command line as a user meets it: answers on stdout, one sentence for a mistake, the promised exit codes."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from bnnverify import __version__
from bnnverify.errors import ReplayError
from bnnverify.inference import predict
from bnnverify.limits import run_limited
from bnnverify.queries.results import CountResult, Verdict
from tests.cliworld import build_world, replace_query, rows_of, run

COMMAND = [sys.executable, "-m", "bnnverify.cli.main"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def asked(world, command, *more):
    return [command, world.path("pixels.npz"), "--input", world.path("images.npz"), *more]


def shell(*argv, **settings):
    return subprocess.run([*COMMAND, *argv], capture_output=True, text=True, timeout=120, **settings)


def test_help_takes_a_moment_and_imports_no_numpy():
    program = "import sys; from bnnverify.cli.main import build_parser; build_parser().format_help(); "
    check = "print([name for name in ('numpy', 'numba', 'torch', 'scipy') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "robustness",
        "count",
        "profile",
        "radius",
        "explain",
        "compare",
        "predict",
        "inspect",
        "convert",
        "engines",
        "datasets",
    ],
)
def test_every_command_explains_itself(command):
    found = shell(command, "--help")
    assert found.returncode == 0
    assert found.stdout.startswith(f"usage: bnnverify {command}") or f" {command} " in found.stdout


def test_version_is_printed():
    assert shell("--version").stdout == f"bnnverify {__version__}\n"


def test_a_violated_property_exits_1_with_the_counterexample_beside_its_original(world, capsys):
    code, out, err = run(capsys, *asked(world, "robustness", "--eps", "2"))
    assert code == 1
    assert "NOT ROBUST" in out
    assert "original: class" in out
    assert "counterexample: class" in out
    assert "^" in out or "v" in out or "X" in out
    assert err == ""


def test_a_property_that_holds_exits_0(world, capsys):
    code, out, _ = run(capsys, *asked(world, "robustness", "--eps", "0"))
    assert code == 0
    assert "ROBUST: no input of the region has another class." in out


@pytest.mark.parametrize("index", range(3))
def test_count_agrees_with_evaluating_every_input(world, capsys, index):
    code, out, _ = run(capsys, *asked(world, "count", "--eps", "2", "--index", str(index), "--json"))
    expected = world.classes_within(index, 2)
    found = json.loads(out)
    assert found["counts"] == {str(c): str(n) for c, n in expected.items()}
    assert found["value"] == str(sum(n for c, n in expected.items() if c != found["input"]["class"]))
    assert code == (1 if found["verdict"] == "violated" else 0)


def test_an_integer_radius_on_pixels_means_flips_and_a_fraction_means_linf(world, capsys):
    flips = json.loads(run(capsys, *asked(world, "count", "--eps", "2", "--json"))[1])["region"]
    fraction = json.loads(run(capsys, *asked(world, "count", "--eps", "8/255", "--json"))[1])["region"]
    assert (flips["norm"], flips["eps"], flips["size"]) == ("hamming", 2, "2081")
    assert (fraction["norm"], fraction["eps"]) == ("linf", 8 / 255)
    within_reach = world.network.input.flip_costs(world.pixels[0]) <= 8
    assert fraction["size"] == str(2 ** int(within_reach.sum()))


def test_the_norm_that_was_used_is_stated(world, capsys):
    assert "norm hamming" in run(capsys, *asked(world, "robustness", "--eps", "1"))[1]
    assert "norm linf" in run(capsys, *asked(world, "robustness", "--eps", "0.01"))[1]


def test_radius_and_free_bits_intersect(world, capsys):
    found = json.loads(run(capsys, *asked(world, "count", "--eps", "1", "--free", "0-4,9", "--json"))[1])
    assert found["region"]["size"] == "7"
    assert found["region"]["free"] == [0, 1, 2, 3, 4, 9]


def test_free_bits_are_read_from_a_file(world, capsys, tmp_path):
    (tmp_path / "free.txt").write_text("3\n7 20-22\n")
    found = json.loads(run(capsys, *asked(world, "count", "--free", str(tmp_path / "free.txt"), "--json"))[1])
    assert found["region"]["size"] == str(2**5)


def test_bits_from_npy_and_from_text_give_the_same_answer(world, capsys):
    answers = []
    for name in ("bits.npy", "bits.txt"):
        argv = ["count", world.path("bits.npz"), "--input", world.path(name), "--index", "2", "--eps", "1", "--json"]
        answers.append(json.loads(run(capsys, *argv)[1])["counts"])
    assert answers[0] == answers[1]


def test_count_without_input_and_region_means_the_whole_space(world, capsys, monkeypatch):
    seen = []

    def count(network, region=None, **options):
        seen.append(region)
        return CountResult(verdict=Verdict.ANSWERED, engine="fake", reason="a test", counts={0: 2**64})

    replace_query(monkeypatch, count)
    code, out, _ = run(capsys, "count", world.path("bits.npz"), "--json")
    assert (code, seen) == (0, [None])
    found = json.loads(out)
    assert found["input"] is None
    assert found["counts"] == {"0": str(2**64)}


def test_radius_finds_the_distance_at_which_robustness_breaks(world, capsys):
    value = json.loads(run(capsys, *asked(world, "radius", "--index", "4", "--json"))[1])["value"]
    assert run(capsys, *asked(world, "robustness", "--index", "4", "--norm", "l0", "--eps", str(value)))[0] == 1
    assert run(capsys, *asked(world, "robustness", "--index", "4", "--norm", "l0", "--eps", str(value - 1)))[0] == 0


def test_profile_shows_every_distance_and_the_chance_of_a_change(world, capsys):
    _, out, _ = run(capsys, *asked(world, "profile", "--eps", "2", "--ber", "0.01"))
    assert "of another class" in out
    assert "2,016" in out
    assert "probability" in out


def test_a_witness_file_holds_an_input_of_the_class_it_names(world, capsys, tmp_path):
    path = tmp_path / "witness.npz"
    code, out, _ = run(capsys, *asked(world, "robustness", "--eps", "2", "--json", "--witness", str(path)))
    assert code == 1
    with np.load(path, allow_pickle=False) as found:
        image, label, flips = found["input"], int(found["class"]), found["flips"]
    assert predict(world.network, image[None])[0] == label == json.loads(out)["witness"]["class"]
    before, after = (world.network.input.to_bits(x) for x in (world.pixels[0], image))
    assert np.flatnonzero(before != after).tolist() == sorted(flips.tolist())
    assert [p.name for p in tmp_path.iterdir()] == ["witness.npz"]


def test_without_a_counterexample_no_witness_file_is_written(world, capsys, tmp_path):
    path = tmp_path / "witness.npz"
    code, _, err = run(capsys, *asked(world, "robustness", "--eps", "0", "--witness", str(path)))
    assert (code, path.exists()) == (0, False)
    assert "no counterexample" in err


def test_a_time_limit_is_a_verdict_that_comes_on_time(world, monkeypatch, capsys):
    def robustness(network, region, *, timeout, memory, **options):
        from bnnverify.queries.results import RobustnessResult

        outcome = run_limited(lambda report: time.sleep(60), timeout=timeout, memory=memory)
        return RobustnessResult(verdict=outcome.limit, engine="sleep", reason="a test", seconds=outcome.seconds)

    replace_query(monkeypatch, robustness)
    start = time.monotonic()
    code, out, _ = run(capsys, *asked(world, "robustness", "--eps", "2", "--timeout", "0.5", "--json"))
    assert time.monotonic() - start < 1.5
    assert (code, json.loads(out)["verdict"]) == (3, "timeout")


def test_predict_reports_accuracy_where_there_are_labels(world, capsys):
    code, out, _ = run(capsys, *asked(world, "predict", "--json"))
    found = json.loads(out)
    expected = predict(world.network, world.pixels)
    assert code == 0
    assert found["classes"] == expected.tolist()
    assert found["correct"] == int((expected == world.labels).sum())
    assert found["inputs_per_second"] > 0


def test_predict_prints_classes_where_there_are_no_labels(world, capsys):
    _, out, _ = run(capsys, "predict", world.path("bits.npz"), "--input", world.path("bits.txt"))
    assert out.splitlines()[0] == " ".join(map(str, predict(world.bit_network, world.bits)))


def test_inspect_shows_every_layer(world, capsys):
    code, out, _ = run(capsys, "inspect", world.path("pixels.npz"))
    assert code == 0
    assert all(word in out for word in ("input", "block 1", "output", "total", world.network.fingerprint))
    found = json.loads(run(capsys, "inspect", world.path("pixels.npz"), "--json")[1])
    assert found["sha256"] == world.network.fingerprint


def test_convert_saves_a_network_with_the_same_answers(world, capsys, tmp_path):
    path = tmp_path / "copy.npz"
    code, out, _ = run(capsys, "convert", world.path("pixels.npz"), str(path))
    assert code == 0
    assert "parity: not checked" in out
    assert world.network.fingerprint in out
    assert json.loads(run(capsys, "inspect", str(path), "--json")[1])["sha256"] == world.network.fingerprint


def test_engines_are_listed(capsys):
    code, out, _ = run(capsys, "engines")
    assert code == 0
    assert "enumerate" in out
    assert all({"name", "kind", "what", "regions"} <= set(row) for row in rows_of(run(capsys, "engines", "--json")[1]))


def test_data_sets_are_listed_with_what_is_found(capsys, tmp_path):
    code, out, _ = run(capsys, "datasets", "--data", str(tmp_path), "--json")
    rows = {row["name"]: row for row in rows_of(out)}
    assert code == 0
    assert rows["mnist"]["found"] is None
    assert "test" in rows["mnist"]["splits"]


def test_a_first_run_needs_neither_model_nor_input(capsys):
    code, out, _ = run(capsys, "robustness", "--eps", "1", "--json")
    found = json.loads(out)
    assert code in (0, 1)
    assert found["region"]["norm"] == "hamming"
    assert found["region"]["size"] == "785"
    code, _, err = run(capsys, "robustness")
    assert code in (0, 1)
    assert "--eps 3" in err


MISTAKES = {
    "an unknown command": ["frobnicate"],
    "no command": [],
    "an unknown option": ["robustness", "--frobnicate"],
    "an abbreviated option": ["robustness", "--ep", "1"],
    "a model that does not exist": ["robustness", "nowhere.npz", "--eps", "1"],
    "a radius that is no number": ["robustness", "--eps", "three"],
    "a fraction of a flip": ["robustness", "--eps", "1.5", "--norm", "hamming"],
    "a negative radius": ["robustness", "--eps=-1"],
    "grey levels where a fraction is due": ["robustness", "--eps", "8", "--norm", "linf"],
    "division by zero": ["robustness", "--eps", "1/0", "--norm", "linf"],
    "a norm without a radius": ["robustness", "--norm", "l1"],
    "an unknown norm": ["robustness", "--eps", "1", "--norm", "l7"],
    "an unknown engine": ["robustness", "--eps", "1", "--engine", "oracle"],
    "an index past the end": ["robustness", "--eps", "1", "--index", "99999"],
    "an empty range": ["robustness", "--eps", "1", "--index", "5:2"],
    "a free bit past the end": ["count", "--free", "784"],
    "an empty range of free bits": ["count", "--free", "9-3"],
    "a list of free bits that is not there": ["count", "--free", "nowhere.txt"],
    "a class past the last": ["robustness", "--eps", "1", "--target", "10"],
    "a time limit of zero": ["robustness", "--eps", "1", "--timeout", "0"],
    "a memory limit of zero": ["robustness", "--eps", "1", "--memory", "0"],
    "a seed below zero": ["robustness", "--eps", "1", "--seed=-1"],
    "a rate above one": ["profile", "--eps", "1", "--ber", "2"],
    "a witness that is no npz": ["robustness", "--eps", "1", "--witness", "witness.png"],
    "a witness in no folder": ["robustness", "--eps", "1", "--witness", "nowhere/witness.npz"],
    "rows in no folder": ["robustness", "--eps", "1", "--out", "nowhere/rows.jsonl"],
    "an unknown data set": ["predict", "--input", "emnist:test"],
    "an unknown split": ["predict", "--input", "mnist:validation"],
    "nothing to download": ["datasets", "get"],
    "a name for the list": ["datasets", "list", "mnist"],
    "a destination that is no npz": ["convert", "nowhere.npz", "out.pt"],
}


@pytest.mark.parametrize("argv", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_exits_2_with_one_sentence_on_stderr(argv, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    assert err.startswith("bnnverify: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_input_asks_for_one(world, capsys):
    code, _, err = run(capsys, "robustness", world.path("pixels.npz"), "--eps", "1")
    assert code == 2
    assert "--input is missing" in err


def test_an_input_without_region_asks_for_one(world, capsys):
    code, _, err = run(capsys, *asked(world, "robustness"))
    assert code == 2
    assert "the region is missing" in err


def test_a_witness_that_does_not_replay_is_a_bug_and_no_answer(world, capsys, monkeypatch):
    def robustness(*args, **options):
        raise ReplayError("the witness has class 7, expected 9")

    replace_query(monkeypatch, robustness)
    code, out, err = run(capsys, *asked(world, "robustness", "--eps", "1"))
    assert (code, out) == (70, "")
    assert "bug" in err


def test_an_unexpected_exception_is_one_sentence_and_its_traceback_on_request(world, capsys, monkeypatch):
    def robustness(*args, **options):
        raise KeyError("inner workings")

    replace_query(monkeypatch, robustness)
    monkeypatch.delenv("BNNVERIFY_DEBUG", raising=False)
    code, out, err = run(capsys, *asked(world, "robustness", "--eps", "1"))
    assert (code, out, err.count("\n")) == (70, "", 1)
    assert "KeyError" in err
    monkeypatch.setenv("BNNVERIFY_DEBUG", "1")
    assert "Traceback" in run(capsys, *asked(world, "robustness", "--eps", "1"))[2]


def test_an_interrupt_exits_130(world, capsys, monkeypatch):
    def robustness(*args, **options):
        raise KeyboardInterrupt

    replace_query(monkeypatch, robustness)
    code, out, err = run(capsys, *asked(world, "robustness", "--eps", "1"))
    assert (code, out, err) == (130, "", "bnnverify: interrupted\n")


def test_lack_of_memory_is_undecided(world, capsys, monkeypatch):
    def robustness(*args, **options):
        raise MemoryError

    replace_query(monkeypatch, robustness)
    code, _, err = run(capsys, *asked(world, "robustness", "--eps", "1"))
    assert code == 3
    assert "out of memory" in err


def test_a_reader_who_leaves_causes_no_traceback(world):
    argv = asked(world, "robustness", "--eps", "1", "--index", "0:6", "--json")
    with subprocess.Popen([*COMMAND, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() in (1, 3)


def test_a_terminal_without_block_characters_gets_plain_ones(world):
    found = shell(*asked(world, "robustness", "--eps", "2"), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert found.returncode == 1
    assert "NOT ROBUST" in found.stdout
    assert found.stdout.isascii()
    assert found.stderr == ""


def test_the_command_line_works_as_a_process(world):
    found = shell(*asked(world, "count", "--eps", "1", "--json"))
    assert found.returncode in (0, 1)
    assert sum(map(int, json.loads(found.stdout)["counts"].values())) == 65
