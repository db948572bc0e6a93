"""Instances as packed bits: the input layer of the bit engine.

Integers of the expected shape are checked and packed in one pass over the caller's own array, of whatever
integer type. Everything else (floats, other shapes, wrong values) goes through the input layer's own ``read``,
which converts it or says in one sentence what is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import pack
from bnnverify.inference.program import Backend, Words
from bnnverify.inference.reference import read_batch
from bnnverify.network import BitInput, InputLayer, QuantizedInput, ThresholdInput


class Entry:
    """Packs instances of one input layer.

    Args:
        layer: the network's input layer.
        n_planes: bit planes of quantized integers; None where the first block wants the integers themselves.
        backend: the kernels.
    """

    def __init__(self, layer: InputLayer, n_planes: int | None, backend: Backend) -> None:
        self._layer, self._n_planes, self._backend = layer, n_planes, backend
        self._thresholds: dict[Any, tuple[NDArray[Any], Words]] = {}
        if isinstance(layer, ThresholdInput):
            self._flipped = pack(np.where(layer.rising, -1, 1).astype(np.int8))

    def pack(self, X: Any) -> NDArray[Any]:
        """Instances as words ``(batch, words)``, planes ``(batch, planes, words)`` or integers ``(batch, n)``.

        Raises:
            InputFormatError: if values or shape do not fit the input layer.
        """
        if isinstance(self._layer, BitInput):
            return self._pack_bits(X)
        levels = self._levels(X, self._layer)
        if isinstance(self._layer, ThresholdInput):
            return self._pack_pixels(levels)
        levels = self._layer.levels_of(levels)
        return levels if self._n_planes is None else self._backend.pack_planes(levels, self._n_planes)

    def _pack_bits(self, X: Any) -> Words:
        batch = _integer_batch(X, self._layer, "biu")
        if batch is not None:
            words, valid = self._backend.pack_bits(batch.view(np.uint8) if batch.dtype == np.bool_ else batch)
            if valid:
                return words
        return self._backend.pack_bits(read_batch(self._layer, X))[0]

    def _levels(self, X: Any, layer: ThresholdInput | QuantizedInput) -> NDArray[Any]:
        batch = _integer_batch(X, layer, "iu")
        if batch is not None and (batch.size == 0 or (batch.min() >= 0 and batch.max() <= layer.max_value)):
            return batch
        return read_batch(layer, X)

    def _pack_pixels(self, levels: NDArray[Any]) -> Words:
        if levels.dtype not in self._thresholds:
            self._thresholds[levels.dtype] = self._reachable(levels.dtype)
        thresholds, reachable = self._thresholds[levels.dtype]
        return self._backend.pack_above(levels, thresholds) & reachable ^ self._flipped

    def _reachable(self, dtype: np.dtype[Any]) -> tuple[NDArray[Any], Words]:
        """Thresholds in the pixels' own type, and the mask of those that the type can reach."""
        assert isinstance(self._layer, ThresholdInput)
        thresholds, greatest = self._layer.thresholds, np.iinfo(dtype).max
        possible = pack(np.where(thresholds <= greatest, 1, -1).astype(np.int8))
        return np.minimum(thresholds, greatest).astype(dtype), possible


def _integer_batch(X: Any, layer: InputLayer, kinds: str) -> NDArray[Any] | None:
    """``X`` as a contiguous ``(batch, n_inputs)`` without a copy, if it is integers of a batch's shape."""
    array = np.asarray(X)
    if array.dtype.kind not in kinds or not array.dtype.isnative:
        return None
    if array.ndim < 2 or array.shape[1:] not in ((layer.n_inputs,), layer.shape):
        return None
    return np.ascontiguousarray(array).reshape(len(array), layer.n_inputs)
