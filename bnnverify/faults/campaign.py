"""Campaigns: fault models x trials x data, each trial paired with the fault-free run on the same instances.

A trial's random numbers come from the seed, the model's description and the trial's number, so a trial is
the same whatever ran before it, on how many threads, or in which process. Trials run in stages; a margin is looked at
only between stages, so where a campaign stops does not depend on threads either. With a file every trial is stored as
soon as it is known, and those that are there are not run again. The kernels release the interpreter lock: one trial a
thread, each thread with its own copy of the packed words; or many machines (:mod:`bnnverify.faults.cluster`).
"""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.faults.described import described, hash_of, key_of
from bnnverify.faults.intervals import Interval, checked_level, method_named
from bnnverify.faults.machine import Machine, Prepared
from bnnverify.faults.model import FaultModel, Own, Strike, aimed
from bnnverify.faults.results import Campaign, FaultPoint
from bnnverify.faults.store import Store, Trial
from bnnverify.network import Network

FIRST_STAGE = 10
STAGE_GROWTH = 1.25
STREAMS = 1

Classes: TypeAlias = NDArray[np.int64]
Metric: TypeAlias = Callable[[Classes, Classes], float]
Seen: TypeAlias = Callable[[int], None] | None
Models: TypeAlias = FaultModel | Strike | Sequence[FaultModel | Strike] | Mapping[str, FaultModel | Strike]


@dataclass(frozen=True, eq=False)
class Task:
    """What a campaign is run on and measured by."""

    network: Network
    X: Any
    labels: Classes | None
    metric: Metric | None
    metric_name: str
    level: float
    interval: str
    seed: int
    threshold_bits: int | None
    fresh_every: int | None
    digest: str


def run(
    network: Network,
    data: Any,
    model: Models,
    *,
    trials: int = 100,
    margin: float | None = None,
    confidence: float = 0.95,
    interval: str | None = None,
    metric: Metric | None = None,
    seed: int = 0,
    jobs: int = 1,
    cluster: str | None = None,
    out: str | Path | None = None,
    threshold_bits: int | None = None,
    fresh_every: int | None = None,
) -> Campaign:
    """Measure what memory errors do to a network.

    Args:
        network: what is stored.
        data: ``(X, labels)``, or an object with ``values`` and ``labels``; without labels (None) agreement with the
            fault-free classes is measured.
        model: a fault model, or several in a list or by name; any callable that takes cells and a generator
            and returns positions is one.
        trials: trials of each model, at most.
        margin: stop a model's trials once its interval reaches no farther than this from the mean.
        confidence: level of the intervals.
        interval: ``wilson`` (the default for accuracy), ``bootstrap`` (for other metrics) or ``student``.
        metric: takes the classes ``(n,)`` of a trial and the labels, returns a number.
        seed: of everything random.
        jobs: threads; results do not depend on them.
        cluster: address of a Dask scheduler whose workers run the trials instead, as in ``tcp://host:8786``; results do
            not depend on it either.
        out: SQLite file where every trial is stored at once, and from which a campaign resumes.
        threshold_bits: width of stored thresholds; by default as narrow as each layer allows.
        fresh_every: instances that one drawing of errors lasts for, 1 for new errors at every read; by default all.

    Returns:
        A point for each model.

    Raises:
        UsageError, UnsupportedError: if an option, or a model, makes no sense for this network, or the cluster is gone.
        InputFormatError: if the data does not fit, or ``out`` is no file of trials.

    Complexity: a trial executes the data once, at most; see :mod:`bnnverify.faults.machine`.

    References: Hirtzlin et al., "Implementing Binarized Neural Networks with Magnetoresistive RAM without Error
    Correction", 2019.
    """
    options = Effort(trials, margin, jobs, None if out is None else Path(out), cluster)
    task = make_task(
        network,
        data,
        metric=metric,
        confidence=confidence,
        interval=interval,
        seed=seed,
        threshold_bits=threshold_bits,
        fresh_every=fresh_every,
    )
    points = tuple(stream(task, model, options))
    return Campaign(network.name, network.fingerprint, seed, points)


@dataclass(frozen=True)
class Effort:
    """How far to go, on how many threads or which cluster, and where trials are stored.

    Raises:
        UsageError: if a number is out of range.
    """

    trials: int
    margin: float | None
    jobs: int
    out: Path | None
    cluster: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("trials", 2), ("jobs", 1)):
            value = getattr(self, name)
            if int(value) != value or value < least:
                raise UsageError(f"{name} {value!r}: expected an integer of at least {least}")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise UsageError(f"margin {self.margin!r}: expected a half-width above 0")
        if self.cluster is not None and self.jobs > 1:
            raise UsageError(f"jobs {self.jobs}: a cluster's workers bring their own threads; leave jobs out")


