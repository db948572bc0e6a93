"""The one question that explanations ask, whoever answers it.

*May these features change so that the class does?* Everything in this room is built from that question:
a sufficient set is one whose other features may change freely without effect. A decision diagram
answers by one pass over its nodes, the exact engines by bounds, attack and search; the latter may run into
a limit, so a reply has three values.

A *feature* is a group of 0/1 variables, which change together or not at all as far as explanations are
concerned; by default every variable is one. Variables of no feature keep their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Reply:
    """What an oracle answers.

    Args:
        changed: features that differ between the instance and a counterexample; None without one.
        flips: the variables that differ, increasing.
        decided: False where a limit came before an answer; then there is no counterexample to show.
    """

    changed: frozenset[int] | None
    flips: tuple[int, ...] = ()
    decided: bool = True

    @property
    def proved(self) -> bool:
        """Whether it is certain that no counterexample exists."""
        return self.decided and self.changed is None


SUFFICIENT = Reply(None)
UNDECIDED = Reply(None, decided=False)


@dataclass(frozen=True)
class Nearest:
    """A counterexample with few changed features, and how many every counterexample changes at least."""

    reply: Reply
    lower: int

    @property
    def proved(self) -> bool:
        """Whether no counterexample changes fewer features."""
        return self.reply.changed is not None and len(self.reply.changed) == self.lower


class Oracle(Protocol):
    """Decides whether an instance's class can change when only some features may."""

    @property
    def n_features(self) -> int: ...

    def counterexample(self, free: NDArray[np.bool_]) -> Reply:
        """A counterexample that changes features of ``free`` ``(n_features,)`` only, with at least one change."""

    def nearest(self) -> Nearest | None:
        """A counterexample with the fewest changed features, or None where the oracle knows no direct way."""

    def sufficient(self) -> frozenset[int] | None:
        """A subset-minimal sufficient set of features, or None where the oracle knows no direct way."""

    def necessary(self) -> frozenset[int] | None:
        """The features that alone can change the class, or None where the oracle knows no direct way."""


class Calls:
    """An oracle that counts how often it is asked."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self.n_features = oracle.n_features
        self.made = 0

    def counterexample(self, free: NDArray[np.bool_]) -> Reply:
        self.made += 1
        return self._oracle.counterexample(free)

    def nearest(self) -> Nearest | None:
        found = self._oracle.nearest()
        self.made += found is not None
        return found

    def sufficient(self) -> frozenset[int] | None:
        found = self._oracle.sufficient()
        self.made += found is not None
        return found

    def necessary(self) -> frozenset[int] | None:
        found = self._oracle.necessary()
        self.made += found is not None
        return found


def mask(n_features: int, features: Iterable[int]) -> NDArray[np.bool_]:
    """``(n_features,)``: which features are among the given ones."""
    chosen = np.zeros(n_features, dtype=np.bool_)
    chosen[list(features)] = True
    return chosen


def feature_groups(groups: Sequence[Sequence[int]] | None, n_variables: int) -> Groups:
    """The variables of each feature; one feature a variable where none are given.

    Raises:
        UsageError: if a feature is empty, or a variable is none or belongs to two features.

    >>> feature_groups([[0, 1], [3]], 4)
    ((0, 1), (3,))
    """
    if groups is None:
        return tuple((variable,) for variable in range(n_variables))
    listed = [int(variable) for group in groups for variable in group]
    if any(len(group) == 0 for group in groups):
        raise UsageError("features: found one without inputs, expected at least one each")
    if listed and not 0 <= min(listed) <= max(listed) < n_variables:
        raise UsageError(f"features: found input {max(listed, key=abs)}, expected 0..{n_variables - 1}")
    if len(set(listed)) < len(listed):
        raise UsageError("features: found an input in two features, expected each in one at most")
    return tuple(tuple(int(variable) for variable in group) for group in groups)


def feature_of_variable(groups: Groups, n_variables: int) -> NDArray[np.int64]:
    """``(n_variables,)``: the feature of each variable, -1 for none."""
    feature = np.full(n_variables, -1, dtype=np.int64)
    for index, group in enumerate(groups):
        feature[list(group)] = index
    return feature
