"""What a layer reads while flips are looked for: bits and levels of which some vary, as literals with gains.

The weighted sums over them, and how far sums can move within a budget, say which neurons are constant. Cost: a few
passes over the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.network import Block
from bnnverify.presolve.lower import Terms as Weights
from bnnverify.weightfaults.places import Longs, Mask
from bnnverify.weightfaults.wiring import Terms


@dataclass(frozen=True, eq=False)
class Values:
    """What a layer reads: ``base`` and the ``gain`` of each true literal of an input.

    Args:
        base: ``(n,)``.
        owner, gain, literal: ``(terms,)`` sorted by owner; a varying bit is base -1 and one literal of gain 2.
        usual: ``(n,)`` the values without any flip.
        are_bits: whether they are signs, not levels.
        most: how many values differ from the usual ones at most; None where that is not known.
        paid: whether each that differs has cost a flip of its own.
    """

    base: Longs
    owner: Longs
    gain: Longs
    literal: Longs
    usual: Longs
    are_bits: bool
    most: int | None = None
    paid: bool = False


def toggle_costs(block: Block, values: Longs, allowed: Mask) -> tuple[Longs, Longs]:
    """Each neuron for known inputs, and the fewest flips of its weights that toggle it; -1 where none do.

    Args:
        values: ``(n_inputs,)`` bits or levels.
        allowed: ``(n_outputs,)`` the rows that may be struck.

    Returns:
        Signs and costs, ``(n_outputs,)``.
    """
    products = block.weights.astype(np.int64) * values
    reach = np.abs(products).sum(axis=1)
    leads = products.sum(axis=1) - np.clip(block.thresholds, -reach, reach + 1)
    usual = np.where(leads >= 0, 1, -1)
    missing = np.where(leads >= 0, leads + 1, -leads)
    helps = np.maximum(2 * usual[:, None] * products, 0)
    gained = np.cumsum(-np.sort(-helps, axis=1), axis=1)
    costs = (gained < missing[:, None]).sum(axis=1) + 1
    possible = allowed & (costs <= products.shape[1])
    return usual, np.where(possible, costs, -1)


def bits_of(outputs: Longs, known: NDArray[Any], usual: Longs) -> Values:
    """Neurons as values: a literal where there is one, else what is known."""
    varies = outputs != 0
    base = np.where(varies, -1, np.where(known, 1, -1)).astype(np.int64)
    owner = np.flatnonzero(varies)
    return Values(base, owner, np.full(owner.size, 2, dtype=np.int64), outputs[owner], usual, True)


def terms_of_columns(values: Values, columns: Longs) -> tuple[Longs, Longs]:
    """For a list of inputs: all their terms, as the place in the list and the place among the terms."""
    first = np.searchsorted(values.owner, np.arange(values.base.size + 1))
    counts = np.diff(first)[columns]
    which = np.repeat(np.arange(columns.size), counts)
    starts = np.cumsum(counts) - counts
    return which, first[columns[which]] + np.arange(which.size) - starts[which]


def affine(weights: Weights, values: Values) -> tuple[Terms, Longs]:
    """``weights @ x - thresholds`` as terms over the literals, and constants."""
    constants = -weights.thresholds.copy()
    np.add.at(constants, weights.row, weights.weight * values.base[weights.column])
    which, place = terms_of_columns(values, weights.column)
    return Terms(weights.row[which], weights.weight[which] * values.gain[place], values.literal[place]), constants


def range_of(
    weights: Weights, terms: Terms, constants: Longs, values: Values, own: Longs
) -> tuple[Longs, Longs, Longs]:
    """Least and greatest value of each row if flips move it by at most ``own``, and the signs without any flip."""
    low, high = constants - own, constants + own
    np.add.at(low, terms.row, np.minimum(terms.weight, 0))
    np.add.at(high, terms.row, np.maximum(terms.weight, 0))
    reach = np.zeros_like(low)
    np.add.at(reach, weights.row, np.abs(weights.weight) * greatest_of(values)[weights.column])
    low, high = np.maximum(low, -reach - weights.thresholds), np.minimum(high, reach - weights.thresholds)
    lead = -weights.thresholds.copy()
    np.add.at(lead, weights.row, weights.weight * values.usual[weights.column])
    if values.most is not None and values.are_bits:
        beside = 2 * values.most if values.paid else own + 2 * values.most
        low, high = np.maximum(low, lead - beside), np.minimum(high, lead + beside)
    return low, high, np.where(lead >= 0, 1, -1)


def greatest_of(values: Values) -> Longs:
    """The greatest absolute value of each input."""
    low, high = values.base.copy(), values.base.copy()
    np.add.at(low, values.owner, np.minimum(values.gain, 0))
    np.add.at(high, values.owner, np.maximum(values.gain, 0))
    return np.maximum(np.abs(low), np.abs(high))
