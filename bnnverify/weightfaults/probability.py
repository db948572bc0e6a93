"""The probability that bit errors in the stored weights change a class: exact, or between certified bounds.

The sign of each nonzero weight of the layers named flips by itself with one probability and stays for one execution.
Where all hidden patterns are few they are summed up in integers, and the answer is exact. Elsewhere a search looks at
patterns, the most probable first (:mod:`bnnverify.weightfaults.probability_search`), over floats that bound from below;
what it does not reach widens the interval and never biases it. Precisely: rows given the bits below are
independent, and so are classes given the last hidden bits (both exact); classes without these bits are not, and Boole's
and Cantelli's inequalities bound them. A channel's outputs share its kernel and stay one joint unit, whose law is
complete for kernels of up to 11 weights and else holds the sets of fewest flips, the rest being unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import InputFormatError, UsageError
from bnnverify.inference import engine_of
from bnnverify.inference.reference import read_batch
from bnnverify.network import Block, ConvBlock, MaxPool, Network, Output, QuantizedInput
from bnnverify.queries.results import Ties
from bnnverify.scores import score_keys, tie_order
from bnnverify.weightfaults.patterns import World, all_patterns
from bnnverify.weightfaults.probability_search import Search
from bnnverify.weightfaults.tails import Tails

EXACT_PATTERNS = 1 << 12
EXACT_KERNEL = 16
EXACT_WEIGHTS = 400
MOST_PATTERNS = 1 << 16

Reached: TypeAlias = dict[bytes, tuple[int, NDArray[np.int64]]]
"""Values at one place in the network, each with its exact probability as an integer."""


@dataclass(frozen=True, repr=False)
class FailureProbability:
    """The probability that the class changes lies in ``lower..upper``, the very number if ``exact``.

    Args:
        classes: of each class a lower bound of the probability that it is the faulty network's; exact if ``exact``.
        patterns: hidden patterns that were looked at.
        layers: whose weights flip.
    """

    lower: Fraction
    upper: Fraction
    ber: Fraction
    input_class: int
    classes: tuple[Fraction, ...]
    layers: tuple[int, ...]
    ties: Ties
    patterns: int
    seconds: float

    @property
    def exact(self) -> bool:
        return self.lower == self.upper

    @property
    def kind(self) -> str:
        return "exact" if self.exact else "bound"

    @property
    def width(self) -> Fraction:
        return self.upper - self.lower

    def to_dict(self) -> dict[str, Any]:
        """Numbers as floats, rounded outwards unless ``exact``."""
        return {
            "kind": self.kind,
            "ber": float(self.ber),
            "class": self.input_class,
            "lower": _rounded(self.lower, -math.inf, self.exact),
            "upper": _rounded(self.upper, math.inf, self.exact),
            "classes": {str(c): _rounded(p, -math.inf, self.exact) for c, p in enumerate(self.classes)},
            "layers": list(self.layers),
            "ties": self.ties.value,
            "patterns": self.patterns,
            "seconds": self.seconds,
        }

    def __repr__(self) -> str:
        found = f"{float(self.lower):.6g}" if self.exact else f"{float(self.lower):.6g}..{float(self.upper):.6g}"
        return f"FailureProbability({found}, {self.kind}, ber {float(self.ber):g}, class {self.input_class})"


@dataclass(frozen=True)
class ExpectedAccuracy:
    """The expected share of right answers under bit errors lies in ``lower..upper``.

    Args:
        each: the answer for every instance.
        labels: right classes.
    """

    lower: Fraction
    upper: Fraction
    each: tuple[FailureProbability, ...]
    labels: tuple[int, ...]

    @property
    def seconds(self) -> float:
        return math.fsum(found.seconds for found in self.each)

    def to_dict(self) -> dict[str, Any]:
        return {
            "lower": _rounded(self.lower, -math.inf, False),
            "upper": _rounded(self.upper, math.inf, False),
            "each": [found.to_dict() for found in self.each],
            "seconds": self.seconds,
        }

    def __repr__(self) -> str:
        return f"ExpectedAccuracy({float(self.lower):.6g}..{float(self.upper):.6g}, {len(self.each)} instances)"


def failure_probability(
    network: Network,
    instance: Any,
    ber: Fraction | float,
    *,
    layers: tuple[int, ...] | None = None,
    ties: Ties = Ties.LOWEST,
    precision: float = 1e-3,
    timeout: float | None = None,
) -> FailureProbability:
    """The probability that bit errors in stored weights change the class of one instance.

    Args:
        instance: in the network's own input scale.
        ber: probability that a stored bit is wrong; a float is the rational number it is.
        layers: whose weights err, ``0..len(blocks)``, the last being the output layer; by default all.
        ties: whether an equal score counts as a change.
        precision: how close the bounds shall be.
        timeout: seconds after which they are returned as they are.

    Returns:
        Bounds that hold for certain, equal if exact.

    Raises:
        UsageError: if a probability or a layer makes no sense.
        InputFormatError: if ``instance`` is not one instance of the network.

    Complexity: exact for up to 2^12 patterns of a hidden block and 400 weights. Else a fraction of a millisecond a set
        of patterns that is bounded, at most 2^16 of them: a minute where errors are frequent, so give a timeout.

    >>> from bnnverify.network import Block, Output
    >>> net = Network([Block([[1, 1, 1]], [0])], Output([[1], [-1]]))
    >>> failure_probability(net, [1, 1, 1], Fraction(1, 10), layers=(0,)).lower
    Fraction(7, 250)
    """
    setting = _Setting(network, _rate(ber), _layers(network, layers), ties, precision, timeout)
    return setting.answer(instance)


def failure_probabilities(
    network: Network,
    X: Any,
    ber: Fraction | float,
    labels: Sequence[int] | NDArray[np.integer[Any]],
    *,
    layers: tuple[int, ...] | None = None,
    ties: Ties = Ties.LOWEST,
    precision: float = 1e-3,
    timeout: float | None = None,
) -> ExpectedAccuracy:
    """The expected accuracy on a set under bit errors, as an interval that holds for certain.

    Args:
        X: ``(batch, n_inputs)`` or ``(batch, *shape)``.
        labels: the right class of each instance.
        timeout: seconds for each instance.

    Options and errors are those of :func:`failure_probability`.
    """
    setting = _Setting(network, _rate(ber), _layers(network, layers), ties, precision, timeout)
    instances = read_batch(network.input, X)
    right = tuple(int(label) for label in labels)
    if len(right) != len(instances) or not right or not 0 <= min(right) <= max(right) < network.n_classes:
        raise UsageError(f"labels: {len(right)} for {len(instances)} instances, expected a class for each")
    each = tuple(setting.answer(x) for x in instances)
    shares = [_right(found, label) for found, label in zip(each, right, strict=True)]
    lower, upper = (sum(side, Fraction(0)) / len(shares) for side in zip(*shares, strict=True))
    return ExpectedAccuracy(lower, upper, each, right)


def _right(found: FailureProbability, label: int) -> tuple[Fraction, Fraction]:
    """Bounds of the probability that the faulty network's class is ``label``."""
    most = 1 - sum((p for c, p in enumerate(found.classes) if c != label), Fraction(0))
    if label == found.input_class:
        return max(found.classes[label], 1 - found.upper), min(most, 1 - found.lower)
    return found.classes[label], min(most, found.upper)


