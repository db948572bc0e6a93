"""``explain`` and ``compare`` as a user meets them, against executing every input of small regions."""

import itertools
import json
from importlib import import_module

import numpy as np
import pytest

from bnnverify.cli.options import KINDS
from bnnverify.formats import save
from bnnverify.inference import predict
from bnnverify.network import BitInput, Block, Network, Output
from bnnverify.theories import Encoding, Feature, FeatureGroups, save_features
from bnnverify.weightflips import WeightBit, flip_weights
from tests.cliworld import build_world, replace_query, rows_of, run

FREE = "0-7"
N_FREE = 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def asked(world, command, *more, index=0, free=FREE):
    where = ["--input", world.path("bits.npy"), "--index", str(index), "--free", free]
    return [command, world.path("bits.npz"), *where, *more]


def answer(capsys, *argv):
    code, out, err = run(capsys, *argv, "--json")
    assert err == ""
    return code, json.loads(out)


def members(world, index):
    """Every input of the region of free bits."""
    inputs = np.tile(world.bits[index], (2**N_FREE, 1))
    inputs[:, :N_FREE] = list(itertools.product((-1, 1), repeat=N_FREE))
    return inputs


def can_change(world, index, free):
    """Whether the class changes on some input that differs from the instance in these bits only."""
    inputs = members(world, index)
    kept = [i for i in range(N_FREE) if i not in free]
    allowed = inputs[(inputs[:, kept] == world.bits[index, kept]).all(axis=1)]
    return bool((predict(world.bit_network, allowed) != predict(world.bit_network, world.bits[index][None])).any())


def test_the_kinds_of_the_command_line_are_those_of_the_query():
    assert set(KINDS) == set(import_module("bnnverify.queries.explain").KINDS)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("kind", ["axp", "min-axp"])
@pytest.mark.parametrize("engine", ["bdd", "decisions"])
def test_a_sufficient_set_keeps_the_class_and_no_part_of_it_does(world, capsys, index, kind, engine):
    code, row = answer(capsys, *asked(world, "explain", "--kind", kind, "--engine", engine, index=index))
    kept = set(row["features"])
    others = set(range(N_FREE)) - kept
    assert (code, row["verdict"], row["kind"], row["engine"]) == (0, "answered", "exact", engine)
    assert not can_change(world, index, others)
    assert all(can_change(world, index, others | {feature}) for feature in kept)
    assert row["value"] == row["size"] == len(kept)


@pytest.mark.parametrize("index", range(4))
def test_a_contrastive_set_comes_with_an_executed_input_that_a_file_can_hold(world, capsys, tmp_path, index):
    path = tmp_path / "changed.npz"
    _, row = answer(capsys, *asked(world, "explain", "--kind", "min-cxp", "--witness", str(path), index=index))
    if row["features"] is None:
        assert not can_change(world, index, range(N_FREE))
        return
    assert can_change(world, index, row["features"])
    smaller = itertools.combinations(range(N_FREE), len(row["features"]) - 1)
    assert not any(can_change(world, index, free) for free in smaller)
    with np.load(path) as found:
        assert predict(world.bit_network, found["input"][None])[0] == row["witness"]["class"] == found["class"]


def test_without_region_the_whole_space_is_meant(tmp_path, capsys):
    network = Network((Block([[1, 1, 1]], [1]),), Output([[1], [-1]]), BitInput((3,)), "majority")
    save(network, tmp_path / "majority.npz")
    (tmp_path / "x.txt").write_text("1 1 0\n")
    _, row = answer(capsys, "explain", str(tmp_path / "majority.npz"), "--input", str(tmp_path / "x.txt"))
    assert (row["features"], row["region"]["size"]) == ([0, 1], "8")
    _, row = answer(capsys, "compare", str(tmp_path / "majority.npz"), "--flip", "0:0:2")
    assert (row["disagreements"], row["input"]) == ("4", None)


def test_a_picture_shows_the_pixels_of_an_image(world, capsys):
    argv = ["explain", world.path("pixels.npz"), "--input", world.path("images.npz"), "--free", "0-11"]
    out = run(capsys, *argv)[1]
    assert "SUFFICIENT" in out
    assert "axp: the marked pixels" in out
    assert "Pixels: row" in out


