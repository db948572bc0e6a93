"""Features and rules as JSON, one file beside a model; strictly checked.

.. code-block:: json

    {"schema": "bnnverify-features/1",
     "n_inputs": 8,
     "features": [{"name": "colour", "encoding": "one_hot", "bits": [0, 1, 2], "values": ["red", "green", "blue"]},
                  {"name": "age", "encoding": "thermometer", "bits": [3, 4], "values": ["< 30", "30 to 49", ">= 50"]},
                  {"name": "patch", "encoding": "free", "bits": [5, 6]}],
     "rules": [{"kind": "cardinality", "literals": ["+0", "-4"], "lowest": 1}],
     "protected": ["age"],
     "note": "made by hand"}

Only ``schema`` and ``n_inputs`` are required. Bits in no feature are features by themselves. A rule's
kind is ``one_hot`` or ``thermometer`` with ``bits``, or ``cardinality`` with ``literals`` (``"+0"``: bit
0 is +1), ``lowest`` and, where not all may be true, ``highest``. A key that is not listed here is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnnverify.errors import InputFormatError, UsageError
from bnnverify.theories.constraints import Cardinality, Constraint, OneHot, Theory, Thermometer
from bnnverify.theories.features import Encoding, Feature, FeatureGroups
from bnnverify.wholefile import whole_file

SCHEMA = "bnnverify-features/1"
MAX_BYTES = 1 << 24

_TYPES = {int: "an integer", str: "text", list: "a list"}


def load_features(path: Path | str) -> FeatureGroups:
    """Features and rules of a JSON file.

    Raises:
        InputFormatError: if the file cannot be read or is not as this module says.
    """
    path = Path(path)
    try:
        return from_dict(json.loads(_read(path)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputFormatError(f"{path}: no JSON ({error}), expected a features file") from error
    except UsageError as error:
        raise InputFormatError(f"{path}: {error}") from error


def save_features(features: FeatureGroups, path: Path | str) -> None:
    """Write what :func:`load_features` reads, whole or not at all.

    Raises:
        UsageError: if the file cannot be written; nothing is left behind.
    """
    with whole_file(Path(path)) as partial:
        partial.write_text(json.dumps(to_dict(features), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def to_dict(features: FeatureGroups) -> dict[str, Any]:
    """Features and rules as the JSON object of this module."""
    return {
        "schema": SCHEMA,
        "n_inputs": features.n_inputs,
        "features": [
            {
                "name": feature.name,
                "encoding": feature.encoding.value,
                "bits": list(feature.indices),
                "values": list(feature.values),
            }
            for feature in features.features
        ],
        "rules": [constraint.to_dict() for constraint in features.rules.constraints],
        "protected": list(features.protected),
        "note": features.note,
    }


def from_dict(document: Any) -> FeatureGroups:
    """Features and rules of a JSON object.

    Raises:
        UsageError: if it is not as this module says.
    """
    optional = {"features": list, "rules": list, "protected": list, "note": str}
    found = _record("features file", document, {"schema": str, "n_inputs": int}, optional)
    if found["schema"] != SCHEMA:
        raise UsageError(f"schema {found['schema']!r}, expected {SCHEMA!r}")
    if found["n_inputs"] < 1:
        raise UsageError(f"n_inputs {found['n_inputs']}, expected at least 1")
    features = tuple(_feature(f"feature {k}", entry) for k, entry in enumerate(found.get("features", [])))
    rules = tuple(_rule(f"rule {k}", entry) for k, entry in enumerate(found.get("rules", [])))
    protected = tuple(_all("protected", found.get("protected", []), str))
    return FeatureGroups(found["n_inputs"], features, Theory(rules), protected, found.get("note", ""))


def _feature(what: str, entry: Any) -> Feature:
    found = _record(what, entry, {"name": str, "encoding": str, "bits": list}, {"values": list})
    known = [encoding.value for encoding in Encoding]
    if found["encoding"] not in known:
        raise UsageError(f"{what}: encoding {found['encoding']!r}, expected one of {', '.join(known)}")
    bits = tuple(_all(f"{what}: bits", found["bits"], int))
    values = tuple(_all(f"{what}: values", found.get("values", []), str))
    return Feature(found["name"], bits, Encoding(found["encoding"]), values)


def _rule(what: str, entry: Any) -> Constraint:
    kind = entry.get("kind") if isinstance(entry, Mapping) else None
    if kind == "cardinality":
        found = _record(what, entry, {"kind": str, "literals": list, "lowest": int}, {"highest": int})
        literals = tuple(_literal(what, text) for text in found["literals"])
        return Cardinality(literals, found["lowest"], found.get("highest"))
    if kind not in ("one_hot", "thermometer"):
        raise UsageError(f"{what}: kind {kind!r}, expected one_hot, thermometer or cardinality")
    found = _record(what, entry, {"kind": str, "bits": list}, {})
    bits = tuple(_all(f"{what}: bits", found["bits"], int))
    return OneHot(bits) if kind == "one_hot" else Thermometer(bits)


def _literal(what: str, text: Any) -> int:
    if not (isinstance(text, str) and text[:1] in ("+", "-") and text[1:].isascii() and text[1:].isdigit()):
        raise UsageError(f"{what}: literal {text!r}, expected a sign and a bit, for example '+3'")
    return int(text[1:]) if text[0] == "+" else ~int(text[1:])


def _record(what: str, entry: Any, required: Mapping[str, type], optional: Mapping[str, type]) -> dict[str, Any]:
    """The entry itself, once it has all required keys, no unknown ones, and the type that each asks for."""
    if not isinstance(entry, dict):
        raise UsageError(f"{what}: found {type(entry).__name__}, expected an object")
    known = {**required, **optional}
    for key in required:
        if key not in entry:
            raise UsageError(f"{what}: no {key!r}, expected {', '.join(required)}")
    for key, value in entry.items():
        if key not in known:
            raise UsageError(f"{what}: unknown key {key!r}, expected {', '.join(known)}")
        if type(value) is not known[key]:
            raise UsageError(f"{what}: {key!r} is {type(value).__name__}, expected {_TYPES[known[key]]}")
    return entry


def _all(what: str, entries: list[Any], kind: type) -> list[Any]:
    for entry in entries:
        if type(entry) is not kind:
            raise UsageError(f"{what}: found {entry!r}, expected {_TYPES[kind]}")
    return entries


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise InputFormatError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputFormatError(f"{path}: no text (byte {error.start}), expected JSON") from error
    if len(content) > MAX_BYTES:
        raise InputFormatError(f"{path}: more than {MAX_BYTES} bytes, expected a features file")
    return text
