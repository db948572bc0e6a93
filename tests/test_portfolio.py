"""What auto picks, what it falls back to, and the attack that comes before a long search."""

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.engines import halves, portfolio, statemap
from bnnverify.engines.residual import restrict
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.queries import robustness as robustness_module


@pytest.fixture(scope="module")
def network():
    return bundled_network()


@pytest.fixture(scope="module")
def seven():
    return bundled_images().values[0]


def test_bounds_answer_alone_where_they_decide(network, seven):
    residual = restrict(network, bv.HammingBall(seven, 1).on(network))
    assert portfolio.choose(residual, "auto", deciding=False).engine == "bounds"


def test_a_vast_ball_with_few_moving_neurons_goes_to_pushforward():
    weights = np.ones((3, 400), dtype=np.int8)
    net = bv.Network([bv.Block(weights, [396, 392, 394])], bv.Output([[1, 1, 1], [-1, -1, -1]]))
    residual = restrict(net, bv.HammingBall(np.ones(400), 6).on(net))
    assert portfolio.choose(residual, "auto", deciding=False).engine == "pushforward"


def test_what_a_query_cannot_ask_of_an_engine_is_said(network, seven):
    residual = restrict(network, bv.HammingBall(seven, 2).on(network))
    with pytest.raises(UnsupportedError, match="engine sat decides and does not count"):
        portfolio.choose(residual, "sat", deciding=False)
    with pytest.raises(UnsupportedError, match="engine approx answers count alone"):
        portfolio.choose(residual, "approx", deciding=True)


def test_an_unknown_engine_is_refused(network, seven):
    with pytest.raises(UsageError, match="expected auto, sat, approx, enumerate, pushforward or bdd"):
        bv.count(network, bv.HammingBall(seven, 2), engine="oracle")


def test_auto_hands_over_to_enumerate_when_states_are_too_many(monkeypatch, network, seven):
    monkeypatch.setattr(halves, "MOST_STATES", 4)
    monkeypatch.setattr(portfolio.enumeration, "predicted_seconds", lambda residual: 1e9)
    region = bv.FreeBits(seven, range(196, 212))
    answer = bv.count(network, region)
    assert answer.engine == "enumerate"
    assert "pushforward gave up" in answer.reason
    assert answer.counts == bv.count(network, region, engine="enumerate").counts


def test_pushforward_by_name_says_that_states_are_too_many(monkeypatch, network, seven):
    monkeypatch.setattr(halves, "MOST_STATES", 4)
    with pytest.raises(UnsupportedError, match="distinct states; use enumerate"):
        bv.count(network, bv.FreeBits(seven, range(196, 212)), engine="pushforward")


def test_the_limit_on_states_is_one_that_memory_holds():
    assert statemap.MOST_STATES * (64 + 8 + 16) < 2 << 30


def test_a_long_search_is_preceded_by_an_attack_that_depends_on_the_seed_alone(monkeypatch, network, seven):
    monkeypatch.setattr(robustness_module, "LONG_SEARCH_SECONDS", 0.0)
    region = bv.HammingBall(seven, 12)
    first, second = (bv.robustness(network, region, seed=3) for _ in range(2))
    assert first.engine == "attack"
    assert first.verdict is bv.Verdict.VIOLATED
    assert first.witness.replayed
    assert first.witness.flips == second.witness.flips
    assert region.on(network).contains(network.input.to_bits(first.witness.input))


def test_a_failed_attack_leaves_the_search_exact(monkeypatch, network, seven):
    monkeypatch.setattr(robustness_module, "LONG_SEARCH_SECONDS", 0.0)
    assert bv.robustness(network, bv.HammingBall(seven, 2)).verdict is bv.Verdict.HOLDS


@pytest.mark.parametrize(
    ("region", "distance"),
    [(lambda x: bv.PixelBox(x, 20 / 255), 13), (lambda x: bv.HammingBall(x, 3), 2)],
    ids=["grey levels", "flips"],
)
def test_a_witness_tells_its_distance_in_the_unit_of_the_region(network, region, distance):
    assert bv.robustness(network, region(bundled_images().values[3])).witness.distance == distance


def test_a_witness_of_free_bits_within_a_pixel_box_stays_in_the_box(network, seven):
    other = np.where(seven >= 75, 255, 0)
    box = bv.PixelBox(seven, 40 / 255)
    witness = bv.robustness(network, bv.FreeBits(other, range(784)) & box).witness
    assert witness is not None
    assert np.abs(witness.input - seven.reshape(-1).astype(int)).max() <= 40


def test_a_bias_that_all_classes_share_changes_nothing():
    plain, shifted = (bv.Output([[1, 1], [1, -1]], bias=b) for b in ([0.0, 1.0], [1e15, 1e15 + 1]))
    first, second = (bv.count(bv.Network([bv.Block(np.eye(2, dtype=int), [0, 0])], o)).counts for o in (plain, shifted))
    assert first == second
    huge = bv.Network([bv.Block(np.eye(2, dtype=int), [0, 0])], bv.Output([[1, 1], [1, -1]], bias=[1e200, 1e200]))
    assert bv.count(huge).counts == {0: 2, 1: 2}
