"""Loads a network from whatever lies at a path: the content decides the format, not the name.

A folder with ``blk1`` or ``out_blk`` is BDD4BNN's; a zip archive of arrays is the own format if it
has a schema, else Chainer's if it has ``output_lin``; a zip with a pickle inside, or torch's older
magic number, is a state dict. ONNX has no magic number: a file is taken for it if its name ends so
or its first bytes are a model's fields. Every refusal starts with the file's name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TypeVar

from bnnverify.errors import ModelFormatError
from bnnverify.formats import bdd4bnn, chainer_npz, native, onnx_read, state_dict
from bnnverify.formats.archive import array_names
from bnnverify.formats.floatmodel import FloatModel, fold
from bnnverify.formats.onnx_file import looks_like_onnx
from bnnverify.formats.unstated import Unstated
from bnnverify.network import Network

ZIP_MAGIC = b"PK\x03\x04"
TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
HEAD_BYTES = 16

T = TypeVar("T")


class Format(enum.Enum):
    """The formats that are read."""

    NATIVE = "bnnverify .npz"
    BDD4BNN = "BDD4BNN csv folder"
    CHAINER = "Chainer .npz"
    TORCH = "torch state dict"
    ONNX = "ONNX"


FLOAT_READERS: dict[Format, Callable[[Path, Unstated], FloatModel]] = {
    Format.BDD4BNN: bdd4bnn.read,
    Format.CHAINER: chainer_npz.read,
    Format.TORCH: state_dict.read,
    Format.ONNX: onnx_read.read,
}


def load(path: str | PathLike[str], *, unstated: Unstated | None = None) -> Network:
    """Read a network; it is named after the file.

    Args:
        path: an own ``.npz``, a BDD4BNN folder, a torch state dict, a Chainer ``.npz`` or an ``.onnx``.
        unstated: facts that the file does not carry, such as an image's shape.

    Raises:
        ModelFormatError: one sentence that names the file, the part, what was found and expected.
    """
    return load_with_notes(path, unstated=unstated)[0]


def load_with_notes(path: str | PathLike[str], *, unstated: Unstated | None = None) -> tuple[Network, tuple[str, ...]]:
    """As :func:`load`, with what a user should know: binarized weights, assumed epsilons, rounding."""
    place = Path(path)
    return _named(place, lambda: _read(place, unstated or Unstated()))


def load_float(path: str | PathLike[str], *, unstated: Unstated | None = None) -> FloatModel:
    """The float parameters as stored, for a parity check.

    Raises:
        ModelFormatError: as :func:`load`, and for the own format, which keeps no floats.
    """
    place = Path(path)
    return _named(place, lambda: _read_float(place, detect(place), unstated or Unstated()))


def _read(place: Path, unstated: Unstated) -> tuple[Network, tuple[str, ...]]:
    kind = detect(place)
    if kind is Format.NATIVE:
        return native.read(place), ()
    folded = fold(_read_float(place, kind, unstated))
    return folded.network, folded.notes


def _read_float(place: Path, kind: Format, unstated: Unstated) -> FloatModel:
    if kind is Format.NATIVE:
        raise ModelFormatError("holds folded integers only; a parity check needs the trained floats")
    return FLOAT_READERS[kind](place, unstated)


def _named(place: Path, read: Callable[[], T]) -> T:
    """The result of ``read``, with the file's name before every refusal."""
    name = place.name or str(place)
    try:
        return read()
    except ModelFormatError as error:
        raise ModelFormatError(f"{name}: {error}") from None
    except OSError as error:
        raise ModelFormatError(f"{name}: cannot be read ({error.strerror})") from None


def detect(path: Path) -> Format:
    """The format at a path, by its content.

    Raises:
        ModelFormatError: if there is nothing, or nothing that is read here.
    """
    if path.is_dir():
        return _detect_folder(path)
    if not path.is_file():
        raise ModelFormatError("no such file or folder" if not path.exists() else "neither a file nor a folder")
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    if head.startswith(ZIP_MAGIC):
        return _detect_archive(array_names(path))
    if head.startswith(TORCH_MAGIC):
        return Format.TORCH
    if head and (path.suffix.lower() == ".onnx" or looks_like_onnx(head)):
        return Format.ONNX
    raise ModelFormatError(_refusal(path, head))


def _detect_folder(folder: Path) -> Format:
    if bdd4bnn.is_model_folder(folder):
        return Format.BDD4BNN
    raise ModelFormatError("a folder without blk1 or out_blk, expected a BDD4BNN model folder")


def _detect_archive(names: tuple[str, ...]) -> Format:
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return Format.TORCH
    if "schema" in names:
        return Format.NATIVE
    if any(name.startswith("output_lin/") for name in names):
        return Format.CHAINER
    found = ", ".join(sorted(names)[:5]) or "nothing"
    raise ModelFormatError(f"an archive of {found}: expected a bnnverify schema, output_lin/W or a torch state dict")


def _refusal(path: Path, head: bytes) -> str:
    if not head:
        return "an empty file, expected a network"
    if head[:1] == b"\x80":
        return "a pickle, which could run code and is never loaded; save it as a torch state dict"
    if head.startswith(b"\x93NUMPY"):
        return "a single array (.npy), expected a network; is this the input?"
    return "not a network: expected an .npz, a BDD4BNN folder, a torch state dict or ONNX"
