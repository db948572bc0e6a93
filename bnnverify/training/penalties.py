"""Terms of the loss that make a network cheap to verify: fewer weights, and fewer literals that a neuron waits for.

A neuron over bits fires when at least ``bound = (threshold + fan_in) / 2`` of its literals are true, and encodings and
propagation of ``sum(literals) >= bound`` grow with the bound. *Cardinality bound decay* adds
``strength * relu(bound - slack)`` for every neuron behind the first stage, where the threshold is that of the batch's
BatchNorm, ``mean - beta / gain``; its gradient also reaches weights and masks. *Mask decay* adds
``strength * relu(mask)``, so that weights whose absence costs nothing vanish. Both follow Jia and Rinard 2020.
Cost: two means over each stage's sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bnnverify.training.layers import MaskedWeight
from bnnverify.training.model import BinaryModel, Stage
from bnnverify.training.normalization import batch_statistics, gain

LEAST_GAIN = 1e-3


@dataclass
class BoundTally:
    """Cardinality bounds of the stages that have run, one tensor ``(outputs,)`` a stage."""

    bounds: list[Tensor] = field(default_factory=list)

    def penalty(self, *, strength: float = 5e-4, slack: float = 5.0) -> Tensor:
        """``strength * sum(relu(bound - slack))`` over all neurons seen."""
        return strength * sum((torch.relu(bound - slack).sum() for bound in self.bounds), torch.zeros(()))


@contextmanager
def cardinality_bounds(model: BinaryModel) -> Iterator[BoundTally]:
    """Within the block, every forward pass in training mode tallies the bounds of all stages but the first.

    The first stage is left out since its sums may be of levels rather than literals.
    """
    tally = BoundTally()
    hooks = [_tally_stage(stage, tally) for stage in model.ordered_stages()[1:]]
    try:
        yield tally
    finally:
        for hook in hooks:
            hook.remove()


def _tally_stage(stage: Stage, tally: BoundTally) -> RemovableHandle:
    def tally_sums(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        tally.bounds.append(literal_bounds(stage, inputs[0]))

    return stage.norm.register_forward_hook(tally_sums)


def literal_bounds(stage: Stage, sums: Tensor) -> Tensor:
    """How many literals each neuron waits for under the statistics of a batch of its sums, ``(outputs,)``.

    Away from the border of a padded convolution; a gain of almost zero counts as LEAST_GAIN.
    """
    mean, variance = batch_statistics(stage.norm, sums)
    slope = gain(stage.norm, variance)
    least = LEAST_GAIN * torch.where(slope >= 0, 1, -1)
    threshold = mean - stage.norm.bias / torch.where(slope.abs() < LEAST_GAIN, least, slope)
    fan_in = stage.layer.weight().abs().flatten(1).sum(dim=1)
    bounds: Tensor = (threshold + fan_in) / 2
    return bounds


def mask_penalty(model: nn.Module, strength: float) -> Tensor:
    """``strength * sum(relu(mask))`` over all masks of a model."""
    masks = [module.mask for module in model.modules() if isinstance(module, MaskedWeight)]
    return strength * sum((torch.relu(mask).sum() for mask in masks), torch.zeros(()))
