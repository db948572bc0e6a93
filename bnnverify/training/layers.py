"""Linear and convolutional layers whose weights are signs, or signs and zeros, of latent real values.

The optimizer moves latent values, which :func:`clip_latent` keeps in [-1, 1]; the forward pass sees their signs. A
:class:`MaskedWeight` (BinMask, Jia and Rinard 2020) learns with a second latent value whether a weight exists at all:
``sign(latent) * (mask >= 0)``. Sums of bits are exact in float32 (integers below 2^24), whatever order a matrix
product adds them in. There are no biases: BatchNorm follows, or the scale and bias of the class scores.
A :class:`RealWeight` is an ordinary one, for networks of the same shape to compare with.
"""

from __future__ import annotations

from math import prod
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnnverify.errors import UsageError
from bnnverify.training.binarizers import (
    hard_tanh_slope,
    identity_slope,
    random_signs_of,
    signs_of,
    straight_through,
)
from bnnverify.training.normalization import Norm, normalized
from bnnverify.training.products import Workspace, sign_product


class BinaryWeight(nn.Module):
    """Weights +1 and -1, the signs of latent values drawn from U(-spread, spread).

    Args:
        shape: ``(out, in)`` or ``(out, in, height, width)``.
        stochastic: draw signs by the hard sigmoid while training; evaluation is always deterministic.
    """

    def __init__(self, shape: tuple[int, ...], *, spread: float = 1.0, stochastic: bool = False) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.empty(shape).uniform_(-spread, spread))
        self.stochastic = stochastic
        self._space: Workspace | None = None

    def forward(self) -> Tensor:
        signs = random_signs_of(self.latent) if self._drawn else signs_of(self.latent)
        return straight_through(self.latent, signs, hard_tanh_slope)

    def product(self, values: Tensor, *, of_bits: bool) -> Tensor:
        """``values @ self().T``, as :func:`bnnverify.training.products.sign_product` makes it."""
        if self._space is None or not self._space.fits:
            self._space = Workspace(self.latent)
        if self._drawn:
            self._space.signs.copy_(random_signs_of(self.latent))
        else:
            self._space.sign()
        return sign_product(values, self._space, of_bits=of_bits)

    @property
    def _drawn(self) -> bool:
        return self.stochastic and self.training


class MaskedWeight(nn.Module):
    """Weights -1, 0 and +1: ``sign(latent) * (mask >= 0)``, both learned; all present at first.

    Latent values start as N(0, spread^2), masks as the absolute values of such, so a small spread lets few steps
    decide which weights exist.
    """

    def __init__(self, shape: tuple[int, ...], *, spread: float = 0.01) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.empty(shape).normal_(std=spread))
        self.mask = nn.Parameter(torch.empty(shape).normal_(std=spread).abs_())

    def forward(self) -> Tensor:
        present = (self.mask.detach() >= 0).to(self.mask.dtype)
        signs = straight_through(self.latent, signs_of(self.latent), hard_tanh_slope)
        return signs * straight_through(self.mask, present, identity_slope)


class RealWeight(nn.Module):
    """Ordinary weights, drawn from U(-1, 1) / sqrt(inputs) and never clipped."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        bound = prod(shape[1:]) ** -0.5
        self.latent = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self) -> Tensor:
        return self.latent


class FlippedWeight(nn.Module):
    """A weight whose signs flip at random while training, as faulty memory would flip stored ones.

    Gradients are those of the flipped weights, applied to the latent values behind them (Hirtzlin et al. 2019,
    Buschjaeger et al. 2021). Evaluation sees no flips; BatchNorm should then be measured anew
    (:func:`bnnverify.training.calibration.recalibrate`).

    Args:
        weight: what is stored.
        rate: the chance of each sign to flip, drawn anew in every forward pass.

    Raises:
        UsageError: if the rate is no probability.
    """

    def __init__(self, weight: BinaryWeight | MaskedWeight, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise UsageError(f"bit-flip training: rate {rate}, expected 0 to 1")
        self.weight, self.rate = weight, rate

    @property
    def latent(self) -> nn.Parameter:
        return self.weight.latent

    def forward(self) -> Tensor:
        stored: Tensor = self.weight()
        if not self.training:
            return stored
        flips = torch.bernoulli(torch.full_like(stored.detach(), self.rate))
        return straight_through(stored, stored.detach() * (1 - 2 * flips), identity_slope)


LatentWeight: TypeAlias = BinaryWeight | MaskedWeight | FlippedWeight | RealWeight


class BinaryLinear(nn.Module):
    """``weight @ x``; images are flattened channel by channel.

    Args:
        weight: ``(out, in)``.
        reads_bits: inputs are signs, times one magnitude, and zeros where dropout struck. Sums are integers then, and
            made as such.
    """

    def __init__(self, weight: LatentWeight, *, reads_bits: bool = False) -> None:
        super().__init__()
        self.weight, self.reads_bits = weight, reads_bits

    def forward(self, values: Tensor) -> Tensor:
        if isinstance(self.weight, BinaryWeight):
            return self.weight.product(values.flatten(1), of_bits=self.reads_bits)
        return functional.linear(values.flatten(1), self.weight())


class BinaryConv2d(nn.Module):
    """A convolution; padding contributes 0 to the sums."""

    def __init__(
        self,
        weight: LatentWeight,
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.weight = weight
        self.stride, self.padding = stride, padding

    def forward(self, values: Tensor) -> Tensor:
        return functional.conv2d(values, self.weight(), stride=self.stride, padding=self.padding)


class Scores(nn.Module):
    """Class scores ``scale * (weight @ x) + bias``: one scale for all classes, one bias a class.

    The scale starts at 1 / sqrt(inputs), so that scores are about as large as those of a normalized layer. In
    evaluation they are float64, which holds a float32 times a sum, plus a float32, without making two scores equal.

    Args:
        plain: keep the scale at 1 and the biases at 0, so that scores are the sums themselves.
    """

    def __init__(self, weight: LatentWeight, *, plain: bool = False) -> None:
        super().__init__()
        n_classes, n_inputs = weight.latent.shape
        starts_at_one = plain or isinstance(weight, RealWeight)
        self.weight = weight
        self.scale = nn.Parameter(torch.tensor(1.0 if starts_at_one else n_inputs**-0.5), requires_grad=not plain)
        self.bias = nn.Parameter(torch.zeros(n_classes), requires_grad=not plain)

    def forward(self, values: Tensor) -> Tensor:
        sums = functional.linear(values.flatten(1), self.weight())
        return self.scale * (sums if self.training else sums.double()) + self.bias


class NormalizedScores(nn.Module):
    """Class scores as a BatchNorm of ``weight @ x``, as in Courbariaux, Hubara et al. 2016; float64 in evaluation."""

    def __init__(self, weight: LatentWeight, norm: Norm) -> None:
        super().__init__()
        self.weight, self.norm = weight, norm

    def forward(self, values: Tensor) -> Tensor:
        sums = functional.linear(values.flatten(1), self.weight())
        return normalized(self.norm, sums if self.training else sums.double())


@torch.no_grad()
def clip_latent(model: nn.Module) -> None:
    """Clip every latent weight and mask of a model to [-1, 1], as is due after each step of the optimizer."""
    for module in model.modules():
        if isinstance(module, BinaryWeight | MaskedWeight):
            for latent in module.parameters():
                latent.clamp_(-1, 1)
