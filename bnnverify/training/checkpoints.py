"""A run on disk, written whole or not at all, so that a killed run continues as if it had never stopped.

The file is torch's, read with ``weights_only``: tensors, numbers, text, lists and dictionaries, nothing that runs.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch

from bnnverify.errors import UsageError
from bnnverify.training.run import Run
from bnnverify.wholefile import whole_file


def save_checkpoint(run: Run, path: Path, *, recipe: str = "") -> None:
    """Write the state of a run; a file that was there stays until the new one is complete.

    Args:
        recipe: what the run was made of, as text.

    Raises:
        UsageError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"recipe": recipe, **run.state()}, buffer)
    with whole_file(path) as partial:
        partial.write_bytes(buffer.getvalue())


def resume(run: Run, path: Path, *, recipe: str = "") -> None:
    """Continue a run from a file.

    Raises:
        UsageError: if there is no such file, it is no checkpoint, or the checkpoint belongs to another run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["recipe"] != recipe:
            raise UsageError(f"{path}: the checkpoint of another recipe; resume with the recipe and options of its run")
        run.load_state(state)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        raise UsageError(f"{path}: not a checkpoint of this run, expected one of the same model and settings") from None
