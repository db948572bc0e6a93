"""Checks a patch certificate, sharing no code with what made it: plain numpy and Python's integers.

What is proved: no input of the box gives a wanted class a score that beats the label's. The margin between the two
scores is a sum of terms, each over the hidden neurons of one *site* (a place of the last block, all channels). A
factor holds some sites, and its *scope* some first-block neurons. All settings of a scope are enumerated but those
that hold a *nogood*: signs of neurons which, added up with the nogood's multipliers, no input of the box has.
First-block neurons outside of the scope are intervals. Every factor adds an integer for each of its neurons that is
+1; what these integers do not cancel to, over all factors, is taken back at its worst. So the factors' minima add up
to a bound of scale times the margin, and it must be positive. Nothing else in the certificate is believed.

Cost: patterns times neurons of a factor; a second for ten thousands of patterns and 42 classes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, lcm, prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError
from bnnverify.network import BitInput, Block, ConvBlock, Layer, MaxPool, Network, Output, QuantizedInput, Shape
from bnnverify.patches.certificate import PatchCertificate

SAFE = 1 << 62
MAX_SCOPE = 60
MAX_PATTERNS = 1 << 22
CHUNK_CELLS = 1 << 23
_CW = ([1, 3], [1, 2])

Integers = NDArray[Any]


def check(
    certificate: PatchCertificate,
    network: Network,
    low: Sequence[Any],
    high: Sequence[Any],
    label: int,
    wanted: Iterable[int],
    *,
    order: Sequence[int] | None = None,
    real: bool = False,
) -> bool:
    """Whether the certificate proves that no input of the box lets a wanted class beat the label.

    Args:
        low, high: the box, ``(n_inputs,)`` in the network's order: integers, fractions or floats, which are exact.
        order: classes in the order in which they win ties; by default a tie is a violation.
        real: inputs are all real numbers of the box, not whole levels alone; the network's integer thresholds
            are then thresholds over real sums.
    """
    return rejection(certificate, network, low, high, label, wanted, order=order, real=real) is None


def rejection(
    certificate: PatchCertificate,
    network: Network,
    low: Sequence[Any],
    high: Sequence[Any],
    label: int,
    wanted: Iterable[int],
    *,
    order: Sequence[int] | None = None,
    real: bool = False,
) -> str | None:
    """As :func:`check`: None if the certificate is accepted, else why not."""
    classes = tuple(wanted)
    if classes != tuple(certificate.wanted.tolist()):
        return f"certificate for classes {certificate.wanted.tolist()}, expected {list(classes)}"
    if not classes or label in classes or not set(range(network.n_classes)) >= {label, *classes}:
        return f"label {label} against classes {list(classes)}, expected others of 0..{network.n_classes - 1}"
    if not network.blocks or isinstance(network.blocks[0], MaxPool):
        return "the network has no first block of neurons"
    if order is not None and sorted(order) != list(range(network.n_classes)):
        return f"order {tuple(order)}, expected each of the {network.n_classes} classes once"
    box = Box.of(network, low, high, real)
    bits = _FirstBits(network, box)
    for nogood in _nogoods(certificate):
        if not bits.refutes(nogood):
            return f"nogood {nogood}: some input of the box has these signs"
    return _bound_rejection(certificate, network, bits, label, order)


@dataclass(frozen=True)
class Box:
    """Inputs as integers: ``unit`` times what the first block reads, between two bounds.

    ``gap`` is the least distance between two sums of a row, None for real inputs.
    """

    unit: int
    low: list[int]
    high: list[int]
    gap: int | None

    @classmethod
    def of(cls, network: Network, low: Sequence[Any], high: Sequence[Any], real: bool) -> Box:
        """The box as the first block sees it."""
        layer = network.input
        bounds = [_fractions(side, layer.n_inputs) for side in (low, high)]
        if any(a > b for a, b in zip(*bounds, strict=True)):
            raise InputFormatError("box: a low is greater than its high, expected at most as great")
        if isinstance(layer, BitInput) and not real:
            return cls._of_bits([-1 if v <= -1 else 1 for v in bounds[0]], [1 if v >= 1 else -1 for v in bounds[1]])
        if not real:
            bounds = [[Fraction(ceil(v)) for v in bounds[0]], [Fraction(floor(v)) for v in bounds[1]]]
        if isinstance(layer, BitInput) or (isinstance(layer, QuantizedInput) and layer.steps is None):
            unit = lcm(*(v.denominator for side in bounds for v in side))
            scaled = [[int(v * unit) for v in side] for side in bounds]
            return cls(unit, scaled[0], scaled[1], None if real else 1)
        if isinstance(layer, QuantizedInput):
            assert layer.steps is not None
            steps = layer.steps.tolist()
            levels = [[sum(step <= v for step in steps) for v in side] for side in bounds]
            return cls(1, levels[0], levels[1], 1)
        sides = zip(*bounds, layer.thresholds.tolist(), layer.rising.tolist(), strict=True)
        ends = [[1 if (v >= t) == up else -1 for v in (a, b)] for a, b, t, up in sides]
        return cls._of_bits([min(pair) for pair in ends], [max(pair) for pair in ends])

    @classmethod
    def _of_bits(cls, low: list[int], high: list[int]) -> Box:
        return cls(1, low, high, 2)


def _fractions(side: Sequence[Any], n_inputs: int) -> list[Fraction]:
    values = np.asarray(side).reshape(-1).tolist()
    if len(values) != n_inputs:
        raise InputFormatError(f"box: {len(values)} bounds, expected {n_inputs} (one an input)")
    try:
        return [Fraction(v) for v in values]
    except (ValueError, OverflowError, TypeError):
        raise InputFormatError("box: expected finite numbers, found NaN, infinity or something else") from None


class _FirstBits:
    """The first block's neurons over the box: which are decided, and which signs go together."""

    def __init__(self, network: Network, box: Box) -> None:
        block = network.blocks[0]
        assert not isinstance(block, MaxPool)
        self.box, self.n_sites = box, prod(network.shapes[1][1:])
        self.reads, self.weights = _reads(block, network.shapes[0]), _weights(block, network.shapes[0])
        greatest = max(map(abs, (*box.low, *box.high, box.unit)))
        dtype = np.int64 if greatest * self.weights[0].size * 128 < SAFE else object
        low, high = (self._windows(side, dtype) for side in (box.low, box.high))
        up, down = np.maximum(self.weights, 0).astype(dtype), np.minimum(self.weights, 0).astype(dtype)
        least, most = (np.tensordot(up, a, 2) + np.tensordot(down, b, 2) for a, b in ((low, high), (high, low)))
        self.thresholds = self._attained(block.thresholds)
        self.low = np.where(least.reshape(-1) >= self.thresholds, 1, -1).astype(np.int64)
        self.high = np.where(most.reshape(-1) >= self.thresholds, 1, -1).astype(np.int64)

    def _windows(self, side: list[int], dtype: Any) -> Integers:
        """Levels ``(channels, window, sites)``, 0 where there is padding."""
        image = np.array(side, dtype=dtype).reshape(self.weights.shape[1], -1)
        return np.pad(image, ((0, 0), (0, 1)))[:, self.reads.T]

    def _attained(self, thresholds: Integers) -> Integers:
        """Each neuron's threshold in the box's unit; over bits, raised to the parity that sums have."""
        scaled = np.repeat(thresholds.astype(object) * self.box.unit, self.n_sites)
        if self.box.gap != 2:
            return scaled
        cells = np.einsum("ocw,sw->os", np.abs(self.weights.astype(np.int64)), self.reads >= 0).reshape(-1)
        raised: Integers = scaled + (cells - scaled) % 2
        return raised

    def refutes(self, nogood: Sequence[tuple[int, int, int]]) -> bool:
        """Whether the rows ``(neuron, sign, multiplier)``, added up, contradict each other in the box."""
        total: Counter[int] = Counter()
        demanded = negatives = 0
        if len({neuron for neuron, _, _ in nogood}) < len(nogood):
            return False
        for neuron, sign, multiplier in nogood:
            if multiplier < 1 or sign not in (-1, 1) or not 0 <= neuron < self.low.size:
                return False
            demanded += sign * multiplier * int(self.thresholds[neuron])
            negatives += multiplier * (sign < 0)
            for pixel, weight in self._row(neuron):
                total[pixel] += sign * multiplier * weight
        most = sum(w * (self.box.high[i] if w > 0 else self.box.low[i]) for i, w in total.items())
        if self.box.gap is None:
            return most < demanded or (most == demanded and negatives > 0)
        return most < demanded + negatives * self.box.gap

    def _row(self, neuron: int) -> Iterator[tuple[int, int]]:
        channel, site = divmod(neuron, self.n_sites)
        image_sites = len(self.box.low) // self.weights.shape[1]
        for (c, k), weight in np.ndenumerate(self.weights[channel]):
            if weight and self.reads[site, k] >= 0:
                yield c * image_sites + int(self.reads[site, k]), int(weight)


