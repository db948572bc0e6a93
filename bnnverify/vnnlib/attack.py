"""Grid points of a box that violate: all of a small box by execution, some of a great one, corners first.

Violations of trained networks lie near corners: of the four violated traffic signs that are published, three are met by
executing a hundred random corners. What is harder is left to annealing. From the best corner, with one flip a pixel to
its other end, it finds the fourth in .2 s, where one flip a grey level from the middle of the box takes 3 s. The second
half of the time starts from a random point, with flips to both ends, so that no grid point is always out of reach.
Each of the two starts lowers the network anew (.4 s for 36,000 neurons), and goes on for at least as long as that took.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import prod

import numpy as np

from bnnverify.engines import annealing
from bnnverify.inference import engine_of
from bnnverify.network import Network
from bnnverify.presolve.flips import Flips
from bnnverify.presolve.lower import lower
from bnnverify.presolve.presolve import Trace, presolve
from bnnverify.presolve.rows import Longs
from bnnverify.presolve.system import System, no_pairs
from bnnverify.scores import score_keys
from bnnverify.vnnlib.races import Goal

SMALL_BOX = 1 << 14
N_CORNERS = 128


def is_small(low: Longs, high: Longs) -> bool:
    """Whether a box has so few grid points, perhaps none, that all are executed."""
    return bool(np.any(low > high)) or prod((high - low + 1).tolist()) <= SMALL_BOX


def violations(
    network: Network, low: Longs, high: Longs, goal: Goal, rng: np.random.Generator, *, deadline_s: float
) -> Iterator[Longs]:
    """Pixels ``(n_inputs,)`` of a box that meet the goal, one after the other; of a small box all of them.

    Args:
        network: of quantized pixels that are their own levels.
        low, high: ``(n_inputs,)`` ends of the box, which is empty where a low exceeds its high.
        deadline_s: of :func:`time.monotonic`. A small box is executed whole whatever it is.

    Raises:
        UnsupportedError: if a great box cannot be lowered.
    """
    if is_small(low, high):
        yield from _executed(network, low, high, goal)
    elif time.monotonic() < deadline_s:
        corners = np.where(rng.random((N_CORNERS, low.size)) < 0.5, low, high)
        leads = goal.leads(engine_of(network).sums(corners))
        yield from corners[leads >= 0]
        halfway_s = (time.monotonic() + deadline_s) / 2
        yield from _annealed(network, _to_the_ends(corners[leads.argmax()], low, high), goal, rng, halfway_s)
        point = rng.integers(low, high + 1)
        yield from _annealed(network, _to_the_ends(point, low, high), goal, rng, deadline_s)


def _executed(network: Network, low: Longs, high: Longs, goal: Goal) -> Iterator[Longs]:
    if np.any(low > high):
        return
    free = np.flatnonzero(low < high)
    sizes = tuple((high - low + 1)[free].tolist())
    pixels = np.tile(low, (prod(sizes), 1))
    if sizes:
        pixels[:, free] += np.stack(np.unravel_index(np.arange(prod(sizes)), sizes), axis=1)
    yield from pixels[goal.leads(engine_of(network).sums(pixels)) >= 0]


def _annealed(
    network: Network, flips: Flips, goal: Goal, rng: np.random.Generator, deadline_s: float
) -> Iterator[Longs]:
    """What annealing finds until the deadline, or for as long as lowering took; nothing if the deadline is past."""
    annealing.load()
    start = time.monotonic()
    if start >= deadline_s:
        return
    system = _lowered(network, flips)
    now = time.monotonic()
    for made in annealing.meeting(system, goal.rows(system), rng, deadline_s=max(deadline_s, 2 * now - start)):
        yield flips.values(made)


def _to_the_ends(point: Longs, low: Longs, high: Longs) -> Flips:
    """A flip to each end at which a pixel is not; both together mirror it in its range, so they need no pair."""
    gains = np.stack([low - point, high - point], axis=1)
    inputs, ends = np.nonzero(gains)
    return Flips(point, inputs, gains[inputs, ends], np.zeros(inputs.size, dtype=np.int64), None, no_pairs())


def _lowered(network: Network, flips: Flips) -> System:
    """What moves, with all classes: a trace without rivals lets presolve drop none."""
    lowered = lower(network, flips, score_keys(network.output))
    return presolve(lowered, trace=Trace(rivals=()))[0]
