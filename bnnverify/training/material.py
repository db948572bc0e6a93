"""The images of a recipe: read by name, resized where asked, and split into those that train, choose and test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.data import Dataset, load_dataset
from bnnverify.errors import UsageError
from bnnverify.network import Shape
from bnnverify.training.images import Images
from bnnverify.training.recipe import Data


@dataclass(frozen=True, eq=False)
class Material:
    """Images to train on, held-out ones that choose the epoch, and the test images; also as arrays of grey levels.

    ``test_pixels`` is ``(n, *shape)`` uint8 and ``test_labels`` ``(n,)``.
    """

    fit: Images
    held_out: Images
    test_pixels: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    shape: Shape

    @property
    def test(self) -> Images:
        return Images.of(self.test_pixels, self.test_labels, self.shape)


def load_material(data: Data, folder: Path | None = None, *, n_test: int | None = None) -> Material:
    """Read both splits of a recipe's data set.

    Args:
        folder: of data sets; default as in :func:`bnnverify.data.load_dataset`.
        n_test: take the first so many test images alone.

    Raises:
        InputFormatError: if they are not found, or not as published.
        UsageError: if they are no images, or too few to hold some out.
    """
    train = load_dataset(f"{data.name}:{data.train}", folder)
    test = load_dataset(f"{data.name}:{data.test}", folder)
    return material_of(data, train, test, n_test=n_test)


def material_of(data: Data, train: Dataset, test: Dataset, *, n_test: int | None = None) -> Material:
    """The same from data sets at hand."""
    if len(train) < data.held_out + 2:
        raise UsageError(f"{train.name}: {len(train)} images, of which the recipe holds {data.held_out} out")
    first = len(train) - data.held_out
    fit = Dataset(train.images[:first][: data.images], train.labels[:first][: data.images], train.name)
    held_out = Dataset(train.images[first:], train.labels[first:], train.name)
    pixels = _sized(data, test)[:n_test]
    shape = tuple(pixels.shape[1:])
    kept = [Images.of(_sized(data, part), part.labels, shape) for part in (fit, held_out)]
    return Material(kept[0], kept[1], pixels, test.labels[:n_test], shape)


def _sized(data: Data, images: Dataset) -> NDArray[np.uint8]:
    """Images ``(n, channels, height, width)`` in the size that the recipe asks for."""
    pixels = images.images
    if pixels.ndim not in (3, 4):
        raise UsageError(f"{images.name}: instances of shape {pixels.shape[1:]}, expected images")
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels
    return pixels if data.size is None else resized(pixels, data.size)


def resized(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Images in another size: each new pixel is the mean of the area that it covers, rounded half up.

    Args:
        pixels: ``(n, channels, height, width)`` uint8.
        size: height and width.

    Complexity: two matrix products an image.

    >>> resized(np.array([[[[0, 100], [200, 101]]]], dtype=np.uint8), (1, 1)).tolist()
    [[[[100]]]]
    """
    rows, columns = (_areas(old, new) for old, new in zip(pixels.shape[2:], size, strict=True))
    parts = [rows @ part.astype(np.float64) @ columns.T for part in np.array_split(pixels, max(1, len(pixels) // 1000))]
    return np.floor(np.concatenate(parts) + 0.5 + 1e-9).clip(0, 255).astype(np.uint8)


def _areas(old: int, new: int) -> NDArray[np.float64]:
    """The share of each of ``old`` pixels in each of ``new`` ones, along one side, ``(new, old)``."""
    edges = np.arange(new + 1) * old / new
    low, high = np.maximum(edges[:-1, None], np.arange(old)), np.minimum(edges[1:, None], np.arange(old) + 1)
    overlap: NDArray[np.float64] = np.clip(high - low, 0, None) * new / old
    return overlap
