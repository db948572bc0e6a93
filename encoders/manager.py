"""What a decision-diagram package must do for us, and how to open one by name.

Building a diagram needs few operations; they are the contract. Functions are the package's own handles:
equal functions are equal handles, and hash alike. A finished diagram leaves its package once, as arrays
(:mod:`encoders.arrays`), and is never walked node by node through Python.

Three backends follow the contract: ``cudd`` (dd's build of CUDD), ``oxidd`` (OxiDD's diagrams with complement
edges, if installed) and ``autoref`` (dd in pure Python, always there).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from encoders.arrays import PlainArrays

BACKENDS = ("cudd", "oxidd", "autoref")
Function = Any


class NodeLimitError(Exception):
    """A diagram outgrew its node limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} nodes")
        self.limit = limit


class Manager(Protocol):
    """A shared store of functions over variables 0, 1, ..., the first at the top.

    Every operation raises :class:`NodeLimitError` once the store has outgrown its limit.
    """

    true: Function
    false: Function

    def variable(self, number: int) -> Function:
        """The function that is the variable itself; O(1)."""

    def negation(self, f: Function) -> Function:
        """Not f; O(1) with complement edges."""

    def conjunction(self, f: Function, g: Function) -> Function:
        """f and g; O(|f| |g|)."""

    def disjunction(self, f: Function, g: Function) -> Function:
        """f or g; O(|f| |g|)."""

    def ite(self, condition: Function, then: Function, otherwise: Function) -> Function:
        """Then where the condition holds, otherwise elsewhere; O(1) where it is a variable above both."""

    def exists(self, f: Function, variables: Sequence[int]) -> Function:
        """Whether some values of the variables make f true."""

    def and_exists(self, f: Function, g: Function, variables: Sequence[int]) -> Function:
        """``exists(conjunction(f, g), variables)`` without building the conjunction."""

    def size(self, f: Function) -> int:
        """Nodes of one function, as the package counts them."""

    def node_count(self) -> int:
        """Nodes in the store now."""

    def flatten(self, functions: Sequence[Function]) -> PlainArrays:
        """The functions as arrays; O(nodes)."""


def open_manager(backend: str, n_variables: int, *, node_limit: int | None = None) -> Manager:
    """A fresh store with variables 0..n_variables - 1 from the top down.

    Args:
        backend: one of ``BACKENDS``.
        node_limit: greatest number of nodes in the store; None for as many as memory holds.

    Raises:
        ImportError: if the package is not installed.
        ValueError: if there is no such backend.
    """
    if backend == "cudd":
        from encoders.cudd_manager import CuddManager

        return CuddManager(n_variables, node_limit)
    if backend == "oxidd":
        from encoders.oxidd_manager import OxiddManager

        return OxiddManager(n_variables, node_limit)
    if backend == "autoref":
        from encoders.autoref_manager import AutorefManager

        return AutorefManager(n_variables, node_limit)
    raise ValueError(f"no decision-diagram backend {backend!r}, expected one of {', '.join(BACKENDS)}")


def available_backends() -> tuple[str, ...]:
    """The backends that are installed, the usual one first."""
    return tuple(name for name in BACKENDS if _is_installed(name))


def _is_installed(backend: str) -> bool:
    try:
        open_manager(backend, 0)
    except ImportError:
        return False
    return True
