"""``robustness``, ``count``, ``profile``, ``radius``, ``explain``, ``compare``: one question, or a batch of the same.

All go the same way: load, read the region, ask, store, print. A batch (``--index A:B``) prints a
row for each input; a single question prints the full answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import add_options

if TYPE_CHECKING:
    from bnnverify.cli.ledger import Ledger
    from bnnverify.cli.question import Question

SHARED = ("input", "index", "data")
SOLVING = ("ties", "timeout", "memory", "seed", "jobs", "json", "out")
REGION = ("eps", "norm", "free")
EXACT = ("engine", "check")
DECIDING = ("solver", "encoding")

COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "robustness": (
        "can any input of a region have another class?",
        (*REGION, "target", "witness", "proof", *EXACT, *DECIDING),
    ),
    "count": ("how many inputs of a region have each class?", (*REGION, *EXACT, "epsilon", "delta")),
    "profile": ("how many inputs at every distance have another class?", (*REGION, "ber", "plot", *EXACT)),
    "radius": (
        "what is the least change that gives another class?",
        ("norm", "target", "limit", "witness", *EXACT, *DECIDING),
    ),
    "explain": (
        "which features keep the class of an input, or change it?",
        (*REGION, "kind", "target", "features", "most", "engine", "call-seconds", "witness", "plot"),
    ),
    "compare": (
        "where do two networks differ, or one and itself with weights flipped?",
        ("other", *REGION, "flip", "features", "witness", "plot"),
    ),
}


def add_commands(commands: Any) -> None:
    """Add the six subcommands."""
    for name, (what, special) in COMMANDS.items():
        parser = commands.add_parser(name, help=what, description=what.capitalize(), allow_abbrev=False)
        add_options(parser, ("model", *special, *SHARED, *SOLVING))
        parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Answer the question of the command line; returns the exit code."""
    from bnnverify.cli.question import read_question

    question = read_question(arguments)
    _require_places(arguments)
    if question.batch:
        return _run_batch(arguments, question)
    return _run_single(arguments, question)


def _require_places(arguments: argparse.Namespace) -> None:
    """Find out before the work, not after it, that an answer could not be saved."""
    from bnnverify.cli.witness import require_place

    if getattr(arguments, "witness", None) is not None:
        require_place(arguments.witness)
    if getattr(arguments, "plot", None) is not None:
        from bnnverify.cli.plotting import require_plot

        require_plot(arguments.plot)


def _open_ledger(arguments: argparse.Namespace) -> Any:
    if arguments.out is None:
        return nullcontext()
    from bnnverify.cli.ledger import Ledger

    return Ledger(arguments.out)


def _run_single(arguments: argparse.Namespace, question: Question) -> int:
    from bnnverify.cli import streams

    position = question.positions[0]
    with _open_ledger(arguments) as ledger:
        stored = _stored(ledger, question, position)
        if stored is not None:
            streams.warn(f"{arguments.out} already holds this answer; it was not computed again")
            row, text = stored, _line(stored)
        else:
            asked = question.ask(position)
            row, text = asked.row, asked.text()
            if ledger is not None:
                ledger.append(row)
    _save_files(arguments, question, row)
    streams.answer(_json(row) if arguments.json else text)
    return _exit_code([row["verdict"]])


def _run_batch(arguments: argparse.Namespace, question: Question) -> int:
    from bnnverify.cli import streams
    from bnnverify.cli.batch import in_order
    from bnnverify.cli.kernels import compile_diagram_kernels, compile_kernels
    from bnnverify.cli.progress import RowProgress
    from bnnverify.cli.region import ANYWHERE
    from bnnverify.reports.lines import summary

    if any(question.limits.values()):
        # once here, for every child that is forked under the limits
        compile_diagram_kernels() if question.command in ANYWHERE else compile_kernels()
    answered: list[dict[str, Any]] = []
    with _open_ledger(arguments) as ledger, RowProgress(len(question.positions)) as progress:
        rows = _rows(question, ledger, arguments.jobs, progress)
        for row in in_order(rows, question.positions):
            answered.append({name: row[name] for name in ("verdict", "command", "input")})
            _save_files(arguments, question, row)
            progress.wipe()
            streams.answer(_json(row) if arguments.json else _line(row))
    if not arguments.json:
        streams.answer(summary(answered))
    return _exit_code([row["verdict"] for row in answered])


def _rows(question: Question, ledger: Ledger | None, jobs: int, progress: Any) -> Iterator[tuple[int, Any]]:
    """The stored rows, then the others as they finish, each stored before it is passed on."""
    from bnnverify.cli.batch import completed

    stored = {position: _stored(ledger, question, position) for position in question.positions}
    open_positions = [position for position, row in stored.items() if row is None]
    for position, row in stored.items():
        if row is not None:
            progress.advance()
            yield position, row
    for position, asked in completed(question.ask, open_positions, jobs):
        if ledger is not None:
            ledger.append(asked.row)
        progress.advance()
        yield position, asked.row


def _stored(ledger: Ledger | None, question: Question, position: int) -> dict[str, Any] | None:
    return None if ledger is None else ledger.find(question.key(position), question.limits)


def _save_files(arguments: argparse.Namespace, question: Question, row: dict[str, Any]) -> None:
    """The witness and the picture of a row, where they were asked for."""
    from bnnverify.cli.witness import save_witness

    witness, plot = getattr(arguments, "witness", None), getattr(arguments, "plot", None)
    if witness is not None:
        save_witness(witness, question.network, row, numbered=question.batch)
    if plot is not None:
        from bnnverify.cli.plotting import save_plot

        save_plot(plot, question, row)


def _json(row: dict[str, Any]) -> str:
    from bnnverify.reports.json import dumps

    return dumps(row)


def _line(row: dict[str, Any]) -> str:
    from bnnverify.reports.lines import line

    return line(row)


def _exit_code(verdicts: Sequence[str]) -> int:
    """1 if any answer is violated, else 3 if any is undecided, else 0."""
    if "violated" in verdicts:
        return 1
    return 0 if all(verdict in ("holds", "answered") for verdict in verdicts) else 3
