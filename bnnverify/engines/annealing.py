"""The attack: look for an input of a wanted class by simulated annealing, on what presolve left of a network.

A walk over sets of flips climbs the lead of the best wanted class over the others. First a plain descent takes no
worse move; then come rounds of runs from the centre, twice as long in each round, for one wanted class each, those
that were nearest at the centre more often, and at two temperatures: trained networks of some hundred moving neurons
need the higher one, convolutions of ten thousand the lower. A move (:mod:`bnnverify.engines.annealkernel`) costs
microseconds, as only what it reaches is updated. What is found is checked by plain evaluation; finding nothing says
nothing. Memory: 12 bytes a weight.

Reference: Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", 1983.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

import numpy as np

from bnnverify.engines.annealkernel import NO_BUDGET, Limits, State, Wires, Work, lead, walk
from bnnverify.errors import ReplayError
from bnnverify.presolve.rows import Longs, Mask, Rows
from bnnverify.presolve.system import System, no_pairs

FIRST_MOVES, MOST_MOVES = 1 << 12, 1 << 24
FIRST_BATCH, BATCH_SECONDS = 64, 0.005
HEATS_PER_LEAD = (1 / 16, 1 / 256)


def anneal(system: System, wanted: Iterable[int], rng: np.random.Generator, *, deadline_s: float) -> Mask | None:
    """Flips ``(n_flips,)`` that the region allows and that give a wanted class, or None.

    Args:
        system: as lowered or presolved.
        wanted: classes; one that presolve has dropped is never found.
        deadline_s: of :func:`time.monotonic`, looked at every few milliseconds. A hit before it depends on rng alone.

    Raises:
        ReplayError: if what the walk found does not hold by plain evaluation, which would be a bug.
    """
    is_wanted = np.isin(system.classes, list(wanted))
    found = next(meeting(system, _duels(system, is_wanted), rng, deadline_s=deadline_s), None)
    if found is not None and system.class_of(found) not in system.classes[is_wanted]:
        raise ReplayError("annealing found flips of another class than it looked for; please report this")
    return found


def meeting(
    system: System, alternatives: Sequence[Rows], rng: np.random.Generator, *, deadline_s: float
) -> Iterator[Mask]:
    """Flips under which all rows of some alternative are at least 0, one after the other, until the deadline.

    Args:
        alternatives: rows over the neurons of the last block; an alternative without rows always holds.
        deadline_s: as for :func:`anneal`.

    Raises:
        ReplayError: if what the walk found does not hold by plain evaluation, which would be a bug.
    """
    centre = np.zeros(system.n_flips, dtype=np.bool_)
    if not system.allows(centre):
        return
    if _holds(system, alternatives, centre):
        yield centre
    moves = system.n_flips and system.blocks[0].columns.size
    if not moves or not alternatives or not all(rows.n_rows for rows in alternatives):
        return
    attack = _Attack.of(system, alternatives)
    for chosen, n_moves, heat in _runs([int(leads.min()) for _, leads in attack.races]):
        flips = attack.run(chosen, n_moves, heat, rng, deadline_s)
        if flips is not None:
            if not system.allows(flips) or not _holds(system, alternatives, flips):
                raise ReplayError("annealing found flips that do not hold when evaluated; please report this")
            yield flips
        if time.monotonic() >= deadline_s:
            return


@cache
def load() -> None:
    """Load the compiled kernel before a clock runs; in a new process that alone takes some tenths of a second."""
    one, rows = np.ones(1, dtype=np.int64), Rows.of_dense(np.ones((1, 1), dtype=np.int64), np.array([-1]))
    classes, keys = np.arange(2), np.array([[0], [1]])
    tiny = System(one, None, no_pairs(), (rows,), keys, np.array([0, -2]), classes, (np.zeros(1, dtype=np.int64),))
    anneal(tiny, [1], np.random.default_rng(0), deadline_s=0.0)


def _duels(system: System, is_wanted: Mask) -> list[Rows]:
    """For each wanted class, that it beats every class that is not wanted; keys are never equal."""
    losers = np.flatnonzero(~is_wanted)
    return [
        Rows.of_dense(system.keys[c] - system.keys[losers], system.bases[c] - system.bases[losers] - 1)
        for c in np.flatnonzero(is_wanted)
    ]


def _holds(system: System, alternatives: Sequence[Rows], flips: Mask) -> bool:
    values = system.values(flips)[-1]
    return any(bool(np.all(rows.values(values) >= 0)) for rows in alternatives)


def _runs(nearness: list[int]) -> Iterator[tuple[tuple[int, ...], int, float]]:
    """Runs without end: the alternatives looked at, the number of moves, and the heat per lead."""
    nearest = sorted(range(len(nearness)), key=lambda i: -nearness[i])
    yield tuple(nearest), FIRST_MOVES, 0.0
    n_moves = FIRST_MOVES
    for many in count(2):
        for heat in HEATS_PER_LEAD:
            for i in nearest[:many]:
                yield (i,), n_moves, heat
        n_moves = min(2 * n_moves, MOST_MOVES)


@dataclass(frozen=True, eq=False)
class _Attack:
    """A system as the kernel takes it, at the centre.

    Args:
        races: per alternative, what its races gain by each neuron ``(neurons, races)``, and their leads ``(races,)``.
    """

    wires: Wires
    limits: Limits
    centre: State
    work: Work
    races: list[tuple[Longs, Longs]]

    @classmethod
    def of(cls, system: System, alternatives: Sequence[Rows]) -> _Attack:
        values = system.values(np.zeros(system.n_flips, dtype=np.bool_))
        races = [(_dense(rows), rows.values(values[-1])) for rows in alternatives]
        return cls(_wires(system), _limits(system), _state(system, values), _work(system), races)

    def run(
        self, chosen: tuple[int, ...], n_moves: int, heat_per_lead: float, rng: np.random.Generator, deadline_s: float
    ) -> Mask | None:
        """So many moves from the centre on, in batches; the flips of the first hit."""
        leads = np.concatenate([self.races[i][1] for i in chosen])
        wires = self.wires._replace(
            gains=np.concatenate([self.races[i][0] for i in chosen], axis=1),
            ends=np.cumsum([0, *(self.races[i][1].size for i in chosen)]),
        )
        heat = heat_per_lead * max(1.0, -float(lead(wires, leads)))
        work, state = self.work._replace(leads=leads.copy()), State._make(array.copy() for array in self.centre)
        state = state._replace(leads=leads, random=rng.integers(1, 1 << 63, 1, dtype=np.uint64))
        first, batch = 0, FIRST_BATCH
        while first < n_moves:
            start, last = time.monotonic(), min(first + batch, n_moves)
            if walk(wires, self.limits, state, work, first, last, n_moves, heat):
                return state.on[: state.made.size].copy()
            now = time.monotonic()
            if now >= deadline_s:
                break
            first, batch = last, 2 * batch if now - start < BATCH_SECONDS / 2 else batch
        return None


def _dense(rows: Rows) -> Longs:
    """Weights ``(n_columns, n_rows)``."""
    weights = np.zeros((rows.n_columns, rows.n_rows), dtype=np.int64)
    weights[rows.columns, rows.row] = rows.weights
    return weights


def _wires(system: System) -> Wires:
    sizes = [system.n_flips, *(rows.n_rows for rows in system.blocks)]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    readers, weights, counts = [], [], []
    for rows, first in zip(system.blocks, starts[1:], strict=False):
        by_column = np.argsort(rows.columns, kind="stable")
        readers.append((rows.row[by_column] + first).astype(np.int32))
        weights.append(rows.weights[by_column])
        counts.append(np.bincount(rows.columns, minlength=rows.n_columns))
    counts.append(np.zeros(sizes[-1], dtype=np.int64))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    no_races = np.empty((0, 0), dtype=np.int64), np.empty(0, dtype=np.int64)
    return Wires(starts, offsets, np.concatenate(readers), np.concatenate(weights), *no_races)


def _limits(system: System) -> Limits:
    """The pairs as implications: where one literal is false, the other is demanded."""
    literals = 2 * (np.abs(system.pairs) - 1) + (system.pairs > 0)
    reasons, demanded = (literals ^ 1).reshape(-1), literals[:, ::-1].reshape(-1)
    order = np.argsort(reasons, kind="stable")
    first = system.blocks[0]
    return Limits(
        system.costs.astype(np.int64),
        np.array([NO_BUDGET if system.budget is None else system.budget], dtype=np.int64),
        np.searchsorted(reasons[order], np.arange(2 * system.n_flips + 1)).astype(np.int64),
        demanded[order].astype(np.int32),
        first.starts.astype(np.int64),
        first.columns.astype(np.int32),
        first.weights,
    )


def _state(system: System, values: list[Mask]) -> State:
    """At the centre, with neither leads nor random numbers."""
    sums = [np.zeros(system.n_flips, dtype=np.int64)]
    sums += [rows.values(variables) for rows, variables in zip(system.blocks, values, strict=False)]
    return State(
        np.concatenate(sums),
        np.concatenate(values),
        np.empty(0, dtype=np.int64),
        np.zeros(system.n_flips, dtype=np.int32),
        np.zeros(system.n_flips, dtype=np.int32),
        np.zeros(2, dtype=np.int64),
        np.empty(0, dtype=np.uint64),
    )


def _work(system: System) -> Work:
    n_units = system.n_flips + sum(rows.n_rows for rows in system.blocks)
    return Work(
        np.zeros(n_units, dtype=np.int32),
        np.zeros(n_units, dtype=np.int32),
        np.zeros(n_units, dtype=np.bool_),
        np.zeros(system.n_flips, dtype=np.bool_),
        np.empty(0, dtype=np.int64),
    )
