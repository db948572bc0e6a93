"""Small diagrams together with the truth tables they must agree with, for passes that speak of levels and roots."""

import numpy as np

from bnnverify.diagram.flat import FlatDiagram
from tests.diagrams import assignments, diagram_of_tables, random_partition


def all_functions(most_levels=3):
    """Every function of at most ``most_levels`` variables, alone: ``(diagram, tables)``."""
    for n in range(most_levels + 1):
        for number in range(1 << (1 << n)):
            table = [bool(number >> i & 1) for i in range(1 << n)]
            yield diagram_of_tables([table], n), [table]


def random_worlds(seed, how_many, most_levels, n_roots=3):
    """Random disjoint functions of 1 to ``most_levels`` variables: ``(diagram, tables)``."""
    rng = np.random.default_rng(seed)
    for _ in range(how_many):
        n = int(rng.integers(1, most_levels + 1))
        tables = random_partition(rng, n, n_roots, missing=rng.choice([0, 0.2, 0.8]))
        yield diagram_of_tables(tables, n), tables


def union_of(tables, roots):
    """The table of a union."""
    return [any(tables[root][i] for root in roots) for i in range(len(tables[0]))]


def members(tables, roots, n_levels):
    """The inputs of a union, lexicographically."""
    table = union_of(tables, roots)
    return [bits for bits, value in zip(assignments(n_levels), table, strict=True) if value]


def parity(n_levels):
    """The diagram of "an odd number of ones" and its complement, for any number of levels."""
    level, low, high = [n_levels, n_levels], [0, 1], [0, 1]
    odd, even = 0, 1
    for at in range(n_levels - 1, -1, -1):
        level += [at, at]
        low += [odd, even]
        high += [even, odd]
        odd, even = len(level) - 2, len(level) - 1
    return FlatDiagram(*map(np.array, (level, low, high, [odd, even])), n_levels=n_levels)


def true_everywhere(n_levels):
    terminals = np.array([0, 1])
    return FlatDiagram(np.full(2, n_levels), terminals, terminals, np.array([1]), n_levels)
