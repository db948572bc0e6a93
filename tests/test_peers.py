"""Other people's trained networks: their published answers, to the last digit, and the engines against each other."""

import json
from functools import cache

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.idx import read_idx
from bnnverify.data.images import read_image
from tests.agreement import ENGINES
from tests.oracle import class_of
from tests.paths import DATA, PEERS, needs_data, needs_peers

BDD4BNN = PEERS / "bdd4bnn"
HEAVY = (
    ("enumerate", "mnist_bnn_1_blk_64_10_10", {"hamming": 6}),
    ("bdd", "mnist_bnn_1_blk_100_50_10", {"hamming": 4}),
    ("bdd", "mnist_bnn_2_blk_100_50_20_10", {"hamming": 4}),
)
MNIST784_OPTIMA = {"l0": 4, "l1": 5, "l2": 5, "linf": 1}


@cache
def published():
    """Rows of expected.jsonl; none where the peers are absent."""
    path = BDD4BNN / "expected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@cache
def model(name):
    return bv.load(BDD4BNN / "models" / name)


def integers(path):
    return np.array(path.read_text().split(), dtype=np.int64)


def region_of(row):
    center = integers(BDD4BNN / "inputs" / f"{row['input']}.txt")
    if "hamming" in row["region"]:
        return bv.HammingBall(center, row["region"]["hamming"])
    return bv.FreeBits(center, integers(BDD4BNN / "free" / f"{row['region']['free']}.txt").tolist())


def name_of(row):
    return "-".join([row["model"], row["input"], *(f"{k}={v}" for k, v in row["region"].items())])


def every_row():
    """(engine, row) pairs; those that take seconds are marked slow."""
    for row in published() or [None]:
        for engine in ENGINES:
            heavy = row is not None and (engine, row["model"], row["region"]) in HEAVY
            name = engine if row is None else f"{engine}-{name_of(row)}"
            yield pytest.param(engine, row, id=name, marks=[pytest.mark.slow] if heavy else [])


@needs_peers
@pytest.mark.parametrize(("engine", "row"), list(every_row()))
def test_published_counts_are_reproduced_to_the_last_digit(engine, row):
    answer = bv.count(model(row["model"]), region_of(row), engine=engine)
    assert [answer.counts.get(c, 0) for c in range(10)] == [int(n) for n in row["counts"]]


@needs_peers
@pytest.mark.parametrize("row", published(), ids=name_of)
def test_the_verdict_of_a_published_region_follows_from_its_counts(row):
    network, region = model(row["model"]), region_of(row)
    others = {c for c, n in enumerate(row["counts"]) if int(n)} - {
        class_of(network, network.input.to_bits(region.center))
    }
    answer = bv.robustness(network, region)
    assert answer.verdict is (bv.Verdict.VIOLATED if others else bv.Verdict.HOLDS)
    assert answer.witness is None or answer.witness.label in others


@needs_peers
@pytest.mark.slow
def test_all_engines_count_a_whole_space_of_2_to_the_25_alike():
    network = model("mnist_bnn_3_blk_25_25_25_20_10")
    first, second, third = (bv.count(network, engine=engine).counts for engine in ENGINES)
    assert first == second == third
    assert sum(first.values()) == 2**25


@needs_peers
def test_a_ball_of_2_452_665_059_237_inputs_is_counted_exactly():
    network = model("mnist_bnn_4_blk_784_50_50_50_50_10")
    center = integers(BDD4BNN / "inputs" / "instance_0_784.txt")
    answer = bv.count(network, bv.HammingBall(center, 5), engine="pushforward")
    assert sum(answer.counts.values()) == answer.region.size == 2_452_665_059_237
    inner = bv.count(network, bv.HammingBall(center, 2), engine="enumerate").counts
    rows = bv.profile(network, bv.HammingBall(center, 5), engine="pushforward").profile
    assert {c: sum(row.get(c, 0) for row in rows) for c in answer.counts} == answer.counts
    assert {c: n for c in range(10) if (n := sum(row.get(c, 0) for row in rows[:3]))} == inner


NPAQ = [
    "100-bnn_1blk_20",
    "100-bnn_1blk_50_sparse=0.05",
    "400-bnn_2blk_50_20",
    "25-bnn_25_2blk_25_10",
    "16-bnn_16_3blk_1",
]


@needs_peers
@pytest.mark.parametrize("name", NPAQ)
def test_the_engines_agree_on_npaq_networks(name):
    pytest.importorskip("torch")
    network = bv.load(PEERS / "npaq" / f"mnist-{name}.pt")
    rng = np.random.default_rng(0)
    for _ in range(3):
        center = rng.choice([-1, 1], network.n_inputs)
        free = rng.choice(network.n_inputs, 16, replace=False).tolist()
        for region in (bv.HammingBall(center, 2), bv.FreeBits(center, free)):
            by_distance = [bv.profile(network, region, engine=engine).profile for engine in ENGINES]
            assert by_distance[0] == by_distance[1] == by_distance[2]
            assert bv.count(network, region, check=True, engine="pushforward").checked_by == "execute"


@cache
def mnist784():
    return bv.load(PEERS / "mnist784" / "mnist.npz")


@needs_peers
@needs_data
def test_mnist784_has_its_published_accuracy():
    images = read_idx(DATA / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(DATA / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz", 1)
    assert int((bv.predict(mnist784(), images) == labels).sum()) == 9587


@needs_peers
@pytest.mark.parametrize("norm", MNIST784_OPTIMA)
@pytest.mark.parametrize("engine", ["auto", pytest.param("enumerate", marks=pytest.mark.slow)])
def test_the_least_perturbations_of_image_7_are_the_published_optima(norm, engine):
    pytest.importorskip("PIL")
    network = mnist784()
    pixels = read_image(PEERS / "mnist784" / "mnist_test_7_label9.png").astype(np.int64).reshape(-1)
    answer = bv.radius(network, pixels, norm=norm, ties=bv.Ties.VIOLATE, engine=engine)
    assert answer.kind == "exact"
    assert answer.value == answer.lower == MNIST784_OPTIMA[norm]
    check_witness(network, pixels, answer.witness, norm)


def check_witness(network, pixels, witness, norm):
    """The changed image costs what is claimed, and reaches its class where the label loses every tie."""
    changes = np.abs(witness.input - pixels)
    measured = {"l0": (changes > 0).sum(), "l1": changes.sum(), "l2": (changes**2).sum(), "linf": changes.max()}
    assert measured[norm] == witness.distance == MNIST784_OPTIMA[norm]
    assert witness.replayed
    label = class_of(network, network.input.to_bits(pixels))
    order = [c for c in range(10) if c != label] + [label]
    assert label == 9
    assert witness.label == class_of(network, network.input.to_bits(witness.input), order) != label
