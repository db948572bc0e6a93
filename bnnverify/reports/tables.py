"""Plain text tables, and numbers as people read them.

Every function returns text; nothing here prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lines of columns two spaces apart, the header underlined.

    Args:
        align: ``l`` or ``r`` for each column.

    >>> print(table(["class", "inputs"], [["0", "150,348"], ["7", "2"]], "lr"))
    class   inputs
    -----  -------
    0      150,348
    7            2
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(_line(cells, widths, align) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int], align: str) -> str:
    padded = [
        cell.rjust(width) if side == "r" else cell.ljust(width)
        for cell, width, side in zip(cells, widths, align, strict=True)
    ]
    return "  ".join(padded).rstrip()


def grouped(n: int) -> str:
    """An integer with commas; from 25 digits on, its leading digits and its order of magnitude.

    >>> grouped(15701874581), grouped(2**784)
    ('15,701,874,581', 'about 1.017 x 10^236')
    """
    if abs(n) < 10**24:
        return f"{n:,}"
    digits = str(n)
    return f"about {digits[0]}.{digits[1:4]} x 10^{len(digits) - 1}"


def plural(n: int, noun: str, nouns: str = "") -> str:
    """
    >>> plural(1, "flip"), plural(1200, "flip"), plural(2, "class", "classes")
    ('1 flip', '1,200 flips', '2 classes')
    """
    return f"{grouped(n)} {noun if n == 1 else nouns or noun + 's'}"


def share(part: int, whole: int) -> str:
    """A percentage that never rounds something to nothing or a part to the whole.

    >>> share(1, 10**9), share(10**9 - 1, 10**9), share(1, 8)
    ('< 0.01 %', '> 99.99 %', '12.50 %')
    """
    fraction = Fraction(part, whole)
    if 0 < fraction < Fraction(1, 20000):
        return "< 0.01 %"
    if Fraction(19999, 20000) < fraction < 1:
        return "> 99.99 %"
    return f"{float(fraction) * 100:.2f} %"


def duration(seconds: float) -> str:
    """
    >>> duration(0.0004), duration(0.0312), duration(2.5), duration(754)
    ('0.4 ms', '31 ms', '2.5 s', '12 min 34 s')
    """
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
