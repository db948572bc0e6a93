"""The annealing attack on small random networks of every kind, against evaluation of every set of flips."""

import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bnnverify.engines import annealing
from bnnverify.engines.annealing import anneal, load, meeting
from bnnverify.engines.sat import reduce
from bnnverify.errors import ReplayError
from bnnverify.levelregions import LevelRegion
from bnnverify.network import Block, Network, Output
from bnnverify.presolve.flips import flips_of
from bnnverify.presolve.lower import lower
from bnnverify.presolve.presolve import presolve
from bnnverify.presolve.rows import Rows
from bnnverify.presolve.system import System
from bnnverify.regions import BitRegion
from bnnverify.scores import score_keys, tie_order
from tests.paths import needs_peers
from tests.test_patches import property_of, traffic_signs
from tests.test_presolve import World, random_world


def soon(seconds: float = 0.2) -> float:
    return time.monotonic() + seconds


def system_of(world: World, kind: str) -> System:
    lowered = lower(world.network, flips_of(world.region), score_keys(world.network.output, world.order))
    if kind == "lowered":
        return lowered
    return presolve(lowered, exchange=kind == "exchanged")[0]


def allowed(system: System) -> list[np.ndarray]:
    masks = (np.array(made, dtype=np.bool_) for made in product((False, True), repeat=system.n_flips))
    return [mask for mask in masks if system.allows(mask)]


@pytest.mark.parametrize("kind", ["lowered", "presolved", "exchanged"])
def test_what_is_found_is_right_and_what_exists_is_found(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    exists = missed = 0
    for _ in range(100):
        world = random_world(rng)
        system = system_of(world, kind)
        found = anneal(system, world.wanted, np.random.default_rng(0), deadline_s=soon(0.05))
        exists += world.exists
        missed += world.exists and found is None
        if found is not None:
            lowered = system_of(world, "lowered")
            assert lowered.allows(found)
            assert lowered.class_of(found) in world.wanted
    assert exists > 30
    assert missed <= 0.05 * exists


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "costs"])
def test_a_budget_in_any_norm_is_kept(norm: str) -> None:
    rng = np.random.default_rng(3)
    n_found = n_exists = 0
    while n_exists < 15:
        world = random_world(rng)
        region = world.region
        if region.budget is None or norm != (region.norm if isinstance(region, LevelRegion) else "costs"):
            continue
        found = anneal(system_of(world, "exchanged"), world.wanted, np.random.default_rng(0), deadline_s=soon(0.02))
        n_exists += world.exists
        if found is not None:
            values = flips_of(region).values(found)
            inside = region.layer.realize(region.pixels, values) if isinstance(region, LevelRegion) else values
            assert region.contains(inside.astype(np.int8) if isinstance(region, BitRegion) else inside)
            n_found += 1
    assert n_found >= 14


def one_of(n: int, threshold: int, budget: int | None) -> System:
    """Class 1 iff at most ``(n + threshold) / 2`` bits stay as they are; the centre has class 0."""
    network = Network([Block(np.ones((1, n), dtype=np.int8), [threshold])], Output([[1], [-1]]))
    region = BitRegion(np.ones(n, np.int8), np.arange(n), np.ones(n, np.int64), budget)
    return lower(network, flips_of(region), score_keys(network.output))


def needle(seed: int, n: int = 60, n_hidden: int = 40) -> System:
    """A random network within a ball of few flips, where a hit takes a while."""
    rng = np.random.default_rng(seed)
    blocks = [Block(rng.choice([-1, 1], (n_hidden, m)).astype(np.int8), np.zeros(n_hidden)) for m in (n, n_hidden)]
    network = Network(blocks, Output(rng.choice([-1, 1], (4, n_hidden)).astype(np.int8)))
    region = BitRegion(np.ones(n, np.int8), np.arange(n), np.ones(n, np.int64), 5)
    return lower(network, flips_of(region), score_keys(network.output))


def test_the_budget_that_just_suffices_is_spent() -> None:
    found = anneal(one_of(9, 3, 4), [1], np.random.default_rng(0), deadline_s=soon())
    assert found is not None
    assert found.sum() == 4
    assert anneal(one_of(9, 3, 3), [1], np.random.default_rng(0), deadline_s=soon(0.05)) is None


def test_the_same_seed_finds_the_same_flips() -> None:
    for seed in range(5):
        system = needle(seed)
        wanted = [c for c in range(4) if c != system.class_of(np.zeros(60, np.bool_))]
        one, other = (anneal(system, wanted, np.random.default_rng(seed), deadline_s=soon(5)) for _ in range(2))
        assert one is not None
        assert np.array_equal(one, other)


def test_the_deadline_is_kept() -> None:
    system = one_of(300, -290, 100)
    anneal(system, [1], np.random.default_rng(0), deadline_s=soon(0.0))
    start = time.monotonic()
    assert anneal(system, [1], np.random.default_rng(0), deadline_s=start + 0.1) is None
    assert 0.09 < time.monotonic() - start < 0.2


