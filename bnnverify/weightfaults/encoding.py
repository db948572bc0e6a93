"""The question "do so many flips suffice?" as reified linear rows, for every network and region.

Layer by layer, in the budget of k flips that a formula is made for:

- *Inputs known, dense*: a neuron is toggled by a number of flips that is known, the fewest that carry its sum over
  the threshold, those of the greatest effect first. It becomes one variable of that cost, or a constant.
- *Bits vary, dense*: a flip moves the row's sum by exactly 2, whichever weight it is, so a row has two counters in
  order encoding: ``y <-> sum of w x + 2 up - 2 down >= t``. This relaxation is exact. Raising and lowering one row
  cancel, so a least answer never does both. And there are always enough terms to flip: a row of m weights with sum S
  has (m - S) / 2 terms of -1, so its sum can be raised to anything up to m, its threshold is at most m unless the
  neuron is constant, and S and m have the same parity. Downwards alike.
- *Shared weights, or levels that vary*: one variable for each weight, and for each product of a flip and a varying
  input one that is a function of both: their exclusive or where the input is a bit, their conjunction with each step
  of a level.
- *Output*: a flip in a class's row moves its integer key by twice its slope, so a class has one counter too: the
  wanted class is raised and its rivals are lowered, as nothing else helps. Here terms can run out before the key is
  beaten, so a row says that a class's sum is not raised past its number of weights.

Rows whose bounds, with at most k flips below and beside them, do not reach the threshold are constants. Every
model's counters are flips, and flips give a model, so the formula is satisfiable iff k flips suffice. Without a
budget the counters go: a row is free unless it is constant, and keys are as high, or low, as they get. Cost: the
weights of what can move, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bnnverify.network import Block, ConvBlock, Layer, Network, QuantizedInput
from bnnverify.presolve.flips import Flips
from bnnverify.presolve.lower import Terms as Weights
from bnnverify.presolve.lower import block_terms
from bnnverify.weightfaults.places import Longs, Mask, Places, Stored, Strikes
from bnnverify.weightfaults.values import Values, affine, bits_of, greatest_of, range_of, terms_of_columns, toggle_costs
from bnnverify.weightfaults.winning import NO_LIMIT, Target, Winning
from bnnverify.weightfaults.wiring import Terms, Wiring, joined
from bnnverify.weightflips import WeightBit
from encoders.formula import Formula


@dataclass(eq=False)
class Encoding:
    """The formula for a budget, and what its variables mean; without one it has no strikes to show.

    Args:
        counters: of a layer, the variables of flips that raise and that lower each row, ``(rows, most)`` padded by 0.
        toggles: of a layer with known inputs, the variable and the signed number of flips of each row; 0 for none.
        single: variables of single weights, and which weight each is.
    """

    network: Network
    places: Places
    flips: Flips
    target: Target
    budget: int | None
    wiring: Wiring = field(default_factory=Wiring)
    counters: dict[int, tuple[Longs, Longs]] = field(default_factory=dict)
    toggles: dict[int, tuple[Longs, Longs]] = field(default_factory=dict)
    single: list[tuple[int, WeightBit]] = field(default_factory=list)

    def formula(self) -> Formula:
        """The whole of it; called once."""
        if self.budget is None and self._strikes_all_classes:
            n_hidden = self.network.output.weights.shape[1]
            self._win(bits_of(*np.zeros((3, n_hidden), dtype=np.int64)))
            return self.wiring.formula()
        values = self._input()
        for number, (block, shape) in enumerate(zip(self.network.blocks, self.network.shapes, strict=False)):
            values = self._layer(number, block, block_terms(block, shape), values)
        self._win(values)
        if self.budget is not None:
            self.wiring.limit_costs(self.budget)
        return self.wiring.formula()

    def _win(self, values: Values) -> None:
        """That one of the winners beats all rivals."""
        output, number = self.network.output, len(self.network.blocks)
        allowed = self.places.of_layer(number, output.n_classes)
        winning = Winning(self.wiring, output, allowed, self.target, self.budget)
        self.counters[number] = winning.add(values)

    @property
    def _strikes_all_classes(self) -> bool:
        """Whether, without a budget, no layer below the output matters."""
        return bool(self.places.of_layer(len(self.network.blocks), self.network.n_classes).all())

    def strikes(self, model: Mask) -> Strikes:
        """What a model of the formula says; ``model[v]`` is the value of variable v."""
        made = model[1 : self.flips.inputs.size + 1]
        counts = {n: (model[up].sum(axis=1) - model[down].sum(axis=1)) for n, (up, down) in self.counters.items()}
        for number, (variables, signed) in self.toggles.items():
            counts[number] = np.where(model[variables], signed, 0)
        bits = tuple(bit for variable, bit in self.single if model[variable])
        return Strikes(self.flips.values(made), {n: row.astype(np.int64) for n, row in counts.items()}, bits)

    def _input(self) -> Values:
        """The region's own flips, which are the first variables."""
        flips = self.flips
        made = self.wiring.variables(int(flips.inputs.size))
        if flips.pairs.size:
            signed = np.sign(flips.pairs) * made[np.abs(flips.pairs) - 1]
            self.wiring.add_clauses(signed[:, 0], signed[:, 1])
        if flips.budget is not None:
            terms = Terms(np.zeros(made.size, np.int64), -flips.costs, made)
            self.wiring.add_rows(terms, np.array([flips.budget]), np.zeros(1, dtype=np.int64))
        base = flips.center.copy()
        are_bits = not isinstance(self.network.input, QuantizedInput)
        down = (flips.gains < 0) & are_bits
        np.add.at(base, flips.inputs[down], flips.gains[down])
        most = int(flips.inputs.size)
        if flips.budget is not None and flips.costs.size and flips.costs.min() > 0:
            most = min(most, flips.budget // int(flips.costs.min()))
        literals, gains = np.where(down, -made, made), np.where(down, -flips.gains, flips.gains)
        return Values(base, flips.inputs, gains, literals, flips.center, are_bits, most)

    @property
    def _budget(self) -> int:
        """The budget, or more flips than move any sum."""
        return NO_LIMIT if self.budget is None else self.budget

    def _layer(self, number: int, block: Layer, weights: Weights, values: Values) -> Values:
        """The neurons of a block over what it reads."""
        if not isinstance(block, Block | ConvBlock):
            return self._neurons(weights, *affine(weights, values), values, _none(weights), None)
        allowed = self.places.of_layer(number, len(block.weights))
        if not allowed.any():
            return self._neurons(weights, *affine(weights, values), values, _none(weights), None)
        if isinstance(block, Block) and not values.owner.size:
            return self._toggled(number, block, values, allowed)
        if isinstance(block, Block) and values.are_bits and self.budget is None:
            return self._freed(weights, values, allowed)
        if isinstance(block, Block) and values.are_bits:
            own = np.where(allowed, 2 * self._budget, 0)
            counted = self._counted(number, block, allowed)
            return self._neurons(weights, *affine(weights, values), values, own, counted)
        return self._struck(number, block, weights, values, allowed)

    def _neurons(
        self,
        weights: Weights,
        terms: Terms,
        constants: Longs,
        values: Values,
        own: Longs,
        extra: Terms | None,
        free: Mask | None = None,
    ) -> Values:
        """One variable for each row that can move, and its meaning.

        Args:
            terms, constants: the rows without flips.
            own: ``(rows,)`` by how much flips in a row can move it.
            extra: terms of the flips.
            free: rows that are whatever they may be.
        """
        low, high, usual = range_of(weights, terms, constants, values, own)
        moving = (low < 0) & (high >= 0)
        outputs = np.zeros(constants.size, dtype=np.int64)
        outputs[moving] = self.wiring.variables(int(np.count_nonzero(moving)))
        written = moving if free is None else moving & ~free
        number = np.cumsum(written) - 1
        terms = terms if extra is None else joined(terms, extra)
        kept = written[terms.row]
        rows = Terms(number[terms.row[kept]], terms.weight[kept], terms.literal[kept])
        self.wiring.add_rows(rows, constants[written], outputs[written])
        return bits_of(outputs, low >= 0, usual)

    def _freed(self, weights: Weights, values: Values, allowed: Mask) -> Values:
        """Neurons of which those that may be struck without limit are free, but for the constant ones."""
        own = np.where(allowed, 2 * NO_LIMIT, 0)
        return self._neurons(weights, *affine(weights, values), values, own, None, free=allowed)

    def _counted(self, number: int, layer: Stored, allowed: Mask) -> Terms:
        """Counters of raising and lowering flips for the rows of a dense layer, as terms of 2 a flip."""
        most = np.minimum(np.abs(layer.weights).sum(axis=1, dtype=np.int64), self._budget) * allowed
        up, down = self.wiring.counter(most), self.wiring.counter(most)
        self.counters[number] = up, down
        both = np.concatenate([_terms_of(up, 2), _terms_of(down, -2)], axis=1)
        return Terms(*both)

    def _toggled(self, number: int, block: Block, values: Values, allowed: Mask) -> Values:
        """Neurons whose inputs are known: each is as it is, or is toggled at a cost that is known."""
        usual, costs = toggle_costs(block, values.base, allowed)
        moving = (costs >= 0) & (costs <= self._budget)
        made = np.zeros(usual.size, dtype=np.int64)
        made[moving] = self.wiring.variables(int(np.count_nonzero(moving)))
        self.wiring.pay(made[moving], costs[moving])
        self.toggles[number] = made, np.where(moving, -usual * costs, 0)
        found = bits_of(-usual * made, usual > 0, usual)
        return found if self.budget is None else replace(found, most=self.budget, paid=True)

    def _struck(self, number: int, block: Block | ConvBlock, weights: Weights, values: Values, allowed: Mask) -> Values:
        """Neurons with a variable for each weight, and one for each product with an input that varies."""
        terms, constants = affine(weights, values)
        per_channel = constants.size // len(allowed)
        struck = np.repeat(allowed, per_channel)
        reach = np.zeros(constants.size, dtype=np.int64)
        np.maximum.at(reach, weights.row, np.abs(weights.weight) * greatest_of(values)[weights.column])
        own = np.where(struck, 2 * self._budget * reach, 0)
        low, high, _ = range_of(weights, terms, constants, values, own)
        moving = (low < 0) & (high >= 0)
        used = struck[weights.row] & moving[weights.row]
        flip = self._single(number, block, weights, used)
        extra = self._products(weights, values, flip)
        return self._neurons(weights, terms, constants, values, own, extra)

    def _single(self, number: int, block: Block | ConvBlock, weights: Weights, used: Mask) -> Longs:
        """The variable of the flip of each term's weight, 0 where it is not used, ``(terms,)``."""
        place = _stored_place(self.network, number, block, weights)
        width = block.weights[0].size
        distinct, which = np.unique(place[used], return_inverse=True)
        made = self.wiring.variables(distinct.size)
        self.wiring.pay(made, np.ones(distinct.size, dtype=np.int64))
        bits = [WeightBit(number, int(p) // width, int(p) % width) for p in distinct]
        self.single += zip(made.tolist(), bits, strict=True)
        flip = np.zeros(place.size, dtype=np.int64)
        flip[used] = made[which]
        return flip

    def _products(self, weights: Weights, values: Values, flip: Longs) -> Terms:
        """What flips add to the rows: ``-2 w x f``, where x may vary."""
        term = np.flatnonzero(flip)
        base = values.base[weights.column[term]]
        known = Terms(weights.row[term], -2 * weights.weight[term] * base, flip[term])
        which, place = terms_of_columns(values, weights.column[term])
        row, weight = weights.row[term][which], weights.weight[term][which] * values.gain[place]
        literal, flips = values.literal[place], flip[term][which]
        if not values.are_bits:
            return joined(known, Terms(row, -2 * weight, self._functions(flips, literal, exclusive=False)))
        fixed = np.isin(weights.column[term], values.owner, invert=True)
        known = Terms(known.row[fixed], known.weight[fixed], known.literal[fixed])
        instead = Terms(row, weight, self._functions(flips, literal, exclusive=True))
        return joined(known, joined(instead, Terms(row, -weight, literal)))

    def _functions(self, first: Longs, second: Longs, *, exclusive: bool) -> Longs:
        """One variable for each pair of literals: whether exactly one of them is true, or both are."""
        if not first.size:
            return first
        pairs, which = np.unique(np.stack([first, second]), axis=1, return_inverse=True)
        made, (a, b) = self.wiring.variables(pairs.shape[1]), pairs
        if exclusive:
            self.wiring.add_clauses(-made, -a, -b)
            self.wiring.add_clauses(-made, a, b)
            self.wiring.add_clauses(made, -a, b)
            self.wiring.add_clauses(made, a, -b)
        else:
            self.wiring.add_clauses(-made, a)
            self.wiring.add_clauses(-made, b)
            self.wiring.add_clauses(made, -a, -b)
        return made[which.reshape(-1)]


def _none(weights: Weights) -> Longs:
    return np.zeros(weights.thresholds.size, dtype=np.int64)


def _terms_of(counter: Longs, weight: int) -> Longs:
    """A counter's variables as rows, weights and literals, ``(3, n)``."""
    row, place = np.nonzero(counter)
    return np.stack([row, np.full(row.size, weight), counter[row, place]])


def _stored_place(network: Network, number: int, block: Block | ConvBlock, weights: Weights) -> Longs:
    """Which stored weight each term is, flat; the inverse of how a convolution is spread over its patches."""
    if isinstance(block, Block):
        return np.asarray(weights.row * block.weights.shape[1] + weights.column)
    _, height, width = network.shapes[number]
    _, rows, columns = block.output_shape(network.shapes[number])
    out, patch = np.divmod(weights.row, rows * columns)
    channel, cell = np.divmod(weights.column, height * width)
    dy = cell // width - (patch // columns) * block.stride[0] + block.padding[0]
    dx = cell % width - (patch % columns) * block.stride[1] + block.padding[1]
    _, n_in, kernel_height, kernel_width = block.weights.shape
    return np.asarray(((out * n_in + channel) * kernel_height + dy) * kernel_width + dx)
