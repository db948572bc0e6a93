"""What a patch dual bound leaves behind: integers that anyone can add up (:mod:`bnnverify.patches.check`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError
from bnnverify.formats.archive import read_arrays, write_arrays

SCHEMA = "bnnverify/patches/1"

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PatchCertificate:
    """Integers that prove, over a box, that no wanted class beats the label.

    Lists of lists are flat arrays with offsets, one more than there are lists. A neuron is a flat index into the
    first block's outputs, a site a flat place of the last block (0 if it is dense).

    Args:
        wanted: ``(n_wanted,)`` classes.
        scale: what the margins are multiplied by, so that the multipliers are integers.
        nogood_neurons, nogood_signs, nogood_multipliers: rows of all nogoods, ``nogood_offsets`` between them.
        sites, scopes: of all factors, with ``site_offsets`` and ``scope_offsets``; ascending in a factor.
        multipliers: ``(n_wanted, scopes.size)``; what a factor adds for its neuron if that is +1.
    """

    wanted: Integers
    scale: int
    nogood_offsets: Integers
    nogood_neurons: Integers
    nogood_signs: Integers
    nogood_multipliers: Integers
    site_offsets: Integers
    sites: Integers
    scope_offsets: Integers
    scopes: Integers
    multipliers: Integers

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", int(self.scale))
        for name in ARRAYS:
            object.__setattr__(self, name, _integers(name, getattr(self, name)))
        if self.multipliers.shape != (self.wanted.size, self.scopes.size):
            raise ModelFormatError(
                f"multipliers: shape {self.multipliers.shape}, expected {(self.wanted.size, self.scopes.size)}"
            )
        for offsets, lists in OFFSETS.items():
            _require_offsets(offsets, getattr(self, offsets), [getattr(self, name).size for name in lists])
        if self.site_offsets.size != self.scope_offsets.size:
            raise ModelFormatError(
                f"scope_offsets: {self.scope_offsets.size} values, expected {self.site_offsets.size} (as site_offsets)"
            )

    @property
    def n_nogoods(self) -> int:
        return int(self.nogood_offsets.size - 1)

    def factors(self) -> Iterator[tuple[Integers, Integers, Integers]]:
        """(sites, scope, multipliers ``(n_wanted, scope)``) of each factor."""
        spans = zip(pairwise(self.site_offsets.tolist()), pairwise(self.scope_offsets.tolist()), strict=True)
        for (a, b), (c, d) in spans:
            yield self.sites[a:b], self.scopes[c:d], self.multipliers[:, c:d]


ARRAYS = tuple(field.name for field in fields(PatchCertificate) if field.name != "scale")
OFFSETS = {
    "nogood_offsets": ("nogood_neurons", "nogood_signs", "nogood_multipliers"),
    "site_offsets": ("sites",),
    "scope_offsets": ("scopes",),
}


def _integers(name: str, values: Any) -> Integers:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.dtype == np.uint64:
        raise ModelFormatError(f"{name}: type {array.dtype}, expected integers of at most 64 bits with sign")
    copy = array.astype(np.int64)
    if copy.ndim != (2 if name == "multipliers" else 1):
        raise ModelFormatError(f"{name}: {copy.ndim} dimensions, expected {2 if name == 'multipliers' else 1}")
    copy.setflags(write=False)
    return copy


def _require_offsets(name: str, offsets: Integers, sizes: list[int]) -> None:
    if not offsets.size or offsets[0] != 0 or np.any(np.diff(offsets) < 0) or set(sizes) != {int(offsets[-1])}:
        raise ModelFormatError(f"{name}: expected ascending numbers from 0 to {sizes[0]}, as many as there are entries")


def write_certificate(certificate: PatchCertificate, path: Path) -> None:
    """Write an ``.npz`` whole or not at all.

    Raises:
        UsageError: if the file cannot be written.
    """
    arrays = {name: getattr(certificate, name) for name in ARRAYS}
    scale = np.array([certificate.scale], dtype=np.int64)
    write_arrays(path, {"schema": np.frombuffer(SCHEMA.encode(), dtype=np.uint8), "scale": scale, **arrays})


def read_certificate(path: Path) -> PatchCertificate:
    """Read what :func:`write_certificate` wrote, which proves nothing until it is checked.

    Raises:
        ModelFormatError: naming the array that is damaged or missing.
    """
    arrays = read_arrays(path)
    missing = {"schema", "scale", *ARRAYS} - set(arrays)
    if missing:
        raise ModelFormatError(f"{path.name}: lacks the array {min(missing)}, expected a patch certificate")
    schema = arrays["schema"].tobytes().decode(errors="replace")
    if schema != SCHEMA:
        raise ModelFormatError(f"{path.name}: schema {schema!r}, expected {SCHEMA!r}")
    if arrays["scale"].shape != (1,) or arrays["scale"].dtype.kind not in "iu":
        raise ModelFormatError(f"{path.name}: scale of shape {arrays['scale'].shape}, expected one integer")
    return PatchCertificate(scale=int(arrays["scale"][0]), **{name: arrays[name] for name in ARRAYS})