def make_task(
    network: Network,
    data: Any,
    *,
    metric: Metric | None = None,
    confidence: float = 0.95,
    interval: str | None = None,
    seed: int = 0,
    threshold_bits: int | None = None,
    fresh_every: int | None = None,
) -> Task:
    """Check and name everything but the models; see :func:`run`."""
    X, labels = _instances(data)
    labels = None if labels is None else _labels(labels, len(X), network.n_classes)
    name = ("agreement" if labels is None else "accuracy") if metric is None else "metric"
    interval = interval or ("wilson" if metric is None else "bootstrap")
    method_named(interval)
    if interval == "wilson" and metric is not None:
        raise UsageError("interval wilson: it is for shares of right answers; take bootstrap or student for a metric")
    if int(seed) != seed or seed < 0:
        raise UsageError(f"seed {seed!r}: expected an integer of at least 0")
    asked = {
        "streams": STREAMS,
        "network": network.fingerprint,
        "X": hash_of(network.input.read(X).reshape(len(X), -1).astype(np.int64)),
        "labels": None if labels is None else hash_of(labels),
        "metric": name if metric is None else _name_of(metric),
        "seed": seed,
        "threshold_bits": threshold_bits,
        "fresh_every": fresh_every,
    }
    level = checked_level(confidence)
    return Task(network, X, labels, metric, name, level, interval, seed, threshold_bits, fresh_every, key_of(asked))


def stream(task: Task, models: Models, options: Effort, seen: Seen = None) -> Iterator[FaultPoint]:
    """The points of a campaign, each as soon as it is finished; ``seen`` hears of every trial."""
    named = list(_named(models))
    store = nullcontext() if options.out is None else Store(options.out)
    with store as opened, _crew(task, options) as crew:
        for name, model in named:
            if opened is not None:
                _require_name(model)
            yield _point(task, name, model, options, opened, crew, seen)


def _crew(task: Task, options: Effort) -> AbstractContextManager[Crew]:
    """Who runs the trials: threads of this process, or a cluster."""
    if options.cluster is None:
        return nullcontext(lambda runner, numbers: runner.run(numbers, options.jobs))
    from bnnverify.faults.cluster import crew

    return crew(task, options.cluster)


def _point(
    task: Task,
    name: str | None,
    model: FaultModel,
    options: Effort,
    store: Store | None,
    crew: Crew,
    seen: Seen,
) -> FaultPoint:
    description = {"task": task.digest, "model": described(model)}
    key = key_of(description)
    runner = Runner(task, model)
    known: dict[int, Trial] = {}
    if store is not None:
        store.begin(key, model.ber, description)
        known = store.trials(key)
    met = None if options.margin is None else False
    found = None
    for stage in _stages(options):
        for trial in crew(runner, [number for number in range(stage) if number not in known]):
            known[trial.number] = trial
            if store is not None:
                store.add(key, trial)
            if seen is not None:
                seen(1)
        done = tuple(known[number] for number in range(stage))
        found = runner.interval(done)
        if options.margin is not None and found.margin <= options.margin:
            met = True
            break
    assert found is not None
    return runner.point(name, found, done, met)


