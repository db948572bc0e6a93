"""The ``sat`` engine as queries use it: bits and quantized pixels, all back ends, proofs, norms, limits."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.errors import InputFormatError, UnsupportedError, UsageError
from bnnverify.proofs.error import ProofError

N_PIXELS, MOST = 4, 9


def pixel_network(seed: int) -> bv.Network:
    rng = np.random.default_rng(seed)
    blocks = [
        bv.Block(rng.choice([-1, 1], size=(6, N_PIXELS)), rng.integers(-3, 4, 6)),
        bv.Block(rng.choice([-1, 0, 1], size=(4, 6)), rng.integers(-1, 2, 4)),
    ]
    steps = np.sort(rng.choice(np.arange(1, MOST + 1), size=5, replace=False))
    return bv.Network(blocks, bv.Output(rng.choice([-1, 1], size=(3, 4))), bv.QuantizedInput((N_PIXELS,), MOST, steps))


def every_image() -> np.ndarray:
    return np.array(list(product(range(MOST + 1), repeat=N_PIXELS)))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return every_image()


@pytest.mark.parametrize("seed", range(12))
def test_a_box_of_quantized_pixels_is_decided_as_execution_decides_it(images, seed):
    network = pixel_network(seed)
    labels = bv.predict(network, images)
    pixels = np.random.default_rng(seed).integers(0, MOST + 1, N_PIXELS)
    label = int(bv.predict(network, pixels[None])[0])
    for reach in range(MOST + 1):
        inside = np.abs(images - pixels).max(axis=1) <= reach
        answer = bv.robustness(network, bv.PixelBox(pixels, reach / MOST))
        assert (answer.verdict is bv.Verdict.VIOLATED) == bool(np.any(labels[inside] != label))
        if answer.witness is not None:
            assert answer.witness.distance <= reach
            assert bv.predict(network, answer.witness.input[None])[0] == answer.witness.label != label


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
@pytest.mark.parametrize("seed", range(4))
def test_the_least_change_of_quantized_pixels_is_that_of_brute_force(images, norm, seed):
    network = pixel_network(seed)
    labels = bv.predict(network, images)
    pixels = images[np.random.default_rng(seed).integers(len(images))]
    changed = np.abs(images - pixels)[labels != bv.predict(network, pixels[None])[0]]
    cost = {"l0": (changed > 0).sum(1), "l1": changed.sum(1), "l2": (changed**2).sum(1), "linf": changed.max(1)}[norm]
    answer = bv.radius(network, pixels, norm=norm)
    assert answer.value == (cost.min() if cost.size else None)
    assert answer.kind == "exact"


def test_balls_and_free_pixels_of_a_quantized_network_intersect(images):
    network = pixel_network(1)
    labels, pixels = bv.predict(network, images), images[1234]
    label = bv.predict(network, pixels[None])[0]
    for free in ((0, 1), (1, 2, 3)):
        for radius in (1, 2):
            moved = images != pixels
            inside = (moved.sum(1) <= radius) & ~moved[:, [i for i in range(N_PIXELS) if i not in free]].any(1)
            region = bv.FreeBits(pixels, free) & bv.HammingBall(pixels, radius)
            answer = bv.robustness(network, region)
            assert (answer.verdict is bv.Verdict.VIOLATED) == bool(np.any(labels[inside] != label))


def test_other_engines_and_mixed_centres_are_refused_for_quantized_pixels():
    network, pixels = pixel_network(0), np.zeros(N_PIXELS, dtype=np.int64)
    with pytest.raises(UnsupportedError, match=r"^engine bdd reads no quantized integers; use sat$"):
        bv.robustness(network, bv.PixelBox(pixels, 0.5), engine="bdd")
    with pytest.raises(UnsupportedError, match="needs one common centre"):
        bv.robustness(network, bv.PixelBox(pixels, 0.5) & bv.HammingBall(pixels + 1, 1))
    with pytest.raises(InputFormatError, match=r"shape \(3,\), expected"):
        bv.robustness(network, bv.PixelBox(pixels[:3], 0.5))


@pytest.mark.parametrize("solver", ["cadical195", "glucose4", "minicard", "gluecard4"])
def test_every_solver_gives_the_answer_of_the_native_one(solver):
    for seed in range(6):
        network = pixel_network(seed)
        box = bv.PixelBox(np.full(N_PIXELS, 4), 3 / MOST)
        verdicts = {bv.robustness(network, box, engine="sat", solver=s).verdict for s in ("native", solver)}
        assert len(verdicts) == 1


def test_an_unknown_solver_or_encoding_is_refused_before_any_work():
    network, box = pixel_network(0), bv.PixelBox(np.zeros(N_PIXELS, dtype=np.int64), 0.5)
    with pytest.raises(UsageError, match=r"^back end 'magic': expected one of native, "):
        bv.robustness(network, box, solver="magic")
    with pytest.raises(UsageError, match="encoding 'totalizer' for back end native"):
        bv.robustness(network, box, solver="native", encoding="totalizer")


def test_bits_are_decided_as_the_other_engines_decide_them():
    rng = np.random.default_rng(0)
    for _ in range(30):
        weights = rng.choice([-1, 1], size=(7, 9))
        network = bv.Network([bv.Block(weights, rng.integers(-3, 4, 7))], bv.Output(rng.choice([-1, 1], size=(3, 7))))
        ball = bv.HammingBall(rng.choice([-1, 1], 9), 2)
        for ties in bv.Ties:
            sat = bv.robustness(network, ball, engine="sat", ties=ties)
            assert sat.verdict is bv.robustness(network, ball, engine="enumerate", ties=ties).verdict
    center = np.ones(9)
    assert bv.radius(network, center, engine="sat").value == bv.radius(network, center, engine="enumerate").value


def test_a_proof_through_the_query_is_accepted_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    from bnnverify.data.bundled import bundled_images, bundled_network

    network, path = bundled_network(), tmp_path / "seven.proof.gz"
    answer = bv.robustness(network, bv.HammingBall(bundled_images().values[0], 2), proof=path)
    assert answer.verdict is bv.Verdict.HOLDS
    assert bv.check_proof(path, network).learnt > 0
    plain = tmp_path / "damaged.proof"
    assert bv.robustness(network, bv.HammingBall(bundled_images().values[0], 2), proof=plain).engine == "sat"
    text = plain.read_text().replace("budget 2", "budget 3")
    plain.write_text(text)
    with pytest.raises(ProofError):
        bv.check_proof(plain, network)


def test_an_answer_of_sat_is_checked_by_a_proof_or_by_execution(images):
    network = pixel_network(2)
    for reach in (0, 1, 3, 6):
        answer = bv.robustness(network, bv.PixelBox(images[777], reach / MOST), check=True)
        assert answer.checked_by == ("execute" if answer.witness is not None else "proof")
    assert bv.radius(network, images[777], norm="l1", check=True).checked_by in ("execute", "proof")


def test_a_proof_needs_the_native_solver_and_the_sat_engine(tmp_path: Path) -> None:
    network, ball = pixel_network(0), bv.PixelBox(np.zeros(N_PIXELS, dtype=np.int64), 0.5)
    with pytest.raises(UsageError, match="a proof is written by the solver native, not by minicard"):
        bv.robustness(network, ball, solver="minicard", proof=tmp_path / "p")
    with pytest.raises(UnsupportedError, match=r"^engine bdd writes no proof; use sat$"):
        bv.robustness(network, ball, engine="bdd", proof=tmp_path / "p")


def test_approximate_counts_are_within_their_factor_and_say_so():
    pytest.importorskip("pyapproxmc")
    rng = np.random.default_rng(4)
    network = bv.Network(
        [bv.Block(rng.choice([-1, 1], size=(9, 14)), rng.integers(-2, 3, 9))],
        bv.Output(rng.choice([-1, 1], size=(3, 9))),
    )
    exact = bv.count(network).counts
    answer = bv.count(network, engine="approx", epsilon=0.5, delta=0.05)
    assert answer.kind == "pac"
    assert answer.to_dict()["epsilon"] == 0.5
    assert answer.counts.keys() == exact.keys()
    assert all(n / 1.5 <= answer.counts[c] <= n * 1.5 for c, n in exact.items())


def test_images_of_quantized_levels_are_counted_approximately(images):
    pytest.importorskip("pyapproxmc")
    pytest.importorskip("pyganak")
    network = pixel_network(3)
    box = bv.PixelBox(np.full(N_PIXELS, 4), 2 / MOST)
    answer = bv.count(network, box, engine="approx", check=True)
    assert answer.checked_by == "ganak"
    inside = np.unique(network.input.to_levels(images[np.abs(images - 4).max(1) <= 2]), axis=0)
    assert answer.region.size == len(inside)
