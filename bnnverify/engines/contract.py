"""What an engine returns: counts by distance, or a short list of candidates that holds a wanted input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnnverify.errors import UsageError


@dataclass(frozen=True)
class Tally:
    """Exact counts per class: one row a distance, or one row for the whole region.

    ``remark`` says in a few words how the work went; it ends up in the answer's reason.
    """

    rows: list[dict[int, int]]
    remark: str


@dataclass(frozen=True)
class Search:
    """Sets of flipped items, cheapest first, at least one of which is an input of a wanted class.

    ``candidates`` is None where it is proved that the region holds no such input.
    """

    candidates: Iterable[tuple[int, ...]] | None
    remark: str


@dataclass(frozen=True)
class Tolerance:
    """Every count within a factor ``1 + epsilon``, with probability at least ``1 - delta``."""

    epsilon: float = 0.8
    delta: float = 0.2

    def __post_init__(self) -> None:
        if not (self.epsilon > 0 and 0 < self.delta < 1):
            raise UsageError(f"epsilon {self.epsilon}, delta {self.delta}: expected above 0, and between 0 and 1")
