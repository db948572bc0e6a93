"""Exact comparison of class scores: one integer key a class, linear in its sum, never tied.

Class c scores ``a_c s + b_c`` with float a, b and an integer sum s = w_c . h. Floats are dyadic
rationals, so over their common denominator the scores are integers. Shifted left, with the tie rank
in the low bits, they are keys without ties that name their class: kernels need one multiply-add
and a maximum. Where those integers pass 62 bits, smaller coefficients are rounded from them and
accepted only if they order all attainable scores of all classes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UnsupportedError
from bnnverify.network import Output

KEY_LIMIT = 1 << 62


@dataclass(frozen=True, eq=False)
class ScoreKeys:
    """``argmax_c slopes[c] * s_c + offsets[c]`` is the class; no two classes' keys are ever equal.

    ``slopes`` and ``offsets`` are ``(n_classes,)`` int64, keys stay below 2^62 in absolute value, and
    ``key & (classes.size - 1)`` indexes ``classes``, which gives the class that the key belongs to.
    """

    slopes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    classes: NDArray[np.int64]


def tie_order(n_classes: int, *, last: int | None = None, first: int | None = None) -> tuple[int, ...]:
    """Classes in the order in which they win ties: lowest first, but for the two exceptions.

    With ``last`` the label, a tie counts as a violation; ``first`` lets a target win its ties.
    """
    middle = [c for c in range(n_classes) if c not in (first, last)]
    head = [] if first is None else [first]
    tail = [] if last is None else [last]
    return (*head, *middle, *tail)


def score_keys(output: Output, order: Sequence[int] | None = None) -> ScoreKeys:
    """Linear integer keys that order scores, and ties by ``order`` (default lowest class first).

    Raises:
        UnsupportedError: if no 62-bit keys order the scores exactly.
    """
    order = tie_order(output.n_classes) if order is None else tuple(order)
    size = 1 << (output.n_classes - 1).bit_length()
    reach = np.abs(output.weights.astype(np.int64)).sum(axis=1).tolist()
    slopes, offsets = _fitted(*_integer_scores(output), reach, KEY_LIMIT // size)
    classes = np.zeros(size, dtype=np.int64)
    classes[size - 1 - np.arange(len(order))] = order
    codes = np.argsort(order) * -1 + size - 1
    return ScoreKeys(np.array(slopes) * size, np.array(offsets) * size + codes, classes)


def _integer_scores(output: Output) -> tuple[list[int], list[int]]:
    """Scale and bias over their common denominator, less the bias that all classes share."""
    assert output.scale is not None
    assert output.bias is not None
    scales = [Fraction(float(a)) for a in output.scale]
    least = min(Fraction(float(b)) for b in output.bias)
    biases = [Fraction(float(b)) - least for b in output.bias]
    if len(set(scales)) == 1 and scales[0] > 0:
        return _uniform_scores(biases, scales[0])
    common = max(f.denominator for f in (*scales, *biases))
    return [int(a * common) for a in scales], [int(b * common) for b in biases]


def _uniform_scores(biases: list[Fraction], scale: Fraction) -> tuple[list[int], list[int]]:
    """With one positive scale only the floor and the rank of the fraction of b/a can matter."""
    shifted = [b / scale for b in biases]
    fractions = sorted({b % 1 for b in shifted})
    steps = len(fractions)
    return [steps] * len(biases), [steps * (b // 1) + fractions.index(b % 1) for b in shifted]


def _largest(slopes: list[int], offsets: list[int], reach: list[int]) -> int:
    return max(abs(a) * n + abs(b) for a, b, n in zip(slopes, offsets, reach, strict=True))


def _attainable(slopes: list[int], offsets: list[int], reach: list[int]) -> list[int]:
    """Every key that some sum can give, class by class."""
    return [a * s + b for a, b, n in zip(slopes, offsets, reach, strict=True) for s in range(-n, n + 1)]


def _fitted(slopes: list[int], offsets: list[int], reach: list[int], limit: int) -> tuple[list[int], list[int]]:
    """Coefficients whose scores stay below ``limit`` and compare exactly as the given ones do."""
    largest = _largest(slopes, offsets, reach)
    if largest < limit:
        return slopes, offsets
    shift = largest.bit_length() - limit.bit_length() + 2
    short = [a >> shift for a in slopes], [b >> shift for b in offsets]
    exact = _attainable(slopes, offsets, reach)
    rounded = _attainable(*short, reach)
    by_score = sorted(range(len(exact)), key=exact.__getitem__)
    for left, right in pairwise(by_score):
        if (exact[left] < exact[right]) != (rounded[left] < rounded[right]) or rounded[left] > rounded[right]:
            found = "62-bit keys cannot order scores with this scale and bias exactly"
            raise UnsupportedError(f"output: {found}; round them")
    return short
