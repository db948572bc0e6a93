"""One contract for all decision-diagram backends, tried on all functions of two and three variables."""

from itertools import product

import numpy as np
import pytest

from bnnverify.diagram.flat import FlatDiagram
from encoders.arrays import SignedNodes, plain
from encoders.manager import BACKENDS, NodeLimitError, available_backends, open_manager
from tests.diagrams import diagram_of_tables

BITS = [np.array(bits) for bits in product((0, 1), repeat=3)]


def value_at(arrays, root, bits):
    node = int(arrays.roots[root])
    while node > 1:
        node = int(arrays.high[node] if bits[arrays.level[node]] else arrays.low[node])
    return bool(node)


def all_functions(manager, n):
    """All functions of n variables, by the number whose bit k is the value at the k-th input, made of and, or, not."""
    cubes = []
    for bits in product((0, 1), repeat=n):
        cube = manager.true
        for v, bit in enumerate(bits):
            literal = manager.variable(v) if bit else manager.negation(manager.variable(v))
            cube = manager.conjunction(cube, literal)
        cubes.append(cube)
    functions = [manager.false]
    for cube in cubes:
        functions += [manager.disjunction(f, cube) for f in functions]
    return functions


def numbers_of(manager, functions, n):
    """The number of each function, from its arrays."""
    arrays = manager.flatten(functions)
    bits = list(product((0, 1), repeat=n))
    return [sum(value_at(arrays, root, x) << k for k, x in enumerate(bits)) for root in range(len(functions))]


@pytest.mark.parametrize("backend", available_backends())
class TestContract:
    def test_all_256_functions_of_three_variables_come_out_as_they_went_in(self, backend):
        manager = open_manager(backend, 3)
        assert numbers_of(manager, all_functions(manager, 3), 3) == list(range(256))

    def test_the_arrays_are_the_reduced_diagram_and_nothing_else(self, backend):
        manager = open_manager(backend, 3)
        arrays = manager.flatten(all_functions(manager, 3))
        diagram = FlatDiagram(arrays.level, arrays.low, arrays.high, arrays.roots, 3)
        tables = [[number >> k & 1 for k in range(8)] for number in range(256)]
        assert diagram.n_nodes == diagram_of_tables(tables, 3).n_nodes == 256

    def test_two_operands_meet_as_their_truth_tables_do(self, backend):
        manager = open_manager(backend, 2)
        f = all_functions(manager, 2)
        pairs = list(product(range(16), repeat=2))
        assert numbers_of(manager, [manager.conjunction(f[a], f[b]) for a, b in pairs], 2) == [a & b for a, b in pairs]
        assert numbers_of(manager, [manager.disjunction(f[a], f[b]) for a, b in pairs], 2) == [a | b for a, b in pairs]
        assert numbers_of(manager, [manager.negation(a) for a in f], 2) == [15 - a for a in range(16)]

    def test_if_then_else_chooses(self, backend):
        manager = open_manager(backend, 2)
        f = all_functions(manager, 2)
        triples = list(product(range(16), repeat=3))
        expected = [(c & a) | (~c & 15 & b) for c, a, b in triples]
        assert numbers_of(manager, [manager.ite(f[c], f[a], f[b]) for c, a, b in triples], 2) == expected

    def test_quantified_variables_are_gone_and_some_value_of_them_served(self, backend):
        manager = open_manager(backend, 3)
        f = all_functions(manager, 3)
        for variables in ([], [0], [2], [0, 1], [2, 0], [0, 1, 2]):
            found = numbers_of(manager, [manager.exists(g, variables) for g in f], 3)
            assert found == [exists_in(number, variables) for number in range(256)]

    def test_and_exists_is_exists_of_and(self, backend):
        manager = open_manager(backend, 3)
        f = all_functions(manager, 3)
        rng = np.random.default_rng(0)
        for a, b in rng.integers(0, 256, (200, 2)).tolist():
            variables = [v for v in range(3) if rng.random() < 0.5]
            assert manager.and_exists(f[a], f[b], variables) == f[exists_in(a & b, variables)]

    def test_equal_functions_are_equal_keys(self, backend):
        manager = open_manager(backend, 3)
        once, again = all_functions(manager, 3), all_functions(manager, 3)
        place = {f: number for number, f in enumerate(once)}
        assert len(place) == 256
        assert [place[f] for f in again] == list(range(256))

    def test_functions_that_are_given_twice_or_constant_keep_their_places(self, backend):
        manager = open_manager(backend, 3)
        x = manager.variable(1)
        arrays = manager.flatten([manager.true, x, manager.false, x, manager.true, manager.true])
        assert arrays.roots.tolist() == [1, 2, 0, 2, 1, 1]
        assert (arrays.level.tolist(), arrays.low.tolist(), arrays.high.tolist()) == ([3, 3, 1], [0, 1, 0], [0, 1, 1])

    def test_the_arrays_stay_right_when_flattened_again_with_fewer_or_more_functions(self, backend):
        manager = open_manager(backend, 3)
        f = all_functions(manager, 3)
        for n in (40, 3, 1, 0, 90):
            assert numbers_of(manager, f[7 : 7 + n], 3) == list(range(7, 7 + n))

    def test_no_variables_and_no_functions_are_fine(self, backend):
        manager = open_manager(backend, 0)
        assert manager.flatten([]).level.tolist() == [0, 0]
        assert manager.flatten([manager.false, manager.true]).roots.tolist() == [0, 1]

    def test_a_store_that_outgrows_its_limit_says_so(self, backend):
        manager = open_manager(backend, 40, node_limit=3000)
        with pytest.raises(NodeLimitError, match="3,000"):
            equality_of_halves(manager, 20)

    def test_a_store_within_its_limit_says_nothing(self, backend):
        manager = open_manager(backend, 20, node_limit=20_000)
        assert manager.size(equality_of_halves(manager, 10)) >= 1 << 10
        assert manager.node_count() <= 20_000


