"""The entry point: find the command, run it, turn how it ended into an exit code.

0 the property holds or the question was answered; 1 violated; 2 usage or unreadable input;
3 undecided; 70 a bug of ours; 130 interrupted. Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

from bnnverify import __version__
from bnnverify.cli import faults, lists, models, predict, proofs, query, tolerance, train, vnnlib
from bnnverify.cli.streams import silence_stdout, warn
from bnnverify.errors import BnnverifyError, ReplayError, UsageError

USAGE, UNDECIDED, BUG, INTERRUPTED = 2, 3, 70, 130
DEBUG = "BNNVERIFY_DEBUG"


class _Parser(argparse.ArgumentParser):
    """Reports a mistake as one sentence, through the same door as every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def build_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands; each stores the function that runs it as ``run``."""
    parser = _Parser(
        prog="bnnverify",
        description="Exact answers about Binarized Neural Networks.",
        epilog="Try: bnnverify robustness --eps 3",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bnnverify {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for family in (query, predict, faults, tolerance, models, train, lists, proofs, vnnlib):
        family.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own) and return its exit code."""
    started = time.perf_counter()
    sys.set_int_max_str_digits(0)  # counts of whole input spaces are longer than Python's guard allows
    try:
        arguments = build_parser().parse_args(argv, argparse.Namespace(started=started))
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return UNDECIDED
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted")
    except ReplayError as error:
        return _fail(BUG, f"{_sentence(error)} (this is a bug of bnnverify: please report it)")
    except MemoryError as error:
        return _fail(UNDECIDED, f"undecided, out of memory: {_sentence(error)}")
    except BnnverifyError as error:
        return _fail(USAGE, _sentence(error))
    except Exception as error:
        hint = "" if os.environ.get(DEBUG) else f"; set {DEBUG}=1 for the traceback"
        text = f"{type(error).__name__}: {_sentence(error)} (this is a bug of bnnverify: please report it{hint})"
        return _fail(BUG, text)
    return code


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _fail(code: int, message: str) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    warn(message)
    return code


if __name__ == "__main__":
    sys.exit(main())
