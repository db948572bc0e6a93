"""The ``bdd`` engine: compile the region's diagram, then one pass over it.

What a diagram costs is paid once; counts at all distances, and the nearest input under any costs, are then a
pass each. Where few neurons move over many bits, states are few however many the inputs, and this engine
is the fastest there is; elsewhere ``enumerate`` and ``pushforward`` answer a single count sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.count import counts
from bnnverify.diagram.nearest import k_nearest
from bnnverify.diagram.profile import profile
from bnnverify.engines.compiling import Compilation, compile_residual, predicted_states
from bnnverify.engines.contract import Search, Tally
from bnnverify.engines.residual import Residual
from bnnverify.errors import UnsupportedError

START_SECONDS = 0.01
STATE_SECONDS = 2e-6


def count_by_distance(residual: Residual, *, by_distance: bool) -> Tally:
    """Exact counts per class; one row a distance (flipped bits), or one row for all.

    Raises:
        UnsupportedError: if distances are asked for and flips cost unequally.
        TooManyNodesError: if the diagram is too large.
    """
    if by_distance and not np.all(residual.costs == 1):
        raise UnsupportedError("engine bdd: counts flipped bits, not unequal costs, by distance; use enumerate")
    compiled = compile_residual(residual)
    if not by_distance:
        return Tally([_row(residual, counts(compiled.diagram))], compiled.remark)
    by_root = profile(compiled.diagram, centre_of(residual, compiled.levels), residual.region.radius)
    return Tally([_row(residual, list(at)) for at in zip(*by_root, strict=True)], compiled.remark)


def find(residual: Residual, wanted: Iterable[int]) -> Search:
    """The cheapest input of a wanted class, or None with the proof that there is none."""
    compiled = compile_residual(residual)
    roots = np.flatnonzero(np.isin(residual.classes, list(wanted))).tolist()
    centre = centre_of(residual, compiled.levels)
    found = next(k_nearest(compiled.diagram, roots, centre, residual.costs[compiled.levels]), None)
    return Search(None if found is None else _one(compiled, found[1] != centre), compiled.remark)


def predicted_seconds(residual: Residual) -> float:
    """Upper estimate of the work."""
    return START_SECONDS + STATE_SECONDS * predicted_states(residual)


def centre_of(residual: Residual, levels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The region's centre as the diagram reads it: 0 or 1 a level."""
    centre = residual.region.center[residual.region.free[residual.items[levels]]]
    return (centre > 0).astype(np.uint8)


def _one(compiled: Compilation, flips: NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    yield tuple(sorted(compiled.levels[flips].tolist()))


def _row(residual: Residual, per_root: list[int]) -> dict[int, int]:
    return {int(c): n for c, n in zip(residual.classes, per_root, strict=True) if n}
