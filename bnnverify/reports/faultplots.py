"""Pictures of fault campaigns, drawn into matplotlib Axes and never shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.faults.results import FaultPoint
from bnnverify.reports.plots import axes_or_new


def plot_faults(points: Sequence[FaultPoint], ax: Any = None, *, label: str | None = None) -> Any:
    """Draw the metric against the bit-error rate, with two bands, and the fault-free level as a dotted line.

    The darker band is the interval of the mean; in the lighter one lie nine trials in ten.

    Args:
        points: of one sweep; rates of 0 are drawn as the line alone.
        ax: matplotlib Axes.
        label: of the curve, for a legend.

    Raises:
        UsageError: if no point has a rate above 0.
    """
    curve = sorted(((point.ber, point) for point in points if point.ber), key=lambda pair: pair[0])
    if not curve:
        raise UsageError("plot: no point has a bit-error rate above 0, so there is no curve to draw")
    ax = axes_or_new(ax)
    rates = [rate for rate, _ in curve]
    first = curve[0][1]
    line = ax.plot(rates, [point.value for _, point in curve], marker="o", markersize=3, label=label)[0]
    low, high = [point.low for _, point in curve], [point.high for _, point in curve]
    ax.fill_between(rates, low, high, alpha=0.25, linewidth=0, color=line.get_color())
    spread = np.array([np.quantile([trial.value for trial in point.trials], (0.05, 0.95)) for _, point in curve])
    ax.fill_between(rates, spread[:, 0], spread[:, 1], alpha=0.12, linewidth=0, color=line.get_color())
    ax.axhline(first.fault_free, linestyle=":", linewidth=1, color=line.get_color())
    ax.set_xscale("log")
    ax.set_xlabel("bit-error rate")
    ax.set_ylabel(first.metric)
    ax.set_title(f"{first.level:.0%} interval of the mean, and nine trials in ten", fontsize="medium")
    return ax


def plot_parts(points: Sequence[FaultPoint], ax: Any = None) -> Any:
    """Draw how much each named part of a network costs when it alone is faulty, with intervals, worst first.

    Args:
        points: named ones, as of :func:`bnnverify.faults.sensitivity.parted`.
        ax: matplotlib Axes.
    """
    ax = axes_or_new(ax)
    ranked = sorted(points, key=lambda point: point.drop)
    drops = [point.drop for point in ranked]
    below = [point.drop - point.drop_interval[0] for point in ranked]
    above = [point.drop_interval[1] - point.drop for point in ranked]
    ax.errorbar(drops, range(len(ranked)), xerr=[below, above], fmt="o", markersize=3, capsize=2)
    ax.set_yticks(range(len(ranked)), [point.name or "" for point in ranked])
    ax.axvline(0, linewidth=1, color="0.7")
    ax.set_xlabel(f"drop of {ranked[0].metric if ranked else 'the metric'}")
    return ax
