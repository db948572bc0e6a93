"""How instances enter a network in training: bits, pixels made bits, or levels that the first layer adds up.

Each module computes in torch what the input layer that it exports to (:mod:`bnnverify.network`) computes in integers,
and lets gradients through, so that an attack can climb along pixels. Levels stay whole numbers: a
network that is said to read ``level * step`` reads ``level`` here, and the BatchNorm behind its first layer absorbs the
step, so first-layer sums are exact.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnverify.errors import UsageError
from bnnverify.folding import pixel_thresholds
from bnnverify.network import BitInput, QuantizedInput, Shape, ThresholdInput
from bnnverify.training.binarizers import Binarize, Slope, hard_tanh_slope, straight_through
from bnnverify.training.normalization import normalized, stored


def uniform_steps(step: Fraction, max_value: int = 255) -> NDArray[np.int64]:
    """The pixels at which ``round(pixel / max_value / step)`` grows by one; a tie rounds up.

    Args:
        step: as a fraction of the range of pixels; exact, so ``Fraction("0.61")`` rather than a float.

    Raises:
        UsageError: if a step is not positive, or so wide that every pixel has level 0.

    >>> uniform_steps(Fraction("0.61")).tolist()
    [78, 234]
    """
    if step <= 0 or step > 2:
        raise UsageError(f"quantization step {step}: expected more than 0 and at most 2, in units of the pixel range")
    edges = [ceil((level + Fraction(1, 2)) * step * max_value) for level in range(int(1 / step) + 1)]
    return np.array([edge for edge in edges if edge <= max_value], dtype=np.int64)


class Bits(nn.Module):
    """Instances are bits already, +1 and -1."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layer = BitInput(shape)

    def forward(self, values: Tensor) -> Tensor:
        return values


class BinarizedPixels(nn.Module):
    """Pixels 0..max_value that are compared one by one: +1 iff ``(pixel >= threshold) == rising``."""

    thresholds: Tensor
    directions: Tensor

    def __init__(self, layer: ThresholdInput) -> None:
        super().__init__()
        self.layer = layer
        shape = layer.shape
        self.register_buffer("thresholds", torch.tensor(layer.thresholds.reshape(shape), dtype=torch.float32))
        directions = np.where(layer.rising, 1, -1).reshape(shape)
        self.register_buffer("directions", torch.tensor(directions, dtype=torch.float32))

    def forward(self, pixels: Tensor) -> Tensor:
        above = (pixels.detach() >= self.thresholds).to(pixels.dtype).mul_(2).sub_(1)
        return straight_through(pixels, above * self.directions, self._slope)

    def _slope(self, pixels: Tensor) -> Tensor:
        return (self.directions * (2 / self.layer.max_value)).expand_as(pixels)


class NormalizedPixels(nn.Module):
    """Pixels 0..max_value that each go through their own BatchNorm and sign, so that thresholds are learned.

    BatchNorm sees ``pixel / max_value``; what it has learned is exported exactly as one threshold a pixel.
    """

    def __init__(self, shape: Shape, *, max_value: int = 255, slope: Slope = hard_tanh_slope) -> None:
        super().__init__()
        self.shape, self.max_value = shape, max_value
        self.norm, self.binarize = nn.BatchNorm1d(prod(shape)), Binarize(slope)

    @property
    def layer(self) -> ThresholdInput:
        """What the running statistics and weights say now, folded exactly."""
        thresholds, rising = pixel_thresholds(
            stored("input norm", self.norm), scale=Fraction(1, self.max_value), max_value=self.max_value
        )
        return ThresholdInput(thresholds, rising, self.max_value, self.shape)

    def scaled(self, pixels: Tensor) -> Tensor:
        """What BatchNorm reads, ``(batch, n)``."""
        return pixels.flatten(1) / self.max_value

    def forward(self, pixels: Tensor) -> Tensor:
        bits: Tensor = self.binarize(normalized(self.norm, self.scaled(pixels)))
        return bits.reshape(pixels.shape)


class QuantizedPixels(nn.Module):
    """Pixels 0..max_value as levels; without steps, as they are (an 8-bit first layer)."""

    steps: Tensor | None

    def __init__(self, layer: QuantizedInput) -> None:
        super().__init__()
        self.layer = layer
        steps = None if layer.steps is None else torch.tensor(layer.steps, dtype=torch.float32)
        self.register_buffer("steps", steps)

    def forward(self, pixels: Tensor) -> Tensor:
        if self.steps is None:
            return pixels
        levels = torch.bucketize(pixels.detach(), self.steps, right=True).to(pixels.dtype)
        return straight_through(pixels, levels, self._slope)

    def _slope(self, pixels: Tensor) -> Tensor:
        return torch.full_like(pixels, self.layer.max_level / self.layer.max_value)