def _reads(block: Layer, shape: Shape) -> Integers:
    """For each site, the sites before it that its window reads, ``(sites, window)``; -1 is padding."""
    sites = np.arange(prod(shape[1:]))
    if isinstance(block, Block):
        return sites[None]
    (down, across), size = block.stride, block.size if isinstance(block, MaxPool) else block.weights.shape[2:]
    padding = (0, 0) if isinstance(block, MaxPool) else block.padding
    image = np.pad(sites.reshape(shape[1:]), [(p, p) for p in padding], constant_values=-1)
    return sliding_window_view(image, size)[::down, ::across].reshape(-1, prod(size))


def _weights(block: Block | ConvBlock, shape: Shape) -> Integers:
    """Weights ``(neurons of a site, channels before, window)``."""
    return block.weights.reshape(block.weights.shape[0], shape[0], -1)


class _Hidden:
    """Bounds of the last hidden neurons, where some first-block neurons are set and the others lie in the box.

    Sums of bits are integers far below 2^53, which float64 holds exactly.
    """

    def __init__(self, network: Network, bits: _FirstBits) -> None:
        self.blocks, self.bits = network.blocks, bits
        self.reads = [_reads(block, shape) for block, shape in zip(network.blocks, network.shapes, strict=False)]
        self.shapes = network.shapes

    def cells(self, n_sites: int) -> int:
        """About how many numbers are at work at once for one pattern."""
        return max(s[0] * min(prod(s[1:]), 64 * n_sites) for s in self.shapes[1:])

    def values(self, sites: Integers, scope: Integers, settings: Integers) -> tuple[Integers, Integers]:
        """Least and greatest values ``(patterns, channels, sites)`` for settings ``(patterns, scope)`` of 0 and 1."""
        return self._behind(len(self.blocks) - 1, sites, scope, 2 * settings - 1)

    def _behind(self, depth: int, sites: Integers, scope: Integers, signs: Integers) -> tuple[Integers, Integers]:
        if depth == 0:
            return self._first(self.bits.low, sites, scope, signs), self._first(self.bits.high, sites, scope, signs)
        block, reads = self.blocks[depth], self.reads[depth][sites]
        needed, places = np.unique(reads, return_inverse=True)
        before = self._behind(depth - 1, needed, scope, signs)
        low, high = ((side * (needed >= 0))[:, :, places.reshape(reads.shape)] for side in before)
        if isinstance(block, MaxPool):
            return low.max(axis=3), high.max(axis=3)
        weights = _weights(block, self.shapes[depth]).astype(np.float64)
        up, down = np.maximum(weights, 0), np.minimum(weights, 0)
        sums = (np.tensordot(a, up, _CW) + np.tensordot(b, down, _CW) for a, b in ((low, high), (high, low)))
        least, most = (np.where(s >= block.thresholds, 1, -1).swapaxes(1, 2) for s in sums)
        return least, most

    def _first(self, side: Integers, sites: Integers, scope: Integers, signs: Integers) -> Integers:
        n_sites = self.bits.n_sites
        values = np.repeat(side.astype(np.float64).reshape(1, -1, n_sites)[:, :, sites], len(signs), axis=0)
        inside = np.flatnonzero(np.isin(scope % n_sites, sites))
        channels, places = scope[inside] // n_sites, np.searchsorted(sites, scope[inside] % n_sites)
        values[:, channels, places] = signs[:, inside]
        return values


