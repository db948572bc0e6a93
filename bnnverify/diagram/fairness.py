"""Fairness of a decision, counted: between groups, and for each input by itself.

*Between groups*: how many inputs with a protected value have each class. A condition fixes some levels; the
roots' cofactors, counted, are the classes of its members. Rates of two groups are compared by their
difference (demographic parity) and their ratio (disparate impact).
*For each input*: an input of root i is treated unfairly if other values of the protected levels alone move it to
root j. Quantified over these levels, root j says which inputs they can move there; its conjunction with root i
holds them exactly, to be counted, sampled or searched. What lies outside all roots is no input.
Cost: a cofactor and a count a condition; one quantification, then an apply a pair of roots.

References: Dwork, Hardt, Pitassi, Reingold, Zemel, "Fairness through awareness", 2012; Kusner, Loftus, Russell,
Silva, "Counterfactual fairness", 2017; for diagrams, Darwiche and Hirth, "On the reasons behind decisions", 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.apply import AND, combine, union
from bnnverify.diagram.count import counts
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.nearest import nearest
from bnnverify.diagram.quantify import cofactor, exists
from bnnverify.errors import UsageError


def conditional_counts(diagram: FlatDiagram, conditions: Sequence[Mapping[int, int]]) -> list[list[int]]:
    """For each condition the number of its inputs in each root.

    Args:
        diagram: the functions.
        conditions: each the value 0 or 1 of some levels.

    Raises:
        UsageError: if there is no such level, or a value is neither 0 nor 1.

    Complexity: O(nodes) a condition.

    >>> at_least_one_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 2], [0, 1, 1, 1], [3], 2)
    >>> conditional_counts(at_least_one_of_two, [{}, {0: 0}, {0: 1}])
    [[3], [1], [2]]
    """
    return [[n >> len(fixed) for n in counts(cofactor(diagram, fixed))] for fixed in conditions]


def disparity(rates: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """The greatest difference between two rates, and the least ratio; equal rates, zeros too, have ratio 1.

    >>> difference, ratio = disparity([Fraction(1, 2), Fraction(1, 3)])
    >>> str(difference), str(ratio)
    ('1/6', '2/3')
    """
    if not rates:
        raise UsageError("disparity: found no rates, expected one for each group")
    least, most = min(rates), max(rates)
    return most - least, Fraction(1) if least == most else least / most


@dataclass(frozen=True, eq=False)
class Movable:
    """Inputs that other values of some levels alone move from one root to another.

    Args:
        pairs: ``(i, j)``: from root i to root j.
        inputs: one root a pair: the inputs of root i that can be moved to root j.
        counts: their exact numbers.
        by_root: for each root of the diagram the number of its inputs that can be moved to any other.
    """

    pairs: tuple[tuple[int, int], ...]
    inputs: FlatDiagram
    counts: tuple[int, ...]
    by_root: tuple[int, ...]


def movable(diagram: FlatDiagram, levels: Iterable[int], *, node_limit: int | None = None) -> Movable:
    """The inputs of every root that changing these levels alone moves to another root.

    Args:
        diagram: disjoint functions.
        levels: the levels that may change, to whatever values some root holds.
        node_limit: most nodes of an intermediate diagram.

    Raises:
        UsageError: if there is no such level.
        TooManyNodesError: past the node limit.

    Complexity: O(nodes^2) at worst, for each level and each pair of roots.
    """
    n_roots = diagram.roots.size
    reachable = exists(diagram, levels, node_limit=node_limit)
    pairs = tuple(permutations(range(n_roots), 2))
    inputs = combine(diagram, reachable, pairs, AND, node_limit=node_limit)
    leaving = [[pair for pair, (i, _) in enumerate(pairs) if i == root] for root in range(n_roots)]
    # what can be moved to several roots is in several pairs, but counts once
    by_root = tuple(counts(union(inputs, pairs_of, node_limit=node_limit))[0] for pairs_of in leaving)
    return Movable(pairs, inputs, tuple(counts(inputs)), by_root)


def twin(
    diagram: FlatDiagram, roots: Sequence[int], x: NDArray[np.uint8], levels: Iterable[int]
) -> NDArray[np.uint8] | None:
    """An input of some roots that differs from another in the fewest of these levels, and in no other; None if none is.

    Args:
        roots: numbers of roots.
        x: ``(n_levels,)`` of 0 and 1, the input to differ from.
        levels: the levels that may differ.

    Complexity: O(nodes).
    """
    far = diagram.n_levels + 1
    prices = np.full(diagram.n_levels, far, dtype=np.int64)
    prices[list(levels)] = 1
    found = nearest(diagram, roots, x, prices)
    return None if found is None or found[0] >= far else found[1]
