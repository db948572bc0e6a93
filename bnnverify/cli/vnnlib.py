"""``vnnlib``, and VNN-LIB 2's own ``verify`` and ``supports``: one word on the first line, whatever the answer.

``sat`` (a violation exists, and follows), ``unsat``, ``unknown`` or ``timeout``, which version 2 spells ``timed-out``.
All of them are answers, so the exit code is 0; 2 says that a file or an option was not understood.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnnverify.cli.options import add_options

if TYPE_CHECKING:
    from bnnverify.vnnlib.decide import Answer

VNNLIB = "decide a VNN-LIB property of an ONNX network: sat, unsat, unknown or timeout"
VERIFY = "the same as VNN-LIB 2 spells it: a query file, and the network by its declared name"
SUPPORTS = "which parts of VNN-LIB 2 are supported"
LEAST_SECONDS = 0.05
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

CAPABILITIES = {
    "vnnlib-versions": ("2.0", "2.0"),
    "onnx-element-types": ("real", *(f"{s}int{bits}" for s in ("", "u") for bits in (8, 16, 32, 64))),
    "hidden-node-theories": ("NH",),
    "multiple-input-output-theories": ("SIO",),
    "multiple-network-theories": ("SNET",),
    "multiple-node-comparison-theories": ("SNC",),
    "arithmetic-complexity-theories": (),
    "optimised-disjunctive-reasoning": ("true",),
    "serialise-assignments": ("false",),
    "unsat-proofs": ("false",),
}
COMPUTED = ("onnx-opset-versions", "onnx-operators")


def add_commands(commands: Any) -> None:
    """Add the three subcommands."""
    vnnlib = commands.add_parser("vnnlib", help=VNNLIB, description=VNNLIB.capitalize(), allow_abbrev=False)
    vnnlib.add_argument("network", type=Path, metavar="NET", help="an .onnx file, plain or .gz")
    vnnlib.add_argument("property", type=Path, metavar="PROPERTY", help="a .vnnlib file, version 1 or 2, plain or .gz")
    _add_limits(vnnlib)
    vnnlib.set_defaults(run=run_vnnlib)
    verify = commands.add_parser("verify", help=VERIFY, description=VERIFY.capitalize(), allow_abbrev=False)
    verify.add_argument("property", type=Path, metavar="QUERY", help="a .vnnlib file of version 2")
    verify.add_argument(
        "--network", type=_named_file, required=True, action="append", metavar="NAME=FILE", help="an .onnx file"
    )
    _add_limits(verify)
    verify.set_defaults(run=run_verify)
    supports = commands.add_parser("supports", help=SUPPORTS, description=SUPPORTS.capitalize(), allow_abbrev=False)
    asked = supports.add_mutually_exclusive_group(required=True)
    for name in (*COMPUTED, *CAPABILITIES):
        asked.add_argument(f"--{name}", dest="capability", action="store_const", const=name, help=argparse.SUPPRESS)
    supports.usage = f"bnnverify supports --{{{','.join((*COMPUTED, *CAPABILITIES))}}}"
    supports.set_defaults(run=run_supports)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add_options(parser, ("timeout", "memory", "seed"))
    parser.add_argument(
        "--proof", type=Path, metavar="FILE.npz", help="save the certificate of unsat (several: FILE-1.npz and so on)"
    )


def run_vnnlib(arguments: argparse.Namespace) -> int:
    """Decide and print, in the words of version 1; exit code 0."""
    _calm_blas()
    return _run(arguments, arguments.network, None, "timeout")


def run_verify(arguments: argparse.Namespace) -> int:
    """Decide and print, in the words of version 2; exit code 0."""
    from bnnverify.errors import UsageError

    if len(arguments.network) > 1:
        raise UsageError(f"--network is given {len(arguments.network)} times, expected one network")
    name, network = arguments.network[0]
    _calm_blas()
    return _run(arguments, network, name, "timed-out")


def run_supports(arguments: argparse.Namespace) -> int:
    """Print a capability, one value a line; exit code 0."""
    from bnnverify.cli import streams

    streams.answer("\n".join(_capability(arguments.capability)))
    return 0


def _capability(name: str) -> tuple[str, ...]:
    from bnnverify.formats.onnx_file import GREATEST_OPSET, LEAST_OPSET
    from bnnverify.formats.onnx_read import OPERATORS

    if name == "onnx-opset-versions":
        return str(LEAST_OPSET), str(GREATEST_OPSET)
    return tuple(OPERATORS) if name == "onnx-operators" else CAPABILITIES[name]


def _calm_blas() -> None:
    """One thread for products of matrices, set before numpy is imported.

    They are small here, and on a busy machine threads that wait for each other take ten times as long.
    """
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")


def _run(arguments: argparse.Namespace, network: Path, declared: str | None, too_late: str) -> int:
    from bnnverify.cli import streams
    from bnnverify.cli.kernels import import_numba
    from bnnverify.queries.limited import run_watched
    from bnnverify.verdict import Verdict
    from bnnverify.vnnlib.decide import UNKNOWN, decide_files

    _require_writable(arguments.proof)
    import_numba()
    left = None if arguments.timeout is None else arguments.timeout - (time.perf_counter() - arguments.started)
    if left is not None and left < LEAST_SECONDS:
        streams.answer(too_late)
        return 0
    outcome, came_first = run_watched(
        lambda report: decide_files(network, arguments.property, seconds=left, seed=arguments.seed, declared=declared),
        timeout=left,
        memory=arguments.memory,
    )
    if outcome.result is None:
        streams.answer(too_late if outcome.limit is Verdict.TIMEOUT else UNKNOWN)
        streams.warn("out of memory" if outcome.limit is Verdict.MEMOUT else came_first)
        return 0
    _tell(outcome.result, arguments.proof)
    return 0


def _tell(answer: Answer, proof: Path | None) -> None:
    """Save the proof, then print: the word, the witness, and on stderr the notes."""
    from bnnverify.cli import streams
    from bnnverify.patches.certificate import write_certificate
    from bnnverify.vnnlib.witness import witness_text

    places = [] if proof is None else _places(proof, len(answer.certificates))
    for place, certificate in zip(places, answer.certificates, strict=False):
        write_certificate(certificate, place)
    witness = "" if answer.assignment is None else "\n" + witness_text(answer.prop, answer.assignment)
    streams.answer(answer.word + witness)
    for note in answer.notes:
        streams.warn(note)
    if proof is not None:
        streams.warn(f"saved {', '.join(map(str, places))}" if places else "no certificate to save")


def _places(proof: Path, n: int) -> list[Path]:
    return [proof] if n == 1 else [proof.with_name(f"{proof.stem}-{i + 1}{proof.suffix}") for i in range(n)]


def _require_writable(proof: Path | None) -> None:
    from bnnverify.errors import UsageError

    if proof is not None and (proof.suffix != ".npz" or not proof.absolute().parent.is_dir()):
        raise UsageError(f"--proof {proof}: expected a name that ends in .npz, in a folder that exists")


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, place = text.partition("=")
    if not name or not equals or not place:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=FILE such as f=model.onnx")
    return name, Path(place)
