"""One table of the options that commands share, so that the same word means the same everywhere."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnnverify.errors import UsageError

ENGINES = "which engine answers (default: auto, the cheapest that can; `bnnverify engines` lists them)"
SOLVERS = "what the engine sat asks (default: auto, native and then a race; `bnnverify engines --solvers` lists them)"
LONGEST_RANGE = 10**7
NORMS = ("hamming", "linf", "l0", "l1", "l2")
ABDUCTIVE = ("axp", "min-axp", "all-axp", "necessary", "relevant")
CONTRASTIVE = ("cxp", "min-cxp", "all-cxp")
VALUED = ("shapley", "banzhaf")
KINDS = (*ABDUCTIVE, *CONTRASTIVE, "essential", *VALUED)


@dataclass(frozen=True)
class Span:
    """A choice of rows of a data set: one, or a range with open ends as in Python."""

    start: int | None
    stop: int | None
    single: bool = False

    def positions(self, length: int, source: str) -> range:
        """The rows it names in a source of ``length`` rows.

        Raises:
            UsageError: if it names a row that does not exist, or none.
        """
        start = self.start or 0
        stop = length if self.stop is None else self.stop
        if stop > length or start >= stop:
            asked = str(start) if self.single else f"{start}:{stop}"
            raise UsageError(f"--index {asked}: {source} has rows 0 to {length - 1}")
        return range(start, stop)


def span(text: str) -> Span:
    """
    >>> span("7"), span("10:20").positions(100, "x"), span(":3").positions(9, "x")
    (Span(start=7, stop=8, single=True), range(10, 20), range(0, 3))
    """
    matched = re.fullmatch(r"(\d*)(:?)(\d*)", text.strip())
    if matched is None or not text.strip() or (not matched[2] and not matched[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is neither an index such as 7 nor a range such as 0:100")
    if not matched[2]:
        return Span(int(matched[1]), int(matched[1]) + 1, single=True)
    return Span(int(matched[1]) if matched[1] else None, int(matched[3]) if matched[3] else None)


def free_bits(text: str) -> tuple[int, ...]:
    """Indices from ``3,7,20-25`` or from a file that holds the same, on any number of lines.

    >>> free_bits("3,7,20-22")
    (3, 7, 20, 21, 22)
    """
    if not re.fullmatch(r"[\d\s,-]+", text):
        text = _text_of(Path(text))
    indices: set[int] = set()
    for part in re.split(r"[\s,]+", text.strip()):
        matched = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if matched is None:
            raise argparse.ArgumentTypeError(f"{part[:30]!r} is neither an index nor a range such as 20-25")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        if last < first or last - first > LONGEST_RANGE:
            raise argparse.ArgumentTypeError(f"the range {part} is empty or too long")
        indices.update(range(first, last + 1))
    return tuple(sorted(indices))


def weight_places(text: str) -> tuple[tuple[int, int, int], ...]:
    """Stored weights as ``BLOCK:ROW:COLUMN``, separated by commas; the block ``out`` is -1 until the network is known.

    >>> weight_places("0:3:17,out:2:5")
    ((0, 3, 17), (-1, 2, 5))
    """
    places = []
    for part in re.split(r"[\s,]+", text.strip()):
        matched = re.fullmatch(r"(out|\d{1,4}):(\d{1,9}):(\d{1,9})", part)
        if matched is None:
            raise argparse.ArgumentTypeError(f"{part[:30]!r} is no weight: expected BLOCK:ROW:COLUMN such as out:3:17")
        places.append((-1 if matched[1] == "out" else int(matched[1]), int(matched[2]), int(matched[3])))
    return tuple(places)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise argparse.ArgumentTypeError(
            f"'{path}' is neither a list such as 3,7,20-25 nor a readable file: {reason}"
        ) from None


def _integer(least: int, what: str) -> Any:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {what}, an integer of at least {least}")
        return value

    return parse


def number(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """A parser of numbers that fit; NaN, which fits no comparison, and what is no number are refused alike."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
        return value

    return parse


seconds = number("a number of seconds above 0", lambda value: 0 < value < math.inf)
positive = number("a number above 0", lambda value: 0 < value < math.inf)
rate = number("a bit-error rate between 0 and 1", lambda value: 0 <= value <= 1)


