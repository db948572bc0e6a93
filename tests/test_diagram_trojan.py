"""Trigger successes agree with stamping every row of a truth table."""

from fractions import Fraction

import numpy as np
import pytest

from bnnverify.diagram.quantify import cofactor
from bnnverify.diagram.stream import stream
from bnnverify.diagram.trojan import trojan
from bnnverify.errors import UsageError
from tests.diagrams import assignments, diagram_of_tables
from tests.worlds import parity, random_worlds


def check(diagram, tables, stamped_tables, stamp, found):
    """``stamp`` maps an input to its stamped copy, whose root the stamped tables tell."""
    index = {bits: i for i, bits in enumerate(assignments(diagram.n_levels))}
    for root, table in enumerate(tables):
        mine = [bits for bits in index if table[index[bits]]]
        after = [[t[index[stamp(bits)]] for t in stamped_tables] for bits in mine]
        assert found.before[root] == len(mine)
        assert found.hits[root] == sum(bool(values[found.target]) for values in after)
        assert found.lost[root] == sum(not any(values) for values in after)
        moved = {bits for bits, values in zip(mine, after, strict=True) if values[found.target]}
        assert {tuple(row.tolist()) for row in stream(found.inputs, [root])} == moved


def test_random_triggers_on_random_disjoint_functions():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(41, 80, 7):
        n = diagram.n_levels
        trigger = {int(i): int(rng.integers(2)) for i in rng.permutation(n)[: rng.integers(0, n + 1)]}
        found = trojan(diagram, cofactor(diagram, trigger), int(rng.integers(3)))
        check(diagram, tables, tables, lambda bits, t=trigger: tuple(t.get(i, b) for i, b in enumerate(bits)), found)
        others = [root for root in range(3) if root != found.target]
        candidates = sum(found.before[root] for root in others)
        assert found.rate == (Fraction(sum(found.hits[root] for root in others), candidates) if candidates else None)


def test_stamped_copies_may_come_from_another_diagram():
    for (diagram, tables), (other, other_tables) in zip(
        random_worlds(42, 40, 6), random_worlds(42, 40, 6), strict=True
    ):
        turned = diagram_of_tables([table[::-1] for table in other_tables], other.n_levels)
        found = trojan(diagram, turned, 1)
        check(diagram, tables, other_tables, lambda bits: tuple(1 - b for b in bits), found)


def test_a_stamped_bit_of_a_parity_moves_half_of_the_rest():
    found = trojan(parity(200), cofactor(parity(200), {5: 1}), 0)
    assert (found.moved, found.rate, found.lost) == (1 << 198, Fraction(1, 2), (0, 0))


def test_a_target_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match=r"target root 2: expected 0\.\.1"):
        trojan(parity(3), parity(3), 2)
