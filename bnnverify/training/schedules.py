"""How learning rates change over a run; each schedule keeps the ratios of rates between layers.

Called with an optimizer, the number of epochs and the steps of one, a schedule is torch's scheduler, stepped once a
batch. Courbariaux, Hubara et al. 2016 used :class:`Exponential` (Theano) and :class:`Halving` (Torch7), both of which
change at the ends of epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from bnnverify.errors import UsageError

Schedule: TypeAlias = Callable[[Optimizer, int, int], LRScheduler]


@dataclass(frozen=True)
class Constant:
    """The rate stays."""

    def __call__(self, optimizer: Optimizer, n_epochs: int, steps_per_epoch: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: 1.0)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the rate to 0 over the whole run, step by step."""

    def __call__(self, optimizer: Optimizer, n_epochs: int, steps_per_epoch: int) -> LRScheduler:
        return CosineAnnealingLR(optimizer, n_epochs * steps_per_epoch)


@dataclass(frozen=True)
class Exponential:
    """The same factor after every epoch, ``ratio`` over the whole run: .003 to 3e-7 is ``Exponential(1e-4)``."""

    ratio: float

    def __post_init__(self) -> None:
        if self.ratio <= 0:
            raise UsageError(f"exponential schedule: ratio {self.ratio}, expected more than 0")

    def __call__(self, optimizer: Optimizer, n_epochs: int, steps_per_epoch: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: self.ratio ** ((step // steps_per_epoch) / n_epochs))


@dataclass(frozen=True)
class Halving:
    """Half the rate after every so many epochs."""

    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"halving schedule: every {self.every} epochs, expected at least 1")

    def __call__(self, optimizer: Optimizer, n_epochs: int, steps_per_epoch: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: 0.5 ** (step // (self.every * steps_per_epoch)))
