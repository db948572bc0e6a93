"""Rows that outlive the process: one JSON object a line, found again by key when a batch is resumed.

A row is appended by one write as soon as it is known, so a killed batch loses at most the row in
progress; if the kill tore that line, the next run drops it. A row that ended at a limit counts as
done only while the limits are not raised, so a second run with a longer ``--timeout`` retries just
the undecided ones. Later rows replace earlier ones of the same key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bnnverify.errors import InputFormatError, UsageError
from bnnverify.reports.json import SCHEMA, dumps

START = f'{{"schema": "{SCHEMA}"'.encode()
LIMITED = ("timeout", "memout", "unknown")

Row = dict[str, Any]


def key_of(question: Mapping[str, Any]) -> str:
    """A name for a question: equal questions, and only they, have equal keys."""
    return hashlib.sha256(dumps(dict(sorted(question.items()))).encode()).hexdigest()[:24]


class Ledger:
    """The file of rows, locked while open.

    Raises:
        UsageError: if the file cannot be written, or another run writes to it.
        InputFormatError: if it holds something else than rows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise UsageError(f"--out {path}: cannot be written ({error.strerror})") from None
        try:
            self._lock()
            self._rows = {row["key"]: row for row in self._read() if "key" in row}
        except BaseException:
            os.close(self._handle)
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._handle)

    def find(self, key: str, limits: Mapping[str, float | None]) -> Row | None:
        """The row that answers this question as well as these limits allow, if there is one."""
        row = self._rows.get(key)
        if row is None or (_is_limited(row) and _raised(row.get("limits") or {}, limits)):
            return None
        return row

    def append(self, row: Row) -> None:
        """Add a row, whole."""
        line = dumps(row).encode() + b"\n"
        while line:
            line = line[os.write(self._handle, line) :]

    def _lock(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"--out {self._path}: another run is writing to it; wait for it or name another file"
            ) from None

    def _read(self) -> list[Row]:
        content = self._path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            self._mend(torn, len(whole) + len(newline))
        lines = whole.split(b"\n") if newline else []
        rows = [self._parse(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        return [*rows, json.loads(torn)] if torn and _is_row(torn) else rows

    def _mend(self, torn: bytes, start: int) -> None:
        """End a last line that only lacks its newline; drop one that was torn; leave foreign text alone."""
        if _is_row(torn):
            os.write(self._handle, b"\n")
        elif torn.startswith(START) or START.startswith(torn):
            os.ftruncate(self._handle, start)
        else:
            self._refuse(torn, "the last line")

    def _parse(self, number: int, line: bytes) -> Row:
        if not _is_row(line):
            self._refuse(line, f"line {number}")
        row: Row = json.loads(line)
        return row

    def _refuse(self, line: bytes, where: str) -> None:
        found = line[:40].decode(errors="replace")
        raise InputFormatError(
            f"--out {self._path}: {where} is {found!r}, expected a row of {SCHEMA}; name another file"
        )


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and row.get("schema") == SCHEMA and "verdict" in row


def _is_limited(row: Row) -> bool:
    """Whether more time could have said more; an explanation cut short is a bound."""
    return row["verdict"] in LIMITED or (row.get("command") == "explain" and row.get("kind") == "bound")


def _raised(before: Mapping[str, float | None], now: Mapping[str, float | None]) -> bool:
    """Whether any limit is wider now; no limit is the widest."""
    return any((now[name] or math.inf) > (before.get(name) or math.inf) for name in now)
