"""The ``sat`` engine with a proof: whatever presolve and the native solver conclude is written down, step by step.

The proof speaks of the raw system of :mod:`bnnverify.proofs.statement`, whose variables are inputs, neurons and
comparisons. Presolve under a trace fixes neurons by bounds only, so each fixing is a step of the checker's rule for
bounds, and rows keep their variables; each learnt clause is then a step too, its literals put into the raw
system's names. Merging and exchanging are left out, since no rule of the checker covers them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnverify.engines.sat import Found, Prepared
from bnnverify.errors import UnsupportedError
from bnnverify.levelregions import LevelRegion
from bnnverify.network import Network
from bnnverify.presolve.flips import Flips, flips_of
from bnnverify.presolve.goal import goal
from bnnverify.presolve.lower import lower
from bnnverify.presolve.presolve import Trace, presolve
from bnnverify.presolve.rows import Longs
from bnnverify.presolve.system import System
from bnnverify.proofs.file import ProofWriter
from bnnverify.proofs.question import Question, bit_question, level_question
from bnnverify.proofs.statement import Statement, statement
from bnnverify.regions import BitRegion
from bnnverify.scores import score_keys
from bnnverify.solver.log import records
from bnnverify.solver.solver import Solver


@dataclass(frozen=True)
class Asked:
    """A class that must not change on a region, and the classes that would be a change.

    Args:
        label: the class; with several ``wanted`` ones, all others are wanted.
        order: classes in the order in which they win ties.
    """

    network: Network
    region: BitRegion | LevelRegion
    label: int
    wanted: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def rivals(self) -> tuple[int, ...]:
        return tuple(c for c in self.order if c not in self.wanted)


def search_with_proof(asked: Asked, path: Path, seed: int) -> tuple[Prepared, Found]:
    """Decide a region that is not empty; if there is no wanted input, the proof is put at ``path``, whole.

    Raises:
        UnsupportedError: if neither one class is wanted nor all but one.
        UsageError: if the file cannot be written.
    """
    if len(asked.wanted) > 1 and len(asked.rivals) > 1:
        raise UnsupportedError("proofs are written of one class that is excluded, or of all but one")
    flips, trace = flips_of(asked.region), Trace(asked.rivals)
    keys = score_keys(asked.network.output, asked.order)
    system, removed = presolve(lower(asked.network, flips, keys), trace=trace)
    prepared = Prepared(flips, goal(system, asked.wanted), removed)
    raw = statement(asked.network, _question(asked, flips))
    with ProofWriter(path, raw) as writer:
        _write_bounds(writer, raw, trace)
        found = _search(prepared, writer, _names(raw, asked, flips, system), seed)
        if found.flips is None:
            writer.commit()
    return prepared, found


def _question(asked: Asked, flips: Flips) -> Question:
    given = {"label": asked.label, "wanted": asked.wanted, "order": asked.order}
    if isinstance(asked.region, BitRegion):
        region = asked.region
        return bit_question(region.center, region.free, region.costs, region.budget, **given)  # type: ignore[arg-type]
    low, high = (asked.region.layer.levels_of(values) for values in (asked.region.low, asked.region.high))
    costs = flips.costs[_upwards(flips)] if flips.budget is not None else ()
    return level_question(flips.center, low, high, costs=costs, budget=flips.budget, **given)  # type: ignore[arg-type]


def _upwards(flips: Flips) -> Longs:
    """Flips in the order of the values that they pass, input by input."""
    place = np.arange(flips.inputs.size)
    return np.lexsort((np.where(flips.gains < 0, -place, place), flips.gains > 0, flips.inputs))


def _write_bounds(writer: ProofWriter, raw: Statement, trace: Trace) -> None:
    """What presolve fixed, in order, and the classes that it excluded."""
    for block, neuron, value in trace.fixed if raw.neurons else []:
        variable = raw.neurons[block] + neuron
        writer.bound(variable if value else -variable)
    for label, _ in trace.beaten if raw.selectors else []:
        writer.bound(-raw.selectors[label])


def _names(raw: Statement, asked: Asked, flips: Flips, system: System) -> NDArray[np.int32]:
    """The raw literal of each variable of the formula, by its number; 0 where it is constantly true."""
    names = [np.zeros(1, dtype=np.int64), _flip_names(raw, flips)]
    if raw.neurons:
        names += [first + numbers for first, numbers in zip(raw.neurons, system.neurons, strict=True)]
    else:
        names.append(raw.inputs[system.neurons[0]])
    names.append(np.array([raw.selectors.get(c, 0) for c in system.classes.tolist() if c in asked.wanted]))
    if len(asked.wanted) == 1:
        names[-1] = np.zeros(len(asked.rivals), dtype=np.int64)
    return np.concatenate(names).astype(np.int32)


def _flip_names(raw: Statement, flips: Flips) -> Longs:
    """A step upwards is true if it is passed; a flip downwards is one that is not."""
    names = np.empty(flips.inputs.size, dtype=np.int64)
    names[_upwards(flips)] = np.arange(flips.inputs.size) + 1
    return np.where(flips.gains > 0, names, -names)


def _search(prepared: Prepared, writer: ProofWriter, names: NDArray[np.int32], seed: int) -> Found:
    asked = prepared.goal
    if asked.formula is None:
        made = np.zeros(asked.n_flips, dtype=np.bool_) if asked.trivial else None
        return Found(made, str(prepared.removed))
    solver = Solver(seed=seed, proof=_Renamed(writer, names))
    solver.add_formula(asked.formula)
    solver.prefer([-v for v in asked.formula.inputs])
    remark = f"{prepared.removed}; solver native, {{}} conflicts"
    if not solver.solve():
        return Found(None, remark.format(f"{solver.stats.conflicts:,}"))
    assert solver.model is not None
    return Found(np.array(solver.model[: asked.n_flips]) > 0, remark.format(f"{solver.stats.conflicts:,}"))


class _Renamed:
    """What the solver logs, written in the raw system's literals."""

    def __init__(self, writer: ProofWriter, names: NDArray[np.int32]) -> None:
        self._writer = writer
        self._names = names.tolist()

    def __call__(self, batch: NDArray[np.int32]) -> None:
        for deleted, clause in records(batch):
            literals = [self._name(literal) for literal in clause if self._names[abs(literal)]]
            (self._writer.deleted if deleted else self._writer.learnt)(literals)

    def _name(self, literal: int) -> int:
        name: int = self._names[abs(literal)]
        return name if literal > 0 else -name
