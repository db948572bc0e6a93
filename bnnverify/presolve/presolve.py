"""Throw away what cannot matter in a region, until nothing more goes: the system that is left is what SAT decides.

In turn: neurons that interval bounds hold constant are folded into the rows behind (the bounds of the first block
know the budget); equal and opposite neurons become one; rows that no row behind and no choice of class reads go;
classes that another class always beats go; weights are divided by common divisors. Each step can help the others,
so they are repeated. Flips that no row tells apart are ordered once at the end. Cost: a few passes over the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bnnverify.presolve.bounds import flip_range
from bnnverify.presolve.merging import exchangeable, representatives
from bnnverify.presolve.rows import Longs, Mask, Rows
from bnnverify.presolve.system import System


@dataclass(frozen=True)
class Removed:
    """What presolve removed: neurons by reason, classes that cannot win, and pairs of flips put in order."""

    neurons: int = 0
    constant: int = 0
    merged: int = 0
    unread: int = 0
    classes: int = 0
    ordered: int = 0

    def __str__(self) -> str:
        left = self.neurons - self.constant - self.merged - self.unread
        return (
            f"{left:,} of {self.neurons:,} neurons move ({self.constant:,} constant, {self.merged:,} merged, "
            f"{self.unread:,} unread)"
        )


@dataclass
class Trace:
    """What a proof of the same steps needs: with one, presolve does only what interval bounds justify one by one.

    Args:
        rivals: classes that are not wanted; only these exclude others.
        fixed: block, neuron and value of each neuron that was found constant, in order.
        beaten: pairs of a class and the rival that always beats it.
    """

    rivals: tuple[int, ...]
    fixed: list[tuple[int, int, bool]] = field(default_factory=list)
    beaten: list[tuple[int, int]] = field(default_factory=list)


def presolve(system: System, *, exchange: bool = True, trace: Trace | None = None) -> tuple[System, Removed]:
    """An equivalent system over the same flips, and what was removed; its classes are those that can still win.

    Args:
        exchange: whether of inputs that no row tells apart one may stand for all, as it may where one is looked for.
        trace: is filled, if there is one; nothing is merged or exchanged then.
    """
    exchange = exchange and trace is None
    removed = Removed(neurons=sum(rows.n_rows for rows in system.blocks))
    n_classes = system.classes.size
    while True:
        before = removed
        system, removed = _folded(system, removed, trace)
        system = _possible_classes(system, trace)
        system, removed = _read(system, removed)
        if before == removed:
            break
    if not exchange:
        return system, replace(removed, classes=n_classes - system.classes.size)
    pairs = exchangeable(system.blocks[0], system.costs, system.pairs)
    system = replace(system, pairs=np.concatenate([system.pairs, pairs]))
    return system, replace(removed, classes=n_classes - system.classes.size, ordered=len(pairs))


def _folded(system: System, removed: Removed, trace: Trace | None) -> tuple[System, Removed]:
    """Settle, block by block, the neurons that bounds decide and those that equal another one."""
    blocks: list[Rows] = []
    neurons: list[Longs] = []
    following = [*system.blocks[1:], _key_rows(system)]
    rows = system.blocks[0]
    low, high = flip_range(rows, system.costs, system.budget)
    for later in following:
        fixed = np.where(low >= 0, 1, np.where(high < 0, 0, -1)).astype(np.int8)
        first, negated = representatives(rows) if trace is None else _each_alone(rows)
        moving, numbers = fixed < 0, system.neurons[len(blocks)]
        if trace is not None:
            settled = np.flatnonzero(~moving)
            trace.fixed.extend((len(blocks), int(numbers[i]), bool(fixed[i])) for i in settled)
        keep = np.flatnonzero(moving & (first == np.arange(first.size)))
        new = np.searchsorted(keep, first)
        removed = replace(
            removed,
            constant=removed.constant + int(np.count_nonzero(~moving)),
            merged=removed.merged + int(np.count_nonzero(moving)) - keep.size,
        )
        blocks.append(rows.of_rows(keep))
        neurons.append(numbers[keep])
        later = later.substituted(new, negated, fixed, int(keep.size))
        rows = later.coprime() if len(blocks) < len(following) else later
        low, high = rows.range()
    keys = np.zeros((system.classes.size, rows.n_columns), dtype=np.int64)
    keys[rows.row, rows.columns] = rows.weights
    return replace(system, blocks=tuple(blocks), neurons=tuple(neurons), keys=keys, bases=rows.constants), removed


def _each_alone(rows: Rows) -> tuple[Longs, Mask]:
    return np.arange(rows.n_rows), np.zeros(rows.n_rows, dtype=np.bool_)


def _key_rows(system: System) -> Rows:
    return Rows.of_dense(system.keys, system.bases)


def _possible_classes(system: System, trace: Trace | None) -> System:
    """Without the classes that one other class beats whatever the neurons are."""
    kept = []
    for c, label in enumerate(system.classes.tolist()):
        winners = system.classes[_always_ahead(system, c)].tolist()
        if trace is not None:
            winners = [] if label in trace.rivals else [d for d in winners if d in trace.rivals]
            trace.beaten.extend((label, d) for d in winners[:1])
        if not winners:
            kept.append(c)
    return replace(system, keys=system.keys[kept], bases=system.bases[kept], classes=system.classes[kept])


def _always_ahead(system: System, c: int) -> Mask:
    """Which classes beat class c whatever the neurons are."""
    leads = system.bases - system.bases[c] + np.minimum(system.keys - system.keys[c], 0).sum(axis=1)
    ahead: Mask = leads > 0
    return ahead


def _read(system: System, removed: Removed) -> tuple[System, Removed]:
    """Without neurons that nothing reads; a neuron that adds the same to all keys is not read."""
    blocks, neurons = list(system.blocks), list(system.neurons)
    shared = np.ptp(system.keys, axis=0) == 0 if system.keys.size else np.zeros(system.keys.shape[1], dtype=np.bool_)
    kept = np.flatnonzero(~shared)
    keys = system.keys[:, kept]
    for k in range(len(blocks) - 1, -1, -1):
        removed = replace(removed, unread=removed.unread + blocks[k].n_rows - int(kept.size))
        blocks[k], neurons[k] = blocks[k].of_rows(kept), neurons[k][kept]
        if k:
            kept = np.unique(blocks[k].columns)
            blocks[k] = _renumbered(blocks[k], kept)
    return replace(system, blocks=tuple(blocks), neurons=tuple(neurons), keys=keys), removed


def _renumbered(rows: Rows, kept: Longs) -> Rows:
    return replace(rows, columns=np.searchsorted(kept, rows.columns), n_columns=int(kept.size))
