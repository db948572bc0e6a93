"""How a network is trained, as one frozen value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor
from torch.nn import functional

from bnnverify.errors import UsageError
from bnnverify.training.attacks import Attack
from bnnverify.training.augmentation import Augmentation
from bnnverify.training.images import Images
from bnnverify.training.model import BinaryModel
from bnnverify.training.schedules import Cosine, Schedule

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Feed: TypeAlias = Callable[[BinaryModel, Images, int], Images]


@dataclass(frozen=True)
class Settings:
    """How to train.

    Args:
        learning_rate: of Adam, the optimizer unless a run is given others.
        attack: train on attacked images, whose radius grows linearly over the first ``ramp`` of the epochs.
        mask_decay: strength of :func:`bnnverify.training.penalties.mask_penalty`.
        bound_decay: strength of the cardinality bound decay.
        bound_slack: the bound from which it acts.
        loss: of class scores and labels; an attack climbs the cross entropy whatever it is.
        schedule: of the learning rates of all optimizers.
        augmentation: of every batch, or None.
        feed: given the model, the training images and the number of the epoch that ended, finds more images, which
            from then on are ``feed_share`` of a batch beside its own.

    Raises:
        UsageError: if there is no epoch, no batch or no rate.
    """

    n_epochs: int
    batch_size: int = 100
    learning_rate: float = 2e-3
    seed: int = 0
    attack: Attack | None = None
    ramp: float = 0.4
    mask_decay: float = 0.0
    bound_decay: float = 0.0
    bound_slack: float = 5.0
    loss: Loss = functional.cross_entropy
    schedule: Schedule = Cosine()  # noqa: RUF009
    augmentation: Augmentation | None = None
    feed: Feed | None = None
    feed_share: float = 0.25

    def __post_init__(self) -> None:
        if min(self.n_epochs, self.batch_size) < 1 or self.learning_rate <= 0:
            raise UsageError(
                f"training: {self.n_epochs} epochs of batches of {self.batch_size} at the learning rate "
                f"{self.learning_rate}, expected all above 0"
            )

    def attack_in(self, epoch: int) -> Attack | None:
        """The attack of one epoch, counted from 0."""
        if self.attack is None:
            return None
        share = min(1.0, (epoch + 1) / max(1.0, self.ramp * self.n_epochs))
        return replace(self.attack, radius=round(share * self.attack.radius))

    def described(self) -> dict[str, str]:
        """Every setting as text that is the same in every process, to tell whether two runs are one."""
        return {name: _described(value) for name, value in vars(self).items()}


def _described(value: Any) -> str:
    """Functions by their name, which their repr hides behind an address."""
    if isinstance(value, partial):
        return f"{_described(value.func)} with {value.keywords}"
    return getattr(value, "__qualname__", None) or repr(value)
