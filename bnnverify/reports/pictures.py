"""Images of bits in characters: a counterexample beside its original, the flipped pixels marked.

One character holds two pixels, one above the other, so that pixels come out nearly square. A
character in which a pixel flipped shows no ink but a mark: ``^`` the upper one, ``v`` the lower one, ``X``
both; the original beside it tells what was there. Where the output's encoding has no half blocks,
points and apostrophes stand in for them.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

HALF_BLOCKS = " ▄▀█"
ASCII_DOTS = " .':"
MARKS = " v^X"
SMALLEST_SQUARE = 64
WIDEST = 48


def image_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width in which bits of this shape can be drawn, or None.

    One channel is an image; so is a flat vector of at least 64 bits whose number is a square.

    >>> image_shape((1, 28, 28)), image_shape((784,)), image_shape((3, 32, 32)), image_shape((50,))
    ((28, 28), (28, 28), None, None)
    """
    if len(shape) == 3 and shape[0] == 1:
        height, width = shape[1:]
    elif len(shape) == 1 and shape[0] >= SMALLEST_SQUARE and isqrt(shape[0]) ** 2 == shape[0]:
        height = width = isqrt(shape[0])
    else:
        return None
    return (height, width) if 1 < width <= WIDEST and height > 1 else None


def half_blocks_fit(encoding: str | None) -> bool:
    """Whether text in this encoding can hold the block characters."""
    try:
        HALF_BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def draw(ink: NDArray[np.bool_], marked: NDArray[np.bool_], *, blocks: bool) -> list[str]:
    """Lines of characters for one image; ``ink`` and ``marked`` are ``(height, width)``.

    >>> ink = np.eye(4, dtype=bool)
    >>> draw(ink, np.zeros((4, 4), dtype=bool), blocks=False)
    ["'.  ", "  '."]
    """
    glyphs, marks = np.array(list(HALF_BLOCKS if blocks else ASCII_DOTS)), np.array(list(MARKS))
    inked, flipped = _pairs(ink), _pairs(marked)
    cells = np.where(flipped > 0, marks[flipped], glyphs[inked])
    return ["".join(row) for row in cells]


def _pairs(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Two rows as one: 2 for the upper pixel plus 1 for the lower one."""
    even = np.pad(pixels, [(0, pixels.shape[0] % 2), (0, 0)])
    return 2 * even[::2].astype(np.int64) + even[1::2]


def side_by_side(
    before: NDArray[np.int8],
    flips: tuple[int, ...],
    size: tuple[int, int],
    *,
    titles: tuple[str, str],
    blocks: bool,
    after: NDArray[np.int8] | None = None,
) -> str:
    """The image of ``before``'s bits ``(n,)`` and, to its right, ``after`` with ``flips`` marked.

    Args:
        after: default: ``before`` with the flips made.
    """
    marked = np.zeros(before.size, dtype=np.bool_)
    marked[list(flips)] = True
    ink = before > 0
    changed = ink ^ marked if after is None else after > 0
    left = draw(ink.reshape(size), np.zeros(size, dtype=np.bool_), blocks=blocks)
    right = draw(changed.reshape(size), marked.reshape(size), blocks=blocks)
    width = max(size[1], len(titles[0]))
    pairs = zip(_framed(left, blocks), _framed(right, blocks), strict=True)
    head = f"{titles[0].ljust(width + 2)}   {titles[1]}"
    return "\n".join([head, *(f"{a.ljust(width + 2)}   {b}" for a, b in pairs)])


def _framed(lines: list[str], blocks: bool) -> list[str]:
    corners, edge, side = ("┌┐└┘", "─", "│") if blocks else ("++++", "-", "|")
    rule = edge * len(lines[0])
    inside = [f"{side}{line}{side}" for line in lines]
    return [corners[0] + rule + corners[1], *inside, corners[2] + rule + corners[3]]


def places(flips: tuple[int, ...], size: tuple[int, int] | None, most: int = 12) -> str:
    """Where the flips are, in words: rows and columns of an image, else indices; counted from 0.

    >>> places((3, 30), (28, 28)), places((3, 30), None)
    ('row 0 column 3, row 1 column 2', '3, 30')
    """
    named = [f"row {i // size[1]} column {i % size[1]}" if size else str(i) for i in flips[:most]]
    rest = [f"and {len(flips) - most} more"] if len(flips) > most else []
    return ", ".join(named + rest)
