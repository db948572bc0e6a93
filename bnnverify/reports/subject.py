"""What an answer is about, beyond what the answer itself knows: command, model, input, norm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Network, QuantizedInput
from bnnverify.theories import FeatureGroups


@dataclass(frozen=True, eq=False)
class Subject:
    """One question as it was put.

    Args:
        command: the subcommand.
        network: the model.
        source: where the instance came from, or None where the whole input space is meant.
        index: its position in the source.
        instance: ``(n_inputs,)`` in the network's own input scale.
        label: its true class, where the source knows it.
        norm: the norm that ``eps`` was read in, or None without ``eps``.
        eps: flips, grey levels, or for linf a fraction of the 0..1 range.
        free: the bits that may flip, or None where the user named none.
        target: the class that was asked for, or None for any other class.
        features: what the input bits mean, or None where each is a feature by itself.
        other: the second network of a comparison.
    """

    command: str
    network: Network
    source: str | None = None
    index: int | None = None
    instance: NDArray[Any] | None = None
    label: int | None = None
    norm: str | None = None
    eps: int | float | None = None
    free: tuple[int, ...] | None = None
    target: int | None = None
    features: FeatureGroups | None = None
    other: Network | None = None

    def bits(self) -> NDArray[np.int8] | None:
        """The instance as the network's bits ``(n_inputs,)``, where it has any."""
        to_bits = getattr(self.network.input, "to_bits", None)
        if self.instance is None or to_bits is None:
            return None
        found: NDArray[np.int8] = to_bits(self.instance)
        return found.reshape(-1)

    def ink(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Inputs as signs for a picture: quantized pixels are ink from the middle of their scale on."""
        layer = self.network.input
        if isinstance(layer, QuantizedInput):
            return np.where(2 * layer.read(values) > layer.max_value, 1, -1).astype(np.int8).reshape(-1)
        return layer.to_bits(values).reshape(-1)

    def bits_of(self, features: Iterable[int]) -> tuple[int, ...]:
        """The input bits of some features, rising."""
        if self.features is None:
            return tuple(sorted(features))
        return tuple(sorted(bit for feature in features for bit in self.features.groups[feature]))
