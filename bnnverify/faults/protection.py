"""Which layers or rows to protect, so that a target accuracy is reached at the least energy.

Protected cells are written with longer pulses, which fail less often and cost more, or get the check bits of SEC-DED.
Units are ranked by what their faults change, for each joule that protecting them costs: layers struck alone, rows
replaced by random ones on a few chips whose other cells fail as they do, which tells redundant rows from idle ones; or
by a criticality that is handed in, such as :func:`exact_criticality`. For each of a ladder of longer pulses, or for the
check bits, the least number of leading units that reaches the target is found by bisection; what costs least is
measured once more with fresh trials, since a search keeps what looks good by luck. A pulse costs the logarithm of its
rate, so a little for all cells often beats much for some: everything protected is among the plans. Beside the plan
stands uniform protection at the same energy: all cells with one longer pulse, or all words with as many check bits as
can be paid. Cost: ten short campaigns a row, or one a layer, unless criticalities are given; then at most one for each
pulse and each halving of the units.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any, TypeAlias

from bnnverify.errors import UsageError
from bnnverify.faults.campaign import run
from bnnverify.faults.chips import Persistent
from bnnverify.faults.memory import Means, Memory, Unit, Units, aimed_at, protectable
from bnnverify.faults.model import FaultModel, probability
from bnnverify.faults.rates import Symmetric
from bnnverify.faults.results import FaultPoint
from bnnverify.network import Network
from bnnverify.verdict import Verdict

RANKING_TRIALS = 20
RANKING_CHIPS = 10
STEPS_AFTER_DOUBT = 50
Measure: TypeAlias = Callable[[FaultModel, int, int], FaultPoint]
Tried: TypeAlias = tuple[Memory, int]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """One way to write the weights.

    Args:
        name: what it is.
        energy_j: joules to write all weights once.
        point: what was measured.
    """

    name: str
    energy_j: float
    point: FaultPoint

    def to_dict(self) -> dict[str, Any]:
        """The arrangement as JSON holds it."""
        point = self.point
        measured = {point.metric: point.value, "low": point.low, "high": point.high, "trials": len(point.trials)}
        return {"name": self.name, "energy_j": self.energy_j, **measured, "flips_mean": point.flips_mean}


@dataclass(frozen=True, eq=False)
class ProtectionPlan:
    """Which units to protect, and what that gives.

    Args:
        verdict: ``holds`` if the plan's interval is at or above the target; ``violated`` if with everything protected
            it is below; ``unknown`` if it then holds the target, so that more trials would be needed to tell.
        target: least value of the metric.
        level: confidence level of every interval.
        memory: how cells are written.
        units: everything that could be protected.
        chosen: what is, by rank; all units unless the verdict is ``holds``.
        planned, unprotected, uniform: the plan, the memory as it is, and uniform protection at the plan's energy.
    """

    verdict: Verdict
    target: float
    level: float
    memory: Memory
    units: tuple[Unit, ...]
    chosen: tuple[Unit, ...]
    planned: Arrangement
    unprotected: Arrangement
    uniform: Arrangement

    @property
    def gain(self) -> float:
        """How much higher the plan's metric is than that of uniform protection at equal energy."""
        return self.planned.point.value - self.uniform.point.value

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON holds it."""
        memory = {name: value for name, value in asdict(self.memory).items() if name != "cell"}
        arrangements = {name: getattr(self, name).to_dict() for name in ("planned", "unprotected", "uniform")}
        return {
            "verdict": self.verdict.value,
            "kind": "ci",
            "level": self.level,
            "target": self.target,
            "memory": {**memory, "means": Means(self.memory.means).value, "cell": asdict(self.memory.cell)},
            "protected": [{"layer": unit.layer, "row": unit.row} for unit in sorted(self.chosen, key=_place)],
            "units": len(self.units),
            **arrangements,
            "gain": self.gain,
        }

    def __repr__(self) -> str:
        point = self.planned.point
        return (
            f"ProtectionPlan({self.verdict.value}, {len(self.chosen)} of {len(self.units)} units, "
            f"{point.metric}={point.value:.4f} [{point.low:.4f}, {point.high:.4f}], {self.planned.energy_j:.3g} J)"
        )


def plan_protection(
    network: Network,
    data: Any,
    target: float,
    memory: Memory,
    *,
    by: Units | str = Units.ROWS,
    criticality: Mapping[tuple[int, int | None], float] | None = None,
    trials: int = 100,
    confidence: float = 0.95,
    seed: int = 0,
    jobs: int = 1,
) -> ProtectionPlan:
    """Protect as little as reaches a target.

    Args:
        network, data: as in :func:`bnnverify.faults.run`.
        target: least accuracy, or agreement where there are no labels, that the interval must not fall below.
        memory: how weights are written.
        by: protect whole ``layers``, or ``rows``.
        criticality: how much each ``(layer, row)`` matters, ``(layer, None)`` for layers; measured by default.
        trials, confidence, seed, jobs: of every campaign.

    Raises:
        UsageError, UnsupportedError, InputFormatError: as campaigns do, and if a criticality is missing.
    """
    probability("target", target)
    units = protectable(network, by)

    def measured(model: FaultModel, n_trials: int, shift: int) -> FaultPoint:
        options: dict[str, Any] = {"confidence": confidence, "jobs": jobs, "trials": n_trials}
        return run(network, data, model, seed=seed + shift, **options).points[0]

    rungs = memory.rungs()
    scores = _measured_scores(units, memory, measured) if criticality is None else _given(units, criticality)
    ranked = tuple(sorted(units, key=lambda unit: (-scores[unit] / rungs[-1].extra_j(unit), _place(unit))))
    trying = _Trying(ranked, target, lambda model, shift: measured(model, trials, shift))
    verdict, (rung, n_protected) = trying.least(rungs)
    plan = trying.fresh(rung, n_protected)
    even = plan
    if n_protected and (rung.means is Means.ECC or n_protected < len(units)):
        name, model = memory.uniform(units, plan.energy_j)
        even = Arrangement(name, plan.energy_j, measured(model, trials, 1))
    chosen = ranked[:n_protected]
    return ProtectionPlan(verdict, target, confidence, rung, units, chosen, plan, trying.fresh(rung, 0), even)


class _Trying:
    """Measures the first so many of ranked units, protected as one rung of a memory says."""

    def __init__(self, ranked: Sequence[Unit], target: float, measure: Callable[[FaultModel, int], FaultPoint]) -> None:
        self._ranked, self._target, self._measure = ranked, target, measure
        self.fresh = cache(self._fresh)

    def least(self, rungs: Sequence[Memory]) -> tuple[Verdict, Tried]:
        """The rung and number of least energy that reaches the target, also in fresh trials."""
        n_units = len(self._ranked)
        best = rungs[-1], n_units
        everything = self.fresh(*best).point
        if everything.low < self._target:
            return (Verdict.VIOLATED if everything.high < self._target else Verdict.UNKNOWN), best
        for rung in rungs:
            cheaper = bisect_left(range(n_units + 1), self._energy_j(*best), key=partial(self._energy_j, rung)) - 1
            if cheaper >= 0 and self._reaches(rung, cheaper):
                best = rung, bisect_left(range(cheaper), True, key=partial(self._reaches, rung))
        while self.fresh(*best).point.low < self._target:
            best = self._more(rungs, *best)
        return Verdict.HOLDS, best

    def _more(self, rungs: Sequence[Memory], rung: Memory, n_protected: int) -> Tried:
        """A little more protection, at last that of everything by the strongest rung."""
        n_units = len(self._ranked)
        if n_protected < n_units:
            return rung, min(n_units, n_protected + max(1, n_units // STEPS_AFTER_DOUBT))
        return rungs[rungs.index(rung) + 1], n_units

    def _reaches(self, rung: Memory, n_protected: int) -> bool:
        return self._measure(rung.faults(self._ranked, self._ranked[:n_protected]), 0).low >= self._target

    def _energy_j(self, rung: Memory, n_protected: int) -> float:
        return rung.energy_j(self._ranked, self._ranked[:n_protected])

    def _fresh(self, rung: Memory, n_protected: int) -> Arrangement:
        model = rung.faults(self._ranked, self._ranked[:n_protected])
        how = "" if rung.strong_rate is None else f" at {rung.strong_rate:.3g}"
        name = f"{n_protected} of {len(self._ranked)} protected{how}"
        return Arrangement(name, self._energy_j(rung, n_protected), self._measure(model, 1))


def exact_criticality(network: Network, X: Any, by: Units | str) -> dict[tuple[int, int | None], float]:
    """How many inputs change their class when one bit flips, summed over the bits of each unit, exactly.

    To first order in a small error rate that is what the unit's faults change; faults that only matter together, as in
    redundant rows, are not seen.

    Raises:
        UsageError, UnsupportedError, InputFormatError: as :func:`bnnverify.weightfaults.critical_bits` does.
    """
    from bnnverify.weightfaults.critical import critical_bits

    rows = {layer: table.sum(axis=1) for layer, table in critical_bits(network, X, top=1).counts.items()}
    return {
        (unit.layer, unit.row): float(rows[unit.layer].sum() if unit.row is None else rows[unit.layer][unit.row])
        for unit in protectable(network, by)
    }


def _measured_scores(units: Sequence[Unit], memory: Memory, measured: Measure) -> dict[Unit, float]:
    """Classes a trial that the unit's faults change: a layer's alone, a row's among those of everything else."""
    if units[0].row is None:
        return {unit: _changed(measured(aimed_at(memory.plain, [unit])[0], RANKING_TRIALS, 2)) for unit in units}
    chips = [Persistent(memory.plain, chip).on() for chip in range(RANKING_CHIPS)]
    return {unit: sum(_changed(measured(chip + _random(unit), 2, 2)) for chip in chips) for unit in units}


def _random(unit: Unit) -> FaultModel:
    """Random bits in place of the unit's, since few trials at a low rate would tell nothing."""
    return aimed_at(Symmetric(0.5), [unit])[0]


def _changed(point: FaultPoint) -> float:
    return sum(trial.changed for trial in point.trials) / len(point.trials)


def _given(units: Sequence[Unit], criticality: Mapping[tuple[int, int | None], float]) -> dict[Unit, float]:
    missing = [unit.name for unit in units if (unit.layer, unit.row) not in criticality]
    if missing:
        raise UsageError(f"criticality: none given for {missing[0]}; name all {len(units)} of them")
    return {unit: criticality[unit.layer, unit.row] for unit in units}


def _place(unit: Unit) -> tuple[int, int]:
    return unit.layer, -1 if unit.row is None else unit.row
