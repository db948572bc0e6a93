"""The cheapest flips that reach a function, and its essential literals, equal brute force."""

import numpy as np
import pytest

from bnnverify.diagram.features import essential_literals
from bnnverify.diagram.forced import FAR, cheapest_flips, least_costs
from tests.diagrams import assignments, diagram_of_tables, random_partition


def worlds(n_worlds, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n_worlds):
        n = int(rng.integers(1, 8))
        tables = random_partition(rng, n, 3, missing=0.3)
        if rng.random() < 0.5:
            tables[0] = [value and rng.random() < 0.1 for value in tables[0]]
        yield rng, n, tables, diagram_of_tables(tables, n)


def test_the_cheapest_flips_reach_a_root_and_nothing_cheaper_does():
    for rng, n, tables, diagram in worlds(500, 0):
        x = rng.integers(0, 2, n).astype(np.uint8)
        weights = np.where(rng.random(n) < 0.4, FAR, rng.integers(0, 4, n)).astype(np.int32)
        roots = rng.permutation(3)[: rng.integers(1, 4)].tolist()
        costs = {
            bits: sum(int(weights[i]) for i in range(n) if bits[i] != x[i])
            for number, bits in enumerate(assignments(n))
            if any(tables[root][number] for root in roots)
        }
        least = min([cost for cost in costs.values() if cost < FAR], default=None)
        found = cheapest_flips(diagram.with_roots(roots), x, weights)
        assert (None if found is None else found[0]) == least
        if found is not None:
            assert costs[tuple(int(bit) ^ (i in found[1]) for i, bit in enumerate(x))] == least


@pytest.mark.parametrize(("far", "cost"), [(FAR, np.int32), (1 << 62, np.int64)])
def test_the_pass_is_its_plain_twin_in_both_widths(far, cost):
    for rng, n, _, diagram in worlds(50, 1):
        x = rng.integers(0, 2, n).astype(np.uint8)
        weights = np.where(rng.random(n) < 0.4, far - 1, rng.integers(0, 4, n)).astype(cost)
        least = [far, 0]
        for level, low, high in list(zip(diagram.level, diagram.low, diagram.high, strict=True))[2:]:
            agreeing, other = (high, low) if x[level] else (low, high)
            least.append(min(least[agreeing], least[other] + int(weights[level]), far))
        assert least_costs(diagram, x, weights, far=far).tolist() == least


def essential_by_tables(tables, n):
    rows = [bits for number, bits in enumerate(assignments(n)) if any(table[number] for table in tables)]
    values = [{bits[level] for bits in rows} for level in range(n)]
    return [next(iter(each)) if len(each) == 1 else -1 for each in values]


@pytest.mark.parametrize("number", range(256))
def test_essential_literals_of_every_function_of_three_variables(number):
    table = [number >> i & 1 for i in range(8)]
    assert essential_literals(diagram_of_tables([table], 3), [0]).tolist() == essential_by_tables([table], 3)


def test_essential_literals_of_unions_of_random_functions():
    for rng, n, tables, diagram in worlds(500, 2):
        roots = rng.permutation(3)[: rng.integers(0, 4)].tolist()
        expected = essential_by_tables([tables[root] for root in roots], n)
        assert essential_literals(diagram, roots).tolist() == expected
