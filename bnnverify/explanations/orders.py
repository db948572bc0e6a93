"""In which order to free features: those first whose change should support the class least.

A flip's effect on the lead of the instance's class over the runner-up is estimated linearly: every sign is replaced
by a slope that falls with the distance from its threshold, ``1 / (1 + |w . x - t|)``. Features whose flips should
raise the lead, or hardly move it, are freed first, so abductive explanations get small and the first questions are
easy. The order is a guess and no explanation's correctness depends on it, so floats will do.

Cost: one pass over the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.lowering import dense_blocks
from bnnverify.network import Network


def least_support_first(
    network: Network, x: NDArray[np.int8], groups: Sequence[Sequence[int]] | None = None
) -> list[int]:
    """All features, by the estimated loss of lead when they change, the least first.

    Args:
        x: ``(n_inputs,)`` bits.
        groups: the input bits of each feature; default one feature a bit.
    """
    support = _support(network, x)
    if groups is None:
        return [int(feature) for feature in np.argsort(support, kind="stable")]
    of_feature = [np.maximum(support[list(group)], 0).sum() for group in groups]
    return [int(feature) for feature in np.argsort(of_feature, kind="stable")]


def _support(network: Network, x: NDArray[np.int8]) -> NDArray[np.float64]:
    """``(n_inputs,)``: how much of the lead each bit of the instance is estimated to carry."""
    values, passed = x.astype(np.int64), []
    for block in dense_blocks(network):
        weights = block.weights.astype(np.int64)
        excess = weights @ values - block.thresholds
        passed.append((weights, 1 / (1.0 + np.abs(excess))))
        values = np.where(excess >= 0, 1, -1)
    lead = _lead(network, values)
    for weights, slopes in reversed(passed):
        lead = (lead * slopes) @ weights
    return np.asarray(lead * x, dtype=np.float64)


def _lead(network: Network, hidden: NDArray[np.int64]) -> NDArray[np.float64]:
    """How the last hidden bits weigh in the lead of the best class over the second best, if there is one."""
    output = network.output
    assert output.scale is not None
    assert output.bias is not None
    rows = output.scale[:, None] * output.weights
    ranked = np.argsort(rows @ hidden + output.bias, kind="stable")[::-1]
    return np.asarray(rows[ranked[0]] - rows[ranked[min(1, ranked.size - 1)]], dtype=np.float64)
