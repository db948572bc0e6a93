"""The oracle over a decision diagram: every question is one pass over the nodes, and always decided.

Where each feature is one variable, the counterexample is a nearest one, so it is a smallest contrastive
explanation as it stands. Where a feature has several, flips cost alike and the nearest is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.forced import FAR, cheapest_flips
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
        self._bad = diagram.with_roots(bad)
        self._feature = feature_of_variable(self.groups, diagram.n_levels)
        self._single = all(len(group) == 1 for group in self.groups)
        if any(self._bad.evaluate(self._x[None], root)[0] for root in range(len(bad))):
            raise UsageError("instance: it has one of the classes that count as changed; expected another")

    def counterexample(self, free: NDArray[np.bool_]) -> Reply:
        """A counterexample within the free features, or the proof that there is none."""
        may_flip = (self._feature >= 0) & free[self._feature] if self.n_features else np.zeros_like(self._x, bool)
        found = cheapest_flips(self._bad, self._x, np.where(may_flip, 1, FAR).astype(np.int32))
        if found is None:
            return SUFFICIENT
        flips = found[1]
        return Reply(frozenset(self._feature[list(flips)].tolist()), flips)

    def nearest(self) -> Nearest | None:
        """A counterexample with the fewest changed features, if every feature is one level."""
        if not self._single:
            return None
        reply = self.counterexample(np.ones(self.n_features, dtype=np.bool_))
        return Nearest(reply, 0 if reply.changed is None else len(reply.changed))


def _instance(x: NDArray[np.integer[Any]], n_levels: int) -> NDArray[np.uint8]:
    """The instance as 0/1 bytes, one a level."""
    values = np.asarray(x)
    if values.shape != (n_levels,):
        raise UsageError(f"instance: found shape {values.shape}, expected ({n_levels},)")
    if not np.isin(values, (0, 1)).all():
        raise UsageError("instance: found values besides 0 and 1")
    return values.astype(np.uint8)
