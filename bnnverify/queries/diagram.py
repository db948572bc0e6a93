"""A network compiled on a region: the diagram, and every question about it in the network's own terms.

:func:`bnnverify.compile` pays once; each method here is then a pass over the arrays (:mod:`bnnverify.diagram`),
between a translation of inputs and classes into levels and roots, and one back. Inputs go in and come out in
the network's own scale; a counterexample is executed before it is returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.diagram import banzhaf as banzhaf_pass
from bnnverify.diagram import influence as influence_pass
from bnnverify.diagram import monotone as monotone_pass
from bnnverify.diagram import nearest as nearest_pass
from bnnverify.diagram import probability as probability_pass
from bnnverify.diagram import profile as profile_pass
from bnnverify.diagram import sample as sample_pass
from bnnverify.diagram import shapley as shapley_pass
from bnnverify.diagram import stream as stream_pass
from bnnverify.diagram.count import counts
from bnnverify.diagram.diversity import diverse
from bnnverify.diagram.export import to_dot, to_networkx
from bnnverify.diagram.families import SetFamily
from bnnverify.diagram.features import essential_literals
from bnnverify.diagram.flat import FlatDiagram
from bnnverify.diagram.primes import prime_implicants
from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.network import BitInput, Network, ThresholdInput
from bnnverify.queries.asking import Question, ask, replayed
from bnnverify.queries.results import Ties, Witness
from bnnverify.queries.shares import valid_shares
from bnnverify.regions import BitRegion, least_perturbation_costs
from bnnverify.theories import Theory

if TYPE_CHECKING:
    import networkx

Numbers = list[Fraction] | list[float]


@dataclass(frozen=True, eq=False, repr=False)
class Diagram:
    """The classes of a network on a region as one reduced decision diagram.

    Args:
        network: what was compiled.
        instance: ``(n_inputs,)`` the region's centre in the network's own scale.
        region: the inputs that the diagram speaks of.
        theory: which of them are valid, or None for all.
        ties: the rule for equal scores; VIOLATE is meant for the centre's class.
        order: classes in the order in which they win ties.
        label: class of the centre.
        classes: the class of each root.
        flat: the arrays; outside the region and the theory every root is false.
        inputs: ``(n_levels,)`` the input bit that each level asks for.
        reason: how it was compiled; seconds: how long that took.
    """

    network: Network
    instance: NDArray[Any]
    region: BitRegion
    theory: Theory | None
    ties: Ties
    order: tuple[int, ...]
    label: int
    classes: tuple[int, ...]
    flat: FlatDiagram
    inputs: NDArray[np.int64]
    reason: str = ""
    seconds: float = 0.0

    @property
    def n_nodes(self) -> int:
        return self.flat.n_nodes

    @property
    def is_cube(self) -> bool:
        """Whether the free bits are independent: no budget and no theory ties them together."""
        return self.theory is None and (self.region.budget is None or self.region.budget >= self.region.costs.sum())

    def roots_of(self, classes: Sequence[int]) -> list[int]:
        """The roots of those of these classes that occur."""
        return [root for root, label in enumerate(self.classes) if label in classes]

    def changed_from(self, label: int, target: int | None = None) -> list[int]:
        """The roots that count as changed: the target's, or all but one class's."""
        return [root for root, c in enumerate(self.classes) if (c != label if target is None else c == target)]

    def levels_of(self, instance: ArrayLike | None = None) -> NDArray[np.uint8]:
        """An instance, by default the centre, as 0 or 1 a level.

        Raises:
            UsageError: if it differs from the centre in a bit that is not free.
        """
        bits = self._bits(self.instance if instance is None else instance)
        strange = np.setdiff1d(np.flatnonzero(bits != self.region.center), self.inputs)
        if strange.size:
            raise UsageError(f"instance: bit {strange[0]} differs from the region's centre, where it is fixed")
        return (bits[self.inputs] > 0).astype(np.uint8)

    def _bits(self, instance: ArrayLike) -> NDArray[np.int8]:
        layer = self.network.input
        assert isinstance(layer, BitInput | ThresholdInput)
        return layer.to_bits(np.asarray(instance)).reshape(-1)

    def bits_at(self, rows: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Input bits ``(batch, n_inputs)`` of 0/1 rows ``(batch, n_levels)``."""
        bits = np.tile(self.region.center, (len(rows), 1))
        bits[:, self.inputs] = 2 * rows.astype(np.int8) - 1
        return bits

    def inputs_at(self, rows: NDArray[np.uint8]) -> NDArray[Any]:
        """As :meth:`bits_at`, in the network's own scale: pixels are the nearest to the centre's with such bits."""
        bits, layer = self.bits_at(rows), self.network.input
        if not isinstance(layer, ThresholdInput):
            return bits
        pixels = [layer.realize(self.instance, np.flatnonzero(row != self.region.center)) for row in bits]
        return np.array(pixels, dtype=np.int64).reshape(len(bits), self.network.n_inputs)

    def class_of(self, instance: ArrayLike | None = None) -> int:
        """The class of an instance by the diagram.

        Raises:
            UsageError: if it lies outside the region or is not valid.
        """
        row = self.levels_of(instance)[None]
        for root, label in enumerate(self.classes):
            if self.flat.evaluate(row, root)[0]:
                return label
        raise UsageError("instance: outside the region or not valid; expected a member of what was compiled")

    def count(self) -> dict[int, int]:
        """Exact number of inputs of each class that occurs."""
        return {c: n for c, n in zip(self.classes, counts(self.flat), strict=True) if n}

    def profile(self, instance: ArrayLike | None = None, radius: int | None = None) -> tuple[dict[int, int], ...]:
        """Inputs per class at every distance ``0..radius`` (flipped bits) from an instance, by default the centre."""
        most = self.region.radius if radius is None and instance is None else radius
        by_root = profile_pass.profile(self.flat, self.levels_of(instance), most)
        rows = zip(*by_root, strict=True) if by_root else ()
        return tuple({c: n for c, n in zip(self.classes, row, strict=True) if n} for row in rows)

    def nearest(
        self,
        instance: ArrayLike | None = None,
        *,
        norm: str | None = None,
        costs: ArrayLike | None = None,
        target: int | None = None,
    ) -> Witness | None:
        """The input of another class (or of the target) that costs least, executed; None if there is none."""
        return next(self.k_nearest(instance, norm=norm, costs=costs, target=target), None)

    def k_nearest(
        self,
        instance: ArrayLike | None = None,
        *,
        norm: str | None = None,
        costs: ArrayLike | None = None,
        target: int | None = None,
    ) -> Iterator[Witness]:
        """Inputs of another class (or of the target), cheapest first, each executed.

        Args:
            norm: ``hamming``, ``l0``, ``l1`` or ``l2`` (sum of squares); default flipped bits.
            costs: ``(n_inputs,)`` non-negative integers in its place, what flipping each bit costs.

        Raises:
            UsageError: if both are given, or one does not fit.
        """
        about = self.instance if instance is None else self.network.input.read(np.asarray(instance)).reshape(-1)
        question = ask(self.network, about, self.region, self.ties, target)
        prices = self._costs(about, norm, costs)
        roots = self.roots_of(question.wanted)
        for cost, row in nearest_pass.k_nearest(self.flat, roots, self.levels_of(about), prices):
            yield self._witness(question, row, cost)

    def _costs(self, instance: NDArray[Any], norm: str | None, costs: ArrayLike | None) -> NDArray[np.int64]:
        if norm == "linf":
            raise UsageError("norm linf: it does not add up; compile a pixel box, or use bnnverify.radius")
        if norm is not None and costs is not None:
            raise UsageError("norm and costs: expected one of them at most")
        if norm is not None:
            return least_perturbation_costs(self.network, instance, norm)[self.inputs]
        prices = np.ones(self.network.n_inputs, dtype=np.int64) if costs is None else np.asarray(costs)
        if prices.shape != (self.network.n_inputs,):
            raise UsageError(f"costs of shape {prices.shape}: expected {self.network.n_inputs}, one an input")
        return prices[self.inputs]

    def _witness(self, question: Question, row: NDArray[np.uint8], cost: int) -> Witness:
        found = replayed(question, self.bits_at(row[None])[0])
        return Witness(found.input, found.flips, found.label, cost)

    def sample(
        self,
        size: int,
        rng: np.random.Generator,
        *,
        classes: Sequence[int] | None = None,
        distance: int | None = None,
    ) -> NDArray[Any]:
        """Independent, exactly uniform inputs of some classes (default: all but the centre's), ``(size, n_inputs)``.

        Args:
            distance: only inputs at this many flipped bits from the centre.
        """
        roots = self.changed_from(self.label) if classes is None else self.roots_of(classes)
        centre = None if distance is None else self.levels_of()
        return self.inputs_at(sample_pass.sample(self.flat, roots, size, rng, distance=distance, x=centre))

    def stream(self, classes: Sequence[int] | None = None) -> Iterator[NDArray[Any]]:
        """Every input of some classes (default: all but the centre's), once, with a delay of O(n_levels)."""
        roots = self.changed_from(self.label) if classes is None else self.roots_of(classes)
        for row in stream_pass.stream(self.flat, roots):
            yield self.inputs_at(row[None])[0]

    def diverse(self, size: int, distance: int, *, classes: Sequence[int] | None = None) -> tuple[NDArray[Any], str]:
        """Inputs pairwise at least ``distance`` flips apart, and whether that many were found or proved impossible."""
        roots = self.changed_from(self.label) if classes is None else self.roots_of(classes)
        found = diverse(self.flat, roots, size, distance)
        return self.inputs_at(found.inputs), found.outcome.value

    def probability(self, p: Any = Fraction(1, 2)) -> dict[int, Fraction | float]:
        """Chance of each class where the free bits are independently +1.

        Args:
            p: one probability for all, or ``(n_inputs,)``; fractions give exact fractions.
        """
        found = probability_pass.probability(self.flat, self._chances(p))
        return dict(zip(self.classes, found, strict=True))

    def derivatives(self, label: int | None = None, p: Any = Fraction(1, 2)) -> Numbers:
        """For each input how the chance of a class (default: the centre's) grows with that of its bit being +1.

        It is also the chance with the bit at +1 less that with the bit at -1; fixed inputs have 0. Arguments as for
        :meth:`probability`.
        """
        roots = self.roots_of([self.label if label is None else label])
        return self._by_input(probability_pass.derivatives(self.flat, roots, self._chances(p)))

    def _chances(self, p: Any) -> list[Any]:
        """The chance of +1 at each level."""
        if np.ndim(p) == 0:
            return [p] * self.inputs.size
        if len(p) != self.network.n_inputs:
            raise UsageError(f"{len(p)} probabilities: expected one, or {self.network.n_inputs}, one an input")
        return [p[i] for i in self.inputs]

    def shapley(
        self,
        instance: ArrayLike | None = None,
        *,
        groups: Sequence[Sequence[int]] | None = None,
        p: Any = None,
        exact: bool = False,
        method: Literal["shapley", "banzhaf"] = "shapley",
    ) -> Numbers:
        """SHAP (or Banzhaf) values of "the class is this instance's", compared with independent random features.

        Free bits are fair coins, or as ``p`` says; under a theory, all valid codes of a feature are equally likely.

        Args:
            p: chance of +1, as for :meth:`probability`; not under a theory.
            groups: the input bits of each feature, as ``FeatureGroups.groups`` has them; default one feature an input,
                fixed ones worth 0.
            exact: fractions rather than floats.

        Raises:
            UnsupportedError: if features depend on one another, by a budget or by constraints that link them.
        """
        if p is not None and not self.is_cube:
            raise UnsupportedError("chances of bits: they need independent bits, without a ball or a theory")
        x, roots = self.levels_of(instance), self.roots_of([self.class_of(instance)])
        chances = None if p is None else self._chances(p)
        features = [[level] for level in range(self.inputs.size)] if groups is None else self.level_groups(groups)
        occurring = [feature for feature in features if feature]
        values_of = shapley_pass.shapley if method == "shapley" else banzhaf_pass.banzhaf
        valid = self._shares(occurring)
        values = values_of(self.flat, roots, x, p=chances, features=occurring, valid=valid, exact=exact)
        if groups is None:
            return self._by_input(values)
        found = iter(values)
        return [next(found) if feature else 0 for feature in features]  # type: ignore[return-value]

    def _shares(self, features: Sequence[Sequence[int]]) -> list[Fraction] | None:
        """The share of each feature's codes that are valid; None if all are."""
        if self.is_cube:
            return None
        n_members = sum(self.count().values())
        return valid_shares(self.theory or Theory(), features, self.inputs, self.region.center, n_members)

    def _by_input(self, values: Sequence[Any], missing: Any = 0) -> list[Any]:
        """One value an input, from one a level; fixed inputs get ``missing``."""
        whole = [missing] * self.network.n_inputs
        for index, value in zip(self.inputs, values, strict=True):
            whole[index] = value
        return whole

    def level_groups(self, groups: Sequence[Sequence[int]]) -> list[list[int]]:
        """The levels of each group of input bits; those of fixed bits are left out."""
        return [[self._level_of[i] for i in group if i in self._level_of] for group in groups]

    @cached_property
    def _level_of(self) -> dict[int, int]:
        return {int(index): level for level, index in enumerate(self.inputs)}

    def influence(self, label: int | None = None) -> list[Fraction]:
        """For each input the chance that flipping it moves a uniform input in or out of a class."""
        roots = self.roots_of([self.label if label is None else label])
        return self._by_input(influence_pass.influence(self.flat, roots), Fraction(0))

    def trends(self, label: int | None = None) -> list[str]:
        """For each input whether a class increases or decreases in it, is constant, or neither."""
        roots = self.roots_of([self.label if label is None else label])
        found = monotone_pass.monotonicity(self.flat, roots)
        return self._by_input([trend.value for trend in found], "constant")

    def essential(self, label: int | None = None) -> dict[int, int]:
        """The free inputs that have one value, +1 or -1, in all inputs of a class: its backbone."""
        values = essential_literals(self.flat, self.roots_of([self.label if label is None else label]))
        found = zip(self.inputs.tolist(), values.tolist(), strict=True)
        return {index: 2 * value - 1 for index, value in sorted(found) if value >= 0}

    def prime_implicants(self, label: int | None = None, *, node_limit: int | None = None) -> SetFamily:
        """All prime implicants of a class over the levels, as a family of literals ``2 * level + value``."""
        return prime_implicants(
            self.flat, self.roots_of([self.label if label is None else label]), node_limit=node_limit
        )

    def to_networkx(self) -> networkx.DiGraph[int]:
        """The diagram as a graph; see :func:`bnnverify.diagram.export.to_networkx`."""
        return to_networkx(self.flat, [f"x{i}" for i in self.inputs])

    def to_dot(self) -> str:
        """The diagram in Graphviz's language; see :func:`bnnverify.diagram.export.to_dot`."""
        names = [f"class {c}" for c in self.classes]
        return to_dot(self.flat, [f"x{i}" for i in self.inputs], root_names=names)

    def __repr__(self) -> str:
        return (
            f"Diagram({self.network.name}, {self.n_nodes:,} nodes, {self.inputs.size} levels, classes {self.classes})"
        )
