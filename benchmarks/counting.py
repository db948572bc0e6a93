"""How fast exact counting is, against numpy and against published engines: ``python -m benchmarks.counting``.

Four tables: the exact engines against brute force in numpy (contenders take turns, medians); the published
questions of other tools, with the seconds that their better engine took on this class of machine; whole
processes, start-up included; and where the time of a visit goes, against the least it could take. One thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import bnnverify as bv
from benchmarks import numpy_count, peers, visits
from benchmarks.timing import medians, seconds_of
from bnnverify.regions import Region

ENGINES = ("enumerate", "pushforward", "bdd")
PROCESSES = (("mnist_bnn_1_blk_784_100_10", 3), ("mnist_bnn_4_blk_784_50_50_50_50_10", 5))
LONG = 1.0

Contender = Callable[[], list[int]]


def counter(case: peers.Case, region: Region, engine: str) -> Contender:
    """A question to an engine, asked from the very start: bounds, preparation and counting."""

    def ask() -> list[int]:
        counts = bv.count(case.network, region, engine=engine).counts
        return [counts.get(c, 0) for c in range(case.network.n_classes)]

    return ask


def able(contenders: dict[str, Contender]) -> dict[str, Contender]:
    """Those that can answer; all that can must agree."""
    answers = {}
    for name, act in contenders.items():
        try:
            answers[name] = act()
        except NotImplementedError as error:
            print(f"{name}: {error}", file=sys.stderr)
    if len({tuple(counts) for counts in answers.values()}) > 1:
        raise RuntimeError(f"the contenders disagree: {answers}")
    return {name: contenders[name] for name in answers}


def print_against_numpy(rounds: int) -> None:
    """2^20 free bits and a ball of radius 4 on 100 inputs."""
    print(f"{'question':42}{'inputs':>10}{'integers':>10}{'BLAS':>8}{'by flips':>9}", end="")
    print("".join(f"{engine:>11}{'x int':>7}{'x BLAS':>7}" for engine in ENGINES))
    for label, case, region in visits.questions():
        print(_against_numpy(label, case, region, rounds), flush=True)


def _against_numpy(label: str, case: peers.Case, region: Region, rounds: int) -> str:
    members = region.on(case.network)
    floats = numpy_count.NumpyNetwork.of(case.network, np.float32)
    integers = numpy_count.NumpyNetwork.of(case.network, np.int32)
    contenders = {
        "BLAS": lambda: numpy_count.count(floats, members),
        "by flips": lambda: numpy_count.count_by_flips(floats, members),
        **{engine: counter(case, region, engine) for engine in ENGINES},
    }
    found = medians(able(contenders), rounds)
    found |= medians({"integers": lambda: numpy_count.count(integers, members)}, 1)
    numpy = f"{found['integers']:8.2f} s{found['BLAS']:6.2f} s{found['by flips']:7.2f} s"
    ours = "".join(_ratios(found.get(engine), found["integers"], found["BLAS"]) for engine in ENGINES)
    return f"{label:42}{members.size:10,}{numpy}{ours}"


def _ratios(seconds: float | None, integers: float, blas: float) -> str:
    if seconds is None:
        return f"{'-':>25}"
    return f"{1e3 * seconds:9.2f} ms{integers / seconds:6.0f}x{blas / seconds:6.0f}x"


def _cell(seconds: float | None, other: float) -> str:
    return f"{'-':>19}" if seconds is None else f"{1e3 * seconds:9.2f} ms{other / seconds:7.0f}x"


def print_published(rounds: int, every: bool) -> None:
    """Every published question, with geometric means over those that took the peer more than a second."""
    if not peers.available():
        print("no peer networks found; set BNNVERIFY_PEERS")
        return
    print(f"{'question':68}{'inputs':>13}{'peer':>10}" + "".join(f"{engine:>19}" for engine in ENGINES))
    ratios: dict[str, list[float]] = {name: [] for name in (*ENGINES, "the better")}
    for row in peers.published():
        found = _seconds_on(row, rounds)
        if row.seconds > LONG:
            for engine in found:
                ratios[engine].append(row.seconds / found[engine])
            ratios["the better"].append(row.seconds / min(found.values()))
        if every or row.seconds > LONG:
            cells = "".join(_cell(found.get(engine), row.seconds) for engine in ENGINES)
            size = row.region.on(row.case.network).size
            print(f"{row.label:68}{size:13,}{row.seconds:8.2f} s{cells}", flush=True)
    for name, values in ratios.items():
        if values:
            mean, least = statistics.geometric_mean(values), min(values)
            print(
                f"{name}: {mean:,.0f}x faster by geometric mean over {len(values)} questions (at least {least:,.0f}x)"
            )


def _seconds_on(row: peers.Published, rounds: int) -> dict[str, float]:
    """Median seconds of each engine that can answer; a long one runs once."""
    found = {}
    for engine in ENGINES:
        ask = counter(row.case, row.region, engine)
        try:
            ask()
            start = time.perf_counter()
            counts = ask()
            first = time.perf_counter() - start
        except NotImplementedError as error:
            print(f"{engine}: {error}", file=sys.stderr)
            continue
        if tuple(counts) != row.counts:
            raise RuntimeError(f"{row.label}: {engine} counts {counts}, published {row.counts}")
        more = [seconds_of(ask) for _ in range(rounds - 1)] if first < LONG else []
        found[engine] = statistics.median([first, *more])
    return found


def print_processes(rounds: int) -> None:
    """Whole processes from the command line to the printed answer, all classes counted."""
    print(
        f"{'process':52}{'inputs':>19}{'median':>9}{'least':>9}"
        f" ={'start-up':>9} +{'load':>7} +{'prepare':>8} +{'solve':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, radius in PROCESSES:
            case = peers.case(name)
            command = _command(case, radius, Path(folder))
            runs = [_process(command) for _ in range(rounds)]
            median = statistics.median(run[0] for run in runs)
            print(f"{f'count {case.network.name} --eps {radius}':52}{_process_cells(median, *min(runs, key=_first))}")


def _process_cells(median: float, least: float, answer: dict[str, Any]) -> str:
    """The least time and its parts: the interpreter and imports, reading files, kernels and bounds, the engine."""
    spent = answer["seconds"]
    parts = least - spent["total"], spent["load"], spent["total"] - spent["load"] - spent["solve"], spent["solve"]
    start, load, prepare, solve = parts
    times = f"{median:7.2f} s{least:7.2f} s ={start:9.2f} +{load:7.2f} +{prepare:8.2f} +{solve:7.2f}"
    return f"{int(answer['region']['size']):19,}{times}\n    {answer['engine']}: {answer['reason']}"


def _first(run: tuple[float, dict[str, Any]]) -> float:
    return run[0]


def _command(case: peers.Case, radius: int, folder: Path) -> list[str]:
    """The command line that a user would type; a random network is saved first."""
    model = case.path
    if model is None:
        model = folder / f"{case.network.n_inputs}-{radius}.npz"
        bv.save(case.network, model)
    instance = folder / f"{model.stem}-{radius}.txt"
    instance.write_text(" ".join(map(str, case.center.tolist())))
    program = Path(sys.executable).with_name("bnnverify")
    return [str(program), "count", str(model), "--input", str(instance), "--eps", str(radius), "--json"]


def _process(command: list[str]) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if sum(map(int, answer["counts"].values())) != int(answer["region"]["size"]):
        raise RuntimeError(f"{' '.join(command)}: the counts do not sum to the region")
    return seconds, answer


def main() -> None:
    parser = argparse.ArgumentParser(description="Time exact counting against numpy and published engines, one thread.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median is taken (default 5)")
    parser.add_argument("--every", action="store_true", help="list also questions that took the peer under a second")
    parser.add_argument("--only", choices=["numpy", "published", "processes", "limits"], help="one table alone")
    options = parser.parse_args()
    tables: dict[str, Callable[[], None]] = {
        "numpy": lambda: print_against_numpy(options.rounds),
        "published": lambda: print_published(options.rounds, options.every),
        "processes": lambda: print_processes(options.rounds),
        "limits": lambda: visits.print_limits(options.rounds),
    }
    if not peers.available():
        print("no peer networks found (set BNNVERIFY_PEERS): random networks of the same shapes stand in")
    for name, table in tables.items():
        if options.only in (None, name):
            print(f"\n{table_title(name)}")
            table()


def table_title(name: str) -> str:
    return {
        "numpy": "Counting all classes, against brute force in numpy: 32-bit integers, and float32 through BLAS",
        "published": "Published questions, seconds of the better of the peer's two engines beside ours",
        "processes": "Whole processes: bnnverify count MODEL --input FILE --eps R --json",
        "limits": "Where the time of enumerate goes: least times; an add and a pattern measured alone",
    }[name]


if __name__ == "__main__":
    main()
