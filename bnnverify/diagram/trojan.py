"""How often a trigger works: inputs that move to a target once some of their bits are stamped.

The *stamped* functions say of an input where its stamped copy lies. As stamping fixes the levels of the trigger,
they are cofactors of the originals; or, where stamped copies leave what the diagram speaks of (a Hamming
ball), functions of a diagram of their own, on which these levels are free as well. The conjunction of root i
before and of the target after holds just the inputs that the trigger moves from i to the target.
Cost: two applies a root, and counts.

References: Gu, Dolan-Gavitt, Garg, "BadNets", 2017; counted approximately by Baluta, Shen, Shinde, Meel, Saxena,
"Quantitative verification of neural networks and its security applications", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bnnverify.diagram.apply import AND, combine, union
from bnnverify.diagram.count import counts
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.errors import UsageError


@dataclass(frozen=True, eq=False)
class Trojan:
    """What stamping does to the inputs of each root.

    Args:
        target: number of the target root.
        before: number of inputs of each root.
        hits: how many of them are in the target once they are stamped.
        lost: how many of them are then in no root.
        inputs: one root for each: those that ``hits`` counts.
    """

    target: int
    before: tuple[int, ...]
    hits: tuple[int, ...]
    lost: tuple[int, ...]
    inputs: FlatDiagram

    @property
    def others(self) -> list[int]:
        """All roots but the target."""
        return [root for root in range(len(self.before)) if root != self.target]

    @property
    def moved(self) -> int:
        """Inputs outside the target that the trigger moves there."""
        return sum(self.hits[root] for root in self.others)

    @property
    def rate(self) -> Fraction | None:
        """Their share of the inputs outside the target; None if there are none."""
        candidates = sum(self.before[root] for root in self.others)
        return Fraction(self.moved, candidates) if candidates else None


def trojan(diagram: FlatDiagram, stamped: FlatDiagram, target: int, *, node_limit: int | None = None) -> Trojan:
    """Count, for each root, what a trigger moves to the target.

    Args:
        diagram: disjoint functions.
        stamped: as many functions, which say of an input in which root its stamped copy lies.
        target: number of a root.
        node_limit: most nodes of a conjunction.

    Raises:
        UsageError: if there is no such root.
        TooManyNodesError: past the node limit.

    Complexity: O(nodes^2) a root at worst, mostly linear.

    >>> from bnnverify.diagram.quantify import cofactor
    >>> equal_or_not = FlatDiagram([2, 2, 1, 1, 0, 0], [0, 1, 1, 0, 2, 3], [0, 1, 0, 1, 3, 2], [4, 5], 2)
    >>> trojan(equal_or_not, cofactor(equal_or_not, {0: 1}), target=1).hits
    (1, 1)
    """
    n_roots = diagram.roots.size
    if not 0 <= target < n_roots:
        raise UsageError(f"target root {target}: expected 0..{n_roots - 1}")
    inputs = combine(diagram, stamped, [(root, target) for root in range(n_roots)], AND, node_limit=node_limit)
    anywhere = union(stamped, range(n_roots), node_limit=node_limit)
    kept = combine(diagram, anywhere, [(root, 0) for root in range(n_roots)], AND, node_limit=node_limit)
    before = tuple(counts(diagram))
    lost = tuple(n - m for n, m in zip(before, counts(kept), strict=True))
    return Trojan(target, before, tuple(counts(inputs)), lost, inputs)
