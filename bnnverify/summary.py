"""What a network consists of, layer by layer: shapes, bits, bytes, operations, constant neurons.

Bytes are those of the packed arrays that :func:`bnnverify.save` writes (:mod:`bnnverify.formats.packing`):
one bit a weight, two where a layer has zero weights, thresholds and scores in the smallest type that
holds them. The file adds only the container's headers. Operations are multiply-accumulates, or
comparisons in a pooling or input layer, of one input.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.folding import reach
from bnnverify.formats.packing import n_planes, pack_weights, smallest_floats, smallest_integers
from bnnverify.network import (
    BitInput,
    Block,
    ConvBlock,
    InputLayer,
    MaxPool,
    Network,
    Output,
    QuantizedInput,
    Shape,
    ThresholdInput,
)

Range = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class LayerSummary:
    """One layer.

    Args:
        name: "input", "block 1" ..., "output".
        kind: bits, thresholds, quantized, dense, conv, maxpool or scores.
        input_shape, output_shape: of one instance.
        n_1bit, n_2bit, n_8bit: weights by the bits that each takes (ternary weights take two).
        n_32bit: thresholds, directions, biases and scales, which are no weights; packed below 32 bits where possible.
        n_bytes: of all of them, packed.
        operations: multiply-accumulates or comparisons of one input.
        n_neurons: outputs with a threshold of their own; ``n_constant`` of them never change.
        sums: least and greatest pre-activation that any neuron can reach.
        thresholds: least and greatest threshold.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    n_1bit: int = 0
    n_2bit: int = 0
    n_8bit: int = 0
    n_32bit: int = 0
    n_bytes: int = 0
    operations: int = 0
    n_neurons: int = 0
    n_constant: int = 0
    sums: Range | None = None
    thresholds: Range | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class NetworkSummary:
    """All layers of one network, and their totals."""

    name: str
    fingerprint: str
    layers: tuple[LayerSummary, ...]

    def total(self, field: str) -> int:
        """Sum of one numeric field over all layers, such as ``n_bytes``."""
        return sum(getattr(layer, field) for layer in self.layers)

    @property
    def n_bytes(self) -> int:
        return self.total("n_bytes")

    @property
    def n_parameters(self) -> int:
        return sum(self.total(field) for field in ("n_1bit", "n_2bit", "n_8bit", "n_32bit"))

    @property
    def float32_bytes(self) -> int:
        """What the same parameters would take as float32."""
        return 4 * self.n_parameters

    def to_dict(self) -> dict[str, Any]:
        fields = ("n_1bit", "n_2bit", "n_8bit", "n_32bit", "n_bytes", "operations", "n_neurons", "n_constant")
        totals = {field: self.total(field) for field in fields}
        return {
            "name": self.name,
            "sha256": self.fingerprint,
            "layers": [layer.to_dict() for layer in self.layers],
            "totals": {**totals, "float32_bytes": self.float32_bytes},
        }

    def rows(self) -> list[dict[str, str]]:
        """One row of texts a layer, column heading to cell, and a last row of totals."""
        return [*(_row(layer) for layer in self.layers), self._total_row()]

    def _total_row(self) -> dict[str, str]:
        counts = {heading: f"{self.total(field):,}" for heading, field in COUNT_COLUMNS.items()}
        return {"layer": "total", "kind": "", "output": "", **counts, "constant": f"{self.total('n_constant'):,}"} | {
            "sums": "",
            "thresholds": "",
        }

    def __repr__(self) -> str:
        return f"NetworkSummary({self.name!r}, {len(self.layers)} layers, {self.n_bytes} bytes)"


COUNT_COLUMNS = {
    "1-bit": "n_1bit",
    "2-bit": "n_2bit",
    "8-bit": "n_8bit",
    "32-bit": "n_32bit",
    "bytes": "n_bytes",
    "operations": "operations",
}


