"""Trials that outlive the process: SQLite, one row a trial, written as soon as it is known.

Each row is one transaction in a write-ahead log, so a killed campaign loses at most the trials in progress, and what
it wrote is whole. A trial is a function of its key and number, so a resumed campaign only runs the numbers that are
missing, and two processes that write the same trial write the same row. Nothing that varies from run to run is
stored, so the tables of two runs are equal bit for bit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bnnverify.errors import InputFormatError, UsageError
from bnnverify.faults.described import text_of

APPLICATION = 0x626E6E66
VERSION = 1
WAIT_SECONDS = 30.0
TABLES = """
CREATE TABLE points (point TEXT PRIMARY KEY, ber REAL, description TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trials (
    point TEXT NOT NULL, trial INTEGER NOT NULL, flips INTEGER NOT NULL, value REAL NOT NULL,
    changed INTEGER NOT NULL, lost INTEGER NOT NULL, gained INTEGER NOT NULL, correct TEXT NOT NULL,
    PRIMARY KEY (point, trial)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Trial:
    """What one trial found.

    Args:
        number: which trial of its point, from 0.
        flips: bits that were wrong, over all drawings.
        value: the metric.
        changed: instances whose class differs from the fault-free one.
        lost, gained: instances right without faults and wrong with them, and the other way round.
        correct: right instances of each class, a number a class.
    """

    number: int
    flips: int
    value: float
    changed: int
    lost: int
    gained: int
    correct: tuple[int, ...]


class Store:
    """A file of trials.

    Raises:
        UsageError: if the file cannot be opened or written.
        InputFormatError: if it is something else than a file of trials.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._named():
            self._connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._connection.close()

    def begin(self, point: str, ber: float | None, description: dict[str, Any]) -> None:
        """Name a point before its trials."""
        with self._named():
            row = (point, ber, text_of(description))
            self._connection.execute("INSERT OR IGNORE INTO points VALUES (?, ?, ?)", row)

    def add(self, point: str, trial: Trial) -> None:
        """Write one trial; it is on the way to the disk when this returns."""
        number, flips, value, changed, lost, gained, correct = astuple(trial)
        row = (point, number, flips, value, changed, lost, gained, json.dumps(correct))
        with self._named():
            self._connection.execute("INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def trials(self, point: str) -> dict[int, Trial]:
        """The trials of a point that are known, by number."""
        asked = "SELECT trial, flips, value, changed, lost, gained, correct FROM trials WHERE point = ? ORDER BY trial"
        with self._named():
            rows = self._connection.execute(asked, (point,)).fetchall()
        return {row[0]: _trial(*row) for row in rows}

    def _open(self) -> None:
        """Make the tables in an empty file; refuse one that belongs to something else."""
        execute = self._connection.execute
        application, version = (execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if application not in (0, APPLICATION) or (application == APPLICATION and version != VERSION):
            raise self._foreign(f"application {application:#x}, version {version}")
        if application != APPLICATION:
            self._refuse_other_tables()
        execute("PRAGMA journal_mode = WAL").fetchone()
        execute("PRAGMA synchronous = NORMAL")
        if application == APPLICATION:
            return
        execute("BEGIN IMMEDIATE")
        if execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            self._refuse_other_tables()
            for statement in TABLES.split(";\n"):
                execute(statement)
            execute(f"PRAGMA application_id = {APPLICATION}")
            execute(f"PRAGMA user_version = {VERSION}")
        execute("COMMIT")

    def _refuse_other_tables(self) -> None:
        if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise self._foreign("other tables")

    def _foreign(self, found: str) -> InputFormatError:
        return InputFormatError(f"{self._path}: found {found}, expected a file of fault campaigns; name another file")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what SQLite says into one sentence with the file's name."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UsageError(f"{self._path}: cannot be opened or written ({error})") from None
        except sqlite3.DatabaseError as error:
            raise self._foreign(f"no database ({error})") from None


def _trial(number: int, flips: int, value: float, changed: int, lost: int, gained: int, correct: str) -> Trial:
    return Trial(number, flips, value, changed, lost, gained, tuple(json.loads(correct)))


def read_trials(path: Path) -> list[dict[str, Any]]:
    """All rows of a file of trials, by point and number, each with its point's rate and description.

    Raises:
        UsageError, InputFormatError: if there is no such file, or it holds something else.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such file; a campaign with --out writes one")
    with Store(path):
        pass
    asked = "SELECT p.ber, p.description, t.* FROM trials t JOIN points p USING (point) ORDER BY t.point, t.trial"
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as connection:
        cursor = connection.execute(asked)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return [{**row, "correct": json.loads(row["correct"])} for row in rows]
