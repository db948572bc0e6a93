"""Read UCI Adult: does a person earn more than 50,000 dollars a year? United States census, 1994.

Ten of the fourteen attributes are kept, in 54 bits, so that exact diagrams of all 12,247,200 valid inputs are in
reach. Left out are ``fnlwgt``, a sampling weight and no attribute of a person; ``education-num``, which numbers
``education``; ``relationship``, which says marital status and sex again; and ``native-country``, of whose 42 values
one covers nine rows in ten. A missing value, written ``?``, is a value of its own. The split is the published one.

Reference: Becker and Kohavi, "Adult", UCI Machine Learning Repository, 1996 (CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Sequence
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

FILES = ("adult.data", "adult.test")
N_COLUMNS = 15
N_TRAIN, N_TEST = 32_561, 16_281
CLASSES = ("<=50K", ">50K")
PROTECTED = ("age", "race", "sex")
NOTE = "UCI Adult (Becker and Kohavi, 1996), CC BY 4.0; thresholds are quantiles of the published training rows."


def _named(values: str) -> dict[str, str]:
    """Codes that are their own labels, but for ``?``."""
    return {value: "unknown" if value == "?" else value for value in values.split()}


_SCHOOL = "Preschool 1st-4th 5th-6th 7th-8th 9th 10th 11th 12th"
_EDUCATION = {
    **dict.fromkeys(_SCHOOL.split(), "no diploma"),
    "HS-grad": "high school",
    "Some-college": "some college",
    **dict.fromkeys(("Assoc-voc", "Assoc-acdm"), "associate"),
    "Bachelors": "bachelor",
    **dict.fromkeys(("Masters", "Prof-school", "Doctorate"), "master or more"),
}
_WORK = "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay Never-worked ?"
_MARITAL = "Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent Married-AF-spouse"
_OCCUPATION = (
    "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty Handlers-cleaners Machine-op-inspct"
    " Adm-clerical Farming-fishing Transport-moving Priv-house-serv Protective-serv Armed-Forces ?"
)
_RACE = "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black"

ATTRIBUTES: tuple[Attribute, ...] = (
    Number("age", 0, n_thresholds=5),
    Category("workclass", 1, _named(_WORK)),
    Category("education", 3, _EDUCATION, ordered=True),
    Category("marital-status", 5, _named(_MARITAL)),
    Category("occupation", 6, _named(_OCCUPATION)),
    Category("race", 8, _named(_RACE)),
    Category("sex", 9, _named("Female Male")),
    Number("capital-gain", 10, n_thresholds=2, mostly_zero=True),
    Number("capital-loss", 11, n_thresholds=2, mostly_zero=True),
    Number("hours-per-week", 12, n_thresholds=4),
)


def read_train(paths: Sequence[Path], name: str) -> TabularDataset:
    """The published training rows, of ``adult.data``, the first of the paths.

    Raises:
        InputFormatError: if the file cannot be read, is not complete, or a row is not as documented.
    """
    train = read_table(paths[0], n_columns=N_COLUMNS, n_rows=N_TRAIN, separator=",")
    return _dataset(train, train, name)


def read_test(paths: Sequence[Path], name: str) -> TabularDataset:
    """The published test rows, of ``adult.test``; ``adult.data`` comes first, for its thresholds.

    Raises:
        InputFormatError: as :func:`read_train`.
    """
    train = read_table(paths[0], n_columns=N_COLUMNS, n_rows=N_TRAIN, separator=",")
    test = read_table(paths[1], n_columns=N_COLUMNS, n_rows=N_TEST, separator=",")
    return _dataset(train, test, name)


def _dataset(train: Table, table: Table, name: str) -> TabularDataset:
    """In the test rows a point follows the class."""
    features = fit(ATTRIBUTES, train, protected=PROTECTED, note=NOTE)
    meaning = {f"{label}{point}": label for label in CLASSES for point in ("", ".")}
    labels = [CLASSES.index(label) for label in read_column(table, N_COLUMNS - 1, "class", meaning)]
    return TabularDataset(encode(ATTRIBUTES, train, table), np.array(labels, dtype=np.int64), name, features, CLASSES)
