"""The JSON contract ``bnnverify/1``: one object for each answer, the same keys for every query.

Integers beyond 2^53, which most readers of JSON would round, are written as decimal strings. Sizes
and counts are always strings, however small.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from bnnverify import __version__
from bnnverify.queries.results import Answer, CompareResult, CountResult, ExplainResult, ProfileResult
from bnnverify.reports.subject import Subject

SCHEMA = "bnnverify/1"
LARGEST_SAFE = 1 << 53

Row = dict[str, Any]


def row_of(subject: Subject, answer: Answer, *, load: float, total: float) -> Row:
    """The object for one answer; ``load`` and ``total`` are seconds."""
    found = answer.to_dict()
    region = None if found["region"] is None else _region(subject, found["region"])
    first: Row = {"region": region, "verdict": found["verdict"], "kind": found["kind"]}
    first |= {"counts": None, "value": _value(answer), "witness": None, "target": subject.target}
    if subject.other is not None:
        first["other_sha256"] = subject.other.fingerprint
    rest = {name: value for name, value in found.items() if name != "region"}
    return {**envelope(subject, answer.input_class), **first, **rest, **closing(load, answer.seconds, total)}


def envelope(subject: Subject, input_class: int | None = None) -> Row:
    """The keys that name the question."""
    network = subject.network
    source: Row | None = None
    if subject.source is not None:
        source = {"source": subject.source, "index": subject.index, "class": input_class, "label": subject.label}
    return {
        "schema": SCHEMA,
        "command": subject.command,
        "model": {"name": network.name, "sha256": network.fingerprint},
        "input": source,
    }


def closing(load: float, solve: float, total: float) -> Row:
    """The keys that end every row; seconds."""
    spent = {"load": load, "solve": solve, "total": total}
    return {"seconds": {name: round(value, 6) for name, value in spent.items()}, "version": __version__}


def _region(subject: Subject, region: Row) -> Row:
    asked = {"eps": subject.eps, "norm": subject.norm, "free": subject.free}
    given = {name: value for name, value in asked.items() if value is not None}
    return {"kind": region["kind"], **given, **{name: value for name, value in region.items() if name not in given}}


def _value(answer: Answer) -> str | int | None:
    """The one number that sums the answer up; radius brings its own, values of features have none."""
    if isinstance(answer, CountResult) and answer.input_class is not None and answer.counts:
        return str(answer.violations)
    if isinstance(answer, ProfileResult):
        return next((distance for distance, n in enumerate(answer.changed) if n), None)
    if isinstance(answer, ExplainResult):
        return (None if answer.values is not None else answer.size) if answer.total is None else str(answer.total)
    if isinstance(answer, CompareResult) and answer.pairs:
        return str(answer.disagreements)
    return None


def dumps(row: Mapping[str, Any]) -> str:
    """The row on one line.

    >>> dumps({"small": 3, "large": 2**53 + 1})
    '{"small": 3, "large": "9007199254740993"}'
    """
    return json.dumps(_plain(row), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, int) and abs(value) > LARGEST_SAFE:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
