"""The search by toggled neurons: exact for dense blocks on one input, and fast where few flips suffice.

Flips matter only through the neurons they toggle, and what toggling a neuron costs is known once the block below
is. So sets of toggled neurons are enumerated block by block, cheapest first, within a budget that grows by one flip
at a time; few neurons are cheap, so these sets are few. The last block and the output are a knapsack instead
(:mod:`bnnverify.weightfaults.searchkernel`). Layers below the first that may be struck are executed. Cost: some
microseconds a set, more where blocks are wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnverify.inference.reference import layer_values
from bnnverify.network import Block, Network
from bnnverify.scores import score_keys
from bnnverify.weightfaults.places import Longs, Places, Strikes
from bnnverify.weightfaults.searchkernel import search
from bnnverify.weightfaults.searchstate import FOUND, FULL, NONE, Layers, State
from bnnverify.weightfaults.values import toggle_costs
from bnnverify.weightfaults.winning import Target

MOST_NODES = 20_000_000

__all__ = ["FOUND", "FULL", "NONE", "Toggles", "first_struck"]


def first_struck(network: Network, places: Places) -> int:
    """The lowest layer that may be struck; the output layer if none may."""
    return min(places.layers, default=len(network.blocks))


@dataclass(frozen=True, eq=False)
class Toggles:
    """A network on one input from the first struck layer on, as the kernel takes it.

    Args:
        values: ``(n_inputs,)`` bits or levels.
        start: the number of the first block searched.
        sums, live: of all levels, without any flip.
        costs: flips that toggle each neuron of the first block searched, 0 where none do.
    """

    values: Longs
    start: int
    layers: Layers
    sums: Longs
    live: Longs
    costs: Longs
    target: Target

    @classmethod
    def of(cls, network: Network, places: Places, values: Longs, target: Target) -> Toggles | None:
        """What there is to search, or None where a layer from the first struck one on is no dense block."""
        start = first_struck(network, places)
        blocks = network.blocks[start:]
        if not all(isinstance(block, Block) for block in blocks):
            return None
        below = values.reshape(1, *network.shapes[0])
        for block in network.blocks[:start]:
            below = layer_values(block, below)
        return cls._of_dense(network, places, values, below.reshape(-1), start, target)

    @classmethod
    def _of_dense(
        cls, network: Network, places: Places, values: Longs, below: Longs, start: int, target: Target
    ) -> Toggles:
        output = network.output
        blocks = [block for block in network.blocks[start:] if isinstance(block, Block)]
        matrices = [*(block.weights for block in blocks), output.weights]
        sums, live = [], [below]
        for matrix, block in zip(matrices, [*blocks, None], strict=True):
            sums.append(matrix.astype(np.int64) @ live[-1])
            if block is not None:
                live.append(np.where(sums[-1] >= block.thresholds, 1, -1))
        reach = [np.abs(matrix.astype(np.int64)) @ np.abs(read) for matrix, read in zip(matrices, live, strict=True)]
        limits = [np.clip(b.thresholds, -r, r + 1) for b, r in zip(blocks, reach, strict=False)]
        rows = [places.of_layer(start + i, len(matrix)) for i, matrix in enumerate(matrices)]
        costs = np.zeros(0, dtype=np.int64)
        if blocks:
            costs = np.maximum(toggle_costs(blocks[0], below, rows[0])[1], 0)
        keys = score_keys(output, target.order)
        later = [np.ascontiguousarray(matrix.T).reshape(-1) for matrix in matrices[1:]]
        layers = Layers(
            first=np.cumsum([0, *(len(matrix) for matrix in matrices)]).astype(np.int64),
            columns=np.concatenate([np.zeros(0, np.int8), *later]),
            column_at=np.cumsum([0, 0, *(part.size for part in later)]).astype(np.int64),
            thresholds=np.concatenate([np.zeros(0, np.int64), *limits]),
            reach=np.concatenate(reach),
            allowed=np.concatenate(rows),
            slopes=keys.slopes,
            offsets=keys.offsets,
        )
        return cls(values, start, layers, np.concatenate(sums), np.concatenate(live[1:] or [costs]), costs, target)

    def within(self, budget: int, most_nodes: int = MOST_NODES) -> tuple[int, Strikes | None]:
        """FOUND with strikes of at most so many flips, NONE where there are none, FULL where that is not known."""
        n = int(self.layers.first[-1])
        state = self._state(n, budget, most_nodes)
        winners, rivals = (np.array(classes, dtype=np.int64) for classes in (self.target.winners, self.target.rivals))
        status = int(search(self.layers, state, winners, rivals, self.costs, budget))
        if status != FOUND:
            return status, None
        first = self.layers.first
        counts = {self.start + i: state.counts[first[i] : first[i + 1]] for i in range(first.size - 1)}
        return FOUND, Strikes(self.values, counts)

    def _state(self, n: int, budget: int, most_nodes: int) -> State:
        first = self.layers.first
        n_last = int(first[-2] - first[max(0, first.size - 3)])
        costs, missing, candidates, counts = np.zeros((4, n), dtype=np.int64)
        return State(
            sums=self.sums.copy(),
            live=self.live.copy(),
            costs=costs,
            missing=missing,
            candidates=candidates,
            counts=counts,
            n_open=np.zeros(first.size, dtype=np.int64),
            nodes=np.array([0, most_nodes]),
            best=np.zeros(budget + 1),
            items=np.zeros(n_last, dtype=np.int64),
            gains=np.zeros(n_last),
            taken=np.zeros((n_last, budget + 1), dtype=np.bool_),
        )
