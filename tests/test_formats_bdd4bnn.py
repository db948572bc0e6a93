"""BDD4BNN's csv folders: real ones, a small one by hand, and every way to break it."""

import json
import shutil

import numpy as np
import pytest

from bnnverify.formats import Unstated, load, load_with_notes
from bnnverify.inference.reference import classify
from tests.formats_support import assert_refused
from tests.paths import PEERS, needs_peers

FOLDER = PEERS / "bdd4bnn"
PARTS = ("lin_bias", "bn_weight", "bn_bias", "bn_mean", "bn_var")


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")


@pytest.fixture
def model(tmp_path):
    """3 inputs, blocks of 2 and 4 neurons, 2 classes; exact numbers that are folded by hand below."""
    folder = tmp_path / "tiny"
    blocks = {"blk1": [[1, -1, 0], [1.0, 1.0, 1.0]], "blk2": [[1, 1], [1, -1], [-1, 1], [-1, -1]]}
    for name, weights in blocks.items():
        write_csv(folder / name / "lin_weight.csv", weights)
        for part, value in zip(PARTS, (0.5, 2.0, -1.0, 0.5, 4.0), strict=True):
            write_csv(folder / name / f"{part}.csv", [[value] * len(weights)])
    write_csv(folder / "out_blk" / "lin_weight.csv", [[1, 1, -1, -1], [-1, 0, 1, 1]])
    write_csv(folder / "out_blk" / "lin_bias.csv", [[0.25, -0.125]])
    return folder


def test_a_folder_folds_as_computed_by_hand(model):
    """2 (s + .5 - .5) / sqrt(4) - 1 >= 0 iff s >= 1."""
    network = load(model)
    assert network.name == "tiny"
    assert network.blocks[0].weights.tolist() == [[1, -1, 0], [1, 1, 1]]
    assert [block.thresholds.tolist() for block in network.blocks] == [[1, 1], [1, 1, 1, 1]]
    assert network.output.weights.tolist() == [[1, 1, -1, -1], [-1, 0, 1, 1]]
    assert network.output.bias.tolist() == [0.25, -0.125]
    assert load_with_notes(model)[1] == ()


def test_an_epsilon_can_be_given(model):
    """2 s / sqrt(4 + 12) - 1 >= 0 iff s >= 2."""
    assert load(model, unstated=Unstated(epsilon=12.0)).blocks[1].thresholds.tolist() == [2] * 4


def test_vectors_may_stand_in_a_column(model):
    before = load(model).fingerprint
    write_csv(model / "blk2" / "bn_mean.csv", [[0.5]] * 4)
    assert load(model).fingerprint == before


@needs_peers
@pytest.mark.parametrize("path", sorted((FOLDER / "models").glob("*")), ids=lambda path: path.name)
def test_a_real_folder_loads_with_the_shape_in_its_name(path):
    sizes = [int(size) for size in path.name.split("_blk_")[1].split("_")]
    network = load(path)
    assert [shape[0] for shape in network.shapes] + [network.n_classes] == sizes


@needs_peers
def test_published_counts_of_single_flips_are_reproduced_on_every_network():
    """Radius 1 is small enough to run every input of the ball through the integer network."""
    rows = [json.loads(line) for line in (FOLDER / "expected.jsonl").read_text().splitlines()]
    balls = [row for row in rows if row["region"] == {"hamming": 1} and row.get("counts")]
    assert len(balls) >= 8
    for row in balls:
        network = load(FOLDER / "models" / row["model"])
        text = (FOLDER / "inputs" / f"{row['input']}.txt").read_text()
        center = np.where(np.array(text.split(), dtype=float) > 0, 1, -1).astype(np.int8)
        ball = np.vstack([center, np.where(np.eye(center.size, dtype=bool), -center, center)])
        counts = np.bincount(classify(network, ball), minlength=10)
        assert counts.tolist() == [int(count) for count in row["counts"]], row["model"]


def change(file, content):
    def act(model):
        (model / file).write_bytes(content.encode() if isinstance(content, str) else content)

    return act


def remove(name):
    def act(model):
        path = model / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return act


def replace_by_folder(model):
    (model / "blk1/bn_var.csv").unlink()
    (model / "blk1/bn_var.csv").mkdir()


BROKEN = {
    "a missing file": (remove("blk2/bn_var.csv"), "blk2/bn_var.csv: missing"),
    "a missing block": (remove("blk1"), "blk1: missing; found blk2"),
    "a missing output": (remove("out_blk"), "out_blk/lin_weight.csv: missing"),
    "a folder for a file": (replace_by_folder, "blk1/bn_var.csv: missing"),
    "an empty file": (change("blk1/bn_var.csv", ""), "blk1/bn_var.csv: empty"),
    "too few values": (
        change("blk2/bn_var.csv", "1,2,3\n"),
        "bn_var.csv: 3 values, expected 4 (rows of lin_weight)",
    ),
    "a matrix for a vector": (change("blk2/bn_var.csv", "1,2\n3,4\n"), "blk2/bn_var.csv: 4 values"),
    "a truncated row": (change("blk1/lin_weight.csv", "1,-1,0\n1,1\n"), "2 values in row 2, expected 3 as in row 1"),
    "a word": (change("blk1/bn_mean.csv", "0.5,half\n"), "blk1/bn_mean.csv: 'half' in row 1 is not a number"),
    "an empty cell": (change("blk1/bn_mean.csv", "0.5,\n"), "'' in row 1 is not a number"),
    "NaN": (change("blk1/bn_mean.csv", "0.5,nan\n"), "blk1/bn_mean.csv: found nan in row 1"),
    "infinity": (change("out_blk/lin_bias.csv", "inf,0\n"), "out_blk/lin_bias.csv: found inf in row 1"),
    "a real weight": (change("blk1/lin_weight.csv", "1,.5,0\n1,1,1\n"), "blk1/lin_weight.csv: weight 0.5 at (0, 1)"),
    "a variance of zero": (change("blk1/bn_var.csv", "1,0\n"), "blk1 BatchNorm: variance 0.0 of feature 1"),
    "a negative variance": (change("blk1/bn_var.csv", "-1,1\n"), "blk1 BatchNorm: variance -1.0 of feature 0"),
    "blocks that do not chain": (change("out_blk/lin_weight.csv", "1,1\n1,1\n"), "out_blk: 2 inputs, expected 4"),
    "a binary file": (change("blk1/bn_mean.csv", b"\x80\x02\xff\x00"), "blk1/bn_mean.csv: not plain text"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_folder_is_refused_naming_the_file(fault, model):
    act, message = BROKEN[fault]
    act(model)
    assert_refused(model, message)


def test_another_folder_is_no_model(tmp_path):
    (tmp_path / "photos").mkdir()
    assert_refused(tmp_path / "photos", "a folder without blk1 or out_blk")
