"""Signs whose gradient is made up: straight-through estimators.

The derivative of a sign is zero wherever it exists, so training puts another slope in its place: the forward pass gives
the binary value, the backward pass multiplies the gradient by ``slope(x)`` at the real value x. ``sign(0) = +1``, as
everywhere in this package (``torch.sign(0)`` is 0, and ``copysign`` sees the sign of -0.0).

=================  =====================================  =======================================
slope              of x                                   from
=================  =====================================  =======================================
hard_tanh_slope    1 where abs(x) <= 1, else 0            Courbariaux, Hubara et al. 2016
approx_sign_slope  max(0, 2 - 2 abs(x))                   Liu et al. 2018, Bi-Real Net
SwishSlope         b (2 - b x tanh(b x/2))/(1+cosh(b x))  Darabi et al. 2018, BNN+
TanhSlope          1 - tanh(s x)^2                        Jia and Rinard 2020, EEV
=================  =====================================  =======================================

The scale s of :class:`TanhSlope` is what adaptive gradient cancelling adapts
(:func:`bnnverify.training.attacks.adapt_slopes`). Cost: a few elementwise passes over x in each direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Slope: TypeAlias = Callable[[Tensor], Tensor]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, output: Tensor, slope: Slope) -> Tensor:
        ctx.save_for_backward(values)
        ctx.slope = slope
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        return gradients[0] * ctx.slope(values), None, None


def straight_through(values: Tensor, output: Tensor, slope: Slope) -> Tensor:
    """``output`` in the forward pass, with the gradient of ``values`` times ``slope(values)`` in the backward pass.

    Args:
        values, output: equal shapes; ``output`` is a function of ``values`` that was computed without gradients.
    """
    result: Tensor = _StraightThrough.apply(values, output, slope)  # type: ignore[no-untyped-call]
    return result


def signs_of(values: Tensor) -> Tensor:
    """+1 where ``values >= 0``, else -1, in the type of ``values``; no gradient."""
    return (values.detach() >= 0).to(values.dtype).mul_(2).sub_(1)


def random_signs_of(values: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """+1 with the probability ``clip((x + 1) / 2, 0, 1)``, the hard sigmoid of x, else -1; no gradient."""
    chance = ((values.detach() + 1) / 2).clamp_(0, 1)
    return torch.bernoulli(chance, generator=generator).mul_(2).sub_(1)


def identity_slope(values: Tensor) -> Tensor:
    """1 everywhere."""
    return torch.ones_like(values)


def hard_tanh_slope(values: Tensor) -> Tensor:
    """1 within [-1, 1], 0 beyond."""
    return (values.abs() <= 1).to(values.dtype)


def approx_sign_slope(values: Tensor) -> Tensor:
    """A triangle over [-1, 1] of height 2, the derivative of a piecewise quadratic sign."""
    return (2 - 2 * values.abs()).clamp_min_(0)


class SwishSlope(nn.Module):
    """The derivative of ``2 sigmoid(b x) (1 + b x (1 - sigmoid(b x))) - 1``, a sign that overshoots."""

    def __init__(self, steepness: float = 5.0) -> None:
        super().__init__()
        self.steepness = steepness

    def forward(self, values: Tensor) -> Tensor:
        x = self.steepness * values
        return self.steepness * (2 - x * torch.tanh(x / 2)) / (1 + torch.cosh(x))


class TanhSlope(nn.Module):
    """``1 - tanh(scale x)^2``; ``scale`` is a buffer, which an adaptive schedule may change."""

    scale: Tensor

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, values: Tensor) -> Tensor:
        return 1 - torch.tanh(self.scale * values) ** 2


class Binarize(nn.Module):
    """Activations as signs.

    Args:
        slope: the straight-through slope.
        stochastic: draw signs by the hard sigmoid while training; evaluation is always deterministic.
    """

    def __init__(self, slope: Slope = hard_tanh_slope, *, stochastic: bool = False) -> None:
        super().__init__()
        self.slope = slope
        self.stochastic = stochastic

    def forward(self, values: Tensor) -> Tensor:
        drawn = self.stochastic and self.training
        return straight_through(values, random_signs_of(values) if drawn else signs_of(values), self.slope)
