"""From the words ``--features``, OTHER and ``--flip`` to what an answer is about besides its network and input."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnnverify.cli.inputs import Chosen, load_network
from bnnverify.errors import UsageError
from bnnverify.network import Network, QuantizedInput
from bnnverify.theories import FeatureGroups, load_features
from bnnverify.weightflips import WeightBit, flip_weights

NONE = "none"
NAMED_FLIPS = 3


def load_groups(arguments: argparse.Namespace, network: Network) -> FeatureGroups | None:
    """The features that were named, or those that ship with a bundled model; None where every bit is one by itself.

    Raises:
        InputFormatError: if the file cannot be read.
        UsageError: if it speaks of another number of inputs.
    """
    named = getattr(arguments, "features", None)
    if named == NONE or not hasattr(arguments, "features"):
        return None
    features = _bundled(arguments) if named is None else load_features(named)
    if features is None or features.n_inputs == network.n_inputs:
        return features
    raise UsageError(
        f"--features {named}: {features.n_inputs} inputs, expected {network.n_inputs} as {network.name} has"
    )


def _bundled(arguments: argparse.Namespace) -> FeatureGroups | None:
    from bnnverify.data.bundled import DIGITS, bundled_features, bundled_names

    model = arguments.model
    if model in DIGITS or model not in bundled_names() or Path(model).exists():
        return None
    return bundled_features(model)


def require_valid(features: FeatureGroups, network: Network, chosen: Chosen) -> None:
    """Refuse an instance that the features' own rules exclude.

    Raises:
        UsageError: with its index.
    """
    if isinstance(network.input, QuantizedInput):
        return  # the query itself says that it reads no bits
    bits = network.input.to_bits(chosen.values).reshape(len(chosen.rows), -1)
    invalid = np.flatnonzero(~np.asarray(features.theory.holds(bits)))
    if invalid.size:
        index = chosen.rows[int(invalid[0])]
        raise UsageError(f"{chosen.source}, index {index}: no valid input by the features' rules, expected one that is")


def load_other(arguments: argparse.Namespace, network: Network) -> Network:
    """The second network of a comparison: OTHER, by default MODEL again, with the weights of ``--flip`` flipped.

    Raises:
        UsageError: if there is neither OTHER nor ``--flip``, or no such weight.
    """
    if arguments.other is None and arguments.flip is None:
        raise UsageError("compare: with what? give a second model, or flip weights such as --flip out:3:17")
    other = network if arguments.other is None else load_network(arguments.other)
    if arguments.flip is None:
        return other
    output = len(other.blocks)
    bits = sorted({WeightBit(output if block < 0 else block, row, column) for block, row, column in arguments.flip})
    return replace(flip_weights(other, bits), name=f"{other.name} with {_flipped(bits, output)}")


def _flipped(bits: Sequence[WeightBit], output: int) -> str:
    """
    >>> _flipped([WeightBit(2, 3, 17)], 2)
    'weight out:3:17 flipped'
    """
    if len(bits) > NAMED_FLIPS:
        return f"{len(bits)} weights flipped"
    named = ", ".join(f"out:{bit.row}:{bit.column}" if bit.block == output else str(bit) for bit in bits)
    return f"weight{'s' if len(bits) > 1 else ''} {named} flipped"