def tabular(folder):
    """A network of two one-hot features and a bit, and the file of its features."""
    hidden = Block(np.array([[1, -1, 1, 1, -1, 1], [1, 1, -1, -1, 1, 1], [-1, 1, 1, 1, 1, -1]]), [0, 2, 0])
    network = Network((hidden,), Output([[1, 1, -1], [-1, 1, 1]], bias=[1, 0]), BitInput((6,)), "people")
    colour = Feature("colour", (0, 1, 2), Encoding.ONE_HOT, ("red", "green", "blue"))
    size = Feature("size", (3, 4), Encoding.THERMOMETER, ("small", "middle", "large"))
    features = FeatureGroups(6, (colour, size))
    save(network, folder / "people.npz")
    save_features(features, folder / "people.json")
    (folder / "x.txt").write_text("1 0 0 1 0 1\n1 1 0 1 0 1\n")
    argv = [str(folder / "people.npz"), "--input", str(folder / "x.txt"), "--features", str(folder / "people.json")]
    return network, features, argv


def test_features_of_several_bits_are_explained_by_name_and_value(tmp_path, capsys):
    network, features, argv = tabular(tmp_path)
    _, row = answer(capsys, "explain", *argv, "--kind", "all-axp")
    valid = np.array([x for x in itertools.product((-1, 1), repeat=6) if features.theory.holds(np.array(x))])
    x, classes = np.array([1, -1, -1, 1, -1, 1]), predict(network, valid)

    def keeps(kept):
        bits = [i for feature in kept for i in features.groups[feature]]
        same = (valid[:, bits] == x[bits]).all(axis=1)
        return set(classes[same]) == set(predict(network, x[None]))

    sets = [kept for k in range(4) for kept in itertools.combinations(range(3), k) if keeps(kept)]
    minimal = [kept for kept in sets if not any(set(other) < set(kept) for other in sets)]
    assert sorted(map(tuple, row["sets"])) == sorted(minimal)
    out = run(capsys, "explain", *argv)[1]
    assert "3 features of 6 bits; only inputs that their rules allow count" in out
    assert "colour" in out or "size" in out or "bit 5" in out


def test_values_of_features_add_up_among_valid_inputs(tmp_path, capsys):
    network, features, argv = tabular(tmp_path)
    _, row = answer(capsys, "explain", *argv, "--kind", "shapley")
    valid = np.array([x for x in itertools.product((-1, 1), repeat=6) if features.theory.holds(np.array(x))])
    share = (predict(network, valid) == row["input"]["class"]).mean()
    assert sum(row["values"]) == pytest.approx(1 - share)
    assert f"on a random input of the region is {share:.6g}" in run(capsys, "explain", *argv, "--kind", "shapley")[1]


def test_an_instance_that_the_rules_exclude_is_refused(tmp_path, capsys):
    argv = tabular(tmp_path)[2]
    code, out, err = run(capsys, "explain", *argv, "--index", "1")
    assert (code, out) == (2, "")
    assert "index 1: no valid input" in err


def test_bundled_features_are_used_unless_the_user_says_none(capsys):
    _, row = answer(capsys, "explain", "adult")
    assert row["names"] is not None
    assert "education" in run(capsys, "explain", "adult")[1]
    _, row = answer(capsys, "explain", "adult", "--features", "none", "--free", "0-9")
    assert row["names"] is None


def test_features_of_another_network_are_refused(world, tmp_path, capsys):
    tabular(tmp_path)
    code, _, err = run(capsys, *asked(world, "explain", "--features", str(tmp_path / "people.json")))
    assert code == 2
    assert "6 inputs, expected 64" in err


@pytest.mark.parametrize("index", range(3))
def test_a_comparison_counts_every_pair_of_classes(world, capsys, index):
    code, row = answer(capsys, *asked(world, "compare", "--flip", "out:0:3,0:2:5", index=index))
    twin = flip_weights(world.bit_network, [WeightBit(1, 0, 3), WeightBit(0, 2, 5)])
    inputs = members(world, index)
    pairs = list(zip(predict(world.bit_network, inputs).tolist(), predict(twin, inputs).tolist(), strict=True))
    found = {(pair["first"], pair["second"]): int(pair["inputs"]) for pair in row["pairs"]}
    assert found == {pair: pairs.count(pair) for pair in set(pairs)}
    differing = sum(a != b for a, b in pairs)
    assert row["value"] == row["disagreements"] == str(differing)
    assert (code, row["verdict"]) == ((1, "violated") if differing else (0, "holds"))
    assert row["other_sha256"] == twin.fingerprint
    assert row["other"] == "bits with weights 0:2:5, out:0:3 flipped"


