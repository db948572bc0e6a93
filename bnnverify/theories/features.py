"""Several bits that are one feature: what explanations and fairness speak of.

A person has an age, not five age bits. A feature names its bits and how they encode a value: *one-hot*
bits have one label each, a *thermometer* of k bits has k + 1 (the number of bits that are +1 chooses),
and *free* bits, like the pixels of a patch, have none. A bit by itself is a thermometer of one bit.
Encodings imply which inputs are valid; rules add what an encoding cannot say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.bits import as_bits
from bnnverify.errors import InputFormatError, UsageError
from bnnverify.theories.constraints import Constraint, OneHot, Theory, Thermometer, distinct_bits

NO_RULES = Theory()


class Encoding(Enum):
    """How bits encode the value of a feature."""

    ONE_HOT = "one_hot"
    THERMOMETER = "thermometer"
    FREE = "free"


@dataclass(frozen=True)
class Feature:
    """A named group of input bits.

    Args:
        name: unique in its groups.
        indices: distinct input bits, in the order of the values.
        encoding: how the bits encode a value.
        values: labels: k for k one-hot bits, k + 1 for a thermometer, none for free bits.

    Raises:
        UsageError: if the bits are not distinct, or the labels are not as many and distinct.
    """

    name: str
    indices: tuple[int, ...]
    encoding: Encoding = Encoding.FREE
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise UsageError("a feature: found no name, expected some text")
        object.__setattr__(self, "indices", distinct_bits(f"feature {self.name!r}", self.indices))
        object.__setattr__(self, "values", tuple(self.values))
        expected = {Encoding.ONE_HOT: 0, Encoding.THERMOMETER: 1, Encoding.FREE: -len(self.indices)}
        n_values = len(self.indices) + expected[self.encoding]
        if len(self.values) != n_values or len(set(self.values)) < n_values:
            bits = f"{len(self.indices)} bits in {self.encoding.value} encoding"
            raise UsageError(
                f"feature {self.name!r}: {len(self.values)} values, expected {n_values} distinct ones for {bits}"
            )

    @property
    def constraint(self) -> Constraint | None:
        """Which values of its bits are valid; None if all are."""
        if self.encoding is Encoding.ONE_HOT:
            return OneHot(self.indices)
        return Thermometer(self.indices) if self.encoding is Encoding.THERMOMETER and len(self.indices) > 1 else None

    def describe(self, bits: NDArray[np.int8]) -> str:
        """The label of the value that one input ``(n_inputs,)`` of ±1 bits has; free bits as + and -.

        Raises:
            InputFormatError: if the bits are no value in this encoding.
        """
        mine = bits[list(self.indices)]
        signs = "".join("+" if bit > 0 else "-" for bit in mine)
        if self.encoding is Encoding.FREE:
            return signs
        if self.constraint is not None and not self.constraint.holds(bits):
            raise InputFormatError(f"feature {self.name!r}: the bits {signs} are no {self.encoding.value} value")
        return self.values[int(np.argmax(mine)) if self.encoding is Encoding.ONE_HOT else int((mine > 0).sum())]

    def encode(self, value: str) -> NDArray[np.int8]:
        """The ±1 bits ``(len(indices),)`` that stand for a label, or for a text of + and -.

        Raises:
            UsageError: if it has no such value.
        """
        if self.encoding is Encoding.FREE:
            if len(value) != len(self.indices) or set(value) - {"+", "-"}:
                raise UsageError(f"feature {self.name!r}: {value!r}, expected {len(self.indices)} signs + or -")
            return np.array([1 if sign == "+" else -1 for sign in value], dtype=np.int8)
        if value not in self.values:
            raise UsageError(f"feature {self.name!r}: no value {value!r}, expected one of {', '.join(self.values)}")
        place, position = self.values.index(value), np.arange(len(self.indices))
        chosen = position == place if self.encoding is Encoding.ONE_HOT else position < place
        return np.where(chosen, 1, -1).astype(np.int8)


@dataclass(frozen=True)
class FeatureGroups:
    """All features of a network's inputs, in disjoint groups of bits.

    Args:
        n_inputs: number of input bits.
        features: disjoint groups. Bits in none become features of one bit, named ``bit 7``.
        rules: constraints that the encodings do not imply.
        protected: names of features that a fair decision does not depend on.
        note: where the features come from.

    Raises:
        UsageError: if a bit is in two groups or none of the inputs, or a name is unknown or comes twice.

    >>> groups = FeatureGroups(4, (Feature("colour", (0, 1, 2), Encoding.ONE_HOT, ("red", "green", "blue")),))
    >>> groups.names, groups.groups
    (('colour', 'bit 3'), ((0, 1, 2), (3,)))
    >>> groups.describe([-1, 1, -1, 1])
    {'colour': 'green', 'bit 3': '+'}
    """

    n_inputs: int
    features: tuple[Feature, ...] = ()
    rules: Theory = NO_RULES
    protected: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        owner = _owners(self.features, self.n_inputs)
        alone = tuple(Feature(f"bit {i}", (i,)) for i in range(self.n_inputs) if i not in owner)
        object.__setattr__(self, "features", (*self.features, *alone))
        object.__setattr__(self, "protected", tuple(self.protected))
        for name in self.names:
            if self.names.count(name) > 1:
                raise UsageError(f"features: found the name {name!r} twice, expected distinct names")
        for name in self.protected:
            self.feature(name)
        self.rules.require_inputs(self.n_inputs)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The input bits of each feature."""
        return tuple(feature.indices for feature in self.features)

    @property
    def theory(self) -> Theory:
        """The inputs in which every feature has a value and every rule holds."""
        encoded = (feature.constraint for feature in self.features)
        return Theory((*(constraint for constraint in encoded if constraint), *self.rules.constraints))

    def feature(self, name: str) -> Feature:
        """The feature of that name.

        Raises:
            UsageError: if there is none.
        """
        if name not in self.names:
            raise UsageError(f"features: no feature {name!r}, expected one of {', '.join(self.names)}")
        return self.features[self.names.index(name)]

    def bits_of(self, names: Sequence[str]) -> tuple[int, ...]:
        """The input bits of some features, rising."""
        return tuple(sorted(i for name in names for i in self.feature(name).indices))

    def describe(self, bits: Any) -> dict[str, str]:
        """The value of every feature in one input.

        Args:
            bits: ``(n_inputs,)``, 0/1 or -1/+1.

        Raises:
            InputFormatError: if there are not as many bits, or a feature has no value.
        """
        row = as_bits(bits)
        if row.shape != (self.n_inputs,):
            raise InputFormatError(f"features: found bits of shape {row.shape}, expected ({self.n_inputs},)")
        return {feature.name: feature.describe(row) for feature in self.features}


def _owners(features: Sequence[Feature], n_inputs: int) -> dict[int, str]:
    """Which feature each grouped bit belongs to."""
    owner: dict[int, str] = {}
    for feature in features:
        for i in feature.indices:
            if i >= n_inputs:
                raise UsageError(f"feature {feature.name!r}: found bit {i}, expected less than {n_inputs}, the inputs")
            if i in owner:
                raise UsageError(f"feature {feature.name!r}: bit {i} belongs to {owner[i]!r}, expected disjoint groups")
            owner[i] = feature.name
    return owner
