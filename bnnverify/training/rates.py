"""Learning rates of one layer each: larger where Glorot's initialization would have been smaller.

The Theano code of Courbariaux, Hubara et al. 2016 multiplies each update of a layer's latent weights by
``1 / sqrt(1.5 / (n_in + n_out))`` before it clips them, with n_in and n_out the connections into and out of one unit.
As Adam's steps are proportional to its rate, that is a rate for each layer.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

from torch import nn

from bnnverify.training.layers import BinaryWeight, LatentWeight, MaskedWeight


def glorot_rate(weight: LatentWeight) -> float:
    """The factor of a layer's learning rate, ``sqrt((n_in + n_out) / 1.5)``."""
    n_out, n_in, *kernel = weight.latent.shape
    return sqrt((n_in + n_out) * prod(kernel) / 1.5)


def parameter_groups(model: nn.Module, lr: float) -> list[dict[str, Any]]:
    """All parameters of a model for an optimizer: each latent weight at its own rate, then the rest at ``lr``."""
    weights = [module for module in model.modules() if isinstance(module, BinaryWeight | MaskedWeight)]
    latent = {id(parameter) for weight in weights for parameter in weight.parameters()}
    groups = [{"params": list(weight.parameters()), "lr": lr * glorot_rate(weight)} for weight in weights]
    rest = [parameter for parameter in model.parameters() if id(parameter) not in latent]
    return [*groups, {"params": rest, "lr": lr}]
