"""Tables of people as bits: each attribute is a feature of named bits, with a theory of what is valid.

A category of two values is one bit, one of more is one-hot; an ordered category and a number are a thermometer
("at least 24? at least 31?"). Thresholds of numbers are quantiles of the *training* rows alone, so that a test row
has no part in how it is encoded; and as they depend on all of these, an incomplete file is refused. A number
that is 0 in most rows is first asked whether it is at least 1, and quantiles are those of the rest. Bits are
kept as 0/1 images, so whatever takes images takes tables. Cost: one pass over the rows for each attribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.data.dataset import Dataset
from bnnverify.errors import InputFormatError
from bnnverify.theories import Encoding, Feature, FeatureGroups, Theory

MAX_BYTES = 1 << 26


@dataclass(frozen=True, eq=False, repr=False)
class TabularDataset(Dataset):
    """Rows of a table as 0/1 images ``(N, n_bits)``, with their class numbers and what the bits mean.

    Args:
        features: the attribute that each bit encodes, which inputs are valid, which are protected.
        classes: name of each class number.

    Raises:
        InputFormatError: as :class:`Dataset`, or if the features are of another number of bits.
    """

    features: FeatureGroups
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images.shape[1:] != (self.features.n_inputs,):
            found = f"rows of shape {self.images.shape[1:]}"
            raise InputFormatError(f"{self.name}: {found}, expected {self.features.n_inputs} bits")

    @property
    def bits(self) -> NDArray[np.int8]:
        """``(N, n_bits)`` over -1 and +1."""
        return (self.images.astype(np.int8) << 1) - np.int8(1)

    @property
    def theory(self) -> Theory:
        """Which inputs encode a row at all."""
        return self.features.theory

    def __repr__(self) -> str:
        return f"TabularDataset({self.name}, {len(self)} rows of {self.features.n_inputs} bits)"


class Table(NamedTuple):
    """A file's rows of words, all of one length, and the line that each stands on."""

    path: Path
    rows: list[list[str]]
    lines: list[int]


@dataclass(frozen=True)
class Category:
    """A column of codes: ``labels`` gives the value that each code means, in their order if ``ordered``."""

    name: str
    column: int
    labels: Mapping[str, str]
    ordered: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.labels.values()))

    @property
    def encoding(self) -> Encoding:
        return Encoding.THERMOMETER if self.ordered or len(self.values) == 2 else Encoding.ONE_HOT

    def fit(self, train: Table, first_bit: int) -> Feature:
        """The feature whose bits start at ``first_bit``; the training rows do not matter."""
        n_bits = len(self.values) - (self.encoding is Encoding.THERMOMETER)
        return Feature(self.name, tuple(range(first_bit, first_bit + n_bits)), self.encoding, self.values)

    def encode(self, train: Table, table: Table) -> NDArray[np.uint8]:
        """0/1 bits ``(N, bits of the feature)``; the training rows do not matter."""
        words = read_column(table, self.column, self.name, self.labels)
        places = np.array([self.values.index(word) for word in words])[:, np.newaxis]
        if self.encoding is Encoding.THERMOMETER:
            return np.asarray(np.arange(len(self.values) - 1) < places, dtype=np.uint8)
        return np.asarray(np.arange(len(self.values)) == places, dtype=np.uint8)


