"""Small networks with questions about flipped weights, and their answers by trying every set of flips."""

from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np

from bnnverify.network import Block, ConvBlock, MaxPool, Network, QuantizedInput, ThresholdInput
from bnnverify.queries.results import Ties
from bnnverify.regions import FreeBits, HammingBall, PixelBox
from bnnverify.scores import tie_order
from bnnverify.weightflips import flip_weights, weight_bits
from tests import oracle


@dataclass(frozen=True, eq=False)
class Asked:
    """A network, an input, and the options of a question about it."""

    network: Network
    instance: np.ndarray
    region: object = None
    options: dict = field(default_factory=dict)

    def __repr__(self):
        return f"{self.network!r} {self.instance.tolist()} {self.region!r} {self.options}"


def stored(network):
    """The layers that hold weights."""
    return [i for i, block in enumerate((*network.blocks, network.output)) if not isinstance(block, MaxPool)]


def bits_of(asked):
    """Every weight bit that the question lets flip."""
    layers, rows = asked.options.get("layers"), asked.options.get("rows")
    return [
        bit
        for layer in stored(asked.network)
        if layers is None or layer in layers
        for bit in weight_bits(asked.network, layer)
        if rows is None or bit.row in rows
    ]


def values_of(network, instances):
    """What the first block reads of instances, ``(n, n_inputs)``."""
    layer = network.input
    return layer.to_levels(instances) if isinstance(layer, QuantizedInput) else layer.to_bits(instances)


def members(asked):
    """What the first block reads of every input of the region, by listing all of them."""
    network, layer = asked.network, asked.network.input
    if asked.region is None:
        return values_of(network, asked.instance[None])
    if not isinstance(layer, QuantizedInput):
        return oracle.members_of(asked.region.on(network))[2]
    every = np.array(list(product(range(layer.max_value + 1), repeat=network.n_inputs)))
    change = np.abs(every - asked.instance)
    if isinstance(asked.region, HammingBall):
        return values_of(network, every[(change > 0).sum(axis=1) <= asked.region.radius])
    return values_of(network, every[change.max(axis=1) <= asked.region.reach(layer.max_value)])


def wanted_of(asked):
    """The classes that count as changed, and the order of ties."""
    network, target = asked.network, asked.options.get("target")
    label = int(oracle.classes_of(network, values_of(network, asked.instance[None]))[0])
    violate = asked.options.get("ties") is Ties.VIOLATE
    order = tie_order(network.n_classes, first=target, last=label) if violate else tie_order(network.n_classes)
    return [c for c in range(network.n_classes) if c != label] if target is None else [target], order


def least_by_trying(asked, most):
    """The least number of flips up to ``most``, or None; every set of flips is executed."""
    inputs, (wanted, order) = members(asked), wanted_of(asked)
    for k in range(most + 1):
        for flips in combinations(bits_of(asked), k):
            if np.isin(oracle.classes_of(flip_weights(asked.network, flips), inputs, order), wanted).any():
                return k
    return None


def affordable(asked, budget=6_000):
    """How many flips can be tried exhaustively."""
    n, total, most = len(bits_of(asked)), 1, 0
    while most < n and total * (n - most) // (most + 1) <= budget:
        total = total * (n - most) // (most + 1)
        most += 1
    return most


def random_question(rng, kind):
    """A network of a kind, with random options."""
    network = _networks(rng)[kind]()
    layer = network.input
    if isinstance(layer, QuantizedInput | ThresholdInput):
        instance = rng.integers(0, layer.max_value + 1, network.n_inputs)
    else:
        instance = rng.choice(np.array([-1, 1], dtype=np.int8), network.n_inputs)
    return Asked(network, instance, _region(rng, network, instance), _options(rng, network, instance))


def _networks(rng):
    return {
        "bits": lambda: _classes_of_two(rng, lambda: oracle.random_network(rng, 7)),
        "pixels": lambda: _classes_of_two(rng, lambda: oracle.random_pixel_network(rng, 6)),
        "quantized": lambda: _quantized(rng),
        "images": lambda: _image(rng),
        "convolutions": lambda: _two_convolutions(rng),
        "targets": lambda: _classes_of_two(rng, lambda: oracle.random_network(rng, 5), least=3),
    }


KINDS = tuple(_networks(None))


def _classes_of_two(rng, make, least=2):
    while (network := make()).n_classes < least:
        pass
    return network


def _output(rng, n_hidden):
    return _classes_of_two(rng, lambda: Network((), oracle._random_output(rng, n_hidden))).output


def _levels(rng, shape):
    most = int(rng.choice([2, 3]))
    steps = np.sort(rng.integers(1, most + 1, int(rng.integers(1, 4)))) if rng.random() < 0.4 else None
    return QuantizedInput(shape, most, steps)


def _quantized(rng):
    n, h = (int(size) for size in rng.integers(1, 4, 2))
    blocks = [Block(rng.integers(-3, 4, (h, n)), rng.integers(-4, 5, h))]
    if rng.random() < 0.5:
        blocks.append(Block(rng.integers(-1, 2, (3, h)), rng.integers(-1, 2, 3)))
        h = 3
    return Network(blocks, _output(rng, h), _levels(rng, (n,)))


def _image(rng):
    conv = ConvBlock(rng.integers(-2, 3, (2, 1, 2, 1)), rng.integers(-3, 4, 2), padding=(int(rng.integers(0, 2)), 0))
    blocks = [conv, MaxPool((1, 2))] if rng.random() < 0.5 else [conv]
    shape = (1, 2, 2)
    after = shape
    for block in blocks:
        after = block.output_shape(after)
    return Network(blocks, _output(rng, int(np.prod(after))), _levels(rng, shape))


def _two_convolutions(rng):
    shape = (1, 3, 3)
    signs = [rng.integers(-1, 2, (2, 1, 2, 2)), rng.choice([-1, 1], (2, 2, 2, 2))]
    blocks = [ConvBlock(w, rng.integers(-1, 2, 2), padding=(p, 0)) for w, p in zip(signs, (1, 0), strict=True)]
    after = shape
    for block in blocks:
        after = block.output_shape(after)
    layer = ThresholdInput(np.full(9, 2), np.ones(9, dtype=bool), 3, shape)
    return Network(blocks, _output(rng, int(np.prod(after))), layer)


def _region(rng, network, instance):
    if rng.random() < 0.6:
        return None
    n = network.n_inputs
    if isinstance(network.input, QuantizedInput):
        small = HammingBall(instance, int(rng.integers(0, 2)))
        return small if rng.random() < 0.5 else PixelBox(instance, 1 / network.input.max_value)
    if rng.random() < 0.5:
        return HammingBall(instance, int(rng.integers(0, 3)))
    return FreeBits(instance, tuple(rng.choice(n, min(n, 3), replace=False).tolist()))


def _options(rng, network, instance):
    options = {"ties": Ties.LOWEST if rng.random() < 0.5 else Ties.VIOLATE}
    label = int(oracle.classes_of(network, values_of(network, instance[None]))[0])
    if rng.random() < 0.35:
        options["target"] = int(rng.choice([c for c in range(network.n_classes) if c != label]))
    if rng.random() < 0.5:
        options["layers"] = sorted(rng.choice(stored(network), int(rng.integers(1, 3))).tolist())
    if rng.random() < 0.25:
        options["rows"] = [0]
    return options
