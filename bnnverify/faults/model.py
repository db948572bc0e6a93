"""What a fault model is, and how models compose.

A model is any callable ``model(cells, rng)`` that returns which cells of a bank read wrong, as ascending distinct
positions. The models of this package are frozen values whose repr rebuilds them: ``a + b`` strikes with one after the
other, ``model.on(...)`` aims it at what a network stores, and a model that is aimed nowhere strikes the weights. A
user's own function takes part in all of this once it is wrapped in :class:`Own`, which a campaign does by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.faults.cells import NO_CELLS, Cells, Positions, Target, toggled

if TYPE_CHECKING:
    from bnnverify.faults.where import Where

Strike: TypeAlias = Callable[[Cells, np.random.Generator], Positions]


class FaultModel:
    """Base of the models: composition, and what a campaign asks of one."""

    @property
    def ber(self) -> float | None:
        """The nominal bit-error rate of a cell, by which results are labelled; None if there is no single one."""
        return None

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        """Positions of the cells that read wrong, ascending and distinct."""
        raise NotImplementedError

    def __add__(self, other: FaultModel) -> Together:
        return Together((self, other))

    def parts(self) -> tuple[FaultModel, ...]:
        """The models that this one is made of."""
        return ()

    def touches(self, target: Target, layer: int) -> bool:
        """Whether any cell of this bank can read wrong."""
        return any(part.touches(target, layer) for part in self.parts()) if self.parts() else True

    def check(self, banks: Sequence[Cells]) -> None:
        """Refuse what cannot be meant for these banks.

        Raises:
            UsageError: in one sentence.
        """
        for part in self.parts():
            part.check(banks)

    def on(
        self,
        target: Target | str = Target.WEIGHTS,
        *,
        layers: Sequence[int] | None = None,
        rows: Sequence[int] | None = None,
        bits: Sequence[int] | None = None,
        mask: Any = None,
    ) -> Where:
        """This model, aimed; see :class:`bnnverify.faults.where.Where`."""
        from bnnverify.faults.where import Where

        chosen = {"layers": layers, "rows": rows, "bits": bits}
        return Where(self, target, **{k: None if v is None else tuple(v) for k, v in chosen.items()}, mask=mask)


@dataclass(frozen=True)
class Together(FaultModel):
    """Several models, one after the other; each finds the cells as those before left them."""

    models: tuple[FaultModel, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(own(model) for model in self.models))
        if not self.models:
            raise UsageError("faults: no model to compose, expected at least one")

    @property
    def ber(self) -> float | None:
        """The rate that all parts share, if they do."""
        rates = {model.ber for model in self.models}
        return rates.pop() if len(rates) == 1 else None

    def parts(self) -> tuple[FaultModel, ...]:
        return self.models

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        found = NO_CELLS
        for model in self.models:
            if model.touches(cells.target, cells.layer):
                found = toggled(found, model(cells.after(found), rng))
        return found


@dataclass(frozen=True)
class Own(FaultModel):
    """A user's own function, checked at every call.

    Args:
        function: takes the cells and a generator, returns distinct positions in any order.
        name: how results call it; what it depends on should be in the name, since rows are found again by it.
        rate: its nominal bit-error rate, if it has one.
    """

    function: Strike
    name: str = ""
    rate: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise UsageError(f"fault model {self.function!r}: expected a function of cells and a random generator")
        if not self.name:
            named = getattr(self.function, "__qualname__", type(self.function).__qualname__)
            object.__setattr__(self, "name", f"{getattr(self.function, '__module__', '')}.{named}")

    @property
    def ber(self) -> float | None:
        return self.rate

    def __call__(self, cells: Cells, rng: np.random.Generator) -> Positions:
        found = np.asarray(self.function(cells, rng))
        if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
            raise UsageError(f"fault model {self.name}: expected a list of positions, found shape {found.shape}")
        positions = np.unique(found.astype(np.int64))
        if positions.size != found.size:
            raise UsageError(f"fault model {self.name}: it returned a position twice, expected distinct ones")
        if positions.size and (positions[0] < 0 or positions[-1] >= cells.size):
            raise UsageError(
                f"fault model {self.name}: position {positions[-1] if positions[0] >= 0 else positions[0]}, "
                f"expected 0..{cells.size - 1} in the {cells.name}"
            )
        return positions


def own(model: FaultModel | Strike) -> FaultModel:
    """A model as it is, and any other callable as :class:`Own`."""
    return model if isinstance(model, FaultModel) else Own(model)


def aimed(model: FaultModel | Strike) -> FaultModel:
    """The model with every part that is aimed nowhere aimed at the weights."""
    from bnnverify.faults.where import Where

    model = own(model)
    if isinstance(model, Together):
        return Together(tuple(aimed(part) for part in model.models))
    return model if _is_aimed(model) else Where(model)


def _is_aimed(model: FaultModel) -> bool:
    from bnnverify.faults.where import Where

    return isinstance(model, Where) or any(_is_aimed(part) for part in model.parts())


def probability(name: str, value: float) -> float:
    """A checked probability.

    Raises:
        UsageError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= float(value) <= 1:
        raise UsageError(f"{name} {value!r}: expected a probability between 0 and 1")
    return float(value)


def positive(name: str, value: float, unit: str) -> float:
    """A checked positive, finite quantity.

    Raises:
        UsageError: if it is none.
    """
    if not 0 < float(value) < math.inf:
        raise UsageError(f"{name} {value!r}: expected more than 0 {unit}")
    return float(value)
