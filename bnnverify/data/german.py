"""Read German credit: is an applicant a good or a bad risk? A bank in southern Germany, about 1975.

Thirteen of the twenty attributes are kept, in 53 bits, so that exact diagrams of all 99,000,000 valid inputs are
in reach. Left out are the seven that, protected ones apart, share least information with the class in the training
rows: instalment rate, other debtors, residence, number of credits, job, dependants, telephone. Attribute 9 mixes
sex with marital status, which it does not tell apart for women; only the sex is kept. Codes that the documentation
lists and no row has (a vacation, a single woman) are valid all the same.

There is no published split. Rows are ordered by the SHA-256 of ``german:0``, ``german:1``, ..., their number in
the file; the first 700 train, the other 300 test, each in the order of the file.

Reference: Hofmann, "Statlog (German Credit Data)", UCI Machine Learning Repository, 1994 (CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from bnnverify.data.tabular import (
    Attribute,
    Category,
    Number,
    Table,
    TabularDataset,
    encode,
    fit,
    read_column,
    read_table,
)

FILES = ("german.data",)
N_COLUMNS = 21
N_ROWS, N_TRAIN = 1_000, 700
CLASSES = ("good", "bad")
PROTECTED = ("age", "sex", "foreign worker")
NOTE = "UCI Statlog German credit (Hofmann, 1994), CC BY 4.0; thresholds are quantiles of the 700 training rows."

_CHECKING = {"A11": "below 0 DM", "A12": "0-199 DM", "A13": "200 DM and above", "A14": "no account"}
_HISTORY = {
    "A30": "no credits taken",
    "A31": "all here paid back",
    "A32": "paid back so far",
    "A33": "delays",
    "A34": "critical account",
}
_PURPOSE = {
    "A40": "new car",
    "A41": "used car",
    "A42": "furniture",
    "A43": "radio or television",
    "A44": "appliances",
    "A45": "repairs",
    "A46": "education",
    "A47": "vacation",
    "A48": "retraining",
    "A49": "business",
    "A410": "other",
}
_SAVINGS = {
    "A61": "below 100 DM",
    "A62": "100-499 DM",
    "A63": "500-999 DM",
    "A64": "1000 DM and above",
    "A65": "unknown or none",
}
_EMPLOYED = {
    "A71": "unemployed",
    "A72": "below 1 year",
    "A73": "1-3 years",
    "A74": "4-6 years",
    "A75": "7 years and above",
}
_PROPERTY = {"A121": "real estate", "A122": "savings or insurance", "A123": "car or other", "A124": "unknown or none"}
_SEX = {"A91": "male", "A92": "female", "A93": "male", "A94": "male", "A95": "female"}

ATTRIBUTES: tuple[Attribute, ...] = (
    Category("checking account", 0, _CHECKING),
    Number("duration in months", 1, n_thresholds=4),
    Category("credit history", 2, _HISTORY),
    Category("purpose", 3, _PURPOSE),
    Number("amount in DM", 4, n_thresholds=4),
    Category("savings", 5, _SAVINGS),
    Category("employed", 6, _EMPLOYED, ordered=True),
    Category("sex", 8, _SEX),
    Category("property", 11, _PROPERTY),
    Number("age", 12, n_thresholds=4),
    Category("other plans", 13, {"A141": "bank", "A142": "stores", "A143": "none"}),
    Category("housing", 14, {"A151": "rent", "A152": "own", "A153": "for free"}),
    Category("foreign worker", 19, {"A202": "no", "A201": "yes"}),
)


def read_train(paths: Sequence[Path], name: str) -> TabularDataset:
    """The 700 training rows of ``german.data``.

    Raises:
        InputFormatError: if the file cannot be read, is not complete, or a row is not as documented.
    """
    train, _ = _split(paths[0])
    return _dataset(train, train, name)


def read_test(paths: Sequence[Path], name: str) -> TabularDataset:
    """The 300 test rows of ``german.data``.

    Raises:
        InputFormatError: as :func:`read_train`.
    """
    return _dataset(*_split(paths[0]), name)


def _split(path: Path) -> tuple[Table, Table]:
    """The training rows and the test rows."""
    table = read_table(path, n_columns=N_COLUMNS, n_rows=N_ROWS)
    order = sorted(range(N_ROWS), key=lambda row: sha256(f"german:{row}".encode()).digest())
    return _rows(table, order[:N_TRAIN]), _rows(table, order[N_TRAIN:])


def _rows(table: Table, chosen: Iterable[int]) -> Table:
    kept = sorted(chosen)
    return Table(table.path, [table.rows[row] for row in kept], [table.lines[row] for row in kept])


def _dataset(train: Table, table: Table, name: str) -> TabularDataset:
    features = fit(ATTRIBUTES, train, protected=PROTECTED, note=NOTE)
    meaning = {"1": "good", "2": "bad"}
    labels = [CLASSES.index(label) for label in read_column(table, N_COLUMNS - 1, "class", meaning)]
    return TabularDataset(encode(ATTRIBUTES, train, table), np.array(labels, dtype=np.int64), name, features, CLASSES)
