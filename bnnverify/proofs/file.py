"""The file of a proof: a header that names network and question, the raw system, and the steps, one a line.

Text, because a proof is kept to be checked by somebody else's program; gz where the name says so. Lists of literals
end with 0. The weight of a term is that of the last ``*weight`` before it, at first 1::

    bnnverify-proof 1
    network <sha256 of the network> "<name>"
    input bits                              or levels
    center ... / low ... / high ... / costs ...   one line each, a number an input
    budget 3                                or none
    label 7
    wanted 0 1 2 ...
    order 0 1 2 ...                         the classes as they win ties
    system <variables> <rows> <clauses>
    r OUTPUT BOUND 1 -2 *3 4 0              OUTPUT <-> 1 x1 + 1 (not x2) + 3 x4 >= BOUND; output 0: it must hold
    c 1 -2 0
    b 5                                     steps: bound, equality, learnt clause, deletion
    q 7 -9
    l 1 -3 0
    d 1 -3 0
    l 0                                     the last line

A file is written whole or not at all.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bnnverify.errors import UsageError
from bnnverify.proofs.error import ProofError
from bnnverify.proofs.question import Question
from bnnverify.proofs.statement import Statement
from bnnverify.proofs.system import Row, System, system_of
from bnnverify.wholefile import whole_file

FORMAT, VERSION = "bnnverify-proof", 1
ARRAYS = ("center", "low", "high", "costs")
BOUND, EQUAL, LEARNT, DELETED = b"bqld"


class _Discarded(Exception):  # noqa: N818 - no error: how a writer that is closed early leaves its file
    pass


class ProofWriter:
    """Writes a proof step by step; only :meth:`commit` puts the file in its place.

    Literals are those of the statement's system.

    Args:
        path: the file, compressed if its name ends with ``.gz``.
        statement: what is to be proved.

    Raises:
        UsageError: if the file cannot be written.
    """

    def __init__(self, path: str | Path, statement: Statement) -> None:
        path = Path(path)
        self._ended = False
        with ExitStack() as stack:
            partial = stack.enter_context(whole_file(path))
            plain = stack.enter_context(partial.open("wb"))
            self._file: IO[bytes] | gzip.GzipFile = plain
            if path.name.endswith(".gz"):
                packed = gzip.GzipFile("", "wb", compresslevel=4, fileobj=plain, mtime=0)
                self._file = stack.enter_context(packed)
            for line in chain(_header(statement), _system(statement.system)):
                self._line(line)
            self._stack = stack.pop_all()

    def bound(self, literal: int) -> None:
        """A literal follows from one row, what is fixed so far, and the budget."""
        self._line(f"b {int(literal)}")

    def equal(self, a: int, b: int) -> None:
        """Two literals are equal because the rows that define them are."""
        self._line(f"q {int(a)} {int(b)}")

    def learnt(self, clause: Any) -> None:
        """A clause follows by reverse unit propagation; with none of its literals left, the proof is complete."""
        self._step("l", clause)
        self._ended |= len(clause) == 0

    def deleted(self, clause: Any) -> None:
        """A learnt clause is needed no more; its literals may come in another order than before."""
        self._step("d", clause)

    def commit(self) -> None:
        """End the proof with the empty clause, unless it was learnt, and put the file in its place."""
        if not self._ended:
            self.learnt(())
        self._stack.close()

    def close(self) -> None:
        """Throw away what was not committed."""
        with suppress(_Discarded):
            self._stack.__exit__(_Discarded, _Discarded(), None)

    def __enter__(self) -> ProofWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _step(self, kind: str, clause: Any) -> None:
        literals = clause.tolist() if isinstance(clause, np.ndarray) else clause
        self._line(" ".join([kind, *map(str, literals), "0"]))

    def _line(self, line: str) -> None:
        if self._ended:
            return
        try:
            self._file.write(line.encode() + b"\n")
        except OSError as error:
            self.close()
            raise UsageError(f"the proof cannot be written ({error.strerror})") from None


def _header(statement: Statement) -> Iterator[str]:
    question = statement.question
    yield f"{FORMAT} {VERSION}"
    yield f"network {statement.fingerprint} {json.dumps(statement.name)}"
    yield f"input {'bits' if question.bits else 'levels'}"
    for name in ARRAYS:
        yield _spaced(name, getattr(question, name).tolist())
    yield f"budget {'none' if question.budget is None else question.budget}"
    yield f"label {question.label}"
    yield _spaced("wanted", question.wanted)
    yield _spaced("order", question.order)


def _system(system: System) -> Iterator[str]:
    yield f"system {system.n_variables} {system.n_rows} {len(system.clauses)}"
    for index in range(system.n_rows):
        row = system.row(index)
        yield f"r {row.output} {row.bound}{''.join(_weighted(row))} 0"
    for clause in system.clauses:
        yield _spaced("c", [*clause.tolist(), 0])


def _weighted(row: Row) -> Iterator[str]:
    """The terms, in runs of one weight."""
    literals, changes = row.literals.tolist(), np.flatnonzero(row.weights[1:] != row.weights[:-1]) + 1
    for first, end in zip([0, *changes], [*changes, len(literals)], strict=True):
        weight = int(row.weights[first]) if literals else 1
        marked = [] if weight == 1 and first == 0 else [f"*{weight}"]
        yield "".join(f" {token}" for token in chain(marked, literals[first:end]))


def _spaced(word: str, values: Iterable[int]) -> str:
    return " ".join([word, *map(str, values)])


@dataclass(frozen=True, eq=False)
class Steps:
    """All steps: step i has a kind, ``BOUND`` to ``DELETED``, and the literals ``starts[i]:starts[i + 1]``."""

    kinds: NDArray[np.uint8]
    starts: NDArray[np.int64]
    literals: NDArray[np.int64]

    def clause(self, step: int) -> NDArray[np.int64]:
        return self.literals[self.starts[step] : self.starts[step + 1]]


@dataclass(frozen=True, eq=False)
class Proof:
    """What a proof file says; nothing of it is believed before it is checked.

    Args:
        first_line: number of the line with the first step.
    """

    fingerprint: str
    name: str
    question: Question
    system: System
    steps: Steps
    first_line: int


def read_proof(path: str | Path) -> Proof:
    """Read a proof file.

    Raises:
        ProofError: if it is not one, or is damaged.
    """
    path = Path(path)
    lines = _Lines(path)
    try:
        return _proof(lines)
    except (OSError, EOFError, zlib.error) as error:
        found = getattr(error, "strerror", None) or "it is damaged or ends too early"
        raise ProofError(f"{path}: cannot be read ({found}); write the proof again") from None
    except (ValueError, OverflowError) as error:
        text = str(error) if isinstance(error, UsageError) else "it is not as the format wants it"
        raise ProofError(f"{path}, line {lines.number}: {text}") from None


class _Lines:
    """Lines of a file, with their number."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0

    def __iter__(self) -> Iterator[str]:
        opener: Any = gzip.open if self.path.name.endswith(".gz") else open
        with opener(self.path, "rt", encoding="ascii") as file:
            for line in file:
                self.number += 1
                yield line


