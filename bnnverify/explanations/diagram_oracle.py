"""The oracle over a decision diagram: every question is one pass over the nodes, and always decided.

A minimal sufficient set, a nearest counterexample and the necessary features are known after one pass, unasked.

Where each feature is one variable, the counterexample is a nearest one, so it is a smallest contrastive
explanation as it stands. Where a feature has several, flips cost alike and the nearest is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.forced import FAR, cheapest_flips
from bnnverify.diagram.neighbours import changing_levels, ends
from bnnverify.diagram.sufficient import sufficient_features
from bnnverify.errors import UsageError
from bnnverify.explanations.oracle import SUFFICIENT, Nearest, Reply, feature_groups, feature_of_variable


class DiagramOracle:
    """Decides by walking a diagram whether any of some roots can be reached.

    Args:
        diagram: the compiled functions.
        bad: roots that count as a changed class.
        x: ``(n_levels,)`` 0/1, the instance.
        groups: the levels of each feature; default one feature a level. Other levels keep their values.

    Raises:
        UsageError: if the instance does not fit, is in a bad root itself, or the groups overlap.

    Complexity:
        O(nodes below the bad roots) a question.
    """

    def __init__(
        self,
        diagram: FlatDiagram,
        bad: Sequence[int],
        x: NDArray[np.integer[Any]],
        *,
        groups: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.groups = feature_groups(groups, diagram.n_levels)
        self.n_features = len(self.groups)
        self._x = _instance(x, diagram.n_levels)
        self._diagram, self._bad = diagram, list(bad)
        self._feature = feature_of_variable(self.groups, diagram.n_levels)
        self._single = all(len(group) == 1 for group in self.groups)
        if any(ends(self._whole, self._x)):
            raise UsageError("instance: it has one of the classes that count as changed; expected another")

    def counterexample(self, free: NDArray[np.bool_]) -> Reply:
        """A counterexample within the free features, or the proof that there is none."""
        may_flip = (self._feature >= 0) & free[self._feature] if self.n_features else np.zeros_like(self._x, bool)
        found = cheapest_flips(self._used, self._x, np.where(may_flip, 1, FAR).astype(np.int32))
        if found is None:
            return SUFFICIENT
        flips = found[1]
        return Reply(frozenset(self._feature[list(flips)].tolist()), flips)

    def nearest(self) -> Nearest | None:
        """A counterexample with the fewest changed features, if every feature is one level."""
        if not self._single:
            return None
        found = cheapest_flips(self._whole, self._x, np.where(self._feature >= 0, 1, FAR).astype(np.int32))
        reply = SUFFICIENT if found is None else Reply(frozenset(self._feature[list(found[1])].tolist()), found[1])
        return Nearest(reply, 0 if reply.changed is None else len(reply.changed))

    def sufficient(self) -> frozenset[int] | None:
        """A minimal sufficient set, features of deep levels left out first, if the levels of each are adjacent."""
        kept = sufficient_features(self._whole, self._x, self._feature, self.n_features)
        return None if kept is None else frozenset(np.flatnonzero(kept).tolist())

    def necessary(self) -> frozenset[int] | None:
        """The features that alone can change the class, if every feature is one level."""
        if not self._single:
            return None
        levels = changing_levels(self._whole, self._x) & (self._feature >= 0)
        return frozenset(self._feature[levels].tolist())

    @property
    def _whole(self) -> FlatDiagram:
        """The bad roots over all nodes: at once there, for a question or two."""
        return self._diagram.viewed(self._bad)

    @cached_property
    def _used(self) -> FlatDiagram:
        """The bad roots alone, for many questions."""
        return self._diagram.with_roots(self._bad)


def _instance(x: NDArray[np.integer[Any]], n_levels: int) -> NDArray[np.uint8]:
    """The instance as 0/1 bytes, one a level."""
    values = np.asarray(x)
    if values.shape != (n_levels,):
        raise UsageError(f"instance: found shape {values.shape}, expected ({n_levels},)")
    if not np.isin(values, (0, 1)).all():
        raise UsageError("instance: found values besides 0 and 1")
    return values.astype(np.uint8)
