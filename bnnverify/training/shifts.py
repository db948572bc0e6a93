"""AP2, the power of two nearest to a number, by which shift-based training replaces multiplication.

``AP2(z) = sign(z) 2^round(log2 |z|)``, nearest on the logarithmic scale, and ``AP2(0) = 0`` (Courbariaux, Hubara et al.
2016). Its gradient is passed straight through. The nearest power is read off the stored number: a mantissa past the
root of 2 adds one to the exponent, and no float is that root, so there are no ties. Cost: an addition and a mask of
integers for each number. A number below the least normal one becomes that or 0.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor

from bnnverify.training.binarizers import identity_slope, straight_through

# By type: integers of the same width, what carries a mantissa above the root of 2 into the exponent, sign and exponent.
PARTS = {
    torch.float32: (torch.int32, 0x800000 - 0x3504F4, -(1 << 23)),
    torch.float64: (torch.int64, (1 << 52) - 0x6A09E667F3BCD, -(1 << 52)),
}


def nearest_power_of_two(values: Tensor) -> Tensor:
    """AP2 elementwise of float32 or float64, without a gradient; NaN and infinity stay."""
    integers, carry, kept = PARTS[values.dtype]
    values = values.detach()
    nearest = values.view(integers).add(carry).bitwise_and_(kept).view(values.dtype)
    return torch.where(values.isnan(), values, nearest)


def power_of_two(values: Tensor) -> Tensor:
    """AP2 elementwise, with the gradient of the identity."""
    return straight_through(values, nearest_power_of_two(values), identity_slope)


def power_of_two_number(value: float) -> float:
    """AP2 of a positive number.

    >>> power_of_two_number(0.3), power_of_two_number(5.0)
    (0.25, 4.0)
    """
    return float(2.0 ** round(log2(value)))
