"""``--engine auto``: bounds first, then the exact engine with the least predicted cost.

Interval bounds through all blocks answer many questions outright; what they leave goes to
``enumerate`` (its cost is known beforehand: it grows with the region), ``pushforward`` (its cost
grows with the number of distinct states, which is estimated from the neurons that move) or ``bdd`` (its states
are bounded, loosely, by the values that single slacks can have). Where one input is looked for and all of these would
take long, SAT is asked first. The choice and its reason are part of every answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.engines import diagrams, pushforward
from bnnverify.engines import enumerate as enumeration
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
    """The engine that answers, why, and how long that should take.

    Args:
        free: whether ``auto`` chose it.
        instead: who answers if SAT has not done so in the time that this one is predicted to need.
    """

    engine: str
    reason: str
    seconds: float = 0.0
    free: bool = False
    instead: Choice | None = None


SEARCH_ADVANTAGE = 50.0
DIAGRAM_HANDICAP = 4.0

ENGINES: dict[str, ModuleType] = {"enumerate": enumeration, "pushforward": pushforward, "bdd": diagrams}

SAT, APPROX = "sat", "approx"
LEAST_SAT_SECONDS = 1.0


def available_engines() -> list[EngineRow]:
    """The engines of this version, in the order in which ``auto`` prefers them."""
    anything = "Hamming balls, free bits, pixel boxes, intersections, cost limits"
    return [
        EngineRow("bounds", "exact", "interval bounds through all blocks; answers alone where they decide", anything),
        EngineRow("enumerate", "exact", "depth-first search with bounds; small regions bit-parallel", anything),
        EngineRow(
            "attack",
            "exact",
            "annealed flips, executed; tried before a long search for a counterexample",
            f"{anything}; quantized pixels",
        ),
        EngineRow("pushforward", "exact", "counts hidden patterns instead of inputs", "all but cost limits"),
        EngineRow(
            SAT,
            "exact",
            "reified cardinality constraints and learning; decides, does not count",
            f"{anything}; quantized pixels",
        ),
        EngineRow("bdd", "exact", "compiles a decision diagram; the road of `explain` and `compare`", anything),
        EngineRow(
            APPROX, "pac", "`count` within a factor at a confidence, by ApproxMC", f"{anything}; quantized pixels"
        ),
    ]


def choose(residual: Residual, engine: str, *, deciding: bool) -> Choice:
    """Pick the engine for a residual network.

    Args:
        engine: ``auto``, ``enumerate``, ``pushforward`` or ``bdd``.
        deciding: whether one counterexample is looked for, not a count; a search then ends early.

    Raises:
        UsageError: if no engine has that name.
        UnsupportedError: if the engine named cannot work on the region.
    """
    if engine == APPROX:
        raise UnsupportedError("engine approx answers count alone; use sat, enumerate, pushforward or bdd")
    if engine not in ("auto", SAT, *ENGINES):
        raise UsageError(f"engine {engine!r}: expected auto, sat, approx, {', '.join(list(ENGINES)[:-1])} or bdd")
    if engine == SAT and not deciding:
        raise UnsupportedError("engine sat decides and does not count; use enumerate, pushforward, bdd or approx")
    if residual.settled is not None:
        return Choice("bounds", "interval bounds decide every input of the region")
    if engine == "pushforward":
        pushforward.require_supported(residual)
    if engine != "auto":
        return Choice(engine, "asked for")
    return _cheapest(residual, deciding)


def _cheapest(residual: Residual, deciding: bool) -> Choice:
    """Visiting, unless another engine is predicted to need much less than that; SAT where a search is long."""
    visit = enumeration.predicted_seconds(residual)
    merge = pushforward.predicted_seconds(residual)
    compiling = DIAGRAM_HANDICAP * diagrams.predicted_seconds(residual)
    moving = f"{residual.slacks.size} of the first block's neurons move"
    handicap = SEARCH_ADVANTAGE if deciding else 1.0
    rival, seconds = ("bdd", compiling) if merge is None or compiling < merge else ("pushforward", merge)
    if visit <= seconds * handicap:
        reason = f"{moving}; predicted at most {visit:.2g} s to visit {residual.region.size:,} inputs"
        choice = Choice("enumerate", reason, visit, free=True)
    else:
        reason = f"{moving}; predicted {seconds:.2g} s against {visit:.2g} s by visiting every input"
        choice = Choice(rival, reason, seconds, free=True)
    if not deciding or choice.seconds / (SEARCH_ADVANTAGE if choice.engine == "enumerate" else 1) <= LEAST_SAT_SECONDS:
        return choice
    reason = f"{moving}; predicted {choice.seconds:.2g} s by {choice.engine}"
    return Choice(SAT, reason, choice.seconds, free=True, instead=choice)


def other_engine(residual: Residual, engine: str) -> str | None:
    """An exact engine besides the given one that can also answer, for ``--check``."""
    if engine == "enumerate":
        return "pushforward" if pushforward.supports(residual) else "bdd"
    return "enumerate"


def count_by_distance(residual: Residual, choice: Choice, *, by_distance: bool) -> tuple[Choice, Tally]:
    """Exact counts per class by the engine chosen (not ``bounds``), and the engine that did it in the end."""
    try:
        tally: Tally = ENGINES[choice.engine].count_by_distance(residual, by_distance=by_distance)
        return choice, tally
    except (TooManyStatesError, TooManyNodesError) as error:
        return count_by_distance(residual, _instead(choice, error), by_distance=by_distance)


def find(residual: Residual, choice: Choice, wanted: Iterable[int]) -> tuple[Choice, Search]:
    """Look for an input of a wanted class by the engine chosen; also the engine that did it in the end."""
    try:
        search: Search = ENGINES[choice.engine].find(residual, wanted)
        return choice, search
    except (TooManyStatesError, TooManyNodesError) as error:
        return find(residual, _instead(choice, error), wanted)


def _instead(choice: Choice, error: Exception) -> Choice:
    """Enumeration in place of an engine that gave up; if the user had named it, an error or a verdict of MEMOUT."""
    if choice.free:
        return Choice("enumerate", f"{choice.engine} gave up ({error})", free=True)
    if isinstance(error, TooManyNodesError):
        raise error
    raise UnsupportedError(f"engine {choice.engine}: {error}; use enumerate") from None
