"""Counterexamples as files: ``input``, ``class`` and ``flips`` in an ``.npz``, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnnverify.cli.streams import warn
from bnnverify.errors import UsageError


def require_place(path: Path) -> None:
    """Refuse a name that is no ``.npz``, or that lies in no folder.

    Raises:
        UsageError: with what was expected.
    """
    if path.suffix != ".npz":
        raise UsageError(f"--witness {path}: expected a name that ends in .npz")
    if not path.parent.is_dir():
        raise UsageError(f"--witness {path}: the folder {path.parent} does not exist")


def save_witness(path: Path, network: Any, row: Mapping[str, Any], *, numbered: bool) -> None:
    """Save the counterexample of a row, or say that there is none.

    Args:
        numbered: whether the row's index becomes part of the name, as in a batch.
    """
    import numpy as np

    from bnnverify.formats.archive import write_arrays
    from bnnverify.network import BitInput

    found = row["witness"]
    if found is None:
        if not numbered:
            warn(f"no counterexample was found, so {path} was not written")
        return
    if numbered:
        path = path.with_name(f"{path.stem}-{row['input']['index']}.npz")
    dtype = np.int8 if isinstance(network.input, BitInput) else np.int64
    arrays = {
        "input": np.array(found["input"], dtype=dtype),
        "class": np.array(found["class"], dtype=np.int64),
        "flips": np.array(found["flips"], dtype=np.int64),
    }
    write_arrays(path, arrays)
