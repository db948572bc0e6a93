"""How many of its codes a feature may take, where valid inputs are all combinations of them.

Shapley values compare an instance with features that vary independently. Under a theory they do if it is a
product: any valid code of one feature goes with any of another. A theory's inputs lie within the product
of what its constraints say about each feature alone, so it is one if and only if both have as many members.
Cost: a small diagram a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.constraints import theory_diagram
from bnnverify.diagram.count import counts
from bnnverify.errors import UnsupportedError
from bnnverify.theories import Theory


def valid_shares(
    theory: Theory,
    groups: Sequence[Sequence[int]],
    inputs: NDArray[np.int64],
    center: NDArray[np.int8],
    n_members: int,
) -> list[Fraction]:
    """For each feature the share of its codes that are valid.

    Args:
        theory: which inputs are valid.
        groups: the levels of each feature, disjoint, none empty.
        inputs: ``(n_levels,)`` the input bit at each level.
        center: ``(n_inputs,)`` over -1 and +1: the values of the bits that have no level.
        n_members: number of inputs that the diagram speaks of: valid, and within the region.

    Raises:
        UnsupportedError: if these are not all combinations of the features' valid codes and of free bits.

    Complexity: O(k^3) for a feature of k bits.

    >>> import numpy as np
    >>> from bnnverify.theories import OneHot
    >>> one_of_three = Theory((OneHot((0, 1, 2)),))
    >>> valid_shares(one_of_three, [[0, 1, 2], [3]], np.arange(4), np.ones(4, dtype=np.int8), 6)
    [Fraction(3, 8), Fraction(1, 1)]
    """
    n_valid = [_valid_codes(theory, inputs[list(levels)], inputs, center) for levels in groups]
    n_apart = inputs.size - sum(map(len, groups))
    n_combined = prod(n_valid) << n_apart
    if n_combined != n_members:
        raise UnsupportedError(
            f"features: valid codes combine to {n_combined} inputs, but {n_members} are in the region and valid; "
            "expected independent bits or features: no ball, every constraint within one of the features named"
        )
    return [Fraction(n, 1 << len(levels)) for n, levels in zip(n_valid, groups, strict=True)]


def _valid_codes(theory: Theory, bits: NDArray[np.int64], inputs: NDArray[np.int64], center: NDArray[np.int8]) -> int:
    """How many values of these bits satisfy the constraints that speak of no other free bit."""
    others = set(inputs.tolist()) - set(bits.tolist())
    mine = Theory(tuple(c for c in theory.constraints if others.isdisjoint(c.indices)))
    if not mine.constraints:
        return 1 << bits.size
    level_of_input = np.full(center.size, -1)
    level_of_input[bits] = np.arange(bits.size)
    return counts(theory_diagram(mine, level_of_input, bits.size, center))[0]
