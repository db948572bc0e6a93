"""Deciding robustness of trained networks by SAT: this package against the libraries, in one run.

``python -m benchmarks.sat --networks DIR --data DIR`` reads the networks that ``examples/train_eev.py`` makes. Each
question is a pixel box around a test image. This package decides it as ``--engine sat`` does: presolve, attack, then
the native solver. A library gets the formula that presolve leaves, so what presolve settles is settled for all, and
its time is presolve, encoding and solving. As a library may need the whole limit for each question that is left,
only the first few of each network and eps are given to libraries, the same ones to all; the table says how many. CPU
seconds are not wall seconds: the limit is wall-clock, and contenders take turns on each question.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import bnnverify as bv
from bnnverify.backends.contract import solve
from bnnverify.cli.kernels import compile_sat_kernels
from bnnverify.data import load_dataset
from bnnverify.engines import sat
from bnnverify.queries.asking import region_on
from bnnverify.scores import tie_order
from encoders.formula import Formula

OURS = "native"
LIBRARIES = ("exact", "cp-sat", "minicard", "gluecard4", "cadical195")
LONG_SECONDS = 1.0


@dataclass
class Cell:
    """All questions about one network at one eps.

    Args:
        ours: seconds and verdict of each question.
        seconds: by contender, of the questions that presolve leaves and libraries were given; None where undecided.
        open_questions: how many presolve leaves.
    """

    ours: list[tuple[float, str]] = field(default_factory=list)
    seconds: dict[str, list[float | None]] = field(default_factory=lambda: defaultdict(list))
    open_questions: int = 0


def library_seconds(formula: Formula, library: str, prepared: float, limit: float, exists: bool | None) -> float | None:
    """Wall seconds of one library, presolve included, or None; its answer must agree with ours."""
    start = time.perf_counter()
    answer = solve(formula, library, timeout=limit, prefer=[-v for v in formula.inputs])
    if answer.satisfiable is None:
        return None
    if exists is not None and answer.satisfiable is not exists:
        raise AssertionError(f"{library} disagrees with {OURS}")
    return prepared + time.perf_counter() - start


def measure(
    network: bv.Network, images: np.ndarray, eps: float, limit: float, most_open: int, libraries: list[str]
) -> Cell:
    """Every image by this package; the first open ones also by the libraries."""
    cell = Cell()
    for image in images:
        start = time.perf_counter()
        answer = bv.robustness(network, bv.PixelBox(image, eps), engine="sat", solver=OURS, timeout=limit)
        ours = time.perf_counter() - start
        cell.ours.append((ours, answer.verdict.value))
        start = time.perf_counter()
        label, n = int(bv.predict(network, image[None])[0]), network.n_classes
        wanted = [c for c in range(n) if c != label]
        prepared = sat.prepare(network, region_on(network, bv.PixelBox(image, eps)), wanted, tie_order(n))
        seconds = time.perf_counter() - start
        formula = prepared.goal.formula
        if formula is None:
            continue
        cell.open_questions += 1
        if cell.open_questions > most_open:
            continue
        exists = {"holds": False, "violated": True}.get(answer.verdict.value)
        cell.seconds[OURS].append(ours if exists is not None else None)
        for library in libraries:
            cell.seconds[library].append(library_seconds(formula, library, seconds, limit, exists))
    return cell


def quartiles(seconds: list[float]) -> str:
    """Mean, and the three quartiles."""
    cuts = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [*seconds] * 3
    return f"mean {statistics.fmean(seconds):.3f} s, quartiles " + " ".join(f"{cut:.3f}" for cut in cuts)


def lines(cell: Cell, n_given: int) -> Iterator[str]:
    """What one cell shows."""
    verdicts = [verdict for _, verdict in cell.ours]
    counted = ", ".join(f"{verdicts.count(v)} {v}" for v in ("holds", "violated", "timeout") if v in verdicts)
    yield f"  all {len(verdicts)} images, {OURS}: {counted}; {quartiles([seconds for seconds, _ in cell.ours])}"
    if not n_given:
        return
    yield f"  presolve leaves {cell.open_questions}; the first {n_given} of them:"
    for name, found in cell.seconds.items():
        solved = [seconds for seconds in found if seconds is not None]
        said = quartiles(solved) if solved else "none"
        yield f"    {name:<10} decides {len(solved)} of {n_given}; {said}"


def summary(cells: list[Cell], limit: float, libraries: list[str]) -> Iterator[str]:
    """Ours against the best library, where that one needs over a second; undecided ones count as the limit."""
    ratios, missed, gained = [], 0, 0
    for cell in cells:
        for i, ours in enumerate(cell.seconds[OURS]):
            theirs = [cell.seconds[name][i] for name in libraries]
            best = min((seconds for seconds in theirs if seconds is not None), default=None)
            missed += ours is None and best is not None
            gained += ours is not None and best is None
            if best is None or best > LONG_SECONDS:
                ratios.append((best or limit) / (ours or limit))
    if ratios:
        yield (
            f"where the best library needs over {LONG_SECONDS:g} s ({len(ratios)} questions): {OURS} is "
            f"{statistics.geometric_mean(ratios):.1f}x faster by geometric mean, at least {min(ratios):.2f}x"
        )
    yield f"decided by {OURS} alone: {gained}; undecided by {OURS}, decided by a library: {missed}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Decide boxes around MNIST images by SAT, by many solvers.")
    parser.add_argument("--networks", type=Path, required=True, help="folder of examples/train_eev.py")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="just these networks")
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--eps", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.3])
    parser.add_argument("--open", type=int, default=3, help="questions a cell that libraries are given")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a question")
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES))
    arguments = parser.parse_args()
    images = load_dataset("mnist:test", arguments.data).images[: arguments.images].reshape(-1, 784)
    compile_sat_kernels()
    cells = []
    for path in sorted(arguments.networks.glob("*.npz")):
        if arguments.only and path.stem not in arguments.only:
            continue
        network = bv.load(path)
        for eps in arguments.eps:
            cell = measure(network, images, eps, arguments.limit, arguments.open, arguments.libraries)
            cells.append(cell)
            print(f"{path.stem}, eps {eps:g}", flush=True)
            for line in lines(cell, len(cell.seconds[OURS])):
                print(line, flush=True)
    print()
    for line in summary(cells, arguments.limit, arguments.libraries):
        print(line)


if __name__ == "__main__":
    main()
