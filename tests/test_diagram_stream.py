"""Every input comes once, in lexicographic order."""

from itertools import islice

import numpy as np

from bnnverify.diagram.spheres import after, beyond, sphere
from bnnverify.diagram.stream import stream
from tests.diagrams import assignments
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere


def listed(diagram, roots):
    return [tuple(bits.tolist()) for bits in stream(diagram, roots)]


def test_every_function_of_up_to_three_variables():
    for diagram, tables in all_functions():
        assert listed(diagram, [0]) == members(tables, [0], diagram.n_levels)


def test_unions_of_random_functions_are_merged():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(7, 100, 9):
        roots = rng.permutation(3)[: rng.integers(0, 4)].tolist()
        assert listed(diagram, roots) == members(tables, roots, diagram.n_levels)


def test_the_first_inputs_of_a_huge_function_come_at_once():
    first = list(islice(stream(parity(784), [0]), 4))
    assert [bits[-3:].tolist() for bits in first] == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert all(not bits[:-3].any() for bits in first)


def test_the_constants_of_no_variables():
    assert listed(true_everywhere(0), [0]) == [()]
    assert listed(true_everywhere(0), []) == []


def test_what_is_beyond_a_distance_or_after_an_input():
    for x in assignments(4):
        distance_to_x = {bits: sum(a != b for a, b in zip(bits, x, strict=True)) for bits in assignments(4)}
        assert listed(after(x), [0]) == [bits for bits in assignments(4) if bits > x]
        for distance in range(-1, 6):
            assert listed(beyond(x, distance), [0]) == [b for b, k in distance_to_x.items() if k >= distance]
            assert listed(sphere(x, distance), [0]) == [b for b, k in distance_to_x.items() if k == distance]
