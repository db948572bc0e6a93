"""Read CIFAR-10: the published binary batches, and archives of arrays with pixels or JPEG files.

A binary batch is a run of 3,073-byte records: the label, then 32 x 32 red, green and blue levels.
The batches published for Python are pickles, which can run code and are never loaded. Images are
returned as ``(N, 3, 32, 32)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.data.arrays import read_npz
from bnnverify.data.dataset import Dataset
from bnnverify.data.images import decode_image
from bnnverify.errors import InputFormatError

IMAGE = (3, 32, 32)
N_CLASSES = 10
RECORD = 1 + 3 * 32 * 32
BATCH_RECORDS = 10_000


def read_batches(paths: Sequence[Path], name: str) -> Dataset:
    """The images of binary batches, in order.

    Raises:
        InputFormatError: if a batch cannot be read, is empty or larger than published, ends inside
            a record, or has a label above 9.
    """
    records = np.concatenate([_read_records(path) for path in paths])
    return Dataset(records[:, 1:].reshape(-1, *IMAGE), records[:, 0].astype(np.int64), name)


def _read_records(path: Path) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as stream:
            content = stream.read(BATCH_RECORDS * RECORD + 1)
    except OSError as error:
        raise InputFormatError(f"{path}: cannot be read ({error.strerror})") from error
    if content.startswith(b"\x80"):
        raise InputFormatError(f"{path}: a pickle, which can run code and is never loaded; get the binary version")
    if not content or len(content) % RECORD or len(content) > BATCH_RECORDS * RECORD:
        expected = f"1 to {BATCH_RECORDS} whole records of {RECORD}"
        raise InputFormatError(f"{path}: {len(content)} bytes, expected {expected}")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)
    _require_labels(records[:, 0], str(path))
    return records


def read_pixels(paths: Sequence[Path], name: str) -> Dataset:
    """``images`` ``(N, 32, 32, 3)`` uint8 and ``labels`` ``(N,)`` of an ``.npz`` archive.

    Raises:
        InputFormatError: if the archive cannot be read, or an array is missing or not as said.
    """
    arrays = read_npz(paths[0])
    images = _take(arrays, "images", paths[0])
    if images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3):
        found = f"{images.dtype} of shape {images.shape}"
        raise InputFormatError(f"{paths[0]}: images are {found}, expected uint8 (N, 32, 32, 3)")
    return Dataset(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), _labels(arrays, paths[0]), name)


def read_jpegs(paths: Sequence[Path], name: str) -> Dataset:
    """JPEG files end to end in ``data``, image i at ``offsets[i]:offsets[i + 1]``, and ``labels``.

    Raises:
        InputFormatError: as :func:`read_pixels`, or if an image cannot be decoded.
        UnsupportedError: if pillow is not installed.
    """
    arrays = read_npz(paths[0])
    data, offsets = _take(arrays, "data", paths[0]), _take(arrays, "offsets", paths[0])
    if data.dtype != np.uint8 or data.ndim != 1:
        raise InputFormatError(f"{paths[0]}: data is {data.dtype} of shape {data.shape}, expected uint8 (bytes,)")
    if not _are_offsets(offsets, data.size):
        raise InputFormatError(f"{paths[0]}: offsets do not rise from 0 to {data.size}, the bytes of data")
    labels = _labels(arrays, paths[0])
    if labels.size != offsets.size - 1:
        raise InputFormatError(f"{paths[0]}: {labels.size} labels, expected {offsets.size - 1}, one an image")
    content = data.tobytes()
    images = np.empty((labels.size, *IMAGE), dtype=np.uint8)
    for index, (start, stop) in enumerate(pairwise(offsets)):
        images[index] = _decode(content[start:stop], f"{paths[0]}: image {index}")
    return Dataset(images, labels, name)


def _decode(content: bytes, name: str) -> NDArray[np.uint8]:
    pixels = decode_image(content, name)
    if pixels.shape != IMAGE:
        raise InputFormatError(f"{name}: shape {pixels.shape}, expected {IMAGE}")
    return pixels


def _are_offsets(offsets: NDArray[Any], n_bytes: int) -> bool:
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or offsets.size < 2:
        return False
    rising = bool(np.all(offsets[1:] > offsets[:-1]))
    return rising and offsets[0] == 0 and offsets[-1] == n_bytes


def _take(arrays: dict[str, NDArray[Any]], key: str, path: Path) -> NDArray[Any]:
    if key not in arrays:
        raise InputFormatError(f"{path}: no array {key!r}, found {', '.join(sorted(arrays))}")
    return arrays[key]


def _labels(arrays: dict[str, NDArray[Any]], path: Path) -> NDArray[np.int64]:
    labels = _take(arrays, "labels", path)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        found = f"{labels.dtype} of shape {labels.shape}"
        raise InputFormatError(f"{path}: labels are {found}, expected integers (N,)")
    _require_labels(labels, str(path))
    return labels.astype(np.int64)


def _require_labels(labels: NDArray[Any], name: str) -> None:
    if labels.size and not 0 <= labels.min() <= labels.max() < N_CLASSES:
        found = f"labels {labels.min()}..{labels.max()}"
        raise InputFormatError(f"{name}: found {found}, expected 0..{N_CLASSES - 1}")