def rates(text: str) -> tuple[float, ...]:
    """Different bit-error rates, in the order in which they are given.

    >>> rates("1e-3,0.01")
    (0.001, 0.01)
    """
    found = tuple(rate(part) for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: expected bit-error rates such as 1e-3,1e-2")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Option:
    """One argument of the command line; ``settings`` are argparse's."""

    flag: str
    help: str
    settings: dict[str, Any]


def _option(flag: str, help: str, **settings: Any) -> tuple[str, Option]:
    return flag.lstrip("-"), Option(flag, help, settings)


OPTIONS: dict[str, Option] = dict(
    (
        _option(
            "model",
            "a model file or folder, or the name of a bundled example (default: the bundled network)",
            nargs="?",
            metavar="MODEL",
        ),
        _option("--input", "file of inputs, image, or data set such as mnist:test", metavar="INPUT"),
        _option("--index", "which input: I, or a range A:B for a batch (default: 0)", type=span, metavar="I|A:B"),
        _option(
            "--data",
            "folder with the data sets (default: $BNNVERIFY_DATA, then ~/.cache/bnnverify)",
            type=Path,
            metavar="DIR",
        ),
        _option(
            "--eps",
            "radius: flips for hamming and l0, a fraction of the 0..1 range such as 8/255 for linf, "
            "grey levels for l1, their squares for l2",
            metavar="E",
        ),
        _option(
            "--norm",
            "what --eps measures (default: hamming for bits and where E is an integer above 0, else linf)",
            choices=NORMS,
        ),
        _option("--free", "only these bits may flip: 3,7,20-25 or a file", type=free_bits, metavar="BITS"),
        _option("--target", "ask for this class instead of any other", type=_integer(0, "a class"), metavar="C"),
        _option(
            "--ties",
            "who wins equal scores: the lowest class, or whoever violates",
            choices=("lowest", "violate"),
            default="lowest",
        ),
        _option("--engine", ENGINES, default="auto", metavar="NAME"),
        _option(
            "--epsilon",
            "with the engine approx: counts are within a factor 1 + E",
            type=positive,
            default=0.8,
            metavar="E",
        ),
        _option("--delta", "with the engine approx: the chance that they are not", type=rate, default=0.2, metavar="D"),
        _option("--solver", SOLVERS, default="auto", metavar="NAME"),
        _option(
            "--proof",
            "write the proof of an answer `holds` to FILE, for `bnnverify check-proof`",
            type=Path,
            metavar="FILE",
        ),
        _option(
            "--encoding", "how the solver's constraints become clauses (default: the solver's own)", metavar="NAME"
        ),
        _option("--timeout", "give up after S seconds", type=seconds, metavar="S"),
        _option("--memory", "give up when the solve needs more than MIB", type=_integer(1, "MiB"), metavar="MIB"),
        _option("--seed", "seed of everything random (default: 0)", type=_integer(0, "a seed"), default=0, metavar="N"),
        _option("--jobs", "processes for a batch (default: 1)", type=_integer(1, "processes"), default=1, metavar="N"),
        _option("--check", "confirm the answer with a second engine", action="store_true"),
        _option("--json", "print one JSON object a line", action="store_true"),
        _option(
            "--out", "append JSON rows to FILE; rows already there are not computed again", type=Path, metavar="FILE"
        ),
        _option("--witness", "save the counterexample as .npz", type=Path, metavar="FILE.npz"),
        _option(
            "--kind",
            "axp: features that keep the class; cxp: features that change it; min-: the fewest; all-: every one; "
            "necessary, relevant: in all, in some axp; essential: inputs of one value wherever the class is this one; "
            "shapley, banzhaf: a value for each feature (default: axp)",
            choices=KINDS,
            default="axp",
            metavar="KIND",
        ),
        _option(
            "--features",
            "JSON file of features and valid inputs (default: those of a bundled model; none: every bit by itself)",
            metavar="FILE|none",
        ),
        _option(
            "--most",
            "how many explanations of all-axp and all-cxp to list (default: 1000)",
            type=_integer(0, "a number of explanations"),
            default=1000,
            metavar="N",
        ),
        _option(
            "--call-seconds",
            "with the engine decisions, the search time of one question (default: 1)",
            type=seconds,
            default=1.0,
            metavar="S",
        ),
        _option(
            "other",
            "the second model (default: MODEL again, with weights flipped by --flip)",
            nargs="?",
            metavar="OTHER",
        ),
        _option(
            "--flip",
            "flip these weights of the second model: BLOCK:ROW:COLUMN, from 0, the output layer being out; or a list",
            type=weight_places,
            metavar="WEIGHTS",
        ),
        _option("--plot", "draw the answer as .png, .svg or .pdf", type=Path, metavar="FILE"),
        _option("--ber", "bit-error rate: the exact chance that the class changes", type=rate, metavar="P"),
        _option("--limit", "search no further than this cost", type=_integer(0, "a cost"), metavar="COST"),
    )
)


def add_options(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Give a subcommand its options, by name, from the table."""
    for name in names:
        option = OPTIONS[name]
        parser.add_argument(option.flag, help=option.help, **option.settings)
