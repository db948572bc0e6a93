"""The own ``.npz`` format: a network as packed bits and small integers, exactly what answers need.

Members: ``schema`` (a version string), ``structure`` (JSON text: the input, and kind, shape and
strides of every block), and for each block its packed ``weights`` and ``thresholds``; then the
output's ``weights``, ``bias`` and, unless all ones, ``scale``. See :mod:`bnnverify.formats.packing`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import ModelFormatError, UsageError
from bnnverify.formats.archive import read_arrays, write_arrays
from bnnverify.formats.packing import n_planes, pack_weights, smallest_floats, smallest_integers, unpack_weights
from bnnverify.network import (
    BitInput,
    Block,
    ConvBlock,
    InputLayer,
    Layer,
    MaxPool,
    Network,
    Output,
    QuantizedInput,
    ThresholdInput,
)

SCHEMA = "bnnverify-network/1"

Arrays = dict[str, NDArray[Any]]
Entry = dict[str, Any]


def save(network: Network, path: Path) -> None:
    """Write a network as ``.npz``, whole or not at all; equal networks give equal bytes.

    Raises:
        UsageError: if the name does not end in .npz, or the file cannot be written.
    """
    if path.suffix.lower() != ".npz":
        raise UsageError(f"{path}: networks are saved as .npz; give a name that ends so")
    write_arrays(path, encode(network))


def read(path: Path) -> Network:
    """Read what :func:`save` wrote.

    Raises:
        ModelFormatError: for anything else.
    """
    return decode(read_arrays(path), path.stem)


def encode(network: Network) -> Arrays:
    """The arrays of the file, by name."""
    arrays: Arrays = {}
    structure = {
        "input": _encode_input(network.input, arrays),
        "blocks": [_encode_block(f"block{k}", block, arrays) for k, block in enumerate(network.blocks, 1)],
        "output": _encode_weights("output", network.output.weights, arrays),
    }
    _encode_scores(network.output, arrays)
    head = {"schema": np.array(SCHEMA.encode()), "structure": np.array(json.dumps(structure).encode())}
    return head | arrays


def _encode_input(layer: InputLayer, arrays: Arrays) -> Entry:
    shape = list(layer.shape)
    if isinstance(layer, BitInput):
        return {"kind": "bits", "shape": shape}
    if isinstance(layer, QuantizedInput):
        if layer.steps is not None:
            arrays["input.steps"] = smallest_integers(layer.steps)
        return {"kind": "quantized", "shape": shape, "max_value": layer.max_value}
    arrays["input.thresholds"] = smallest_integers(layer.thresholds)
    arrays["input.rising"] = np.packbits(layer.rising, bitorder="little")
    return {"kind": "thresholds", "shape": shape, "max_value": layer.max_value}


def _encode_block(name: str, block: Layer, arrays: Arrays) -> Entry:
    if isinstance(block, MaxPool):
        return {"kind": "maxpool", "size": list(block.size), "stride": list(block.stride)}
    entry = _encode_weights(name, block.weights, arrays)
    arrays[f"{name}.thresholds"] = smallest_integers(block.thresholds)
    if isinstance(block, Block):
        return {"kind": "dense", **entry}
    return {"kind": "conv", **entry, "stride": list(block.stride), "padding": list(block.padding)}


def _encode_weights(name: str, weights: NDArray[np.int8], arrays: Arrays) -> Entry:
    arrays[f"{name}.weights"] = pack_weights(weights)
    return {"shape": list(weights.shape), "bits": n_planes(weights)}


def _encode_scores(output: Output, arrays: Arrays) -> None:
    assert output.bias is not None
    assert output.scale is not None
    arrays["output.bias"] = smallest_floats(output.bias)
    if np.any(output.scale != 1):
        arrays["output.scale"] = smallest_floats(output.scale)


def decode(arrays: Arrays, name: str) -> Network:
    """Inverse of :func:`encode`; ``name`` becomes the network's.

    Raises:
        ModelFormatError: for another schema, a missing or surplus array, or arrays that do not fit.
    """
    _require_schema(arrays)
    structure = _structure(arrays)
    reader = _Reader(arrays)
    input_layer = _decode_input(_entry(structure, "input"), reader)
    blocks = _field(structure, "blocks", list)
    decoded = [_decode_block(f"block{k}", block, reader) for k, block in enumerate(blocks, 1)]
    output = _decode_output(_entry(structure, "output"), reader)
    reader.require_all_used()
    return Network(tuple(decoded), output, input_layer, name)


class _Reader:
    """Hands out arrays by name and remembers which were asked for."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._used = {"schema", "structure"}

    def has(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            raise ModelFormatError(f"{name}: missing, but the structure calls for it")
        self._used.add(name)
        return self._arrays[name]

    def require_all_used(self) -> None:
        surplus = sorted(set(self._arrays) - self._used)
        if surplus:
            raise ModelFormatError(f"{surplus[0]}: an array that the structure does not mention")


def _require_schema(arrays: Arrays) -> None:
    found = _text(arrays, "schema")
    if found != SCHEMA:
        raise ModelFormatError(f"schema {found[:80]!r}, expected {SCHEMA!r}; was it written by a newer version?")


def _text(arrays: Arrays, name: str) -> str:
    array = arrays.get(name)
    if array is None or array.dtype.kind != "S" or array.shape != ():
        raise ModelFormatError(f"{name}: missing or not a string")
    try:
        return bytes(array.item()).decode()
    except UnicodeDecodeError:
        raise ModelFormatError(f"{name}: not UTF-8 text") from None


def _structure(arrays: Arrays) -> Entry:
    text = _text(arrays, "structure")
    try:
        structure = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelFormatError("structure: not JSON") from None
    if not isinstance(structure, dict):
        raise ModelFormatError(f"structure: a JSON {type(structure).__name__}, expected an object")
    return structure


def _field(entry: Any, key: str, expected: type) -> Any:
    if not isinstance(entry, dict) or type(entry.get(key)) is not expected:
        raise ModelFormatError(f"structure: expected {key!r} as {expected.__name__}, found {str(entry)[:80]}")
    return entry[key]


def _entry(structure: Entry, key: str) -> Entry:
    entry: Entry = _field(structure, key, dict)
    return entry


def _sizes(entry: Entry, key: str) -> tuple[int, ...]:
    sizes = _field(entry, key, list)
    if not all(type(size) is int and 0 <= size < 1 << 31 for size in sizes):
        raise ModelFormatError(f"structure: {key} {str(sizes)[:80]}, expected whole numbers of at least 0")
    return tuple(sizes)


def _decode_input(entry: Entry, reader: _Reader) -> InputLayer:
    kind, shape = _field(entry, "kind", str), _sizes(entry, "shape")
    if kind == "bits":
        return BitInput(shape)
    max_value = _field(entry, "max_value", int)
    if kind == "quantized":
        return QuantizedInput(shape, max_value, reader.take("input.steps") if reader.has("input.steps") else None)
    if kind != "thresholds":
        raise ModelFormatError(f"structure: input kind {kind!r}, expected bits, thresholds or quantized")
    thresholds = reader.take("input.thresholds").reshape(-1)
    rising = unpack_weights("input.rising", reader.take("input.rising").reshape(1, -1), thresholds.shape, 1) > 0
    return ThresholdInput(thresholds, rising, max_value, shape)


def _decode_block(name: str, entry: Any, reader: _Reader) -> Layer:
    kind = _field(entry, "kind", str)
    if kind == "maxpool":
        return MaxPool(_pair(entry, "size"), _pair(entry, "stride"))
    if kind not in ("dense", "conv"):
        raise ModelFormatError(f"structure: {name} is of kind {kind!r}, expected dense, conv or maxpool")
    weights, thresholds = _decode_weights(name, entry, reader), reader.take(f"{name}.thresholds")
    try:
        if kind == "dense":
            return Block(weights, thresholds)
        return ConvBlock(weights, thresholds, _pair(entry, "stride"), _pair(entry, "padding"))
    except ModelFormatError as error:
        raise ModelFormatError(f"{name}: {error}") from None


def _pair(entry: Entry, key: str) -> tuple[int, int]:
    sizes = _sizes(entry, key)
    if len(sizes) != 2:
        raise ModelFormatError(f"structure: {key} {sizes}, expected two numbers")
    return sizes[0], sizes[1]


def _decode_weights(name: str, entry: Entry, reader: _Reader) -> NDArray[np.int8]:
    packed = reader.take(f"{name}.weights")
    return unpack_weights(f"{name}.weights", packed, _sizes(entry, "shape"), _field(entry, "bits", int))


def _decode_output(entry: Entry, reader: _Reader) -> Output:
    weights, bias = _decode_weights("output", entry, reader), reader.take("output.bias")
    scale = reader.take("output.scale") if reader.has("output.scale") else None
    for name, values in (("output.bias", bias), ("output.scale", scale)):
        if values is not None and values.dtype.kind != "f":
            raise ModelFormatError(f"{name}: type {values.dtype}, expected floats")
    return Output(weights, bias, scale)
