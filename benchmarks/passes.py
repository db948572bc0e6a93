"""What a question costs once the diagram is there: ``python -m benchmarks.passes``.

Other people's instances, on regions where their own tools took over a second: the seconds of compiling, and how many
times sooner each query answers from the compiled diagram than compiling anew would take. Times are of second
runs, one thread; rows that bounds settle, so that there is nothing to compile, are left out.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

import bnnverify as bv
from benchmarks import peers
from benchmarks.timing import seconds_of, seconds_when_warm
from bnnverify.explanations.diagram_oracle import DiagramOracle
from bnnverify.explanations.explain import explanation
from bnnverify.explanations.relevance import necessary_features
from bnnverify.explanations.results import Kind
from bnnverify.queries.diagram import Diagram

LEAST_NODES = 100


def queries(diagram: Diagram) -> dict[str, Callable[[], Any]]:
    """Every query by its column's title, as the library's own functions answer it."""
    x, bad = diagram.levels_of(), diagram.changed_from(diagram.label)

    def explained(kind: Kind) -> Callable[[], Any]:
        return lambda: explanation(DiagramOracle(diagram.flat, bad, x), kind)

    found: dict[str, Callable[[], Any]] = {
        "count": diagram.count,
        "profile": diagram.profile,
        "nearest": lambda: next(islice(diagram.k_nearest(), 1), None),
        "sample": lambda: diagram.sample(10, np.random.default_rng(0), classes=diagram.classes),
        "axp": explained(Kind.AXP),
        "cxp": explained(Kind.CXP),
        "min-cxp": explained(Kind.MIN_CXP),
        "necessary": lambda: necessary_features(DiagramOracle(diagram.flat, bad, x)),
        "essential": diagram.essential,
    }
    return found | ({"shapley": diagram.shapley} if diagram.is_cube else {})


def compiled() -> Iterator[tuple[str, Diagram, float, float]]:
    """Label, diagram, seconds of compiling it and seconds of the peer's tool."""
    for row in peers.published():
        if row.seconds <= 1.0:
            continue
        diagram = bv.compile(row.case.network, row.region)
        if diagram.n_nodes >= LEAST_NODES and len(diagram.classes) > 1:
            yield row.label, diagram, seconds_of(lambda row=row: bv.compile(row.case.network, row.region)), row.seconds


def main() -> None:
    argparse.ArgumentParser(description="Time every query on compiled diagrams against compiling anew.").parse_args()
    if not peers.available():
        print("no peer networks found; set BNNVERIFY_PEERS")
        return
    ratios: dict[str, list[float]] = {}
    for label, diagram, compiling, _ in compiled():
        print(f"{label}: {diagram.n_nodes:,} nodes, compiled in {1000 * compiling:,.1f} ms")
        times = {name: seconds_when_warm(ask) for name, ask in queries(diagram).items()}
        print(
            "    " + "  ".join(f"{name} {1e3 * t:.2f} ms ({compiling / t:,.0f}x)" for name, t in times.items()),
            flush=True,
        )
        for name, t in times.items():
            ratios.setdefault(name, []).append(compiling / t)
    for name, found in ratios.items():
        mean, least = statistics.geometric_mean(found), min(found)
        print(f"{name}: {mean:,.0f}x sooner than compiling by geometric mean over {len(found)}, at least {least:,.1f}x")


if __name__ == "__main__":
    main()
