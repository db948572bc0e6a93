"""AP2, the power of two nearest to a number, by which shift-based training replaces multiplication.

``AP2(z) = sign(z) 2^round(log2 |z|)``, nearest on the logarithmic scale, with ties to the even exponent and
``AP2(0) = 0`` (Courbariaux, Hubara et al. 2016). Its gradient is passed straight through.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from bnnverify.training.binarizers import identity_slope, straight_through


def power_of_two(values: Tensor) -> Tensor:
    """AP2 elementwise, with the gradient of the identity."""
    with torch.no_grad():
        exponents = torch.log2(values.abs()).round()
        nearest = torch.where(values == 0, torch.zeros_like(values), torch.sign(values) * torch.exp2(exponents))
    return straight_through(values, nearest, identity_slope)


def power_of_two_number(value: float) -> float:
    """AP2 of a positive number.

    >>> power_of_two_number(0.3), power_of_two_number(5.0)
    (0.25, 4.0)
    """
    return float(2.0 ** round(log2(value)))
