"""Read SVHN's cropped digits, Matlab 5 files, through scipy, which is imported only here.

``X`` is (32, 32, 3, N), ``y`` is (N, 1) and calls the digit 0 class 10; here it is class 0. Images
are returned as ``(N, 3, 32, 32)``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.data.dataset import Dataset
from bnnverify.errors import InputFormatError, UnsupportedError

# What scipy's reader raises on damaged files, beside its own error; it trusts lengths and tags.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    MemoryError,
    OSError,
    EOFError,
    zlib.error,
)


def read_mat(paths: Sequence[Path], name: str) -> Dataset:
    """The images of one ``.mat`` file.

    Raises:
        InputFormatError: if the file cannot be read as Matlab 5, or ``X`` or ``y`` is missing or
            not as published.
        UnsupportedError: if scipy is not installed.
    """
    path = paths[0]
    arrays = _load(path)
    images, labels = arrays.get("X"), arrays.get("y")
    if images is None or labels is None:
        raise InputFormatError(f"{path}: no arrays X and y, expected SVHN's cropped digits")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise InputFormatError(f"{path}: X is {images.dtype} of shape {images.shape}, expected uint8 (32, 32, 3, N)")
    return Dataset(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), _digits(labels, path), name)


def _load(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise UnsupportedError("SVHN needs scipy, which is not installed; pip install 'bnnverify[data]'") from error
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputFormatError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        with stream:
            arrays: dict[str, Any] = loadmat(stream, variable_names=["X", "y"])
    except (*_DAMAGE, MatReadError) as error:
        found = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputFormatError(f"{path}: cannot be read as a Matlab 5 file ({found})") from error
    return arrays


def _digits(labels: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iuf" or labels.ndim != 2 or labels.shape[1] != 1:
        raise InputFormatError(f"{path}: y is {labels.dtype} of shape {labels.shape}, expected numbers (N, 1)")
    if not np.isin(labels, np.arange(1, 11)).all():
        raise InputFormatError(f"{path}: found labels that are not 1..10, where 10 is the digit 0")
    return labels[:, 0].astype(np.int64) % 10
