"""A compiled network on disk: its diagram with the region, the classes and the rules it was compiled for.

The file is the ``.npz`` of :mod:`bnnverify.diagram.archive` with the region's arrays and a JSON text beside.
It does not hold the network, only its fingerprint: counterexamples are executed, so whoever loads a diagram
brings the network along, and gets a refusal if it is another one.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.archive import decode, encode
from bnnverify.errors import ModelFormatError, UsageError
from bnnverify.formats.archive import read_arrays, write_arrays
from bnnverify.network import Network
from bnnverify.queries.diagram import Diagram
from bnnverify.queries.results import Ties
from bnnverify.regions import BitRegion
from bnnverify.theories import FeatureGroups, Theory
from bnnverify.theories.files import from_dict, to_dict

REGION = ("instance", "center", "free", "costs", "inputs")
TEXT = "compiled"
FIELDS = {"network": str, "ties": str, "order": list, "label": int, "classes": list, "reason": str, "seconds": float}


def save_diagram(diagram: Diagram, path: str | PathLike[str]) -> None:
    """Write a compiled network as ``.npz``, whole or not at all; about 9 bytes a node.

    Raises:
        UsageError: if the name does not end in .npz, or the file cannot be written.
    """
    place = Path(path)
    if place.suffix.lower() != ".npz":
        raise UsageError(f"{place}: diagrams are saved as .npz; give a name that ends so")
    region = diagram.region
    arrays = (diagram.instance, region.center, region.free, region.costs, diagram.inputs)
    text = np.array(json.dumps(_fields(diagram)).encode())
    write_arrays(place, {**encode(diagram.flat), **dict(zip(REGION, arrays, strict=True)), TEXT: text})


def _fields(diagram: Diagram) -> dict[str, Any]:
    theory = diagram.theory
    return {
        "network": diagram.network.fingerprint,
        "ties": diagram.ties.value,
        "order": list(diagram.order),
        "label": diagram.label,
        "classes": list(diagram.classes),
        "reason": diagram.reason,
        "seconds": float(diagram.seconds),
        "budget": None if diagram.region.budget is None else str(diagram.region.budget),
        "theory": None if theory is None else to_dict(FeatureGroups(diagram.network.n_inputs, rules=theory)),
    }


def load_diagram(path: str | PathLike[str], network: Network) -> Diagram:
    """Read what :func:`save_diagram` wrote, for the network that it was compiled from.

    Raises:
        ModelFormatError: if the file is damaged or something else.
        UsageError: if it was compiled from another network.
    """
    place = Path(path)
    try:
        return _read(read_arrays(place), network)
    except ModelFormatError as error:
        raise ModelFormatError(f"{place.name}: {error}") from None


def _read(arrays: dict[str, NDArray[Any]], network: Network) -> Diagram:
    missing = sorted({*REGION, TEXT} - set(arrays))
    if missing:
        raise ModelFormatError(f"no array {missing[0]!r}; expected a compiled network")
    fields = _parsed(arrays[TEXT])
    if fields["network"] != network.fingerprint:
        raise UsageError(f"compiled from another network than {network.name}: their fingerprints differ")
    flat = decode({name: array for name, array in arrays.items() if name not in (*REGION, TEXT)})
    instance, center, free, costs, inputs = (_integers(name, arrays[name]) for name in REGION)
    budget = fields.get("budget")
    region = BitRegion(center.astype(np.int8), free, costs, None if budget is None else int(budget))
    classes = tuple(int(c) for c in fields["classes"])
    fits = instance.size == center.size == network.n_inputs and free.size == costs.size
    if not (fits and inputs.size == flat.n_levels and np.isin(inputs, free).all() and len(classes) == flat.roots.size):
        raise ModelFormatError("its arrays do not fit one another, or the network")
    return Diagram(
        network=network,
        instance=instance,
        region=region,
        theory=_theory(fields.get("theory")),
        ties=Ties(fields["ties"]),
        order=tuple(int(c) for c in fields["order"]),
        label=fields["label"],
        classes=classes,
        flat=flat,
        inputs=inputs,
        reason=fields["reason"],
        seconds=fields["seconds"],
    )


def _parsed(text: NDArray[Any]) -> dict[str, Any]:
    try:
        fields = json.loads(bytes(text.tobytes()).rstrip(b"\0").decode())
    except ValueError:
        raise ModelFormatError(f"{TEXT}: not JSON") from None
    if not isinstance(fields, dict) or any(not isinstance(fields.get(name), kind) for name, kind in FIELDS.items()):
        raise ModelFormatError(f"{TEXT}: expected an object with {', '.join(FIELDS)}")
    return fields


def _integers(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ModelFormatError(f"{name}: {array.dtype} of shape {array.shape}, expected one row of integers")
    return array.astype(np.int64)


def _theory(document: Any) -> Theory | None:
    if document is None:
        return None
    try:
        return from_dict(document).rules
    except UsageError as error:
        raise ModelFormatError(f"theory: {error}") from None
