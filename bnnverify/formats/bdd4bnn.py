"""Reads the csv folders of BDD4BNN and BNNQuanalyst.

``blk1`` to ``blkK`` hold ``lin_weight``, ``lin_bias``, ``bn_weight``, ``bn_bias``, ``bn_mean`` and
``bn_var``, ``out_blk`` the first two. A row of ``lin_weight`` is an output neuron, its weights are
-1, 0 or +1, and BatchNorm has no epsilon. Inputs are bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.folding import BatchNorm
from bnnverify.formats.archive import MAX_BYTES
from bnnverify.formats.floatmodel import FloatLayer, FloatModel
from bnnverify.formats.unstated import Unstated
from bnnverify.formats.weights import require_ternary
from bnnverify.network import BitInput


def is_model_folder(folder: Path) -> bool:
    """Whether the folder looks like this format: it has an output block or a first one."""
    return (folder / "out_blk").is_dir() or (folder / "blk1").is_dir()


def read(folder: Path, unstated: Unstated) -> FloatModel:
    """Read a model folder.

    Raises:
        ModelFormatError: naming the file, for one that is missing, malformed or does not fit.
    """
    epsilon = 0.0 if unstated.epsilon is None else unstated.epsilon
    layers = tuple(_block(folder, f"blk{k}", epsilon) for k in range(1, _n_blocks(folder) + 1))
    output = _linear(folder, "out_blk", None)
    n_inputs = int((layers[0] if layers else output).weights.shape[1])
    return FloatModel(folder.resolve().name, BitInput((n_inputs,)), layers, output)


def _n_blocks(folder: Path) -> int:
    found = {entry.name for entry in folder.iterdir() if entry.name.startswith("blk") and entry.is_dir()}
    for k in range(1, len(found) + 1):
        if f"blk{k}" not in found:
            raise ModelFormatError(f"blk{k}: missing; found {', '.join(sorted(found))}, expected blk1 to blkK")
    return len(found)


def _block(folder: Path, name: str, epsilon: float) -> FloatLayer:
    n = _matrix(folder, f"{name}/lin_weight.csv").shape[0]
    files = [f"{name}/bn_{part}.csv" for part in ("weight", "bias", "mean", "var")]
    gamma, beta, mean, variance = (_vector(folder, file, n) for file in files)
    return _linear(folder, name, BatchNorm(f"{name} BatchNorm", gamma, beta, mean, variance, epsilon))


def _linear(folder: Path, name: str, norm: BatchNorm | None) -> FloatLayer:
    weights = require_ternary(f"{name}/lin_weight.csv", _matrix(folder, f"{name}/lin_weight.csv"))
    return FloatLayer(name, weights, _vector(folder, f"{name}/lin_bias.csv", weights.shape[0]), norm)


def _vector(folder: Path, file: str, n: int) -> NDArray[np.float64]:
    values = _matrix(folder, file)
    if 1 not in values.shape or values.size != n:
        raise ModelFormatError(f"{file}: {values.size} values, expected {n} (rows of lin_weight)")
    return values.reshape(-1)


def _matrix(folder: Path, file: str) -> NDArray[np.float64]:
    lines = [line for line in _text(folder, file).splitlines() if line.strip()]
    if not lines:
        raise ModelFormatError(f"{file}: empty, expected numbers separated by commas")
    rows = [_numbers(file, index, line) for index, line in enumerate(lines, 1)]
    for index, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ModelFormatError(f"{file}: {len(row)} values in row {index}, expected {len(rows[0])} as in row 1")
    return np.array(rows, dtype=np.float64)


def _text(folder: Path, file: str) -> str:
    path = folder / file
    if not path.is_file():
        raise ModelFormatError(f"{file}: missing")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelFormatError(f"{file}: {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ModelFormatError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ModelFormatError(f"{file}: not plain text, expected numbers separated by commas") from None


def _numbers(file: str, index: int, line: str) -> list[float]:
    row: list[float] = []
    for cell in line.split(","):
        try:
            row.append(float(cell))
        except ValueError:
            raise ModelFormatError(f"{file}: {cell.strip()[:40]!r} in row {index} is not a number") from None
    return _finite(file, index, row)


def _finite(file: str, index: int, row: list[Any]) -> list[float]:
    strange = [value for value in row if not np.isfinite(value)]
    if strange:
        raise ModelFormatError(f"{file}: found {strange[0]} in row {index}, expected finite numbers")
    return row
