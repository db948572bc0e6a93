"""Where text goes: answers to stdout, everything else to stderr, and nobody there to read is no crash."""

from __future__ import annotations

import contextlib
import os
import sys


def answer(text: str) -> None:
    """Print one finished answer and flush it, so that a reader of a pipe sees it at once.

    Raises:
        BrokenPipeError: if the reader has left.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def warn(text: str) -> None:
    """One line on stderr."""
    with contextlib.suppress(OSError, ValueError):
        print(f"bnnverify: {text}", file=sys.stderr, flush=True)


def silence_stdout() -> None:
    """After the reader left: let what is still buffered go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
