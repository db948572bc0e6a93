"""Adversarial training on pixels and bits: projected gradients, and slopes adapted so that they do not go blind.

An attack climbs the loss within the box of whole grey levels around each image, by signed gradients that pass through
the quantization of pixels and the signs of neurons with their straight-through slopes, and ends on whole grey levels
(Madry et al. 2018). Where slopes vanish, an attack finds nothing and training against it teaches nothing; so before an
epoch :func:`adapt_slopes` tries several scales of ``1 - tanh(s x)^2`` and keeps the one under which the attack does
most harm (Jia and Rinard 2020, adaptive gradient cancelling). Cost: one forward and one backward pass a step.

Where pixels become bits one by one, :class:`BitAttack` flips those bits that the gradient says raise the loss most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnnverify.errors import UsageError
from bnnverify.training.binarizers import TanhSlope
from bnnverify.training.inputs import BinarizedPixels, Bits
from bnnverify.training.normalization import frozen_statistics

SLOPE_SCALES = (0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0)


@dataclass(frozen=True)
class PixelAttack:
    """Signed gradient steps in the box of ``radius`` around an image, clipped to the range of pixels.

    Args:
        radius: largest change of a pixel in whole grey levels.
        n_steps: gradient steps; the first starts at a random point of the box.
        reach: how far all steps together could move a pixel, in radii.
        max_value: greatest pixel.
    """

    radius: int
    n_steps: int = 5
    reach: float = 2.5
    max_value: int = 255

    def __post_init__(self) -> None:
        if self.radius < 0 or self.n_steps < 0:
            raise UsageError(f"attack: radius {self.radius} and {self.n_steps} steps, expected both at least 0")

    def __call__(
        self, model: nn.Module, pixels: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Attacked images of the shape of ``pixels``, whole grey levels within the box."""
        low = (pixels - self.radius).clamp_min(0)
        high = (pixels + self.radius).clamp_max(self.max_value)
        moved = low + torch.rand(pixels.shape, generator=generator).to(pixels.device) * (high - low)
        step = self.reach * self.radius / max(self.n_steps, 1)
        for _ in range(self.n_steps):
            moved = torch.clamp(moved + step * _ascent(model, moved, labels), low, high)
        return moved.round()


@dataclass(frozen=True)
class BitAttack:
    """At most ``radius`` bits of each instance flipped, a share of them in each step, none twice.

    For inputs that are bits, and for pixels that are compared one by one, which move to the nearest pixel on the
    other side of their threshold.

    Args:
        radius: most flips of an instance.
        n_steps: gradients taken; each flips an equal share.
    """

    radius: int
    n_steps: int = 5

    def __post_init__(self) -> None:
        if self.radius < 0 or self.n_steps < 1:
            raise UsageError(f"attack: radius {self.radius} and {self.n_steps} steps, expected at least 0 and 1")

    def __call__(
        self, model: nn.Module, pixels: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Attacked instances of the shape of ``pixels``; deterministic, so the generator is not used."""
        flipped, moved = torch.zeros_like(pixels, dtype=torch.bool), pixels
        n_steps = max(1, min(self.n_steps, self.radius))
        for step in range(n_steps):
            share = self.radius // n_steps + (step < self.radius % n_steps)
            flipped = flipped | self._most_harmful(model, pixels, moved, flipped, labels, share)
            moved = torch.where(flipped, flipped_pixels(model, pixels), pixels)
        return moved

    def _most_harmful(
        self, model: nn.Module, pixels: Tensor, moved: Tensor, flipped: Tensor, labels: Tensor, share: int
    ) -> Tensor:
        """The ``share`` bits of each instance, not flipped yet, whose flip promises the greatest rise of the loss."""
        direction = (flipped_pixels(model, pixels) - pixels).sign()
        rise = (_gradient(model, moved, labels) * direction).masked_fill(flipped, -torch.inf).flatten(1)
        chosen = rise.topk(min(share, rise.shape[1]), dim=1).indices
        marks = torch.zeros_like(rise, dtype=torch.bool).scatter_(1, chosen, True)
        return (marks & (rise > 0)).reshape(pixels.shape)


Attack: TypeAlias = PixelAttack | BitAttack


def flipped_pixels(model: nn.Module, pixels: Tensor) -> Tensor:
    """Instances of a model with all of their bits flipped, each pixel by the least change; a constant bit's stays.

    Raises:
        UsageError: if the input layer makes no bits of single pixels.
    """
    reader = model.input
    if isinstance(reader, Bits):
        return -pixels
    if not isinstance(reader, BinarizedPixels):
        raise UsageError("attack: flips bits, expected an input of bits or of pixels compared with fixed thresholds")
    other_side = torch.where(pixels >= reader.thresholds, reader.thresholds - 1, reader.thresholds)
    possible = (other_side >= 0) & (other_side <= reader.layer.max_value)
    return torch.where(possible, other_side, pixels)


def _ascent(model: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    """The signs of the loss's gradient along pixels."""
    return _gradient(model, pixels, labels).sign()


def _gradient(model: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    at = pixels.detach().requires_grad_()
    loss = functional.cross_entropy(model(at), labels)
    (gradient,) = torch.autograd.grad(loss, at)
    return gradient


@torch.no_grad()
def _n_correct(model: nn.Module, pixels: Tensor, labels: Tensor) -> int:
    return int((model(pixels).argmax(dim=1) == labels).sum())


def attacked_correct(
    model: nn.Module, attack: Attack, pixels: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> int:
    """How many images are still classified correctly after the attack."""
    return _n_correct(model, attack(model, pixels, labels, generator), labels)


def adapt_slopes(model: nn.Module, attack: Attack, pixels: Tensor, labels: Tensor, *, seed: int = 0) -> float:
    """Give every :class:`TanhSlope` the scale of SLOPE_SCALES under which the attack leaves fewest images correct.

    Every scale attacks from the same random points; ties go to the scale nearest to 1. BatchNorm stays in the mode
    that it is in and keeps its running statistics.

    Returns:
        The chosen scale.
    """
    slopes = [module for module in model.modules() if isinstance(module, TanhSlope)]
    harm = []
    with frozen_statistics(model):
        for scale in SLOPE_SCALES:
            _set_scales(slopes, scale)
            generator = torch.Generator().manual_seed(seed)
            harm.append((attacked_correct(model, attack, pixels, labels, generator), abs(scale - 1), scale))
    chosen = min(harm)[2]
    _set_scales(slopes, chosen)
    return chosen


def _set_scales(slopes: list[TanhSlope], scale: float) -> None:
    for slope in slopes:
        slope.scale.fill_(scale)
