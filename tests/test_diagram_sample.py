"""Ranks number the inputs one to one, and samples are uniform over them."""

from collections import Counter

import numpy as np
import pytest

from bnnverify.diagram.sample import _integers_below, ranked, sample
from bnnverify.errors import UsageError
from tests.worlds import all_functions, members, parity, random_worlds, true_everywhere


def test_ranks_list_every_function_of_up_to_three_variables_lexicographically():
    for diagram, tables in all_functions():
        inputs = ranked(diagram, [0], range(sum(tables[0]))).tolist()
        assert [tuple(bits) for bits in inputs] == members(tables, [0], diagram.n_levels)


def test_ranks_of_a_union_list_one_root_after_the_other():
    for diagram, tables in random_worlds(4, 50, 8):
        expected = [bits for root in (2, 0) for bits in members(tables, [root], diagram.n_levels)]
        assert [tuple(bits) for bits in ranked(diagram, [2, 0], range(len(expected))).tolist()] == expected


def test_ranks_past_64_bits_are_inverted_exactly():
    ranks = [0, 5, 2**782 + 3, 2**783 - 1]
    bits = ranked(parity(784), [0], ranks)
    assert (bits.sum(axis=1) % 2 == 1).all()
    assert [int("".join(map(str, row[:-1].tolist())), 2) for row in bits] == ranks


def chi_squared(observed, n_cells, size):
    expected = size / n_cells
    return sum((count - expected) ** 2 / expected for count in observed.values()) + (n_cells - len(observed)) * expected


def test_samples_are_members_and_evenly_spread():
    rng = np.random.default_rng(0)
    for diagram, tables in random_worlds(5, 30, 6):
        inputs = members(tables, [0, 2], diagram.n_levels)
        if inputs:
            drawn = Counter(map(tuple, sample(diagram, [0, 2], 2000, rng).tolist()))
            assert set(drawn) <= set(inputs)
            assert chi_squared(drawn, len(inputs), 2000) < len(inputs) + 7 * (2 * len(inputs)) ** 0.5 + 10


def test_samples_at_a_distance_are_the_members_there():
    rng = np.random.default_rng(1)
    for diagram, tables in random_worlds(6, 30, 6):
        x, distance = rng.integers(0, 2, diagram.n_levels), int(rng.integers(0, diagram.n_levels + 1))
        inputs = members(tables, [1, 2], diagram.n_levels)
        there = [bits for bits in inputs if int((x != np.array(bits)).sum()) == distance]
        if there:
            drawn = Counter(map(tuple, sample(diagram, [1, 2], 1000, rng, distance=distance, x=x).tolist()))
            assert set(drawn) <= set(there)
            assert chi_squared(drawn, len(there), 1000) < len(there) + 7 * (2 * len(there)) ** 0.5 + 10


def test_samples_of_a_space_past_64_bits_are_spread_over_all_bits():
    bits = sample(parity(784), [0], 400, np.random.default_rng(2))
    assert (bits.sum(axis=1) % 2 == 1).all()
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.15


def test_samples_repeat_with_their_seed():
    first, second = (sample(parity(70), [1], 5, np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_integers_are_drawn_from_the_whole_range_and_not_beyond():
    total = (1 << 64) + (1 << 63)
    drawn = [int(number) for number in _integers_below(total, 3000, np.random.default_rng(4))]
    thirds = Counter(number * 3 // total for number in drawn)
    assert set(thirds) == {0, 1, 2}
    assert all(abs(count - 1000) < 150 for count in thirds.values())


def test_nothing_to_sample_is_said():
    with pytest.raises(UsageError, match="nothing to sample"):
        sample(true_everywhere(3), [], 1, np.random.default_rng(0))
    with pytest.raises(UsageError, match="nothing to sample"):
        sample(true_everywhere(3), [0], 1, np.random.default_rng(0), distance=4, x=[0, 0, 0])
    with pytest.raises(UsageError, match="both"):
        sample(true_everywhere(3), [0], 1, np.random.default_rng(0), distance=1)
    with pytest.raises(UsageError, match="ranks"):
        ranked(true_everywhere(3), [0], [8])
