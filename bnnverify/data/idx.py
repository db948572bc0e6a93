"""Read idx files, the format in which MNIST and Fashion-MNIST are published, gzipped or not.

Two zero bytes, a type byte (8 is uint8), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values. The header is checked against what the data set promises before
anything is read or allocated, so a header that lies costs nothing.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from io import BufferedIOBase
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnverify.data.dataset import Dataset
from bnnverify.errors import InputFormatError

IMAGE = (28, 28)
MAX_BYTES = 1 << 31
_UINT8 = 8
_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """The uint8 array in an idx file, of ``ndim`` dimensions.

    Raises:
        InputFormatError: if the file cannot be read, is no idx file of uint8 with ``ndim``
            dimensions, or holds fewer or more bytes than its header says.
    """
    try:
        with _open_maybe_gzip(path) as stream:
            shape = _read_header(stream, path, ndim)
            payload = _read_at_most(stream, prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputFormatError(f"{path}: cannot be read as an idx file ({error})") from error
    if len(payload) != prod(shape):
        more = "more" if len(payload) > prod(shape) else str(len(payload))
        raise InputFormatError(f"{path}: {more} bytes of data, expected {prod(shape)} for the shape {shape}")
    return np.frombuffer(payload, dtype=np.uint8).reshape(shape)


def read_idx_pair(paths: Sequence[Path], name: str, n_classes: int = 10) -> Dataset:
    """Images ``(N, 28, 28)`` and their labels, from one idx file each.

    Raises:
        InputFormatError: as :func:`read_idx`, or if an image is not 28 x 28, or a label not below ``n_classes``.
    """
    images, labels = paths
    classes = read_idx(labels, 1).astype(np.int64)
    if classes.max() >= n_classes:
        raise InputFormatError(f"{labels}: found the label {classes.max()}, expected 0..{n_classes - 1}")
    pixels = read_idx(images, 3)
    if pixels.shape[1:] != IMAGE:
        raise InputFormatError(f"{images}: images of shape {pixels.shape[1:]}, expected {IMAGE}")
    return Dataset(pixels, classes, name)


def _open_maybe_gzip(path: Path) -> BufferedIOBase:
    with path.open("rb") as start:
        zipped = start.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _read_header(stream: BufferedIOBase, path: Path, ndim: int) -> tuple[int, ...]:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise InputFormatError(f"{path}: starts with {start.hex() or 'nothing'}, expected an idx header (0000...)")
    if start[2] != _UINT8 or start[3] != ndim:
        found = f"idx type {start[2]} with {start[3]} dimensions"
        raise InputFormatError(f"{path}: {found}, expected type 8 (uint8) with {ndim}")
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise InputFormatError(f"{path}: ends inside its header, expected {4 + 4 * ndim} bytes of it")
    shape = struct.unpack(f">{ndim}I", sizes)
    if not 0 < prod(shape) <= MAX_BYTES:
        raise InputFormatError(f"{path}: header says shape {shape}, expected 1 to {MAX_BYTES} values")
    return shape


def _read_at_most(stream: BufferedIOBase, n_bytes: int) -> bytes:
    """Up to ``n_bytes``, in chunks, so that memory follows the file and not its header."""
    parts: list[bytes] = []
    while n_bytes and (part := stream.read(min(n_bytes, _CHUNK))):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)
