"""Which error rate is affordable at an accuracy, from the points of a campaign, and which pulse that allows."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from bnnverify.errors import UsageError
from bnnverify.faults.results import FaultPoint
from bnnverify.faults.stmram import Pulse, StMram


def affordable_rate(points: Sequence[FaultPoint], least: float) -> float:
    """The greatest bit-error rate whose interval stays at or above ``least``, as do those of all lower rates measured.

    Between the last rate that holds and the first that does not, the lower ends are joined by a line in the logarithm
    of the rate. That is an interpolation: measure there before relying on it.

    Raises:
        UsageError: if a point has no rate, or not even the lowest rate measured will do.
    """
    if not points or any(point.ber is None for point in points):
        raise UsageError("affordable rate: expected points with one bit-error rate each")
    curve = sorted((point.ber or 0.0, point.low) for point in points)
    held = None
    for rate, low in curve:
        if low < least:
            break
        held = rate, low
    if held is None:
        rate, low = curve[0]
        raise UsageError(f"affordable rate: even at {rate:g} only {low:.4f} is sure, expected {least}; lower it")
    return held[0] if rate == held[0] else _crossing(held, (rate, low), least)


def affordable_pulse(points: Sequence[FaultPoint], least: float, cell: StMram, overdrive: float) -> Pulse:
    """The pulse that fails as often as :func:`affordable_rate` allows, every written bit taken to switch."""
    return cell.pulse(affordable_rate(points, least), overdrive)


def _crossing(held: tuple[float, float], lost: tuple[float, float], least: float) -> float:
    """Where the line between two points reaches ``least``."""
    if held[0] == 0:
        return 0.0
    share = (held[1] - least) / (held[1] - lost[1])
    return exp(log(held[0]) + share * (log(lost[0]) - log(held[0])))
