"""CUDD through ``dd.cudd`` behind the contract of :mod:`encoders.manager`.

Live nodes are counted against the limit now and then, since CUDD sweeps a large table to count them. CUDD takes no
such limit itself, but one for memory, which it keeps even within one operation: there, ``BYTES_A_NODE`` lets it pass
the limit up to fourfold, for nodes that are dead and for tables. CUDD writes one function to a file; several are
joined below fresh *selector* variables, placed on top, so that joining makes one node a function.

References: Somenzi, "CUDD: CU decision diagram package", release 3.0.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import dd.cudd
import numpy as np
from numpy.typing import NDArray

from encoders.arrays import PlainArrays, SignedNodes, plain, read_dddmp
from encoders.manager import Function, NodeLimitError

BYTES_A_NODE = 128
FIRST_BYTES = 64 << 20
MOST_CACHE_ENTRIES = 1 << 20
NO_LIMIT = 1 << 62
OPERATIONS_A_COUNT = 256


class CuddManager:
    """A CUDD manager without automatic reordering."""

    def __init__(self, n_variables: int, node_limit: int | None = None) -> None:
        self._store = dd.cudd.BDD()
        self._limit = NO_LIMIT if node_limit is None else node_limit
        self._store.configure(reordering=False)
        if node_limit is not None:
            self._store.configure(max_memory=FIRST_BYTES + BYTES_A_NODE * node_limit, max_cache_hard=MOST_CACHE_ENTRIES)
        self._n_variables, self._operations = n_variables, 0
        self._selectors: list[str] = []
        self._store.declare(*(str(v) for v in range(n_variables)))
        self.true, self.false = self._store.true, self._store.false

    def variable(self, number: int) -> Function:
        return self._store.var(str(number))

    def negation(self, f: Function) -> Function:
        return ~f

    def conjunction(self, f: Function, g: Function) -> Function:
        with self._limited():
            return f & g

    def disjunction(self, f: Function, g: Function) -> Function:
        with self._limited():
            return f | g

    def ite(self, condition: Function, then: Function, otherwise: Function) -> Function:
        with self._limited():
            return self._store.ite(condition, then, otherwise)

    def exists(self, f: Function, variables: Sequence[int]) -> Function:
        with self._limited():
            return self._store.exist([str(v) for v in variables], f)

    def and_exists(self, f: Function, g: Function, variables: Sequence[int]) -> Function:
        with self._limited():
            return dd.cudd.and_exists(f, g, [str(v) for v in variables])

    def size(self, f: Function) -> int:
        return len(f)

    def node_count(self) -> int:
        return len(self._store)

    def peak_nodes(self) -> int:
        """The most nodes alive at one time so far."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return int(self._store.statistics()["peak_live_nodes"])

    def sift(self) -> NDArray[np.int64]:
        """Sift all variables for the functions that are alive.

        Returns:
            ``(n_variables,)`` the variables from the top down.
        """
        dd.cudd.reorder(self._store)
        return np.argsort(self._levels()[: self._n_variables]).astype(np.int64)

    def flatten(self, functions: Sequence[Function]) -> PlainArrays:
        if not functions:
            return plain(_nothing(self._n_variables))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "diagram.dddmp"
            self._store.dump(str(path), [self._joined(functions)])
            joined = read_dddmp(path, self._levels(), self._levels().size)
        return _separated(plain(joined), len(functions), self._n_variables)

    def _levels(self) -> NDArray[np.int64]:
        """Level of each variable by its name, selectors included."""
        n = self._n_variables + len(self._selectors)
        return np.array([self._store.level_of_var(str(v)) for v in range(n)], dtype=np.int64)

    def _joined(self, functions: Sequence[Function]) -> Function:
        """One function from which a path of selectors leads to each: the first if the top one is true, and so on."""
        while len(self._selectors) < len(functions) - 1:
            self._selectors.append(str(self._n_variables + len(self._selectors)))
            self._store.insert_var(self._selectors[-1], 0)
        rest = functions[-1]
        for name, f in zip(self._selectors, reversed(functions[:-1]), strict=False):
            rest = self._store.ite(self._store.var(name), f, rest)
        return rest

    @contextmanager
    def _limited(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            if "NULL" not in str(error):
                raise
            raise NodeLimitError(self._limit) from error
        self._operations += 1
        if self._operations % OPERATIONS_A_COUNT == 0 and len(self._store) > self._limit:
            raise NodeLimitError(self._limit)


def _nothing(n_variables: int) -> SignedNodes:
    """No functions: the terminal alone."""
    return SignedNodes(np.array([n_variables]), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))


def _separated(joined: PlainArrays, n_functions: int, n_variables: int) -> PlainArrays:
    """The functions below the selectors, which are missing where a function equals all that follow."""
    n_selectors = int(joined.level[0]) - n_variables
    node, roots = joined.roots[0], []
    for selector in range(n_selectors - n_functions + 1, n_selectors):
        is_there = joined.level[node] == selector
        roots.append(joined.high[node] if is_there else node)
        node = joined.low[node] if is_there else node
    kept = joined.level >= n_selectors
    level = joined.level[kept] - np.int32(n_selectors)
    return PlainArrays(level, joined.low[kept], joined.high[kept], np.array([*roots, node], dtype=np.int32))
