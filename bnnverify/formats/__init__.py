"""Networks in and out of files: one module a format, one call that tells them apart by content."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from bnnverify.formats import native
from bnnverify.formats.floatmodel import PixelScale
from bnnverify.formats.loading import load, load_float, load_with_notes
from bnnverify.formats.onnx_write import save_onnx
from bnnverify.formats.unstated import Unstated
from bnnverify.network import Network

__all__ = ["PixelScale", "Unstated", "load", "load_float", "load_with_notes", "save", "save_onnx"]


def save(network: Network, path: str | PathLike[str]) -> None:
    """Write a network as ``.npz``, whole or not at all; :func:`load` reads it back identically.

    Raises:
        UsageError: if the name does not end in .npz, or the file cannot be written.
    """
    native.save(network, Path(path))