def equality_of_halves(manager, n):
    """Variables 0..n - 1 equal variables n..2 n - 1: exponential in this order."""
    f = manager.true
    for v in range(n):
        left, right = manager.variable(v), manager.variable(n + v)
        f = manager.conjunction(f, manager.ite(left, right, manager.negation(right)))
    return f


def exists_in(number, variables):
    """The number of the function of three variables with some of them quantified."""
    found = 0
    for k, x in enumerate(BITS):
        agreeing = [j for j, y in enumerate(BITS) if all(x[v] == y[v] for v in range(3) if v not in variables)]
        found |= any(number >> j & 1 for j in agreeing) << k
    return found


def test_an_unknown_backend_is_refused_by_name():
    with pytest.raises(ValueError, match="no decision-diagram backend 'sylvan', expected one of cudd"):
        open_manager("sylvan", 3)


def test_the_fallback_is_always_there():
    assert "autoref" in available_backends()
    assert set(available_backends()) <= set(BACKENDS)


def test_a_negated_edge_becomes_a_node_of_its_own():
    nodes = SignedNodes(*(np.array(a) for a in ([2, 1, 0], [0, 1, 3], [0, 0, 2], [4, 5])))
    arrays = plain(nodes)
    x0, x1 = np.array(list(product((0, 1), repeat=2))).T
    for root, wanted in enumerate([x0 == x1, x0 != x1]):
        assert [value_at(arrays, root, bits) for bits in product((0, 1), repeat=2)] == wanted.tolist()


def test_sifting_finds_the_order_that_makes_equality_small():
    from encoders.cudd_manager import CuddManager

    manager = CuddManager(12)
    kept = equality_of_halves(manager, 6)
    before = manager.flatten([kept]).level.size
    order = manager.sift()
    assert sorted(order.tolist()) == list(range(12))
    assert manager.flatten([kept]).level.size < before / 3
    arrays = manager.flatten([kept])
    for bits in np.random.default_rng(0).integers(0, 2, (200, 12)):
        bits = np.concatenate([bits[:6], bits[:6]]) if bits[0] else bits
        assert value_at(arrays, 0, bits[order]) == (bits[:6] == bits[6:]).all()
