"""Rows of a batch as lines of text, and their summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bnnverify.reports.tables import duration, grouped, plural, share


def line(row: Mapping[str, Any]) -> str:
    """One row: index, class, verdict, what was found, engine, seconds."""
    index, label = (_text((row["input"] or {}).get(name)) for name in ("index", "class"))
    where = f"{index:>6}  class {label:>3}{_mistaken(row['input'] or {})}"
    return (
        f"{where}  {row['verdict']:<9} {finding(row):<34} {row['engine']}, {duration(row['seconds']['solve'])}".rstrip()
    )


def _mistaken(given: Mapping[str, Any]) -> str:
    """A mark where the input itself is misclassified."""
    true = given.get("label")
    return "" if true is None or true == given.get("class") else f" (is {true})"


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def finding(row: Mapping[str, Any]) -> str:
    """What a row says beyond its verdict, in a few words."""
    if row["counts"]:
        whole = sum(int(n) for n in row["counts"].values())
        if row["value"] is None:
            return plural(whole, "input")
        changed = int(row["value"])
        return f"{grouped(changed)} of {grouped(whole)} changed ({share(changed, whole)})"
    if row["command"] == "radius":
        return f"least cost {row['value']}" if row["value"] is not None else f"nothing below {row['lower']}"
    if row["command"] == "explain":
        return _explained(row)
    if row["command"] == "compare" and row["value"] is not None:
        return f"differ on {grouped(int(row['value']))}"
    if row["command"] == "profile" and row["value"] is not None:
        return f"changes from {plural(row['value'], 'flip')}"
    if row["witness"] is not None:
        return f"{plural(len(row['witness']['flips']), 'flip')} to class {row['witness']['class']}"
    return ""


def _explained(row: Mapping[str, Any]) -> str:
    if row.get("values") is not None:
        return f"{row['explanation']}, sum {sum(row['values']):.4g}"
    if row["value"] is None:
        return f"no {row['explanation']} exists" if row["minimal"] else ""
    if row.get("total") is not None:
        return f"{grouped(int(row['value']))} of {row['explanation']}"
    proof = "" if row["kind"] == "exact" else f", at least {row['lower']}"
    return f"{row['explanation']} of {plural(row['value'], 'feature')}{proof}"


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many inputs have which verdict; where true classes are known, also the robust accuracy.

    >>> summary([{"verdict": "holds", "command": "count", "input": None}] * 2)
    '2 inputs: 2 holds'
    """
    parts = ", ".join(f"{n} {verdict}" for verdict, n in Counter(row["verdict"] for row in rows).most_common())
    text = f"{plural(len(rows), 'input')}: {parts}"
    known = [row for row in rows if (row["input"] or {}).get("label") is not None]
    if rows and rows[0]["command"] == "robustness" and len(known) == len(rows):
        return f"{text}\n{_robust_accuracy(rows)}"
    return text


def _robust_accuracy(rows: Sequence[Mapping[str, Any]]) -> str:
    """Correct inputs that no member of their region changes; undecided ones make it a range."""
    correct = [row["verdict"] for row in rows if row["input"]["class"] == row["input"]["label"]]
    robust, open_rows = correct.count("holds"), len(correct) - correct.count("holds") - correct.count("violated")
    wrong = len(rows) - len(correct)
    said = f"robust accuracy {robust} of {len(rows)} ({share(robust, len(rows))})"
    if open_rows:
        said = f"{said}, or up to {robust + open_rows} if the undecided hold"
    return f"{said}; accuracy {len(correct)} of {len(rows)}, {grouped(wrong)} misclassified without any change"
