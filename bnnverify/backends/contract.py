"""One contract over many solvers: a table of back ends, and ``solve``, whose every model was checked.

Which solver is best depends on the formula, and two that agree are worth more than one. A back end is a row of
``BACKENDS``: a function from a formula and a request to an answer. Libraries' time limits differ and few
hold everywhere, so a library asked with a time limit runs in a forked child that is killed, encoding included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from bnnverify.backends.answers import Answer, Request, interrupts_named
from bnnverify.backends.clausal import CLAUSAL, NATIVE, run_pysat
from bnnverify.backends.cpsat import EXTRA as CPSAT_EXTRA
from bnnverify.backends.cpsat import run_cpsat
from bnnverify.backends.exactpb import EXTRA as EXACT_EXTRA
from bnnverify.backends.exactpb import run_exact
from bnnverify.backends.native import run_native
from bnnverify.errors import ReplayError, UsageError
from bnnverify.limits import run_limited
from bnnverify.verdict import Verdict
from encoders.formula import Formula

__all__ = ["BACKENDS", "Answer", "Backend", "backend_named", "checked", "encoding_for", "solve"]


@dataclass(frozen=True)
class Backend:
    """A solver.

    Args:
        name: what users call it.
        about: what it is, in a few words.
        run: from a formula and a request, the library's answer, not checked.
        extra: of this package that brings the library, or None where it is always there.
        encodings: that it takes, the default first; none where it takes constraints as they are.
        keeps_time: whether it keeps the request's time limit itself.
        package: of the extra, by the name it is imported by.
    """

    name: str
    about: str
    run: Callable[[Formula, Request], Answer]
    extra: str | None = None
    encodings: tuple[str, ...] = ()
    keeps_time: bool = False
    package: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether its package is there, which is not imported for that."""
        return self.package is None or find_spec(self.package) is not None


def _pysat(name: str, about: str, encodings: tuple[str, ...] = CLAUSAL) -> Backend:
    return Backend(name, about, partial(run_pysat, name), encodings=encodings)


_ROWS = (
    Backend("native", "this package's solver of reified cardinality constraints", run_native, keeps_time=True),
    _pysat("cadical195", "CaDiCaL 1.9.5 over clauses"),
    _pysat("cadical153", "CaDiCaL 1.5.3 over clauses"),
    _pysat("cadical300", "CaDiCaL 3.0.0 over clauses"),
    _pysat("kissat404", "Kissat 4.0.4 over clauses"),
    _pysat("glucose4", "Glucose 4.1 over clauses"),
    _pysat("glucose42", "Glucose 4.2.1 over clauses"),
    _pysat("maplechrono", "MapleLCMDistChronoBT over clauses"),
    _pysat("maplecm", "MapleCM over clauses"),
    _pysat("mergesat3", "MergeSat 3 over clauses"),
    _pysat("lingeling", "Lingeling over clauses"),
    _pysat("minisat22", "MiniSat 2.2 over clauses"),
    _pysat("minicard", "MiniCard over at-most constraints", (NATIVE, *CLAUSAL)),
    _pysat("gluecard4", "Gluecard 4 over at-most constraints", (NATIVE, *CLAUSAL)),
    Backend("exact", "Exact over reified linear constraints", run_exact, extra=EXACT_EXTRA, package="exact"),
    Backend(
        "cp-sat", "CP-SAT of OR-Tools over enforced linear constraints", run_cpsat, extra=CPSAT_EXTRA, package="ortools"
    ),
)
BACKENDS: dict[str, Backend] = {row.name: row for row in _ROWS}


def solve(
    formula: Formula,
    backend: str,
    *,
    encoding: str | None = None,
    timeout: float | None = None,
    seed: int = 0,
    prefer: Iterable[int] = (),
) -> Answer:
    """Whether a formula can be met, by one back end; a model is checked before it is returned.

    Args:
        backend: a key of ``BACKENDS``.
        encoding: a key of ``encoders.encode.ENCODINGS`` that the back end takes; None for its default.
        timeout: seconds, in which the answer's ``satisfiable`` is None; libraries then run in a child process.
        seed: a number from 0; back ends without one leave it.
        prefer: literals to try first, an instance's bits for one; advice, which some back ends leave.

    Raises:
        UsageError: if there is no such back end, it takes no such encoding, or the seed or limit is out of range.
        UnsupportedError: if a package is missing, or the encoding cannot say the formula.
        ReplayError: if the back end's model does not meet the formula.
        MemoryError: where no limit is set and memory runs out.
    """
    row = backend_named(backend)
    if seed < 0:
        raise UsageError(f"seed {seed}: expected 0 or more")
    if timeout is not None and not 0 < timeout < math.inf:
        raise UsageError(f"timeout {timeout}: expected more than 0 seconds")
    request = Request(encoding_for(row, encoding), seed, _advice(formula, prefer), timeout)
    if timeout is None or row.keeps_time:
        with interrupts_named():
            return checked(formula, row.name, row.run(formula, request))
    outcome = run_limited(lambda report: row.run(formula, request), timeout=timeout)
    if outcome.result is None:
        return Answer(None, None, "memory ran out" if outcome.limit is Verdict.MEMOUT else "time limit")
    return checked(formula, row.name, outcome.result)


def backend_named(name: str) -> Backend:
    """A row of the table.

    Raises:
        UsageError: if there is none of this name.
    """
    if name not in BACKENDS:
        raise UsageError(f"back end {name!r}: expected one of {', '.join(BACKENDS)}")
    return BACKENDS[name]


def encoding_for(row: Backend, encoding: str | None) -> str | None:
    """The encoding asked for, or the back end's default, which is None where it takes none.

    Raises:
        UsageError: if the back end does not take it.
    """
    if encoding is None:
        return row.encodings[0] if row.encodings else None
    if encoding not in row.encodings:
        expected = f"one of {', '.join(row.encodings)}" if row.encodings else "none, it takes constraints as they are"
        raise UsageError(f"encoding {encoding!r} for back end {row.name}: expected {expected}")
    return encoding


def _advice(formula: Formula, prefer: Iterable[int]) -> tuple[int, ...]:
    """The preferred literals, one a variable, the last said."""
    literals = {abs(literal): int(literal) for literal in prefer}
    for variable, literal in literals.items():
        if not 0 < variable <= formula.n_variables:
            raise UsageError(f"literal {literal} preferred: expected 1 to {formula.n_variables}, or its negative")
    return tuple(literals.values())


def checked(formula: Formula, name: str, answer: Answer) -> Answer:
    """The answer, its model met by the formula: whatever a library says, it does not lie about a model here."""
    if answer.satisfiable:
        model = answer.model
        if model is None or model.shape != (formula.n_variables + 1,) or not formula.holds(model):
            raise ReplayError(f"the model of back end {name} does not meet the formula: a bug, please report it")
    return answer
