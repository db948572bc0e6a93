"""Answers as plots: each function draws on matplotlib Axes, makes them where none are given, returns them, never shows.

matplotlib is imported by the function that draws. Counts are drawn by their exact logarithms, since those of
whole input spaces pass the range of floats. Colours are Okabe and Ito's, and sequential or diverging maps that
readers without red or green tell apart; what colour says, a mark or a number says too.

Reference: Okabe, Ito, "Color universal design", 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLUE, ORANGE, PALE = "#0072B2", "#D55E00", "#DDDDDD"
MOST_BARS = 20
LEAST_CHANCE = 1e-16
MOST_TICKS = 8


def axes_or_new(ax: Any, width: float = 6.4, height: float = 4.2) -> Any:
    """The given Axes, or new ones of this size in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def plot_profile(profile: Sequence[Mapping[int, int]], label: int, ax: Any = None) -> Any:
    """Draw how many inputs each distance has and how many of them have another class, on a logarithmic scale.

    Args:
        profile: inputs per class at every distance, as in :class:`bnnverify.queries.results.ProfileResult`.
        label: class of the centre.
        ax: matplotlib Axes.

    Returns:
        The Axes, with the safe radius marked: the greatest within which no input has another class.
    """
    ax = axes_or_new(ax)
    every = [sum(row.values()) for row in profile]
    changed = [_changed(row, label) for row in profile]
    for counts, colour, width, name in ((every, PALE, 0.9, "all inputs"), (changed, ORANGE, 0.6, "of another class")):
        heights = [math.log10(n) if n else -1.0 for n in counts]
        ax.bar(range(len(counts)), [h + 1 for h in heights], width, bottom=-1, color=colour, label=name)
    first = next((k for k, n in enumerate(changed) if n), None)
    safe = len(changed) - 1 if first is None else first - 1
    words = f"safe radius: {'at least ' if first is None else ''}{safe}" if safe >= 0 else "no safe radius"
    ax.axvline(safe + 0.5, color=BLUE, linestyle="--", label=words)
    ax.set_xlim(-0.6, len(profile) - 0.4)
    _count_axis(ax.yaxis, max([*every, 1]))
    ax.set_xlabel("distance from the input (flipped bits)")
    ax.set_ylabel("inputs")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="upper left", frameon=False)
    return ax


def _changed(row: Mapping[int, int], label: int) -> int:
    return sum(n for c, n in row.items() if c != label)


def _count_axis(axis: Any, most: int) -> None:
    """Label an axis of decimal logarithms, on which -1 stands for 0, with the counts themselves."""
    top = math.log10(most)
    step = max(1, math.ceil(top / MOST_TICKS))
    powers = list(range(0, math.ceil(top) + 1, step))
    axis.set_ticks([-1, *powers], ["0", *(f"$10^{{{power}}}$" if power else "1" for power in powers)])
    axis.axes.set_ylim(-1, max(top, 1) * 1.15 + 0.3)