@pytest.mark.parametrize("wanted", [[0], [0, 1]])
def test_a_centre_of_a_wanted_class_is_found_at_once(wanted: list[int]) -> None:
    found = anneal(one_of(9, 3, 4), wanted, np.random.default_rng(0), deadline_s=0.0)
    assert found is not None
    assert not found.any()


def test_where_nothing_moves_or_nothing_is_wanted_it_ends_at_once() -> None:
    unread = replace(one_of(3, 3, None), blocks=(Rows.of_dense(np.zeros((1, 3)), np.zeros(1)),))
    network = Network([Block([[1, 1]], [2])], Output([[1], [-1]]))
    nowhere = np.empty(0, dtype=np.int64)
    fixed = flips_of(BitRegion(np.ones(2, np.int8), nowhere, nowhere, None))
    still = lower(network, fixed, score_keys(network.output))
    for system, wanted in ((unread, [1]), (still, [1]), (one_of(9, 3, 4), [])):
        assert anneal(system, wanted, np.random.default_rng(0), deadline_s=soon(600)) is None


def test_a_region_without_its_centre_is_left_alone() -> None:
    system = replace(one_of(9, 3, None), pairs=np.array([[1, 2]]))
    assert anneal(system, [1], np.random.default_rng(0), deadline_s=soon(600)) is None


def test_pairs_of_any_signs_are_kept() -> None:
    rng = np.random.default_rng(5)
    n_found = 0
    for _ in range(40):
        signs, flips = rng.choice([-1, 1], (6, 2)), np.array([rng.choice(9, 2, replace=False) for _ in range(6)])
        system = replace(one_of(9, 1, 6), pairs=signs * (flips + 1))
        found = anneal(system, [1], np.random.default_rng(0), deadline_s=soon(0.02))
        exists = any(system.class_of(mask) == 1 for mask in allowed(system))
        assert found is None or (system.allows(found) and system.class_of(found) == 1)
        if system.allows(np.zeros(9, np.bool_)):
            assert (found is not None) == exists
            n_found += exists
    assert n_found > 5


def test_every_hit_meets_an_alternative_and_there_are_many() -> None:
    system = needle(1)
    n = system.blocks[-1].n_rows
    rng = np.random.default_rng(2)
    weights = rng.integers(-3, 4, (3, n))
    centre = system.values(np.zeros(60, np.bool_))[-1].astype(np.int64)
    rows = Rows.of_dense(weights, -(weights @ centre) - 4)
    alternatives = [rows.of_rows(np.array([0])), rows.of_rows(np.array([1, 2]))]
    hits = list(meeting(system, alternatives, rng, deadline_s=soon(0.3)))
    assert len({hit.tobytes() for hit in hits}) > 5
    for hit in hits:
        values = rows.values(system.values(hit)[-1])
        assert system.allows(hit)
        assert values[0] >= 0 or (values[1] >= 0 and values[2] >= 0)


def test_a_hit_that_does_not_hold_is_a_bug_and_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annealing, "walk", lambda *_: True)
    with pytest.raises(ReplayError, match="do not hold"):
        anneal(one_of(9, 3, 4), [1], np.random.default_rng(0), deadline_s=soon())


@needs_peers
@pytest.mark.parametrize("name", ["idx_7040_eps_1", "idx_11985_eps_5"])
def test_a_traffic_sign_that_can_be_mistaken_is(tmp_path: Path, name: str) -> None:
    mistaken(tmp_path, name)


@needs_peers
@pytest.mark.slow
def test_the_traffic_sign_between_proof_and_attack_by_gradients_can_be_mistaken(tmp_path: Path) -> None:
    mistaken(tmp_path, "idx_8258_eps_3")


def mistaken(tmp_path: Path, name: str) -> None:
    network, order = traffic_signs(tmp_path)
    ends = property_of(f"model_30_{name}.00000.vnnlib.gz", order)
    low, high = np.ceil(ends[0].astype(float)).astype(int), np.floor(ends[1].astype(float)).astype(int)
    label, wanted = ends[2:]
    region = LevelRegion(network.input, (low + high) // 2, low, high)
    reduced = reduce(network, region, tie_order(network.n_classes, last=label))
    found = anneal(reduced.system, wanted, np.random.default_rng(0), deadline_s=soon(60))
    assert found is not None
    assert region.contains(reduced.flips.values(found))


def test_loading_compiles_the_very_kernel_that_annealing_calls() -> None:
    load()
    n_compiled = len(annealing.walk.signatures)
    anneal(needle(0), [0, 1], np.random.default_rng(0), deadline_s=soon(0.01))
    assert len(annealing.walk.signatures) == n_compiled
