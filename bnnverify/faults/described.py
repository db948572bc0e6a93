"""Names for campaigns and models by content, so that rows are found again by what they answer and by nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from bnnverify.faults.model import Own
from bnnverify.network import Network

KEY_DIGITS = 24


def described(value: Any) -> Any:
    """A model, or any part of one, as what JSON can hold; arrays and networks by their content's hash."""
    if isinstance(value, Own):
        return {"kind": "Own", "name": value.name, "rate": value.rate}
    if isinstance(value, Network):
        return {"kind": "Network", "sha256": value.fingerprint}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {"kind": type(value).__name__, **{f.name: described(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, np.ndarray):
        return {"kind": "array", "shape": list(value.shape), "type": value.dtype.str, "sha256": hash_of(value)}
    if isinstance(value, tuple | list):
        return [described(item) for item in value]
    return value


def hash_of(array: Any) -> str:
    """SHA-256 of an array's bytes, as hex."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def key_of(description: Mapping[str, Any]) -> str:
    """A short name: equal descriptions, and only they, have equal keys."""
    return hashlib.sha256(text_of(description).encode()).hexdigest()[:KEY_DIGITS]


def text_of(description: Mapping[str, Any]) -> str:
    """The description as canonical JSON."""
    return json.dumps(description, sort_keys=True)
