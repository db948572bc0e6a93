"""``check-proof``: accept what ``robustness --proof`` or ``vnnlib --proof`` wrote, or say what does not follow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import add_options

if TYPE_CHECKING:
    from bnnverify.proofs.checker import ProofReport

Outcome = tuple[dict[str, Any], str, int]

CHECK = "does a proof show that no input of its region has another class?"


def add_commands(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("check-proof", help=CHECK, description=CHECK.capitalize(), allow_abbrev=False)
    parser.add_argument("proof", type=Path, metavar="PROOF", help="a file of `robustness --proof` or `vnnlib --proof`")
    parser.add_argument("--property", type=Path, metavar="FILE", help="the VNN-LIB property that PROOF is about")
    add_options(parser, ("model", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the outcome; 0 if the proof is accepted, 1 if it is rejected."""
    from bnnverify.cli import streams
    from bnnverify.cli.kernels import import_numba
    from bnnverify.reports.json import SCHEMA, dumps

    import_numba()
    found, said, code = _certified(arguments) if arguments.property is not None else _replayed(arguments)
    row = {"schema": SCHEMA, "command": "check-proof", "proof": str(arguments.proof), **found}
    streams.answer(dumps(row) if arguments.json else said)
    return code


def _certified(arguments: argparse.Namespace) -> Outcome:
    """The certificate of a VNN-LIB property."""
    from bnnverify.errors import UsageError
    from bnnverify.vnnlib.checking import rejected

    if arguments.model is None:
        raise UsageError("--property: about which network? give the ONNX file after PROOF")
    reason = rejected(Path(arguments.model), arguments.property, [arguments.proof])
    if reason is not None:
        return {"verdict": "rejected", "reason": reason}, f"REJECTED: {reason}", 1
    return {"verdict": "accepted"}, f"ACCEPTED: {arguments.property} is unsat for {arguments.model}.", 0


def _replayed(arguments: argparse.Namespace) -> Outcome:
    """The proof of a robustness answer."""
    from bnnverify.cli.inputs import load_network
    from bnnverify.proofs.checker import check_proof
    from bnnverify.proofs.error import ProofError

    try:
        report = check_proof(arguments.proof, load_network(arguments.model))
    except ProofError as error:
        return {"verdict": "rejected", "reason": str(error)}, f"REJECTED: {error}", 1
    return {"verdict": "accepted", **report.to_dict()}, _accepted(report), 0


def _accepted(report: ProofReport) -> str:
    from bnnverify.reports.tables import duration, plural

    steps = ", ".join(
        plural(n, *noun)
        for n, noun in (
            (report.bounds, ("bound",)),
            (report.equalities, ("equality", "equalities")),
            (report.learnt, ("learnt clause",)),
        )
    )
    wanted = ", ".join(map(str, report.question.wanted))
    return (
        f"ACCEPTED: no input of the region has class {wanted}.\n"
        f"The system was built again from {report.name} ({report.rows:,} constraints), and {steps} follow from it, "
        f"in {duration(report.seconds)}."
    )
