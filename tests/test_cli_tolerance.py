"""``bnnverify tolerance``: one input, batches that resume, critical bits, mistakes in one sentence."""

import json

import numpy as np
import pytest

from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.inference import predict
from bnnverify.reports.tables import plural
from bnnverify.weightfaults import critical_bits, tolerance
from bnnverify.weightflips import WeightBit, flip_weights
from tests.cliworld import build_world, rows_of, run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return build_world(tmp_path_factory.mktemp("world"))


def asked(capsys, *argv, code=0):
    found, out, err = run(capsys, "tolerance", *argv, "--json")
    assert (found, err) == (code, "")
    return rows_of(out)


def on_world(world, *argv):
    return (world.path("pixels.npz"), "--input", world.path("images.npz"), *argv)


def test_the_bundled_network_needs_no_arguments(capsys):
    value = tolerance(bundled_network(), bundled_images().values[0]).value
    code, out, err = run(capsys, "tolerance")
    assert (code, err) == (0, "")
    assert f"{value} flipped weight bits can give class" in out
    assert "\nFlips    " in out
    assert "exact; the counterexample was executed" in out


def test_a_row_of_json_keeps_the_contract_and_its_witness_holds(capsys):
    (row,) = asked(capsys, "--index", "3", "--per-layer")
    expected = tolerance(bundled_network(), bundled_images().values[3], per_layer=True)
    assert (row["schema"], row["command"], row["verdict"], row["kind"]) == (
        "bnnverify/1", "tolerance", "answered", "exact",
    )  # fmt: skip
    assert (row["value"], row["tolerated"]) == (expected.value, expected.value - 1)
    assert row["layers"] == {str(layer): n for layer, n in expected.per_layer.items()}
    bits = [WeightBit(*map(int, text.split(":"))) for text in row["witness"]["weights"]]
    assert len(bits) == row["value"]
    twin = flip_weights(bundled_network(), bits)
    assert predict(twin, np.array(row["witness"]["input"]))[0] == row["witness"]["class"] != row["input"]["class"]
    assert row["witness"]["replayed"] is True
    assert set(row["seconds"]) == {"load", "solve", "total"}


def test_a_batch_prints_a_row_each_and_what_they_have_in_common(capsys, world):
    code, out, _ = run(capsys, "tolerance", *on_world(world, "--index", "0:4"))
    lines = out.splitlines()
    values = [tolerance(world.network, pixels).value for pixels in world.pixels[:4]]
    assert code == 0
    assert [f"{plural(n, 'flip')} to class" in line for n, line in zip(values, lines, strict=False)] == [True] * 4
    assert lines[4].startswith("4 inputs: ")
    assert lines[5].startswith("flips: inputs  ")


def test_a_batch_resumes_from_its_file_and_does_not_depend_on_jobs(capsys, world, tmp_path):
    path = tmp_path / "rows.jsonl"
    first = asked(capsys, *on_world(world, "--index", "0:2", "--out", str(path)))
    both = asked(capsys, *on_world(world, "--index", "0:4", "--out", str(path), "--jobs", "2"))
    assert both[:2] == first
    assert [json.loads(line)["input"]["index"] for line in path.read_text().splitlines()][:2] == [0, 1]
    again = asked(capsys, *on_world(world, "--index", "0:4", "--out", str(path)))
    assert again == both


def test_layers_rows_targets_and_regions_are_passed_on(capsys, world):
    pixels = world.pixels[0]
    (row,) = asked(capsys, *on_world(world, "--layers", "1", "--rows", "0,1,2"))
    assert row["value"] == tolerance(world.network, pixels, layers=[1], rows=[0, 1, 2]).value
    assert {text.split(":")[0] for text in row["witness"]["weights"]} == {"1"}
    target = (row["input"]["class"] + 1) % 3
    (row,) = asked(capsys, *on_world(world, "--target", str(target), "--ties", "violate"))
    assert (row["target"], row["witness"]["class"], row["ties"]) == (target, target, "violate")
    fixed = tolerance(world.network, pixels).value
    (row,) = asked(capsys, *on_world(world, "--eps", "1"))
    assert row["region"]["size"] == "65"
    assert row["value"] <= fixed


def test_a_limit_leaves_a_bound_and_an_exit_code(capsys):
    (row,) = asked(capsys, "--layers", "0", "--limit", "0")
    assert (row["kind"], row["value"], row["lower"]) == ("bound", None, 1)
    (row,) = asked(capsys, "--eps", "9", "--index", "0", "--layers", "0", "--timeout", "0.4", code=3)
    assert (row["verdict"], row["value"]) == ("timeout", None)


def test_bit_error_rates_add_the_probability(capsys, world):
    (row,) = asked(capsys, *on_world(world, "--ber", "1e-3,1e-2"))
    low, high = row["probability"]
    assert (low["ber"], high["ber"]) == (0.001, 0.01)
    assert 0 <= low["lower"] <= low["upper"] <= high["upper"] <= 1
    code, out, _ = run(capsys, "tolerance", *on_world(world, "--ber", "1e-3"))
    assert code == 0
    assert "Chance   ber 0.001: another class with probability" in out


def test_critical_bits_are_ranked(capsys, world):
    expected = critical_bits(world.network, world.pixels, top=4)
    (row,) = asked(capsys, *on_world(world, "--critical", "4"))
    assert row["critical"] == expected.to_dict()["critical"]
    assert row["input"]["index"] == "0:6"
    code, out, _ = run(capsys, "tolerance", *on_world(world, "--critical", "4", "--layers", "0"))
    assert code == 0
    assert "weight  changed" in out


def refused(capsys, *argv):
    code, out, err = run(capsys, "tolerance", *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_mistakes_are_one_sentence(capsys, world):
    assert "layer 7: expected 0..2" in refused(capsys, "--layers", "7")
    assert "expected bit-error rates" in refused(capsys, "--ber", ",")
    assert "between 0 and 1" in refused(capsys, "--ber", "2")
    assert "leave out --eps" in refused(capsys, "--critical", "3", "--eps", "2")
    assert "leave out the region" in refused(capsys, "--ber", "1e-3", "--eps", "2")
    assert "it measures --eps" in refused(capsys, "--norm", "linf")
    assert "expected an integer" in refused(capsys, "--limit", "-3")
    assert "own class" in refused(capsys, *on_world(world, "--target", str(predict(world.network, world.pixels)[0])))
