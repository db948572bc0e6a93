"""``bnnverify train``: what it prints, what it writes, and one sentence for what it cannot do."""

import json
from pathlib import Path

import pytest

from bnnverify.formats import load
from bnnverify.training.recipe import read_recipe, recipe_names
from tests.cliworld import run
from tests.training_support import write_mnist

torch = pytest.importorskip("torch", reason="training needs torch")
torch.set_num_threads(1)

from bnnverify.training import comparison  # noqa: E402
from bnnverify.training.material import load_material  # noqa: E402

TINY = ["--smoke", "--threads", "1", "--images", "120"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    return str(write_mnist(tmp_path_factory.mktemp("data")))


def test_the_list_names_every_recipe_with_its_network(capsys) -> None:
    code, out, _ = run(capsys, "train", "--list")
    rows = out.splitlines()[2:]
    assert code == 0
    assert [row.split()[0] for row in rows] == list(recipe_names())
    assert all(read_recipe(row.split()[0]).title in row for row in rows)


def test_the_list_as_json_holds_whole_recipes(capsys) -> None:
    code, out, _ = run(capsys, "train", "--list", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["recipe"]["name"] for row in rows] == list(recipe_names())
    assert rows[0]["schema"] == "bnnverify/1"


def test_training_prints_layers_epochs_and_what_was_verified(capsys, data, tmp_path) -> None:
    out_path = tmp_path / "net.npz"
    code, out, err = run(capsys, "train", "bdd4bnn_16", *TINY, "--report", "--data", data, "--out", str(out_path))
    assert (code, err) == (0, "")
    layers = [line.split() for line in out.splitlines()[4:8]]
    assert layers[0] == ["layer", "1", "dense", "bits", "25", "400", "1", "50", "400"]
    assert layers[-2:] == [["scores", "dense", "bits", "10", "200", "1", "11", "200"], ["total", "1,100", "1,100"]]
    assert all(f"epoch {k}/2: loss " in out for k in (1, 2))
    assert "all neurons and classes agree between torch and the bit engine on all 60 test images" in out
    assert load(out_path).fingerprint in out
    header, *rows = out.splitlines()[-5:]
    assert header.split() == ["norm", "radius", "images", "clean", "attacked", "verified", "violated", "undecided"]
    assert [row.split()[:2] for row in rows[1:]] == [["hamming", "1"], ["hamming", "2"], ["hamming", "3"]]


def test_training_as_json_is_one_object(capsys, data, tmp_path) -> None:
    log, plot, out_path = tmp_path / "log.jsonl", tmp_path / "curve.svg", tmp_path / "net.npz"
    options = ["--data", data, "--out", str(out_path), "--log", str(log), "--plot", str(plot), "--json"]
    code, out, _ = run(capsys, "train", "bdd4bnn_25", *TINY, "--report", "--seed", "7", *options)
    row = json.loads(out)
    assert code == 0
    assert (row["schema"], row["command"], row["verdict"]) == ("bnnverify/1", "train", "answered")
    assert row["model"]["sha256"] == load(out_path).fingerprint
    assert row["recipe"]["training"]["seed"] == 7
    assert row["recipe"]["data"]["images"] == 120
    assert [json.loads(line) for line in log.read_text().splitlines()] == row["curve"]
    assert [found["radius"] for found in row["report"]] == [1, 2, 3]
    assert row["bytes"] == out_path.stat().st_size
    assert row["neurons_checked_on"] == row["test_images"] == 60
    assert "<svg" in plot.read_text()


def test_quirks_make_an_ordinary_file_and_say_so(capsys, data, tmp_path) -> None:
    options = ["--quirks", "--data", data, "--out", str(tmp_path / "net.npz")]
    code, out, _ = run(capsys, "train", "akshaychawla_mnist_binary", *TINY, *options)
    assert code == 0
    assert "an ordinary network, saved as the" in out


def test_resuming_what_never_began_starts_anew(capsys, data, tmp_path) -> None:
    options = ["--resume", "--data", data, "--out", str(tmp_path / "net.npz")]
    code, _, err = run(capsys, "train", "bdd4bnn_16", *TINY, *options)
    assert code == 0
    assert "there is no checkpoint" in err


def in_this_process(arguments):
    """As a child process would, without the seconds that three of them take to import torch."""
    name, recipe, folder, n_test, _, device = arguments
    yield "variant", comparison.measure(name, recipe, load_material(recipe.data, folder, n_test=n_test), device=device)


def test_a_comparison_has_a_row_for_each_network(capsys, data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(comparison, "_messages_of_child", in_this_process)
    plot = tmp_path / "bars.png"
    options = ["--compare", "--epochs", "1", "--data", data, "--plot", str(plot), "--json"]
    code, out, _ = run(capsys, "train", "theano_mnist", *TINY, *options)
    row = json.loads(out)
    names = ["float (hard-tanh)", "deterministic", "stochastic"]
    assert code == 0
    assert [variant["name"] for variant in row["variants"]] == names
    assert "Horowitz" in row["energy_source"]
    floats, deterministic, stochastic = row["variants"]
    for variant in row["variants"]:
        assert 0 <= variant["test_accuracy"] <= 1
        assert variant["seconds"] > 0
        assert variant["cpu_seconds"] > 0
        assert variant["peak_mib"] > 50
        assert variant["inferences_per_second"] > 0
    assert floats["n_accumulated"] == deterministic["n_accumulated"] == stochastic["n_accumulated"]
    assert floats["n_bytes"] > 16 * deterministic["n_bytes"]
    assert floats["arithmetic_uj"] == pytest.approx(46 * deterministic["arithmetic_uj"])
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_comparison_prints_as_a_table_with_the_source_of_its_energies(capsys, data) -> None:
    code, out, _ = run(capsys, "train", "small", *TINY, "--compare", "--epochs", "1", "--data", data)
    assert code == 0
    assert [line.split("  ")[0] for line in out.splitlines()[4:7]] == ["float (relu)", "deterministic", "stochastic"]
    assert "ISSCC 2014" in out


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "train needs a RECIPE; `bnnverify train --list` names"),
        (["nothing", "--out", "a.npz"], "no recipe 'nothing': expected a file that ends in .toml"),
        (["small"], "train needs --out MODEL.npz"),
        (["small", "--out", "a.pt"], "--out a.pt: networks are saved as .npz"),
        (["small", "--out", "/nowhere/at/all/a.npz"], "the folder /nowhere/at/all does not exist"),
        (["small", "--out", "a.npz", "--log", "a.txt"], "--log a.txt: expected a name that ends in .csv or .jsonl"),
        (["small", "--out", "a.npz", "--plot", "a.txt"], "--plot a.txt: expected a name that ends in .png"),
        (["small", "--out", "a.npz", "--quirks"], "small: lists no quirks"),
        (["theano_mnist", "--out", "a.npz", "--report"], "--report needs a binarized network and a table `verify`"),
        (["jaygshah_128_float", "--out", "a.npz", "--report"], "--report needs a binarized network"),
        (["small", "--compare", "--resume"], "--compare keeps no network of a single run, so --resume has no meaning"),
        (["small", "--out", "a.npz", "--epochs", "0"], "'0': expected a whole number of at least 1"),
        (["small", "--out", "a.npz", "--seed", "-1"], "expected"),
        (["small", "--out", "a.npz", "--data", "/nowhere"], "mnist:train: not found in /nowhere"),
        (["small", "--out", "a.npz", "--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(capsys, monkeypatch, tmp_path: Path, argv, expected) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "train", *argv)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused(capsys, data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = ["--device", "cuda", "--data", data, "--out", str(tmp_path / "net.npz")]
    code, _, err = run(capsys, "train", "bdd4bnn_16", *TINY, *options)
    assert code == 2
    assert "torch finds no CUDA device here" in err


def test_a_failure_in_a_compared_network_is_its_own_sentence(capsys) -> None:
    code, out, err = run(capsys, "train", "small", "--smoke", "--compare", "--data", "/nowhere")
    assert (code, out) == (2, "")
    assert "mnist:train: not found in /nowhere" in err


def test_tensorboard_that_is_not_installed_is_refused(capsys, tmp_path, monkeypatch) -> None:
    from bnnverify.training import logs

    monkeypatch.setattr(logs, "find_spec", lambda name: None)
    code, _, err = run(capsys, "train", "small", "--out", "a.npz", "--tensorboard", str(tmp_path))
    assert code == 2
    assert "pip install tensorboard" in err
