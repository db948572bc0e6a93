"""Read instances, the inputs that a query starts from, out of one file: numpy, text or an image.

What comes out is what the file says; the network's input layer decides later whether it fits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import as_bits
from bnnverify.data import images
from bnnverify.data.arrays import read_npy, read_npz
from bnnverify.errors import InputFormatError

MAX_TEXT_BYTES = 1 << 28
_VALUES = ("images", "inputs", "input", "instances", "x", "X", "data", "values")
_LABELS = ("labels", "label", "y", "Y", "targets")


@dataclass(frozen=True, eq=False, repr=False)
class Instances:
    """Inputs, one a row, with their labels where the file has them.

    Args:
        values: ``(N, n)`` or ``(N, ...)`` numbers, all finite; grey levels or bits.
        labels: ``(N,)`` int64, or None.
        source: where they come from, as the user wrote it.

    Raises:
        InputFormatError: if there is no instance, a value is no finite number, or labels do not fit.
    """

    values: NDArray[Any]
    labels: NDArray[np.int64] | None
    source: str

    def __post_init__(self) -> None:
        if self.values.dtype.kind not in "biuf":
            raise InputFormatError(f"{self.source}: expected numbers, found type {self.values.dtype}")
        if self.values.ndim < 2 or not self.values.size:
            raise InputFormatError(f"{self.source}: shape {self.values.shape}, expected one or more instances (N, ...)")
        if self.values.dtype.kind == "f" and not np.all(np.isfinite(self.values)):
            raise InputFormatError(f"{self.source}: found NaN or infinity, expected finite numbers")
        if self.labels is not None and self.labels.shape != self.values.shape[:1]:
            found = f"labels of shape {self.labels.shape}"
            raise InputFormatError(f"{self.source}: {found}, expected one for each of {len(self.values)} instances")

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Instances({self.source}, {len(self)} of shape {self.values.shape[1:]})"


def load_instances(path: Path | str) -> Instances:
    """Instances of a file, chosen by the end of its name.

    ``.npy``: an array ``(N, ...)``, or ``(n,)`` for one instance. ``.npz``: such an array named
    images, inputs or x (or the only one), with labels named labels or y; a saved witness is one
    instance. ``.txt``: one instance a
    line, 0/1 or -1/+1, read as +1/-1 bits. An image: one instance ``(channels, height, width)``.

    Raises:
        InputFormatError: if the file cannot be read or is not as said.
        UnsupportedError: if it is an image and pillow is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz", ".txt", *images.SUFFIXES):
        raise InputFormatError(f"{path}: unknown kind of file {suffix!r}, expected .npy, .npz, .txt or an image")
    if not os.path.isfile(path):
        raise InputFormatError(f"{path}: no such file")
    if suffix == ".npy":
        return Instances(np.atleast_2d(read_npy(path)), None, str(path))
    if suffix == ".npz":
        return _from_archive(path)
    if suffix == ".txt":
        return Instances(_read_text(path), None, str(path))
    return Instances(images.read_image(path)[np.newaxis], None, str(path))


def _from_archive(path: Path) -> Instances:
    arrays = read_npz(path)
    names = [name for name in _VALUES if name in arrays] or [name for name in arrays if name not in _LABELS]
    if len(names) != 1:
        found = ", ".join(sorted(arrays))
        raise InputFormatError(f"{path}: found the arrays {found}, expected one named images, inputs or x")
    label_names = [name for name in _LABELS if name in arrays]
    labels = None if not label_names else _as_labels(arrays[label_names[0]], path)
    return Instances(np.atleast_2d(arrays[names[0]]), labels, str(path))


def _as_labels(labels: NDArray[Any], path: Path) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu":
        raise InputFormatError(f"{path}: labels of type {labels.dtype}, expected integers")
    return np.atleast_1d(labels).astype(np.int64)


def _read_text(path: Path) -> NDArray[np.int8]:
    """Bits ``(N, n)``; numbers are separated by blanks or commas, and empty lines are skipped."""
    lines = [line.replace(",", " ").split() for line in _read_ascii(path).splitlines()]
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if not rows:
        raise InputFormatError(f"{path}: no instance, expected a line of 0/1 or -1/+1")
    n_inputs = len(rows[0][1])
    for number, row in rows:
        if len(row) != n_inputs:
            raise InputFormatError(f"{path}: line {number} has {len(row)} numbers, expected {n_inputs} as the first")
    return _bits_of_words([word for _, row in rows for word in row], path).reshape(-1, n_inputs)


def _read_ascii(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_TEXT_BYTES + 1)
        text = content.decode("ascii")
    except OSError as error:
        raise InputFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        found = f"byte {content[error.start]} at {error.start}"
        raise InputFormatError(f"{path}: no plain text ({found}), expected lines of 0/1 or -1/+1") from error
    if len(content) > MAX_TEXT_BYTES:
        raise InputFormatError(f"{path}: more than {MAX_TEXT_BYTES} bytes, expected less; use .npy")
    return text


def _bits_of_words(words: list[str], path: Path) -> NDArray[np.int8]:
    try:
        return as_bits(np.array(words).astype(np.float64))
    except ValueError as error:
        found = str(error).removeprefix("bits: ")
        raise InputFormatError(f"{path}: {found}") from error
