"""What an engine returns: counts by distance, or a short list of candidates that holds a wanted input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
