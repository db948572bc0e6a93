"""64 slacks to 64 bits in four instructions: the inner step of counting by enumeration.

Slacks of the first block are int8, 64 to a group. Adding a column of changes and taking the signs
is one vector add, one compare and one mask move; numba does not find that by itself, so the LLVM
for it is written here. On processors without 512-bit vectors LLVM splits it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from bnnverify.bits import WORD_BITS, n_words

GROUP = WORD_BITS
_LANES = ir.VectorType(ir.IntType(8), GROUP)


def grouped(values: NDArray[Any]) -> NDArray[np.int8]:
    """Pad the last axis with zeros to whole groups of 64 slacks; no mask reads the padding's bits."""
    width = n_words(values.shape[-1]) * GROUP
    padding = [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])]
    return np.ascontiguousarray(np.pad(values.astype(np.int8), padding))


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    pointer = builder.bitcast(cgutils.pointer_add(builder, data, index), _LANES.as_pointer())
    return builder.load(pointer, align=1)


@intrinsic
def sign_word(_typing: Any, base: Any, i: Any, columns: Any, j: Any) -> Any:
    """Word whose bit b is ``base[i + b] + columns[j + b] >= 0``, for contiguous int8 arrays."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left = _load(context, builder, signature.args[0], args[0], args[1])
        right = _load(context, builder, signature.args[2], args[2], args[3])
        total = builder.add(left, right)
        signs = builder.icmp_signed(">=", total, ir.Constant(_LANES, [0] * GROUP))
        return builder.bitcast(signs, ir.IntType(64))

    return types.uint64(base, types.int64, columns, types.int64), emit
