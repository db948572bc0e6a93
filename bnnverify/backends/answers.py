"""What a back end is asked and what it answers, and how a package that may be missing is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Answer:
    """Whether a formula can be met.

    Args:
        satisfiable: None where a limit came first, or the library gave up.
        model: ``(n_variables + 1,)``, variable v's value at v, where the formula can be met; at 0 nothing.
        remark: why there is no answer, or nothing.
    """

    satisfiable: bool | None
    model: NDArray[np.bool_] | None
    remark: str


@dataclass(frozen=True)
class Request:
    """How a formula is to be solved.

    Args:
        encoding: a key of ``encoders.encode.ENCODINGS``, or None for back ends that take constraints as they are.
        seed: a number from 0, for back ends that have one.
        prefer: literals to try first, at most one a variable, for back ends that take such advice.
        timeout: seconds, for back ends that keep them on their own.
    """

    encoding: str | None = None
    seed: int = 0
    prefer: tuple[int, ...] = ()
    timeout: float | None = None


def unmet() -> Answer:
    return Answer(False, None, "")


def met(literals: Iterable[int], n_variables: int) -> Answer:
    """The answer with a model given by its literals; variables that it leaves out are false, new ones are dropped."""
    values = np.zeros(n_variables + 1, dtype=np.bool_)
    values[[literal for literal in literals if 0 < literal <= n_variables]] = True
    return Answer(True, values, "")


@contextmanager
def interrupts_named() -> Iterator[None]:
    """Ctrl-C as KeyboardInterrupt: libraries that catch it in native code raise errors of their own."""
    try:
        yield
    except Exception as error:
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from error
        raise


def require_package(module: str, extra: str) -> Any:
    """A package of an extra, imported.

    Raises:
        UnsupportedError: if it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise UnsupportedError(
            f"the package {package} is not installed here ({error}): pip install 'bnnverify[{extra}]'"
        ) from error
