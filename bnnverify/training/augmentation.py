"""Images changed at random without changing what they show: mirrored, and moved by a few pixels.

What moves in from outside the image is black. Both draw from the run's own generator, so a run still repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Called on images ``(batch, channels, height, width)``.

    Args:
        mirror: every other image, at random, left to right.
        shift: every image by up to so many pixels, up or down and left or right.
    """

    mirror: bool = False
    shift: int = 0

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        if self.mirror:
            chosen = torch.rand(len(pixels), generator=generator).to(pixels.device) < 0.5
            pixels = torch.where(chosen.reshape(-1, 1, 1, 1), pixels.flip(3), pixels)
        return self._shifted(pixels, generator) if self.shift else pixels

    def _shifted(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Each image cut out of its padded self at a place of its own."""
        n, channels, height, width = pixels.shape
        tops, lefts = torch.randint(0, 2 * self.shift + 1, (2, n), generator=generator).to(pixels.device)
        padded = functional.pad(pixels, [self.shift] * 4)
        rows = tops.reshape(n, 1, 1, 1) + torch.arange(height, device=pixels.device).reshape(1, 1, -1, 1)
        columns = lefts.reshape(n, 1, 1, 1) + torch.arange(width, device=pixels.device).reshape(1, 1, 1, -1)
        cut = padded.gather(2, rows.expand(n, channels, height, padded.shape[3]))
        return cut.gather(3, columns.expand(n, channels, height, width))
