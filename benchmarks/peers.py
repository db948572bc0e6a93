"""Other people's networks and questions to measure on: where they lie, and what their own tools took.

They are looked for in ``$BNNVERIFY_PEERS``, then in ``../shared/peers``. Where they are absent, random
networks of the same shapes stand in, and the tables say so.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bnnverify as bv
from bnnverify.network import Block, Network, Output
from bnnverify.regions import FreeBits, HammingBall, Region

REPOSITORY = Path(__file__).resolve().parents[1]
BDD4BNN = Path(os.environ.get("BNNVERIFY_PEERS", REPOSITORY.parent / "shared" / "peers")) / "bdd4bnn"


@dataclass(frozen=True, eq=False)
class Case:
    """A network with the place it was loaded from (None: random), and an instance ``(n_inputs,)``."""

    network: Network
    path: Path | None
    center: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Published:
    """A region with its published class counts, and the seconds of the better of the peer's engines."""

    case: Case
    label: str
    region: Region
    counts: tuple[int, ...]
    seconds: float


def available() -> bool:
    return BDD4BNN.is_dir()


def case(name: str) -> Case:
    """A peer's network by name, such as ``mnist_bnn_1_blk_100_50_10``, or a random one of its shape."""
    sizes = [int(size) for size in name.rpartition("_blk_")[2].split("_")]
    if not available():
        return Case(_random_network(sizes), None, np.random.default_rng(1).integers(0, 2, sizes[0]))
    path = BDD4BNN / "models" / name
    return Case(bv.load(path), path, _integers(BDD4BNN / "inputs" / f"instance_0_{sizes[0]}.txt"))


def free_bits(n_inputs: int, n_free: int) -> list[int]:
    """The peer's own choice of free bits, or a random one."""
    path = BDD4BNN / "free" / f"fixed_set_file_random_{n_inputs}_{n_free}.txt"
    if path.is_file():
        return [int(i) for i in _integers(path)]
    return [int(i) for i in np.random.default_rng(2).choice(n_inputs, n_free, replace=False)]


def published() -> list[Published]:
    """Every published row, in the file's order; none where the peers are absent."""
    if not available():
        return []
    lines = (BDD4BNN / "expected.jsonl").read_text().splitlines()
    return [_published(json.loads(line)) for line in lines]


def _published(row: dict[str, Any]) -> Published:
    center = _integers(BDD4BNN / "inputs" / f"{row['input']}.txt")
    path = BDD4BNN / "models" / row["model"]
    region, label = _region(center, row["region"])
    seconds = [row["cpu_seconds"][engine] for engine, status in row["status"].items() if status == "ok"]
    counts = tuple(int(n) for n in row["counts"])
    return Published(
        Case(bv.load(path), path, center), f"{row['model']} {row['input']} {label}", region, counts, min(seconds)
    )


def _region(center: NDArray[np.int64], region: dict[str, Any]) -> tuple[Region, str]:
    if "hamming" in region:
        return HammingBall(center, region["hamming"]), f"r={region['hamming']}"
    free = _integers(BDD4BNN / "free" / f"{region['free']}.txt")
    return FreeBits(center, tuple(int(i) for i in free)), f"{free.size} free bits"


def _integers(path: Path) -> NDArray[np.int64]:
    return np.array(path.read_text().split(), dtype=np.int64)


def _random_network(sizes: list[int]) -> Network:
    rng = np.random.default_rng(0)
    blocks = [Block(_signs(rng, b, a), rng.integers(-2, 3, b)) for a, b in pairwise(sizes[:-1])]
    return Network(tuple(blocks), Output(_signs(rng, sizes[-1], sizes[-2])), name="random " + "-".join(map(str, sizes)))


def _signs(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    return rng.choice(np.array([-1, 1], dtype=np.int8), size=shape)
