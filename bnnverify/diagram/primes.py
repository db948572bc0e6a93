"""All prime implicants of a function, as a ZDD of literals.

An implicant is a conjunction of literals that makes the function true; it is prime if none can be left out. With f_0
and f_1 the cofactors of the top variable v, the primes of f without v are those of f_0 f_1, and those with a
literal of v are the primes of f_0 (of f_1) that contain no prime of f_0 f_1. Literals are numbered
``2 * level + value``, so a prime is a set of them, and a family of primes is counted and streamed without being
written out.

Cost: memoized over the nodes of f and of the products f_0 f_1, of which there can be many more; limited in nodes.

Reference: Coudert and Madre, "Implicit and incremental computation of primes and essential primes of Boolean
functions", 1992.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnnverify.diagram.families import EMPTY, UNIT, Families, SetFamily
from bnnverify.diagram.flat import FALSE, TRUE, FlatDiagram
from bnnverify.diagram.unique import TooManyNodesError


def prime_implicants(diagram: FlatDiagram, roots: Sequence[int], *, node_limit: int | None = None) -> SetFamily:
    """All prime implicants of the union of some roots.

    Args:
        roots: the functions; their union is meant.
        node_limit: most nodes of products, and of families, that may be made on the way.

    Returns:
        A family of sets of literals ``2 * level + value``; :func:`literals` reads one.

    Raises:
        TooManyNodesError: past the limit.

    >>> import numpy as np
    >>> xor = FlatDiagram(*map(np.array, ([2, 2, 1, 1, 0], [0, 1, 0, 1, 2], [0, 1, 1, 0, 3], [4])), n_levels=2)
    >>> [literals(prime) for prime in prime_implicants(xor, [0])]
    [((0, 0), (1, 1)), ((0, 1), (1, 0))]
    """
    families = Families(2 * diagram.n_levels, node_limit=node_limit)
    functions = _Functions(diagram, node_limit)
    with families.deep():
        function = functions.union(diagram.roots[list(roots)].tolist())
        return families.family(_Primes(functions, families).of(function))


def literals(prime: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """The levels and values of a prime's literals, by level."""
    return tuple((literal >> 1, literal & 1) for literal in sorted(prime))


class _Functions:
    """The diagram's nodes and those of products and unions, as growing lists."""

    def __init__(self, diagram: FlatDiagram, node_limit: int | None) -> None:
        self.level: list[int] = diagram.level.tolist()
        self.low: list[int] = diagram.low.tolist()
        self.high: list[int] = diagram.high.tolist()
        rows = zip(self.level, self.low, self.high, strict=True)
        self._unique = {row: node for node, row in enumerate(rows) if node > TRUE}
        self._limit = node_limit
        self._memo: dict[tuple[int, int, int], int] = {}

    def both(self, a: int, b: int) -> int:
        """Their conjunction: false absorbs, true is neutral."""
        return self._joined(a, b, FALSE)

    def union(self, nodes: Sequence[int]) -> int:
        """Their disjunction: true absorbs, false is neutral."""
        result = FALSE
        for node in nodes:
            result = self._joined(result, node, TRUE)
        return result

    def _joined(self, a: int, b: int, absorbing: int) -> int:
        if a == b or absorbing in (a, b):
            return absorbing if a != b else a
        if a <= TRUE or b <= TRUE:
            return max(a, b)
        key = (a, b, absorbing) if a < b else (b, a, absorbing)
        found = self._memo.get(key)
        if found is None:
            top = min(self.level[a], self.level[b])
            low = self._joined(self.cofactor(a, top, 0), self.cofactor(b, top, 0), absorbing)
            high = self._joined(self.cofactor(a, top, 1), self.cofactor(b, top, 1), absorbing)
            found = self._memo[key] = self._node(top, low, high)
        return found

    def cofactor(self, node: int, level: int, value: int) -> int:
        if self.level[node] != level:
            return node
        return self.high[node] if value else self.low[node]

    def _node(self, level: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (level, low, high)
        found = self._unique.get(key)
        if found is not None:
            return found
        if self._limit is not None and len(self.level) >= self._limit:
            raise TooManyNodesError(self._limit)
        self.level.append(level)
        self.low.append(low)
        self.high.append(high)
        self._unique[key] = len(self.level) - 1
        return len(self.level) - 1


class _Primes:
    """The memoized recursion over functions; as deep as there are levels."""

    def __init__(self, functions: _Functions, families: Families) -> None:
        self._functions, self._families = functions, families
        self._memo = {FALSE: EMPTY, TRUE: UNIT}

    def of(self, function: int) -> int:
        """The family of the function's primes."""
        found = self._memo.get(function)
        if found is None:
            found = self._memo[function] = self._split(function)
        return found

    def _split(self, function: int) -> int:
        functions, families = self._functions, self._families
        level, low, high = functions.level[function], functions.low[function], functions.high[function]
        without = self.of(functions.both(low, high))
        with_0 = families.without_supersets(self.of(low), without)
        with_1 = families.without_supersets(self.of(high), without)
        return families.node(2 * level, families.node(2 * level + 1, without, with_1), with_0)
