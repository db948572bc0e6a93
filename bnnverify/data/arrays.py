"""Numpy files as arrays by name, with no pickle and no trust in what a header claims.

An archive goes through the checked reader of model files. A single ``.npy`` is mapped before it is
copied: mapping compares the header with the size of the file, so a header of terabytes is refused
before anything is allocated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError, ModelFormatError
from bnnverify.formats.archive import HEADER_DAMAGE, read_arrays


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` archive by name.

    Raises:
        InputFormatError: if the archive is damaged, empty, or holds anything but plain arrays.
    """
    try:
        arrays = read_arrays(path)
    except ModelFormatError as error:
        raise InputFormatError(f"{path}: {error}") from error
    if not arrays:
        raise InputFormatError(f"{path}: an archive without arrays, expected at least one")
    return arrays


def read_npy(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file.

    Raises:
        InputFormatError: if it is no ``.npy`` file, holds Python objects, or its header does not
            match its size.
    """
    try:
        with np.errstate(over="ignore"):
            mapped = npy.open_memmap(path, mode="r")
    except (OSError, *HEADER_DAMAGE) as error:
        raise InputFormatError(f"{path}: cannot be read as an .npy array ({_first_line(error)})") from error
    missing = path.stat().st_size - mapped.offset - mapped.nbytes
    if missing:
        raise InputFormatError(f"{path}: {missing} bytes follow the array, expected none")
    return np.array(mapped)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
