"""What training reports of a model: how often it is right, how many weights are zero, and how many still flip."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from bnnverify.training.images import Images
from bnnverify.training.layers import LatentWeight, RealWeight
from bnnverify.training.model import BinaryModel

BATCH = 500


@torch.no_grad()
def accuracy(model: BinaryModel, images: Images) -> float:
    """The fraction of images that a model classifies correctly, in the mode that it is in."""
    found = torch.cat([model(pixels).argmax(dim=1) for pixels in torch.split(images.pixels, BATCH)])
    return float((found == images.labels).double().mean())


@torch.no_grad()
def sparsity(weight: LatentWeight) -> float:
    """The fraction of one layer's weights that are zero."""
    return float((weight() == 0).sum()) / prod(weight.latent.shape)


def zero_weights(model: BinaryModel) -> float:
    """The fraction of all weights of a model, class scores included, that are zero."""
    sizes = [weight.latent.numel() for weight in model.weights()]
    return sum(sparsity(weight) * size for weight, size in zip(model.weights(), sizes, strict=True)) / sum(sizes)


@torch.no_grad()
def weight_signs(model: BinaryModel) -> list[Tensor]:
    """Which latent weights of each layer are at least 0; real weights have no part in it."""
    return [weight.latent >= 0 for weight in model.weights() if not isinstance(weight, RealWeight)]


def flip_ratio(before: list[Tensor], model: BinaryModel) -> float:
    """The fraction of all weights whose sign is not what it was."""
    flips = sum(int((old != new).sum()) for old, new in zip(before, weight_signs(model), strict=True))
    return flips / max(1, sum(signs.numel() for signs in before))
