"""From the words ``--eps``, ``--norm`` and ``--free`` to a region around one instance.

``--eps`` is read in the unit of its norm. On pixels the norm is linf unless named, but an integer
above 0 cannot be a fraction of the 0..1 range (1 apart), so it is read as a number of flips.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from bnnverify.cli.options import VALUED
from bnnverify.cli.streams import warn
from bnnverify.errors import UsageError
from bnnverify.network import BitInput, Network
from bnnverify.regions import CostBall, FreeBits, HammingBall, PixelBox, Region, least_perturbation_costs

DEMO_EPS = "3"
DEMO_ROWS, DEMO_COLUMNS, DEMO_WIDTH = range(10, 16), range(16, 20), 28
ANYWHERE = ("explain", "compare")

Given = tuple[str | None, tuple[int, ...] | None]


@dataclass(frozen=True)
class Radius:
    """A norm and how far it reaches: a fraction of the range for linf, else an integer."""

    norm: str
    reach: int | Fraction

    @property
    def number(self) -> int | float:
        """The reach as JSON writes it."""
        return self.reach if isinstance(self.reach, int) else float(self.reach)


def read_radius(network: Network, eps: str, norm: str | None) -> Radius:
    """The radius that the user typed, in the norm that was named or is meant.

    Raises:
        UsageError: if ``eps`` is not a number of the norm's kind.
    """
    norm = norm or _default_norm(network, eps)
    if norm == "linf":
        return Radius(norm, _fraction(eps))
    if not re.fullmatch(r"\d{1,15}", eps.strip()):
        raise UsageError(f"--eps {eps}: expected an integer of at least 0 for the norm {norm}")
    return Radius(norm, int(eps))


def _default_norm(network: Network, eps: str) -> str:
    flips = re.fullmatch(r"0*[1-9]\d*", eps.strip()) is not None
    return "hamming" if flips or isinstance(network.input, BitInput) else "linf"


def _fraction(eps: str) -> Fraction:
    try:
        value = Fraction(eps.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if not 0 <= value <= 1:
        raise UsageError(f"--eps {eps}: expected a fraction of the 0..1 range for the norm linf, such as 8/255 or 0.03")
    return value


def make_region(network: Network, instance: NDArray[Any], radius: Radius | None, free: Sequence[int] | None) -> Region:
    """The region around ``instance`` ``(n_inputs,)``; a radius and free bits intersect.

    Raises:
        UsageError: if there is neither.
    """
    parts: list[Region] = []
    if radius is not None:
        parts.append(_ball(network, instance, radius))
    if free is not None:
        parts.append(FreeBits(instance, tuple(free)))
    if not parts:
        raise UsageError("the region is missing: give --eps, --free or both")
    return parts[0] if len(parts) == 1 else parts[0] & parts[1]


def _ball(network: Network, instance: NDArray[Any], radius: Radius) -> Region:
    if isinstance(radius.reach, Fraction):
        return PixelBox(instance, radius.reach)
    if radius.norm in ("hamming", "l0"):
        return HammingBall(instance, radius.reach)
    return CostBall(instance, least_perturbation_costs(network, instance, radius.norm), radius.reach)


def is_whole_space(arguments: argparse.Namespace) -> bool:
    """Whether no instance is meant: a count or comparison without input and region."""
    if arguments.command not in ("count", "compare") or arguments.model is None:
        return False
    return all(value is None for value in (arguments.input, arguments.index, arguments.eps, arguments.free))


def given_region(arguments: argparse.Namespace, whole: bool) -> Given:
    """``--eps`` and ``--free``; where both are missing and the command needs one, those of the demonstration.

    Args:
        whole: whether no instance is meant.

    Raises:
        UsageError: if the region is missing, or a norm has nothing to measure.
    """
    eps, free = getattr(arguments, "eps", None), getattr(arguments, "free", None)
    if arguments.command == "radius" or eps is not None:
        return eps, free
    if arguments.norm is not None:
        raise UsageError(f"--norm {arguments.norm}: it measures --eps, which is missing")
    named = arguments.model is not None or arguments.input is not None
    if whole or free is not None or (named and arguments.command in ANYWHERE):
        return None, free
    if named:
        raise UsageError("the region is missing: give --eps, --free or both")
    return _demo_region(arguments)


def _demo_region(arguments: argparse.Namespace) -> Given:
    if getattr(arguments, "kind", None) in VALUED:
        free = tuple(row * DEMO_WIDTH + column for row in DEMO_ROWS for column in DEMO_COLUMNS)
        rows = ",".join(f"{free[i]}-{free[i + len(DEMO_COLUMNS) - 1]}" for i in range(0, len(free), len(DEMO_COLUMNS)))
        warn(f"no region given; asking about {len(free)} free pixels (--free {rows})")
        return None, free
    warn(f"no region given; asking about {DEMO_EPS} flipped pixels (--eps {DEMO_EPS})")
    return DEMO_EPS, None
