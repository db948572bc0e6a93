"""Brute force in Python's own integers and fractions: shares no code with what it checks."""

from fractions import Fraction
from itertools import combinations

import numpy as np

from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output
from bnnverify.regions import BitRegion


def class_of(network, bits, order=None):
    """Class of one vector of +1/-1 bits, by nested loops."""
    values = np.array(bits, dtype=int).reshape(network.shapes[0])
    for block in network.blocks:
        values = _apply(block, values)
    values = values.reshape(-1)
    output = network.output
    order = list(range(output.n_classes)) if order is None else list(order)
    scores = [
        Fraction(float(output.scale[c])) * sum(int(w) * int(h) for w, h in zip(output.weights[c], values))
        + Fraction(float(output.bias[c]))
        for c in range(output.n_classes)
    ]
    return min(order, key=lambda c: (-scores[c], order.index(c)))


def _apply(block, values):
    if isinstance(block, Block):
        sums = [sum(int(w) * int(x) for w, x in zip(row, values.reshape(-1))) for row in block.weights]
        return np.array([1 if s >= t else -1 for s, t in zip(sums, block.thresholds)])
    channels, height, width = block.output_shape(values.shape)
    result = np.empty((channels, height, width), dtype=int)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                result[c, y, x] = _window(block, values, c, y, x)
    return result


def _window(block, values, c, y, x):
    if isinstance(block, MaxPool):
        y0, x0 = y * block.stride[0], x * block.stride[1]
        return values[c, y0 : y0 + block.size[0], x0 : x0 + block.size[1]].max()
    total = 0
    for i in range(block.weights.shape[1]):
        for dy in range(block.weights.shape[2]):
            for dx in range(block.weights.shape[3]):
                yy, xx = y * block.stride[0] + dy - block.padding[0], x * block.stride[1] + dx - block.padding[1]
                if 0 <= yy < values.shape[1] and 0 <= xx < values.shape[2]:
                    total += int(block.weights[c, i, dy, dx]) * int(values[i, yy, xx])
    return 1 if total >= block.thresholds[c] else -1


def members(region):
    """(cost, bits) of every member of a bit region."""
    for k in range(region.free.size + 1):
        for flips in combinations(range(region.free.size), k):
            cost = sum(int(region.costs[i]) for i in flips)
            if region.budget is None or cost <= region.budget:
                bits = region.center.astype(int).copy()
                bits[region.free[list(flips)]] *= -1
                yield cost, bits


def counts_by_cost(network, region, order=None):
    """{cost: {class: number of members}}."""
    table = {}
    for cost, bits in members(region):
        row = table.setdefault(cost, {})
        label = class_of(network, bits, order)
        row[label] = row.get(label, 0) + 1
    return table


def totals(table):
    """{class: number}, summed over costs."""
    total = {}
    for row in table.values():
        for label, n in row.items():
            total[label] = total.get(label, 0) + n
    return total


def random_network(rng, max_inputs=10):
    """A small network: 0 to 4 blocks, ternary or not, constant neurons, ties, real scales, sometimes conv."""
    if rng.random() < 0.2:
        return _random_conv_network(rng)
    sizes = [int(rng.integers(1, max_inputs + 1)), *rng.integers(1, 9, rng.integers(0, 5)).tolist()]
    blocks = [_random_block(rng, n_in, n_out) for n_in, n_out in zip(sizes, sizes[1:])]
    return Network(blocks, _random_output(rng, sizes[-1]), input=BitInput((sizes[0],)))


def _weights(rng, shape):
    return rng.integers(-1, 2, shape) if rng.random() < 0.5 else rng.choice([-1, 1], shape)


def _random_block(rng, n_in, n_out):
    return Block(_weights(rng, (n_out, n_in)), rng.integers(-n_in // 2 - 1, n_in // 2 + 2, n_out))


def _random_output(rng, n_hidden):
    n_classes = int(rng.integers(2, 6))
    scale = None if rng.random() < 0.6 else rng.choice([0.5, 1, 2, -1, 0, 0.3], n_classes)
    bias = rng.choice([0, 0.5, -0.25, 1.5, 0.1], n_classes)
    return Output(_weights(rng, (n_classes, n_hidden)), bias=bias, scale=scale)


def _random_conv_network(rng):
    shape = (1, int(rng.integers(2, 4)), int(rng.integers(2, 5)))
    channels = int(rng.integers(1, 4))
    kernel = (channels, 1, int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    padding = tuple(int(rng.integers(0, k)) for k in kernel[2:])
    blocks = [ConvBlock(_weights(rng, kernel), rng.integers(-1, 3, channels), padding=padding)]
    after = blocks[0].output_shape(shape)
    if min(after[1:]) >= 2 and rng.random() < 0.6:
        blocks.append(MaxPool((2, 2), stride=(1, 1)))
        after = blocks[-1].output_shape(after)
    n_hidden = int(np.prod(after))
    if rng.random() < 0.5:
        blocks.append(_random_block(rng, n_hidden, 5))
        n_hidden = 5
    return Network(blocks, _random_output(rng, n_hidden), input=BitInput(shape))


def random_region(rng, network, unit_costs=False):
    """Free bits, a ball, or a ball with costs, over some of the inputs."""
    n = network.n_inputs
    center = rng.choice([-1, 1], n).astype(np.int8)
    free = np.sort(rng.choice(n, min(int(rng.integers(0, n + 1)), 10), replace=False)).astype(np.int64)
    costs = np.ones_like(free) if unit_costs or rng.random() < 0.8 else rng.integers(1, 5, free.size)
    limitless = rng.random() < 0.3 and bool(np.all(costs == 1))
    return BitRegion(center, free, costs, None if limitless else int(rng.integers(0, 8)))
