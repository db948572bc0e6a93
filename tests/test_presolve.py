"""Presolve and the formula behind it on small random networks of every kind, against execution of every input."""

from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bnnverify.backends.answers import Answer
from bnnverify.backends.contract import BACKENDS, solve
from bnnverify.engines.certified import Asked, search_with_proof
from bnnverify.errors import UnsupportedError
from bnnverify.inference.engine import engine_of
from bnnverify.levelregions import LevelRegion
from bnnverify.network import BitInput, Block, ConvBlock, InputLayer, MaxPool, Network, Output, QuantizedInput
from bnnverify.presolve.bounds import flip_range
from bnnverify.presolve.flips import flips_of
from bnnverify.presolve.goal import Goal, goal
from bnnverify.presolve.lower import lower
from bnnverify.presolve.presolve import presolve
from bnnverify.presolve.rows import Rows
from bnnverify.presolve.system import System
from bnnverify.proofs.checker import check_proof
from bnnverify.regions import BitRegion
from bnnverify.scores import score_keys, tie_order
from encoders.formula import Formula

ENCODINGS = BACKENDS["cadical195"].encodings
MOST_FLIPS = 12


@dataclass(frozen=True)
class World:
    """A network on a region, every member of the region, and the question asked."""

    network: Network
    region: BitRegion | LevelRegion
    members: NDArray[Any]
    wanted: list[int]
    order: tuple[int, ...]

    @property
    def exists(self) -> bool:
        """Whether some member has a wanted class, by execution."""
        return bool(np.isin(engine_of(self.network).classify(self.members, self.order), self.wanted).any())


