"""Diagrams on disk: the arrays in an ``.npz``, checked again when they are read.

Members: ``schema`` (a version string), ``n_levels``, and ``level``, ``low``, ``high``, ``roots`` as in
:class:`FlatDiagram`, each in the smallest integer type that holds it. A reader trusts nothing: besides what a
diagram checks of itself, types, ranges and equal nodes are looked at, so that no pass meets what it does not
expect. Children must come before their parents, hence there can be no cycle.
Cost: about 9 bytes a node; equal diagrams give equal files.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import ModelFormatError, UsageError
from bnnverify.formats.archive import read_arrays, write_arrays
from bnnverify.formats.packing import smallest_integers

SCHEMA = "bnnverify-diagram/1"
MOST_LEVELS = 1 << 20
ARRAYS = ("level", "low", "high", "roots")


def save_diagram(diagram: FlatDiagram, path: str | PathLike[str]) -> None:
    """Write a diagram as ``.npz``, whole or not at all.

    Raises:
        UsageError: if the name does not end in .npz, or the file cannot be written.
    """
    place = Path(path)
    if place.suffix.lower() != ".npz":
        raise UsageError(f"{place}: diagrams are saved as .npz; give a name that ends so")
    write_arrays(place, encode(diagram))


def load_diagram(path: str | PathLike[str]) -> FlatDiagram:
    """Read what :func:`save_diagram` wrote.

    Raises:
        ModelFormatError: for anything else; one sentence that names the file, what was found and expected.
    """
    place = Path(path)
    try:
        return decode(read_arrays(place))
    except ModelFormatError as error:
        raise ModelFormatError(f"{place.name}: {error}") from None


def encode(diagram: FlatDiagram) -> dict[str, NDArray[Any]]:
    """The arrays of the file, by name."""
    arrays = {name: _smallest(getattr(diagram, name)) for name in ARRAYS}
    return {"schema": np.array(SCHEMA.encode()), "n_levels": np.array(diagram.n_levels, dtype=np.int64), **arrays}


def _smallest(values: NDArray[np.int32]) -> NDArray[Any]:
    return smallest_integers(values.astype(np.int64)) if values.size else values


def decode(arrays: dict[str, NDArray[Any]]) -> FlatDiagram:
    """Inverse of :func:`encode`.

    Raises:
        ModelFormatError: for another schema, a missing or surplus array, or arrays that are no diagram.
    """
    expected = {"schema", "n_levels", *ARRAYS}
    if set(arrays) != expected:
        raise ModelFormatError(
            f"holds {', '.join(sorted(arrays)) or 'nothing'}; expected {', '.join(sorted(expected))}"
        )
    _require_schema(arrays["schema"])
    level, low, high, roots = (_column(name, arrays[name]) for name in ARRAYS)
    diagram = FlatDiagram(level, low, high, roots, _n_levels(arrays["n_levels"]))
    _require_unique(diagram)
    return diagram


def _require_schema(schema: NDArray[Any]) -> None:
    if schema.dtype.kind != "S" or schema.shape != () or schema.item() != SCHEMA.encode():
        raise ModelFormatError(f"the schema is not {SCHEMA!r}; expected a diagram that this version wrote")


def _n_levels(value: NDArray[Any]) -> int:
    if value.dtype.kind not in "iu" or value.shape != () or not 0 <= int(value) <= MOST_LEVELS:
        raise ModelFormatError(f"n_levels: {value.dtype} of shape {value.shape}, expected one integer 0..{MOST_LEVELS}")
    return int(value)


def _column(name: str, values: NDArray[Any]) -> NDArray[np.int32]:
    """An array of one dimension whose integers fit an int32, which a plain cast would wrap."""
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise ModelFormatError(f"{name}: {values.dtype} of shape {values.shape}, expected integers in one dimension")
    bounds = np.iinfo(np.int32)
    if values.size and (values.min() < bounds.min or values.max() > bounds.max):
        raise ModelFormatError(f"{name}: values up to {values.max()}, expected less than 2^31")
    return values.astype(np.int32)


def _require_unique(diagram: FlatDiagram) -> None:
    """Refuse equal nodes: in a reduced diagram there are none, and passes rely on it."""
    key = diagram.low[2:].astype(np.int64) << 32 | diagram.high[2:]
    order = np.argsort(key, kind="stable")  # equal keys stay sorted by level
    same = (np.diff(key[order]) == 0) & (np.diff(diagram.level[2:][order]) == 0)
    if same.any():
        twice = order[1:][same][0] + 2
        raise ModelFormatError(f"diagram: node {twice} equals another one; expected a reduced diagram")