def _proof(source: _Lines) -> Proof:
    lines = iter(source)
    if _field(lines, FORMAT) != str(VERSION):
        raise UsageError(f"version of the format: expected {VERSION}")
    fingerprint, _, name = _field(lines, "network").partition(" ")
    question = _question(lines)
    n_variables, n_rows, n_clauses = map(int, _field(lines, "system").split())
    if min(n_variables, n_rows, n_clauses) < 0:
        raise UsageError("a size of the system is negative")
    rows = [_row(_field(lines, "r")) for _ in range(n_rows)]
    clauses = [np.array(_until_zero(_field(lines, "c")), dtype=np.int64) for _ in range(n_clauses)]
    system = system_of(n_variables, rows, clauses, question.budget is not None)
    first_line = source.number + 1
    return Proof(fingerprint, str(json.loads(name)), question, system, _steps(lines, n_variables), first_line)


def _field(lines: Iterator[str], word: str) -> str:
    """The rest of the next line, which must start with the word."""
    found, _, rest = next(lines, "").rstrip("\n").partition(" ")
    if found != word:
        raise UsageError(f"found {found[:20]!r}, expected {word!r}")
    return rest


def _question(lines: Iterator[str]) -> Question:
    kind = _field(lines, "input")
    if kind not in ("bits", "levels"):
        raise UsageError(f"input {kind[:20]!r}: expected bits or levels")
    center, low, high, costs = (
        np.array(list(map(int, _field(lines, name).split())), dtype=np.int64) for name in ARRAYS
    )
    budget = _field(lines, "budget")
    label = int(_field(lines, "label"))
    wanted, order = (tuple(map(int, _field(lines, name).split())) for name in ("wanted", "order"))
    limit = None if budget == "none" else int(budget)
    return Question(kind == "bits", center, low, high, costs, limit, label, wanted, order)


def _row(text: str) -> Row:
    output, bound, *tokens = text.split()
    if not tokens or tokens.pop() != "0":
        raise UsageError("a row does not end with 0")
    weights: list[int] = []
    literals: list[int] = []
    weight = 1
    for token in tokens:
        if token[0] == "*":
            weight = int(token[1:])
        else:
            literals.append(int(token))
            weights.append(weight)
    exact = sum(weights) < 1 << 60
    values = np.array(weights, dtype=np.int64 if exact else object)
    return Row(int(output), int(bound), values, np.array(literals, dtype=np.int64))


def _until_zero(text: str) -> list[int]:
    literals = list(map(int, text.split()))
    if not literals or literals.pop() != 0 or 0 in literals:
        raise UsageError("a clause does not end with its one 0")
    return literals


def _steps(lines: Iterator[str], n_variables: int) -> Steps:
    kinds, starts, literals = bytearray(), [0], list[int]()
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("l", "d"):
            literals += _until_zero(rest)
        elif kind in ("b", "q") and len(rest.split()) == (1 if kind == "b" else 2):
            literals += map(int, rest.split())
        else:
            raise UsageError(f"found {kind[:20]!r}, expected a step b, q, l or d")
        kinds += kind.encode()
        starts.append(len(literals))
    found = Steps(np.frombuffer(bytes(kinds), dtype=np.uint8), np.array(starts), np.array(literals, dtype=np.int64))
    if found.literals.size and ((found.literals == 0).any() or np.abs(found.literals).max() > n_variables):
        raise UsageError(f"a step above has a literal of no variable 1 to {n_variables}")
    return found
