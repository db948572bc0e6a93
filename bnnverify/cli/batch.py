"""Work through many questions, in this process or in several, and give the answers back in order.

Workers are forked once, so they share the loaded network and data without copying them. Answers are
stored as they come and printed in the order of the questions, so what is printed does not depend on
the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from bnnverify.limits import die_with

Ask = Callable[[int], Any]

_adopted: list[Ask] = []


def completed(ask: Ask, positions: Sequence[int], jobs: int) -> Iterator[tuple[int, Any]]:
    """``(position, ask(position))`` for every position, as they finish.

    Raises:
        MemoryError: if a worker was killed, which the system does when memory runs out.
    """
    jobs = min(jobs, len(positions))
    if jobs <= 1:
        yield from ((position, ask(position)) for position in positions)
        return
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(jobs, context, initializer=_adopt, initargs=(ask, os.getpid()))
    finished = False
    try:
        futures = {pool.submit(_ask_adopted, position): position for position in positions}
        for future in as_completed(futures):
            yield futures[future], future.result()
        finished = True
    except BrokenProcessPool:
        raise MemoryError("a worker was killed before it answered; set --memory or use fewer --jobs") from None
    finally:
        if not finished:
            _kill_workers()
        pool.shutdown(cancel_futures=True)


def in_order(pairs: Iterator[tuple[int, Any]], positions: Sequence[int]) -> Iterator[Any]:
    """The values in the order of ``positions``, each as soon as all before it are there."""
    waiting: dict[int, Any] = {}
    order = iter(positions)
    expected = next(order, None)
    for position, value in pairs:
        waiting[position] = value
        while expected in waiting:
            yield waiting.pop(expected)
            expected = next(order, None)


def _adopt(ask: Ask, parent: int) -> None:
    """A worker keeps the question it was forked with, leaves interrupts to its parent, and dies with it."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _adopted[:] = [ask]


def _ask_adopted(position: int) -> Any:
    return _adopted[0](position)


def _kill_workers() -> None:
    for worker in multiprocessing.active_children():
        worker.kill()
