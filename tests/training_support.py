"""Images that can be learned in seconds, as data sets and as files in the layout of the published ones."""

import struct
from pathlib import Path

import numpy as np

from bnnverify.data import Dataset

GREY, COLOUR = (28, 28), (3, 32, 32)


def images(n: int, shape: tuple[int, ...] = GREY, seed: int = 0) -> Dataset:
    """Noise in which the class decides which of ten bands of rows is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, size=n)
    pixels = rng.integers(0, 140, size=(n, *shape))
    bands = np.arange(shape[-2]) * 10 // shape[-2]
    pixels += 110 * (bands == labels[:, None])[(slice(None), *[None] * (len(shape) - 2), slice(None), None)]
    return Dataset(pixels.astype(np.uint8), labels, f"bands{seed}")


def write_mnist(folder: Path, n_train: int = 500, n_test: int = 60) -> Path:
    """Files named and laid out as MNIST's."""
    folder = folder / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, data in (("train", images(n_train, seed=1)), ("t10k", images(n_test, seed=2))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", data.images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", data.labels.astype(np.uint8))
    return folder.parents[1]


def write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())
