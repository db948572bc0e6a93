"""``--engine auto``: bounds first, then the exact engine with the least predicted cost.

Interval bounds through all blocks answer many questions outright; what they leave goes to
``enumerate`` (its cost is known beforehand: it grows with the region) or ``pushforward`` (its cost
grows with the number of distinct states, which is estimated from the neurons that move). The
choice and its reason are part of every answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnnverify.engines import enumerate as enumeration
from bnnverify.engines import pushforward
from bnnverify.engines.contract import Search, Tally
from bnnverify.engines.residual import Residual
from bnnverify.engines.statemap import TooManyStatesError
from bnnverify.errors import UnsupportedError, UsageError


@dataclass(frozen=True)
class EngineRow:
    """A line of ``bnnverify engines``."""

    name: str
    kind: str
    what: str
    regions: str


@dataclass(frozen=True)
class Choice:
    """The engine that answers, why, and how long that should take; ``free`` if ``auto`` chose it."""

    engine: str
    reason: str
    seconds: float = 0.0
    free: bool = False


SEARCH_ADVANTAGE = 50.0

LATER = {
    "bdd": "decision diagrams are not part of this version; use enumerate or pushforward",
    "sat": "SAT is not part of this version; use enumerate or pushforward",
    "approx": "approximate counting is not part of this version; use enumerate or pushforward",
}


def available_engines() -> list[EngineRow]:
    """The engines of this version, in the order in which ``auto`` prefers them."""
    anything = "Hamming balls, free bits, pixel boxes, intersections, cost limits"
    return [
        EngineRow("bounds", "exact", "interval bounds through all blocks; answers alone where they decide", anything),
        EngineRow("enumerate", "exact", "depth-first search with bounds; small regions bit-parallel", anything),
        EngineRow(
            "attack", "exact", "greedy flips, executed; tried before a long search for a counterexample", anything
        ),
        EngineRow("pushforward", "exact", "counts hidden patterns instead of inputs", "all but cost limits"),
    ]


def choose(residual: Residual, engine: str, *, deciding: bool) -> Choice:
    """Pick the engine for a residual network.

    Args:
        engine: ``auto``, ``enumerate`` or ``pushforward``.
        deciding: whether one counterexample is looked for, not a count; a search then ends early.

    Raises:
        UsageError: if no engine has that name.
        UnsupportedError: if the engine named cannot work on the region.
    """
    if engine in LATER:
        raise UnsupportedError(f"engine {engine}: {LATER[engine]}")
    if engine not in ("auto", "enumerate", "pushforward"):
        raise UsageError(f"engine {engine!r}: expected auto, enumerate or pushforward")
    if residual.settled is not None:
        return Choice("bounds", "interval bounds decide every input of the region")
    if engine == "pushforward":
        pushforward.require_supported(residual)
    if engine != "auto":
        return Choice(engine, "asked for")
    return _cheapest(residual, deciding)


def _cheapest(residual: Residual, deciding: bool) -> Choice:
    visit = enumeration.predicted_seconds(residual)
    merge = pushforward.predicted_seconds(residual)
    moving = f"{residual.slacks.size} of the first block's neurons move"
    handicap = SEARCH_ADVANTAGE if deciding else 1.0
    if merge is None or visit <= merge * handicap:
        reason = f"{moving}; predicted at most {visit:.2g} s to visit {residual.region.size:,} inputs"
        return Choice("enumerate", reason, visit, free=True)
    reason = f"{moving}; predicted {merge:.2g} s against {visit:.2g} s by visiting every input"
    return Choice("pushforward", reason, merge, free=True)


def other_engine(residual: Residual, engine: str) -> str | None:
    """An exact engine besides the given one that can also answer, for ``--check``."""
    if engine == "enumerate":
        return "pushforward" if pushforward.supports(residual) else None
    return "enumerate"


def count_by_distance(residual: Residual, choice: Choice, *, by_distance: bool) -> tuple[Choice, Tally]:
    """Exact counts per class by the engine chosen (not ``bounds``), and the engine that did it in the end."""
    if choice.engine == "enumerate":
        return choice, enumeration.count_by_distance(residual, by_distance=by_distance)
    try:
        return choice, pushforward.count_by_distance(residual, by_distance=by_distance)
    except TooManyStatesError as error:
        return count_by_distance(residual, _instead(choice, error), by_distance=by_distance)


def find(residual: Residual, choice: Choice, wanted: Iterable[int]) -> tuple[Choice, Search]:
    """Look for an input of a wanted class by the engine chosen; also the engine that did it in the end."""
    if choice.engine == "enumerate":
        return choice, enumeration.find(residual, wanted)
    try:
        return choice, pushforward.find(residual, wanted)
    except TooManyStatesError as error:
        return find(residual, _instead(choice, error), wanted)


def _instead(choice: Choice, error: TooManyStatesError) -> Choice:
    """Enumeration in place of a pushforward that gave up; an error if the user had named it."""
    if not choice.free:
        raise UnsupportedError(f"engine pushforward: {error}; use enumerate") from None
    return Choice("enumerate", f"pushforward gave up ({error})", free=True)
