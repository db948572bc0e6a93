"""BatchNorm measured anew: its running statistics replaced by those of given images under the weights as they are now.

Running statistics lag behind weights that still flip, and those of training with random flips or an attack are not
those of evaluation. Here every BatchNorm gets the mean of its batches' statistics, which is what it learned to
normalize by, in the order of the network, each measured behind those that are measured already. Cost: as many passes
over the images as there are BatchNorms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bnnverify.training.images import Images
from bnnverify.training.inputs import NormalizedPixels
from bnnverify.training.model import BinaryModel
from bnnverify.training.normalization import Norm, batch_statistics

BATCH = 500


@torch.no_grad()
def recalibrate(model: BinaryModel, images: Images) -> None:
    """Set the running statistics of every BatchNorm of a model in place; leaves it in evaluation mode."""
    model.eval()
    if isinstance(model.input, NormalizedPixels):
        _measure(model.input.norm, model.input.scaled, images)
    for position, stage in enumerate(model.ordered_stages()):
        _measure(stage.norm, partial(_sums_at, model, position), images)


def _sums_at(model: BinaryModel, position: int, pixels: Tensor) -> Tensor:
    """What the BatchNorm of one stage reads."""
    values: Tensor = model.input(pixels)
    stages = model.ordered_stages()
    for stage in stages[:position]:
        values = stage(values)
    return stages[position].sums(values)


def _measure(norm: Norm, read: Callable[[Tensor], Tensor], images: Images) -> None:
    """Give a BatchNorm the mean statistics of what it reads, batch by batch."""
    seen = [batch_statistics(norm, read(pixels)) for pixels in torch.split(images.pixels, BATCH)]
    means, variances = zip(*seen, strict=True)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(torch.stack(means).mean(dim=0))
    norm.running_var.copy_(torch.stack(variances).mean(dim=0))
