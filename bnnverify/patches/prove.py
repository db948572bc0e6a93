"""The patch dual bound: proves that no input of a box gives a wanted class a score that beats the label's.

Made for networks whose first block is a convolution. Few of its neurons move in a small box, and a place of the last
block depends on the few within its window. So for every place the patterns that its moving neurons can have are
enumerated, those that no input of the box has are dropped (:mod:`nogoods`), and the least contribution to the margin
is found over the rest; overlapping windows are made to agree by Lagrange multipliers (:mod:`ascent`). The multipliers,
rounded to integers, are the certificate. It is checked before it is returned, so an error here costs an answer, never
a wrong one.

Where intervals decide a few places at most, this decides boxes in which hundreds of first-block neurons move. It
cannot find violations. Blocks behind the second keep the window wide; neurons that do not fit into a scope count as
intervals.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.network import MaxPool, Network
from bnnverify.patches.ascent import Problem, ascend
from bnnverify.patches.certificate import PatchCertificate
from bnnverify.patches.check import check, margin
from bnnverify.patches.cones import image_size
from bnnverify.patches.factors import Factor, factors_of
from bnnverify.patches.nogoods import Nogoods, farkas_nogood
from bnnverify.patches.world import World, world_of

TILES = (1, 2)
HELPS = 0.02
SWEEPS_AT_ONCE = 20
ENOUGH = 1.0
SCALE_BITS = 16
NUMBER_BITS = 60

Floats = NDArray[np.float64]


def prove(
    network: Network,
    low: Sequence[Any],
    high: Sequence[Any],
    label: int,
    wanted: Iterable[int],
    *,
    order: Sequence[int] | None = None,
    timeout: float = 60.0,
    real: bool = False,
) -> PatchCertificate | None:
    """A certificate that no input of the box lets a wanted class beat the label; None if none was found.

    Args:
        low, high: the box, ``(n_inputs,)`` in the network's order: integers, fractions or floats, which are exact.
        order: classes in the order in which they win ties; by default a tie is a violation.
        timeout: seconds, looked at between sweeps.
        real: inputs are all real numbers of the box, not whole levels alone; the network's integer thresholds
            are then thresholds over real sums.

    Raises:
        UsageError: if the classes are not different classes of the network.
        InputFormatError: if the box is not one of the network's inputs.

    References:
        Komodakis, Paragios, Tziritas: MRF energy minimization by dual decomposition, 2011.
    """
    classes = tuple(wanted)
    if not classes or label in classes or not set(range(network.n_classes)) >= {label, *classes}:
        raise UsageError(
            f"label {label} against classes {list(classes)}: expected others of 0..{network.n_classes - 1}"
        )
    if not network.blocks or isinstance(network.blocks[0], MaxPool):
        return None
    deadline = time.monotonic() + timeout
    world, margins = world_of(network, low, high, real=real), _margins(network, label, classes, order)
    for tile in TILES:
        search = Search.of(world, *margins, tile, deadline)
        for _ in search.rounds():
            if min(search.bounds) >= ENOUGH:
                certificate = search.certificate(classes)
                accepted = check(certificate, network, low, high, label, classes, order=order, real=real)
                return certificate if accepted else None
    return None


def _margins(
    network: Network, label: int, classes: tuple[int, ...], order: Sequence[int] | None
) -> tuple[Floats, list[int]]:
    """Margins ``(classes, channels, rows, columns)`` over the last block's bits, and their offsets."""
    ranking = None if order is None else list(order)
    strict = [ranking is None or ranking.index(c) < ranking.index(label) for c in classes]
    found = [margin(network.output, label, c, tie_violates=s) for c, s in zip(classes, strict, strict=True)]
    shape = (network.shapes[-1][0], *image_size(network.shapes[-1]))
    return np.array([k for k, _ in found], dtype=np.float64).reshape(len(classes), *shape), [o for _, o in found]


