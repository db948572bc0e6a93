"""Fair timing: contenders take turns, so that a drift of the machine meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Act = Callable[[], Any]


def seconds_of(act: Act) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def seconds_when_warm(act: Act) -> float:
    """The second of two runs."""
    act()
    return seconds_of(act)


def medians(
    contenders: Mapping[str, Act], rounds: int, measure: Callable[[Act], float] = seconds_of
) -> dict[str, float]:
    """Median seconds of each, all taking turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, act in contenders.items():
            times[name].append(measure(act))
    return {name: statistics.median(found) for name, found in times.items()}
