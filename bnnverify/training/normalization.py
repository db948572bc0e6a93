"""BatchNorm, plain and by shifts, with what training, penalties and export have to ask of either.

*Shift-based* BatchNorm (Courbariaux, Hubara et al. 2016, algorithm 3) uses powers of two (:mod:`.shifts`) for every
multiplication. With ``c = x - mean``::

    var = mean(c AP2(c))        y = AP2(gamma) (c AP2(1 / sqrt(var + eps))) + beta

In evaluation both kinds are ``gain (x - mean) + beta``, which :func:`stored` hands to the exact folding; the gain of
the shift-based kind is a power of two, so it folds as a rational without a root.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnverify.errors import ModelFormatError
from bnnverify.folding import BatchNorm
from bnnverify.training.shifts import power_of_two


class ShiftBatchNorm(nn.Module):
    """BatchNorm by shifts over ``(batch, n)`` or ``(batch, n, height, width)``.

    Args:
        n_features: n.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_features: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = n_features, eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(n_features)), nn.Parameter(torch.zeros(n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return normalized(self, values)
        mean, variance = self._updated(values)
        centered = values - _per_feature(mean, values)
        return _per_feature(gain(self, variance), values) * centered + _per_feature(self.bias, values)

    def _updated(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of a batch, which also move the running ones."""
        mean, variance = batch_statistics(self, values)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return mean, variance


Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d | ShiftBatchNorm


def _per_feature(parameter: Tensor, values: Tensor) -> Tensor:
    return parameter.reshape(-1, *[1] * (values.ndim - 2))


def batch_statistics(norm: Norm, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every feature of a batch as this kind of BatchNorm defines them, ``(n,)`` each."""
    columns = values.transpose(0, 1).flatten(1)
    if not isinstance(norm, ShiftBatchNorm):
        variance, mean = torch.var_mean(columns, dim=1, correction=0)
        return mean, variance
    mean = columns.mean(dim=1)
    centered = columns - mean.unsqueeze(1)
    return mean, (centered * power_of_two(centered)).mean(dim=1)


def gain(norm: Norm, variance: Tensor) -> Tensor:
    """The factor of ``x - mean`` under a given variance, ``(n,)``."""
    scale = torch.rsqrt(variance + norm.eps)
    if isinstance(norm, ShiftBatchNorm):
        return power_of_two(norm.weight) * power_of_two(scale)
    return norm.weight * scale


def normalized(norm: Norm, values: Tensor) -> Tensor:
    """A BatchNorm applied; in evaluation in float64, so that a sign differs from the exact one by 1e-16 at most.

    In float32 one neuron in some 10^5 has an integer sum so near its threshold that rounding decides; nothing would be
    wrong with the exported network, but it would not be the one that was measured.
    """
    if norm.training:
        trained: Tensor = norm(values)
        return trained
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gains = gain(norm, norm.running_var.double())
    centered = values.double() - _per_feature(norm.running_mean, values)
    return (_per_feature(gains, values) * centered + _per_feature(norm.bias, values)).to(values.dtype)


def stored(name: str, norm: Norm) -> BatchNorm:
    """A BatchNorm in evaluation mode for the exact folding.

    Raises:
        ModelFormatError: for NaN, infinity or a variance that is not positive, starting with ``name``.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ModelFormatError(f"{name}: keeps no running statistics, expected track_running_stats=True")
    beta, mean = _as_array(norm.bias), _as_array(norm.running_mean)
    if isinstance(norm, ShiftBatchNorm):
        gains = _as_array(gain(norm, norm.running_var.double()))
        return BatchNorm(name, gains, beta, mean, np.ones_like(gains), 0.0)
    return BatchNorm(name, _as_array(norm.weight), beta, mean, _as_array(norm.running_var), norm.eps)


def _as_array(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().cpu().numpy()
    return array


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within the block BatchNorm normalizes as its mode says but keeps its running statistics."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | ShiftBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
