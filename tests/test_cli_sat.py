"""The command line on what SAT adds: quantized pixels, solvers, proofs and their checker."""

import json

import numpy as np
import pytest

from bnnverify.formats import save
from bnnverify.network import Block, ConvBlock, Network, Output, QuantizedInput
from tests.cliworld import rows_of, run

SIDE, N_IMAGES = 6, 4


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A convolutional network of quantized pixels, and four images with labels."""
    folder = tmp_path_factory.mktemp("quantized")
    rng = np.random.default_rng(2)
    conv = ConvBlock(rng.choice([-1, 1], size=(3, 1, 3, 3)), rng.integers(-4, 5, 3), (1, 1), (1, 1))
    dense = Block(rng.choice([-1, 0, 1], size=(8, 3 * SIDE**2)), rng.integers(-3, 4, 8))
    output = Output(rng.choice([-1, 1], size=(4, 8)), rng.normal(size=4))
    layer = QuantizedInput((1, SIDE, SIDE), 255, [50, 100, 150, 200])
    save(Network([conv, dense], output, layer, "levels"), folder / "levels.npz")
    images = rng.integers(0, 256, (N_IMAGES, SIDE, SIDE)).astype(np.uint8)
    np.savez(folder / "images.npz", images=images, labels=rng.integers(0, 4, N_IMAGES))
    return folder


def asked(world, *options, index="0", eps="8/255"):
    model, images = str(world / "levels.npz"), str(world / "images.npz")
    return ("robustness", model, "--input", images, "--index", index, "--eps", eps, *options)


def test_a_box_around_a_quantized_image_is_decided_and_shown(world, capsys):
    code, out, _ = run(capsys, *asked(world, eps="0.6"))
    assert code == 1
    assert "NOT ROBUST" in out
    assert "changed pixel" in out
    assert "original: class" in out
    found = json.loads(run(capsys, *asked(world, "--json", eps="0.6"))[1])
    assert found["witness"]["replayed"] is True
    assert found["witness"]["distance"] <= 0.6 * 255


def test_a_batch_of_one_channel_images_is_a_batch_and_one_image_is_one(world, capsys):
    rows = rows_of(run(capsys, *asked(world, "--json", index=f"0:{N_IMAGES}"))[1])
    assert [row["input"]["index"] for row in rows] == list(range(N_IMAGES))
    single = json.loads(run(capsys, *asked(world, "--json", index="2"))[1])
    assert single["verdict"] == rows[2]["verdict"]


def test_solvers_agree_and_say_who_answered(world, capsys):
    answers = {s: json.loads(run(capsys, *asked(world, "--json", "--engine", "sat", "--solver", s, eps="0.2"))[1])
               for s in ("native", "cadical195", "minicard", "race")}  # fmt: skip
    assert len({answer["verdict"] for answer in answers.values()}) == 1


def test_a_proof_is_written_and_accepted_and_a_damaged_one_rejected(world, capsys, tmp_path):
    proof, model = tmp_path / "holds.proof", str(world / "levels.npz")
    verdicts = []
    for index in range(N_IMAGES):
        code, out, _ = run(capsys, *asked(world, "--json", "--proof", str(proof), index=str(index), eps="3/255"))
        verdicts.append(json.loads(out)["verdict"])
        if verdicts[-1] == "holds":
            break
    assert verdicts[-1] == "holds"
    code, out, _ = run(capsys, "check-proof", str(proof), model)
    assert (code, out.splitlines()[0][:9]) == (0, "ACCEPTED:")
    assert json.loads(run(capsys, "check-proof", str(proof), model, "--json")[1])["verdict"] == "accepted"
    lines = proof.read_text().splitlines()
    proof.write_text("\n".join(lines[:-1]) + "\n")
    code, out, _ = run(capsys, "check-proof", str(proof), model)
    assert (code, out[:9]) == (1, "REJECTED:")


def test_the_proofs_of_a_batch_bear_the_indices(world, capsys, tmp_path):
    run(capsys, *asked(world, "--proof", str(tmp_path / "p.proof.gz"), index=f"0:{N_IMAGES}", eps="3/255"))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names
    assert set(names) <= {f"p-{i}.proof.gz" for i in range(N_IMAGES)}


def test_the_solvers_are_listed_with_what_is_missing(capsys):
    code, out, _ = run(capsys, "engines", "--solvers")
    assert code == 0
    assert "native" in out
    assert "race" in out
    rows = rows_of(run(capsys, "engines", "--solvers", "--json")[1])
    assert all({"name", "what", "installed", "encodings"} <= set(row) for row in rows)


@pytest.mark.parametrize(
    "options",
    [
        ("--solver", "oracle"),
        ("--encoding", "oracle"),
        ("--solver", "race", "--encoding", "totalizer"),
        ("--engine", "enumerate"),
        ("--solver", "minicard", "--proof", "x.proof"),
    ],
)
def test_what_cannot_be_asked_exits_2_with_one_sentence(world, capsys, options):
    code, out, err = run(capsys, *asked(world, *options))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
