"""Bop: an optimizer of binary weights that has no latent values, only weights that flip or do not.

A gradient's running mean ``m = (1 - rate) m + rate g`` says for how long and how strongly the loss has asked a weight w
to change; the weight flips when ``|m| > threshold`` and ``sign(m) = sign(w)``, since descent goes against m (Helwegen
et al. 2019). Everything else in a network (BatchNorm, scales, biases) needs an ordinary optimizer beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bnnverify.errors import UsageError
from bnnverify.training.layers import BinaryWeight


class Bop(torch.optim.Optimizer):
    """Flips binary weights; as torch's optimizers are used.

    Args:
        weights: their latent values become +1 and -1 at once, and stay so.
        lr: how fast the running mean of gradients adapts, in (0, 1]; named so that schedules can change it.
        threshold: how large the mean must be for a flip, at least 0.
    """

    def __init__(self, weights: Iterable[BinaryWeight], lr: float = 1e-3, threshold: float = 1e-6) -> None:
        if not 0 < lr <= 1 or threshold < 0:
            raise UsageError(f"Bop: rate {lr} and threshold {threshold}, expected within (0, 1], and at least 0")
        latent = [weight.latent for weight in weights]
        with torch.no_grad():
            for values in latent:
                values.copy_(torch.where(values >= 0, 1.0, -1.0))
        super().__init__(latent, {"lr": lr, "threshold": threshold})

    @torch.no_grad()
    def step(self, closure: Any = None) -> int:  # type: ignore[override]
        """Flip what is due, and return how many weights that were."""
        return sum(self._flip(group, weight) for group in self.param_groups for weight in group["params"])

    def _flip(self, group: dict[str, Any], weight: torch.Tensor) -> int:
        if weight.grad is None:
            return 0
        state = self.state[weight]
        mean = state.setdefault("mean", torch.zeros_like(weight))
        mean.mul_(1 - group["lr"]).add_(weight.grad, alpha=group["lr"])
        flips = weight * mean > group["threshold"]
        weight[flips] *= -1
        return int(flips.sum())
