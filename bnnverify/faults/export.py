"""Points and trials of a campaign as tables for other programs: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.faults.described import described, text_of
from bnnverify.faults.results import Campaign
from bnnverify.wholefile import whole_file

SUFFIXES = (".csv", ".json", ".parquet")


def trial_rows(campaign: Campaign) -> list[dict[str, Any]]:
    """One row a trial, with the rate and the model of its point."""
    rows = []
    for number, point in enumerate(campaign.points):
        first = {"point": number, "name": point.name, "ber": point.ber, "model": text_of(described(point.model))}
        for trial in point.trials:
            found = {"trial": trial.number, "flips": trial.flips, point.metric: trial.value}
            found |= {"changed": trial.changed, "lost": trial.lost, "gained": trial.gained}
            rows.append(first | found | {f"correct_{c}": n for c, n in enumerate(trial.correct)})
    return rows


def require_export(path: Path) -> None:
    """Find out before the work whether a table of this name can be written.

    Raises:
        UsageError: if the format is unknown or the folder does not exist.
        UnsupportedError: if the extra that writes it is missing.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UnsupportedError(f"{path}: pyarrow is not installed, which Parquet needs: pip install pyarrow")


def export(campaign: Campaign, path: str | Path) -> None:
    """Write all trials as ``.csv``, ``.json`` or ``.parquet``, whole or not at all.

    Raises:
        UsageError, UnsupportedError: if that cannot be.
    """
    path = Path(path)
    require_export(path)
    rows = trial_rows(campaign)
    with whole_file(path) as partial:
        if path.suffix == ".parquet":
            _write_parquet(rows, partial)
        elif path.suffix == ".json":
            partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        else:
            _write_csv(rows, partial)


def _write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    table = import_module("pyarrow").Table.from_pylist([dict(row) for row in rows])
    import_module("pyarrow.parquet").write_table(table, path)
