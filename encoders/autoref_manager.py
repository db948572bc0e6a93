"""``dd.autoref``, diagrams in pure Python, behind the contract of :mod:`encoders.manager`.

A hundred times slower than the others, and there wherever Python is. The node limit is looked at after each operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dd.autoref
import numpy as np

from encoders.arrays import PlainArrays, SignedNodes, plain
from encoders.manager import Function, NodeLimitError


class AutorefManager:
    """A manager in pure Python without automatic reordering."""

    def __init__(self, n_variables: int, node_limit: int | None = None) -> None:
        self._store: Any = dd.autoref.BDD()
        self._store.configure(reordering=False)
        self._limit = node_limit
        self._n_variables = n_variables
        self._store.declare(*(str(v) for v in range(n_variables)))
        self.true, self.false = self._store.true, self._store.false

    def variable(self, number: int) -> Function:
        return self._store.var(str(number))

    def negation(self, f: Function) -> Function:
        return ~f

    def conjunction(self, f: Function, g: Function) -> Function:
        return self._limited(f & g)

    def disjunction(self, f: Function, g: Function) -> Function:
        return self._limited(f | g)

    def ite(self, condition: Function, then: Function, otherwise: Function) -> Function:
        return self._limited(self._store.ite(condition, then, otherwise))

    def exists(self, f: Function, variables: Sequence[int]) -> Function:
        return self._limited(self._store.exist([str(v) for v in variables], f))

    def and_exists(self, f: Function, g: Function, variables: Sequence[int]) -> Function:
        return self.exists(f & g, variables)

    def size(self, f: Function) -> int:
        return len(f)

    def node_count(self) -> int:
        return len(self._store)

    def flatten(self, functions: Sequence[Function]) -> PlainArrays:
        place = {1: 0}
        rows = [(self._n_variables, 0, 0)]
        for root in functions:
            self._append(root, place, rows)
        level, low, high = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        roots = np.array([_signed(f, place) for f in functions], dtype=np.int64)
        return plain(SignedNodes(level, low, high, roots))

    def _append(self, root: Function, place: dict[int, int], rows: list[tuple[int, int, int]]) -> None:
        """Append the nodes of one function that are not there yet, children first, without recursion."""
        waiting = [root]
        while waiting:
            f = ~waiting[-1] if waiting[-1].negated else waiting[-1]
            if int(f) in place:
                waiting.pop()
                continue
            level, low, high = self._store.succ(f)
            missing = [child for child in (low, high) if abs(int(child)) not in place]
            if missing:
                waiting += missing
                continue
            place[int(f)] = len(rows)
            rows.append((level, _signed(low, place), _signed(high, place)))

    def _limited(self, f: Function) -> Function:
        if self._limit is not None and len(self._store) > self._limit:
            self._store.collect_garbage()
            if len(self._store) > self._limit:
                raise NodeLimitError(self._limit)
        return f


def _signed(f: Any, place: dict[int, int]) -> int:
    return 2 * place[abs(int(f))] + (int(f) < 0)
