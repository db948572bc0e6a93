"""Execute a network with faulty memory: strike, run, undo, on one thread's own copy of the packed words.

What is the same in all trials is prepared once and shared: the packed instances, the fault-free activations that
enter the first layer a fault can reach, and, for dense layers behind it, the fault-free slacks, from which a layer
with few changes is brought up to date instead of executed (:mod:`bnnverify.faults.increments`). Everything else is
the bit engine's own program. A trial's random numbers depend on its seed and on the bank alone, never on threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.faults.cells import NO_CELLS, STORED, Cells, Contents, Positions, Target
from bnnverify.faults.chips import ORDER
from bnnverify.faults.flipping import bits_at, flip_rows
from bnnverify.faults.increments import Columns, Sound, columns_of, fits, n_differing, sound_bytes
from bnnverify.faults.layers import NO_FLIPS, FaultyLayer, image_order
from bnnverify.faults.model import FaultModel
from bnnverify.faults.stored import (
    activation_bank,
    banks,
    has_cells,
    input_bank,
    input_planes,
    require_signs,
)
from bnnverify.inference.engine import engine_of
from bnnverify.inference.program import ConvStep, DenseStep
from bnnverify.network import Network

SLACK_BYTES = 1 << 30
Values: TypeAlias = NDArray[Any]
Source: TypeAlias = Callable[[Cells], np.random.Generator]


@dataclass(frozen=True, eq=False)
class Slab:
    """Some instances, and what enters the layers when nothing is faulty.

    Args:
        rows: which instances.
        packed: the packed instances.
        entering: values that enter a layer, kept for the first one that faults can reach and for dense ones behind.
        sound: what layers that can be brought up to date start from.
    """

    rows: slice
    packed: Values
    entering: dict[int, Values] = field(default_factory=dict)
    sound: dict[int, Sound] = field(default_factory=dict)


class Prepared:
    """What all trials of one fault model share; nothing in it changes.

    Args:
        network: what is stored.
        X: instances in the network's own input scale.
        model: the faults, aimed.
        threshold_bits: width of stored thresholds; by default as narrow as each layer allows.
        fresh_every: instances that one drawing of errors lasts for; by default all.
        reuse: whether layers may be brought up to date instead of executed.

    Raises:
        UsageError, UnsupportedError: if the model does not fit the network.
        InputFormatError: if the instances do not.
    """

    def __init__(
        self,
        network: Network,
        X: Any,
        model: FaultModel,
        *,
        threshold_bits: int | None = None,
        fresh_every: int | None = None,
        reuse: bool = True,
    ) -> None:
        self.network, self.model, self.engine = network, model, engine_of(network)
        packed = self.engine.pack(X)
        self.n_instances = len(packed)
        self.banks = _checked_banks(network, model, self.n_instances, threshold_bits)
        self.start = self._first_reached()
        self.steps = self._steps()
        self.with_zeros = {layer for layer, step in self.steps.items() if step.neurons.mask is not None}
        self._prepare_carries()
        self.columns = self._columns() if reuse else {}
        self.chunks = [
            [
                Slab(slice(start, stop), packed[start:stop])
                for start, stop in _cuts(chunk.start, chunk.stop, self.engine.slab_rows)
            ]
            for chunk in _chunks(self.n_instances, fresh_every)
        ]
        self.classes = np.concatenate([self._fault_free(slab) for chunk in self.chunks for slab in chunk])

    def touched(self, *targets: Target) -> Iterator[Cells]:
        """The banks of these targets that can fail."""
        for cells in self.banks:
            if cells.target in targets and self.model.touches(cells.target, cells.layer):
                yield cells

    def layer(self, layer: int) -> FaultyLayer:
        """A writable copy of one layer."""
        updated = layer in self.columns
        return FaultyLayer(self.network, layer, self.steps[layer], self.planes(layer), updated=updated)

    def machine(self) -> Machine:
        """A copy for one thread."""
        return Machine(self)

    def _first_reached(self) -> int:
        """The first layer that can behave differently from a fault-free one."""
        first = [cells.layer + (cells.target is Target.ACTIVATIONS) for cells in self.touched(*Target)]
        return min(first, default=len(self.network.blocks))

    def _steps(self) -> dict[int, DenseStep | ConvStep]:
        """The weighted steps, and the output layer in the shape of one."""
        program = self.engine.program
        steps = {k: step for k, step in enumerate(program.steps) if isinstance(step, DenseStep | ConvStep)}
        limits = np.zeros((1, 8 * len(program.output.words)), dtype=np.int64)
        return {**steps, len(program.steps): DenseStep(program.output, limits, program.output_gather)}

    def _prepare_carries(self) -> None:
        """Make the second layout once, where whole slabs will use it, so that every thread copies a sound one."""
        rows = min(self.n_instances, self.engine.slab_rows)
        for layer, step in self.steps.items():
            n_in_words = step.neurons.words.shape[1]
            plain = isinstance(step, DenseStep) and step.neurons.mask is None and not self.planes(layer)
            if plain and self.engine.kernels.carries_pay(rows, n_in_words, step.neurons.n_out):
                _ = step.carries  # type: ignore[union-attr]

    def planes(self, layer: int) -> int:
        """Bit planes that a layer reads, 0 for bits."""
        return (self.engine.program.n_planes or 0) if layer == 0 else 0

    def _columns(self) -> dict[int, Columns]:
        """Layers that can be brought up to date, while memory lasts and the rate promises a gain."""
        found: dict[int, Columns] = {}
        room = SLACK_BYTES
        for layer, step in self.steps.items():
            if not self.start <= layer < len(self.network.blocks) or not isinstance(step, DenseStep):
                continue
            n_in, n_out = self._block_size(layer)
            room -= self.n_instances * sound_bytes(n_in, n_out)
            if room < 0 or self.planes(layer) or step.gather is not None or not fits(step.neurons, n_in):
                continue
            columns = columns_of(step, self.network.blocks[layer].weights)  # type: ignore[union-attr]
            if columns.pays(0, int((self.model.ber or 0) * n_in * n_out) if self._strikes(layer) else 0):
                found[layer] = columns
        return found

    def _strikes(self, layer: int) -> bool:
        return any(cells.layer == layer for cells in self.touched(Target.WEIGHTS))

    def _block_size(self, layer: int) -> tuple[int, int]:
        n_out, n_in = self.network.blocks[layer].weights.shape  # type: ignore[union-attr]
        return n_in, n_out

    def _fault_free(self, slab: Slab) -> NDArray[np.int64]:
        """Run a slab once, keep what trials reuse, and return its classes."""
        kernels, program = self.engine.kernels, self.engine.program
        values = self.engine.first_values(slab.packed)
        for layer, step in enumerate(program.steps):
            if layer == self.start or layer in self.columns:
                slab.entering[layer] = values
            if layer in self.columns:
                slab.sound[layer] = self.columns[layer].sound(kernels, values)
            values = step.run(kernels, values)
        if self.start == len(program.steps):
            slab.entering[self.start] = values
        return self.engine.winners(program.output_sums(kernels, values))


class Machine:
    """One thread's faulty copy of a network; see :class:`Prepared`."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared, self._engine = prepared, prepared.engine
        self._layers = {cells.layer: prepared.layer(cells.layer) for cells in prepared.touched(*STORED)}
        self._columns = {k: found.writable() if k in self._layers else found for k, found in prepared.columns.items()}
        self._moves = {k: found.strike(NO_FLIPS) for k, found in self._columns.items()}

    def run(self, entropy: Sequence[int]) -> tuple[NDArray[np.int64], int]:
        """Classes ``(n_instances,)`` with faults drawn from this entropy, and how many bits were wrong."""
        classes: list[NDArray[np.int64]] = []
        n_flips = 0
        for number, chunk in enumerate(self._prepared.chunks):
            source = partial(_generator, entropy, number)
            with self.struck(source) as n_stored:
                dynamic = _Dynamic(self._prepared, source)
                classes.extend(self._classes(slab, dynamic) for slab in chunk)
                n_flips += n_stored + dynamic.n_flips
        return np.concatenate(classes), n_flips

    @contextmanager
    def struck(self, source: Source) -> Iterator[int]:
        """Draw the errors of all stored bits, hold them in place, and make everything sound again.

        Args:
            source: gives each bank its random generator.

        Returns:
            How many bits are wrong meanwhile.
        """
        try:
            yield self._strike(source)
        finally:
            for number, columns in self._columns.items():
                columns.strike(self._moves[number].flips)
                self._moves[number] = columns.strike(NO_FLIPS)
            for layer in self._layers.values():
                layer.undo()

    def _strike(self, source: Source) -> int:
        """Draw the errors of all stored bits and put them in place."""
        prepared, found = self._prepared, 0
        wrong: dict[tuple[Target, int], tuple[Positions, int]] = {}
        for cells in prepared.touched(*STORED):
            positions = prepared.model(cells, source(cells))
            if cells.target is Target.WEIGHTS and cells.layer in prepared.with_zeros:
                positions = positions[has_cells(prepared.network, cells.layer, positions)]
            wrong[cells.target, cells.layer] = positions, cells.columns
            found += positions.size
        for number, layer in self._layers.items():
            weights, _ = wrong.get((Target.WEIGHTS, number), (NO_CELLS, 0))
            layer.load(weights, *wrong.get((Target.THRESHOLDS, number), (NO_CELLS, 0)))
            if number in self._columns:
                self._moves[number] = self._columns[number].strike(layer.flips)
        return found

    def _classes(self, slab: Slab, dynamic: _Dynamic) -> NDArray[np.int64]:
        kernels, program, start = self._engine.kernels, self._engine.program, self._prepared.start
        values = dynamic.entering(slab)
        for layer in range(start, len(program.steps)):
            values = dynamic.behind(layer, self._step(layer, slab, values))
        rows = values if program.output_gather is None else program.output_gather.run(kernels, values)
        neurons = self._neurons(len(program.steps))
        differing = kernels.dense_counts(rows, neurons.words, neurons.mask)[:, : neurons.n_out]
        return self._engine.winners(neurons.nonzero - 2 * differing)

    def _neurons(self, layer: int) -> Any:
        faulty = self._layers.get(layer)
        return (self._prepared.steps[layer] if faulty is None else faulty.step).neurons

    def _step(self, layer: int, slab: Slab, values: Values) -> Values:
        """One layer, brought up to date where that is faster."""
        faulty = self._layers.get(layer)
        columns = self._columns.get(layer)
        if columns is not None and (faulty is None or not faulty.moved_limits):
            before = slab.entering[layer]
            n_changed, moves = n_differing(values, before), self._moves[layer]
            if columns.pays(n_changed / len(values), moves.flips.rows.size):
                return columns.updated(values, before, n_changed, slab.sound[layer], moves)
        step = self._engine.program.steps[layer] if faulty is None else faulty.step
        return step.run(self._engine.kernels, values)


