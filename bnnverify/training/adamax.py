"""Shift-based AdaMax: AdaMax whose step and divisor are powers of two, so that it needs no multiplier.

For a gradient g (Courbariaux, Hubara et al. 2016, algorithm 4; the divisor's 2^-27 as in their Torch7 code)::

    m = b1 m + (1 - b1) g       v = max(b2 v, |g|)
    x = x - factor AP2(rate / (1 - b1^t)) m / (AP2(v) + 2^-27)

The factor is 1, or a layer's own in the Torch7 code, where it is no power of two. That code also keeps AP2(v) for v,
so that v, which shrinks by a thousandth a step, never shrinks; here it does, as published. Plain AdaMax is torch's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from bnnverify.errors import UsageError
from bnnverify.training.shifts import nearest_power_of_two, power_of_two_number

LEAST_DIVISOR = 2.0**-27


class ShiftAdaMax(torch.optim.Optimizer):
    """As torch's optimizers are used; ``lr`` may be changed by a schedule.

    Args:
        parameters: tensors, or groups of them with their own ``lr`` and ``factor``.
        lr: learning rate.
        betas: decay of the first moment and of the infinity norm, both in [0, 1).
    """

    def __init__(
        self, parameters: Iterable[Any], lr: float = 2.0**-6, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        if lr <= 0 or not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f"shift-based AdaMax: rate {lr} and betas {betas}, expected above 0, and within [0, 1)")
        super().__init__(parameters, {"lr": lr, "betas": betas, "factor": 1.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _update(parameter, parameter.grad, self.state[parameter], group)


def _update(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    betas = group["betas"]
    if not state:
        state.update(step=0, moment=torch.zeros_like(parameter), norm=torch.zeros_like(parameter))
    state["step"] += 1
    state["moment"].mul_(betas[0]).add_(gradient, alpha=1 - betas[0])
    torch.maximum(state["norm"].mul_(betas[1]), gradient.abs(), out=state["norm"])
    step = group["factor"] * power_of_two_number(group["lr"] / (1 - betas[0] ** state["step"]))
    divisor = nearest_power_of_two(state["norm"]).add_(LEAST_DIVISOR)
    parameter.addcdiv_(state["moment"], divisor, value=-step)
