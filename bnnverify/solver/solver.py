"""The solver as its callers see it: clauses and reified cardinality constraints in, an answer, a model or a core out.

A constraint ``y <-> at least k of the literals`` is one row with two counters, never a set of clauses, so
a neuron of a network costs as many words as it has inputs. The search is conflict-driven clause learning
(:mod:`bnnverify.solver.search`) in compiled kernels, called in batches between which limits are looked at.
What was learnt is kept from one call to the next, as it follows from the constraints alone.

Literals are nonzero integers as in DIMACS files: ``v`` for a variable and ``-v`` for its negation.

Reference: Een and Sorensson, "An extensible SAT-solver", 2003; Jia and Rinard, "Efficient exact
verification of binarized neural networks", 2020.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.solver.clauses import add_clauses
from bnnverify.solver.log import END, Log
from bnnverify.solver.order import mark_outputs, new_order
from bnnverify.solver.restart import RESTART_UNIT
from bnnverify.solver.rows import EMPTY, LARGEST_SUM, Batch, checked, joined, merged, new_rows
from bnnverify.solver.search import CLEANING_GAP, FAILED, FULL, PAUSED, SATISFIABLE, search
from bnnverify.solver.store import (
    CONFLICTS,
    DECISIONS,
    DELETED,
    HEAD,
    LEARNT,
    LITERALS,
    LUBY_INDEX,
    LUBY_TERM,
    N_STATS,
    NEXT_CLEANING,
    NEXT_RESTART,
    PROPAGATIONS,
    RESTARTS,
    TICKS,
    TRUE_LITERAL,
    Clauses,
    Ints,
    Trail,
    new_scratch,
    new_trail,
)
from bnnverify.solver.trail import backtrack

if TYPE_CHECKING:
    from encoders.formula import Formula

BATCH_CONFLICTS = 1000
BATCH_TICKS = 4_000_000
MOST_WORDS = 1 << 30
NOISE = 1e-6


@dataclass(frozen=True)
class Statistics:
    """What the search did since the solver was made; ``learnt`` counts the learnt clauses that it holds now."""

    conflicts: int
    decisions: int
    propagations: int
    restarts: int
    learnt: int
    deleted: int


class Solver:
    """An incremental solver of clauses and reified cardinality constraints.

    Args:
        seed: breaks ties among variables that no conflict has met yet.
        proof: receives what :mod:`bnnverify.solver.log` describes, an array of whole records at a time: each learnt
            clause and each deletion, in order; where the answer is False, last the negation of the core.

    >>> solver = Solver()
    >>> a, b, c, y = (solver.new_var() for _ in range(4))
    >>> solver.add_at_least([a, b, c], 2, reified=y)
    >>> solver.solve([y, -a]), solver.model
    (True, [-1, 2, 3, 4])
    >>> solver.solve([y, -a, c, -b]), sorted(solver.core)
    (False, [-2, -1, 4])
    """

    def __init__(self, *, seed: int = 0, proof: Callable[[Ints], None] | None = None) -> None:
        self.model: list[int] | None = None
        self.core: list[int] | None = None
        self._rng = np.random.default_rng(seed)
        self._proof = proof
        self._n_vars = 0
        self._new_clauses: list[Ints] = []
        self._batches = [EMPTY]
        self._changed = True
        self._contradictory = False
        stats = np.zeros(N_STATS, dtype=np.int64)
        stats[NEXT_CLEANING], stats[NEXT_RESTART] = CLEANING_GAP, RESTART_UNIT
        stats[LUBY_INDEX], stats[LUBY_TERM] = 1, 1
        self._rows = new_rows(EMPTY, 1)
        self._trail = new_trail(1)
        self._order = new_order(np.zeros(1), np.zeros(1, dtype=np.int8))
        self._clauses = Clauses(np.zeros(1 << 12, np.int32), np.full(2, -1, dtype=np.int32), np.zeros(1, np.int64))
        self._scratch = new_scratch(1, 0, stats)
        self._log = Log(np.zeros(0 if proof is None else 1 << 16, dtype=np.int32), np.zeros(2, dtype=np.int64))

    @property
    def stats(self) -> Statistics:
        """What the search did so far; may be read by ``stop`` during a call."""
        kinds = (CONFLICTS, DECISIONS, PROPAGATIONS, RESTARTS, LEARNT, DELETED)
        return Statistics(*(int(self._scratch.stats[kind]) for kind in kinds))

    def new_var(self) -> int:
        """A new variable; the first is 1."""
        self._n_vars += 1
        self._changed = True
        return self._n_vars

    def add_clause(self, literals: Iterable[int]) -> None:
        """Require one of the literals.

        Raises:
            UsageError: if a literal is 0 or of no variable.
        """
        self._require(self._inside(literals))

    def add_at_least(self, literals: Iterable[int], bound: int, *, reified: int | None = None) -> None:
        """Require at least ``bound`` of the literals, or that ``reified`` be true exactly then.

        Args:
            literals: one that stands there several times counts as often.
            bound: any integer.
            reified: a literal, or None where the constraint must hold.

        Raises:
            UsageError: if a literal is 0 or of no variable.
        """
        literals = list(literals)
        self.add_linear([1] * len(literals), literals, bound, reified=reified)

    def add_linear(
        self, weights: Iterable[int], literals: Iterable[int], bound: int, *, reified: int | None = None
    ) -> None:
        """Require that the true literals weigh at least ``bound``, or that ``reified`` be true exactly then.

        Args:
            weights: any integer for each literal.
            literals: one that stands there several times weighs the sum.
            bound: any integer.
            reified: a literal, or None where the constraint must hold.

        Raises:
            UsageError: if a literal is 0 or of no variable, weights are too few or too many, or sum to 2^62 or more.
        """
        weights, inside = [int(weight) for weight in weights], self._inside(literals)
        output = TRUE_LITERAL if reified is None else self._inside([reified])[0]
        if len(weights) != len(inside):
            raise UsageError(f"{len(weights)} weights for {len(inside)} literals: expected as many")
        weights, inside, bound = merged(weights, inside, int(bound))
        if sum(weights) >= LARGEST_SUM:
            raise UsageError(
                f"weights that sum to {sum(weights)}: expected less than 2^62; divide them, or split the sum"
            )
        if bound <= 0 or bound > sum(weights):
            self._require([output ^ (bound > 0)])
            return
        arrays = np.array(inside, dtype=np.int32), np.array(weights, dtype=np.int64)
        outputs = np.array([output], dtype=np.int32)
        self._batches.append(Batch(np.array([len(inside)]), *arrays, np.array([bound]), outputs))
        self._changed = True

    def add_formula(self, formula: Formula) -> int:
        """Add a formula's variables, rows and clauses, in time linear in its arrays.

        Returns:
            What is to be added to a variable of the formula to name it here: the number of variables before.

        Raises:
            UsageError: if the formula is not what it is documented to be.
        """
        offset, batch = self._n_vars, checked(formula)
        shifted = batch.outputs + np.where(batch.outputs > 1, 2 * offset, 0).astype(np.int32)
        clauses = np.fromiter(chain.from_iterable(formula.clauses), dtype=np.int64)
        if clauses.size and not 1 <= np.abs(clauses).min() <= np.abs(clauses).max() <= formula.n_variables:
            raise UsageError(f"a literal of a clause: expected 1 to {formula.n_variables}, or its negative")
        self._n_vars += formula.n_variables
        self._batches.append(batch._replace(literals=batch.literals + np.int32(2 * offset), outputs=shifted))
        inside = 2 * (np.abs(clauses) + offset) + (clauses < 0)
        ends = np.cumsum([len(clause) for clause in formula.clauses])
        self._new_clauses += np.split(inside.astype(np.int32), ends)[: len(formula.clauses)]
        self._changed = True
        return offset

    def prefer(self, literals: Iterable[int]) -> None:
        """Decide for these literals first, as long as no other value was tried; an input's given bits, for one."""
        inside = np.array(self._inside(literals), dtype=np.int64)
        self._settle()
        self._order.phase[inside >> 1] = inside & 1

    def solve(
        self,
        assumptions: Sequence[int] = (),
        *,
        conflict_limit: int | None = None,
        timeout: float | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> bool | None:
        """Whether everything added can be true at once, with the assumptions.

        Sets ``model`` to a literal of each variable in order where the answer is True, ``core`` to assumptions that
        cannot be true at once where it is False (none, if what was added contradicts itself), None otherwise.

        Args:
            assumptions: literals that hold during this call only.
            conflict_limit: conflicts of this call after which to give up.
            timeout: seconds after which to give up, looked at a few times a second.
            stop: asked as often; True gives up.

        Returns:
            The answer, or None where a limit came first.

        Raises:
            UsageError: if a literal is 0 or of no variable, or a limit is negative.
        """
        if (conflict_limit is not None and conflict_limit < 0) or (timeout is not None and not timeout >= 0):
            raise UsageError(f"limits {conflict_limit} conflicts and {timeout} seconds: expected at least 0, or None")
        assumed = np.array(self._inside(assumptions), dtype=np.int32)
        self.model = self.core = None
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._settle()
        if self._contradictory:
            self.core = []
            return False
        conflicts = self.stats.conflicts
        most = np.iinfo(np.int64).max if conflict_limit is None else conflicts + conflict_limit
        try:
            while (answer := self._search(assumed, int(most))) is None:
                late = time.monotonic() >= deadline or self.stats.conflicts >= most
                if late or (stop is not None and stop()):
                    return None
            return answer
        finally:
            backtrack(self._trail, self._order, self._rows, np.int64(0))

    def _search(self, assumed: Ints, most: int) -> bool | None:
        """One batch of the search."""
        conflicts = np.int64(min(most, self.stats.conflicts + BATCH_CONFLICTS))
        ticks = np.int64(self._scratch.stats[TICKS] + BATCH_TICKS)
        state = (self._trail, self._order, self._clauses, self._rows, self._scratch, self._log)
        status, n = search(*state, assumed, conflicts, ticks)
        self._hand_over()
        if status == FULL:
            self._make_room(0)
        if status in (FULL, PAUSED):
            return None
        if status == SATISFIABLE:
            variables = np.arange(1, self._n_vars + 1)
            self.model = np.where(self._trail.value[2::2] > 0, variables, -variables).tolist()
            return True
        core = np.unique(self._scratch.learnt[:n])
        self._refuted(core)
        self._contradictory |= status != FAILED
        self.core = ((core >> 1) * (1 - 2 * (core & 1))).tolist()
        return False

    def _refuted(self, core: Ints) -> None:
        """Log that not all of these literals are true."""
        if self._proof is not None:
            clause = (core >> 1) * (2 * (core & 1) - 1)
            self._proof(np.concatenate([[core.size], clause]).astype(np.int32))

    def _hand_over(self) -> None:
        """Pass on what was logged, and empty the log."""
        if self._proof is not None and self._log.at[END]:
            self._proof(self._log.words[: self._log.at[END]].copy())
            self._log.at[END] = 0

    def _inside(self, literals: Iterable[int]) -> list[int]:
        """Literals as the kernels number them."""
        inside = []
        for literal in literals:
            if not 0 < abs(literal) <= self._n_vars:
                raise UsageError(f"literal {literal}: expected 1 to {self._n_vars}, or its negative")
            inside.append(2 * abs(int(literal)) + (literal < 0))
        return inside

    def _require(self, inside: list[int]) -> None:
        """Add a clause of literals as the kernels number them."""
        self._new_clauses.append(np.array(inside, dtype=np.int32))
        self._changed = True

    def _settle(self) -> None:
        """Put what was added since the last call into the arrays, and let level 0 be propagated anew."""
        if not self._changed:
            return
        batch = joined(self._batches)
        self._batches = [batch]
        if batch.outputs.size != self._rows.outputs.size or self._n_vars >= self._trail.level.size:
            rows = new_rows(batch, self._n_vars + 1)
            self._grow_variables(self._n_vars + 1, int(batch.lengths.max(initial=0)))
            self._rows = rows
            mark_outputs(self._order, rows)
        self._rows.left[:] = self._rows.needs
        self._trail.at[HEAD] = 0
        self._add_new_clauses()
        self._changed = False

    def _add_new_clauses(self) -> None:
        """Put clauses into the arena, and assign what a clause of one literal says."""
        if not self._new_clauses:
            return
        literals = np.concatenate(self._new_clauses)
        ends = np.cumsum([clause.size for clause in self._new_clauses])
        self._make_room(literals.size + LITERALS * ends.size)
        consistent = add_clauses(self._trail, self._clauses, self._scratch, literals, ends)
        self._new_clauses.clear()
        if not consistent and not self._contradictory:
            self._contradictory = True
            self._refuted(np.zeros(0, dtype=np.int32))

    def _make_room(self, words: int) -> None:
        """Make sure that so many more words and one learnt clause fit into the arena, and a cleaning into the log.

        Raises:
            MemoryError: if they cannot be had; the solver is then as it was.
        """
        arena, needed = self._clauses.arena, int(self._clauses.end[0]) + words + self._scratch.learnt.size + LITERALS
        if needed > MOST_WORDS:
            raise MemoryError(f"clauses of {needed} words, {MOST_WORDS} is the most")
        if needed > arena.size:
            grown = np.zeros(min(MOST_WORDS, max(needed, 2 * arena.size)), dtype=np.int32)
            grown[: arena.size] = arena
            self._clauses = self._clauses._replace(arena=grown)
        to_log = 2 * (self._clauses.arena.size + self._trail.literals.size) + self._scratch.learnt.size + 1
        if 0 < self._log.words.size < to_log:
            self._log = self._log._replace(words=np.zeros(to_log, dtype=np.int32))

    def _grow_variables(self, n_vars: int, longest: int) -> None:
        """Make room for so many variables, and for rows of so many literals; at level 0."""
        old, trail = self._trail.level.size, new_trail(n_vars)
        for name in Trail._fields:
            before = getattr(self._trail, name)
            getattr(trail, name)[: before.size] = before
        activity = self._rng.random(n_vars) * NOISE
        phase, heads = np.ones(n_vars, dtype=np.int8), np.full(2 * n_vars, -1, dtype=np.int32)
        activity[:old], phase[:old] = self._order.activity, self._order.phase
        heads[: 2 * old] = self._clauses.heads
        order = new_order(activity, phase)._replace(pace=self._order.pace)
        scratch = new_scratch(n_vars, longest, self._scratch.stats)
        self._trail, self._order, self._scratch = trail, order, scratch
        self._clauses = self._clauses._replace(heads=heads)
