"""A solver with the truth table of what was added to it, and a proof checker that shares no code with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bnnverify.solver.log import records
from bnnverify.solver.solver import Solver
from encoders.formula import Formula

Row = tuple[list[int], list[int], int, int | None]


@dataclass
class Checker:
    """Accepts a log record by record if each clause follows by unit propagation alone; slow and plain."""

    rows: list[Row] = field(default_factory=list)
    clauses: list[list[int]] = field(default_factory=list)
    learnt: list[list[int]] = field(default_factory=list)
    deletions: int = 0

    def receive(self, batch: NDArray[np.int32]) -> None:
        for deleted, literals in records(batch):
            if deleted:
                self.learnt.remove(sorted(literals))
                self.deletions += 1
            else:
                assert self.follows(literals), f"{literals} does not follow"
                self.learnt.append(sorted(literals))

    def follows(self, literals: Sequence[int]) -> bool:
        """Whether unit propagation refutes the negation of a clause."""
        values = {abs(p): p < 0 for p in literals}
        if any(values[abs(p)] == (p > 0) for p in literals):
            return True
        while True:
            before = len(values)
            for clause in (*self.clauses, *self.learnt):
                if not propagate_row(([1] * len(clause), clause, 1, None), values):
                    return True
            for row in self.rows:
                if not propagate_row(row, values):
                    return True
            if len(values) == before:
                return False


def propagate_row(row: Row, values: dict[int, bool]) -> bool:
    """Assign what a row implies under a partial assignment; False where it is violated."""
    weights, literals, bound, output = row
    terms = list(zip(weights, literals, strict=True))
    least = sum(w for w, p in terms if values.get(abs(p), p < 0) == (p > 0))
    most = sum(w for w, p in terms if values.get(abs(p), p > 0) == (p > 0))
    known = True if output is None else None
    if output is not None and abs(output) in values:
        known = values[abs(output)] == (output > 0)
    if (known is True and most < bound) or (known is False and least >= bound):
        return False
    if known is None and output is not None and (least >= bound or most < bound):
        values[abs(output)] = (least >= bound) == (output > 0)
    for weight, literal in terms:
        if abs(literal) in values or known is None:
            continue
        if known and most - weight < bound:
            values[abs(literal)] = literal > 0
        elif not known and least + weight >= bound:
            values[abs(literal)] = literal < 0
    return True


@dataclass
class World:
    """A solver of n variables, what it was told as a truth table, and its proof, checked as it is written."""

    n: int
    seed: int = 0
    proved: bool = False
    checker: Checker = field(default_factory=Checker)

    def __post_init__(self) -> None:
        self.solver = Solver(seed=self.seed, proof=self.checker.receive if self.proved else None)
        for _ in range(self.n):
            self.solver.new_var()
        self.tabulate()

    def tabulate(self) -> None:
        self.table = np.array(list(product((False, True), repeat=self.n)))
        self.allowed = np.ones(len(self.table), dtype=np.bool_)

    def grow(self) -> None:
        """One variable more, which nothing constrains yet."""
        self.n, allowed = self.solver.new_var(), self.allowed
        self.tabulate()
        self.allowed = np.repeat(allowed, 2)

    def column(self, literal: int) -> NDArray[np.bool_]:
        return np.asarray(self.table[:, abs(literal) - 1] == (literal > 0))

    def weigh(self, literals: Sequence[int], weights: Sequence[int] | None = None) -> NDArray[np.int64]:
        terms = zip(literals, weights or [1] * len(literals), strict=True)
        return np.asarray(sum((self.column(p) * np.int64(w) for p, w in terms), np.zeros(len(self.table), np.int64)))

    def add_clause(self, literals: list[int]) -> None:
        self.solver.add_clause(literals)
        self.checker.clauses.append(literals)
        self.allowed &= self.weigh(literals) >= 1

    def add_at_least(self, literals: list[int], bound: int, reified: int | None = None) -> None:
        self.solver.add_at_least(literals, bound, reified=reified)
        self._know([1] * len(literals), literals, bound, reified)

    def add_linear(self, weights: list[int], literals: list[int], bound: int, reified: int | None = None) -> None:
        self.solver.add_linear(weights, literals, bound, reified=reified)
        self._know(weights, literals, bound, reified)

    def add_formula(self, formula: Formula) -> None:
        """A formula that brings all variables of this world."""
        assert self.solver.add_formula(formula) == 0
        self.n = formula.n_variables
        self.tabulate()
        for linear in formula.linears():
            weights, literals = [w for w, _ in linear.terms], [p for _, p in linear.terms]
            self._know(weights, literals, linear.bound, linear.output)
        for clause in formula.clauses:
            self.checker.clauses.append(list(clause))
            self.allowed &= self.weigh(clause) >= 1

    def _know(self, weights: list[int], literals: list[int], bound: int, reified: int | None) -> None:
        self.checker.rows.append((weights, literals, bound, reified))
        output = True if reified is None else self.column(reified)
        self.allowed &= (self.weigh(literals, weights) >= bound) == output

    def check(self, answer: bool | None, assumptions: list[int]) -> None:
        """The answer of a call with these assumptions, its model or its core, against the table."""
        expected = bool(np.any(self.allowed & (self.weigh(assumptions) == len(assumptions))))
        if answer is None:
            assert self.solver.model is None
            assert self.solver.core is None
            return
        assert answer is expected
        if answer:
            model = self.solver.model
            assert model is not None
            assert np.any(self.allowed & (self.weigh(model) == self.n))
            assert set(assumptions) <= set(model)
        else:
            core = self.solver.core
            assert core is not None
            assert set(core) <= set(assumptions)
            assert not np.any(self.allowed & (self.weigh(core) == len(core)))
            if self.proved:
                assert sorted(-p for p in core) in self.checker.learnt


def some_literals(rng: np.random.Generator, n: int, size: int) -> list[int]:
    variables = rng.choice(n, size=min(size, n), replace=False) + 1
    return [int(v) for v in variables * rng.choice([1, -1], size=variables.size)]


def random_world(rng: np.random.Generator, n: int, *, n_rows: int, n_clauses: int, proved: bool = False) -> World:
    world = World(n, int(rng.integers(1000)), proved)
    for _ in range(n_rows):
        add_random_row(rng, world)
    for _ in range(n_clauses):
        world.add_clause(some_literals(rng, n, int(rng.integers(1, 4))))
    return world


def add_random_row(rng: np.random.Generator, world: World) -> None:
    """A row of random weights or of none, of literals that may repeat where no proof is checked."""
    literals = some_literals(rng, world.n, int(rng.integers(1, world.n + 1)))
    reified = None if rng.random() < 0.25 else some_literals(rng, world.n, 1)[0]
    if not world.proved and rng.random() < 0.2:
        literals += some_literals(rng, world.n, 2)
    if rng.random() < 0.5:
        world.add_at_least(literals, int(rng.integers(0, len(literals) + 2)), reified)
        return
    heaviest = int(rng.choice([3, 10, 1 << 40]))
    weights = [int(w) for w in rng.integers(0 if world.proved else -2, heaviest, len(literals))]
    least, most = sum(w for w in weights if w < 0), sum(w for w in weights if w > 0)
    bound = int(rng.integers(least - 1, most + 2))
    if rng.random() < 0.5:
        bound = (least + most) // 2
    world.add_linear(weights, literals, bound, reified)


def random_formula(rng: np.random.Generator, n: int, n_rows: int, n_clauses: int, heaviest: int) -> Formula:
    """Rows with outputs of their own or without, as a formula promises them."""
    sizes = rng.integers(1, n - 1, n_rows)
    picks = [rng.permutation(np.arange(1, n + 1)) for _ in sizes]
    literals = [pick[:k] * rng.choice([1, -1], size=k) for pick, k in zip(picks, sizes, strict=True)]
    weights = [rng.integers(1, heaviest + 1, k) for k in sizes]
    outputs = [int(rng.choice([0, 1, -1])) * int(pick[-1]) for pick in picks]
    bounds = [int(rng.integers(1, w.sum() + 1)) for w in weights]
    return Formula(
        n,
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([*literals, np.zeros(0)]).astype(np.int32),
        np.concatenate([*weights, np.zeros(0)]).astype(np.int64),
        np.array(bounds, dtype=np.int64),
        np.array(outputs, dtype=np.int32),
        tuple(tuple(some_literals(rng, n, int(rng.integers(1, 4)))) for _ in range(n_clauses)),
    )
