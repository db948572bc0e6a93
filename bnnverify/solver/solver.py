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
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bnnverify.errors import UsageError
from bnnverify.solver.deletion import add_clause
from bnnverify.solver.order import new_order
from bnnverify.solver.search import CLEANING_GAP, FAILED, FULL, PAUSED, SATISFIABLE, search
from bnnverify.solver.store import (
    CONFLICTS,
    DECISIONS,
    DELETED,
    HEAD,
    LEARNT,
    LITERALS,
    N_FALSE,
    N_STATS,
    N_TRUE,
    NEXT_CLEANING,
    NO_REASON,
    PROPAGATIONS,
    RESTARTS,
    TRUE_LITERAL,
    Clauses,
    Ints,
    Trail,
    new_cards,
    new_scratch,
    new_trail,
)
from bnnverify.solver.trail import assign, backtrack

BATCH_CONFLICTS = 200
BATCH_PROPAGATIONS = 100_000
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

    >>> solver = Solver()
    >>> a, b, c, y = (solver.new_var() for _ in range(4))
    >>> solver.add_at_least([a, b, c], 2, reified=y)
    >>> solver.solve([y, -a]), solver.model
    (True, [-1, 2, 3, 4])
    >>> solver.solve([y, -a, c, -b]), sorted(solver.core)
    (False, [-2, -1, 4])
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.model: list[int] | None = None
        self.core: list[int] | None = None
        self._rng = np.random.default_rng(seed)
        self._n_vars = 0
        self._new_clauses: list[Ints] = []
        self._constraints: list[tuple[int, int, Ints]] = []
        self._longest = 0
        self._changed = True
        self._contradictory = False
        stats = np.zeros(N_STATS, dtype=np.int64)
        stats[NEXT_CLEANING] = CLEANING_GAP
        self._cards = new_cards([], 1)
        self._trail = new_trail(1)
        self._order = new_order(np.zeros(1), np.zeros(1, dtype=np.int8))
        self._clauses = Clauses(np.zeros(1 << 12, np.int32), np.full(2, -1, dtype=np.int32), np.zeros(1, np.int64))
        self._scratch = new_scratch(1, 0, stats)
        self._assign(TRUE_LITERAL)

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
        distinct = list(dict.fromkeys(self._inside(literals)))
        self._changed = True
        if any(literal ^ 1 in distinct for literal in distinct):
            return
        self._new_clauses.append(np.array(distinct, dtype=np.int32))

    def add_at_least(self, literals: Iterable[int], bound: int, *, reified: int | None = None) -> None:
        """Require at least ``bound`` of the literals, or that ``reified`` be true exactly then.

        Args:
            literals: one that stands there several times counts as often.
            bound: any integer.
            reified: a literal, or None where the constraint must hold.

        Raises:
            UsageError: if a literal is 0 or of no variable.
        """
        inside = self._inside(literals)
        output = TRUE_LITERAL if reified is None else self._inside([reified])[0]
        counts = Counter(inside)
        sure = sum(min(counts[literal], counts[literal ^ 1]) for literal in counts if literal & 1 == 0)
        kept = [literal for literal in counts for _ in range(counts[literal] - counts[literal ^ 1])]
        bound -= sure
        self._changed = True
        if bound <= 0 or bound > len(kept):
            self._new_clauses.append(np.array([output ^ (bound > 0)], dtype=np.int32))
            return
        self._constraints.append((output, bound, np.array(kept, dtype=np.int32)))
        self._longest = max(self._longest, len(kept))

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
            backtrack(self._trail, self._order, self._cards, np.int64(0))

    def _search(self, assumed: Ints, most: int) -> bool | None:
        """One batch of the search."""
        conflicts = np.int64(min(most, self.stats.conflicts + BATCH_CONFLICTS))
        propagations = np.int64(self.stats.propagations + BATCH_PROPAGATIONS)
        state = (self._trail, self._order, self._clauses, self._cards, self._scratch)
        status, n = search(*state, assumed, conflicts, propagations)
        if status == FULL:
            self._grow_arena(self._clauses.arena.size)
        if status in (FULL, PAUSED):
            return None
        if status == SATISFIABLE:
            self.model = [v if self._trail.value[2 * v] > 0 else -v for v in range(1, self._n_vars + 1)]
            return True
        self._contradictory |= status != FAILED
        self.core = list({int(p >> 1) * (1 - 2 * int(p & 1)) for p in self._scratch.learnt[:n]})
        return False

    def _inside(self, literals: Iterable[int]) -> list[int]:
        """Literals as the kernels number them."""
        inside = []
        for literal in literals:
            if not 0 < abs(literal) <= self._n_vars:
                raise UsageError(f"literal {literal}: expected 1 to {self._n_vars}, or its negative")
            inside.append(2 * abs(int(literal)) + (literal < 0))
        return inside

    def _settle(self) -> None:
        """Put what was added since the last call into the arrays, and let level 0 be propagated anew."""
        if not self._changed:
            return
        self._changed = False
        self._grow_variables(self._n_vars + 1)
        if len(self._constraints) != len(self._cards.rows) or self._cards.occurs_at.size != 2 * self._n_vars + 3:
            self._cards = new_cards(self._constraints, self._n_vars + 1)
        self._cards.rows[:, N_TRUE : N_FALSE + 1] = 0
        self._trail.at[HEAD] = 0
        self._grow_arena(sum(clause.size + LITERALS for clause in self._new_clauses))
        for clause in self._new_clauses:
            self._add(clause)
        self._new_clauses.clear()

    def _add(self, clause: Ints) -> None:
        """Put a clause into the arena, or assign what a clause of one literal says."""
        if clause.size > 1:
            add_clause(self._clauses, clause, np.int64(clause.size), np.int64(0))
        elif clause.size == 0 or self._trail.value[clause[0]] < 0:
            self._contradictory = True
        elif self._trail.value[clause[0]] == 0:
            self._assign(int(clause[0]))

    def _assign(self, literal: int) -> None:
        assign(self._trail, self._scratch, np.int64(literal), np.int64(NO_REASON))

    def _grow_arena(self, words: int) -> None:
        """Make sure that the arena has room for so many more words and one learnt clause."""
        arena, needed = self._clauses.arena, int(self._clauses.end[0]) + words + self._scratch.learnt.size + LITERALS
        if needed > arena.size:
            grown = np.zeros(max(needed, 2 * arena.size), dtype=np.int32)
            grown[: arena.size] = arena
            self._clauses = self._clauses._replace(arena=grown)

    def _grow_variables(self, n_vars: int) -> None:
        """Make room for so many variables, and for the longest constraint; at level 0."""
        old, trail = self._trail.level.size, new_trail(n_vars)
        for name in Trail._fields:
            before = getattr(self._trail, name)
            getattr(trail, name)[: before.size] = before
        activity = self._rng.random(n_vars) * NOISE
        phase, heads = np.ones(n_vars, dtype=np.int8), np.full(2 * n_vars, -1, dtype=np.int32)
        activity[:old], phase[:old] = self._order.activity, self._order.phase
        heads[: 2 * old] = self._clauses.heads
        pace, self._trail = self._order.pace, trail
        self._order = new_order(activity, phase)._replace(pace=pace)
        self._clauses = self._clauses._replace(heads=heads)
        self._scratch = new_scratch(n_vars, self._longest, self._scratch.stats)
