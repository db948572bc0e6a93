"""Exact Banzhaf values of all levels, or of features of several levels, from one point.

A feature's Banzhaf value is its expected gain by joining if each other feature joins with probability one
half: the polynomial of :mod:`bnnverify.diagram.game` at q = 1/2. Cost: two passes, under .1 us a node in floats.

Reference: Banzhaf, "Weighted voting doesn't work", 1965.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.game import game
from bnnverify.diagram.probability import Chances, Numbers, plain


def banzhaf(
    diagram: FlatDiagram,
    roots: Sequence[int],
    x: ArrayLike,
    *,
    p: Chances | None = None,
    features: Sequence[ArrayLike] | None = None,
    valid: Chances | None = None,
    exact: bool = False,
) -> Numbers:
    """Banzhaf values of an instance: a feature's mean gain over all sets of other features.

    Arguments, results and errors as :func:`bnnverify.diagram.shapley.shapley`; the values need not add up.

    Complexity: O(nodes), times 2^k for k features of levels that are not adjacent.

    >>> both_of_two = FlatDiagram([2, 2, 1, 0], [0, 1, 0, 0], [0, 1, 1, 2], [3], 2)
    >>> banzhaf(both_of_two, [0], [1, 1])
    [0.375, 0.375]
    """
    played = game(diagram, roots, x, p=p, features=features, valid=valid, exact=exact)
    half = np.array([Fraction(1, 2)], dtype=object) if exact else np.array([0.5])
    return plain(played.gains(half)[:, 0])
