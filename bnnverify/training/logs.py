"""Learning curves on disk while a run goes on: CSV or JSON Lines, one row an epoch, and TensorBoard's own files.

A log starts with the epochs that a resumed run has behind it, so it always holds the whole curve.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bnnverify.errors import UsageError
from bnnverify.training.run import Epoch

SUFFIXES = (".csv", ".jsonl")


def require_log(path: Path) -> None:
    """Refuse a name whose format is unknown.

    Raises:
        UsageError: with the names that are known.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--log {path}: expected a name that ends in {' or '.join(SUFFIXES)}")


def require_tensorboard() -> None:
    """Refuse where TensorBoard is not installed.

    Raises:
        UsageError: with how to install it.
    """
    if find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs tensorboard, which is not installed: pip install tensorboard")


def open_log(path: Path, history: Sequence[Epoch]) -> Callable[[Epoch], None]:
    """Write the epochs so far, and return what appends one more, which is on disk when it returns.

    Raises:
        UsageError: if the file cannot be written, also later.
    """
    require_log(path)
    names = [field.name for field in fields(Epoch)]

    def append(epoch: Epoch) -> None:
        try:
            with path.open("a", encoding="utf-8", newline="") as file:
                if path.suffix == ".csv":
                    csv.DictWriter(file, names).writerow(asdict(epoch))
                else:
                    file.write(json.dumps(asdict(epoch)) + "\n")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None

    try:
        path.write_text("" if path.suffix == ".jsonl" else ",".join(names) + "\r\n", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
    for epoch in history:
        append(epoch)
    return append


def open_tensorboard(folder: Path, history: Sequence[Epoch]) -> Callable[[Epoch], None]:
    """The same for TensorBoard: one curve for each number of an epoch.

    Raises:
        UsageError: if TensorBoard is not installed.
    """
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    writer: Any = SummaryWriter(str(folder))

    def append(epoch: Epoch) -> None:
        for name, value in asdict(epoch).items():
            if name != "number":
                writer.add_scalar(name, value, epoch.number)
        writer.flush()

    for epoch in history:
        append(epoch)
    return append
