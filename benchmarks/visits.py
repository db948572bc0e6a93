"""Where the time of visiting goes: what an input costs, and what the two parts of that cost alone.

An input is one vector add with a mask of signs for 64 moving neurons, and a pattern that is classified by the
rows behind the first block. Nothing that visits every input can cost less than its adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit

from benchmarks import peers
from benchmarks.timing import seconds_of
from bnnverify.engines import enumerate as enumeration
from bnnverify.engines.packed import pack_tail, score
from bnnverify.engines.residual import Residual, restrict
from bnnverify.engines.sink import BATCH, make_sink
from bnnverify.engines.slackwords import GROUP, grouped, sign_word
from bnnverify.regions import FreeBits, HammingBall, Region

NETWORKS = ("mnist_bnn_1_blk_100_50_10", "mnist_bnn_2_blk_100_50_20_10")


def questions() -> Iterator[tuple[str, peers.Case, Region]]:
    """2^20 free bits and a ball of radius 4 on networks of 100 inputs."""
    for name in NETWORKS:
        case = peers.case(name)
        free = tuple(peers.free_bits(case.network.n_inputs, 20))
        yield f"{case.network.name}, 20 free bits", case, FreeBits(case.center, free)
        yield f"{case.network.name}, radius 4", case, HammingBall(case.center, 4)


def print_limits(rounds: int) -> None:
    """What a visited input costs, and what its two parts cost alone: its vector adds, and its pattern's rows."""
    print(f"{'question':46}{'restrict':>11}{'solve':>11}{'an input':>11}{'its adds':>11}{'a pattern':>11}  remark")
    for label, case, region in questions():
        print(_limits(label, case, region, rounds), flush=True)
    print("Equal patterns of neighbouring inputs are classified once, so an input can cost less than adds and pattern.")


def _limits(label: str, case: peers.Case, region: Region, rounds: int) -> str:
    members = region.on(case.network)
    residual = restrict(case.network, members)
    solve = _least(lambda: enumeration.count_by_distance(residual, by_distance=False), rounds)
    milliseconds = [1e3 * _least(lambda: restrict(case.network, members), rounds), 1e3 * solve]
    parts = _nanoseconds_an_add(residual, rounds), _nanoseconds_a_pattern(residual, rounds)
    cells = "".join(f"{value:8.2f} ms" for value in milliseconds)
    cells += "".join(f"{value:8.2f} ns" for value in (1e9 * solve / residual.region.size, *parts))
    remark = enumeration.count_by_distance(residual, by_distance=False).remark
    return f"{label:46}{cells}  {residual.slacks.size} neurons move; {remark}"


def _least(act: Callable[[], Any], rounds: int) -> float:
    act()
    return min(seconds_of(act) for _ in range(rounds))


@njit(nogil=True)
def _add_all(base: Any, columns: Any, out: Any, repeats: int) -> None:
    """The bare step of a visit: add a column, take the signs, store the word."""
    words, n = out.shape
    for _ in range(repeats):
        for w in range(words):
            for i in range(n):
                out[w, i] = sign_word(base, w * GROUP, columns, (i * words + w) * GROUP)


def _nanoseconds_an_add(residual: Residual, rounds: int) -> float:
    """The least that one input can cost: its words of slacks, columns and patterns in the first-level cache."""
    columns = grouped(residual.columns)
    repeats, flat = 1 + 10**6 // len(columns), columns.reshape(-1)
    base, out = (
        np.zeros(columns.shape[1], dtype=np.int8),
        np.zeros((columns.shape[1] // GROUP, len(columns)), np.uint64),
    )
    seconds = _least(lambda: _add_all(base, flat, out, repeats), rounds)
    return 1e9 * seconds / (repeats * len(columns))


def _nanoseconds_a_pattern(residual: Residual, rounds: int) -> float:
    """What classifying one pattern costs: the rows behind the first block."""
    tail = pack_tail(residual)
    sink = make_sink(tail, tail.signs.shape[1], 1)
    rng = np.random.default_rng(0)
    sink.pending[:] = rng.integers(0, 1 << 63, sink.pending.shape, dtype=np.uint64)

    def classify() -> None:
        for _ in range(100):
            score(sink.pending, BATCH, tail, sink.scratch, sink.counts, sink.keys)

    return 1e9 * _least(classify, rounds) / (100 * BATCH)
