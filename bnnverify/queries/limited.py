"""The work of a query under its limits, with an honest reason where a limit came first.

numba compiles a kernel at its first call, once per installation. Where a limit is reached
meanwhile, a longer one would not have been needed twice, so the reason says so. The child notes in
a byte that it shares with its parent how many compilations are in progress.
"""

from __future__ import annotations

import mmap
from typing import Any, Protocol, TypeVar

from bnnverify.limits import Outcome, Report, Work, run_limited

T = TypeVar("T")

CAME_FIRST = "the limit came first"
COMPILING = f"{CAME_FIRST}, while kernels were compiled, once per installation; `bnnverify engines --compile` does that"


def run_watched(work: Work[T], *, timeout: float | None, memory: int | None) -> tuple[Outcome[T], str]:
    """As :func:`bnnverify.limits.run_limited`, with the reason to give if a limit came first."""
    if timeout is None and memory is None:
        return run_limited(work), CAME_FIRST
    with mmap.mmap(-1, 1) as in_progress:

        def watched(report: Report) -> T:
            _count_compilations(in_progress)
            return work(report)

        outcome = run_limited(watched, timeout=timeout, memory=memory)
        return outcome, COMPILING if in_progress[0] else CAME_FIRST


class Solved(Protocol):
    """What the work of every query knows of how it was done."""

    @property
    def engine(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def checked_by(self) -> str | None: ...


def solved_fields(outcome: Outcome[Any], asked: str, came_first: str) -> dict[str, Any]:
    """The fields of an answer that tell how it was obtained; ``came_first`` is the reason if a limit ended it."""
    done: Solved | None = outcome.result
    return {
        "engine": asked if done is None else done.engine,
        "reason": (outcome.cause or came_first) if done is None else done.reason,
        "checked_by": None if done is None else done.checked_by,
        "seconds": outcome.seconds,
    }


def _count_compilations(in_progress: mmap.mmap) -> None:
    from numba.core import event

    class Counter(event.Listener):
        def on_start(self, event: Any) -> None:
            in_progress[0] += 1

        def on_end(self, event: Any) -> None:
            in_progress[0] -= 1

    event.register("numba:compile", Counter())  # type: ignore[no-untyped-call]
