"""OxiDD's diagrams with complement edges (``oxidd.bcdd``) behind the contract of :mod:`encoders.manager`.

OxiDD allots all its nodes when it starts, so its node limit is exact and holds within one operation; memory is
touched only as nodes are used. Nodes that nothing refers to are counted until they are collected. It writes any
number of functions to one DDDMP file.

References: Husung, Dubslaff, Hermanns, Koehl, "OxiDD: a safe, concurrent, modular, and performant decision diagram
framework in Rust", TACAS 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from oxidd.bcdd import BCDDManager
from oxidd.util import BooleanOperator, DDMemoryError

from encoders.arrays import PlainArrays, plain, read_dddmp
from encoders.manager import Function, NodeLimitError

MOST_NODES = 1 << 26
CACHE_ENTRIES = 1 << 20


class OxiddManager:
    """An OxiDD manager of diagrams with complement edges, by default on one thread."""

    def __init__(self, n_variables: int, node_limit: int | None = None, *, threads: int = 1) -> None:
        self._limit = MOST_NODES if node_limit is None else node_limit
        self._store = BCDDManager(self._limit, min(CACHE_ENTRIES, self._limit), threads)
        self._store.add_vars(n_variables)
        self._n_variables = n_variables
        self.true, self.false = self._store.true(), self._store.false()

    def variable(self, number: int) -> Function:
        return self._limited(lambda: self._store.var(number))

    def negation(self, f: Function) -> Function:
        return ~f

    def conjunction(self, f: Function, g: Function) -> Function:
        return self._limited(lambda: f & g)

    def disjunction(self, f: Function, g: Function) -> Function:
        return self._limited(lambda: f | g)

    def ite(self, condition: Function, then: Function, otherwise: Function) -> Function:
        return self._limited(lambda: condition.ite(then, otherwise))

    def exists(self, f: Function, variables: Sequence[int]) -> Function:
        return self._limited(lambda: f.exists(self._cube(variables)))

    def and_exists(self, f: Function, g: Function, variables: Sequence[int]) -> Function:
        return self._limited(lambda: f.apply_exists(BooleanOperator.AND, g, self._cube(variables)))

    def size(self, f: Function) -> int:
        return int(f.node_count())

    def node_count(self) -> int:
        return int(self._store.num_inner_nodes())

    def flatten(self, functions: Sequence[Function]) -> PlainArrays:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "diagram.dddmp"
            self._store.export_dddmp(str(path), [self.true, *functions], ascii=True, strict=False)
            signed = read_dddmp(path, np.arange(self._n_variables + 1), self._n_variables)
        return plain(signed.without_first_root())

    def _cube(self, variables: Sequence[int]) -> Function:
        cube = self.true
        for v in sorted(variables, reverse=True):
            cube = cube & self._store.var(v)
        return cube

    def _limited(self, operation: Callable[[], Function]) -> Function:
        """The operation's result, if need be after a collection of nodes that nothing refers to."""
        try:
            return operation()
        except DDMemoryError:
            self._store.gc()
        try:
            return operation()
        except DDMemoryError as error:
            raise NodeLimitError(self._limit) from error