class _Dynamic:
    """Errors of inputs and activations of one drawing, slab after slab."""

    def __init__(self, prepared: Prepared, source: Source) -> None:
        self._prepared = prepared
        self._banks = {
            (cells.target, cells.layer): cells for cells in prepared.touched(Target.ACTIVATIONS, Target.INPUTS)
        }
        self._rngs = {key: source(cells) for key, cells in self._banks.items()}
        self.n_flips = 0

    def entering(self, slab: Slab) -> Values:
        """What enters the first layer that faults reach."""
        prepared, start = self._prepared, self._prepared.start
        if (Target.INPUTS, 0) in self._banks:
            return prepared.engine.first_values(self._faulty_inputs(slab.packed))
        return self.behind(start - 1, slab.entering[start])

    def behind(self, layer: int, values: Values) -> Values:
        """The activations of a block, with their errors."""
        if (Target.ACTIVATIONS, layer) not in self._banks:
            return values
        shape = self._prepared.network.shapes[layer + 1]
        order = np.arange(shape[0], dtype=np.int64)
        if len(shape) == 3:
            order = image_order(*shape, 64 * values.shape[-1])
        words = values.reshape(len(values), -1)
        bank = partial(activation_bank, self._prepared.network, layer)
        return self._flipped(Target.ACTIVATIONS, layer, words, order, bank).reshape(values.shape)

    def _faulty_inputs(self, packed: Values) -> Values:
        network, planes = self._prepared.network, input_planes(self._prepared.network)
        bank = partial(input_bank, network)
        if packed.dtype != np.uint64:
            return self._faulty_levels(packed, planes)
        words = packed.reshape(len(packed), -1)
        pitch = words.shape[1] // planes * 64
        order = (np.arange(network.n_inputs)[:, None] + pitch * np.arange(planes)).reshape(-1)
        return self._flipped(Target.INPUTS, 0, words, order, bank).reshape(packed.shape)

    def _faulty_levels(self, levels: Values, planes: int) -> Values:
        """Integers that were not cut into bit planes."""

        def ones(asked: Positions) -> Contents:
            row, bit = np.divmod(asked, levels.shape[1] * planes)
            return np.asarray(levels[row, bit // planes] >> (bit % planes) & 1 == 1)

        positions = self._drawn(Target.INPUTS, 0, input_bank(self._prepared.network, len(levels), ones))
        changed = levels.astype(np.int64)
        row, bit = np.divmod(positions, levels.shape[1] * planes)
        np.bitwise_xor.at(changed, (row, bit // planes), np.left_shift(np.int64(1), bit % planes))
        return changed

    def _flipped(
        self,
        target: Target,
        layer: int,
        words: NDArray[np.uint64],
        order: NDArray[np.int64],
        bank: Callable[[int, Callable[[Positions], Contents]], Cells],
    ) -> NDArray[np.uint64]:
        """A copy of packed rows with its errors; ``order`` says where each column of the bank lies in a row."""

        def ones(asked: Positions) -> Contents:
            row, column = np.divmod(asked, order.size)
            return bits_at(words, row, order[column])

        positions = self._drawn(target, layer, bank(len(words), ones))
        changed = words.copy()
        row, column = np.divmod(positions, order.size)
        flip_rows(changed, row, order[column])
        return changed

    def _drawn(self, target: Target, layer: int, cells: Cells) -> Positions:
        positions = self._prepared.model(cells, self._rngs[target, layer])
        self.n_flips += positions.size
        return positions


def _generator(entropy: Sequence[int], chunk: int, cells: Cells) -> np.random.Generator:
    """The stream of one bank in one drawing of one trial."""
    return np.random.default_rng([*entropy, chunk, ORDER.index(cells.target), cells.layer])


def _checked_banks(network: Network, model: FaultModel, n_instances: int, threshold_bits: int | None) -> list[Cells]:
    found = banks(network, n_instances, threshold_bits)
    model.check(found)
    for cells in found:
        if cells.target in STORED and model.touches(cells.target, cells.layer):
            require_signs(network, cells.layer)
    return found


def _chunks(n: int, every: int | None) -> list[range]:
    if every is not None and every < 1:
        raise UsageError(f"fresh_every {every}: expected a number of instances of at least 1")
    return [range(start, min(start + (every or n), n)) for start in range(0, n, every or n)]


def _cuts(start: int, stop: int, step: int) -> list[tuple[int, int]]:
    return [(at, min(at + step, stop)) for at in range(start, stop, step)]