class Runner:
    """Runs the trials of one model, one a thread."""

    def __init__(self, task: Task, model: FaultModel) -> None:
        self._task, self.model = task, model
        drawn_by = {"streams": STREAMS, "seed": task.seed, "model": described(model)}
        self._entropy = (int(key_of(drawn_by), 16),)
        self._prepared = Prepared(
            task.network, task.X, model, threshold_bits=task.threshold_bits, fresh_every=task.fresh_every
        )
        self._machines: queue.SimpleQueue[Machine] = queue.SimpleQueue()
        self._labels = self._prepared.classes if task.labels is None else task.labels
        self._right = self._prepared.classes == self._labels
        self.fault_free = self._value(self._prepared.classes)

    def run(self, numbers: Sequence[int], jobs: int) -> Iterator[Trial]:
        """These trials, in whatever order they finish."""
        if jobs == 1 or len(numbers) < 2:
            yield from map(self.trial, numbers)
            return
        with ThreadPoolExecutor(jobs) as pool:
            waiting = [pool.submit(self.trial, number) for number in numbers]
            try:
                for future in as_completed(waiting):
                    yield future.result()
            finally:
                for future in waiting:
                    future.cancel()

    def interval(self, trials: Sequence[Trial]) -> Interval:
        """The interval of the metric's mean; a point where no fault can occur."""
        values = np.array([trial.value for trial in trials])
        if self.model.ber == 0 and not any(trial.flips for trial in trials):
            return Interval(self.fault_free, self.fault_free, self.fault_free, self._task.level)
        return method_named(self._task.interval)(values, self._task.level, len(self._labels))

    def point(self, name: str | None, found: Interval, trials: tuple[Trial, ...], met: bool | None) -> FaultPoint:
        task = self._task
        exact = found.low == found.high and self.model.ber == 0
        return FaultPoint(
            name=name,
            model=self.model,
            ber=self.model.ber,
            metric=task.metric_name,
            value=found.mean,
            low=found.low,
            high=found.high,
            level=found.level,
            interval="none" if exact else task.interval,
            fault_free=self.fault_free,
            n_instances=len(self._labels),
            classes=tuple(np.bincount(self._labels, minlength=task.network.n_classes).tolist()),
            trials=trials,
            met=met,
        )

    def trial(self, number: int) -> Trial:
        """One trial; any number of threads may ask at a time."""
        try:
            machine = self._machines.get_nowait()
        except queue.Empty:
            machine = self._prepared.machine()
        try:
            classes, n_flips = machine.run((*self._entropy, number))
        finally:
            self._machines.put(machine)
        right = classes == self._labels
        correct = np.bincount(self._labels[right], minlength=self._task.network.n_classes)
        return Trial(
            number=number,
            flips=n_flips,
            value=self._value(classes),
            changed=int((classes != self._prepared.classes).sum()),
            lost=int((self._right & ~right).sum()),
            gained=int((right & ~self._right).sum()),
            correct=tuple(correct.tolist()),
        )

    def _value(self, classes: Classes) -> float:
        if self._task.metric is None:
            return float(np.mean(classes == self._labels))
        value = float(self._task.metric(classes, self._labels))
        if not math.isfinite(value):
            raise UsageError(f"metric {_name_of(self._task.metric)}: it returned {value}, expected a finite number")
        return value


Crew: TypeAlias = Callable[[Runner, Sequence[int]], Iterator[Trial]]


def _stages(options: Effort) -> Iterator[int]:
    """How many trials are done when the margin is looked at."""
    stage = min(FIRST_STAGE, options.trials) if options.margin is not None else options.trials
    while True:
        yield stage
        if stage >= options.trials:
            return
        stage = min(options.trials, math.ceil(stage * STAGE_GROWTH))


def _named(models: Models) -> Iterator[tuple[str | None, FaultModel]]:
    """Models with their names, aimed; a user's function by name takes the name that is given here."""
    if isinstance(models, Mapping):
        for name, model in models.items():
            yield name, aimed(model if isinstance(model, FaultModel) else Own(model, name=name))
        return
    several = [models] if isinstance(models, FaultModel) or callable(models) else list(models)
    if not several:
        raise UsageError("faults: no model, expected at least one")
    for model in several:
        yield None, aimed(model)


def _require_name(model: FaultModel) -> None:
    """Refuse to store rows under the name of a function that says nothing about it."""
    if isinstance(model, Own) and ("<lambda>" in model.name or "<locals>" in model.name):
        raise UsageError(
            f"fault model {model.name}: stored trials are found again by name; give it one, as in {{'mine': function}}"
        )
    for part in model.parts():
        _require_name(part)


def _instances(data: Any) -> tuple[Any, Any]:
    if hasattr(data, "values") and hasattr(data, "labels") and not callable(data.values):
        return data.values, data.labels
    if isinstance(data, tuple | list) and len(data) == 2:
        return np.asarray(data[0]), data[1]
    raise UsageError("faults: expected data as (X, labels), or an object with values and labels")


def _labels(labels: Any, n: int, n_classes: int) -> Classes:
    array = np.asarray(labels)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise UsageError(f"labels: shape {array.shape} of type {array.dtype}, expected {n} classes")
    if n == 0 or array.min() < 0 or array.max() >= n_classes:
        raise UsageError(f"labels: expected classes 0..{n_classes - 1} of one or more instances")
    return array.astype(np.int64)


def _name_of(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
