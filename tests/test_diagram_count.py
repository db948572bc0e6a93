"""Counts are those of the truth tables, in 64 bits and past them."""

from math import comb

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bnnverify.diagram.apply import complement
from bnnverify.diagram.count import counts, node_counts
from bnnverify.diagram.spheres import sphere
from bnnverify.diagram.walks import pull
from tests.diagrams import diagram_of_tables
from tests.worlds import all_functions, parity, random_worlds, true_everywhere


def test_every_function_of_up_to_three_variables_is_counted():
    for diagram, tables in all_functions():
        assert counts(diagram) == [sum(tables[0])]


def test_random_disjoint_functions_are_counted():
    for diagram, tables in random_worlds(0, 200, 10):
        assert counts(diagram) == [sum(table) for table in tables]


def test_the_passes_in_64_bits_and_in_python_integers_agree_at_every_node():
    for diagram, _ in random_worlds(1, 50, 9):
        ones = [1] * diagram.n_levels
        assert node_counts(diagram).tolist() == pull(diagram, ones, ones, 2).tolist()


def test_counts_past_64_bits_are_exact():
    assert counts(true_everywhere(784)) == [2**784]
    assert counts(parity(784)) == [2**783, 2**783]
    assert counts(sphere(np.zeros(784), 300)) == [comb(784, 300)]


def test_counts_around_62_bits_are_exact():
    for n in range(60, 67):
        assert counts(parity(n)) == [2 ** (n - 1)] * 2
        assert counts(true_everywhere(n)) == [2**n]


def test_a_small_sphere_among_many_levels_stays_in_64_bits():
    assert node_counts(sphere(np.zeros(784), 4)).dtype == np.int64
    assert counts(sphere(np.ones(784), 4)) == [comb(784, 4)]


@given(st.integers(0, 8).flatmap(lambda n: st.lists(st.booleans(), min_size=1 << n, max_size=1 << n)))
def test_a_function_and_its_negation_fill_the_space(table):
    n = len(table).bit_length() - 1
    diagram = diagram_of_tables([table], n)
    assert counts(diagram)[0] + counts(complement(diagram))[0] == 2**n