def ternary(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    return rng.choice([-1, 0, 1], size=shape, p=[0.4, 0.2, 0.4]).astype(np.int8)


def random_network(rng: np.random.Generator) -> Network:
    quantized, kind = rng.random() < 0.6, int(rng.integers(0, 4))
    blocks, shape = _dense(rng, quantized) if kind == 0 else _images(rng, kind)
    layers = list(zip(blocks, _shapes(blocks, shape), strict=True))
    n_hidden = int(np.prod(layers[-1][1])) if layers else int(np.prod(shape))
    n_classes = int(rng.integers(2, 5))
    bias = (
        np.round(64 * rng.normal(size=n_classes)) / 64
        if rng.random() < 0.5
        else rng.integers(-1, 2, n_classes).astype(float)
    )
    scale = None if rng.random() < 0.5 else rng.choice([-1.5, 0.375, 1, 2.25], size=n_classes)
    output = Output(ternary(rng, n_classes, n_hidden), bias, scale)
    return Network(tuple(blocks), output, random_input(rng, shape) if quantized else BitInput(shape))


def random_input(rng: np.random.Generator, shape: tuple[int, ...]) -> InputLayer:
    if rng.random() < 0.5:
        return QuantizedInput(shape, int(rng.integers(1, 7)))
    return QuantizedInput(shape, 7, np.sort(rng.integers(1, 8, size=rng.integers(1, 7))))


def _dense(rng: np.random.Generator, quantized: bool) -> tuple[list[Any], tuple[int, ...]]:
    sizes = [int(n) for n in rng.integers(1, 5, size=rng.integers(1 + quantized, 5))]
    blocks = [Block(ternary(rng, n, m), rng.integers(-2, 3, n)) for m, n in pairwise(sizes)]
    if quantized and rng.random() < 0.5:
        blocks[0] = Block(rng.integers(-5, 6, blocks[0].weights.shape), rng.integers(-9, 10, sizes[1]))
    return blocks, (sizes[0],)


def _images(rng: np.random.Generator, kind: int) -> tuple[list[Any], tuple[int, ...]]:
    padding = int(rng.integers(0, 2))
    blocks: list[Any] = [ConvBlock(ternary(rng, 2, 1, 2, 2), rng.integers(-2, 3, 2), (1, 1), (padding, padding))]
    shape = blocks[0].output_shape((1, 2, 3))
    if kind == 2 and min(shape[1:]) >= 2:
        blocks.append(MaxPool((2, 2)))
    if kind == 3:
        blocks.append(Block(ternary(rng, 3, int(np.prod(shape))), rng.integers(-2, 3, 3)))
    return blocks, (1, 2, 3)


def _shapes(blocks: list[Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    shapes = []
    for block in blocks:
        shape = block.output_shape(shape)
        shapes.append(shape)
    return shapes


def random_world(rng: np.random.Generator) -> World:
    network = random_network(rng)
    region, members = _levels(rng, network) if isinstance(network.input, QuantizedInput) else _bits(rng, network)
    label, n = int(engine_of(network).classify(members[:1])[0]), network.n_classes
    others = [c for c in range(n) if c != label]
    one, some = [int(rng.integers(n))], [c for c in range(n) if rng.random() < 0.5] or [0]
    order = tie_order(n, last=label) if rng.random() < 0.5 else tie_order(n)
    return World(network, region, members, (others, one, some)[int(rng.integers(3))], order)


def _bits(rng: np.random.Generator, network: Network) -> tuple[BitRegion, NDArray[Any]]:
    n = network.n_inputs
    center = rng.choice([-1, 1], n).astype(np.int8)
    free = np.sort(rng.choice(n, rng.integers(0, n + 1), replace=False)).astype(np.int64)
    budget = None if rng.random() < 0.5 else int(rng.integers(0, 6))
    region = BitRegion(center, free, rng.integers(1, 4, free.size), budget)
    rows = [center]
    for flips in product((False, True), repeat=free.size):
        bits = center.copy()
        bits[free[list(flips)]] *= -1
        if region.contains(bits):
            rows.append(bits)
    return region, np.unique(rows, axis=0)


def _levels(rng: np.random.Generator, network: Network) -> tuple[LevelRegion, NDArray[Any]]:
    layer = network.input
    assert isinstance(layer, QuantizedInput)
    pixels = rng.integers(0, layer.max_value + 1, layer.n_inputs)
    reach = rng.integers(0, 4, (2, layer.n_inputs))
    low, high = np.maximum(pixels - reach[0], 0), np.minimum(pixels + reach[1], layer.max_value)
    budget = None if rng.random() < 0.5 else int(rng.integers(0, 6))
    region = LevelRegion(layer, pixels, low, high, str(rng.choice(["l0", "l1", "l2"])), budget)
    ranges = [range(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    images = np.array([image for image in product(*ranges) if region.contains(np.array(image))])
    return region, images


def distinct(world: World) -> set[tuple[int, ...]]:
    """What the first block can read in the region."""
    layer = world.network.input
    values = layer.levels_of(world.members) if isinstance(layer, QuantizedInput) else world.members
    return {tuple(row) for row in values.tolist()}


def check(world: World, backends: tuple[str, ...]) -> bool:
    """That flips are the region, that presolve changes no class, and that every back end answers as execution does."""
    flips = flips_of(world.region)
    system = lower(world.network, flips, score_keys(world.network.output, world.order))
    small, _ = presolve(system)
    seen = set()
    if system.n_flips > MOST_FLIPS:
        return solved(world, system, goal(small, world.wanted), backends)
    for made in product((False, True), repeat=system.n_flips):
        mask = np.array(made, dtype=np.bool_)
        if system.allows(mask):
            seen.add(tuple(flips.values(mask).tolist()))
            assert system.class_of(mask) == small.class_of(mask)
    assert seen == distinct(world)
    return solved(world, system, goal(small, world.wanted), backends)


def solved(world: World, system: System, asked: Goal, backends: tuple[str, ...]) -> bool:
    """Whether a wanted class exists, as every back end says."""
    if asked.formula is None:
        assert asked.trivial is world.exists
        return world.exists
    for name in backends:
        answer = answered(asked.formula, name)
        if answer is None:
            continue
        assert answer.satisfiable is world.exists, name
        if answer.model is not None:
            mask = asked.flips(answer.model)
            assert system.allows(mask)
            assert system.class_of(mask) in world.wanted
    return world.exists


def answered(formula: Formula, name: str) -> Answer | None:
    """By a back end, or by CaDiCaL in an encoding; None where the encoding does not exist for some bound."""
    try:
        return solve(formula, "cadical195", encoding=name) if name in ENCODINGS else solve(formula, name)
    except UnsupportedError:
        return None


@pytest.mark.parametrize("seed", range(3))
def test_presolve_and_search_agree_with_execution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = [check(random_world(rng), ("native",)) for _ in range(150)]
    assert 40 < sum(found) < 110


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_ten_thousand_instances_agree_with_execution_in_every_encoding_and_every_refutation_has_a_proof(
    seed: int, tmp_path: Path
) -> None:
    rng, refuted = np.random.default_rng(seed), 0
    for _ in range(500):
        world = random_world(rng)
        refuted += not check(world, ("native", "minicard", *ENCODINGS))
        require_proof(world, tmp_path / "a.proof", rng)
    assert refuted > 100


def require_proof(world: World, path: Path, rng: np.random.Generator) -> None:
    """That a question about the region's centre has an accepted proof exactly where execution finds no violation."""
    network, region = world.network, world.region
    center = region.pixels if isinstance(region, LevelRegion) else region.center
    label = int(engine_of(network).classify(np.array([center]), world.order)[0])
    others = tuple(c for c in range(network.n_classes) if c != label)
    wanted = others if rng.random() < 0.6 else (int(rng.choice(others)),)
    exists = bool(np.isin(engine_of(network).classify(world.members, world.order), wanted).any())
    _, found = search_with_proof(Asked(network, region, label, wanted, world.order), path, 0)
    assert (found.flips is not None) == exists
    assert path.exists() != exists
    if not exists:
        check_proof(path, network)
        path.unlink()


def test_every_refuted_world_has_a_proof_that_is_accepted_and_no_other_has_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    for _ in range(120):
        require_proof(random_world(rng), tmp_path / "answer.proof", rng)


def test_the_size_of_a_region_of_levels_is_the_number_of_its_members() -> None:
    rng = np.random.default_rng(5)
    sizes = []
    while len(sizes) < 100:
        world = random_world(rng)
        region = world.region
        if isinstance(region, LevelRegion) and (region.budget is None or region.norm == "l0"):
            assert region.size == len(distinct(world))
            sizes.append(region.size)
    assert max(sizes) > 50


def test_bounds_under_a_budget_hold_and_are_reached_with_unit_costs() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        n = int(rng.integers(1, 8))
        rows = Rows.of_dense(rng.integers(-4, 5, size=(3, n)), rng.integers(-5, 6, 3))
        costs, budget = rng.integers(0, 2 if rng.random() < 0.5 else 7, n), int(rng.integers(0, 8))
        low, high = flip_range(rows, costs, budget)
        every = np.array([m for m in product((False, True), repeat=n) if costs[list(m)].sum() <= budget])
        values = np.array([rows.values(m) for m in every])
        assert np.all(low <= values.min(axis=0))
        assert np.all(high >= values.max(axis=0))
        if costs.max() <= 1:
            assert np.array_equal(low, values.min(axis=0))
            assert np.array_equal(high, values.max(axis=0))


def test_presolve_reports_what_it_removed() -> None:
    twins = Block([[1, 1, 0], [-1, -1, 0], [1, 1, 1], [0, 0, 1]], [1, 0, 9, 0])
    network = Network([twins], Output([[1, 1, 1, 0], [-1, 1, 1, 0], [-1, -1, -1, 0]], [0, 0, -9]))
    region = BitRegion(np.array([1, -1, 1], np.int8), np.arange(3), np.ones(3, np.int64), None)
    system, removed = presolve(lower(network, flips_of(region), score_keys(network.output)))
    assert (removed.neurons, removed.constant, removed.merged, removed.unread) == (4, 1, 1, 1)
    assert removed.classes == 1
    assert system.classes.tolist() == [0, 1]
    assert str(removed) == "1 of 4 neurons move (1 constant, 1 merged, 1 unread)"


def test_flips_that_nothing_tells_apart_are_put_in_order() -> None:
    network = Network([Block([[1, 1, 1]], [2])], Output([[1], [-1]]))
    region = BitRegion(np.array([-1, -1, -1], np.int8), np.arange(3), np.ones(3, np.int64), None)
    system, removed = presolve(lower(network, flips_of(region), score_keys(network.output)))
    assert removed.ordered == 2
    allowed = [m for m in product((False, True), repeat=3) if system.allows(np.array(m))]
    assert sorted(sum(m) for m in allowed) == [0, 1, 2, 3]
