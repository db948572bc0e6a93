"""How fast networks become diagrams, and how large: ``python -m benchmarks.diagrams``.

Two tables. *roads*: the same questions, growing in free bits and in radius, through each road and backend; all
must give the same diagram, so only build time and the nodes met on the way differ. *orders*: nodes of the diagram by
variable order, against sifting, which searches for one. One thread; a contender that passes its node limit is
shown by a dash.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.timing import seconds_of, seconds_when_warm
from bnnverify.data.bundled import bundled_images, bundled_network
from bnnverify.diagram.count import counts
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines import layered, truthtable
from bnnverify.engines.ordering import ORDERS, best_order
from bnnverify.engines.relational import compile_relational, sifted_order
from bnnverify.engines.residual import Residual, restrict
from bnnverify.regions import FreeBits, HammingBall, Region
from encoders.manager import available_backends

NETWORKS = (
    "mnist_bnn_2_blk_16_25_20_10",
    "mnist_bnn_3_blk_25_25_25_20_10",
    "mnist_bnn_1_blk_100_50_10",
    "mnist_bnn_2_blk_100_50_20_10",
    "fashionmnist_bnn_1_blk_100_100_10",
)
BUNDLED_IMAGE = 2
MOST_AUTOREF_NODES = 5_000
MOST_TABLE_LEVELS = 20
LONG = 1.0
SMALL = 100

Road = Callable[[Residual, NDArray[np.int64]], tuple[FlatDiagram, int]]


@dataclass(frozen=True, eq=False)
class Question:
    """A labelled residual problem in which more than one class can still win."""

    label: str
    residual: Residual


@dataclass(frozen=True, eq=False)
class Built:
    """A diagram, the most states or nodes met on the way, and the seconds that it took."""

    diagram: FlatDiagram
    work: int
    seconds: float


def questions() -> list[Question]:
    """Growing free bits and balls on other people's networks and the bundled one; settled ones are left out."""
    found = [Question(label, residual) for label, residual in _restricted() if residual.settled is None]
    return sorted(found, key=lambda q: (q.residual.region.budget is not None, q.residual.region.size))


def _restricted() -> Iterator[tuple[str, Residual]]:
    for name in NETWORKS:
        case = peers.case(name)
        for label, region in _regions(case.center):
            yield f"{name.removesuffix('_10')} {label}", restrict(case.network, region.on(case.network))
    network, image = bundled_network(), bundled_images().values[BUNDLED_IMAGE]
    for label, region in _regions(image):
        yield f"bundled {label}", restrict(network, region.on(network))


def _regions(center: NDArray[Any]) -> Iterator[tuple[str, Region]]:
    n = center.size
    chosen = np.random.default_rng(0).permutation(n)
    for n_free in (8, 12, 16):
        yield f"{n_free} free", FreeBits(center, tuple(chosen[:n_free].tolist()))
    for radius in (1, 2, 3) if n >= 64 else (2, 4, 6):
        yield f"r={radius}", HammingBall(center, radius)


def roads(node_limit: int) -> dict[str, Road]:
    """Every way to build, by its column's title."""
    ways: dict[str, Road] = {
        "layered": lambda r, levels: layered.compile_layered(r, levels, node_limit=node_limit),
        "table": lambda r, levels: _table(r, levels, node_limit),
    }
    for backend in available_backends():
        ways[backend] = _composed(backend, False, node_limit)
        ways[f"{backend} rel."] = _composed(backend, True, node_limit)
    return ways


def _composed(backend: str, relations: bool, node_limit: int) -> Road:
    def build(residual: Residual, levels: NDArray[np.int64]) -> tuple[FlatDiagram, int]:
        limit = min(node_limit, MOST_AUTOREF_NODES) if backend == "autoref" else node_limit
        return compile_relational(residual, levels, backend=backend, relations=relations, node_limit=limit)

    return build


def _table(residual: Residual, levels: NDArray[np.int64], node_limit: int) -> tuple[FlatDiagram, int]:
    if levels.size > MOST_TABLE_LEVELS:
        raise TooManyNodesError(node_limit)
    return truthtable.compile_table(residual, levels, node_limit=node_limit)


