"""Set families are what they should be as plain sets, and all primes and explanations come out of them."""

from itertools import chain
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.families import EMPTY, UNIT, Families
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.minimal import minimal_changes, minimal_sufficient
from bnnverify.diagram.primes import literals, prime_implicants
from bnnverify.diagram.unique import TooManyNodesError
from tests.checkers import all_contrastive, all_sufficient, fault_of_primes, minimal, subsets
from tests.diagrams import diagram_of_tables, random_partition
from tests.test_explanations_deletion import random_world

N = 5
sets = st.frozensets(st.integers(0, N - 1), max_size=4)
families_of_sets = st.frozensets(sets, max_size=8)


def node_of(families, members):
    node = EMPTY
    for members_of_one in members:
        one = UNIT
        for element in sorted(members_of_one, reverse=True):
            one = families.node(element, EMPTY, one)
        node = families.union(node, one)
    return node


@given(families_of_sets, families_of_sets, st.integers(0, N - 1))
def test_operations_on_families_are_those_on_sets(a, b, element):
    families = Families(N)
    node_a, node_b = node_of(families, a), node_of(families, b)
    minimal_a, minimal_b = minimal(a), minimal(b)
    lean_a, lean_b = node_of(families, minimal_a), node_of(families, minimal_b)

    def listed(node):
        return set(families.family(node))

    assert listed(families.union(node_a, node_b)) == a | b
    assert listed(families.without_supersets(node_a, node_b)) == {s for s in a if not any(t <= s for t in b)}
    assert listed(families.minimal_union(lean_a, lean_b)) == minimal(minimal_a | minimal_b)
    assert listed(families.attach(lean_a, element)) == minimal({s | {element} for s in minimal_a})
    meeting = {frozenset(s) for s in subsets(range(N)) if all(set(s) & t for t in a)}
    assert listed(families.transversals(node_a)) == minimal(meeting)


@given(families_of_sets)
def test_a_family_is_counted_and_streamed_smallest_first_each_once(members):
    families = Families(N)
    family = families.family(node_of(families, members))
    streamed = list(family)
    assert sorted(map(sorted, streamed)) == sorted(map(sorted, members))
    assert [len(s) for s in streamed] == sorted(len(s) for s in streamed)
    assert family.size == len(members)
    assert list(family.counts_by_size) == [
        sum(len(s) == size for s in members) for size in range(len(family.counts_by_size))
    ]
    assert family.support() == frozenset(chain(*members))


@pytest.mark.parametrize("number", range(256))
def test_the_primes_of_every_function_of_three_variables(number):
    table = [number >> i & 1 for i in range(8)]
    listed = map(literals, prime_implicants(diagram_of_tables([table], 3), [0]))
    assert fault_of_primes(listed, table, 3) == ""


def test_the_primes_of_unions_of_random_functions():
    rng = np.random.default_rng(0)
    for _ in range(150):
        n = int(rng.integers(0, 6))
        tables = random_partition(rng, n, 3, missing=0.3)
        roots = rng.permutation(3)[: rng.integers(1, 4)].tolist()
        union = [any(tables[root][i] for root in roots) for i in range(1 << n)]
        family = prime_implicants(diagram_of_tables(tables, n), roots)
        assert fault_of_primes(map(literals, family), union, n) == ""


def test_all_explanations_of_random_partitions_with_feature_groups():
    rng = np.random.default_rng(1)
    for _ in range(1000):
        tables, bad, x, groups = random_world(rng)
        diagram = diagram_of_tables(tables, len(x))
        contrastive = minimal_changes(diagram, bad, np.array(x), groups=groups)
        sufficient = minimal_sufficient(diagram, bad, np.array(x), groups=groups)
        assert set(contrastive) == all_contrastive(tables, bad, x, groups)
        assert set(sufficient) == all_sufficient(tables, bad, x, groups)


def at_least(n, bound):
    """The diagram of ``sum >= bound``, one node for each level and sum that is still open."""
    rows, place = [(n, 0, 0), (n, 1, 1)], {}
    for level in range(n - 1, -1, -1):
        for ones in range(level + 1):
            if bound - (n - level) <= ones < bound:
                children = [place.get((level + 1, ones + bit), int(ones + bit >= bound)) for bit in (0, 1)]
                place[level, ones] = len(rows)
                rows.append((level, *children))
    return FlatDiagram(*(np.array(column) for column in zip(*rows, strict=True)), np.array([len(rows) - 1]), n)


def test_counts_past_64_bits_are_exact():
    assert prime_implicants(at_least(100, 50), [0]).size == comb(100, 50)
    far = np.zeros(100, dtype=np.uint8)
    assert minimal_changes(at_least(100, 30), [0], far).size == comb(100, 30)
    assert minimal_sufficient(at_least(100, 30), [0], far).size == comb(100, 71)


def test_hundreds_of_levels_do_not_exhaust_the_stack():
    far = np.zeros(784, dtype=np.uint8)
    assert minimal_sufficient(at_least(784, 3), [0], far).size == comb(784, 782)
    assert prime_implicants(at_least(784, 3), [0]).size == comb(784, 3)


def test_past_its_limit_a_family_is_refused():
    with pytest.raises(TooManyNodesError, match="more than 500"):
        prime_implicants(at_least(60, 30), [0], node_limit=500)
