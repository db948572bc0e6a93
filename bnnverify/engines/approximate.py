"""The ``approx`` engine: how many inputs each class has, within a factor 1 + epsilon, at a confidence of 1 - delta.

One formula a class, over all flips of the region, in clauses whose other variables the flips determine; ApproxMC
counts them projected on the flips. The failure probability is shared out among the classes, so that all counts hold
at once with the confidence asked for. A class that presolve leaves alone is counted exactly.

Reference: Chakraborty, Meel, Vardi, "A scalable approximate model counter", 2013; Baluta et al., "Quantitative
verification of neural networks and its security applications", 2019 (for networks).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bnnverify.backends.counting import approximate_count, exact_count
from bnnverify.engines.contract import Tally, Tolerance
from bnnverify.levelregions import LevelRegion
from bnnverify.network import Network
from bnnverify.presolve.flips import flips_of
from bnnverify.presolve.goal import goal
from bnnverify.presolve.lower import lower
from bnnverify.presolve.presolve import presolve
from bnnverify.presolve.system import System
from bnnverify.regions import BitRegion
from bnnverify.scores import score_keys
from encoders.formula import Formula


def approximate_classes(
    network: Network, region: BitRegion | LevelRegion, order: Sequence[int], tolerance: Tolerance, seed: int
) -> Tally:
    """Approximate counts per class of a region that is not empty."""
    system = _system(network, region, order)
    delta = tolerance.delta / max(system.classes.size, 1)

    def count(formula: Formula) -> int:
        return approximate_count(formula, epsilon=tolerance.epsilon, delta=delta, seed=seed)

    rows = _counted(system, region.size, count)
    return Tally([rows], f"ApproxMC, each count within a factor {1 + tolerance.epsilon:g}, seed {seed}")


def exact_classes(network: Network, region: BitRegion | LevelRegion, order: Sequence[int]) -> Tally:
    """The same by Ganak, exact but for hash collisions: what ``--check`` compares approximate counts with."""
    return Tally([_counted(_system(network, region, order), region.size, exact_count)], "Ganak")


def _system(network: Network, region: BitRegion | LevelRegion, order: Sequence[int]) -> System:
    lowered = lower(network, flips_of(region), score_keys(network.output, order))
    return presolve(lowered, exchange=False)[0]


def _counted(system: System, size: int, count: Callable[[Formula], int]) -> dict[int, int]:
    counts = {}
    for label in system.classes.tolist():
        asked = goal(system, [label])
        n = count(asked.formula) if asked.formula is not None else size if asked.trivial else 0
        if n:
            counts[label] = n
    return counts