def print_roads(asked: list[Question], node_limit: int) -> None:
    """Seconds, and below them the most states, entries or nodes met on the way; times of a second run."""
    ways = roads(node_limit)
    print(f"{'question':38}{'nodes':>8}{'count':>11}" + "".join(f"{name:>13}" for name in ways))
    for question in asked:
        levels = best_order(question.residual)
        built = {name: _built(way, question.residual, levels) for name, way in ways.items()}
        diagrams = [found.diagram for found in built.values() if found]
        if not diagrams:
            print(f"{question.label:38}past the limit on every road")
            continue
        diagram = _the_same(diagrams)
        query = seconds_when_warm(partial(counts, diagram))
        print(f"{question.label:38}{diagram.n_nodes:>8}{1000 * query:>8.2f} ms", end="")
        print("".join(f"{f'{found.seconds:.3f} s' if found else '-':>13}" for found in built.values()))
        print(f"{'':57}" + "".join(f"{found.work if found else '':>13}" for found in built.values()), flush=True)


def _built(way: Road, residual: Residual, levels: NDArray[np.int64]) -> Built | None:
    """The second of two runs, or the first if it was long; nothing past the limit."""
    try:
        start = time.perf_counter()
        diagram, work = way(residual, levels)
        seconds = time.perf_counter() - start
    except TooManyNodesError:
        return None
    if seconds < LONG:
        seconds = seconds_of(partial(way, residual, levels))
    return Built(diagram, work, seconds)


def _the_same(diagrams: list[FlatDiagram]) -> FlatDiagram:
    """The one diagram that all contenders built."""
    if len({(d.n_nodes, d.level.tobytes(), tuple(counts(d))) for d in diagrams}) > 1:
        raise RuntimeError(f"the contenders disagree: {[(d.n_nodes, counts(d)) for d in diagrams]}")
    return diagrams[0]


def print_orders(asked: list[Question], node_limit: int, sifted_nodes: int) -> None:
    """Nodes by order, and how they compare: geometric means against the natural order."""
    names = [*ORDERS, "sifted"]
    print(f"{'question':38}" + "".join(f"{name:>13}" for name in names))
    rows: dict[str, list[list[float]]] = {"free bits": [], "balls": []}
    for question in asked:
        sizes = [_nodes(question.residual, order(question.residual), node_limit) for order in ORDERS.values()]
        if any(math.isnan(size) for size in sizes):
            print(f"{question.label:38}past the limit in some order")
            continue
        sizes.append(_sifted(question.residual, node_limit) if max(sizes) <= sifted_nodes else math.nan)
        print(f"{question.label:38}" + "".join(f"{size:>13.0f}" for size in sizes), flush=True)
        if min(sizes[:-1]) > SMALL:
            rows["balls" if question.residual.region.budget is not None else "free bits"].append(sizes)
    for kind, found in rows.items():
        means = np.exp(np.nanmean(np.log(np.array(found) / np.array(found)[:, :1]), axis=0))
        n_sifted = sum(not math.isnan(sizes[-1]) for sizes in found)
        print(f"{f'{kind}: {len(found)}, sifted {n_sifted}':38}" + "".join(f"{mean:>13.3f}" for mean in means))


def _nodes(residual: Residual, levels: NDArray[np.int64], node_limit: int) -> float:
    try:
        return layered.compile_layered(residual, levels, node_limit=node_limit)[0].n_nodes
    except TooManyNodesError:
        return math.nan


def _sifted(residual: Residual, node_limit: int) -> float:
    """Nodes of the diagram sifted from the best order there is beforehand."""
    try:
        return sifted_order(residual, best_order(residual), node_limit=node_limit)[1]
    except TooManyNodesError:
        return math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and size of diagrams by road, backend and variable order.")
    parser.add_argument("--only", choices=["roads", "orders"], help="one table alone")
    parser.add_argument("--limit", type=int, default=1_000_000, help="node limit of each road (default 1,000,000)")
    parser.add_argument("--sift", type=int, default=5_000, help="sift diagrams up to this many nodes (default 5,000)")
    options = parser.parse_args()
    if not peers.available():
        print("no peer networks found (set BNNVERIFY_PEERS): random networks of the same shapes stand in")
    asked = questions()
    if options.only in (None, "roads"):
        print_roads(asked, options.limit)
    if options.only in (None, "orders"):
        print_orders(asked, options.limit, options.sift)


if __name__ == "__main__":
    main()
