"""Reads and writes the arrays of an ``.npz`` archive without trusting it.

``numpy.load`` allocates whatever a header claims. Here every header is checked first: types without
objects, a size that equals the bytes which the archive holds for it, and a limit on the whole. So a
pickle, a header of terabytes or a decompression bomb ends as one sentence. Writing is deterministic
(no time stamps), and whole or not at all: a temporary file beside the target replaces it.
"""

from __future__ import annotations

import lzma
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.wholefile import whole_file

MAX_BYTES = 1 << 30
MAX_MEMBERS = 10_000
ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, NotImplementedError)
HEADER_DAMAGE = (ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError)


def array_names(path: Path) -> tuple[str, ...]:
    """Names of the archive's members, ``.npy`` removed.

    Raises:
        ModelFormatError: if it is no readable zip archive.
    """
    with _opened(path) as archive:
        return tuple(info.filename.removesuffix(".npy") for info in archive.infolist())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays by name.

    Raises:
        ModelFormatError: for a damaged archive, an array of objects, a header that does not match
            its data, or more than MAX_BYTES in all; names the array.
    """
    with _opened(path) as archive:
        members = archive.infolist()
        total = sum(info.file_size for info in members)
        if len(members) > MAX_MEMBERS or total > MAX_BYTES:
            raise ModelFormatError(
                f"{len(members)} arrays of {total} bytes in all, expected at most {MAX_MEMBERS} and {MAX_BYTES}"
            )
        return {info.filename.removesuffix(".npy"): _read_member(archive, info) for info in members}


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (*ZIP_DAMAGE, *HEADER_DAMAGE) as error:
        raise ModelFormatError(f"damaged or truncated zip archive ({_first_line(error)})") from None


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    name = info.filename.removesuffix(".npy")
    try:
        with archive.open(info) as stream:
            return _read_array(name, stream, info.file_size)
    except ModelFormatError:
        raise
    except (*ZIP_DAMAGE, *HEADER_DAMAGE) as error:
        raise ModelFormatError(f"{name}: not a readable array ({_first_line(error)})") from None


def _read_array(name: str, stream: IO[bytes], size: int) -> NDArray[Any]:
    shape, fortran, dtype = _read_header(name, stream)
    if dtype.hasobject:
        raise ModelFormatError(f"{name}: holds Python objects, which are never loaded; expected numbers")
    if min(shape, default=1) < 0 or prod(shape) * dtype.itemsize != size - stream.tell():
        raise ModelFormatError(
            f"{name}: the header claims {dtype} of shape {shape}, but {size - stream.tell()} bytes follow"
        )
    data = stream.read()
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _read_header(name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream)
    raise ModelFormatError(f"{name}: npy version {version}, expected (1, 0) or (2, 0)")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` whole or not at all; equal arrays give equal bytes.

    Raises:
        UsageError: if the file cannot be written; nothing is left behind.
    """
    with whole_file(path) as partial, open(partial, "wb") as stream:
        _write_zip(stream, arrays)
        stream.flush()
        os.fsync(stream.fileno())


def _write_zip(stream: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                npy.write_array(member, array, allow_pickle=False)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
