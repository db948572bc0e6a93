"""Image files as grey levels, through pillow, which is imported only when an image is read.

Grey images become ``(1, height, width)``, colour ones ``(3, height, width)``, in uint8: the order in
which networks flatten their pixels. What would have to be guessed (transparency, 16-bit levels) is
refused.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError, UnsupportedError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 1 << 24
_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "YCbCr": "RGB"}


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image of a file, ``(1 or 3, height, width)``.

    Raises:
        InputFormatError: if it cannot be read or decoded, has over MAX_PIXELS pixels, or has
            transparency or more than 8 bits a channel.
        UnsupportedError: if pillow is not installed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputFormatError(f"{path}: cannot be read ({error.strerror})") from error
    return decode_image(content, str(path))


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """As :func:`read_image`, from the bytes of an image file; ``name`` starts the messages."""
    pillow = _pillow()
    try:
        with pillow.open(io.BytesIO(content)) as image:
            _require_plain(image, name)
            pixels = np.asarray(image.convert(_MODES[image.mode]))
    except InputFormatError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, pillow.DecompressionBombError) as error:
        found = str(error).partition(" <")[0]
        raise InputFormatError(f"{name}: cannot be decoded as an image ({found})") from error
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise UnsupportedError("images need pillow, which is not installed; pip install 'bnnverify[data]'") from error
    return Image


def _require_plain(image: Any, name: str) -> None:
    """Refuse what is too large, or would need a guess to become grey levels 0..255."""
    if image.width * image.height > MAX_PIXELS:
        raise InputFormatError(f"{name}: {image.width} x {image.height} pixels, expected at most {MAX_PIXELS}")
    if image.mode not in _MODES or "transparency" in image.info:
        found = "transparency" if image.mode in _MODES else f"mode {image.mode}"
        raise InputFormatError(f"{name}: an image with {found}, expected 8-bit grey or colour without transparency")
