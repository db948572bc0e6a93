"""Find a named data set below the data folders and read it.

The folders are ``$BNNVERIFY_DATA`` and the cache, or the one that the caller gives. In each, every
recipe of the split is tried in its order, in every usual layout; the first whose files are all
there is read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bnnverify.data.dataset import Dataset
from bnnverify.data.sources import SOURCES, Recipe, Source
from bnnverify.data.tabular import TabularDataset
from bnnverify.errors import InputFormatError


class CatalogRow(NamedTuple):
    """What a user sees of a data set: ``n_bytes`` to download, and ``found``, its folder or None."""

    name: str
    title: str
    splits: tuple[str, ...]
    n_bytes: int
    licence: str
    found: Path | None


def default_folders() -> tuple[Path, ...]:
    """Where data is looked for, in order: ``$BNNVERIFY_DATA`` if set, then ``~/.cache/bnnverify``."""
    chosen = os.environ.get("BNNVERIFY_DATA")
    cache = Path.home() / ".cache" / "bnnverify"
    return (Path(chosen), cache) if chosen else (cache,)


def load_dataset(spec: str, data_dir: Path | None = None) -> Dataset:
    """A data set by name and split, for example ``mnist:test``.

    Args:
        spec: ``name:split``; see :func:`catalog`. ``cifar10:train`` and ``test`` are published pixels
            (where the batches are absent, the subset that is there); ``train-jpeg`` and
            ``test-jpeg`` are complete but lossy.
        data_dir: where to look, instead of :func:`default_folders`.

    Raises:
        InputFormatError: if there is no such data set or split, its files are not found, or not as
            published.
        UnsupportedError: if an extra that reads it is not installed.
    """
    source, split = _parse(spec)
    roots = default_folders() if data_dir is None else (Path(data_dir),)
    located = _locate(source, split, roots)
    if located is None:
        raise InputFormatError(_not_found(source, spec, roots))
    recipe, paths = located
    return recipe.read(paths, spec)


def load_tabular(spec: str, data_dir: Path | None = None) -> TabularDataset:
    """A data set of rows with features, ``adult:train`` or ``german:test``, as :func:`load_dataset` does.

    Raises:
        InputFormatError: as :func:`load_dataset`, or if it is a data set of images.
    """
    data = load_dataset(spec, data_dir)
    if not isinstance(data, TabularDataset):
        raise InputFormatError(f"{spec}: holds images without features, expected adult or german")
    return data


def catalog(data_dir: Path | None = None) -> tuple[CatalogRow, ...]:
    """All data sets that have a name, with where they were found."""
    roots = default_folders() if data_dir is None else (Path(data_dir),)
    return tuple(_row(source, roots) for source in SOURCES.values())


def _row(source: Source, roots: Sequence[Path]) -> CatalogRow:
    located = [found for split in source.splits if (found := _locate(source, split, roots))]
    folder = located[0][1][0].parent if located else None
    n_bytes = sum(download.n_bytes for download in source.downloads)
    return CatalogRow(source.name, source.title, tuple(source.splits), n_bytes, source.licence, folder)


def is_dataset_spec(text: str) -> bool:
    """Whether ``text`` starts with the name of a data set, with or without a split."""
    return text.partition(":")[0] in SOURCES


def _parse(spec: str) -> tuple[Source, str]:
    name, _, split = spec.partition(":")
    if name not in SOURCES:
        raise InputFormatError(f"{spec}: no data set {name!r}, expected one of {', '.join(SOURCES)}")
    source = SOURCES[name]
    if split not in source.splits:
        expected = ", ".join(f"{name}:{known}" for known in source.splits)
        raise InputFormatError(f"{spec}: no split {split!r}, expected one of {expected}")
    return source, split


def _locate(source: Source, split: str, roots: Sequence[Path]) -> tuple[Recipe, tuple[Path, ...]] | None:
    """The first recipe of the split whose files lie in one folder, with their paths."""
    for root in roots:
        for recipe in source.splits[split]:
            for folder in (*source.folders, "."):
                paths = [_present(root / folder / file) for file in recipe.files]
                if all(paths) and not (folder == "." and _belongs_to_another(source, root)):
                    return recipe, tuple(path for path in paths if path)
    return None


def _present(path: Path) -> Path | None:
    """The file itself, or gzipped, as idx files (the ones without a suffix) are published."""
    if os.path.isfile(path):
        return path
    zipped = path.with_name(f"{path.name}.gz")
    return zipped if not path.suffix and os.path.isfile(zipped) else None


def _belongs_to_another(source: Source, folder: Path) -> bool:
    """Whether a flat folder holds another data set's files: MNIST and Fashion-MNIST share all names."""
    mine = {download.name: download.n_bytes for download in source.downloads}
    others = {
        (download.name, download.n_bytes)
        for other in SOURCES.values()
        for download in other.downloads
        if mine.get(download.name, download.n_bytes) != download.n_bytes
    }
    return any(os.path.isfile(folder / name) and (folder / name).stat().st_size == n for name, n in others)


def _not_found(source: Source, spec: str, roots: Sequence[Path]) -> str:
    searched = " and ".join(map(str, roots))
    advice = f"run 'bnnverify datasets get {source.name}' or give --data DIR"
    pickled = [folder / "cifar-10-batches-py" for folder in (*roots, *(root / "cifar10" for root in roots))]
    found = [folder for folder in pickled if source.name == "cifar10" and os.path.isdir(folder)]
    if found:
        return f"{spec}: {found[0]} holds pickles, which can run code and are never loaded; {advice}"
    return f"{spec}: not found in {searched}; {advice}"