@dataclass(frozen=True, eq=False)
class _Setting:
    """Everything about a question but the instance; laws that instances share are kept."""

    network: Network
    rate: Fraction
    layers: tuple[int, ...]
    ties: Ties
    precision: float
    timeout: float | None

    def answer(self, instance: Any) -> FailureProbability:
        start = perf_counter()
        summed = self._summed_up(self._world(instance, self._integer_laws)) if self._is_small else None
        if summed is not None:
            classes, patterns, label = summed
            bounds = (1 - classes[label], 1 - classes[label])
        else:
            world = self._world(instance, self._float_laws)
            deadline = math.inf if self.timeout is None else start + self.timeout
            found = Search(world).run(self.precision, deadline, MOST_PATTERNS)
            classes, patterns, label = tuple(map(Fraction, found.classes)), found.patterns, world.label
            bounds = (Fraction(found.change), Fraction(found.most))
        seconds = perf_counter() - start
        return FailureProbability(*bounds, self.rate, label, classes, self.layers, self.ties, patterns, seconds)

    @cached_property
    def _integer_laws(self) -> tuple[Tails, ...]:
        return self._laws(exact=True)

    @cached_property
    def _float_laws(self) -> tuple[Tails, ...]:
        return self._laws(exact=False)

    def _laws(self, *, exact: bool) -> tuple[Tails, ...]:
        struck, sound = Tails(self.rate, exact=exact), Tails(Fraction(0), exact=exact)
        return tuple(struck if layer in self.layers else sound for layer in range(len(self.network.blocks) + 1))

    def _world(self, instance: Any, tails: tuple[Tails, ...]) -> World:
        network = self.network
        pixels = read_batch(network.input, instance)
        if len(pixels) != 1:
            raise InputFormatError(f"failure probability: found {len(pixels)} instances, expected one")
        label = int(engine_of(network, backend="numpy").classify(pixels)[0])
        layer = network.input
        values = layer.to_levels(pixels) if isinstance(layer, QuantizedInput) else layer.to_bits(pixels)
        order = tie_order(network.n_classes, last=None if self.ties is Ties.LOWEST else label)
        keys = score_keys(network.output, order)
        return World(network, values[0].astype(np.int64).reshape(layer.shape), tails, keys, label)

    @cached_property
    def _is_small(self) -> bool:
        """Whether all weights that may err, and each kernel's, are few enough to be summed up in integers."""
        kernels = [block for layer in self.layers if isinstance(block := self._stored(layer), ConvBlock)]
        fits = all(np.count_nonzero(kernel) <= EXACT_KERNEL for block in kernels for kernel in block.weights)
        return fits and self._n_weights <= EXACT_WEIGHTS

    @cached_property
    def _n_weights(self) -> int:
        return sum(int(np.count_nonzero(self._stored(layer).weights)) for layer in self.layers)

    def _stored(self, layer: int) -> Block | ConvBlock | Output:
        block = (*self.network.blocks, self.network.output)[layer]
        assert not isinstance(block, MaxPool)
        return block

    def _summed_up(self, world: World) -> tuple[tuple[Fraction, ...], int, int] | None:
        """Each class's probability over all patterns, how many there were, and the class; None if too many."""
        reached: Reached = {world.values.tobytes(): (1, world.values)}
        patterns = 0
        for index in range(len(self.network.blocks)):
            following = _through(world, index, reached)
            if following is None:
                return None
            reached, patterns = following, patterns + len(following)
        total = [0] * self.network.n_classes
        for mass, values in reached.values():
            for c, won in enumerate(world.wins(values)):
                total[c] += mass * won
        whole = self.rate.denominator**self._n_weights
        assert sum(total) == whole
        return tuple(Fraction(won, whole) for won in total), patterns, world.label


