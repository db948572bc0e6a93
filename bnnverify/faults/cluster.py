"""The trials of a campaign on a Dask cluster: the same rows, from other machines.

A trial depends on the task, the model and its number alone, so where it runs and how often it is started does not
matter. The task and each model travel once and stay with the scheduler, which sends them to every worker that needs
them; a worker prepares a model once and runs one trial a thread. A worker that dies loses what it was doing, which the
scheduler gives to another. Trials are taken from the cluster one by one and stored here, on the campaign's own machine.

Dask speaks pickle on its wire, in both directions: whoever can reach a scheduler can run code on it and on its
clients. Use clusters that you trust, on networks that you trust, or with TLS, as Dask's own configuration sets up.
Nothing is pickled to a file, and no file is unpickled. Cost: about a millisecond a trial on top of the trial.

Rocklin, "Dask: Parallel computation with blocked algorithms and task scheduling", 2015.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bnnverify import __version__
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.faults.campaign import Crew, Runner, Task
from bnnverify.faults.model import FaultModel
from bnnverify.faults.store import Trial

CONNECT_SECONDS = 10.0
WORKER_SECONDS = 30.0
CLOSE_SECONDS = 5.0
RUNNERS_KEPT = 2
LARGE = "1GiB"
LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado.application")


@dataclass(frozen=True)
class Ticket:
    """What belongs together on a worker: a name for one task with one model, and who asks.

    Args:
        name: new for each model of each campaign.
        version: of the package that asks.
    """

    name: str
    version: str


@contextmanager
def crew(task: Task, address: str) -> Iterator[Crew]:
    """Connect to a scheduler, and run trials on its workers as long as this lasts.

    Raises:
        UsageError: in one sentence, if it cannot be reached, has no workers, or is lost on the way.
        UnsupportedError: if Dask is not installed.
    """
    require_dask()
    with quiet(), _connected(address) as client:
        shipped = client.submit(kept, task, pure=False)
        runs: dict[Runner, tuple[Any, Ticket]] = {}

        def run(runner: Runner, numbers: Sequence[int]) -> Iterator[Trial]:
            if runner not in runs:
                ticket = Ticket(uuid.uuid4().hex, __version__)
                runs.clear()
                runs[runner] = client.submit(kept, runner.model, pure=False), ticket
            model, ticket = runs[runner]
            ask = partial(client.submit, run_trial, shipped, model, ticket, pure=False)
            with _told(address):
                yield from _arriving(client, ask, numbers)

        yield run


def require_dask() -> None:
    """Find out before the work whether a cluster can be spoken to.

    Raises:
        UnsupportedError: if the extra is missing.
    """
    if find_spec("distributed") is None:
        raise UnsupportedError("cluster: Dask is not installed, which it needs: pip install 'bnnverify[cluster]'")


def kept(value: Any) -> Any:
    """The value, which thereby is a task's result, and can be sent again when the worker that holds it dies."""
    return value


def run_trial(task: Task, model: FaultModel, ticket: Ticket, number: int) -> Trial:
    """What a worker does.

    Raises:
        UsageError: if its version of this package is another one, whose trials could differ.
    """
    if ticket.version != __version__:
        raise UsageError(f"cluster: a worker has bnnverify {__version__}, expected {ticket.version} as here; update it")
    return _runner(task, model, ticket).trial(number)


_RUNNERS: dict[Ticket, Runner] = {}
_PREPARING = threading.Lock()


def _runner(task: Task, model: FaultModel, ticket: Ticket) -> Runner:
    """The worker's runner, prepared by the first of its threads that needs it; only the latest are kept."""
    with _PREPARING:
        if ticket not in _RUNNERS:
            for old in list(_RUNNERS)[: 1 - RUNNERS_KEPT or None]:
                del _RUNNERS[old]
            _RUNNERS[ticket] = Runner(task, model)
        return _RUNNERS[ticket]


def _arriving(client: Any, ask: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[Trial]:
    """Trials as they finish, each once; what nobody waits for any more is cancelled."""
    distributed = import_module("distributed")
    waiting = {future.key: future for future in map(ask, numbers)}
    try:
        for future, trial in distributed.as_completed(list(waiting.values()), loop=client.loop, with_results=True):
            if future.cancelled():
                raise CancelledError("its tasks are cancelled")
            if waiting.pop(future.key, None) is not None:
                yield trial
    finally:
        for future in waiting.values():
            future.release()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of the scheduler, once it has a worker."""
    distributed, dask = import_module("distributed"), import_module("dask")
    _require_reachable(address)
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGE}):
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        try:
            _await_worker(client, address)
            yield client
        finally:
            with suppress(TimeoutError):
                client.close(timeout=CLOSE_SECONDS)


def _require_reachable(address: str) -> None:
    """Connect once and hang up, since a client that cannot connect complains a second time when it is collected."""
    core, utils, security = (import_module(f"distributed.{name}") for name in ("core", "utils", "security"))

    async def greet() -> None:
        arguments = security.Security().get_connection_args("client")
        comm = await core.connect(address, timeout=CONNECT_SECONDS, **arguments)
        await comm.close()

    loop = utils.LoopRunner(asynchronous=False)
    loop.start()
    try:
        utils.sync(loop.loop, greet)
    except (OSError, ValueError) as error:
        raise UsageError(f"cluster {address}: no scheduler was reached ({error}); start one or correct it") from None
    finally:
        loop.stop()


def _await_worker(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise UsageError(f"cluster {address}: no worker came within {WORKER_SECONDS:g} s; start one") from None


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn the ways in which a cluster is lost into one sentence each."""
    distributed = import_module("distributed")
    resume = "trials that were stored by out are kept: run the same again"
    try:
        yield
    except distributed.scheduler.KilledWorker:
        raise UsageError(
            f"cluster {address}: one trial's workers died again and again, perhaps of memory; {resume}"
        ) from None
    except ImportError as error:
        raise UsageError(f"cluster {address}: a worker lacks what trials need ({error}); {resume}") from None
    except (CancelledError, OSError) as error:
        raise UsageError(f"cluster {address}: the scheduler was lost ({error}); {resume}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's loggers silent: what they would say is raised, in one sentence."""
    import_module("distributed")
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
