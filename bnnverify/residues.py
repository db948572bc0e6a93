"""Exact counts past 63 bits: count modulo primes below 2^31, then the Chinese remainder theorem.

Kernels multiply residues in int64 without overflow; a count below N needs ``log2(N) / 31`` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt

Table = list[list[int]]


def exactly(count: Callable[[int], Table], largest: int) -> Table:
    """The table of non-negative integers up to ``largest`` whose residues ``count(prime)`` gives."""
    table: Table = []
    modulus = 1
    for prime in _primes():
        residues = count(prime)
        table = residues if modulus == 1 else _combined(table, modulus, residues, prime)
        modulus *= prime
        if modulus > largest:
            break
    return table


def _combined(table: Table, modulus: int, residues: Table, prime: int) -> Table:
    """Numbers below ``modulus * prime`` that agree with both tables."""
    inverse = pow(modulus, -1, prime)
    return [
        [a + modulus * ((b - a) * inverse % prime) for a, b in zip(old, new, strict=True)]
        for old, new in zip(table, residues, strict=True)
    ]


def _primes() -> Iterator[int]:
    """Primes below 2^31, from the largest down."""
    for candidate in range((1 << 31) - 1, 2, -2):
        if all(candidate % divisor for divisor in range(3, isqrt(candidate) + 1, 2)):
            yield candidate
