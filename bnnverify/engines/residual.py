"""What of a network still moves inside a region: the problem that every engine works on.

Interval bounds run through all blocks once. In a region where at most r bits flip, a
pre-activation of the first block moves by at most 2 r, so most neurons are constant there; they
are folded into the thresholds behind them. Moving neurons that nothing moving reads are dropped, as
are classes that another class always beats. The first block is kept as integer *slacks*
``floor((w . x - t) / 2)``: a neuron is +1 iff its slack is at least 0, and flipping one input bit
moves a slack by +1, -1 or 0. Cost: one pass over the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.lowering import dense_blocks
from bnnverify.network import Block, Network
from bnnverify.regions import BitRegion
from bnnverify.scores import ScoreKeys, score_keys


@dataclass(frozen=True, eq=False)
class Residual:
    """A network restricted to a region, over the neurons that move there.

    Args:
        region: the region; ``items`` index its free bits in the order that engines use.
        items: ``(m,)`` positions in ``region.free``.
        costs: ``(m,)`` cost of each item's flip, non-decreasing.
        columns: ``(m, k)`` int8, what flipping an item adds to each of k first-block slacks.
        slacks: ``(k,)`` int64 at the centre.
        blocks: the blocks behind, over moving neurons.
        output: ``(c, h)`` ternary weights of the classes that can still win.
        slopes, offsets: integer keys of those classes, ``slopes * (output @ h) + offsets``.
        decode: class of a key, ``decode[key & (decode.size - 1)]`` (see :class:`bnnverify.scores.ScoreKeys`).
        classes: ``(c,)`` their numbers.
    """

    region: BitRegion
    items: NDArray[np.int64]
    costs: NDArray[np.int64]
    columns: NDArray[np.int8]
    slacks: NDArray[np.int64]
    blocks: tuple[Block, ...]
    output: NDArray[np.int8]
    slopes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    decode: NDArray[np.int64]
    classes: NDArray[np.int64]

    @property
    def settled(self) -> int | None:
        """The one class of the whole region, where bounds alone decide it."""
        return int(self.classes[0]) if self.classes.size == 1 else None


@dataclass
class _Layer:
    """A block or the output in integers, before and while its inputs are settled."""

    weights: NDArray[np.int64]
    constant: NDArray[np.int64]


def restrict(network: Network, region: BitRegion, order: Sequence[int] | None = None) -> Residual:
    """Propagate bounds through all blocks and keep what moves.

    Args:
        order: classes in the order in which they win ties (see :func:`bnnverify.scores.tie_order`).
    """
    layers = _integer_layers(network)
    keys = score_keys(network.output, order)
    layers[0].constant = layers[0].constant + layers[0].weights @ region.center.astype(np.int64)
    moving = [np.ones(region.free.size, dtype=np.bool_)]
    columns = -(layers[0].weights[:, region.free] * region.center[region.free])
    moving.append(_moving_first(layers[0].constant, columns, region))
    _settle(layers[1], layers[0].constant >= 0, moving[1])
    for before, layer in pairwise(layers[1:]):
        reach = np.abs(before.weights[:, moving[-1]]).sum(axis=1)
        moving.append((before.constant - reach < 0) & (before.constant + reach >= 0))
        _settle(layer, before.constant >= 0, moving[-1])
    return _assemble(region, columns, layers, moving, keys)


def _integer_layers(network: Network) -> list[_Layer]:
    """Blocks as ``weights @ x + constant >= 0``, the output last."""
    blocks = dense_blocks(network)
    layers = [_Layer(b.weights.astype(np.int64), -_reachable_thresholds(b)) for b in blocks]
    output = network.output.weights.astype(np.int64)
    if not layers:
        layers.append(_identity_layer(network.n_inputs))
    layers.append(_Layer(output, np.zeros(output.shape[0], dtype=np.int64)))
    return layers


def _identity_layer(n: int) -> _Layer:
    """A block that repeats its inputs, for networks that are an output layer alone."""
    return _Layer(np.eye(n, dtype=np.int64), np.zeros(n, dtype=np.int64))


def _reachable_thresholds(block: Block) -> NDArray[np.int64]:
    """Thresholds clipped to where they first make the neuron constant, so that sums stay small."""
    reach = block.fan_in()
    return np.clip(block.thresholds, -reach, reach + 1)


def _moving_first(sums: NDArray[np.int64], columns: NDArray[np.int64], region: BitRegion) -> NDArray[np.bool_]:
    """First-block neurons that some member of the region switches, exactly."""
    rising, falling = (_most_flips(columns * direction > 0, region) for direction in (1, -1))
    return np.where(sums >= 0, sums - 2 * falling < 0, sums + 2 * rising >= 0)


def _most_flips(helps: NDArray[np.bool_], region: BitRegion) -> NDArray[np.int64]:
    """Per neuron, the most bits that can flip in its favour within the budget: the cheapest ones."""
    all_flips = np.asarray(np.count_nonzero(helps, axis=1), dtype=np.int64)
    if region.budget is None:
        return all_flips
    if region.unit_costs:
        return np.minimum(all_flips, region.budget)
    cheapest = np.argsort(region.costs, kind="stable")
    spent = np.cumsum(np.where(helps, region.costs, 0)[:, cheapest], axis=1)
    affordable = helps[:, cheapest] & (spent <= region.budget)
    return np.asarray(np.count_nonzero(affordable, axis=1), dtype=np.int64)


def _settle(layer: _Layer, values: NDArray[np.bool_], moving: NDArray[np.bool_]) -> None:
    """Fold the inputs that do not move into the layer's constant."""
    fixed = np.where(values, 1, -1)[~moving]
    layer.constant = layer.constant + layer.weights[:, ~moving] @ fixed


