"""One recipe three times: as an ordinary network, binarized, and stochastically binarized, each measured alike.

Every variant trains in a process of its own, one after the other, so that its peak memory and its processor time are
its own. Inferences are counted on the test images, the ordinary network's by torch in batches, the others' by the
bit engine, both after a first call; bytes are those of the files on disk. Operations and energy are counted, not
measured (:mod:`bnnverify.training.describe`).
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bnnverify.errors import BnnverifyError, UsageError
from bnnverify.inference import predict
from bnnverify.training.describe import describe
from bnnverify.training.material import Material, load_material
from bnnverify.training.measures import accuracy
from bnnverify.training.recipe import Recipe
from bnnverify.training.run import Epoch
from bnnverify.training.session import Session, Trained

LEAST_TIMED_SECONDS = 0.2


@dataclass(frozen=True)
class Variant:
    """What was measured of one variant; ``seconds`` and ``cpu_seconds`` are those of all epochs.

    Energies are microjoules of one inference, ``n_accumulated`` its multiply-accumulates.
    """

    name: str
    test_accuracy: float
    best_epoch: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    n_bytes: int
    inferences_per_second: float
    n_accumulated: int
    arithmetic_uj: float
    memory_uj: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def variants(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe's three networks by name."""
    return {
        f"float ({recipe.twin().network.activations})": recipe.twin(),
        "deterministic": recipe.deterministic(),
        "stochastic": recipe.stochastic_twin(),
    }


def compare(
    recipe: Recipe,
    folder: Path | None = None,
    *,
    n_test: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
    on_epoch: Callable[[str, Epoch], None] | None = None,
) -> Iterator[Variant]:
    """Train and measure each variant; yields it when it is done.

    Args:
        folder: of data sets.
        n_test: take the first so many test images alone.
        threads: of torch; default its own choice.

    Raises:
        BnnverifyError: what went wrong in a variant, in its own words.
    """
    for name, changed in variants(recipe).items():
        arguments = (name, changed, folder, n_test, threads, device)
        for kind, value in _messages_of_child(arguments):
            if kind == "variant":
                yield value
            elif on_epoch is not None:
                on_epoch(name, value)


def _messages_of_child(arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_measure_in_child, args=(theirs, *arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        with suppress(EOFError):
            while True:
                kind, value = ours.recv()
                if kind == "error":
                    raise UsageError(value)
                yield kind, value
        child.join()
        if child.exitcode:
            raise UsageError(f"{arguments[0]}: its process ended with code {child.exitcode} before it was measured")
    finally:
        child.kill()
        child.join()


def _measure_in_child(
    pipe: Connection,
    name: str,
    recipe: Recipe,
    folder: Path | None,
    n_test: int | None,
    threads: int | None,
    device: str,
) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        material = load_material(recipe.data, folder, n_test=n_test)
        variant = measure(name, recipe, material, device=device, on_epoch=lambda epoch: pipe.send(("epoch", epoch)))
        pipe.send(("variant", variant))
    except BnnverifyError as error:
        pipe.send(("error", str(error)))


def measure(
    name: str,
    recipe: Recipe,
    material: Material,
    *,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Variant:
    """Train one variant in this process and measure it; peak memory is that of the process up to the last epoch."""
    peaks = []

    def ended(epoch: Epoch) -> None:
        peaks.append(peak_mib())
        if on_epoch is not None:
            on_epoch(epoch)

    with TemporaryDirectory() as scratch:
        out = Path(scratch) / "variant.npz"
        trained = Session(recipe, material, out, device=device).train(on_epoch=ended)
        n_bytes = out.stat().st_size
    facts = describe(trained.model, material.shape)
    return Variant(
        name,
        trained.test_accuracy,
        trained.best.number,
        sum(epoch.seconds for epoch in trained.history),
        sum(epoch.cpu_seconds for epoch in trained.history),
        peaks[-1],
        n_bytes,
        inferences_per_second(trained, material),
        facts.n_accumulated,
        facts.arithmetic_uj,
        facts.memory_uj,
    )


def inferences_per_second(trained: Trained, material: Material) -> float:
    """How many test images a second are classified, after a first call."""
    network, test = trained.network, material.test

    def once() -> None:
        if network is None:
            accuracy(trained.model, test)
        else:
            predict(network, material.test_pixels)

    once()
    start, n_rounds = time.perf_counter(), 0
    while time.perf_counter() - start < LEAST_TIMED_SECONDS:
        once()
        n_rounds += 1
    return n_rounds * len(test) / (time.perf_counter() - start)


def peak_mib() -> float:
    """The most memory that this process has had at once, in MiB.

    Linux tells it of the process itself; elsewhere the resource usage has it, which a child may inherit.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