def summarize(network: Network) -> NetworkSummary:
    """Summary of every layer. Complexity: one pass over the weights."""
    shapes = network.shapes
    max_value = network.input.max_level if isinstance(network.input, QuantizedInput) else None
    layers = [_input_layer(network.input)]
    for k, block in enumerate(network.blocks):
        levels = max_value if k == 0 else None
        if isinstance(block, MaxPool):
            layers.append(_pool_layer(f"block {k + 1}", block, shapes[k], shapes[k + 1]))
        else:
            layers.append(_weighted_layer(f"block {k + 1}", block, shapes[k], shapes[k + 1], levels))
    layers.append(_output_layer(network.output, shapes[-1]))
    return NetworkSummary(network.name, network.fingerprint, tuple(layers))


def _row(layer: LayerSummary) -> dict[str, str]:
    counts = {heading: f"{getattr(layer, field):,}" for heading, field in COUNT_COLUMNS.items()}
    constant = f"{layer.n_constant:,} of {layer.n_neurons:,}" if layer.n_neurons else ""
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "output": "x".join(map(str, layer.output_shape)),
        **counts,
        "constant": constant,
        "sums": _range_text(layer.sums),
        "thresholds": _range_text(layer.thresholds),
    }


def _range_text(values: Range | None) -> str:
    return "" if values is None else f"{values[0]}..{values[1]}"


def _span(values: NDArray[np.int64]) -> Range:
    return int(values.min()), int(values.max())


def _input_layer(layer: InputLayer) -> LayerSummary:
    if isinstance(layer, ThresholdInput):
        return _threshold_layer(layer)
    kind = "bits" if isinstance(layer, BitInput) else "quantized"
    return LayerSummary(name="input", kind=kind, input_shape=layer.shape, output_shape=layer.shape)


def _threshold_layer(layer: ThresholdInput) -> LayerSummary:
    constant = (layer.thresholds < 1) | (layer.thresholds > layer.max_value)
    n_bytes = smallest_integers(layer.thresholds).nbytes + -(-layer.n_inputs // 8)
    return LayerSummary(
        name="input",
        kind="thresholds",
        input_shape=layer.shape,
        output_shape=layer.shape,
        n_1bit=layer.n_inputs,
        n_32bit=layer.n_inputs,
        n_bytes=n_bytes,
        operations=layer.n_inputs,
        n_neurons=layer.n_inputs,
        n_constant=int(np.count_nonzero(constant)),
        sums=(0, layer.max_value),
        thresholds=_span(layer.thresholds),
    )


def _pool_layer(name: str, pool: MaxPool, shape: Shape, output_shape: Shape) -> LayerSummary:
    comparisons = prod(output_shape) * prod(pool.size)
    return LayerSummary(name=name, kind="maxpool", input_shape=shape, output_shape=output_shape, operations=comparisons)


def _weighted_layer(
    name: str, block: Block | ConvBlock, shape: Shape, output_shape: Shape, max_value: int | None
) -> LayerSummary:
    low, high = reach(block.weights, max_value)
    constant = (block.thresholds <= low) | (block.thresholds > high)
    return LayerSummary(
        name=name,
        kind="dense" if isinstance(block, Block) else "conv",
        input_shape=shape,
        output_shape=output_shape,
        n_32bit=block.thresholds.size,
        n_bytes=pack_weights(block.weights).nbytes + smallest_integers(block.thresholds).nbytes,
        operations=block.weights[0].size * prod(output_shape),
        n_neurons=block.thresholds.size,
        n_constant=int(np.count_nonzero(constant)),
        sums=(int(low.min()), int(high.max())),
        thresholds=_span(block.thresholds),
        **_weight_counts(block.weights),
    )


def _output_layer(output: Output, shape: Shape) -> LayerSummary:
    assert output.bias is not None
    assert output.scale is not None
    low, high = reach(output.weights)
    stored = [output.bias] + ([output.scale] if np.any(output.scale != 1) else [])
    return LayerSummary(
        name="output",
        kind="scores",
        input_shape=shape,
        output_shape=(output.n_classes,),
        n_32bit=sum(values.size for values in stored),
        n_bytes=pack_weights(output.weights).nbytes + sum(smallest_floats(values).nbytes for values in stored),
        operations=output.weights.size,
        sums=(int(low.min()), int(high.max())),
        **_weight_counts(output.weights),
    )


def _weight_counts(weights: NDArray[np.int8]) -> dict[str, Any]:
    return {f"n_{n_planes(weights)}bit": weights.size}