def _assemble(
    region: BitRegion,
    columns: NDArray[np.int64],
    layers: list[_Layer],
    moving: list[NDArray[np.bool_]],
    keys: ScoreKeys,
) -> Residual:
    output, slopes = layers[-1].weights[:, moving[-1]], keys.slopes
    offsets = keys.offsets + slopes * layers[-1].constant
    classes = _possible_classes(output, slopes, offsets)
    used = _used_neurons(layers, moving, slopes[classes, None] * output[classes])
    behind = range(1, len(layers) - 1) if classes.size > 1 else ()
    blocks = [_block(layers[i], used[i + 1], used[i]) for i in behind]
    kept = used[1]
    columns, slacks = columns[kept], layers[0].constant[kept] // 2
    items = _item_order(columns, region)
    return Residual(
        region=region,
        items=items,
        costs=region.costs[items],
        columns=np.ascontiguousarray(columns.T[items].astype(np.int8)),
        slacks=slacks,
        blocks=tuple(blocks),
        output=layers[-1].weights[classes][:, used[-1]].astype(np.int8),
        slopes=slopes[classes],
        offsets=offsets[classes],
        decode=keys.classes,
        classes=classes,
    )


def _block(layer: _Layer, rows: NDArray[np.int64], inputs: NDArray[np.int64]) -> Block:
    return Block(layer.weights[rows][:, inputs].astype(np.int8), -layer.constant[rows])


def _possible_classes(
    output: NDArray[np.int64], slopes: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Classes that no single other class beats on every pattern of the moving neurons."""
    keys = slopes[:, None] * output
    survivors = []
    for c in range(slopes.size):
        reach = np.abs(keys - keys[c]).sum(axis=1)
        beaten = (offsets - offsets[c]) - reach > 0
        if not beaten.any():
            survivors.append(c)
    return np.array(survivors, dtype=np.int64)


def _used_neurons(
    layers: list[_Layer], moving: list[NDArray[np.bool_]], keys: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Moving neurons, layer by layer, that a moving neuron behind or the choice of class depends on."""
    used = [np.flatnonzero(moving[-1])[np.ptp(keys, axis=0) > 0]]
    for layer, moves in zip(reversed(layers[1:-1]), reversed(moving[1:-1]), strict=True):
        read = np.any(layer.weights[used[0]] != 0, axis=0)
        used.insert(0, np.flatnonzero(moves & read))
    return [np.flatnonzero(moving[0]), *used]


def suffix_sums(values: NDArray[np.bool_ | np.int64]) -> NDArray[np.int64]:
    """``(m + 1, k)``: the sums of the rows of ``(m, k)`` at or after each position; marks are counted."""
    totals = np.cumsum(values[::-1], axis=0)[::-1]
    return np.concatenate([totals, np.zeros((1, values.shape[1]), dtype=np.int64)])


def _item_order(columns: NDArray[np.int64], region: BitRegion) -> NDArray[np.int64]:
    """Cheapest flips first; among equals, those that touch most moving neurons first."""
    influence = np.count_nonzero(columns, axis=0)
    return np.lexsort((-influence, region.costs)).astype(np.int64)