@dataclass(frozen=True)
class Number:
    """A column of integers of at least 0, asked whether it reaches each of up to ``n_thresholds``."""

    name: str
    column: int
    n_thresholds: int
    mostly_zero: bool = False

    def thresholds(self, train: Table) -> list[int]:
        """Quantiles of the training rows, without the least value, which all rows reach."""
        values = sorted(_integers(train, self.column, self.name))
        counted = [value for value in values if value > 0] if self.mostly_zero else values
        parts = self.n_thresholds + (not self.mostly_zero)
        quantiles = {counted[k * len(counted) // parts] for k in range(1, parts)} if counted else set()
        asked = quantiles | {1} if self.mostly_zero else quantiles
        return sorted(value for value in asked if values[0] < value <= values[-1])

    def fit(self, train: Table, first_bit: int) -> Feature:
        """The feature whose bits start at ``first_bit``, with the thresholds of the training rows."""
        thresholds = self.thresholds(train)
        if not thresholds:
            raise InputFormatError(
                f"{train.path}: {self.name} is the same in all training rows, expected several values"
            )
        between = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(thresholds)]
        labels = (f"below {thresholds[0]}", *between, f"{thresholds[-1]} and above")
        bits = range(first_bit, first_bit + len(thresholds))
        return Feature(self.name, tuple(bits), Encoding.THERMOMETER, labels)

    def encode(self, train: Table, table: Table) -> NDArray[np.uint8]:
        """0/1 bits ``(N, bits of the feature)``."""
        values = np.array(_integers(table, self.column, self.name))[:, np.newaxis]
        return np.asarray(values >= np.array(self.thresholds(train)), dtype=np.uint8)


Attribute: TypeAlias = Category | Number


def fit(attributes: Sequence[Attribute], train: Table, *, protected: Sequence[str], note: str) -> FeatureGroups:
    """The features of all attributes, side by side, thresholds taken from the training rows."""
    features: list[Feature] = []
    n_bits = 0
    for attribute in attributes:
        features.append(attribute.fit(train, n_bits))
        n_bits += len(features[-1].indices)
    return FeatureGroups(n_bits, tuple(features), protected=tuple(protected), note=note)


def encode(attributes: Sequence[Attribute], train: Table, table: Table) -> NDArray[np.uint8]:
    """The rows as 0/1 bits ``(N, n_inputs)``, thresholds taken from the training rows.

    Raises:
        InputFormatError: if a word is no value of its attribute.
    """
    return np.concatenate([attribute.encode(train, table) for attribute in attributes], axis=1)


def read_table(path: Path, *, n_columns: int, n_rows: int, separator: str | None = None) -> Table:
    """The rows of a text file; empty lines and lines that start with a bar are skipped.

    Args:
        separator: what stands between the words; None for blanks.

    Raises:
        InputFormatError: if the file cannot be read, a row has another number of columns, or there
            are not ``n_rows``.
    """
    numbered = enumerate(_read_text(path).splitlines(), start=1)
    table = Table(path, [], [])
    for number, line in numbered:
        if not line.strip() or line.startswith("|"):
            continue
        row = [word.strip() for word in line.split(separator)]
        if len(row) != n_columns:
            raise InputFormatError(f"{path}: line {number} has {len(row)} columns, expected {n_columns}")
        table.rows.append(row)
        table.lines.append(number)
    if len(table.rows) != n_rows:
        raise InputFormatError(f"{path}: {len(table.rows):,} rows, expected {n_rows:,} as published")
    return table


def read_column(table: Table, column: int, name: str, labels: Mapping[str, str]) -> list[str]:
    """What each code of a column means.

    Raises:
        InputFormatError: if a code has no meaning.
    """
    for row, line in zip(table.rows, table.lines, strict=True):
        if row[column] not in labels:
            known = ", ".join(labels)
            raise InputFormatError(f"{table.path}: line {line}: {name} {row[column]!r}, expected one of {known}")
    return [labels[row[column]] for row in table.rows]


def _integers(table: Table, column: int, name: str) -> list[int]:
    for row, line in zip(table.rows, table.lines, strict=True):
        if not (row[column].isascii() and row[column].isdigit() and len(row[column]) < 16):
            raise InputFormatError(f"{table.path}: line {line}: {name} {row[column]!r}, expected an integer from 0")
    return [int(row[column]) for row in table.rows]


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = content.decode("ascii")
    except OSError as error:
        raise InputFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputFormatError(f"{path}: no plain text (byte {error.start}), expected a table") from error
    if len(content) > MAX_BYTES:
        raise InputFormatError(f"{path}: more than {MAX_BYTES} bytes, expected a table of people")
    return text
