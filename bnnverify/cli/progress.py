"""Progress on stderr, drawn on one line and wiped at the end, and only where stderr is a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from bnnverify.reports.tables import duration

WIDTH = 30
REDRAW_SECONDS = 0.1


class StatusLine:
    """One line that is redrawn in place; use as a context manager so that it is wiped at the end."""

    def __init__(self) -> None:
        self._visible = sys.stderr.isatty()
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.wipe()

    def draw(self, text: str) -> None:
        """Show the text, unless the last one is too young."""
        now = time.monotonic()
        if self._visible and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def wipe(self) -> None:
        """Remove the line, before something else is printed."""
        if self._visible and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = 0.0


class RowProgress(StatusLine):
    """A bar over the rows of a batch, with the time that is left if they go on alike."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._done = 0
        self._start = time.monotonic()

    def advance(self) -> None:
        """One more row is finished."""
        self._done += 1
        filled = WIDTH * self._done // self._total
        left = (time.monotonic() - self._start) * (self._total - self._done) / self._done
        bar = "#" * filled + " " * (WIDTH - filled)
        self.draw(f"[{bar}] {self._done}/{self._total}, {duration(left)} left")


class ByteMeter(StatusLine):
    """How much of a file has come."""

    def show(self, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the file ``name``."""
        self.draw(f"{name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")
