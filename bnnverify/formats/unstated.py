"""What a file of trained parameters leaves unstated, and a reader must be told or assume.

A state dict names tensors, not operations: it holds no BatchNorm epsilon, stride, padding or
pooling, nor whether the inputs are bits or pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnnverify.formats.floatmodel import PixelScale
from bnnverify.network import Shape


@dataclass(frozen=True)
class Unstated:
    """Facts about a model that its file does not carry; the defaults are assumed, with a note.

    Args:
        epsilon: of every BatchNorm; by default that of the framework which wrote the file.
        input_shape: (channels, height, width); needed by networks that start with a convolution.
        pools: layer name -> window of the non-overlapping max-pooling that follows it; under the name
            of a Linear or Conv it runs before the BatchNorm, under the name of a BatchNorm behind it.
        strides, paddings: convolution name -> step (default 1) and cells of padding a side (default 0).
        pixels: set where inputs are pixels instead of bits: how they are scaled before the first layer.
    """

    epsilon: float | None = None
    input_shape: Shape | None = None
    pools: Mapping[str, int] = field(default_factory=dict)
    strides: Mapping[str, int] = field(default_factory=dict)
    paddings: Mapping[str, int] = field(default_factory=dict)
    pixels: PixelScale | None = None
