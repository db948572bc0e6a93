"""The game whose gains Shapley and Banzhaf values share among the features of an instance.

A coalition S of features is worth v(S) = E[f | x_S]: their levels have the instance's bits, all others are
independent bits. Let every feature join with probability q; the expected gain of one by joining is then a
polynomial in q, of a degree below the number of features that occur, and each of its values is a
derivative of the probability of f at a single point. For a feature of one level, the bit is the
instance's with probability q: p(q) = q x + (1 - q) p, and the gain is (x - p) times the derivative. A feature of
adjacent levels gets a selector, which is 1 with probability q. Features that interleave with others are
conditioned upon: a pass for each set of them that joins. Cost: one or two passes over the diagram a point,
times 2^k for k features of scattered levels.

Bits that encode one value are not independent. But if f is false at invalid codes, a feature that does not join
has a valid code once its worth is multiplied by s, one over the chance that its bits are valid. Its selector
then weighs q against (1 - q) s. These add up to z = q + (1 - q) s, not to 1, so the passes use q / z, and
all z multiply the outcome: with worth W and derivative D there, the gain is D s / z + W (1 - s), times the z of
the others.

Reference: Owen, "Multilinear extensions of games", 1972.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import compress, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.probability import Chances, column, numbers, slopes
from bnnverify.diagram.selectors import with_selectors
from bnnverify.diagram.walks import instance, occurring, root_nodes
from bnnverify.errors import UnsupportedError, UsageError

MOST_SCATTERED = 12
VALUES_AT_ONCE = 1 << 22
LEAST_SHARE = 1e-290


@dataclass(frozen=True, eq=False)
class Game:
    """A game prepared for evaluation.

    Args:
        diagram: all roots are meant; with a selector before each feature of several adjacent levels.
        x, p: ``(n_levels,)`` of this diagram: the instance's bits (1 at selectors) and the probabilities of bit 1 of
            those that did not join (0 at selectors); float64 or fractions.
        scale: ``(features,)``: what a feature multiplies the worth by if it does not join.
        level_of: for each feature its level in this diagram; -1 for scattered ones.
        scattered: the levels of each scattered feature, by feature.
        n_players: how many features occur at all.
    """

    diagram: FlatDiagram
    x: NDArray[Any]
    p: NDArray[Any]
    scale: NDArray[Any]
    level_of: NDArray[np.int64]
    scattered: dict[int, NDArray[np.int64]]
    n_players: int

    def gains(self, q: NDArray[Any]) -> NDArray[Any]:
        """``(features, points)``: what each feature gains by joining, if the others join with probability q."""
        per_pass = max(1, VALUES_AT_ONCE // self.diagram.n_nodes)
        parts = [self._gains(q[start : start + per_pass]) for start in range(0, q.size, per_pass)]
        return np.concatenate(parts, axis=1)

    def _gains(self, q: NDArray[Any]) -> NDArray[Any]:
        gains = np.zeros((self.level_of.size, q.size), dtype=q.dtype)
        alone = np.flatnonzero(self.level_of >= 0)
        scale = self.scale[alone, None]
        z = q + (1 - q) * scale
        whole = np.multiply.reduce(z, axis=0, initial=1)
        for joined in product((False, True), repeat=len(self.scattered)):
            weights = [q if joins else (1 - q) * self.scale[i] for i, joins in zip(self.scattered, joined, strict=True)]
            worth, slope = self._slopes(joined, q / z)
            gains[alone] += prod(weights, start=whole) / z * (slope * scale / z + worth * (1 - scale))
            for i, feature in enumerate(self.scattered):
                others = prod(weights[:i] + weights[i + 1 :], start=whole)
                gains[feature] += worth * others * (1 if joined[i] else -self.scale[feature])
        return gains

    def _slopes(self, joined: Sequence[bool], chance: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Worth, and its change if a feature surely has the instance's bits rather than surely not.

        Args:
            joined: which scattered features have the instance's bits.
            chance: ``(alone, points)``: how probably each other feature has them.

        Returns:
            ``(points,)`` and ``(alone, points)``.
        """
        p, alone = self.p.copy(), self.level_of[self.level_of >= 0]
        for levels in compress(self.scattered.values(), joined):
            p[levels] = self.x[levels]
        chances = np.repeat(p[:, None], chance.shape[1], axis=1)
        steps = (self.x - p)[alone, None]
        chances[alone] += steps * chance
        worth, found = slopes(self.diagram, self.diagram.roots, chances)
        return worth, found[alone] * steps


