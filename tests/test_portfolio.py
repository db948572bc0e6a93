"""What auto picks, what it falls back to, and the attack that comes before a long search."""

import numpy as np
import pytest

import bnnverify as bv
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.engines import attack, halves, portfolio, statemap
from bnnverify.engines.execute import classify_bits, flipped
from bnnverify.engines.residual import restrict
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.queries import robustness as robustness_module
from bnnverify.scores import tie_order


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


@pytest.mark.parametrize("name", ["sat", "approx"])
def test_engines_of_later_versions_are_refused_by_name(network, seven, name):
    with pytest.raises(UnsupportedError, match=f"engine {name}: .* not part of this version"):
        bv.count(network, bv.HammingBall(seven, 2), engine=name)


def test_an_unknown_engine_is_refused(network, seven):
    with pytest.raises(UsageError, match="expected auto, enumerate, pushforward or bdd"):
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


def test_greedy_flips_reach_another_class_within_the_budget(network, seven):
    region = bv.HammingBall(seven, 12).on(network)
    order = tie_order(network.n_classes)
    wanted = [c for c in range(10) if c != 7]
    flips = attack.greedy_flips(network, region, wanted, order, np.random.default_rng(0))
    assert flips is not None
    assert len(flips) <= 12
    assert classify_bits(network, flipped(region, [flips]), order)[0] in wanted


def test_greedy_flips_give_up_where_the_class_cannot_change():
    net = bv.Network([bv.Block(np.ones((2, 6), dtype=int), [-6, -6])], bv.Output([[1, 1], [-1, -1]]))
    region = bv.HammingBall(np.ones(6), 6).on(net)
    assert attack.greedy_flips(net, region, [1], tie_order(2), np.random.default_rng(0)) is None


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
    [(lambda x: bv.PixelBox(x, 20 / 255), 18), (lambda x: bv.HammingBall(x, 3), 3)],
    ids=["grey levels", "flips"],
)
def test_a_witness_tells_its_distance_in_the_unit_of_the_region(network, seven, region, distance):
    assert bv.robustness(network, region(seven)).witness.distance == distance


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
