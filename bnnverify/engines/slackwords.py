"""64 slacks to 64 bits in four instructions: the inner step of counting by enumeration.

Slacks of the first block are int8 (int16 where more than a hundred flips meet in one), 64 to a group.
Adding a column of changes and taking the signs is one vector add, one compare and one mask move;
numba does not find that by itself, so the LLVM for it is written here. On processors without 512-bit
vectors LLVM splits it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from bnnverify.bits import WORD_BITS, n_words
from bnnverify.inference.simd import emitted

GROUP = WORD_BITS


def grouped(values: NDArray[Any], dtype: type[np.signedinteger[Any]] = np.int8) -> NDArray[Any]:
    """Pad the last axis with zeros to whole groups of 64 slacks; no mask reads the padding's bits."""
    width = n_words(values.shape[-1]) * GROUP
    padding = [(0, 0)] * (values.ndim - 1) + [(0, width - values.shape[-1])]
    return np.ascontiguousarray(np.pad(values.astype(dtype), padding))


def _lanes(array_type: Any) -> Any:
    """64 numbers of the array's own width."""
    return ir.VectorType(ir.IntType(array_type.dtype.bitwidth), GROUP)


def _row_pointer(builder: Any, array_type: Any, data: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(data, [index]), _lanes(array_type).as_pointer())


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.load(_row_pointer(builder, array_type, data, index), align=1)


@emitted
def sign_word(_typing: Any, base: Any, i: Any, columns: Any, j: Any) -> Any:
    """Word whose bit b is ``base[i + b] + columns[j + b] >= 0``, for contiguous arrays of one type."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left = _load(context, builder, signature.args[0], args[0], args[1])
        right = _load(context, builder, signature.args[2], args[2], args[3])
        total = builder.add(left, right)
        signs = builder.icmp_signed(">=", total, ir.Constant(left.type, [0] * GROUP))
        return builder.bitcast(signs, ir.IntType(64))

    return types.uint64(base, types.int64, columns, types.int64), emit


@emitted
def clamped_add(_typing: Any, base: Any, i: Any, columns: Any, j: Any, low: Any, high: Any, out: Any, o: Any) -> Any:
    """``out[o:o + 64] = clip(base[i:i + 64] + columns[j:j + 64], low[:64], high[:64])``, all of one type.

    ``low`` and ``high`` are read at the offset ``o % len(low)``, so that rows of several groups share them.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        left = _load(context, builder, kinds[0], args[0], args[1])
        total = builder.add(left, _load(context, builder, kinds[2], args[2], args[3]))
        bounds = context.make_array(kinds[4])(context, builder, args[4])
        offset = builder.srem(args[7], builder.extract_value(bounds.shape, 0))
        least, most = (_load(context, builder, kinds[n], args[n], offset) for n in (4, 5))
        total = builder.select(builder.icmp_signed("<", total, least), least, total)
        total = builder.select(builder.icmp_signed(">", total, most), most, total)
        data = context.make_array(kinds[6])(context, builder, args[6]).data
        builder.store(total, _row_pointer(builder, kinds[6], data, args[7]), align=1)
        return context.get_dummy_value()

    return types.void(base, types.int64, columns, types.int64, low, high, out, types.int64), emit
