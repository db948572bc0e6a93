"""Fetch a published data set: every file checked by size and md5, and put in place whole or not at all.

A file is written beside its place under a temporary name, checked, then renamed; whatever fails
leaves nothing behind. Files that are there already, and right, are not fetched again. From a tar
archive only the members that the catalogue names are unpacked, so a path inside it decides nothing.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from shutil import copyfileobj
from typing import IO, TypeAlias

from bnnverify.data.lookup import default_folders
from bnnverify.data.sources import SOURCES, Download
from bnnverify.errors import InputFormatError

Progress: TypeAlias = Callable[[str, int, int], None]

TIMEOUT_S = 30.0
_CHUNK = 1 << 20


def download(name: str, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Fetch the data set ``name`` and return the folder that holds it.

    Args:
        name: as in :func:`bnnverify.data.catalog`, without a split.
        data_dir: where to put it; by default the first of :func:`default_folders`.
        progress: called as (file name, bytes so far, bytes in all).

    Raises:
        InputFormatError: if there is no such data set, a file cannot be fetched or written, or is
            not as published; nothing half-written is left.
    """
    if name not in SOURCES:
        raise InputFormatError(f"{name}: no data set of that name, expected one of {', '.join(SOURCES)}")
    source = SOURCES[name]
    folder = (default_folders()[0] if data_dir is None else Path(data_dir)) / source.folders[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in source.downloads:
            if not _is_present(file, folder):
                _install(file, folder, progress)
    except OSError as error:
        raise InputFormatError(f"{name}: cannot be written to {folder} ({error.strerror or error})") from error
    return folder


def _is_present(file: Download, folder: Path) -> bool:
    if file.members:
        return all((folder / member).is_file() for member in file.members)
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.n_bytes and _md5(path) == file.md5


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _install(file: Download, folder: Path, progress: Progress | None) -> None:
    with _whole(folder / file.name, keep=not file.members) as stream:
        _fetch(file, stream, progress)
        if file.members:
            stream.seek(0)
            _unpack(file, stream, folder)


@contextmanager
def _whole(target: Path, *, keep: bool = True) -> Iterator[IO[bytes]]:
    """A temporary file that becomes ``target`` if ``keep`` and all went well, and else vanishes."""
    descriptor, partial = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
        if keep:
            os.chmod(partial, 0o644)
            os.replace(partial, target)
    finally:
        Path(partial).unlink(missing_ok=True)


def _fetch(file: Download, stream: IO[bytes], progress: Progress | None) -> None:
    """Copy the published file into ``stream``; refuse another size or checksum."""
    digest, done = hashlib.md5(usedforsecurity=False), 0
    for part in _received(file.url):
        done += len(part)
        if done > file.n_bytes:
            break
        stream.write(part)
        digest.update(part)
        if progress:
            progress(file.name, done, file.n_bytes)
    if done != file.n_bytes or digest.hexdigest() != file.md5:
        size = f"{'more than ' if done > file.n_bytes else ''}{min(done, file.n_bytes)} bytes"
        expected = f"the published {file.n_bytes} bytes with md5 {file.md5}"
        raise InputFormatError(f"{file.url}: received {size} with md5 {digest.hexdigest()}, expected {expected}")


def _received(url: str) -> Iterator[bytes]:
    """What the address sends, in parts; every trouble on the way is one sentence."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            while part := response.read(_CHUNK):
                yield part
    except (OSError, HTTPException) as error:
        found = getattr(error, "reason", None) or error
        raise InputFormatError(f"{url}: cannot be fetched ({found}); check the network and try again") from error


def _unpack(file: Download, archive: IO[bytes], folder: Path) -> None:
    """Write the named members of a tar archive, each whole, into ``folder``."""
    missing = set(file.members)
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as members:
            for member in members:
                name = member.name.rpartition("/")[2]
                content = members.extractfile(member) if name in missing and member.isfile() else None
                if content is not None:
                    with _whole(folder / name) as target:
                        copyfileobj(content, target)
                    missing.discard(name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputFormatError(f"{file.name}: cannot be unpacked ({error})") from error
    if missing:
        raise InputFormatError(f"{file.name}: no member {min(missing)}, expected {', '.join(file.members)}")