def test_a_network_equals_itself(world, capsys):
    argv = ["compare", world.path("bits.npz"), world.path("bits.npz"), *asked(world, "compare")[2:]]
    code, out, _ = run(capsys, *argv)
    assert code == 0
    assert "EQUIVALENT: both networks give each of 256 inputs the same class." in out


def test_networks_that_read_other_inputs_are_not_compared(world, capsys):
    code, _, err = run(capsys, "compare", world.path("bits.npz"), world.path("pixels.npz"))
    assert code == 2
    assert "reads other inputs" in err


def test_a_first_comparison_needs_a_weight_and_nothing_else(capsys):
    code, out, err = run(capsys, "compare", "--flip", "out:3:17", "--eps", "1")
    assert (code, err) == (0, "")
    assert "Second   mnist_784_100_50_10 with weight out:3:17 flipped" in out
    code, _, err = run(capsys, "compare")
    assert code == 2
    assert "--flip" in err


def test_a_first_explanation_needs_nothing(capsys, monkeypatch):
    seen = []

    def explain(network, instance, region=None, **options):
        seen.append(type(region).__name__)
        raise MemoryError

    replace_query(monkeypatch, explain)
    assert "--eps 3" in run(capsys, "explain")[2]
    assert "--free 296-299" in run(capsys, "explain", "--kind", "shapley")[2]
    assert seen == ["HammingBall", "FreeBits"]


def test_the_whole_answer_names_the_networks_and_the_nearest_input(world, capsys):
    for index in range(6):
        out = run(capsys, *asked(world, "compare", "--flip", "out:0:3", index=index))[1]
        if "DIFFERENT" in out:
            assert "Nearest such input" in out or "on the input itself" in out
            return
    pytest.fail("no region in which they differ")


@pytest.mark.parametrize("command", [("explain",), ("compare", "--flip", "out:0:1")])
def test_batches_are_resumed_by_all_that_decides_the_answer(world, capsys, monkeypatch, tmp_path, command):
    name, *options = command
    out_file = ("--out", str(tmp_path / "rows.jsonl"))
    argv = [*asked(world, name, *options, index="0:3"), "--json", *out_file]
    first = run(capsys, *argv)
    assert len(rows_of(first[1])) == 3

    def fail(*args, **settings):
        raise AssertionError("asked again")

    fail.__name__ = name
    replace_query(monkeypatch, fail)
    assert run(capsys, *argv) == first
    changed = ["--kind", "cxp"] if name == "explain" else ["--flip", "out:0:2"]
    assert run(capsys, *argv, *changed)[0] == 70


def test_explanations_cut_short_are_tried_again_with_more_time(world, capsys, tmp_path):
    argv = [*asked(world, "explain"), "--json", "--out", str(tmp_path / "rows.jsonl")]
    row = json.loads(run(capsys, *argv, "--timeout", "30")[1])
    (tmp_path / "rows.jsonl").write_text(json.dumps({**row, "kind": "bound"}) + "\n")
    assert json.loads(run(capsys, *argv, "--timeout", "20")[1])["kind"] == "bound"
    assert json.loads(run(capsys, *argv, "--timeout", "40")[1])["kind"] == "exact"


def test_lines_of_a_batch_say_what_explains(world, capsys):
    lines = run(capsys, *asked(world, "explain", index="0:2"))[1].splitlines()
    assert all("axp of" in line for line in lines[:2])
    lines = run(capsys, *asked(world, "compare", "--flip", "out:0:1", index="0:2"))[1].splitlines()
    assert all("differ on" in line for line in lines[:2])


MISTAKES = {
    "an unknown kind": ["explain", "--kind", "why"],
    "features that are not there": ["explain", "--features", "nowhere.json"],
    "no explanation to list": ["explain", "--most", "-1"],
    "an engine that explains nothing": ["explain", "--eps", "1", "--engine", "enumerate"],
    "values in a ball": ["explain", "--eps", "1", "--kind", "shapley"],
    "a weight in two parts": ["compare", "--flip", "1:2"],
    "a weight of no layer": ["compare", "--flip", "9:0:0"],
    "a weight past the row": ["compare", "--flip", "out:0:50", "--eps", "1"],
    "a second model that does not exist": ["compare", "adult", "nowhere.npz"],
}


@pytest.mark.parametrize("argv", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_exits_2_with_one_sentence_on_stderr(argv, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("bnnverify: ")
    assert "bug" not in err
