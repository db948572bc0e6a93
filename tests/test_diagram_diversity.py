"""Diverse inputs are members and far apart; "impossible" is confirmed by trying all sets."""

from itertools import combinations

import numpy as np
import pytest

from bnnverify.diagram.diameter import diameter
from bnnverify.diagram.diversity import Outcome, diverse
from bnnverify.diagram.unique import TooManyNodesError
from bnnverify.errors import UsageError
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere


def apart(a, b):
    return sum(p != q for p, q in zip(a, b, strict=True))


def exists(inputs, size, distance):
    near = {(a, b) for a in inputs for b in inputs if a != b and apart(a, b) < distance}
    return any(all(pair not in near for pair in combinations(some, 2)) for some in combinations(inputs, size))


def check(diagram, tables, roots, size, distance):
    inputs = members(tables, roots, diagram.n_levels)
    answer = diverse(diagram, roots, size, distance)
    found = [tuple(bits) for bits in answer.inputs.tolist()]
    assert set(found) <= set(inputs)
    assert all(apart(a, b) >= distance for a, b in combinations(found, 2))
    assert answer.outcome is (Outcome.FOUND if exists(inputs, size, distance) else Outcome.IMPOSSIBLE)
    assert len(found) == size or answer.outcome is Outcome.IMPOSSIBLE


def test_every_function_of_up_to_three_variables():
    for diagram, tables in all_functions():
        for size, distance in ((1, 1), (2, 2), (3, 1), (3, 2), (4, 2)):
            check(diagram, tables, [0], size, distance)


def test_unions_of_random_functions():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(16, 60, 5):
        check(diagram, tables, rng.permutation(3)[:2].tolist(), int(rng.integers(1, 5)), int(rng.integers(1, 5)))


def test_the_two_farthest_members():
    for diagram, tables in [*all_functions(), *random_worlds(17, 60, 7)]:
        roots = [0, 2] if len(tables) == 3 else [0]
        inputs = members(tables, roots, diagram.n_levels)
        answer = diameter(diagram, roots)
        if not inputs:
            assert answer is None
            continue
        distance, ends = answer
        assert distance == max(apart(a, b) for a in inputs for b in inputs) == apart(*ends.tolist())
        assert {tuple(bits) for bits in ends.tolist()} <= set(inputs)


def test_lexicographic_choice_finds_the_perfect_hamming_code():
    answer = diverse(true_everywhere(7), [0], 16, 3, choices=16)
    assert answer.outcome is Outcome.FOUND
    assert min(apart(a, b) for a, b in combinations(answer.inputs.tolist(), 2)) == 3


def test_members_among_hundreds_of_levels():
    answer = diverse(parity(300), [0], 5, 20)
    assert answer.outcome is Outcome.FOUND
    assert (answer.inputs.sum(axis=1) % 2 == 1).all()
    assert min(apart(a, b) for a, b in combinations(answer.inputs.tolist(), 2)) >= 20


def test_a_limit_on_choices_is_no_proof():
    answer = diverse(true_everywhere(7), [0], 17, 3, choices=30)
    assert answer.outcome is Outcome.UNKNOWN
    assert 2 <= len(answer.inputs) < 17
    assert min(apart(a, b) for a, b in combinations(answer.inputs.tolist(), 2)) >= 3


def test_without_the_proof_by_the_farthest_members_the_search_still_decides():
    assert diverse(parity(5), [0], 2, 5, pair_limit=1).outcome is Outcome.IMPOSSIBLE
    with pytest.raises(TooManyNodesError):
        diameter(parity(5), [0], pair_limit=1)


@pytest.mark.parametrize(("size", "distance"), [(0, 1), (2, 0)])
def test_sizes_and_distances_below_one_are_refused(size, distance):
    with pytest.raises(UsageError, match="at least 1"):
        diverse(true_everywhere(3), [0], size, distance)


def test_inputs_are_bits():
    assert diverse(true_everywhere(4), [0], 3, 2).inputs.dtype == np.uint8
