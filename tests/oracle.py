"""Brute force in Python's own integers and fractions: shares no code with what it checks.

``class_of`` is the definition, one input at a time by nested loops; ``classes_of`` is the same over whole
arrays, for thousands of networks (a test holds the two against each other).
"""

from fractions import Fraction
from itertools import combinations, pairwise
from math import lcm

import numpy as np

from bnnverify.network import BitInput, Block, ConvBlock, MaxPool, Network, Output, ThresholdInput
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
        Fraction(float(output.scale[c])) * sum(int(w) * int(h) for w, h in zip(output.weights[c], values, strict=True))
        + Fraction(float(output.bias[c]))
        for c in range(output.n_classes)
    ]
    return min(order, key=lambda c: (-scores[c], order.index(c)))


def _apply(block, values):
    if isinstance(block, Block):
        sums = [sum(int(w) * int(x) for w, x in zip(row, values.reshape(-1), strict=True)) for row in block.weights]
        return np.array([1 if s >= t else -1 for s, t in zip(sums, block.thresholds, strict=True)])
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


def classes_of(network, bits, order=None):
    """Classes ``(batch,)`` of many vectors of +1/-1 bits ``(batch, n_inputs)``, in integers throughout."""
    values = np.asarray(bits, dtype=np.int64).reshape(-1, *network.shapes[0])
    for block in network.blocks:
        values = _apply_all(block, values)
    scores = exact_scores(network.output, values.reshape(len(values), -1))
    order = np.arange(network.n_classes) if order is None else np.array(order)
    return order[np.argmax(scores[:, order], axis=1)]


def exact_scores(output, hidden):
    """Scores ``(batch, n_classes)`` over a common denominator, as Python's integers."""
    scales, biases = ([Fraction(float(v)) for v in values] for values in (output.scale, output.bias))
    common = lcm(*(f.denominator for f in (*scales, *biases)))
    slopes, offsets = (np.array([int(f * common) for f in values], dtype=object) for values in (scales, biases))
    return (hidden @ output.weights.astype(np.int64).T).astype(object) * slopes + offsets


def _apply_all(block, values):
    if isinstance(block, Block):
        sums = values.reshape(len(values), -1) @ block.weights.astype(np.int64).T
        return np.where(sums >= block.thresholds, 1, -1)
    channels, height, width = block.output_shape(values.shape[1:])
    result = np.empty((len(values), channels, height, width), dtype=np.int64)
    padding = (0, 0) if isinstance(block, MaxPool) else block.padding
    padded = np.pad(values, [(0, 0), (0, 0), *((p, p) for p in padding)])
    for y in range(height):
        for x in range(width):
            result[:, :, y, x] = _apply_window(block, padded[:, :, y * block.stride[0] :, x * block.stride[1] :])
    return result


def _apply_window(block, image):
    """The block's outputs for the window at the image's upper left corner, ``(batch, channels)``."""
    if isinstance(block, MaxPool):
        return image[:, :, : block.size[0], : block.size[1]].max(axis=(2, 3))
    height, width = block.weights.shape[2:]
    sums = np.einsum("bihw,oihw->bo", image[:, :, :height, :width], block.weights.astype(np.int64))
    return np.where(sums >= block.thresholds, 1, -1)


def members(region):
    """(cost, bits) of every member of a bit region."""
    for k in range(region.free.size + 1):
        for flips in combinations(range(region.free.size), k):
            cost = sum(int(region.costs[i]) for i in flips)
            if region.budget is None or cost <= region.budget:
                bits = region.center.astype(int).copy()
                bits[region.free[list(flips)]] *= -1
                yield cost, bits


def members_of(region):
    """Costs, numbers of flips and bits ``(size, n_inputs)`` of all members, as arrays."""
    m = region.free.size
    most = m if region.budget is None else min(m, max(region.budget, 0))
    flips = np.array([set_as_row(m, s) for k in range(most + 1) for s in combinations(range(m), k)], dtype=np.int64)
    costs = flips @ region.costs
    if region.budget is not None:
        flips, costs = flips[costs <= region.budget], costs[costs <= region.budget]
    bits = np.tile(region.center.astype(np.int64), (len(flips), 1))
    bits[:, region.free] *= 1 - 2 * flips
    return costs, flips.sum(axis=1), bits


def set_as_row(m, chosen):
    """1 at the chosen of m places, else 0."""
    row = [0] * m
    for place in chosen:
        row[place] = 1
    return row


def counted(labels):
    """{class: number}."""
    return dict(zip(*(column.tolist() for column in np.unique(labels, return_counts=True)), strict=True))


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
    blocks = [_random_block(rng, n_in, n_out) for n_in, n_out in pairwise(sizes)]
    return Network(blocks, _random_output(rng, sizes[-1]), input=BitInput((sizes[0],)))


def random_pixel_network(rng, max_inputs=8):
    """A small network that binarizes pixels of few grey levels, some of whose bits are constant."""
    network = random_network(rng, max_inputs)
    max_value = int(rng.choice([1, 3, 7, 255]))
    thresholds = rng.integers(0, max_value + 2, network.n_inputs)
    layer = ThresholdInput(thresholds, rng.random(network.n_inputs) < 0.7, max_value, network.shapes[0])
    return Network(network.blocks, network.output, input=layer)


def _weights(rng, shape):
    return rng.integers(-1, 2, shape) if rng.random() < 0.5 else rng.choice([-1, 1], shape)


def _random_block(rng, n_in, n_out):
    thresholds = rng.integers(-n_in // 2 - 1, n_in // 2 + 2, n_out)
    out_of_reach = rng.choice([-1, 1], n_out) * rng.choice([n_in + 1, 1 << 40, (1 << 62)], n_out)
    return Block(_weights(rng, (n_out, n_in)), np.where(rng.random(n_out) < 0.08, out_of_reach, thresholds))


def _random_output(rng, n_hidden):
    n_classes = int(rng.integers(1, 6)) if rng.random() < 0.2 else int(rng.integers(2, 6))
    scale = np.ones(n_classes) if rng.random() < 0.6 else rng.choice([0.5, 1, 2, -1, 0, 0.3], n_classes)
    bias = rng.choice([0, 0.5, -0.25, 1.5, 0.1], n_classes)
    weights = _weights(rng, (n_classes, n_hidden))
    if rng.random() < 0.3:
        twin, of = rng.integers(0, n_classes, 2)
        weights[twin], bias[twin], scale[twin] = weights[of], bias[of], scale[of]
    return Output(weights, bias=bias, scale=scale)


def _random_conv_network(rng):
    shape = (int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(2, 5)))
    shape = shape if np.prod(shape) <= 12 else (1, *shape[1:])
    channels = int(rng.integers(1, 4))
    kernel = (channels, shape[0], int(rng.integers(1, min(3, shape[1] + 1))), int(rng.integers(1, 3)))
    padding = tuple(int(rng.integers(0, k)) for k in kernel[2:])
    stride = tuple(int(s) for s in rng.choice([1, 1, 2], 2))
    blocks = [ConvBlock(_weights(rng, kernel), rng.integers(-1, 3, channels), padding=padding, stride=stride)]
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
