"""Turns stored weights into ternary ones: as they are if they are ternary, else by their sign.

Trainers keep real latent weights and use their sign, with ``sign(0) = +1``. A layer that holds
nothing but -1, 0 and +1 has been binarized already, and its zeros are pruned connections.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import sign
from bnnverify.errors import ModelFormatError


def binarize(name: str, stored: NDArray[Any]) -> tuple[NDArray[np.int8], tuple[str, ...]]:
    """Ternary weights of the same shape, and notes on what was done to get them.

    Raises:
        ModelFormatError: for NaN, infinity or values that are no real numbers.
    """
    if stored.dtype.kind not in "fiub":
        raise ModelFormatError(f"{name}: type {stored.dtype}, expected real weights")
    if not np.all(np.isfinite(stored)):
        raise ModelFormatError(f"{name}: found NaN or infinity, expected finite weights")
    if np.isin(stored, (-1, 0, 1)).all():
        return stored.astype(np.int8), ()
    n_zero = int(np.count_nonzero(stored == 0))
    zeros = f"; {n_zero} latent weights are exactly 0 and were taken as +1" if n_zero else ""
    return sign(stored), (f"{name}: latent weights binarized by their sign{zeros}",)


def require_ternary(name: str, stored: NDArray[Any]) -> NDArray[np.int8]:
    """The weights as int8, for formats that promise binarized ones.

    Raises:
        ModelFormatError: for any value but -1, 0 and +1.
    """
    strange = ~np.isin(stored, (-1, 0, 1))
    if strange.any():
        where = tuple(int(i[0]) for i in np.nonzero(strange))
        raise ModelFormatError(f"{name}: weight {stored[where]} at {where}, expected -1, 0 or +1")
    return stored.astype(np.int8)
