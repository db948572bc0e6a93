"""What an explanation says, whichever oracle gave it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """Which explanation: ``AXP`` keeps the class, ``CXP`` changes it."""

    AXP = "axp"
    CXP = "cxp"
    MIN_AXP = "min-axp"
    MIN_CXP = "min-cxp"

    @property
    def is_abductive(self) -> bool:
        return self in (Kind.AXP, Kind.MIN_AXP)


@dataclass(frozen=True)
class Explanation:
    """One set of features that explains an instance's class.

    An abductive explanation (AXp) is *sufficient*: whatever the other features are, the class stays. A
    contrastive one (CXp) can be changed, the other features kept, so that the class changes.

    Args:
        kind: which was asked for.
        features: the set, increasing; None where none is known. No contrastive explanation exists if then
            also ``minimal`` holds.
        minimal: whether it is proved that no proper subset does.
        minimum: whether it is proved that no smaller set does.
        lower: every such set has at least this many features.
        undecided: features of the set that might be superfluous, since a limit came before the answer.
        flips: variables (not features) that a counterexample flips; contrastive kinds only.
        oracle_calls: how many questions it took.
        seconds: wall-clock time.
    """

    kind: Kind
    features: tuple[int, ...] | None
    minimal: bool
    minimum: bool = False
    lower: int = 0
    undecided: tuple[int, ...] = ()
    flips: tuple[int, ...] = ()
    oracle_calls: int = 0
    seconds: float = 0.0

    @property
    def size(self) -> int | None:
        """Number of features; an upper bound of the least."""
        return None if self.features is None else len(self.features)

    @property
    def exists(self) -> bool | None:
        """Whether there is any such explanation; None where that is undecided."""
        if self.features is not None:
            return True
        return False if self.minimal else None
