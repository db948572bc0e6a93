"""Explanations of images as plots: one number a pixel, or some pixels marked.

As in :mod:`bnnverify.reports.plots`, functions take and return matplotlib Axes and never show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnnverify.reports.plots import BLUE, ORANGE, axes_or_new, square


def plot_values(
    values: ArrayLike, shape: tuple[int, int], *, ink: ArrayLike | None = None, name: str = "value", ax: Any = None
) -> Any:
    """Draw one number a pixel as a heat map around 0; pixels worth exactly 0 show the image instead.

    Args:
        values: ``(height * width,)``.
        shape: height and width.
        ink: ``(height * width,)`` bits of the image, +1 or 1 where it has ink.
        name: what the numbers are, for the colour bar.
        ax: matplotlib Axes.
    """
    ax = axes_or_new(ax, 5.6, 4.4)
    grid = np.asarray(values, dtype=np.float64).reshape(shape)
    reach = float(np.abs(grid).max(initial=0)) or 1.0
    if ink is not None:
        _draw_ink(ax, ink, shape)
    shown = np.ma.masked_equal(grid, 0.0)
    drawn = ax.imshow(shown, cmap="PuOr_r", vmin=-reach, vmax=reach, interpolation="nearest")
    if ink is not None:
        _outline(ax, _ink(ink, shape))
    ax.figure.colorbar(drawn, ax=ax, label=name, shrink=0.85)
    _pixel_axes(ax)
    return ax


def plot_mask(
    pixels: Sequence[int], shape: tuple[int, int], *, ink: ArrayLike, changed: bool = False, ax: Any = None
) -> Any:
    """Draw an image with some pixels marked, apart by whether they have ink.

    Args:
        pixels: indices of the marked ones.
        shape: height and width.
        ink: ``(height * width,)`` bits of the image, +1 or 1 where it has ink.
        changed: whether the marked ones change (a contrastive explanation), rather than stay.
        ax: matplotlib Axes.
    """
    from matplotlib.patches import Patch

    ax = axes_or_new(ax, 4.8, 5.0)
    _draw_ink(ax, ink, shape)
    inked = _ink(ink, shape).reshape(-1)
    words = ("ink goes", "ink comes") if changed else ("ink stays", "no ink stays")
    handles = []
    for colour, value, word, hatch in ((ORANGE, True, words[0], ""), (BLUE, False, words[1], "////")):
        chosen = [i for i in pixels if inked[i] == value]
        for i in chosen:
            row, column = divmod(i, shape[1])
            ax.add_patch(square(row, column, colour, hatch))
        handles.append(Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=f"{word}: {len(chosen)}"))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)
    _pixel_axes(ax)
    return ax


def _ink(ink: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    inked: NDArray[np.bool_] = np.asarray(ink).reshape(shape) > 0
    return inked


def _draw_ink(ax: Any, ink: ArrayLike, shape: tuple[int, int]) -> None:
    ax.imshow(_ink(ink, shape), cmap="Greys", vmin=0, vmax=2.2, interpolation="nearest")


def _outline(ax: Any, inked: NDArray[np.bool_]) -> None:
    """Lines along the edges of pixels, wherever ink ends."""
    from matplotlib.collections import LineCollection

    across = zip(*np.nonzero(inked[1:] != inked[:-1]), strict=True)
    beside = zip(*np.nonzero(inked[:, 1:] != inked[:, :-1]), strict=True)
    lines = [[(c - 0.5, r + 0.5), (c + 0.5, r + 0.5)] for r, c in across]
    lines += [[(c + 0.5, r - 0.5), (c + 0.5, r + 0.5)] for r, c in beside]
    ax.add_collection(LineCollection(lines, colors="black", linewidths=0.8, capstyle="round"))


def _pixel_axes(ax: Any) -> None:
    ax.set_xlabel("column (pixels)")
    ax.set_ylabel("row (pixels)")