def _nogoods(certificate: PatchCertificate) -> Iterator[list[tuple[int, int, int]]]:
    rows = (certificate.nogood_neurons, certificate.nogood_signs, certificate.nogood_multipliers)
    for start, stop in pairwise(certificate.nogood_offsets.tolist()):
        yield list(zip(*(row[start:stop].tolist() for row in rows), strict=True))


def _patterns(scope: list[int], nogoods: dict[int, list[list[tuple[int, int, int]]]]) -> Integers:
    """Settings of a scope, bit i for its neuron i, but those that hold a nogood; empty if there are too many."""
    places = {neuron: i for i, neuron in enumerate(scope)}
    codes = np.zeros(1, dtype=np.int64)
    for place, neuron in enumerate(scope):
        codes = np.concatenate([codes, codes | 1 << place])
        for nogood in nogoods[neuron]:
            if all(places.get(other, MAX_SCOPE) <= place for other, _, _ in nogood):
                mask = sum({1 << places[other] for other, _, _ in nogood})
                value = sum({1 << places[other] for other, sign, _ in nogood if sign > 0})
                codes = codes[codes & mask != value]
        if len(codes) > MAX_PATTERNS:
            return codes[:0]
    return codes


def margin(output: Output, label: int, other: int, *, tie_violates: bool) -> tuple[Integers, int]:
    """Integers k, offset such that ``k . h + offset > 0`` proves that class ``other`` does not beat the label.

    Exact where both classes have one positive scale; else a common denominator, rounded down if it is long.
    """
    assert output.scale is not None
    assert output.bias is not None
    (a, b), (c, d) = ((Fraction(float(output.scale[i])), Fraction(float(output.bias[i]))) for i in (label, other))
    ours, theirs = (output.weights[i].astype(object) for i in (label, other))
    if a == c > 0:
        ahead = (b - d) / a
        return (ours - theirs).astype(np.int64), ceil(ahead) if tie_violates else floor(ahead) + 1
    common = lcm(*(v.denominator for v in (a, c, b - d)))
    terms, offset = ours * int(a * common) - theirs * int(c * common), int((b - d) * common)
    shift = max(0, max(int(abs(a * common)), int(abs(c * common))).bit_length() - 24)
    slack = len(terms) if shift else 0
    return (terms >> shift).astype(np.int64), (offset >> shift) - slack + (not tie_violates)


