"""Text as nested lists of words with their lines: the S-expressions that both versions of VNN-LIB are written in.

A word is a number, a name, an operator, a quoted name, or a name with its indices, ``X[0,1]``, which version 2 writes;
spaces within brackets are dropped. Size, depth and the length of words are bounded, so that no file exhausts memory
or stack. Cost: linear in the text, some seconds a hundred thousand lines.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from bnnverify.errors import InputFormatError

GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 1 << 27
MAX_DEPTH = 64
MAX_WORD = 1 << 10
MAX_EXPONENT = 400
SHOWN = 60

TOKEN = re.compile(
    r"""(?P<space>(?:\s|;[^\n]*)+)
      | (?P<bracket>[()])
      | (?P<word>"[^"\n]*" | [A-Za-z]\w*\s*\[[\d\s,]*\] | [^\s();"\[\],]+)""",
    re.VERBOSE | re.ASCII,
)
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE](?P<exponent>[+-]?\d{1,4}))?", re.ASCII)


@dataclass(frozen=True)
class Word:
    """One word of the text and the line it stands on, from 1."""

    text: str
    line: int

    def __str__(self) -> str:
        return self.text

    @property
    def number(self) -> Fraction | None:
        """The exact value of a decimal, None if it is none."""
        matched = NUMBER.fullmatch(self.text)
        if matched is None or abs(int(matched["exponent"] or 0)) > MAX_EXPONENT:
            return None
        return Fraction(self.text)


@dataclass(frozen=True)
class Group:
    """What stands between two parentheses, and the line of the first."""

    items: tuple[Expression, ...]
    line: int

    def __str__(self) -> str:
        return f"({' '.join(map(str, self.items))})"

    @property
    def head(self) -> str:
        """The first word, "" if there is none."""
        return self.items[0].text if self.items and isinstance(self.items[0], Word) else ""


Expression: TypeAlias = Word | Group


def refusal(at: Expression | int, found: object, expected: str) -> InputFormatError:
    """The error for something malformed: where, what was found, what is read."""
    text = str(found)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    line = at if isinstance(at, int) else at.line
    return InputFormatError(f"line {line}: found {' '.join(shown.split())!r}, expected {expected}")


def read_text(path: Path) -> str:
    """The text of a file, plain or gzipped.

    Raises:
        InputFormatError: if it cannot be read, is too long, damaged, or no text.
    """
    try:
        with open(path, "rb") as stream:
            zipped = stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        with gzip.open(path, "rb") if zipped else open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputFormatError("a damaged or truncated .gz file") from None
    except OSError as error:
        raise InputFormatError(f"cannot be read ({error.strerror})") from None
    if len(content) > MAX_BYTES:
        raise InputFormatError(f"more than {MAX_BYTES} bytes of text, expected at most so many")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InputFormatError("not a text in UTF-8, expected VNN-LIB") from None


def parse(text: str) -> tuple[Group, ...]:
    """The top-level groups of a text, in order.

    Raises:
        InputFormatError: with the line of whatever is malformed.
    """
    finished: list[Group] = []
    open_groups: list[tuple[int, list[Expression]]] = []
    line = 1
    for word, line in _words(text):
        if word == "(":
            if len(open_groups) == MAX_DEPTH:
                raise InputFormatError(f"line {line}: nested more than {MAX_DEPTH} deep, expected less")
            open_groups.append((line, []))
        elif word == ")":
            if not open_groups:
                raise refusal(line, ")", "an opening parenthesis before it")
            start, items = open_groups.pop()
            group = Group(tuple(items), start)
            if open_groups:
                open_groups[-1][1].append(group)
            else:
                finished.append(group)
        elif open_groups:
            open_groups[-1][1].append(Word(word, line))
        else:
            raise refusal(line, word, "a command in parentheses")
    if open_groups:
        raise InputFormatError(f"line {open_groups[-1][0]}: a parenthesis that is never closed")
    return tuple(finished)


def _words(text: str) -> Iterator[tuple[str, int]]:
    """Words and parentheses with their lines."""
    place, line = 0, 1
    while place < len(text):
        matched = TOKEN.match(text, place)
        if matched is None:
            raise refusal(line, text[place], "a name, a number or a parenthesis")
        place = matched.end()
        word = matched.group()
        if matched.lastgroup != "space":
            if len(word) > MAX_WORD:
                raise refusal(line, word, f"a word of at most {MAX_WORD} characters")
            yield (word if word.startswith('"') else "".join(word.split())), line
        line += word.count("\n")
