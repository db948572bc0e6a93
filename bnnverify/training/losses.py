"""Losses over class scores ``(batch, n_classes)`` and classes ``(batch,)``, each a mean over both.

With the target ``t_c`` +1 for the right class and -1 for the others: the *squared hinge* ``max(0, 1 - t o)^2`` of
Courbariaux, Hubara et al. 2016, and the *modified hinge* ``max(0, b - t o) / b`` of Buschjaeger et al. 2021, whose
margin b asks for sums that stay right when b/2 bits flip; that one wants an output of integer sums, without BatchNorm.
Cross entropy is torch's own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bnnverify.errors import UsageError


def signed_targets(scores: Tensor, labels: Tensor) -> Tensor:
    """+1 at each instance's class, -1 elsewhere, in the shape of ``scores``."""
    return functional.one_hot(labels, scores.shape[1]).to(scores.dtype).mul_(2).sub_(1)


def squared_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean of ``max(0, 1 - t o)^2``."""
    return torch.relu(1 - signed_targets(scores, labels) * scores).square().mean()


def modified_hinge(scores: Tensor, labels: Tensor, *, margin: float = 128.0) -> Tensor:
    """Mean of ``max(0, margin - t o) / margin``.

    Raises:
        UsageError: if the margin is not positive.
    """
    if margin <= 0:
        raise UsageError(f"modified hinge: margin {margin}, expected more than 0")
    return torch.relu(margin - signed_targets(scores, labels) * scores).mean() / margin
