"""The checkers of explanations and implicants accept what is right and reject what is wrong."""

import numpy as np
import pytest

from tests.checkers import all_contrastive, all_sufficient, fault_of_primes, is_prime, primes_by_consensus, subsets

MAJORITY = [0, 0, 0, 1, 0, 1, 1, 1]
PRIMES = [frozenset({(a, 1), (b, 1)}) for a, b in ((0, 1), (0, 2), (1, 2))]


def test_the_primes_of_a_majority_are_its_pairs():
    assert primes_by_consensus(MAJORITY, 3) == set(PRIMES)
    assert fault_of_primes(PRIMES, MAJORITY, 3) == ""


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        (PRIMES[:2], "missing"),
        ([*PRIMES, frozenset({(0, 1), (1, 1), (2, 1)})], "not prime"),
        ([*PRIMES, frozenset({(0, 1)})], "no implicant"),
        ([*PRIMES, PRIMES[0]], "twice"),
    ],
)
def test_wrong_lists_of_primes_are_rejected(listed, fault):
    assert fault in fault_of_primes(listed, MAJORITY, 3)


def test_consensus_finds_what_trying_all_terms_finds():
    rng = np.random.default_rng(0)
    terms = [
        frozenset((v, int(bits >> v & 1)) for v in chosen) for chosen in subsets(range(4)) for bits in range(1 << 4)
    ]
    for _ in range(30):
        table = rng.integers(0, 2, 16).tolist()
        assert primes_by_consensus(table, 4) == {term for term in terms if is_prime(table, 4, term)}


def test_the_explanations_of_a_majority_are_known():
    good, bad = MAJORITY, [1 - value for value in MAJORITY]
    pairs = {frozenset(pair) for pair in ((0, 1), (0, 2), (1, 2))}
    single = tuple((i,) for i in range(3))
    assert all_sufficient([good, bad], [1], (1, 1, 1), single) == pairs
    assert all_contrastive([good, bad], [1], (1, 1, 1), single) == pairs
    assert all_sufficient([good, bad], [1], (1, 1, 0), single) == {frozenset({0, 1})}
    assert all_contrastive([good, bad], [1], (1, 1, 0), single) == {frozenset({0}), frozenset({1})}
    assert all_contrastive([good, bad], [1], (1, 1, 1), ((0, 1), (2,))) == {frozenset({0})}
