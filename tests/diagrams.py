"""Reduced diagrams from truth tables in plain Python, and truth tables back: shares no code with what it checks."""

from itertools import product

import numpy as np

from bnnverify.diagram.flat import FlatDiagram


def diagram_of_tables(tables, n_levels):
    """The diagram of functions given as tables of 2**n_levels values, the first variable the slowest."""
    nodes, unique = [(n_levels, 0, 0), (n_levels, 1, 1)], {}

    def build(table, level):
        if len(table) == 1:
            return int(bool(table[0]))
        half = len(table) // 2
        low, high = build(table[:half], level + 1), build(table[half:], level + 1)
        if low == high:
            return low
        key = (level, low, high)
        if key not in unique:
            unique[key] = len(nodes)
            nodes.append(key)
        return unique[key]

    roots = [build(list(table), 0) for table in tables]
    order = sorted(range(len(nodes)), key=lambda i: -nodes[i][0])
    place = {old: new for new, old in enumerate(order)}
    rows = [nodes[old] for old in order]
    return FlatDiagram(
        level=np.array([r[0] for r in rows]),
        low=np.array([place[r[1]] for r in rows]),
        high=np.array([place[r[2]] for r in rows]),
        roots=np.array([place[r] for r in roots]),
        n_levels=n_levels,
    )


def value_at(diagram, root, bits):
    """The value of one function at one input of 0s and 1s, by walking."""
    node = int(diagram.roots[root])
    while node > 1:
        node = int(diagram.high[node] if bits[diagram.level[node]] else diagram.low[node])
    return bool(node)


def assignments(n_levels):
    """All inputs, in the order of the tables."""
    return list(product((0, 1), repeat=n_levels))


def table_of(diagram, root):
    return [value_at(diagram, root, bits) for bits in assignments(diagram.n_levels)]


def random_partition(rng, n_levels, n_roots, missing=0.0):
    """Tables of disjoint random functions that cover all inputs but a share of ``missing``; one may be empty."""
    labels = rng.integers(0, n_roots, 1 << n_levels)
    if rng.random() < 0.5:
        weights = rng.integers(-2, 3, (n_roots, n_levels))
        labels = np.argmax(np.array(assignments(n_levels)).reshape(1 << n_levels, n_levels) @ weights.T, axis=1)
    labels = np.where(rng.random(labels.size) < missing, -1, labels)
    return [(labels == c).tolist() for c in range(n_roots)]