@dataclass(eq=False)
class Search:
    """The multipliers of every class as they improve."""

    world: World
    margins: Floats
    offsets: list[int]
    deadline: float
    nogoods: Nogoods
    factors: list[Factor]
    multipliers: Floats
    bounds: list[float]

    @classmethod
    def of(cls, world: World, margins: Floats, offsets: list[int], tile: int, deadline: float) -> Search:
        """Nothing multiplied yet; places that time did not suffice for are left to intervals."""
        nogoods = Nogoods()
        each = factors_of(world, margins, nogoods, tile=tile)
        factors = list(takewhile(lambda _: time.monotonic() < deadline, each))
        multipliers = np.zeros((len(offsets), sum(f.scope.size for f in factors)))
        return cls(world, margins, offsets, deadline, nogoods, factors, multipliers, [-np.inf] * len(offsets))

    def rounds(self) -> Iterator[None]:
        """Improve the bounds, then sharpen the factors, as long as that helps and time is left."""
        worst = -np.inf
        while time.monotonic() < self.deadline:
            self._ascend()
            yield
            if min(self.bounds) - worst < HELPS * abs(worst) or not self._sharpen():
                return
            worst = min(self.bounds)

    def _ascend(self) -> None:
        """Sweeps for each class whose bound is not enough, until they stop helping."""
        problem = Problem.of(self.factors)
        values = np.concatenate([f.least for f in self.factors])
        for i, offset in enumerate(self.offsets):
            column, before = np.ascontiguousarray(values[:, i]), -np.inf
            while self.bounds[i] < ENOUGH and time.monotonic() < self.deadline:
                reached = (
                    ascend(problem, column, self.multipliers[i], enough=ENOUGH - offset, sweeps=SWEEPS_AT_ONCE) + offset
                )
                self.bounds[i] = reached
                if reached < before + max(1.0, 0.01 * abs(reached)):
                    break
                before = reached

    def _sharpen(self) -> bool:
        """Refute the patterns that open classes would take; False if all of them are possible."""
        open_classes = [i for i, bound in enumerate(self.bounds) if bound < ENOUGH]
        starts = [0, *accumulate(f.scope.size for f in self.factors)]
        known = len(self.nogoods)
        for factor, start in zip(self.factors, starts, strict=False):
            if time.monotonic() > self.deadline:
                break
            self._refute(factor, self.multipliers[open_classes, start : start + factor.scope.size], open_classes)
        self.factors = [factor.without(self.nogoods) for factor in self.factors]
        return len(self.nogoods) > known

    def _refute(self, factor: Factor, multipliers: Floats, open_classes: list[int]) -> None:
        if factor.scope.size < 2:
            return
        bits = factor.codes[:, None] >> np.arange(factor.scope.size) & 1
        chosen = (factor.least[:, open_classes] + bits @ multipliers.T).argmin(axis=0)
        for code in np.unique(factor.codes[chosen]).tolist():
            nogood = farkas_nogood(self.world, factor.scope, factor.signs(code))
            if nogood is not None:
                self.nogoods.add(nogood)

    def certificate(self, classes: tuple[int, ...]) -> PatchCertificate:
        """What was found, in integers."""
        total = sum(np.abs(self.margins[i]).sum() + np.abs(self.multipliers[i]).sum() for i in range(len(classes)))
        scale = 1 << max(0, min(SCALE_BITS, NUMBER_BITS - int(total + 1).bit_length()))
        rows = [row for nogood in self.nogoods for row in nogood]
        neurons, signs, multipliers = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return PatchCertificate(
            wanted=np.array(classes, dtype=np.int64),
            scale=scale,
            nogood_offsets=_offsets([len(nogood) for nogood in self.nogoods]),
            nogood_neurons=neurons,
            nogood_signs=signs,
            nogood_multipliers=multipliers,
            site_offsets=_offsets([f.sites.size for f in self.factors]),
            sites=np.concatenate([f.sites for f in self.factors]),
            scope_offsets=_offsets([f.scope.size for f in self.factors]),
            scopes=np.concatenate([f.scope for f in self.factors]),
            multipliers=np.rint(self.multipliers * scale).astype(np.int64),
        )


def _offsets(sizes: list[int]) -> NDArray[np.int64]:
    return np.array([0, *accumulate(sizes)], dtype=np.int64)