def game(
    diagram: FlatDiagram,
    roots: Sequence[int],
    x: ArrayLike,
    *,
    p: Chances | None = None,
    features: Sequence[ArrayLike] | None = None,
    valid: Chances | None = None,
    exact: bool = False,
) -> Game:
    """The game of a union of disjoint roots at an instance.

    Args:
        diagram: the functions.
        roots: numbers of disjoint roots.
        x: ``(n_levels,)`` of 0 and 1.
        p: probability of bit 1 at each level, by default one half.
        features: the levels of each feature, disjoint; by default each level is one. Levels in none never join.
        valid: for each feature the probability that its bits are a valid code, by default 1.
        exact: compute in fractions.

    Raises:
        UsageError: if an argument does not fit the diagram.
        UnsupportedError: if more than 12 features of several levels interleave with others, or floats would underflow.
    """
    bits = instance(diagram, x)
    chances = column(diagram, [Fraction(1, 2)] * diagram.n_levels if p is None else p, exact)[:, 0]
    groups = _groups(diagram, features)
    scale = _scales([1] * len(groups) if valid is None else list(valid), len(groups), exact)
    meant = _only(diagram, roots)
    occurs = occurring(meant)
    n_players = sum(bool(occurs[group].any()) for group in groups)
    spans, scattered = _spans(groups)
    wide = sorted(spans, key=lambda feature: spans[feature].start)
    starts = np.array([spans[feature].start for feature in wide], dtype=np.int64)
    place = np.arange(diagram.n_levels) + np.searchsorted(starts, np.arange(diagram.n_levels), side="right")
    level_of = np.array([place[g[0]] if len(g) == 1 else -1 for g in groups], dtype=np.int64)
    level_of[wide] = starts + np.arange(len(wide))
    total = diagram.n_levels + len(wide)
    wide_x, wide_p = np.ones(total, dtype=chances.dtype), np.zeros(total, dtype=chances.dtype)
    wide_x[place], wide_p[place] = bits, chances
    selected = with_selectors(meant, [spans[feature] for feature in wide], bits)
    moved = {feature: place[levels] for feature, levels in scattered.items()}
    return Game(selected, wide_x, wide_p, scale, level_of, moved, n_players)


def _scales(valid: Sequence[float | Fraction], n_features: int, exact: bool) -> NDArray[Any]:
    if len(valid) != n_features or not all(0 < share <= 1 for share in valid):
        raise UsageError(f"valid: found {len(valid)} numbers, expected {n_features} in (0, 1], one a feature")
    if not exact and prod(map(float, valid)) < LEAST_SHARE:
        raise UnsupportedError("valid: fewer than 1 in 1e290 inputs are valid, too few for floats; expected exact=True")
    return np.asarray(1 / numbers(valid, exact))


def _only(diagram: FlatDiagram, roots: Sequence[int]) -> FlatDiagram:
    root_nodes(diagram, roots)
    return diagram.with_roots(roots)


def _groups(diagram: FlatDiagram, features: Sequence[ArrayLike] | None) -> list[NDArray[np.int64]]:
    """The levels of each feature, increasing."""
    if features is None:
        return list(np.arange(diagram.n_levels).reshape(-1, 1))
    groups = [np.sort(np.atleast_1d(np.asarray(levels))) for levels in features]
    named = [level for group in groups for level in group.tolist()]
    if len(set(named)) != len(named) or any(level not in range(diagram.n_levels) for level in named):
        raise UsageError(f"features: expected disjoint lists of levels from 0 to {diagram.n_levels - 1}")
    if any(group.size == 0 for group in groups):
        raise UsageError("features: one is empty; expected at least one level each")
    return groups


def _spans(groups: list[NDArray[np.int64]]) -> tuple[dict[int, range], dict[int, NDArray[np.int64]]]:
    """The features of several adjacent levels, and those of scattered ones."""
    wide = {feature: group for feature, group in enumerate(groups) if group.size > 1}
    spans = {f: range(int(g[0]), int(g[-1]) + 1) for f, g in wide.items() if g[-1] - g[0] == g.size - 1}
    scattered = {feature: group for feature, group in wide.items() if feature not in spans}
    if len(scattered) > MOST_SCATTERED:
        raise UnsupportedError(
            f"{len(scattered)} features have levels that are not adjacent: expected at most {MOST_SCATTERED}"
        )
    return spans, scattered
