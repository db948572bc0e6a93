"""The two-sided totalizer: a tree of unary sums, each threshold defined in both directions.

The literals are the leaves of a balanced tree. An inner node has literals for "my leaves sum to t or more", only for
thresholds t that the node above asks for, beginning with the bound at the root. Such a literal is fixed by the literals
of the two children along a staircase: for each sum a of the left child, the least sum b of the right one that makes
a + b reach t. Both reached give t, both missed (a by one step) refute t. So the values of all new variables follow
from the leaves, model counts are preserved, and unit propagation finds all that the constraint implies.

Cost: for at least k of n literals O(n min(k, n - k + 1)) clauses and O(n log n) variables; with coefficients, the
number of distinct sums takes the place of n, which suits small coefficients.

References: Bailleux, Boufkhad, "Efficient CNF encoding of Boolean cardinality constraints", 2003; Joshi, Martins,
Manquinho, "Generalized totalizer encoding for pseudo-Boolean constraints", 2015.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from encoders.cnf import Cnf
from encoders.linear import Terms


def define_totalizer(cnf: Cnf, terms: Terms, bound: int, output: int) -> None:
    """The output literal is true iff the coefficients of the true literals sum to *bound* or more.

    Args:
        terms: pairs of a positive coefficient and a literal.
        bound: from 1 to the sum of the coefficients.
        output: a literal of a variable that the formula does not constrain yet.
    """
    leaves = [_Leaf(coefficient, literal, bound) for coefficient, literal in sorted(terms)]
    root = _tree(leaves, bound)
    root.set_threshold(cnf, bound, output)


class _Leaf:
    """A term; ``sums`` are the sums a node can make, ascending from 0, the bound standing for all above it."""

    def __init__(self, coefficient: int, literal: int, bound: int) -> None:
        self.sums = [0, min(coefficient, bound)]
        self.literal = literal

    def threshold(self, cnf: Cnf, index: int) -> int:
        """The literal of "my sum is ``sums[index]`` or more"; index 0 always holds, one past the last never."""
        return (cnf.true, self.literal, -cnf.true)[index]

    def set_threshold(self, cnf: Cnf, least: int, output: int) -> None:
        cnf.add_equal(output, self.threshold(cnf, bisect_left(self.sums, least)))


class _Inner:
    """The sum of two nodes."""

    def __init__(self, left: _Node, right: _Node, bound: int) -> None:
        self.left, self.right = left, right
        self.sums: list[int] = sorted({min(a + b, bound) for a in left.sums for b in right.sums})
        self.known: dict[int, int] = {}

    def threshold(self, cnf: Cnf, index: int) -> int:
        if index in (0, len(self.sums)):
            return cnf.true if index == 0 else -cnf.true
        if index not in self.known:
            self.known[index] = cnf.new_variable()
            self.set_threshold(cnf, self.sums[index], self.known[index])
        return self.known[index]

    def set_threshold(self, cnf: Cnf, least: int, output: int) -> None:
        """The output is true iff the sum is *least* or more, by the staircase; as deep as the tree."""
        start = max(0, bisect_left(self.left.sums, least - self.right.sums[-1]) - 1)
        for i in range(start, len(self.left.sums)):
            j = bisect_left(self.right.sums, least - self.left.sums[i])
            right = self.right.threshold(cnf, j)
            cnf.add(output, -self.left.threshold(cnf, i), -right)
            if j == 0:
                return
            cnf.add(-output, self.left.threshold(cnf, i + 1), right)


_Node = _Leaf | _Inner


def _tree(leaves: Sequence[_Leaf], bound: int) -> _Node:
    """A balanced tree; as deep as the logarithm of the leaves."""
    if len(leaves) == 1:
        return leaves[0]
    middle = len(leaves) // 2
    return _Inner(_tree(leaves[:middle], bound), _tree(leaves[middle:], bound), bound)
