"""A training run: the model and everything that decides how it goes on, one epoch at a time.

Every random choice comes from a seed: ``torch.manual_seed`` for the model's first weights, stochastic signs and
dropout, the run's own generator for batches and attacks. So a run repeats to the bit on one machine with one
number of threads, and one that continues from :meth:`Run.state` ends with the weights of one never interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from bnnverify.errors import UsageError
from bnnverify.training.attacks import Attack, adapt_slopes
from bnnverify.training.images import Images
from bnnverify.training.layers import clip_latent
from bnnverify.training.measures import accuracy, flip_ratio, weight_signs, zero_weights
from bnnverify.training.model import BinaryModel
from bnnverify.training.normalization import frozen_statistics
from bnnverify.training.penalties import cardinality_bounds, mask_penalty
from bnnverify.training.settings import Settings

ADAPTING_IMAGES = 400


@dataclass(frozen=True)
class Epoch:
    """What one epoch did, counted from 1.

    ``loss`` is the mean over its batches; accuracy is that on held-out images and ``zero_weights`` a fraction of all,
    both after it; ``slope_scale`` is what adaptive gradient cancelling chose, 1 without an attack; ``flip_ratio`` the
    fraction of weights whose sign is not that before the epoch; ``n_fed`` how many images feed the training by now;
    ``cpu_seconds`` the processor time of all threads.
    """

    number: int
    loss: float
    validation_accuracy: float
    zero_weights: float
    slope_scale: float
    seconds: float
    flip_ratio: float = 0.0
    n_fed: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """How far a run is: epochs that are done, steps of the next, their number in an epoch, and the last loss."""

    n_epochs: int
    n_steps: int
    steps_per_epoch: int
    loss: float


Watch: TypeAlias = Callable[[Step], None]


class Run:
    """Trains a model in place.

    Args:
        model: in any mode, on the device to train on; images follow it there.
        images: to train on.
        held_out: to measure on after every epoch.
        settings: see there.
        optimizers: which together move all parameters; default Adam.
    """

    def __init__(
        self,
        model: BinaryModel,
        images: Images,
        held_out: Images,
        settings: Settings,
        optimizers: Sequence[Optimizer] | None = None,
    ) -> None:
        self.device = next(model.parameters()).device
        self.model, self.settings = model, settings
        self.images, self.held_out = images.to(self.device), held_out.to(self.device)
        self.fed = self.images[:0]
        self.optimizers = tuple(optimizers or (Adam(model.parameters(), lr=settings.learning_rate),))
        self._n_steps = len(_batches(torch.arange(len(images)), settings.batch_size))
        self._schedules = [settings.schedule(o, settings.n_epochs, self._n_steps) for o in self.optimizers]
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._best: dict[str, Tensor] = {}
        self.history: list[Epoch] = []

    def epochs(self, watch: Watch | None = None) -> Iterator[Epoch]:
        """Train the epochs that are left; yields after each, with the model in evaluation mode.

        Args:
            watch: is told of every step.
        """
        while len(self.history) < self.settings.n_epochs:
            self.history.append(self._epoch(len(self.history), watch))
            self._keep_best()
            yield self.history[-1]

    def step(self, batch: Images, attack: Attack | None = None) -> float:
        """One step of every optimizer on a batch, in the model's present mode; returns the loss before it."""
        pixels = batch.pixels
        if attack is not None:
            with frozen_statistics(self.model):
                pixels = attack(self.model, pixels, batch.labels, self._generator)
        loss = self._loss(pixels, batch.labels)
        self.model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, schedule in zip(self.optimizers, self._schedules, strict=True):
            optimizer.step()
            schedule.step()
        clip_latent(self.model)
        return float(loss.detach())

    def restore_best(self) -> Epoch:
        """Give the model the weights of the epoch that did best on the held-out images, the first of equals."""
        if not self._best:
            raise UsageError("training run: no epoch has been trained, so there is no best one")
        self.model.load_state_dict(self._best)
        return self._best_epoch()

    def state(self) -> dict[str, Any]:
        """Everything that decides how the run goes on, as tensors, numbers, lists and dictionaries of them."""
        return {
            "settings": self.settings.described(),
            "model": self.model.state_dict(),
            "best": self._best,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedules": [schedule.state_dict() for schedule in self._schedules],
            "generator": self._generator.get_state(),
            "torch_generator": torch.get_rng_state(),
            "device_generator": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "fed": {"pixels": self.fed.pixels, "labels": self.fed.labels},
            "history": [asdict(epoch) for epoch in self.history],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state` of a run with the same model, images and settings.

        Raises:
            UsageError: if the settings differ; the message names the first that does.
        """
        _require_same(self.settings.described(), state["settings"])
        self.model.load_state_dict(state["model"])
        self._best = state["best"]
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        for schedule, kept in zip(self._schedules, state["schedules"], strict=True):
            schedule.load_state_dict(kept)
        self._generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_generator"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device_generator"], self.device)
        self.fed = Images(**state["fed"]).to(self.device)
        self.history = [Epoch(**epoch) for epoch in state["history"]]

    def _best_epoch(self) -> Epoch:
        return max(self.history, key=lambda epoch: epoch.validation_accuracy)

    def _keep_best(self) -> None:
        if self._best_epoch() is not self.history[-1]:
            return
        if not self._best:
            self._best = deepcopy(self.model.state_dict())
        for name, values in self.model.state_dict().items():
            self._best[name].copy_(values)

    def _epoch(self, number: int, watch: Watch | None) -> Epoch:
        start, cpu_start, before = time.perf_counter(), time.process_time(), weight_signs(self.model)
        self.model.train()
        attack = self.settings.attack_in(number)
        scale = 1.0 if attack is None else self._adapted_scale(attack)
        order = torch.randperm(len(self.images), generator=self._generator)
        losses: list[float] = []
        for batch in _batches(order, self.settings.batch_size):
            losses.append(self.step(self._mixed(batch), attack))
            if watch is not None:
                watch(Step(number, len(losses), self._n_steps, losses[-1]))
        self.model.eval()
        self._feed(number)
        return Epoch(
            number + 1,
            sum(losses) / len(losses),
            accuracy(self.model, self.held_out),
            zero_weights(self.model),
            scale,
            time.perf_counter() - start,
            flip_ratio(before, self.model),
            len(self.fed),
            time.process_time() - cpu_start,
        )

    def _mixed(self, batch: Tensor) -> Images:
        """A batch of the training images, augmented where asked, and a share of those that feed the training."""
        images = self.images[batch.to(self.device)]
        if self.settings.augmentation is not None:
            images = Images(self.settings.augmentation(images.pixels, self._generator), images.labels)
        if not len(self.fed):
            return images
        n = round(self.settings.feed_share * len(batch))
        return images + self.fed[torch.randint(len(self.fed), (n,), generator=self._generator).to(self.device)]

    def _feed(self, number: int) -> None:
        if self.settings.feed is not None:
            self.fed = self.fed + self.settings.feed(self.model, self.images, number).to(self.device)

    def _adapted_scale(self, attack: Attack) -> float:
        first = self.images[:ADAPTING_IMAGES]
        return adapt_slopes(self.model, attack, first.pixels, first.labels, seed=self.settings.seed)

    def _loss(self, pixels: Tensor, labels: Tensor) -> Tensor:
        settings = self.settings
        decay = mask_penalty(self.model, settings.mask_decay) if settings.mask_decay else torch.zeros(())
        if not settings.bound_decay:
            return settings.loss(self.model(pixels), labels) + decay
        with cardinality_bounds(self.model) as bounds:
            loss = settings.loss(self.model(pixels), labels)
        return loss + decay + bounds.penalty(strength=settings.bound_decay, slack=settings.bound_slack)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Parts of ``size``; a last part of one instance, which has no variance to normalize by, is left out."""
    parts = list(torch.split(order, size))
    return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts


def _require_same(expected: dict[str, str], found: dict[str, str]) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise UsageError(
                f"training run: the checkpoint was made with {name} {found.get(name)}, expected {value}; "
                "resume with the settings of its run"
            )