def _bound_rejection(
    certificate: PatchCertificate, network: Network, bits: _FirstBits, label: int, order: Sequence[int] | None
) -> str | None:
    """None if the factors' minima prove every wanted class beaten."""
    classes = certificate.wanted.tolist()
    strict = [order is None or list(order).index(c) < list(order).index(label) for c in classes]
    margins = [margin(network.output, label, c, tie_violates=s) for c, s in zip(classes, strict, strict=True)]
    k = np.array([terms for terms, _ in margins], dtype=np.int64).reshape(len(classes), network.shapes[-1][0], -1)
    size = certificate.scale * sum(max(abs(int(k.min())), abs(int(k.max()))) * k[0].size for k in k)
    if certificate.scale < 1 or size + sum(map(abs, certificate.multipliers.reshape(-1).tolist())) >= SAFE:
        return "the scale is not positive, or its numbers are too large to be added in 64 bits"
    k, hidden = k * certificate.scale, _Hidden(network, bits)
    bound = [certificate.scale * offset for _, offset in margins]
    nogoods = defaultdict(list)
    for nogood in _nogoods(certificate):
        for neuron in {neuron for neuron, _, _ in nogood}:
            nogoods[neuron].append(nogood)
    open_sites = np.ones(k.shape[2], dtype=bool)
    for sites, scope, multipliers in certificate.factors():
        if not _ascend(sites, k.shape[2]) or not _ascend(scope, bits.low.size) or not np.all(open_sites[sites]):
            return "a factor repeats a site or a neuron, or names one that does not exist"
        open_sites[sites] = False
        codes = _patterns(scope.tolist(), nogoods) if scope.size <= MAX_SCOPE else np.empty(0, np.int64)
        if not codes.size:
            return "a factor has too many patterns, or none"
        least = _factor_minima(hidden, (sites, scope), codes, (k[:, :, sites], multipliers))
        bound = [total + int(value) for total, value in zip(bound, least, strict=True)]
    rest, none = np.flatnonzero(open_sites), np.empty((len(classes), 0), np.int64)
    least = _factor_minima(hidden, (rest, none[0]), np.zeros(1, np.int64), (k[:, :, rest], none))
    for i, c in enumerate(classes):
        uncancelled: Counter[int] = Counter()
        for neuron, value in zip(certificate.scopes.tolist(), certificate.multipliers[i].tolist(), strict=True):
            uncancelled[neuron] += value
        total = bound[i] + int(least[i]) - sum(max(0, value) for value in uncancelled.values())
        if total <= 0:
            return f"class {c}: the bound of the margin is {total}/{certificate.scale}, expected more than 0"
    return None


def _ascend(indices: Integers, n: int) -> bool:
    return bool(np.all(np.diff(indices) > 0) and np.all((indices >= 0) & (indices < n)))


def _factor_minima(
    hidden: _Hidden, members: tuple[Integers, Integers], codes: Integers, terms: tuple[Integers, Integers]
) -> Integers:
    """Least value of a factor over its patterns, for each class."""
    (sites, scope), (k, multipliers) = members, terms
    up, down = np.maximum(k, 0), np.minimum(k, 0)
    step = max(1, CHUNK_CELLS // (1 + k.shape[1] * sites.size + hidden.cells(sites.size)))
    least = []
    for start in range(0, len(codes), step):
        settings = codes[start : start + step, None] >> np.arange(scope.size) & 1
        low, high = hidden.values(sites, scope, settings)
        low, high = low.astype(np.int64), high.astype(np.int64)
        value = np.tensordot(low, up, ([1, 2], [1, 2])) + np.tensordot(high, down, ([1, 2], [1, 2]))
        least.append((value + settings @ multipliers.reshape(len(k), -1).T).min(axis=0))
    minima: Integers = np.min(least, axis=0)
    return minima
