"""Files that are written whole or not at all: a temporary file beside the target replaces it at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bnnverify.errors import UsageError


@contextmanager
def whole_file(path: Path, *, named: str | None = None) -> Iterator[Path]:
    """Give a place to write to, which becomes ``path`` if the block succeeds; otherwise nothing is left behind.

    Args:
        named: what an error calls the file; default its path.

    Raises:
        UsageError: if the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise UsageError(f"{named or path}: cannot be written ({error.strerror})") from None
        raise
