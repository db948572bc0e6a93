"""A recipe trained from its data to its file: checkpoints on the way, the best epoch exported, the export checked.

After every epoch the run is written beside the output, whole or not at all, so that a killed session goes on from there
and ends with the same file. The epoch that did best on the held-out images is what is kept. A binarized network is
exported as the integers that the rest of the package verifies, with all neurons compared on all test images; an
ordinary one is written as plain arrays. When all is written the checkpoint goes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch

from bnnverify.errors import UsageError
from bnnverify.formats import save
from bnnverify.formats.archive import write_arrays
from bnnverify.inference import predict
from bnnverify.network import Network
from bnnverify.training.build import build_attack, build_optimizers, build_settings, seeded_model
from bnnverify.training.calibration import recalibrate
from bnnverify.training.checkpoints import resume, save_checkpoint
from bnnverify.training.counterexamples import RadiusReport, report_radius
from bnnverify.training.export import export
from bnnverify.training.material import Material
from bnnverify.training.measures import accuracy
from bnnverify.training.model import BinaryModel
from bnnverify.training.recipe import Recipe, Verification
from bnnverify.training.run import Epoch, Run, Watch

OnEpoch: TypeAlias = Callable[[Epoch], None]
WatchReport: TypeAlias = Callable[[int, int], None]
CHECKPOINT = ".checkpoint"


@dataclass(frozen=True, eq=False)
class Trained:
    """The kept model on the processor, in evaluation mode; ``network`` is its export, None of an ordinary network.

    ``test_accuracy`` is that of the exported network where there is one. ``seconds`` are those of this process.
    """

    recipe: Recipe
    model: BinaryModel
    network: Network | None
    history: tuple[Epoch, ...]
    best: Epoch
    test_accuracy: float
    n_test: int
    seconds: float


class Session:
    """One recipe on one device.

    Args:
        out: the file to write, ending in .npz.
        device: ``cpu`` or ``cuda``.

    Raises:
        UsageError: if there is no such device, or the recipe's layers do not fit its images.
    """

    def __init__(self, recipe: Recipe, material: Material, out: Path, *, device: str = "cpu") -> None:
        self.recipe, self.material, self.out = recipe, material, out
        self.checkpoint = out.with_name(f"{out.name}{CHECKPOINT}")
        self._described = json.dumps(recipe.to_dict(), sort_keys=True)
        model = seeded_model(recipe, material.shape, available_device(device))
        settings, optimizers = build_settings(recipe), build_optimizers(recipe, model)
        self.run = Run(model, material.fit, material.held_out, settings, optimizers)

    def resume(self) -> bool:
        """Go on from the checkpoint; False if there is none.

        Raises:
            UsageError: if it is not one of this recipe.
        """
        if not self.checkpoint.exists():
            return False
        resume(self.run, self.checkpoint, recipe=self._described)
        return True

    def train(self, *, watch: Watch | None = None, on_epoch: OnEpoch | None = None) -> Trained:
        """Train the epochs that are left, keep the best, export it, and write the file.

        Raises:
            ModelFormatError: if a neuron of the export differs from the trained one.
            UsageError: if a file cannot be written; the last checkpoint is whole then.
        """
        start = time.perf_counter()
        for epoch in self.run.epochs(watch):
            save_checkpoint(self.run, self.checkpoint, recipe=self._described)
            if on_epoch is not None:
                on_epoch(epoch)
        trained = self._kept(start)
        write_model(trained, self.out)
        self.checkpoint.unlink(missing_ok=True)
        return trained

    def _kept(self, start: float) -> Trained:
        best, material = self.run.restore_best(), self.material
        model = self.run.model.cpu().eval()
        if self.recipe.training.recalibrate:
            recalibrate(model, material.fit)
        network = export(model, material.test_pixels) if model.is_binary else None
        if network is None:
            found = accuracy(model, material.test)
        else:
            found = float((predict(network, material.test_pixels) == material.test_labels).mean())
        seconds, n_test = time.perf_counter() - start, len(material.test_labels)
        return Trained(self.recipe, model, network, tuple(self.run.history), best, found, n_test, seconds)


def available_device(name: str) -> torch.device:
    """A device by name.

    Raises:
        UsageError: if torch cannot use it here.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device here; use --device cpu or a torch built for CUDA")
    return torch.device(name)


def write_model(trained: Trained, out: Path) -> None:
    """A binarized network in the own format, an ordinary one as its parameters, one array each."""
    if trained.network is not None:
        save(trained.network, out)
        return
    write_arrays(out, {name: values.numpy() for name, values in trained.model.state_dict().items()})


def report(
    trained: Trained, material: Material, asked: Verification, *, watch: WatchReport | None = None
) -> list[RadiusReport]:
    """Attacked and verified accuracy at every radius of a recipe, on the first test images.

    Args:
        watch: is told of every radius and image that is done.

    Raises:
        UsageError: if there is no binarized network to verify.
    """
    if trained.network is None:
        raise UsageError(f"{trained.recipe.name}: an ordinary network, expected a binarized one to verify")
    images = material.test[: asked.images]
    return [
        report_radius(
            trained.network,
            trained.model,
            build_attack(asked.norm, radius, asked.steps),
            images,
            asked,
            radius,
            watch=None if watch is None else partial(watch, radius),
        )
        for radius in asked.radii
    ]
