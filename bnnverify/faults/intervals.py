"""Confidence intervals for the mean over trials, made for accuracies near 1 and for trials that share their images.

The instances of a trial share its faults, so the answers of all trials pooled are no independent draws and a plain
Wilson interval over them is wrong either way. Here the spread between trials says how many independent answers they
are worth, ``n = m (1 - m) / (s^2 / T)``, and Wilson's score interval (1927) is taken over these, with Student's
quantile of T - 1 degrees of freedom as Korn and Graubard (1998) do for clustered surveys. It stays within 0 and 1 and
is skewed as it should be near them. Where all trials agree, the spread of one answer in one more trial is assumed, so
no interval from samples is ever empty. ``bootstrap`` resamples trials and asks nothing of the values. An interval is
about the faults; the instances are taken as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import atan, cos, fsum, inf, pi, sin, sqrt
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError

RESAMPLES = 2000
BISECTIONS = 80
Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its interval at a confidence level."""

    mean: float
    low: float
    high: float
    level: float

    @property
    def margin(self) -> float:
        """The farther end's distance from the mean."""
        return max(self.high - self.mean, self.mean - self.low)


def wilson(values: Values, level: float, answers: int) -> Interval:
    """Score interval for the mean of shares, one a trial.

    Args:
        values: ``(trials,)`` in 0..1, two or more.
        level: confidence level.
        answers: answers that make up each share, such as instances.

    Complexity: O(trials).
    """
    trials, mean = len(values), _mean(values)
    variance = max(float(np.var(values, ddof=1)), 1 / (answers**2 * (trials + 1))) / trials
    inside = min(max(mean, 1 / (2 * answers * trials)), 1 - 1 / (2 * answers * trials))
    worth = inside * (1 - inside) / variance
    square = student_quantile((1 + level) / 2, trials - 1) ** 2
    centre = (mean + square / (2 * worth)) / (1 + square / worth)
    half = sqrt(square * (mean * (1 - mean) / worth + square / (4 * worth**2))) / (1 + square / worth)
    return Interval(mean, max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean)), level)


def student(values: Values, level: float, answers: int = 1) -> Interval:
    """Student's interval for the mean of any numbers."""
    mean, trials = _mean(values), len(values)
    half = student_quantile((1 + level) / 2, trials - 1) * float(np.std(values, ddof=1)) / sqrt(trials)
    return Interval(mean, mean - half, mean + half, level)


def bootstrap(values: Values, level: float, answers: int = 1) -> Interval:
    """Studentized bootstrap (Efron and Tibshirani, 1993, chapter 12) over trials, from a fixed seed.

    Complexity: 2,000 resamples of all trials.
    """
    trials, mean = len(values), _mean(values)
    error = float(np.std(values, ddof=1)) / sqrt(trials)
    if error == 0:
        return Interval(mean, mean, mean, level)
    picked = values[np.random.default_rng(trials).integers(0, trials, (RESAMPLES, trials))]
    errors = picked.std(axis=1, ddof=1) / sqrt(trials)
    ratios = np.sort((picked.mean(axis=1) - mean)[errors > 0] / errors[errors > 0])
    if ratios.size < RESAMPLES // 2:
        return student(values, level)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, mean - float(high) * error, mean - float(low) * error, level)


def _mean(values: Values) -> float:
    return fsum(values.tolist()) / len(values)


Method: TypeAlias = Callable[[Values, float, int], Interval]
METHODS: dict[str, Method] = {"wilson": wilson, "bootstrap": bootstrap, "student": student}


def method_named(name: str) -> Method:
    """The interval of this name.

    Raises:
        UsageError: if there is none.
    """
    if name not in METHODS:
        raise UsageError(f"interval {name!r}: expected one of {', '.join(METHODS)}")
    return METHODS[name]


def checked_level(level: float) -> float:
    """A checked confidence level.

    Raises:
        UsageError: if it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"confidence {level!r}: expected a level between 0 and 1 such as 0.95")
    return float(level)


@lru_cache(maxsize=4096)
def student_quantile(p: float, freedom: int) -> float:
    """The point that a Student variable of this many degrees of freedom stays below with probability ``p``.

    >>> round(student_quantile(0.975, 9), 4), round(student_quantile(0.975, 100), 4)
    (2.2622, 1.984)
    """
    if freedom < 1:
        return inf
    low, high = 0.0, NormalDist().inv_cdf(p) + 1
    while student_below(high, freedom) < p:
        high *= 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if student_below(middle, freedom) < p else (low, middle)
    return (low + high) / 2


def student_below(x: float, freedom: int) -> float:
    """Student's distribution function at ``x >= 0`` in its finite form (Abramowitz and Stegun, 26.7.3 and 4)."""
    angle = atan(x / sqrt(freedom))
    square = cos(angle) ** 2
    term, total = 1.0, 1.0
    for k in range(1 if freedom % 2 == 0 else 2, freedom - 2, 2):
        term *= square * k / (k + 1)
        total += term
    if freedom % 2 == 0:
        return 0.5 + sin(angle) * total / 2
    return 0.5 + (angle + (sin(angle) * cos(angle) * total if freedom > 1 else 0.0)) / pi