def bit_error_bounds(
    profile: Sequence[Mapping[int, int]], label: int, rates: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chance that the class changes if every free bit flips with a probability, as (lower, upper) floats per rate.

    They are one where the profile is complete. Only positive terms are added, so the floats are good to about
    1e-11 of their size; :func:`bnnverify.profile` with ``ber`` gives exact fractions.

    Args:
        profile: inputs per class at distances 0, 1, ... in a ball, or among free bits; row 1 tells how many are free.
        label: class of the centre.
        rates: probabilities, each above 0 and below 1.

    >>> low, high = bit_error_bounds([{0: 1}, {0: 1, 1: 1}, {1: 1}], 0, [0.5])
    >>> round(float(low[0]), 9), round(float(high[0]), 9)
    (0.5, 0.5)
    """
    p = np.asarray(rates, dtype=np.float64)
    n_free = sum(profile[1].values()) if len(profile) > 1 else 0
    beyond = [0] * len(profile) + [math.comb(n_free, k) for k in range(len(profile), n_free + 1)]
    low = _chance([_changed(row, label) for row in profile], n_free, p)
    return low, np.minimum(low + _chance(beyond, n_free, p), 1.0)


def _chance(counts: Sequence[int], n_free: int, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of ``counts[k] p^k (1 - p)^(n_free - k)``, by logarithms."""
    found = np.zeros(p.shape)
    for k, n in enumerate(counts):
        if n:
            found += np.exp(math.log(n) + k * np.log(p) + (n_free - k) * np.log1p(-p))
    return found


def plot_bit_errors(profile: Sequence[Mapping[int, int]], label: int, ax: Any = None) -> Any:
    """Draw the chance that the class changes against the rate at which input bits flip.

    Args:
        profile: as for :func:`bit_error_bounds`; where it is cut, a band lies between what is proved on both sides.
        label: class of the centre.
        ax: matplotlib Axes.
    """
    ax = axes_or_new(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    rates = np.logspace(-6, math.log10(0.5), 300)
    low, high = bit_error_bounds(profile, label, rates)
    shown = high >= LEAST_CHANCE
    if not shown.any():
        shown[:] = True
        ax.text(0.5, 0.5, f"below {LEAST_CHANCE:g} at every rate", ha="center", transform=ax.transAxes)
    rates, low, high = rates[shown], low[shown], high[shown]
    floor = 10.0 ** math.floor(math.log10(max(high[0], LEAST_CHANCE)))
    if np.allclose(low, high, rtol=1e-9, atol=0):
        ax.plot(rates, np.where(low > 0, low, np.nan), color=BLUE, label="exact")
    else:
        ax.fill_between(rates, np.maximum(low, floor), high, color=BLUE, alpha=0.25, linewidth=0, label="possible")
        ax.plot(rates, high, color=BLUE, label="upper bound")
        if low.any():
            ax.plot(rates, np.where(low > 0, low, np.nan), color=ORANGE, linestyle="--", label="lower bound")
    ax.set_xlim(rates[0], rates[-1])
    ax.set_ylim(floor, 2)
    ax.set_xlabel("input bit-error rate (flips per bit)")
    ax.set_ylabel("chance of another class")
    ax.legend(loc="upper left", frameon=False)
    return ax


def plot_bars(values: Sequence[float], names: Sequence[str], *, name: str = "value", ax: Any = None) -> Any:
    """Draw one number a named feature as bars, the greatest by size on top; at most 20, none of 0.

    Args:
        values: one a feature.
        names: of all features.
        name: what the numbers are, for the axis.
        ax: matplotlib Axes.
    """
    ranked = sorted((i for i, v in enumerate(values) if v), key=lambda i: -abs(values[i]))[:MOST_BARS]
    ax = axes_or_new(ax, 6.4, 1.2 + 0.28 * max(len(ranked), 3))
    colours = [ORANGE if values[i] > 0 else BLUE for i in ranked]
    ax.barh(range(len(ranked)), [values[i] for i in ranked], color=colours)
    ax.set_yticks(range(len(ranked)), [names[i] for i in ranked])
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel(name)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_choice(chosen: Sequence[int], names: Sequence[str], texts: Sequence[str], *, ax: Any = None) -> Any:
    """Draw named features as a list with their values, some of them chosen.

    Args:
        chosen: indices of the features to stand out; of more than 20 features only these are listed, at most 20.
        names, texts: name, and value as text, of every feature.
        ax: matplotlib Axes.
    """
    listed = list(range(len(names))) if len(names) <= MOST_BARS else sorted(chosen)[:MOST_BARS]
    ax = axes_or_new(ax, 6.4, 0.6 + 0.28 * max(len(listed), 3))
    for place, feature in enumerate(listed):
        stands_out = feature in chosen
        ax.barh(place, 1, 0.86, color=ORANGE if stands_out else PALE)
        colour, weight = ("white", "bold") if stands_out else ("black", "normal")
        ax.text(0.02, place, texts[feature], va="center", color=colour, weight=weight)
    ax.set_yticks(range(len(listed)), [names[feature] for feature in listed])
    ax.set_xticks([])
    ax.set_xlim(0, 1)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def square(row: int, column: int, colour: str, hatch: str) -> Any:
    """A patch over one cell of an image."""
    from matplotlib.patches import Rectangle

    place = (column - 0.5, row - 0.5)
    return Rectangle(place, 1, 1, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0.4)


def plot_pairs(pairs: Mapping[tuple[int, int], int], names: tuple[str, str], ax: Any = None) -> Any:
    """Draw how many inputs have each class of one network and each of another.

    Args:
        pairs: inputs per pair of classes.
        names: of both networks.
        ax: matplotlib Axes.
    """
    rows, columns = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    ax = axes_or_new(ax, 1.9 + 0.62 * max(len(columns), 3), 1.5 + 0.5 * max(len(rows), 3))
    logs = np.full((len(rows), len(columns)), np.nan)
    for (a, b), n in pairs.items():
        if a != b and n:
            logs[rows.index(a), columns.index(b)] = math.log10(n)
    drawn = ax.imshow(logs, cmap="viridis_r", vmin=0, vmax=max(1.0, float(np.nanmax(logs, initial=0))), aspect="auto")
    for (a, b), n in pairs.items():
        place = (columns.index(b), rows.index(a))
        if a == b:
            ax.add_patch(square(place[1], place[0], PALE, ""))
        dark = a != b and logs[place[1], place[0]] > 0.6 * drawn.norm.vmax
        ax.text(*place, _short(n), ha="center", va="center", color="white" if dark else "black", fontsize=8)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xlabel(f"class by {names[1]}")
    ax.set_ylabel(f"class by {names[0]}")
    _log_bar(ax, drawn, "inputs on which they differ")
    return ax


def _short(n: int) -> str:
    """
    >>> _short(1175), _short(80314530), _short(2**784)
    ('1175', '8.0e7', '1.0e236')
    """
    if n < 10**4:
        return str(n)
    digits = str(n)
    return f"{digits[0]}.{digits[1]}e{len(digits) - 1}"


def plot_criticality(matrix: Sequence[Sequence[int]], ax: Any = None) -> Any:
    """Draw on how many inputs a network changes its class if one weight bit flips, for every weight of a layer.

    Args:
        matrix: exact counts ``(rows, columns)`` as Python integers, one a weight; those of 0 stay blank.
        ax: matplotlib Axes.
    """
    ax = axes_or_new(ax, 8.0, 3.4)
    logs = np.array([[math.log10(n) if n else np.nan for n in row] for row in matrix])
    most = max(1.0, float(np.nanmax(logs, initial=0)))
    drawn = ax.imshow(logs, cmap="viridis", vmin=0, vmax=most, aspect="auto", interpolation="nearest")
    ax.set_xlabel("weight of the row (column of the layer; blank: changes nothing)")
    ax.set_ylabel("row (output)")
    ax.yaxis.get_major_locator().set_params(integer=True)
    _log_bar(ax, drawn, "inputs of changed class")
    return ax


def _log_bar(ax: Any, drawn: Any, label: str) -> None:
    """A colour bar of decimal logarithms, labelled with the counts themselves."""
    top = float(drawn.norm.vmax)
    step = max(1, math.ceil(top / MOST_TICKS))
    powers = list(range(0, math.floor(top) + 1, step))
    bar = ax.figure.colorbar(drawn, ax=ax, label=label)
    bar.set_ticks(powers, labels=[f"$10^{{{power}}}$" if power else "1" for power in powers])