def _through(world: World, index: int, reached: Reached) -> Reached | None:
    """The values after a block with their exact probabilities, from those before it; None if there are too many."""
    following: Reached = {}
    for mass, values in reached.values():
        settled, at = world.settled(values, index, index + 1)
        units = [] if at > index else world.units(values, index)
        if prod(len(unit.mass) for unit in units) * len(reached) > EXACT_PATTERNS:
            return None
        for share, pattern in [(1, settled)] if at > index else all_patterns(units, world.network.shapes[index + 1]):
            before = following.get(pattern.tobytes(), (0, pattern))[0]
            following[pattern.tobytes()] = before + mass * share, pattern
    return following


def _rate(ber: Fraction | float) -> Fraction:
    try:
        rate = Fraction(ber)
    except (TypeError, ValueError, OverflowError):
        rate = Fraction(-1)
    if not 0 <= rate <= 1:
        raise UsageError(f"ber {ber!r}: expected a probability, 0 to 1")
    return rate


def _layers(network: Network, layers: tuple[int, ...] | None) -> tuple[int, ...]:
    """The layers that err, ascending, each of which must store weights."""
    n = len(network.blocks)
    weighted = [i for i in range(n + 1) if i == n or not isinstance(network.blocks[i], MaxPool)]
    chosen = tuple(weighted) if layers is None else tuple(sorted({int(layer) for layer in layers}))
    wrong = [layer for layer in chosen if layer not in weighted]
    if wrong:
        raise UsageError(f"layers {list(chosen)}: {wrong[0]} stores no weights, expected some of {weighted}")
    return chosen


def _rounded(value: Fraction, towards: float, exact: bool) -> float:
    """A float on the outer side of ``value``; the nearest one if ``exact``."""
    nearest = float(value)
    outside = nearest > value if towards < 0 else nearest < value
    return math.nextafter(nearest, towards) if outside and not exact else nearest
