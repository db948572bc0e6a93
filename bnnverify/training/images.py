"""Instances and their classes as torch wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """Instances ``(batch, *shape)`` in float32, in the network's input scale, and classes ``(batch,)`` in int64."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(cls, pixels: NDArray[Any], labels: NDArray[Any], shape: tuple[int, ...]) -> Images:
        """From arrays; pixels may be flat."""
        return cls(
            torch.tensor(pixels, dtype=torch.float32).reshape(len(pixels), *shape),
            torch.tensor(labels, dtype=torch.int64),
        )

    def to(self, device: torch.device) -> Images:
        """The same where a model is; without a copy where they are there already."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Images:
        return Images(self.pixels[index], self.labels[index])

    def __add__(self, other: Images) -> Images:
        return Images(torch.cat([self.pixels, other.pixels]), torch.cat([self.labels, other.labels]))
