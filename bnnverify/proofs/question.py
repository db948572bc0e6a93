"""The question that a proof answers, in plain numbers: a box of inputs, a budget, and the classes nobody may reach.

Bits and quantized levels are written alike: input i takes the values from ``low[i]`` to ``high[i]``. Between two values
that follow each other lies a *step*: one for a free bit, from -1 to +1, and one for every further level. Every step is
one 0/1 variable. A budget prices the steps that lie between an input and the centre: for bits, the flips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError

MOST_LEVEL = 65535
MOST_COST = 1 << 32


@dataclass(frozen=True, eq=False)
class Question:
    """Has any input of a region a wanted class?

    Args:
        bits: whether the inputs are bits -1/+1; otherwise they are levels of at least 0.
        center: ``(n_inputs,)`` values, from which a budget counts.
        low, high: ``(n_inputs,)`` least and greatest values; equal where an input is fixed.
        costs: cost of each step, input by input, at least 0; left out where there is no budget.
        budget: greatest total cost, or None where there is no limit.
        label: the class that the inputs should have; not wanted.
        wanted: the classes asked for, ascending.
        order: all classes in the order in which they win ties.

    Raises:
        UsageError: if these do not fit together.
    """

    bits: bool
    center: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    costs: NDArray[np.int64]
    budget: int | None
    label: int
    wanted: tuple[int, ...]
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("center", "low", "high", "costs"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.int64).reshape(-1))
        object.__setattr__(self, "wanted", tuple(sorted({int(c) for c in self.wanted})))
        object.__setattr__(self, "order", tuple(int(c) for c in self.order))
        object.__setattr__(self, "budget", None if self.budget is None else int(self.budget))
        if self.budget is None:
            object.__setattr__(self, "costs", np.zeros(0, dtype=np.int64))
        _require_box(self)
        _require_classes(self)


def bit_question(
    center: Any,
    free: Any,
    costs: Any,
    budget: int | None,
    *,
    label: int,
    wanted: Sequence[int],
    order: Sequence[int],
) -> Question:
    """The question over bits: ``free`` indexes those that may flip, at ``costs`` of the same length."""
    center, free = np.array(center, dtype=np.int64).reshape(-1), np.array(free, dtype=np.int64)
    if free.size and (free.min() < 0 or free.max() >= center.size or (np.diff(free) <= 0).any()):
        raise UsageError(f"free bits: expected increasing indices below {center.size}")
    low, high = center.copy(), center.copy()
    low[free], high[free] = -1, 1
    return Question(True, center, low, high, costs, budget, int(label), tuple(wanted), tuple(order))


def level_question(
    center: Any,
    low: Any,
    high: Any,
    *,
    label: int,
    wanted: Sequence[int],
    order: Sequence[int],
    costs: Any = (),
    budget: int | None = None,
) -> Question:
    """The question over a box of levels, or what of it is within a budget."""
    return Question(False, center, low, high, costs, budget, int(label), tuple(wanted), tuple(order))


def _require_box(question: Question) -> None:
    center, low, high = question.center, question.low, question.high
    if not center.size == low.size == high.size:
        raise UsageError(f"region: {center.size} values, expected as many low and high values")
    least, most = (-1, 1) if question.bits else (0, MOST_LEVEL)
    values = np.concatenate([center, low, high])
    if ((values < least) | (values > most)).any() or (question.bits and (values == 0).any()):
        raise UsageError(
            f"region: values {values.min()}..{values.max()}, expected {'-1 or +1' if least else '0..65535'}"
        )
    if (low > center).any() or (center > high).any():
        raise UsageError("region: the centre lies outside its own box")
    if (question.costs < 0).any() or (question.costs > MOST_COST).any():
        raise UsageError(f"region: expected costs of 0 to {MOST_COST}")


def _require_classes(question: Question) -> None:
    n_classes = len(question.order)
    if sorted(question.order) != list(range(n_classes)):
        raise UsageError(f"order of ties {question.order}: expected every class once")
    if not {question.label, *question.wanted} <= set(question.order):
        raise UsageError(f"label {question.label} and wanted {question.wanted}: expected classes below {n_classes}")
    if question.label in question.wanted:
        raise UsageError(f"wanted {question.wanted}: expected classes other than the label {question.label}")
