"""What every reader of a data set returns: images with their labels, checked once, here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images in grey levels 0..255, with one class number each.

    Args:
        images: ``(N, ...)`` uint8; colour images are ``(N, channels, height, width)``.
        labels: ``(N,)`` int64, at least 0.
        name: as the user would write it, for example ``mnist:test``.

    Raises:
        InputFormatError: if there is no image, or the labels do not fit the images.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim < 2:
            found = f"{self.images.dtype} of shape {self.images.shape}"
            raise InputFormatError(f"{self.name}: expected uint8 images (N, ...), found {found}")
        if not len(self.images):
            raise InputFormatError(f"{self.name}: no images, expected at least one")
        if self.labels.shape != self.images.shape[:1]:
            found = f"labels of shape {self.labels.shape}"
            raise InputFormatError(f"{self.name}: {found}, expected one for each of {len(self.images)} images")
        if self.labels.min() < 0:
            raise InputFormatError(f"{self.name}: found the label {self.labels.min()}, expected at least 0")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Dataset({self.name}, {len(self)} images of shape {self.images.shape[1:]})"
