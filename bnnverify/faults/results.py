"""What a campaign answers: one frozen point for each fault model, with its interval and what lies behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bnnverify.faults.model import FaultModel
from bnnverify.faults.store import Trial


@dataclass(frozen=True, eq=False)
class FaultPoint:
    """One fault model's effect.

    Args:
        name: what the point was called, if it was.
        model: the faults, aimed.
        ber: their nominal bit-error rate, if they have one.
        metric: what was measured; ``accuracy``, or ``agreement`` with the fault-free classes where there are no labels.
        value, low, high, level: its mean over trials, and the interval for the mean over all faults, at this level.
        interval: how the interval was made; ``none`` if no fault can occur.
        fault_free: the metric without faults.
        n_instances: instances a trial.
        classes: instances of each class.
        trials: what every trial found, in order.
        met: whether the margin asked for was reached; None if none was asked for.
    """

    name: str | None
    model: FaultModel
    ber: float | None
    metric: str
    value: float
    low: float
    high: float
    level: float
    interval: str
    fault_free: float
    n_instances: int
    classes: tuple[int, ...]
    trials: tuple[Trial, ...]
    met: bool | None = None

    @property
    def drop(self) -> float:
        """How much the metric falls, paired with the fault-free run on the same instances."""
        return self.fault_free - self.value

    @property
    def drop_interval(self) -> tuple[float, float]:
        """The drop's interval, least drop first."""
        return self.fault_free - self.high, self.fault_free - self.low

    @property
    def flips_mean(self) -> float:
        """Wrong bits a trial."""
        return sum(trial.flips for trial in self.trials) / len(self.trials)

    @property
    def class_values(self) -> tuple[float | None, ...]:
        """Share of each class's instances that are right, over all trials; None for a class without instances."""
        totals = [sum(trial.correct[c] for trial in self.trials) for c in range(len(self.classes))]
        return tuple(t / (n * len(self.trials)) if n else None for t, n in zip(totals, self.classes, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The point as JSON holds it."""
        n = len(self.trials)
        low, high = self.drop_interval
        found: dict[str, Any] = {} if self.name is None else {"name": self.name}
        found |= {"ber": self.ber, "trials": n, self.metric: self.value, "low": self.low, "high": self.high}
        found |= {"level": self.level, "interval": self.interval, "fault_free": self.fault_free, "drop": self.drop}
        found |= {"drop_low": low, "drop_high": high, "flips_mean": self.flips_mean, "instances": self.n_instances}
        for name in ("changed", "lost", "gained"):
            found[f"{name}_mean"] = sum(getattr(trial, name) for trial in self.trials) / n
        if self.met is not None:
            found["margin_met"] = self.met
        return {**found, "per_class": list(self.class_values), "kind": "ci"}

    def __repr__(self) -> str:
        rate = "" if self.ber is None else f"ber={self.ber:g}, "
        return (
            f"FaultPoint({rate}{self.metric}={self.value:.4f} [{self.low:.4f}, {self.high:.4f}], "
            f"drop={self.drop:.4f}, trials={len(self.trials)})"
        )


@dataclass(frozen=True, eq=False)
class Campaign:
    """The points of one campaign, in the order of its models."""

    network: str
    fingerprint: str
    seed: int
    points: tuple[FaultPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """The campaign as JSON holds it."""
        model = {"name": self.network, "sha256": self.fingerprint}
        return {"model": model, "seed": self.seed, "points": [point.to_dict() for point in self.points]}

    def __repr__(self) -> str:
        return f"Campaign({self.network!r}, {len(self.points)} points)"
